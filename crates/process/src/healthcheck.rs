//! Whether the process of this container is ready, asked from inside it: an image has no shell and no program that could.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::{HealthcheckSettings, Work};

/// How long the answer may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// What is read of it.
const MOST_BYTES: u64 = 16 * 1024;

/// Fails unless `/readyz` on `OPS_ADDR` answers within three seconds that the process is ready.
pub fn healthcheck(settings: &HealthcheckSettings) -> Work<'_> {
    Box::pin(async move {
        let address = reachable(settings.ops_addr);
        ensure!(address.port() != 0, "OPS_ADDR has to name the port that the process was given");
        let answer = timeout(PATIENCE, ask(address)).await;
        let answer = answer.with_context(|| format!("{address} does not answer in time"))??;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        match head.split(' ').nth(1) {
            Some("200") => Ok(()),
            Some(status) => bail!("not ready: {status} {}", body.trim()),
            None => bail!("{address} does not answer in HTTP"),
        }
    })
}

async fn ask(address: SocketAddr) -> anyhow::Result<String> {
    let connected = TcpStream::connect(address).await;
    let mut stream = connected.with_context(|| format!("connect to {address}"))?;
    let request = format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.context("ask")?;
    let mut answer = String::new();
    stream.take(MOST_BYTES).read_to_string(&mut answer).await.context("read the answer")?;
    Ok(answer)
}

/// Who listens on all addresses is reached on the machine's own.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::{Bounds, Listener, Readiness, http, ops};

    async fn said(address: SocketAddr) -> String {
        let settings = HealthcheckSettings { ops_addr: address };
        let answer = healthcheck(&settings).await;
        answer.map_or_else(|error| format!("{error:#}"), |()| "ready".to_owned())
    }

    #[tokio::test]
    async fn it_says_what_readyz_says() {
        let readiness = Readiness::default();
        let schema = readiness.latch("schema");
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let listener = Listener::new(listener, "ops", Bounds::of_ops());
        let shutdown = CancellationToken::new();
        let server = http::serve(listener, ops::health(readiness.clone()), shutdown.clone());
        let server = tokio::spawn(server);

        let waiting = said(address).await;
        assert!(waiting.starts_with("not ready: 503") && waiting.contains("schema"), "{waiting}");
        schema.set();
        assert_eq!(said(address).await, "ready");
        readiness.drain();
        assert!(said(address).await.contains("draining"));

        shutdown.cancel();
        server.await.unwrap().unwrap();
        assert!(said(address).await.contains("connect to 127.0.0.1"));
    }

    #[tokio::test]
    async fn a_port_that_nobody_knows_cannot_be_asked() {
        assert!(said(([0, 0, 0, 0], 0).into()).await.contains("OPS_ADDR"));
    }
}
