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
    pub(super) draining: Arc<AtomicBool>,
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
        &self,
        peer: SocketAddr,
        open: impl Future<Output = Option<(I, S)>>,
        mut ending: watch::Receiver<()>,
    ) where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>
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
        let answering = service_fn(|request: Request<Incoming>| {
            let ongoing = running.begin();
            let closes = request.version() < Version::HTTP_2;
            let answer = service.clone().oneshot(request);
            let draining = Arc::clone(&self.draining);
            async move {
                let mut answer = answer.await?;
                if closes && draining.load(Ordering::Relaxed) {
                    let close = HeaderValue::from_static("close");
                    answer.headers_mut().insert(header::CONNECTION, close);
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
}

/// The head of a request has not come in time, or the answer to a ping.
fn is_late(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_timeout)
}
