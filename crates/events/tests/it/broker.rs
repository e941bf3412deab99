//! A broker of a test's own, to stop, start and wipe.

use std::net::TcpListener;
use std::path::PathBuf;

use tokio::process::{Child, Command};
use uuid::Uuid;

/// A `nats-server` on a port and a folder that it keeps over restarts.
pub(crate) struct Broker {
    port: u16,
    store: PathBuf,
    process: Option<Child>,
}

impl Broker {
    /// Takes a free port; not running yet.
    pub(crate) fn new() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let store = std::env::temp_dir().join(format!("events-test-{}", Uuid::now_v7().simple()));
        Self { port, store, process: None }
    }

    /// Where it is when it runs.
    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Starts it; it is ready when clients are connected.
    pub(crate) fn start(&mut self) {
        let program = std::env::var_os("NATS_SERVER_BIN").unwrap_or_else(|| "nats-server".into());
        let process = Command::new(program)
            .args(["-a", "127.0.0.1", "-p", &self.port.to_string(), "-js", "-sd"])
            .arg(&self.store)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("nats-server, or the program that NATS_SERVER_BIN names");
        self.process = Some(process);
    }

    /// Kills it; the store stays.
    pub(crate) async fn stop(&mut self) {
        self.process.take().unwrap().kill().await.unwrap();
    }

    /// Deletes the store of a stopped broker.
    pub(crate) fn wipe(&self) {
        std::fs::remove_dir_all(&self.store).unwrap();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.process.take();
        let _ = std::fs::remove_dir_all(&self.store);
    }
}
