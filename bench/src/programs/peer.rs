//! The rival: the same requests answered by FastAPI, where it lies beside the repository.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use local::child::{Child, command};
use local::folder::{self, Scratch};
use local::provision::Database;
use rustix::process::Signal;
use sqlx::Connection as _;
use tokio::process::Command;
use tokio::time::sleep;

use super::bare::drop_database;
use super::{Program, book};
use crate::request::{Request, STAGES};
use crate::target::Target;
use crate::usage::Tree;

/// How long it may take until it answers.
const PATIENCE: Duration = Duration::from_secs(30);
/// SQLAlchemy's asyncio needs it, and no longer brings it.
const UNSAID: &str = "greenlet==3.5.6";

/// The running rival.
#[derive(Debug)]
pub(crate) struct Peer {
    database: Database,
    address: SocketAddr,
    child: Child,
    _logs: Scratch,
}

/// Where the rival is, if it is there.
pub(crate) fn folder() -> Option<PathBuf> {
    let folder = folder::repository().parent()?.join("shared/peer");
    folder.join("run.sh").is_file().then_some(folder)
}

impl Peer {
    /// Installs it where that was not done before, writes as many opportunities, and starts it.
    pub(crate) async fn start(folder: &Path, beside: &Database, count: u64) -> Result<Self> {
        let environment = folder::base()?.join("tools/peer-venv");
        install(folder, &environment).await?;
        let database = beside.named(&format!("peer_{}", local::random::word(8)));
        match Self::start_on(folder, &environment, &database, count).await {
            Ok(peer) => Ok(peer),
            Err(error) => {
                let _ = drop_database(&database).await;
                Err(error)
            }
        }
    }

    async fn start_on(
        folder: &Path,
        environment: &Path,
        database: &Database,
        count: u64,
    ) -> Result<Self> {
        let mut seed = Command::new(environment.join("bin/python"));
        seed.arg(folder.join("seed.py")).arg(count.to_string()).arg(database.name());
        seed.env("PGURL", server_url(database)?).env("PYTHONDONTWRITEBYTECODE", "1");
        finish(&mut seed).await.context("seed.py")?;
        let address = free_address()?;
        let logs = Scratch::create()?;
        let mut run = command(&folder.join("run.sh"), None, "TERM");
        let url = format!("{}{}", server_url(database)?, database.name());
        run.arg(url.replacen("postgresql://", "postgresql+asyncpg://", 1));
        run.arg(address.port().to_string()).env("VENV", environment);
        let log = logs.path().join("peer.log");
        let mut child = Child::start("peer", run, &log, false)?;
        if let Err(error) = wait_until_it_answers(&mut child, address).await {
            // In order, so that it ends its workers.
            child.stop(Signal::TERM).await;
            let said = fs::read_to_string(&log).unwrap_or_default();
            return Err(error.context(local::child::last_words(&said)));
        }
        Ok(Self { database: database.clone(), address, child, _logs: logs })
    }

    /// The rival as a program to be measured.
    pub(crate) async fn program(&mut self) -> Result<Program> {
        let root = self.child.id().context("the rival has ended")?;
        let stages = STAGES.map(|stage| format!("'{stage}'")).join(", ");
        let open = format!(
            "select id::bigint, array_position(array[{stages}], stage::text) - 1 from opportunities where stage in ({stages}) order by id"
        );
        let mut connection = self.database.connect().await?;
        let book = book(
            &mut connection,
            "/",
            [
                "select id::bigint from opportunities order by id",
                &open,
                "select company from customers order by id limit 500",
            ],
        );
        let book = book.await?;
        connection.close().await?;
        let account = ("user00@example.com".to_owned(), "password".to_owned());
        Ok(Program {
            name: "FastAPI",
            target: Target::new(self.address, Some(account), book).into(),
            processes: vec![Tree { name: "two workers".to_owned(), root }],
            without: &[Request::Floor, Request::One],
        })
    }

    /// Ends it and deletes its database.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.child.stop(Signal::TERM).await;
        drop_database(&self.database).await
    }
}

async fn wait_until_it_answers(child: &mut Child, address: SocketAddr) -> Result<()> {
    let begun = Instant::now();
    while local::http::get(address, "/openapi.json").await.is_err() {
        if let Some(status) = child.ended() {
            bail!("it ended ({status})");
        }
        ensure!(begun.elapsed() < PATIENCE, "it does not answer");
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

async fn install(folder: &Path, environment: &Path) -> Result<()> {
    let installed = environment.join("installed");
    if installed.is_file() {
        return Ok(());
    }
    local::say("Installing the rival (once)");
    finish(Command::new("python3").args(["-m", "venv"]).arg(environment)).await?;
    let mut pip = Command::new(environment.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    pip.arg(folder.join("requirements.txt")).arg(UNSAID);
    finish(&mut pip).await.context("pip")?;
    Ok(fs::write(installed, "")?)
}

/// Runs a program to its end; what it said last is why it failed.
async fn finish(command: &mut Command) -> Result<()> {
    let answer = command.stdin(Stdio::null()).kill_on_drop(true).output().await?;
    let said = local::child::last_words(&String::from_utf8_lossy(&answer.stderr));
    ensure!(answer.status.success(), "{said}");
    Ok(())
}

/// The server's URL up to the name of the database, as asyncpg has it.
fn server_url(database: &Database) -> Result<String> {
    let url = database.superuser_url();
    let (_, rest) = url.split_once("://").context("no URL")?;
    let (server, _) = rest.split_once('/').context("a URL without a database")?;
    Ok(format!("postgresql://{server}/"))
}

/// An address that was free a moment ago.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?.local_addr()?)
}
