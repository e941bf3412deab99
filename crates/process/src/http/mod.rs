//! Serving HTTP from an accept loop of our own, which bounds slow and silent clients and loses no request when the process drains.

mod connection;
mod rest;
mod running;
mod socket;

use std::{
    convert::Infallible,
    error::Error,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::ConnectInfo};
use http::{Request, Response};
use hyper_util::{
    rt::{TokioExecutor, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
};
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt as _};
use tracing::warn;

use crate::{Bounds, Listener, listener::Accepted};
use connection::Server;

pub use hyper::body::Body;
pub use rest::RequestBody;

/// A client whose line and headers are longer is refused.
const MOST_HEADER_BYTES: usize = 64 * 1024;
const MEBIBYTE: u32 = 1024 * 1024;

/// How a server speaks, and how it ends.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Most requests at once on a connection of HTTP/2.
    pub most_streams: u32,
    /// How much of all its requests may be on its way.
    pub window_bytes: u32,
    /// A client of HTTP/2 is told to go that had no request for that long. One that makes its next request as it is told may have to
    /// repeat it.
    pub idle: Duration,
    /// How long a draining server goes on accepting and answering, telling each client of HTTP/1.1 to come back on another connection.
    pub linger: Duration,
    /// How long after that requests may take to end.
    pub finish_within: Duration,
}

/// Serves `router` (HTTP/1.1 and HTTP/2 without TLS) until `shutdown` is cancelled and what was running then has ended.
///
/// Handlers find the peer's address as `ConnectInfo<SocketAddr>`. While it drains, answers over HTTP/1.1 close their connection, so
/// that a client that keeps one alive does not send its next request into a socket that is about to close.
pub async fn serve(
    listener: impl Into<Listener>,
    router: Router,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let manner = Manner {
        most_streams: 256,
        window_bytes: MEBIBYTE,
        idle: Duration::from_mins(2),
        linger: Duration::from_millis(500),
        finish_within: Duration::from_secs(6),
    };
    let open = |stream, peer| {
        let router = router.clone().map_request(move |mut request: Request<RequestBody>| {
            request.extensions_mut().insert(ConnectInfo::<SocketAddr>(peer));
            request
        });
        std::future::ready(Some((stream, router)))
    };
    serve_each(listener.into(), manner, open, shutdown).await;
    Ok(())
}

/// Serves each connection with what `open` makes of it: a stream, which may be another than the socket itself, and a service that is
/// cloned for each request; or nothing. Ends when `shutdown` is cancelled and what was running then has ended.
///
/// What a connection may do is in the listener's [`Bounds`]. Whom the server lets go, and not they it, is counted as
/// `connections_closed_total{listener,reason}`: `silent`, `handshake` (`open` made nothing of it), `late` (line and headers, also of the
/// next request, the rest of a body before it, or the answer to a ping), `idle`, `stalled`.
///
/// A request over HTTP/1 may be answered before its body was read: its connection goes on if the rest is small and comes in time, or the
/// answer says `connection: close`.
pub async fn serve_each<F, I, S, B>(
    mut listener: Listener,
    manner: Manner,
    open: impl Fn(TcpStream, SocketAddr) -> F,
    shutdown: CancellationToken,
) where
    F: Future<Output = Option<(I, S)>> + Send + 'static,
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
    B: Body + Unpin + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let server = Arc::new(Server {
        protocol: protocol(manner, listener.bounds()),
        bounds: listener.bounds(),
        idle: manner.idle,
        listener: listener.name(),
        draining: AtomicBool::new(false),
    });
    let (ending, _) = watch::channel(());
    let mut lingered = pin!(async {
        shutdown.cancelled().await;
        server.draining.store(true, Ordering::Relaxed);
        tokio::time::sleep(manner.linger).await;
    });
    loop {
        let Accepted { stream, peer, place } = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut lingered => break,
        };
        let (opened, server, ending) = (open(stream, peer), server.clone(), ending.subscribe());
        tokio::spawn(async move {
            server.serve(peer, opened, ending).await;
            drop(place);
        });
    }
    drop(listener);
    let _ = ending.send(());
    tokio::select! {
        () = ending.closed() => {}
        () = tokio::time::sleep(manner.finish_within) => {
            warn!(listener = server.listener, "some requests did not end in time");
        }
    }
}

fn protocol(manner: Manner, bounds: Bounds) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_buf_size(MOST_HEADER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(manner.most_streams)
        .initial_stream_window_size(MEBIBYTE)
        .initial_connection_window_size(manner.window_bytes)
        .max_header_list_size(32 * 1024)
        .keep_alive_interval(bounds.ping_every)
        .keep_alive_timeout(bounds.ping_within);
    builder
}

#[cfg(test)]
mod tests;
