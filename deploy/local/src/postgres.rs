//! A private PostgreSQL: made if it is not there, started as a child process, stopped in order.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;
use sqlx::{Connection as _, PgConnection};
use tokio::time::{Instant, sleep};

use crate::child::{Child, command, send};
use crate::folder::{self, User};
use crate::tools;

/// How long a server may take to answer after its start; long, because it may have a crash to recover from.
const PATIENCE: Duration = Duration::from_mins(2);
/// How long it may take to stop: it writes what it has in memory.
const GRACE: Duration = Duration::from_secs(30);

/// How a server is to be.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its folder.
    pub folder: PathBuf,
    /// Its log.
    pub log: PathBuf,
    /// Its superuser's password; without one, whoever is on this machine is let in.
    pub password: Option<String>,
    /// Whether what was committed survives a crash of the machine.
    pub durable: bool,
    /// Most connections at a time.
    pub max_connections: u32,
}

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    child: Child,
    port: u16,
    password: Option<String>,
    durable: bool,
    /// What it is, for people.
    pub description: String,
}

/// A port that nobody uses now.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").context("find a free port")?.local_addr()?.port())
}

impl Postgres {
    /// Makes the cluster if there is none, ends a server that a crash of ours left behind, and starts the server.
    pub async fn start(options: &Options) -> Result<Self> {
        let folder = &options.folder;
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        let data = folder.join("data");
        let made_by = fs::read_to_string(data.join("PG_VERSION"))
            .ok()
            .and_then(|text| text.trim().parse().ok());
        let programs = tools::postgres(made_by).await?;
        let user = folder::unprivileged()?;
        if let Some(user) = user {
            chown(folder, Some(user.uid), Some(user.gid))
                .with_context(|| format!("give {} away", folder.display()))?;
        }
        if made_by.is_none() {
            initialise(&programs, options, user).await?;
        }
        end_stale(&data).await?;
        let port = free_port()?;
        // INT, a fast shutdown: at TERM it would wait until its last client leaves.
        let mut server = command(&programs.bin.join("postgres"), user, "INT");
        server.arg("-D").arg(&data).current_dir(folder).env("LC_ALL", "C.UTF-8");
        for setting in settings(options, port) {
            server.args(["-c", &setting]);
        }
        let child = Child::start("PostgreSQL", server, &options.log, false)?;
        let description = format!("PostgreSQL {} ({})", programs.release, programs.bin.display());
        let mut it = Self {
            child,
            port,
            password: options.password.clone(),
            durable: options.durable,
            description,
        };
        it.wait_until_it_answers().await?;
        Ok(it)
    }

    async fn wait_until_it_answers(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.ended() {
                bail!("{}", self.child.obituary(status));
            }
            match PgConnection::connect(&self.url("postgres")).await {
                Ok(connection) => return Ok(connection.close().await?),
                // 28, wrong password: nothing to wait for.
                Err(sqlx::Error::Database(error))
                    if error.code().is_some_and(|code| code.starts_with("28")) =>
                {
                    bail!(
                        "PostgreSQL does not know the password in secrets.json: {error}; `make clean-data` begins anew"
                    );
                }
                Err(error) if Instant::now() > deadline => {
                    bail!("PostgreSQL does not answer: {error}")
                }
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// The URL of a database, as the superuser.
    pub fn url(&self, database: &str) -> String {
        let password = self.password.as_ref().map(|it| format!(":{it}")).unwrap_or_default();
        format!("postgres://postgres{password}@127.0.0.1:{}/{database}", self.port)
    }

    /// The process.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Stops it: at once, but in order. A throw-away one has nothing to put in order.
    pub async fn stop(&mut self) {
        self.child.signal(if self.durable { Signal::INT } else { Signal::QUIT });
        self.child.finish(Instant::now() + GRACE).await;
    }
}

fn settings(options: &Options, port: u16) -> Vec<String> {
    let mut settings = vec![
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        "unix_socket_directories=".to_owned(),
        format!("max_connections={}", options.max_connections),
        format!("shared_buffers={}MB", if options.durable { kept_pages() } else { 256 }),
        "max_wal_size=2GB".to_owned(),
        // A log that was written once is written over, not made anew and filled with zeros beforehand.
        "min_wal_size=1GB".to_owned(),
        "password_encryption=scram-sha-256".to_owned(),
        "logging_collector=off".to_owned(),
    ];
    if !options.durable {
        settings.extend(
            ["fsync=off", "synchronous_commit=off", "full_page_writes=off"].map(str::to_owned),
        );
    }
    settings
}

/// How many MiB of its pages a server keeps at hand: an eighth of the memory, and no more than the indexes of a million opportunities are. What it does not find there it asks of the system, and
/// what is changed has to make room, each time at the cost of who asked.
fn kept_pages() -> u64 {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let mib = memory(&read("/proc/meminfo"), &read("/sys/fs/cgroup/memory.max"));
    mib.map_or(256, |mib| mib / 8).clamp(128, 1024)
}

/// The MiB of memory that a machine and its container have, as Linux tells; none elsewhere.
fn memory(meminfo: &str, limit: &str) -> Option<u64> {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let total: u64 = total.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    let limit = limit.trim().parse::<u64>().map_or(u64::MAX, |bytes| bytes / 1024);
    Some(total.min(limit) / 1024)
}

/// Makes a cluster under another name first, so that a folder with its name is always a whole one.
async fn initialise(
    programs: &tools::Postgres,
    options: &Options,
    user: Option<User>,
) -> Result<()> {
    let new = options.folder.join("data.new");
    if new.exists() {
        fs::remove_dir_all(&new).with_context(|| format!("remove {}", new.display()))?;
    }
    let mut initdb = command(&programs.bin.join("initdb"), user, "KILL");
    initdb.arg("-D").arg(&new).current_dir(&options.folder).env("LC_ALL", "C.UTF-8");
    initdb.args(["-U", "postgres", "-E", "UTF8"]);
    if programs.release >= 17 {
        // The same on every system, whatever its C library.
        initdb.args(["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C.UTF-8"]);
    } else {
        initdb.arg("--locale=C.UTF-8");
    }
    let secret = options.folder.join("password");
    if let Some(password) = &options.password {
        fs::write(&secret, password)?;
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o600))?;
        if let Some(user) = user {
            chown(&secret, Some(user.uid), Some(user.gid))?;
        }
        initdb.arg("--auth=scram-sha-256").arg("--pwfile").arg(&secret);
    } else {
        initdb.arg("--auth=trust");
    }
    if !options.durable {
        initdb.arg("--no-sync");
    }
    let answer = initdb.output().await.context("run initdb");
    let _ = fs::remove_file(&secret);
    let answer = answer?;
    if !answer.status.success() {
        let text = String::from_utf8_lossy(&answer.stderr);
        if text.contains("No space left on device") {
            bail!("the disk is full: PostgreSQL's data folder {} could not be made", new.display());
        }
        let reason = text.lines().find(|line| line.contains("error") || line.contains("FATAL"));
        bail!("PostgreSQL's data folder could not be made: {}", reason.unwrap_or("initdb failed"));
    }
    fs::rename(&new, options.folder.join("data")).context("name the new data folder")
}

/// Ends a server that still runs on this folder, known by the id that it wrote down.
async fn end_stale(data: &Path) -> Result<()> {
    let Ok(text) = fs::read_to_string(data.join("postmaster.pid")) else { return Ok(()) };
    let Some(id) = text.lines().next().and_then(|line| line.trim().parse::<u32>().ok()) else {
        return Ok(());
    };
    let folder = fs::read_link(format!("/proc/{id}/cwd"));
    if folder.is_ok_and(|folder| folder == data) && send(id, Signal::INT) {
        let deadline = Instant::now() + GRACE;
        while Path::new(&format!("/proc/{id}")).exists() {
            if Instant::now() > deadline {
                bail!("process {id} is a PostgreSQL on {} and does not stop", data.display());
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::memory;

    #[test]
    fn memory_is_what_the_machine_has_unless_the_container_may_have_less() {
        let machine = "MemTotal:       24635976 kB\nMemFree:          203172 kB\n";
        assert_eq!(memory(machine, "max\n"), Some(24_058));
        assert_eq!(memory(machine, ""), Some(24_058));
        assert_eq!(memory(machine, "1073741824\n"), Some(1_024));
        assert_eq!(memory("", ""), None);
    }
}
