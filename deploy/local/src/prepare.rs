//! `local prepare`: has the compiler check every SQL statement against a migrated database, and writes down what it learnt for builds
//! that have none (`.sqlx`).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

use crate::child::bound;
use crate::folder::{Scratch, repository};
use crate::provision::Database;
use crate::servers::Servers;
use crate::{SERVICES, random, say, scratch};

/// Rewrites `.sqlx`, or only says whether it would change.
pub async fn prepare(check: bool) -> Result<u8> {
    let servers = Servers::start(false).await?;
    let outcome = learn(&servers, check).await;
    servers.stop().await;
    outcome
}

async fn learn(servers: &Servers, check: bool) -> Result<u8> {
    let name = format!("prepare_{}", random::word(8));
    let database = Database::new(&servers.postgres_url, scratch::SECRET)?.named(&name);
    database.create().await?;
    database.provision(&SERVICES).await?;
    for service in SERVICES {
        database.migrate(service, &repository().join("migrations").join(service)).await?;
    }
    let new = Scratch::create()?;
    let learnt = new.path().join("sqlx");
    fs::create_dir(&learnt)?;
    let compiled = compile(&database, &learnt).await;
    database.delete().await?;
    if !compiled? {
        return Ok(1);
    }
    let kept = repository().join(".sqlx");
    let (before, after) = (read(&kept)?, read(&learnt)?);
    if before == after {
        say(format_args!("{} statements, as they were", after.len()));
        return Ok(0);
    }
    if check {
        bail!(
            "what .sqlx says of the SQL statements is not true any more: `make prepare` writes it anew"
        );
    }
    fs::create_dir_all(&kept)?;
    for name in before.keys().filter(|name| !after.contains_key(*name)) {
        fs::remove_file(kept.join(name))?;
    }
    for (name, content) in &after {
        fs::write(kept.join(name), content).with_context(|| format!("write {name}"))?;
    }
    say(format_args!("{} statements", after.len()));
    Ok(0)
}

/// Compiles the services, each with its own role; whether it could.
async fn compile(database: &Database, learnt: &Path) -> Result<bool> {
    let cargo = bound(Path::new("cargo"), None, "TERM");
    let mut cargo: Command = cargo;
    cargo
        .arg("check")
        .current_dir(repository())
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", learnt);
    for service in SERVICES {
        // The statements are read again only where something changed.
        let source = repository().join("services").join(service).join("src/lib.rs");
        touch(&source).with_context(|| format!("touch {}", source.display()))?;
        cargo.args(["-p", service]);
        cargo.env(format!("{}_DATABASE_URL", service.to_uppercase()), database.url(service));
    }
    Ok(cargo.status().await.context("run cargo")?.success())
}

fn touch(path: &Path) -> Result<()> {
    Ok(File::options().append(true).open(path)?.set_modified(SystemTime::now())?)
}

fn read(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.starts_with("query-") {
            files.insert(name, fs::read(&path)?);
        }
    }
    Ok(files)
}
