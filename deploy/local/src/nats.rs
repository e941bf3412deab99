//! A private NATS server with JetStream; where data matters, it syncs its store to disk at every message.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use crate::child::{Child, command, send};
use crate::folder::write_private;
use crate::postgres::free_port;
use crate::{http, tools};

const PATIENCE: Duration = Duration::from_secs(30);

/// How a server is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its folder.
    pub folder: PathBuf,
    /// Its log.
    pub log: PathBuf,
    /// The password of its user `salespipeline`; without one, whoever is on this machine is let in.
    pub password: Option<String>,
    /// Whether what was acknowledged survives a crash of the machine.
    pub durable: bool,
}

/// A server on a port of its own, which it keeps when it is stopped and started again.
#[derive(Debug)]
pub struct Nats {
    options: Options,
    program: PathBuf,
    port: u16,
    child: Option<Child>,
}

impl Nats {
    /// Starts a server, and ends one that a crash of ours left behind on this folder.
    pub async fn start(options: Options) -> Result<Self> {
        let program = tools::nats_server().await?;
        let mut it = Self { options, program, port: free_port()?, child: None };
        it.end_stale().await?;
        it.resume().await?;
        Ok(it)
    }

    /// The URL for clients.
    pub fn url(&self) -> String {
        let password = self.options.password.as_ref();
        let user = password.map(|it| format!("salespipeline:{it}@")).unwrap_or_default();
        format!("nats://{user}127.0.0.1:{}", self.port)
    }

    /// What it is, for people.
    pub fn description(&self) -> String {
        format!("NATS ({})", self.program.display())
    }

    /// Starts it again after a stop, on the same port.
    pub async fn resume(&mut self) -> Result<()> {
        fs::create_dir_all(&self.options.folder)?;
        let monitor = free_port()?;
        let config = self.options.folder.join("nats.conf");
        write_private(&config, self.config(monitor).as_bytes())?;
        let mut server = command(&self.program, None, "TERM");
        server.arg("-c").arg(&config).current_dir(&self.options.folder);
        let mut child = Child::start("NATS", server, &self.options.log, false)?;
        let deadline = Instant::now() + PATIENCE;
        let monitor = SocketAddr::from(([127, 0, 0, 1], monitor));
        loop {
            if let Some(status) = child.ended() {
                bail!("{}", child.obituary(status));
            }
            match http::get(monitor, "/healthz").await {
                Ok((200, _)) => break,
                _ if Instant::now() > deadline => bail!("NATS does not answer"),
                _ => sleep(Duration::from_millis(10)).await,
            }
        }
        // Asked before it is ready, it would never say how JetStream is set up.
        let (_, settings) = http::get(monitor, "/varz").await?;
        let settings: serde_json::Value = serde_json::from_str(&settings)?;
        if self.options.durable && settings["jetstream"]["config"]["sync_always"] != true {
            bail!(
                "{} does not sync its store at every message: a newer nats-server is needed",
                self.program.display()
            );
        }
        self.child = Some(child);
        Ok(())
    }

    fn config(&self, monitor: u16) -> String {
        let folder = self.options.folder.display();
        let password = self.options.password.as_ref();
        let authorization = password
            .map(|it| format!("authorization {{ user: salespipeline, password: \"{it}\" }}\n"));
        let sync = if self.options.durable { "always" } else { "2m" };
        format!(
            "listen: \"127.0.0.1:{}\"\nhttp: \"127.0.0.1:{monitor}\"\npid_file: \"{folder}/nats.pid\"\n{}\
             max_payload: 1MB\njetstream {{ store_dir: \"{folder}/store\", sync_interval: {sync} }}\n",
            self.port,
            authorization.unwrap_or_default(),
        )
    }

    /// Ends a server that still runs on this folder, known by the id that it wrote down.
    async fn end_stale(&self) -> Result<()> {
        let text = fs::read_to_string(self.options.folder.join("nats.pid")).unwrap_or_default();
        let Ok(id) = text.trim().parse::<u32>() else { return Ok(()) };
        let folder = fs::read_link(format!("/proc/{id}/cwd"));
        if folder.is_ok_and(|folder| folder == self.options.folder) && send(id, Signal::TERM) {
            let deadline = Instant::now() + PATIENCE;
            while std::path::Path::new(&format!("/proc/{id}")).exists() {
                if Instant::now() > deadline {
                    bail!(
                        "process {id} is a NATS on {} and does not stop",
                        self.options.folder.display()
                    );
                }
                sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }

    /// The process, while it runs.
    pub fn child(&mut self) -> Option<&mut Child> {
        self.child.as_mut()
    }

    /// Stops it. A throw-away one is killed.
    pub async fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            if self.options.durable {
                child.stop(Signal::TERM).await;
            } else {
                child.kill().await;
            }
        }
    }

    /// Deletes its store. Only while it is stopped.
    pub fn wipe(&self) -> Result<()> {
        fs::remove_dir_all(self.options.folder.join("store")).context("delete the store of NATS")
    }
}
