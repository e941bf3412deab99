//! What was measured on what.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use local::provision::Database;

use crate::usage::{self, Tree};

/// The machine, for whoever reads the results.
pub(crate) fn description() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let model = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("a processor that does not tell its name", |(_, model)| model);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = read("/proc/meminfo");
    let kilobytes: u64 = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok())
        .unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    // What follows the numbers is the name of a build, and that of a host at times.
    let kernel = kernel.split(['-', '+', '\n']).next().unwrap_or_default();
    format!("{model}, {cores} cores, {} GiB, Linux {kernel}", (kilobytes + (1 << 19)) >> 20)
}

/// The commit, and whether something was changed since.
pub(crate) fn commit() -> String {
    let git = |arguments: &[&str]| {
        let answer = Command::new("git")
            .arg("-C")
            .arg(local::folder::repository())
            .args(arguments)
            .output()
            .ok()
            .filter(|answer| answer.status.success())?;
        Some(String::from_utf8_lossy(&answer.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".to_owned());
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]);
    let is_clean = changed.is_some_and(|changed| changed.is_empty());
    if is_clean { commit } else { format!("{commit} with changes") }
}

/// The processes of PostgreSQL and NATS, as far as they are on this machine and can be found, and PostgreSQL's version.
pub(crate) async fn servers(database: &Database) -> Result<(Vec<Tree>, String)> {
    let mut connection = database.connect().await?;
    let (ours, version): (i32, String) =
        sqlx::query_as("select pg_backend_pid(), current_setting('server_version')")
            .fetch_one(&mut connection)
            .await?;
    let ours = u32::try_from(ours)?;
    let postgres = usage::parent(ours).filter(|parent| {
        usage::is_called(ours, "postgres") && usage::is_called(*parent, "postgres")
    });
    let mut trees: Vec<_> =
        postgres.into_iter().map(|root| Tree { name: "PostgreSQL".into(), root }).collect();
    // `local with-servers` started it beside us.
    let brokers = usage::siblings(std::process::id(), "nats-server").into_iter();
    trees.extend(brokers.map(|root| Tree { name: "NATS".into(), root }));
    Ok((trees, version.split_whitespace().next().unwrap_or_default().to_owned()))
}

/// What runs on the machine and is none of ours.
#[derive(Debug)]
pub(crate) struct Others {
    ours: Vec<Tree>,
    since: (Duration, Duration, Duration),
}

impl Others {
    /// From now on. Ours are this process with all that it started, and these.
    pub(crate) fn watch(servers: &[Tree]) -> Self {
        let mut ours = servers.to_vec();
        ours.push(Tree { name: "bench".to_owned(), root: std::process::id() });
        let since = Self::now(&ours);
        Self { ours, since }
    }

    fn now(ours: &[Tree]) -> (Duration, Duration, Duration) {
        let (busy, all) = usage::machine_time();
        (busy, all, usage::processor_time(ours))
    }

    /// The share of the machine's processor time that others took, 0 to 1.
    pub(crate) fn share(&self) -> f64 {
        let (before, now) = (self.since, Self::now(&self.ours));
        let theirs = now.0.saturating_sub(before.0).saturating_sub(now.2.saturating_sub(before.2));
        theirs.as_secs_f64() / now.1.saturating_sub(before.1).as_secs_f64().max(0.001)
    }
}
