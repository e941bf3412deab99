//! The life of one connection: opened, served, and let go of.

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

use http::{HeaderValue, Request, Response, Version, header};
use hyper::{
    body::{Body, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::timeout,
};
use tower::{Service, ServiceExt as _};
use tracing::debug;

use super::{
    rest::{self, RequestBody, Rest},
    running::{Answer, LetGo, Running},
    socket::Socket,
};
use crate::Bounds;

/// What the connections of a server have in common.
pub(super) struct Server {
    pub(super) protocol: auto::Builder<TokioExecutor>,
    pub(super) bounds: Bounds,
    pub(super) idle: Duration,
    pub(super) listener: &'static str,
    pub(super) draining: AtomicBool,
}

impl Server {
    /// Counts whom the server let go of, and not they it.
    fn let_go(&self, peer: SocketAddr, reason: &'static str) {
        debug!(%peer, reason, "a client is let go");
        metrics::counter!("connections_closed_total", "listener" => self.listener, "reason" => reason)
            .increment(1);
    }

    /// Serves a connection to its end. `open` makes it ready and says who answers on it, or `None` if nobody does. When `ending` changes,
    /// no new request is taken, and what runs is finished.
    pub(super) async fn serve<I, S, B>(
        self: Arc<Self>,
        peer: SocketAddr,
        open: impl Future<Output = Option<(I, S)>>,
        mut ending: watch::Receiver<()>,
    ) where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send + 'static,
        B: Body + Unpin + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let opened = tokio::select! {
            opened = timeout(self.bounds.opening, open) => opened,
            _ = ending.changed() => return,
        };
        let (stream, service) = match opened {
            Ok(Some(opened)) => opened,
            Ok(None) => return self.let_go(peer, "handshake"),
            Err(_late) => return self.let_go(peer, "silent"),
        };

        let running = Arc::new(Running::new());
        let socket = Socket::new(stream, Arc::clone(&running), self.bounds.stalled);
        let heard = ending.clone();
        let answering = service_fn(|request: Request<Incoming>| {
            let ongoing = running.begin();
            let version = request.version();
            let (request, lent) = rest::lend(request);
            let lent = lent.map(|it| (it, heard.clone()));
            let answer = service.clone().oneshot(request);
            let server = Arc::clone(&self);
            async move {
                let mut answer = answer.await?;
                let mut closes = server.draining.load(Ordering::Relaxed);
                if let Some((lent, ending)) = lent {
                    match lent.rest(answer.status()).await {
                        Rest::Nothing => {}
                        Rest::Small(rest) => drop(tokio::spawn(server.discard(peer, rest, ending))),
                        Rest::TooMuch => closes = true,
                    }
                }
                if closes && version < Version::HTTP_2 {
                    close(&mut answer, version);
                }
                Ok::<_, Infallible>(answer.map(|body| Answer { body, _ongoing: ongoing }))
            }
        });
        let mut connection = pin!(self.protocol.serve_connection(TokioIo::new(socket), answering));
        let ended = tokio::select! {
            biased;
            ended = connection.as_mut() => Some(ended),
            _ = ending.changed() => None,
            why = running.too_long(self.bounds.opening, self.idle) => match why {
                LetGo::Silent => return self.let_go(peer, "silent"),
                LetGo::Idle => {
                    self.let_go(peer, "idle");
                    None
                }
            },
        };
        let ended = if let Some(ended) = ended {
            ended
        } else {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = running.abandoned(self.bounds.opening) => Ok(()),
            }
        };
        match ended {
            _ if running.has_stalled() => self.let_go(peer, "stalled"),
            Err(error) if is_late(&*error) => self.let_go(peer, "late"),
            Err(error) => debug!(%error, %peer, "the connection ended"),
            Ok(()) => {}
        }
    }

    /// Waits for the rest of a body, which has as long as the line and headers of the next request have: they come behind it.
    async fn discard(
        self: Arc<Self>,
        peer: SocketAddr,
        rest: Incoming,
        mut ending: watch::Receiver<()>,
    ) {
        tokio::select! {
            discarded = timeout(self.bounds.head, rest::discard(rest)) => if discarded.is_err() {
                self.let_go(peer, "late");
            },
            _ = ending.changed() => {}
        }
    }
}

/// Says that the connection ends with this answer.
fn close<B>(answer: &mut Response<B>, version: Version) {
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    // To a client of HTTP/1.0 that asked for it hyper says `keep-alive` as well, but in an answer of its own version.
    *answer.version_mut() = version;
}

/// The head of a request has not come in time, or the answer to a ping.
fn is_late(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_timeout)
}
