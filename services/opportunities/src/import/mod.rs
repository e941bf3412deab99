//! Bringing opportunities in from files: what comes is kept, and worked off by itself, a few hundred rows at a time.

pub mod file;
mod kept;
pub mod mapping;
pub mod model;
mod store;
mod undo;
pub mod work;
pub mod workbook;

use std::collections::BTreeMap;
use std::time::Duration;

use auth::{Caller, Role};
use idempotency::{Once, Outcome};
use rpc::Error;
use sha2::{Digest as _, Sha256};

use crate::State;
use crate::meta::Meta;
use crate::opportunity::denied;
use kept::Kept;
use mapping::Mapping;
use model::{Import, Kind, Phase, Row, RowStatus, Status};

/// How many imports of a caller may wait to be done.
const MOST_WAITING: i64 = 20;
/// When one of them may be done.
const SOON: Duration = Duration::from_secs(30);

/// How large the pieces are in which a file is kept.
const PIECE_BYTES: usize = 256 * 1024;

/// The operations that idempotency keys are for.
const CREATE: &str = "CreateImport";
const UNDO: &str = "UndoImport";

/// How a file is to be read.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The field of each column by its header; by what the headers say where it is empty.
    pub mapping: BTreeMap<String, String>,
    /// Whether nothing is written.
    pub dry_run: bool,
    /// Whether nothing is written where a row is not good.
    pub all_or_nothing: bool,
    /// What its rows are.
    pub kind: Kind,
}

/// An import as it is answered at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// Its id.
    pub id: i64,
    /// How far it is.
    pub status: Status,
}

/// A file that is coming.
pub struct Receiving {
    state: State,
    by: i64,
    is_admin: bool,
    meta: Meta,
    file: Kept,
    hash: Sha256,
}

impl Receiving {
    /// Nothing has come yet.
    pub fn begin(state: &State, caller: &Caller, meta: Meta) -> Result<Self, Error> {
        may_import(caller)?;
        let by = caller.user_id;
        let is_admin = caller.role == Role::Admin;
        let file = Kept::begin(state.writes.clone(), by, meta.clone());
        Ok(Self { state: state.clone(), by, is_admin, meta, file, hash: Sha256::new() })
    }

    /// The next bytes.
    pub async fn more(&mut self, data: &[u8]) -> Result<(), Error> {
        self.hash.update(data);
        self.file.more(data).await
    }

    /// A hash of all that has come.
    pub fn hash(&self) -> Vec<u8> {
        self.hash.clone().finalize().to_vec()
    }

    /// That was all: from now on it is worked off.
    pub async fn end(
        mut self,
        options: Options,
        once: Option<Once<Begun>>,
    ) -> Result<Outcome<Begun>, Error> {
        if options.kind == Kind::History && !self.is_admin {
            return Err(denied("ADMIN_ONLY", "only an admin may bring history"));
        }
        self.file.end().await?;
        let file = if self.file.is_workbook() {
            self.state.workbooks.unpack(self.file).await?
        } else {
            self.file
        };
        let kept::Table { id, pieces, scanned } = file.table()?;
        let own = self.state.custom_fields.get()?;
        let mapping = Mapping::of(&scanned.headers, &options.mapping, (options.kind, &own));
        let phase = match options {
            Options { dry_run: false, all_or_nothing: false, .. } => Phase::Write,
            _ => Phase::Check,
        };
        let (pool, by, at) = (self.state.writes, self.by, self.meta.recorded_at);
        rpc::write(async move {
            let mut tx = pool.begin().await?;
            let once = once.as_ref();
            if let Some(answer) = idempotency::answered(&mut tx, by, CREATE, once, at).await? {
                store::discard(&mut tx, id, None).await?;
                tx.commit().await?;
                return Ok(Outcome::Replay(answer));
            }
            let mapping = match mapping {
                Ok(mapping) => mapping,
                Err(invalid) => {
                    store::discard(&mut tx, id, None).await?;
                    tx.commit().await?;
                    return Err(invalid.into());
                }
            };
            if store::waiting(&mut tx, by).await? >= MOST_WAITING {
                let message = format!("{MOST_WAITING} imports of this caller are not done yet");
                return Err(Error::exhausted("TOO_MANY_IMPORTS", message).retry_after(SOON));
            }
            let ready = store::Ready {
                phase,
                kind: options.kind,
                dry_run: options.dry_run,
                all_or_nothing: options.all_or_nothing,
                delimiter: char::from(scanned.delimiter).to_string(),
                headers: &scanned.headers,
                fields: &mapping.fields(),
                total_rows: scanned.rows,
                next_byte: i64::try_from(scanned.first_at).unwrap_or_default(),
                pieces,
            };
            if !store::queue(&mut tx, id, &ready, at).await? {
                return Err(kept::gone());
            }
            let begun = Begun { id, status: Status::Queued };
            idempotency::keep(&mut tx, by, CREATE, once, &begun).await?;
            tx.commit().await?;
            Ok(Outcome::New(begun))
        })
        .await
    }
}

fn may_import(caller: &Caller) -> Result<(), Error> {
    caller.require_write()?;
    caller.require_role(&[Role::Admin, Role::Manager, Role::Rep])
}

/// An import as its own and admins see it.
pub async fn get(state: &State, caller: &Caller, id: i64) -> Result<Import, Error> {
    caller.require_read()?;
    let found = store::find(&state.reads, id).await?;
    found.filter(|it| is_seen(it, caller)).ok_or_else(|| not_found(id))
}

fn is_seen(import: &Import, caller: &Caller) -> bool {
    import.requested_by == caller.user_id || caller.role == Role::Admin
}

fn not_found(id: i64) -> Error {
    Error::not_found("import", id)
}

/// A page of what became of an import's rows, and whether there are more.
pub async fn rows(
    state: &State,
    import: &Import,
    after: i32,
    status: Option<RowStatus>,
    limit: usize,
) -> Result<(Vec<Row>, bool), Error> {
    let statuses = RowStatus::ALL.into_iter().filter(|it| status.is_none_or(|only| only == *it));
    let statuses: Vec<_> = statuses.map(|it| it.as_str().to_owned()).collect();
    let most = i64::try_from(limit + 1).unwrap_or(i64::MAX);
    let mut rows = store::rows(&state.reads, import.id, after, &statuses, most).await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    Ok((rows, more))
}

/// Takes back what an import did, by and by, as the act of who asks; one that is taken back already stays so.
pub async fn undo(
    state: &State,
    caller: &Caller,
    id: i64,
    once: Option<Once<Begun>>,
    meta: Meta,
) -> Result<Outcome<Begun>, Error> {
    may_import(caller)?;
    let (pool, caller) = (state.writes.clone(), caller.clone());
    rpc::write(async move {
        let (by, at, operation) = (caller.user_id, meta.recorded_at, format!("{UNDO} {id}"));
        let mut tx = pool.begin().await?;
        let once = once.as_ref();
        if let Some(answer) = idempotency::answered(&mut tx, by, &operation, once, at).await? {
            return Ok(Outcome::Replay(answer));
        }
        let found = store::lock(&mut tx, id).await?;
        let found = found.filter(|it| is_seen(it, &caller)).ok_or_else(|| not_found(id))?;
        let mut status = found.status;
        // What is taken back already is left to who does it.
        if let Some(import) = take_back(found, by, &meta)? {
            store::save(&mut tx, &import, true).await?;
            status = import.status;
        }
        let begun = Begun { id, status };
        idempotency::keep(&mut tx, by, &operation, once, &begun).await?;
        tx.commit().await?;
        Ok(Outcome::New(begun))
    })
    .await
}

/// The import as one that somebody takes back; nothing where it is taken back already.
fn take_back(import: Import, by: i64, meta: &Meta) -> Result<Option<Import>, Error> {
    let counts = import.counts;
    let rest = counts.created + counts.updated - counts.undone - counts.kept;
    match (import.status, import.phase) {
        (Status::Undone, _) | (Status::Queued | Status::Running, Phase::Undo) => Ok(None),
        (Status::Receiving | Status::Queued | Status::Running, _) => {
            Err(Error::conflict("IMPORT_RUNNING", "the import is not done yet"))
        }
        // What it wrote, or the rest where taking it back was stopped in the middle.
        (Status::Done | Status::Failed, Phase::Write | Phase::Undo) if rest > 0 => {
            Ok(Some(Import {
                status: Status::Queued,
                phase: Phase::Undo,
                last_row: 1,
                attempts: 0,
                undone_by: Some(by),
                undo_request_id: meta.request_id.clone(),
                undo_traceparent: meta.traceparent.clone(),
                updated_at: meta.recorded_at,
                ..import
            }))
        }
        (Status::Done | Status::Failed, _) => {
            Err(Error::conflict("NOTHING_TO_UNDO", "the import has changed nothing"))
        }
    }
}
