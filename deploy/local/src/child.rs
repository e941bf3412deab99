//! Child processes that end when we do: asked to at first, and made to when they do not.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child as Process, ChildStdout, Command};
use tokio::time::{Instant, timeout_at};

use crate::folder::User;
use crate::settings;

/// How long a process has to end before it is killed.
pub const GRACE: Duration = Duration::from_secs(10);

/// A running program and its log.
#[derive(Debug)]
pub struct Child {
    /// What it is, for people.
    pub name: String,
    process: Process,
    log: PathBuf,
}

/// A command in a process group of its own, so that Ctrl-C reaches only us, which gets a signal if we die without a word.
pub fn command(program: &Path, user: Option<User>, at_our_death: &str) -> Command {
    let mut command = bound(program, user, at_our_death);
    command.process_group(0).stdin(Stdio::null());
    command
}

/// A command that gets a signal if we die without a word.
///
/// That signal is the kernel's, asked for by `setpriv` (util-linux): where there is none, the next start finds what was left behind.
/// Start it on a thread that lives as long as the process, because it is that thread's end which is signalled.
pub fn bound(program: &Path, user: Option<User>, at_our_death: &str) -> Command {
    let mut command;
    if let Some(setpriv) = setpriv() {
        command = Command::new(setpriv);
        command.args(["--pdeathsig", at_our_death]);
        if let Some(user) = user {
            command.args(["--reuid", &user.uid.to_string(), "--regid", &user.gid.to_string()]);
            command.arg("--clear-groups");
        }
        command.arg("--").arg(program);
    } else {
        command = Command::new(program);
        if let Some(user) = user {
            command.uid(user.uid).gid(user.gid);
        }
    }
    command.kill_on_drop(true);
    command
}

fn setpriv() -> Option<&'static Path> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let program = settings::path()
            .into_iter()
            .map(|folder| folder.join("setpriv"))
            .find(|it| it.is_file())?;
        let help = std::process::Command::new(&program).arg("--help").output().ok()?;
        String::from_utf8_lossy(&help.stdout).contains("--pdeathsig").then_some(program)
    });
    found.as_deref()
}

impl Child {
    /// Starts a command whose output goes to a log. Its standard output is ours to read where `piped`.
    pub fn start(name: &str, mut command: Command, log: &Path, piped: bool) -> Result<Self> {
        let file = File::create(log).with_context(|| format!("write {}", log.display()))?;
        if piped {
            command.stdout(Stdio::piped());
        } else {
            command.stdout(file.try_clone()?);
        }
        command.stderr(file);
        let process = command.spawn().with_context(|| format!("start {name}"))?;
        Ok(Self { name: name.to_owned(), process, log: log.to_owned() })
    }

    /// Its standard output, once.
    pub fn output(&mut self) -> Option<ChildStdout> {
        self.process.stdout.take()
    }

    /// Its process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    /// Waits for its end.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        Ok(self.process.wait().await?)
    }

    /// Sends it a signal, if it still runs.
    pub fn signal(&self, signal: Signal) {
        if let Some(id) = self.process.id() {
            send(id, signal);
        }
    }

    /// Waits for its end until an instant, and then makes it end.
    pub async fn finish(&mut self, deadline: Instant) {
        if timeout_at(deadline, self.process.wait()).await.is_err() {
            self.kill().await;
        }
    }

    /// Asks it to end, and makes it after a while.
    pub async fn stop(&mut self, signal: Signal) {
        self.signal(signal);
        self.finish(Instant::now() + GRACE).await;
    }

    /// Ends it at once.
    pub async fn kill(&mut self) {
        let _ = self.process.kill().await;
    }

    /// Has it end at once, without waiting for it.
    pub fn start_kill(&mut self) {
        let _ = self.process.start_kill();
    }

    /// How it ended and the last that it said, in one line.
    pub fn obituary(&self, status: ExitStatus) -> String {
        let text = tail(&self.log);
        if text.contains("No space left on device") {
            return format!("{} ended: the disk is full ({})", self.name, self.log.display());
        }
        let words = last_words(&text);
        format!("{} ended ({status}): {words} ({})", self.name, self.log.display())
    }
}

/// Sends a signal to a process by its id; whether there is such a process.
pub fn send(id: u32, signal: Signal) -> bool {
    let id = i32::try_from(id).ok().and_then(Pid::from_raw);
    id.is_some_and(|id| kill_process(id, signal).is_ok())
}

/// The end of a log.
fn tail(log: &Path) -> String {
    let mut bytes = Vec::new();
    let read = File::open(log).and_then(|mut file| {
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(16_384)))?;
        file.read_to_end(&mut bytes)
    });
    // Without a log nothing is known, which is no reason to say nothing at all.
    read.map(|_| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// The last lines of each log in that folder that are more than information, each with the log's name before it.
pub fn worries(logs: &Path) -> Vec<String> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(logs)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|it| it == "log"))
        .collect();
    paths.sort();
    let mut worries = Vec::new();
    for path in paths {
        let (name, text) = (path.file_stem().unwrap_or_default().to_string_lossy(), tail(&path));
        let lines: Vec<&str> =
            text.lines().filter(|line| read(line).0 > Weight::Information).collect();
        let last = &lines[lines.len().saturating_sub(10)..];
        worries.extend(last.iter().map(|line| format!("{name}: {line}")));
    }
    worries
}

/// The last that a process said, in one line: of lines of JSON only errors, if there are any, or else what is no mere information, if there is that.
pub fn last_words(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines: Vec<_> = lines.map(read).collect();
    let Some(most) = lines.iter().map(|(weight, _)| *weight).max() else {
        return "it said nothing".to_owned();
    };
    let heaviest = lines.into_iter().filter(|(weight, _)| *weight == most);
    let said: Vec<_> = heaviest.map(|(_, said)| said).collect();
    let count = if most == Weight::Information { 1 } else { 3 };
    said[said.len().saturating_sub(count)..].join(" | ")
}

/// How much there is to a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    Information,
    Worry,
    Error,
}

/// How much there is to a line, and what it says.
fn read(line: &str) -> (Weight, String) {
    let Ok(serde_json::Value::Object(fields)) = serde_json::from_str(line) else {
        return (Weight::Worry, line.to_owned());
    };
    let field = |name: &str| fields.get(name)?.as_str();
    let said: Vec<&str> = ["message", "error"].into_iter().filter_map(field).collect();
    let weight = match field("level") {
        Some("INFO" | "DEBUG" | "TRACE") => Weight::Information,
        Some("ERROR") => Weight::Error,
        _ => Weight::Worry,
    };
    (weight, if said.is_empty() { line.to_owned() } else { said.join(": ") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::Scratch;

    fn shell(script: &str) -> Command {
        let mut command = command(Path::new("/bin/sh"), None, "KILL");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn a_process_that_ends_is_told_of_in_one_line() {
        let scratch = Scratch::create().unwrap();
        let log = scratch.path().join("log");
        let script =
            r#"echo '{"level":"ERROR","message":"cannot listen","error":"in use"}' >&2; exit 3"#;
        let mut child = Child::start("gateway", shell(script), &log, false).unwrap();
        let status = child.process.wait().await.unwrap();
        let line = child.obituary(status);
        assert!(
            line.starts_with("gateway ended (exit status: 3): cannot listen: in use ("),
            "{line}"
        );
    }

    #[test]
    fn an_error_is_told_whatever_is_warned_of_after_it() {
        let line =
            |level: &str, said: &str| format!("{{\"level\":\"{level}\",\"message\":\"{said}\"}}\n");
        let warned = line("WARN", "not yet").repeat(4);
        assert_eq!(last_words(&(line("ERROR", "no zone") + &warned)), "no zone");
        assert_eq!(last_words(&(line("INFO", "up") + &warned)), "not yet | not yet | not yet");
        assert_eq!(last_words(&line("INFO", "up")), "up");
        assert_eq!(last_words("panicked\n"), "panicked");
        assert_eq!(last_words(""), "it said nothing");
    }

    #[tokio::test]
    async fn a_process_that_does_not_listen_is_made_to_end() {
        let scratch = Scratch::create().unwrap();
        let script = "trap '' TERM; echo ready; while :; do read nothing; done";
        let mut child =
            Child::start("deaf", shell(script), &scratch.path().join("log"), true).unwrap();
        let mut output = child.output().unwrap();
        tokio::io::AsyncReadExt::read_u8(&mut output).await.unwrap();
        child.signal(Signal::TERM);
        child.finish(Instant::now()).await;
        let status = child.ended().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    }
}
