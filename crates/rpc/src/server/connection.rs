//! A client's connection: plain, or behind TLS with a certificate.
//!
//! The handshake is ours and not tonic's, which tells nobody of one that fails and knows no HTTP/1.1.

use std::{
    io::{self, ErrorKind},
    sync::Arc,
};

use rustls::{
    client::verify_server_name,
    pki_types::{CertificateDer, ServerName},
    server::ParsedCertificate,
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::either::Either;
use tonic::transport::server::{Connected as _, TcpConnectInfo};
use tracing::{debug, warn};

use crate::tls::Files;

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

/// What a client speaks through.
pub(crate) type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// Makes a connection that was accepted ready for requests. Where the handshake fails that is logged, and there is none.
pub(crate) async fn open(
    stream: TcpStream,
    files: Option<Arc<Files>>,
    server: &'static str,
) -> Option<(Stream, Client)> {
    let at = stream.connect_info();
    let Some(files) = files else {
        return Some((Either::Left(stream), Client { at, is_stranger: false }));
    };
    let peer = at.remote_addr();
    match handshake(stream, &files).await {
        Ok(stream) => {
            let is_stranger = is_stranger(&stream, &files.client_names);
            if is_stranger {
                warn!(server, ?peer, "a client's certificate is for none of TLS_CLIENT_NAMES");
            }
            Some((Either::Right(Box::new(stream)), Client { at, is_stranger }))
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

async fn handshake(stream: TcpStream, files: &Files) -> io::Result<TlsStream<TcpStream>> {
    let mut first = [0];
    // Whoever speaks no TLS would take our alert for an answer.
    match stream.peek(&mut first).await? {
        0 => Err(ErrorKind::UnexpectedEof.into()),
        _ if first[0] == HANDSHAKE_RECORD => {
            TlsAcceptor::from(files.server.clone()).accept(stream).await
        }
        _ => Err(io::Error::new(ErrorKind::InvalidData, "it speaks no TLS")),
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
