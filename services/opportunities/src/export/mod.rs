//! Taking opportunities elsewhere: a list as one file, read a piece at a time and given away as fast as it is taken.

pub mod csv;
pub mod workbook;

use std::time::Duration;

use auth::Caller;
use chrono::{DateTime, Utc};
use rpc::Error;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::task::spawn_blocking;

use crate::State;
use crate::access::Asking;
use crate::opportunity::list::{Ask, Filter, Page};
use crate::opportunity::{self, Detail};
use crate::page::Sort;
use crate::places::Places;
use crate::sheet::column::{Line, Own, headers};
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
/// How many files are written at once, for one caller and for all, in one process.
const MOST_AT_ONCE: (usize, usize) = (2, 16);

/// The places of those who write files.
pub fn places() -> Places {
    let (each, all) = MOST_AT_ONCE;
    Places::new("files", each, all)
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
    let caller = asking().await?;
    let place = places.take(caller.user_id)?;
    let export = Export { state: state.clone(), asking, wanted };
    let first = export.read(&caller, None).await?;
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
    /// The rows after a cursor that a caller may see.
    async fn read(&self, caller: &Caller, cursor: Option<&str>) -> Result<Page, Error> {
        let Wanted { filter, sort, .. } = &self.wanted;
        let ask = Ask { filter, sort: *sort, limit: ROWS, cursor, include_total: false };
        opportunity::list(&self.state, caller, &ask).await
    }

    async fn write(
        &self,
        first: Page,
        form: Form,
        pieces: &mpsc::Sender<Piece>,
    ) -> Result<(), Error> {
        let own = Own::of(&*self.state.custom_fields.get()?);
        let mut file = File::begin(form, own)?;
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
            // By the caller's present rights.
            let caller = (self.asking)().await?;
            page = self.read(&caller, Some(&cursor)).await?;
        }
    }
}

/// A file that is being written.
struct File {
    form: Begun,
    /// The organisation's own fields that it has.
    own: Own,
}

enum Begun {
    Csv(Csv),
    Xlsx(Box<Workbook>),
    Lines(WriteLine),
}

impl File {
    fn begin(form: Form, own: Own) -> Result<Self, Error> {
        let names = headers(&own);
        let form = match form {
            Form::Csv => Begun::Csv(Csv::begin(names.iter().map(|name| &**name))),
            Form::Xlsx => Begun::Xlsx(Box::new(Workbook::begin(names)?)),
            Form::Lines(write) => Begun::Lines(write),
        };
        Ok(Self { form, own })
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
            let line = |detail| Line::of(detail, &pipelines, &settings, now);
            match &mut self.form {
                Begun::Lines(write) => {
                    bytes.extend(write(detail)?);
                    bytes.push(b'\n');
                }
                Begun::Csv(csv) => csv.row(line(&detail).cells(&self.own)),
                Begun::Xlsx(book) => book.row(line(&detail).cells(&self.own))?,
            }
        }
        match self.form {
            Begun::Xlsx(book) if is_last => return Ok((None, book.finish()?)),
            Begun::Xlsx(ref mut book) => bytes = book.take(),
            Begun::Csv(ref mut csv) => bytes = csv.take(),
            Begun::Lines(_) => {}
        }
        Ok(((!is_last).then_some(self), bytes))
    }
}
