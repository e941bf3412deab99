//! Working off what was brought in: a few hundred rows in a transaction, each import in its turn. Whoever takes an import has it for a while, in one process or many: they decide what is to
//! become of its next rows, and then write that, if it is still theirs. Where a process ends, the next goes on after the last rows that were written.

use std::collections::HashSet;
use std::time::Duration;

use auth::{Caller, Role, Scope, Via};
use chrono::{DateTime, TimeDelta, Utc};
use events::{Actor, Origin};
use rpc::{Error, Invalid};
use sqlx::PgConnection;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::file::{Record, Rows};
use super::mapping::Mapping;
use super::model::{Counts, Import, Kind, Outcome, Phase, Row, RowStatus, Status};
use super::model::{faults, not_written, opportunity_of};
use super::{PIECE_BYTES, store, undo};
use crate::meta::Meta;
use crate::opportunity::batch::{self, Became, Done, Plan, Who};
use crate::opportunity::takeback::By;
use crate::sheet::column::Entry;
use crate::{State, directory, text};

/// How many rows are written at once.
const ROWS: usize = 500;
/// How much of a file is read for them, at most.
const BYTES: u64 = 1024 * 1024;
/// How often it is looked whether there is something to do.
const LOOK: Duration = Duration::from_millis(500);
/// How often the same rows are tried, half as many each time, before the next of them is given up.
const MOST_ATTEMPTS: i32 = 10;
/// For how long an import is whose who took it.
const HAS_IT_FOR: TimeDelta = TimeDelta::seconds(30);
/// How long a file may take to come.
const COMES_WITHIN: TimeDelta = TimeDelta::minutes(10);

/// Works off whatever was brought in, for ever.
pub(crate) async fn run(state: State, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut forgotten_at = DateTime::<Utc>::MIN_UTC;
    // A step is not cut off in the middle: nobody else would go on for a while.
    while !shutdown.is_cancelled() {
        let now = process::now();
        let pause = match step(&state, now).await {
            Ok(true) => Duration::ZERO,
            Ok(false) => LOOK,
            Err(error) => {
                let error = format!("{:#}", anyhow::Error::from(error));
                warn!(error, "an import was not worked on");
                LOOK
            }
        };
        if now - forgotten_at > COMES_WITHIN {
            forgotten_at = now;
            if let Err(error) = forget(&state, now - COMES_WITHIN).await {
                warn!(%error, "files that never came were not forgotten");
            }
        }
        shutdown.run_until_cancelled(sleep(pause)).await;
    }
    Ok(())
}

/// Forgets files that never came to their end, and of which nothing has come since an instant.
pub async fn forget(state: &State, before: DateTime<Utc>) -> sqlx::Result<()> {
    for id in store::abandoned(&state.reads, before).await? {
        let mut tx = state.writes.begin().await?;
        store::discard(&mut tx, id, Some(before)).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Works off the next rows of the import that has waited longest; false where there is none, or where it has to be tried again after a while.
pub async fn step(state: &State, now: DateTime<Utc>) -> Result<bool, Error> {
    let until = now + HAS_IT_FOR;
    let Some(import) = store::claim(&state.writes, now, until).await? else { return Ok(false) };
    let id = import.id;
    match attempt(state, import, now, until).await {
        Ok(()) => Ok(true),
        Err(error) => again(state, id, error, (now, until)).await,
    }
}

async fn attempt(
    state: &State,
    import: Import,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<(), Error> {
    // What somebody changed elsewhere a moment ago counts.
    state.refresh_rules().await?;
    let import = Import { status: Status::Running, updated_at: now, ..import };
    let next = Next::of(state, import).await?;
    let mut tx = state.writes.begin().await?;
    if !store::hold(&mut tx, next.import().id, until).await? {
        // It took too long, and somebody else has it by now.
        return Ok(());
    }
    let import = next.write(state, &mut tx).await?;
    keep(&mut tx, &import).await?;
    tx.commit().await?;
    state.wake.wake();
    Ok(())
}

/// Writes down how far an import is; the file of one that has come to its end is needed no more.
async fn keep(tx: &mut PgConnection, import: &Import) -> sqlx::Result<()> {
    let (id, status) = (import.id, import.status);
    store::save(&mut *tx, import).await?;
    if status == Status::Failed && import.phase == Phase::Check && !import.dry_run {
        // Nothing came of what is good.
        store::clear_good(&mut *tx, id).await?;
    }
    if import.is_over() {
        store::forget_pieces(tx, id).await?;
        info!(import = id, status = status.as_str(), "an import was worked off");
    }
    Ok(())
}

/// These rows are tried again, fewer at once, but not for ever; whether at once.
async fn again(
    state: &State,
    id: i64,
    error: Error,
    (now, until): (DateTime<Utc>, DateTime<Utc>),
) -> Result<bool, Error> {
    // What will be there again is waited for.
    let is_passing = matches!(error, Error::Unavailable { .. });
    let error = format!("{:#}", anyhow::Error::from(error));
    warn!(import = id, error, "rows of an import were not written");
    let mut tx = state.writes.begin().await?;
    if store::hold(&mut tx, id, until).await?
        && let Some(mut import) = store::lock(&mut tx, id).await?
    {
        // Fewer may pass where many do not, but for what passes none is given up.
        let most = if is_passing { MOST_ATTEMPTS / 2 } else { i32::MAX };
        import.attempts = (import.attempts + 1).min(most.max(import.attempts));
        import.updated_at = now;
        if import.attempts >= 2 * MOST_ATTEMPTS {
            // Not even to give up a row is possible.
            import = import.give_up();
        }
        keep(&mut tx, &import).await?;
    }
    tx.commit().await?;
    Ok(!is_passing)
}

/// What is to be done next.
enum Next {
    /// Nothing but to keep the import.
    Keep(Import),
    /// Every row was looked at.
    End(Import),
    /// Rows are looked at, or written.
    Rows {
        import: Import,
        who: Who,
        plans: Vec<Plan>,
        external_ids: Vec<Option<String>>,
        meta: Meta,
    },
    /// Rows are taken back.
    Undo(Import, (By, Meta)),
}

impl Next {
    /// Decides it, and writes nothing.
    async fn of(state: &State, import: Import) -> Result<Self, Error> {
        let meta = Meta {
            actor: Actor::User(import.requested_by),
            origin: Origin::Import,
            recorded_at: import.updated_at,
            request_id: import.request_id.clone(),
            traceparent: import.traceparent.clone(),
        };
        if import.phase == Phase::Undo {
            return Ok(match undo::by(state, &import, &meta).await? {
                Some(by) => Self::Undo(import, by),
                None => Self::Keep(Import { status: Status::Failed, ..import }),
            });
        }
        let caller = caller(state, import.requested_by, &meta).await?;
        let is_allowed = |it: &Caller| import.kind == Kind::Sales || it.role == Role::Admin;
        let Some(caller) = caller.filter(is_allowed) else {
            // They may write no more, and so may nobody for them.
            return Ok(Self::Keep(import.give_up()));
        };
        let from = u64::try_from(import.next_byte).unwrap_or_default();
        let records = records(state, &import, from, at_once(&import)).await?;
        let Some(last) = records.last() else { return Ok(Self::End(import)) };
        let next_byte = i64::try_from(last.ends_at).unwrap_or(i64::MAX);
        let who = Who::of(state, caller, import.kind).await?;
        let (plans, external_ids) = if import.attempts >= MOST_ATTEMPTS {
            records.iter().map(|_| (Plan::Fail(not_written()), None)).unzip()
        } else {
            plan(state, &who, &import, &records, &meta).await?
        };
        let import = Import { next_byte, ..import };
        Ok(Self::Rows { import, who, plans, external_ids, meta })
    }

    fn import(&self) -> &Import {
        match self {
            Self::Keep(it) | Self::End(it) | Self::Rows { import: it, .. } | Self::Undo(it, _) => {
                it
            }
        }
    }

    /// Does it; the import after it.
    async fn write(self, state: &State, tx: &mut PgConnection) -> Result<Import, Error> {
        let import = match self {
            Self::Keep(import) => import,
            Self::End(import) => end(state, tx, import).await?,
            Self::Rows { import, who, plans, external_ids, meta } => {
                let became = match import.phase {
                    Phase::Write => batch::write(tx, state, &who, plans, &meta).await?,
                    _ => plans.into_iter().map(Became::from).collect(),
                };
                worked_off(tx, import, became, external_ids).await?
            }
            Self::Undo(import, _) if import.attempts >= MOST_ATTEMPTS => {
                undo::give_up(tx, import).await?
            }
            Self::Undo(import, by) => {
                let most = at_once(&import);
                undo::next(state, tx, import, &by, most).await?
            }
        };
        Ok(Import { attempts: 0, ..import })
    }
}

/// How many rows are tried: fewer where they could not be written, so that one that cannot be is found.
fn at_once(import: &Import) -> usize {
    (ROWS >> import.attempts.clamp(0, MOST_ATTEMPTS)).max(1)
}

/// What is to become of rows, and their ids in another system.
async fn plan(
    state: &State,
    who: &Who,
    import: &Import,
    records: &[Record],
    meta: &Meta,
) -> Result<(Vec<Plan>, Vec<Option<String>>), Error> {
    let mapping = Mapping::of_fields(&import.fields, import.kind, &*state.custom_fields.get()?);
    let entries: Vec<_> = records.iter().map(|it| mapping.entry(&it.cells).and_then(fit)).collect();
    let external = |entry: &Result<Entry, Invalid>| {
        entry.as_ref().ok().and_then(|entry| entry.wish.external_id.clone())
    };
    let external_ids: Vec<_> = entries.iter().map(external).collect();
    let named: Vec<_> = external_ids.iter().flatten().cloned().collect();
    let seen = store::external_ids(&state.reads, import.id, &named).await?;
    let mut seen: HashSet<_> = seen.into_iter().collect();
    let plans = batch::plan(state, who, entries, &mut seen, meta).await?;
    Ok((plans, external_ids))
}

/// The import after rows became something.
async fn worked_off(
    tx: &mut PgConnection,
    mut import: Import,
    became: Vec<Became>,
    external_ids: Vec<Option<String>>,
) -> Result<Import, Error> {
    let rows = (import.last_row + 1..).zip(became).zip(external_ids);
    let rows: Vec<_> =
        rows.map(|((number, became), external_id)| row(number, &became, external_id)).collect();
    for row in &rows {
        let counts = &mut import.counts;
        *(match row.outcome.status {
            RowStatus::Created => &mut counts.created,
            RowStatus::Updated => &mut counts.updated,
            RowStatus::Skipped => &mut counts.skipped,
            _ => &mut counts.failed,
        }) += 1;
    }
    import.last_row += i32::try_from(rows.len()).unwrap_or_default();
    store::add_rows(tx, import.id, &rows).await?;
    if import.all_or_nothing && import.phase == Phase::Write && import.counts.failed > 0 {
        // It was good when it was looked at, and is not any more.
        return Ok(import.taken_back());
    }
    Ok(import)
}

fn row(row: i32, became: &Became, external_id: Option<String>) -> Row {
    let written = |done: Option<Done>| (done.map(|it| it.id), done.map(|it| it.version));
    let (status, (opportunity_id, version), errors) = match became {
        Became::Created(done) => (RowStatus::Created, written(*done), Vec::new()),
        Became::Updated(id, done) => {
            (RowStatus::Updated, (Some(*id), written(*done).1), Vec::new())
        }
        Became::Skipped(id) => (RowStatus::Skipped, (Some(*id), None), Vec::new()),
        Became::Failed(error) => (RowStatus::Failed, (opportunity_of(error), None), faults(error)),
    };
    // A row that came to nothing does not stand in the way of a later one.
    let external_id = external_id.filter(|_| status != RowStatus::Failed);
    Row { row, outcome: Outcome { status, opportunity_id, errors }, external_id, version }
}

/// Who began it as they are at present, if they may still write.
pub(super) async fn caller(
    state: &State,
    user_id: i64,
    meta: &Meta,
) -> Result<Option<Caller>, Error> {
    let person = directory::person(state, user_id, meta).await?.filter(|it| it.is_active);
    Ok(person.and_then(|it| {
        let role = it.role.parse().ok().filter(|role| *role != Role::Viewer)?;
        Some(Caller {
            user_id,
            session_id: 0,
            role,
            team_id: it.team_id,
            rights_version: 0,
            scope: Scope::ALL,
            via: Via::Session,
            service: None,
        })
    }))
}

/// Rows of a file, from a byte on.
async fn records(
    state: &State,
    import: &Import,
    from: u64,
    most: usize,
) -> Result<Vec<Record>, Error> {
    let piece_bytes = u64::try_from(PIECE_BYTES).unwrap_or(u64::MAX);
    let mut rows = Rows::from(import.delimiter, from);
    let mut found: Vec<Record> = Vec::new();
    let mut ordinal = i32::try_from(from / piece_bytes).unwrap_or(i32::MAX);
    let mut begin = usize::try_from(from % piece_bytes).unwrap_or_default();
    loop {
        let piece = match store::piece(&state.reads, import.id, ordinal).await? {
            Some(piece) => piece,
            None if store::pieces(&state.reads, import.id)
                .await?
                .is_some_and(|it| ordinal < it) =>
            {
                return Err(Error::internal("a piece of the file is missing"));
            }
            // Past the end, which is what ends the last row.
            None => Vec::new(),
        };
        let rest = piece.get(begin..).unwrap_or_default();
        if rest.is_empty() && !piece.is_empty() {
            (ordinal, begin) = (ordinal + 1, 0);
            continue;
        }
        let goes_on = rows.read(rest, |record| {
            let is_enough = found.len() + 1 >= most || record.ends_at - from >= BYTES;
            found.push(record);
            !is_enough
        });
        if !goes_on.map_err(|flaw| Error::Internal(anyhow::anyhow!("{flaw:?}")))? {
            return Ok(found);
        }
        (ordinal, begin) = (ordinal + 1, 0);
    }
}

/// A row whose texts by which others are looked for can be looked for.
fn fit(mut entry: Entry) -> Result<Entry, Invalid> {
    let mut invalid = Invalid::default();
    let it = &mut invalid;
    let external_id = entry.wish.external_id.take();
    entry.wish.external_id = text::external_id(it, "external_id", external_id.as_deref());
    entry.owner_email = text::name(it, "owner_email", entry.owner_email.take().as_deref(), 320);
    if invalid.is_empty() { Ok(entry) } else { Err(invalid) }
}

/// Every row was worked off.
async fn end(state: &State, tx: &mut PgConnection, import: Import) -> Result<Import, Error> {
    if import.phase == Phase::Write || import.dry_run {
        return Ok(Import { status: Status::Done, ..import });
    }
    if import.counts.failed > 0 {
        return Ok(import.give_up());
    }
    // All of them are good: now they are written.
    store::clear_rows(tx, import.id).await?;
    let header = records(state, &import, 0, 1).await?;
    let next_byte = header.first().map_or(0, |it| i64::try_from(it.ends_at).unwrap_or(i64::MAX));
    let counts = Counts::default();
    Ok(Import { phase: Phase::Write, next_byte, last_row: 1, counts, ..import })
}
