//! Serving HTTP from an accept loop of our own, which bounds slow clients and loses no request when the process drains.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, extract::ConnectInfo};
use http::{HeaderValue, Request, Response, Version, header};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto,
        graceful::{GracefulShutdown, Watcher},
    },
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::Service as _;
use tracing::{debug, warn};

/// A client that has not sent its headers by then is let go.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// A client whose line and headers are longer is refused.
const MOST_HEADER_BYTES: usize = 64 * 1024;
/// How long a draining process goes on accepting and answering, telling each client to come back on another connection.
const LINGER: Duration = Duration::from_millis(500);
/// How long after that requests may take to end.
const FINISH_WITHIN: Duration = Duration::from_secs(6);

/// Serves `router` (HTTP/1.1 and HTTP/2 without TLS) until `shutdown` is cancelled and what was running then has ended.
///
/// Handlers find the peer's address as `ConnectInfo<SocketAddr>`. While it drains, answers over HTTP/1.1 close their connection, so
/// that a client that keeps one alive does not send its next request into a socket that is about to close.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let draining = Arc::new(AtomicBool::new(false));
    let connections = GracefulShutdown::new();
    let protocol = Arc::new(protocol());
    let mut lingered = pin!(async {
        shutdown.cancelled().await;
        draining.store(true, Ordering::Relaxed);
        tokio::time::sleep(LINGER).await;
    });
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Most likely out of file descriptors: the next one ends soon.
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = &mut lingered => break,
        };
        let connection = Connection { router: router.clone(), peer, draining: draining.clone() };
        tokio::spawn(connection.run(stream, protocol.clone(), connections.watcher()));
    }
    drop(listener);
    tokio::select! {
        () = connections.shutdown() => {}
        () = tokio::time::sleep(FINISH_WITHIN) => warn!("some requests did not end in time"),
    }
    Ok(())
}

fn protocol() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(MOST_HEADER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(256)
        .max_header_list_size(32 * 1024)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}

struct Connection {
    router: Router,
    peer: SocketAddr,
    draining: Arc<AtomicBool>,
}

impl Connection {
    async fn run(
        self,
        stream: TcpStream,
        protocol: Arc<auto::Builder<TokioExecutor>>,
        watcher: Watcher,
    ) {
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, "the connection keeps its delay");
        }
        let Self { router, peer, draining } = self;
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            let closes = request.version() < Version::HTTP_2;
            let answer = router.clone().call(request.map(Body::new));
            let draining = draining.clone();
            async move {
                let mut answer: Response<Body> = answer.await?;
                if closes && draining.load(Ordering::Relaxed) {
                    answer
                        .headers_mut()
                        .insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(answer)
            }
        });
        let connection =
            protocol.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
        if let Err(error) = watcher.watch(connection).await {
            debug!(%error, %peer, "the connection ended");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        sync::Notify,
    };

    #[tokio::test]
    async fn a_request_that_runs_when_the_process_drains_is_answered_and_the_connection_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (arrived, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let slow = {
            let (arrived, go_on) = (arrived.clone(), go_on.clone());
            get(async move || {
                arrived.notify_one();
                go_on.notified().await;
                "done"
            })
        };
        let shutdown = CancellationToken::new();
        let server =
            tokio::spawn(serve(listener, Router::new().route("/slow", slow), shutdown.clone()));

        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET /slow HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
        arrived.notified().await;
        shutdown.cancel();
        tokio::task::yield_now().await;
        go_on.notify_one();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
        assert!(answer.ends_with("done"), "{answer}");
        server.await.unwrap().unwrap();
    }
}
