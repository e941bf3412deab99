//! One process of the product: started, known by the addresses that it prints, watched.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{ChildStdout, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::child::Child;
use crate::http;

/// How long a process may take until it says where it listens.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a process listens.
#[derive(Clone, Copy, Debug, serde::Deserialize, serde::Serialize)]
pub struct Place {
    /// Its own protocol.
    pub listen: SocketAddr,
    /// `/metrics`, `/healthz`, `/readyz`.
    pub ops: SocketAddr,
}

/// A running process of a service.
#[derive(Debug)]
pub struct Service {
    /// Which.
    pub name: &'static str,
    /// Where it listens; the same after a restart.
    pub place: Place,
    child: Option<Child>,
    // Kept open, because a process may end when it cannot write.
    output: Option<Lines<BufReader<ChildStdout>>>,
}

impl Service {
    /// Starts it and waits until it says where it listens, which is before it is ready.
    pub async fn start(name: &'static str, command: Command, log: &Path) -> Result<Self> {
        let mut child = Child::start(name, command, log, true)?;
        let output = child.output().with_context(|| format!("{name} has no output"))?;
        let mut output = BufReader::new(output).lines();
        let place = match timeout(PATIENCE, read_place(&mut output)).await {
            Ok(Some(place)) => place,
            Ok(None) => {
                let status = tokio::time::timeout(PATIENCE, child.wait()).await;
                let status =
                    status.with_context(|| format!("{name} closed its output and goes on"))??;
                bail!("{}", child.obituary(status));
            }
            Err(_) => bail!("{name} does not say where it listens ({})", log.display()),
        };
        Ok(Self { name, place, child: Some(child), output: Some(output) })
    }

    /// Waits until it can do its work.
    pub async fn wait_until_ready(&mut self, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(line) = self.ended() {
                bail!("{line}");
            }
            let answer = http::get(self.place.ops, "/readyz").await;
            match answer {
                Ok((200, _)) => return Ok(()),
                Ok((_, body)) if Instant::now() > deadline => {
                    bail!(
                        "{} is not ready after {} s: {}",
                        self.name,
                        patience.as_secs(),
                        body.trim()
                    )
                }
                Err(error) if Instant::now() > deadline => {
                    return Err(error.context(format!("{} does not answer", self.name)));
                }
                _ => sleep(Duration::from_millis(10)).await,
            }
        }
    }

    /// The line that tells of its end, if it ended and nobody asked it to.
    pub fn ended(&mut self) -> Option<String> {
        let child = self.child.as_mut()?;
        child.ended().map(|status| child.obituary(status))
    }

    /// The process, unless it was ended on purpose.
    pub fn child(&mut self) -> Option<&mut Child> {
        self.child.as_mut()
    }

    /// The process, to be ended on purpose.
    pub fn take(&mut self) -> Option<Child> {
        self.output = None;
        self.child.take()
    }
}

async fn read_place(output: &mut Lines<BufReader<ChildStdout>>) -> Option<Place> {
    while let Ok(Some(line)) = output.next_line().await {
        if let Ok(place) = serde_json::from_str(&line) {
            return Some(place);
        }
    }
    None
}
