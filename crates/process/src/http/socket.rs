//! A client's socket, which notices whether the client speaks, and whether it takes what it is sent.

use std::{
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::running::Running;

/// How much a client of HTTP/2 says before anything else.
const PREFACE_BYTES: usize = 24;

/// A stream whose writes fail once the client has taken nothing for `patience`.
pub(super) struct Socket<S> {
    stream: S,
    running: Arc<Running>,
    read: usize,
    patience: Duration,
    waits: Option<Pin<Box<Sleep>>>,
}

impl<S> Socket<S> {
    pub(super) fn new(stream: S, running: Arc<Running>, patience: Duration) -> Self {
        Self { stream, running, read: 0, patience, waits: None }
    }

    /// What came of a write, or that it has been waited for too long.
    fn not_for_ever<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waits = None;
            return written;
        }
        let patience = self.patience;
        let waits = self.waits.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(waits.as_mut().poll(context));
        self.running.stalls();
        Poll::Ready(Err(io::Error::new(ErrorKind::TimedOut, "the client takes nothing")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let done = Pin::new(&mut self.stream).poll_read(context, buffer);
        if self.read < PREFACE_BYTES {
            self.read += buffer.filled().len() - before;
            if self.read >= PREFACE_BYTES {
                self.running.speaks();
            }
        }
        done
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.not_for_ever(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.not_for_ever(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.not_for_ever(shut, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.not_for_ever(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_waited_for_only_so_long() {
        let (mut client, server) = duplex(8);
        let running = Arc::new(Running::new());
        let mut socket = Socket::new(server, running.clone(), Duration::from_mins(1));
        // Slow, and never slower than that.
        let reads = tokio::spawn(async move {
            for _ in 0..4 {
                sleep(Duration::from_secs(50)).await;
                client.read_exact(&mut [0; 8]).await.unwrap();
            }
            client
        });
        socket.write_all(&[0; 40]).await.unwrap();
        assert!(!running.has_stalled());
        let _client = reads.await.unwrap();
        let error = socket.write_all(&[0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert!(running.has_stalled());
    }
}
