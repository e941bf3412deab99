//! `local run`: the product as a newcomer starts it, and the same in the background of a command that needs it.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use crate::folder::{self, Lock};
use crate::nats::{self, Nats};
use crate::postgres::{self, Postgres};
use crate::provision::Database;
use crate::secrets::Secrets;
use crate::stack::{Plan, Stack, programs};
use crate::{SERVICES, demo, say, settings};

/// The least room for the servers to begin with.
const LEAST_FREE_BYTES: u64 = 300 << 20;
/// With less than this the servers cannot go on.
const FULL_BYTES: u64 = 4 << 20;
/// How often it looks whether every process lives.
const GLANCE: Duration = Duration::from_millis(200);

/// Everything that was started, to be stopped in the opposite order.
#[derive(Debug, Default)]
struct Started {
    postgres: Option<Postgres>,
    nats: Option<Nats>,
    stack: Option<Stack>,
}

/// The folders of one installation, and the right to use them.
#[derive(Debug)]
struct Place {
    base: PathBuf,
    logs: PathBuf,
    _lock: Lock,
}

/// Runs until asked to stop or until a process ends, and stops everything. The exit code.
pub async fn run() -> Result<u8> {
    let port: u16 = settings::number("PORT", 8000)?;
    let host: IpAddr = settings::get("HOST")
        .as_deref()
        .unwrap_or("127.0.0.1")
        .parse()
        .context("HOST is no IP address")?;
    let gateway = SocketAddr::new(host, port);
    during(gateway, async |place, started| {
        let stack = start(place, started, gateway).await?;
        let welcome = demo::fill(stack, &place.base).await?;
        println!("{}", welcome.text(port, &place.base));
        Ok(None)
    })
    .await
}

/// Runs some work while the product runs, on any free port, and stops everything.
pub async fn while_running(work: impl AsyncFnOnce(&mut Stack) -> Result<()>) -> Result<u8> {
    let gateway = SocketAddr::from(([127, 0, 0, 1], 0));
    during(gateway, async |place, started| {
        let stack = start(place, started, gateway).await?;
        work(stack).await?;
        Ok(Some(0))
    })
    .await
}

/// Deletes this installation's data; what was fetched stays.
pub fn clean() -> Result<u8> {
    let base = folder::base()?;
    let Some(_lock) = Lock::take(&base.join("lock"), "")? else {
        bail!("the product runs ({}): stop it first", Lock::read(&base.join("lock")));
    };
    for name in ["postgres", "nats", "log", "secrets.json"] {
        let path = base.join(name);
        let removed =
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        match removed {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("delete {}", path.display()));
            }
            _ => {}
        }
    }
    say(format_args!("Deleted the data in {}", base.display()));
    Ok(0)
}

/// Starts, watches, stops. Where `begin` gives an exit code, that is the end.
async fn during(
    gateway: SocketAddr,
    begin: impl AsyncFnOnce(&Place, &mut Started) -> Result<Option<u8>>,
) -> Result<u8> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut asked_to_end = signal(SignalKind::terminate())?;
    let mut hung_up = signal(SignalKind::hangup())?;
    let place = enter(gateway)?;
    let mut started = Started::default();
    let work = async {
        match begin(&place, &mut started).await? {
            Some(code) => Ok(code),
            None => started.watch(&place.base).await,
        }
    };
    let ended = tokio::select! {
        ended = work => ended,
        _ = interrupted.recv() => Ok(0),
        _ = asked_to_end.recv() => Ok(0),
        _ = hung_up.recv() => Ok(0),
    };
    match &ended {
        Ok(_) => say("Stopping"),
        // Whatever failed then, this is why.
        Err(_) if is_full(&place.base) => {
            say(format_args!("local: the disk is full ({}); stopping", place.base.display()));
        }
        Err(error) => say(format_args!("local: {error:#}; stopping")),
    }
    // Whoever is in a hurry asks twice.
    tokio::select! {
        () = started.stop() => {}
        _ = interrupted.recv() => {}
        _ = asked_to_end.recv() => {}
    }
    Ok(ended.unwrap_or(1))
}

/// Takes the folders, after seeing that nothing stands in the way.
fn enter(gateway: SocketAddr) -> Result<Place> {
    let base = folder::base()?;
    let path = base.join("lock");
    let Some(lock) =
        Lock::take(&path, &format!("process {} on port {}", std::process::id(), gateway.port()))?
    else {
        bail!(
            "the product runs already ({}): stop that first, or choose another DATA_DIR",
            Lock::read(&path)
        );
    };
    if let Err(error) = TcpListener::bind(gateway) {
        match error.kind() {
            ErrorKind::AddrInUse => bail!(
                "port {} is taken: choose another, `make run PORT={}`",
                gateway.port(),
                gateway.port().wrapping_add(1)
            ),
            _ => return Err(error).with_context(|| format!("listen on {gateway}")),
        }
    }
    if folder::free_bytes(&base).is_some_and(|free| free < LEAST_FREE_BYTES) {
        bail!(
            "the disk is full: less than {} MB are free in {}",
            LEAST_FREE_BYTES >> 20,
            base.display()
        );
    }
    if base != folder::repository().join(".local") {
        say(format_args!("Data and logs are in {}", base.display()));
    }
    let logs = base.join("log");
    fs::create_dir_all(&logs).with_context(|| format!("make {}", logs.display()))?;
    Ok(Place { base, logs, _lock: lock })
}

fn is_full(base: &Path) -> bool {
    folder::free_bytes(base).is_some_and(|free| free < FULL_BYTES)
}

/// Starts the servers that were not given, makes the database, and starts every process.
async fn start<'a>(
    place: &Place,
    started: &'a mut Started,
    gateway: SocketAddr,
) -> Result<&'a mut Stack> {
    let begun = Instant::now();
    let secrets = Secrets::load(&place.base.join("secrets.json"))?;
    let Started { postgres, nats, stack } = started;
    let (postgres_url, nats_url) = tokio::try_join!(
        start_postgres(place, &secrets, postgres),
        start_nats(place, &secrets, nats)
    )?;
    let database = Database::new(&postgres_url, &secrets.database)?;
    database.create().await?;
    database.provision(&SERVICES).await?;
    let replicas = settings::number("REPLICAS", 1)?;
    say(format_args!("Starting {} and the gateway", SERVICES.join(", ")));
    let plan = Plan {
        programs: programs()?,
        logs: place.logs.clone(),
        database,
        nats_url,
        events_prefix: settings::get("EVENTS_PREFIX").unwrap_or_else(|| "salespipeline".to_owned()),
        secrets,
        gateway,
        replicas,
        environment: environment(gateway),
    };
    let stack = stack.insert(Stack::new(plan));
    stack.launch().await?;
    say(format_args!("Ready after {:.1} s", begun.elapsed().as_secs_f32()));
    Ok(stack)
}

/// Where people find it, unless they were told otherwise. A port that nobody chose is nobody's to find.
fn environment(gateway: SocketAddr) -> BTreeMap<String, String> {
    let port = gateway.port();
    if port == 0 || settings::get("PUBLIC_URL").is_some() {
        return BTreeMap::new();
    }
    BTreeMap::from([("PUBLIC_URL".to_owned(), format!("http://localhost:{port}"))])
}

async fn start_postgres(
    place: &Place,
    secrets: &Secrets,
    into: &mut Option<Postgres>,
) -> Result<String> {
    if let Some(url) = settings::get("DATABASE_URL") {
        return Ok(url);
    }
    let options = postgres::Options {
        folder: place.base.join("postgres"),
        log: place.logs.join("postgres.log"),
        password: Some(secrets.postgres.clone()),
        durable: true,
        max_connections: 200,
    };
    let postgres = into.insert(Postgres::start(&options).await?);
    say(&postgres.description);
    Ok(postgres.url("salespipeline"))
}

async fn start_nats(place: &Place, secrets: &Secrets, into: &mut Option<Nats>) -> Result<String> {
    if let Some(url) = settings::get("NATS_URL") {
        return Ok(url);
    }
    let options = nats::Options {
        folder: place.base.join("nats"),
        log: place.logs.join("nats.log"),
        password: Some(secrets.nats.clone()),
        durable: true,
    };
    let nats = into.insert(Nats::start(options).await?);
    say(nats.description());
    Ok(nats.url())
}

impl Started {
    /// Waits until a process ends which nobody asked to.
    async fn watch(&mut self, base: &Path) -> Result<u8> {
        loop {
            sleep(GLANCE).await;
            if let Some(line) = self.ended() {
                bail!("{line}");
            }
            if is_full(base) {
                bail!("the disk is full");
            }
        }
    }

    fn ended(&mut self) -> Option<String> {
        let servers =
            [self.postgres.as_mut().map(Postgres::child), self.nats.as_mut().and_then(Nats::child)];
        let server = servers
            .into_iter()
            .flatten()
            .find_map(|child| child.ended().map(|status| child.obituary(status)));
        server.or_else(|| self.stack.as_mut()?.ended())
    }

    async fn stop(&mut self) {
        if let Some(stack) = &mut self.stack {
            stack.stop().await;
        }
        if let Some(nats) = &mut self.nats {
            nats.stop().await;
        }
        if let Some(postgres) = &mut self.postgres {
            postgres.stop().await;
        }
    }
}
