//! A client's connection: plain, or behind TLS with a certificate.
//!
//! The handshake is ours and not tonic's, which tells nobody of one that fails and knows no HTTP/1.1.

use std::{
    io::{self, ErrorKind, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{Stream, StreamExt as _};
use rustls::{
    client::verify_server_name,
    pki_types::{CertificateDer, ServerName},
    server::ParsedCertificate,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::either::Either;
use tonic::transport::server::{Connected, TcpConnectInfo, TcpIncoming};
use tracing::{debug, warn};

use crate::tls::{Files, Tls};

/// How long a client may take to show who it is.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
/// How many may be about to; the next ones wait.
const HANDSHAKES: usize = 256;
/// The first byte of whoever speaks TLS.
const HANDSHAKE_RECORD: u8 = 0x16;

/// What is known of a client by its connection; requests carry it as an extension.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// Where it is.
    pub(crate) at: TcpConnectInfo,
    /// Whether its certificate is good, but for none of the names that are served.
    pub(crate) is_stranger: bool,
}

/// A connection that was accepted.
pub(crate) struct Connection {
    stream: Either<TcpStream, Box<TlsStream<TcpStream>>>,
    client: Client,
}

/// The connections of a server. One whose handshake fails is logged and is none.
pub(crate) fn connections(
    incoming: TcpIncoming,
    tls: &Tls,
    server: &'static str,
) -> impl Stream<Item = io::Result<Connection>> + Send + use<> {
    let files = tls.files().cloned();
    let opened = incoming.map(move |accepted| {
        let files = files.clone();
        async move {
            match (accepted, files) {
                (Ok(stream), Some(files)) => {
                    // A task of its own: the cryptography of one is not waited for by another.
                    let opened = tokio::spawn(handshake(stream, files, server)).await;
                    opened.unwrap_or_default().map(Ok)
                }
                (Ok(stream), None) => {
                    let client = Client { at: stream.connect_info(), is_stranger: false };
                    Some(Ok(Connection { stream: Either::Left(stream), client }))
                }
                (Err(error), _) => Some(Err(error)),
            }
        }
    });
    opened.buffer_unordered(HANDSHAKES).filter_map(std::future::ready)
}

async fn handshake(
    stream: TcpStream,
    files: Arc<Files>,
    server: &'static str,
) -> Option<Connection> {
    let at = stream.connect_info();
    let peer = at.remote_addr();
    let secured = async {
        let mut first = [0];
        // Whoever speaks no TLS would take our alert for an answer.
        match stream.peek(&mut first).await? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            _ if first[0] == HANDSHAKE_RECORD => {}
            _ => return Err(io::Error::new(ErrorKind::InvalidData, "it speaks no TLS")),
        }
        TlsAcceptor::from(files.server.clone()).accept(stream).await
    };
    let secured = match tokio::time::timeout(HANDSHAKE_WITHIN, secured).await {
        Ok(secured) => secured,
        Err(late) => Err(late.into()),
    };
    match secured {
        Ok(stream) => {
            let is_stranger = is_stranger(&stream, &files.client_names);
            if is_stranger {
                warn!(server, ?peer, "a client's certificate is for none of TLS_CLIENT_NAMES");
            }
            let client = Client { at, is_stranger };
            Some(Connection { stream: Either::Right(Box::new(stream)), client })
        }
        // As a load balancer looks whether somebody listens.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            debug!(server, ?peer, "a client left before it said who it is");
            None
        }
        Err(error) => {
            warn!(server, ?peer, %error, "a client is refused");
            None
        }
    }
}

fn is_stranger(stream: &TlsStream<TcpStream>, names: &[ServerName<'static>]) -> bool {
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    !names.is_empty() && !shown.is_some_and(|shown| is_for_one_of(shown, names))
}

fn is_for_one_of(certificate: &CertificateDer<'_>, names: &[ServerName<'static>]) -> bool {
    ParsedCertificate::try_from(certificate).is_ok_and(|certificate| {
        names.iter().any(|name| verify_server_name(&certificate, name).is_ok())
    })
}

impl Connected for Connection {
    type ConnectInfo = Client;

    fn connect_info(&self) -> Client {
        self.client.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
