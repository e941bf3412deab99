//! `local with-servers`: throw-away servers for as long as a command runs.

use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

use crate::child::{bound, send};
use crate::folder::Scratch;
use crate::nats::{self, Nats};
use crate::postgres::{self, Postgres};
use crate::{say, settings, tools};

/// PostgreSQL and NATS that are gone when this is stopped or dropped. Those in the environment are used instead.
#[derive(Debug)]
pub struct Servers {
    postgres: Option<Postgres>,
    nats: Option<Nats>,
    /// URL of PostgreSQL for its superuser.
    pub postgres_url: String,
    /// URL of NATS.
    pub nats_url: String,
    // Last, so that it is removed when nobody uses it any more.
    _scratch: Scratch,
}

impl Servers {
    /// Starts them.
    pub async fn start(durable: bool) -> Result<Self> {
        let scratch = Scratch::create()?;
        let folder = scratch.path();
        let postgres = async {
            if settings::get("TEST_POSTGRES_URL").is_some() {
                return Ok(None);
            }
            let options = postgres::Options {
                folder: folder.join("postgres"),
                log: folder.join("postgres.log"),
                password: None,
                durable,
                max_connections: 300,
            };
            Postgres::start(&options).await.map(Some)
        };
        let nats = async {
            if settings::get("TEST_NATS_URL").is_some() {
                return Ok(None);
            }
            let options = nats::Options {
                folder: folder.join("nats"),
                log: folder.join("nats.log"),
                password: None,
                durable,
            };
            Nats::start(options).await.map(Some)
        };
        let (postgres, nats) = tokio::try_join!(postgres, nats)?;
        let postgres_url = postgres
            .as_ref()
            .map(|it| it.url("postgres"))
            .or_else(|| settings::get("TEST_POSTGRES_URL"));
        let nats_url = nats.as_ref().map(Nats::url).or_else(|| settings::get("TEST_NATS_URL"));
        Ok(Self {
            postgres_url: postgres_url.unwrap_or_default(),
            nats_url: nats_url.unwrap_or_default(),
            postgres,
            nats,
            _scratch: scratch,
        })
    }

    /// What they are, for people.
    pub fn description(&self) -> String {
        let postgres =
            self.postgres.as_ref().map_or("PostgreSQL of TEST_POSTGRES_URL", |it| &it.description);
        let nats = self
            .nats
            .as_ref()
            .map_or_else(|| "NATS of TEST_NATS_URL".to_owned(), Nats::description);
        format!("{postgres}, {nats}")
    }

    /// Stops them.
    pub async fn stop(mut self) {
        if let Some(nats) = &mut self.nats {
            nats.stop().await;
        }
        if let Some(postgres) = &mut self.postgres {
            postgres.stop().await;
        }
    }
}

/// Runs a command while the servers run; the exit code is the command's.
pub async fn run_with(command: &[String], durable: bool) -> Result<u8> {
    // Ctrl-C reaches the command as well, being in our process group: it ends, and then we do.
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut asked_to_end = signal(SignalKind::terminate())?;
    let servers = tokio::select! {
        servers = Servers::start(durable) => servers?,
        _ = interrupted.recv() => return Ok(130),
        _ = asked_to_end.recv() => return Ok(143),
    };
    say(format_args!("With {}", servers.description()));
    let (program, arguments) = command.split_first().context("no command")?;
    let folder =
        std::env::current_exe().ok().and_then(|program| program.parent().map(PathBuf::from));
    let mut process = bound(Path::new(program), None, "TERM")
        .args(arguments)
        .env("TEST_POSTGRES_URL", &servers.postgres_url)
        .env("TEST_NATS_URL", &servers.nats_url)
        .env(
            "TEST_BIN_DIR",
            settings::get("TEST_BIN_DIR").map(PathBuf::from).or(folder).unwrap_or_default(),
        )
        .env("NATS_SERVER_BIN", tools::nats_server().await?)
        .spawn()
        .with_context(|| format!("start {program}"))?;
    let status = loop {
        tokio::select! {
            status = process.wait() => break status?,
            _ = interrupted.recv() => {}
            _ = asked_to_end.recv() => {
                process.id().map(|id| send(id, Signal::TERM));
            }
        }
    };
    servers.stop().await;
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    Ok(u8::try_from(code).unwrap_or(1))
}
