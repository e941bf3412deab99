//! Taking opportunities elsewhere: a list as one file, read a piece at a time and given away as fast as it is taken.

pub mod csv;
pub mod workbook;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rpc::{Error, reason};
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::spawn_blocking;

use crate::State;
use crate::access::Asking;
use crate::opportunity::list::{Ask, Filter, Page};
use crate::opportunity::{self, Detail};
use crate::page::Sort;
use crate::sheet::column::{Line, headers};
use csv::Csv;
use workbook::Workbook;

/// How many rows are read at once.
const ROWS: usize = 1_000;
/// How much of a file goes in one piece.
const PIECE_BYTES: usize = 256 * 1024;
/// How many pieces wait for who takes them.
const AHEAD: usize = 2;
/// How long a piece waits for who does not take it.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many files are written at once, in one process.
const MOST_AT_ONCE: usize = 16;

/// The places of those who write files.
#[derive(Clone, Debug)]
pub struct Places(Arc<Semaphore>);

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST_AT_ONCE)))
    }
}

impl Places {
    fn take(&self) -> Result<OwnedSemaphorePermit, Error> {
        Arc::clone(&self.0).try_acquire_owned().map_err(|_| Error::Unavailable {
            reason: reason::OVERLOADED.into(),
            source: anyhow::anyhow!("{MOST_AT_ONCE} files are written already"),
        })
    }
}

/// How an opportunity is written as a line of its own.
pub type WriteLine = Box<dyn Fn(Detail) -> Result<Vec<u8>, Error> + Send>;

/// What kind of file.
pub enum Form {
    /// Comma-separated values.
    Csv,
    /// An Excel workbook.
    Xlsx,
    /// A line for each.
    Lines(WriteLine),
}

/// Which opportunities, in which order, as of when.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Which.
    pub filter: Filter,
    /// In which order.
    pub sort: Sort,
    /// The instant as of which something is stale.
    pub now: DateTime<Utc>,
}

/// A piece of a file; the last is an error where it cannot be written to its end.
pub type Piece = Result<Vec<u8>, Error>;

/// Begins to write a file of what somebody may see, page by page by their present rights. What can be refused is refused here, and the first rows are read; the pieces follow until nobody takes them any more.
pub async fn export(
    state: &State,
    asking: Asking,
    wanted: Wanted,
    form: Form,
    places: &Places,
) -> Result<mpsc::Receiver<Piece>, Error> {
    let place = places.take()?;
    let export = Export { state: state.clone(), asking, wanted };
    let first = export.read(None).await?;
    let (sender, pieces) = mpsc::channel(AHEAD);
    tokio::spawn(async move {
        let _place = place;
        if let Err(error) = export.write(first, form, &sender).await {
            // Whoever went away, or takes nothing, needs no answer.
            let _ = sender.send_timeout(Err(error), PATIENCE).await;
        }
    });
    Ok(pieces)
}

struct Export {
    state: State,
    asking: Asking,
    wanted: Wanted,
}

impl Export {
    /// The rows after a cursor, by the caller's present rights.
    async fn read(&self, cursor: Option<&str>) -> Result<Page, Error> {
        let Wanted { filter, sort, .. } = &self.wanted;
        let ask = Ask { filter, sort: *sort, limit: ROWS, cursor, include_total: false };
        let caller = (self.asking)().await?;
        opportunity::list(&self.state, &caller, &ask).await
    }

    async fn write(
        &self,
        first: Page,
        form: Form,
        pieces: &mpsc::Sender<Piece>,
    ) -> Result<(), Error> {
        let mut file = File::begin(form)?;
        let mut page = first;
        loop {
            let Page { items, next_cursor, .. } = page;
            let (state, now, is_last) =
                (self.state.clone(), self.wanted.now, next_cursor.is_none());
            // Formatting and packing a thousand rows is too long for the threads that serve.
            let written = spawn_blocking(move || file.rows(&state, items, now, is_last));
            let (rest, bytes) = written.await.map_err(|error| Error::Internal(error.into()))??;
            for piece in bytes.chunks(PIECE_BYTES) {
                match pieces.send_timeout(Ok(piece.to_vec()), PATIENCE).await {
                    Ok(()) => {}
                    Err(SendTimeoutError::Closed(_)) => return Ok(()),
                    Err(SendTimeoutError::Timeout(_)) => {
                        return Err(Error::unavailable(anyhow::anyhow!("nobody takes the file")));
                    }
                }
            }
            let (Some(cursor), Some(rest)) = (next_cursor, rest) else { return Ok(()) };
            file = rest;
            page = self.read(Some(&cursor)).await?;
        }
    }
}

/// A file that is being written.
enum File {
    Csv(Csv),
    Xlsx(Box<Workbook>),
    Lines(WriteLine),
}

impl File {
    fn begin(form: Form) -> Result<Self, Error> {
        let names = headers();
        Ok(match form {
            Form::Csv => Self::Csv(Csv::begin(names)),
            Form::Xlsx => Self::Xlsx(Box::new(Workbook::begin(names.collect())?)),
            Form::Lines(write) => Self::Lines(write),
        })
    }

    /// Adds rows; what is to be given away of it, and the file while it goes on.
    fn rows(
        mut self,
        state: &State,
        rows: Vec<Detail>,
        now: DateTime<Utc>,
        is_last: bool,
    ) -> Result<(Option<Self>, Vec<u8>), Error> {
        let (pipelines, settings) = (state.pipelines.get()?, state.settings.get()?);
        let mut bytes = Vec::new();
        for detail in rows {
            match &mut self {
                Self::Lines(write) => {
                    bytes.extend(write(detail)?);
                    bytes.push(b'\n');
                }
                Self::Csv(csv) => csv.row(Line::of(&detail, &pipelines, &settings, now).cells()),
                Self::Xlsx(book) => {
                    book.row(Line::of(&detail, &pipelines, &settings, now).cells())?;
                }
            }
        }
        Ok(match self {
            Self::Csv(mut csv) => {
                bytes = csv.take();
                ((!is_last).then_some(Self::Csv(csv)), bytes)
            }
            Self::Xlsx(book) if is_last => (None, book.finish()?),
            Self::Xlsx(mut book) => {
                bytes = book.take();
                (Some(Self::Xlsx(book)), bytes)
            }
            Self::Lines(write) => ((!is_last).then_some(Self::Lines(write)), bytes),
        })
    }
}
