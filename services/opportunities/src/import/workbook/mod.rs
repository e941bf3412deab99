//! Workbooks as tables. A workbook of a kilobyte can ask its reader for more memory than there is, and what cannot be given ends the process: so a child of its own reads it, with little
//! memory and little time, and what it writes comes in as any other table does.

mod cell;
pub mod child;
mod package;

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rpc::{Error, reason};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use tracing::warn;

use super::file::Flaw;
use super::kept::Kept;

/// How many workbooks are read at once, in one process.
const MOST_AT_ONCE: usize = 2;
/// How long one waits for its turn.
const TURN: Duration = Duration::from_secs(10);
/// How long reading one may take.
const READ_WITHIN: Duration = Duration::from_mins(2);
/// How much of a table is taken at once.
const TAKE_BYTES: usize = 64 * 1024;
/// The longest word by which a child says what is wrong.
const LONGEST_WORD: u64 = 64;

/// By which the program is a child that reads a workbook.
pub const COMMAND: &str = "read-workbook";

/// The children that read workbooks.
#[derive(Clone, Debug)]
pub struct Workbooks {
    program: PathBuf,
    places: Arc<Semaphore>,
    patience: Duration,
}

impl Default for Workbooks {
    /// By this very program.
    fn default() -> Self {
        Self::by(std::env::current_exe().unwrap_or_default())
    }
}

impl Workbooks {
    /// By that program, which is this service.
    pub fn by(program: impl Into<PathBuf>) -> Self {
        let places = Arc::new(Semaphore::new(MOST_AT_ONCE));
        Self { program: program.into(), places, patience: TURN }
    }

    /// A turn, once there is one.
    async fn turn(&self) -> Result<SemaphorePermit<'_>, Error> {
        let turn = timeout(self.patience, self.places.acquire()).await;
        turn.ok().and_then(Result::ok).ok_or_else(|| Error::Unavailable {
            reason: reason::OVERLOADED.into(),
            source: anyhow::anyhow!("{MOST_AT_ONCE} workbooks are read already"),
        })
    }

    /// The first sheet of a workbook as a table. The workbook itself is needed no more.
    pub(super) async fn unpack(&self, workbook: Kept) -> Result<Kept, Error> {
        let mut table = workbook.instead();
        let read = self.read(&workbook, &mut table).await;
        workbook.forget().await?;
        match read {
            Ok(()) => Ok(table),
            Err(error) => {
                table.forget().await?;
                Err(error)
            }
        }
    }

    async fn read(&self, workbook: &Kept, table: &mut Kept) -> Result<(), Error> {
        let _turn = self.turn().await?;
        // Whatever way this ends, the child ends with it.
        let mut child = Command::new(&self.program)
            .arg(COMMAND)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Error::unavailable(anyhow::Error::from(error)))?;
        match timeout(READ_WITHIN, converse(&mut child, workbook, table)).await {
            Ok(read) => read,
            Err(_late) => Err(Flaw::TooCostly.into()),
        }
    }
}

/// Gives a child a workbook, and takes the table.
async fn converse(child: &mut Child, workbook: &Kept, table: &mut Kept) -> Result<(), Error> {
    let broken = || Error::internal("a child without its pipes");
    let mut stdin = child.stdin.take().ok_or_else(broken)?;
    let mut stdout = child.stdout.take().ok_or_else(broken)?;
    let stderr = child.stderr.take().ok_or_else(broken)?;
    for ordinal in 0.. {
        let Some(piece) = workbook.piece(ordinal).await? else { break };
        // A child that takes no more says why.
        if stdin.write_all(&piece).await.is_err() {
            break;
        }
    }
    drop(stdin);
    let mut taken = vec![0; TAKE_BYTES];
    loop {
        let length = stdout.read(&mut taken).await.map_err(|it| Error::Internal(it.into()))?;
        if length == 0 {
            break;
        }
        table.more(&taken[..length]).await?;
    }
    let mut word = String::new();
    let said = stderr.take(LONGEST_WORD).read_to_string(&mut word).await;
    let status = child.wait().await.map_err(|it| Error::Internal(it.into()))?;
    let word = said.map_or("", |_| word.trim());
    match outcome(status, word) {
        Ok(()) => table.end().await,
        Err(flaw) => {
            warn!(%status, flaw = flaw.code(), "a workbook was not read");
            Err(flaw.into())
        }
    }
}

/// What the end of a child says of its workbook.
fn outcome(status: ExitStatus, word: &str) -> Result<(), Flaw> {
    match status.code() {
        Some(0) => Ok(()),
        // It panicked: it has met what nobody thought of.
        Some(101) => Err(Flaw::BrokenWorkbook),
        // It was ended for what it took.
        None => Err(Flaw::TooCostly),
        Some(_) => Err(Flaw::of_code(word).unwrap_or(Flaw::BrokenWorkbook)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[tokio::test]
    async fn so_many_are_read_at_once_and_whoever_waits_too_long_is_told_to_come_back() {
        let books = Workbooks { patience: Duration::ZERO, ..Workbooks::by("nothing") };
        let first = books.turn().await.unwrap();
        let _second = books.turn().await.unwrap();
        let refused = books.turn().await.unwrap_err();
        assert!(matches!(refused, Error::Unavailable { reason, .. } if reason == "OVERLOADED"));
        drop(first);
        assert!(books.turn().await.is_ok());
    }

    #[test]
    fn the_end_of_a_child_says_what_is_wrong_with_its_workbook() {
        let exit = |code: i32| ExitStatus::from_raw(code << 8);
        assert_eq!(outcome(exit(0), ""), Ok(()));
        assert_eq!(outcome(exit(65), "has_macros"), Err(Flaw::Macros));
        assert_eq!(outcome(exit(65), "nonsense"), Err(Flaw::BrokenWorkbook));
        assert_eq!(outcome(exit(101), ""), Err(Flaw::BrokenWorkbook));
        // SIGABRT, SIGXCPU, SIGKILL
        for signal in [6, 24, 9] {
            assert_eq!(outcome(ExitStatus::from_raw(signal), ""), Err(Flaw::TooCostly));
        }
    }
}
