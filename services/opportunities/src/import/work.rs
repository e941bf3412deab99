//! Working off what was brought in: a few hundred rows in a transaction, each import in its turn. Whoever has the import's row works on it, in one process or many; where a process ends,
//! the next goes on after the last rows that were written.

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
use super::model::{Import, Outcome, Phase, Row, RowStatus, Status, faults};
use super::{PIECE_BYTES, store, undo};
use crate::meta::Meta;
use crate::opportunity::batch::{self, Done, Plan, Who};
use crate::sheet::column::Entry;
use crate::{State, directory};

/// How many rows are written at once.
const ROWS: usize = 500;
/// How much of a file is read for them, at most.
const BYTES: u64 = 1024 * 1024;
/// How often it is looked whether there is something to do.
const LOOK: Duration = Duration::from_millis(500);
/// How often the same rows are tried.
const MOST_ATTEMPTS: i32 = 10;
/// How long a file may take to come.
const COMES_WITHIN: TimeDelta = TimeDelta::minutes(10);

/// Works off whatever was brought in, for ever.
pub(crate) async fn run(state: State, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut forgotten_at = DateTime::<Utc>::MIN_UTC;
    loop {
        let now = process::now();
        let pause = match shutdown.run_until_cancelled(step(&state, now)).await {
            None => return Ok(()),
            Some(Ok(true)) => Duration::ZERO,
            Some(Ok(false)) => LOOK,
            Some(Err(error)) => {
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
        if shutdown.run_until_cancelled(sleep(pause)).await.is_none() {
            return Ok(());
        }
    }
}

/// Forgets files that never came to their end.
async fn forget(state: &State, before: DateTime<Utc>) -> sqlx::Result<()> {
    for id in store::abandoned(&state.reads, before).await? {
        let mut tx = state.writes.begin().await?;
        store::discard(&mut tx, id).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Works off the next rows of the import that has waited longest; false where there is none, or where it has to be tried again after a while.
pub async fn step(state: &State, now: DateTime<Utc>) -> Result<bool, Error> {
    let mut tx = state.writes.begin().await?;
    let Some(import) = store::take(&mut tx).await? else { return Ok(false) };
    // What somebody changed elsewhere a moment ago counts.
    state.refresh_rules().await?;
    let id = import.id;
    match work(state, &mut tx, import, now).await {
        Ok(import) => {
            store::save(&mut tx, &import).await?;
            if matches!(import.status, Status::Done | Status::Failed | Status::Undone) {
                store::forget_pieces(&mut tx, id).await?;
                info!(import = id, status = import.status.as_str(), "an import was worked off");
            }
            tx.commit().await?;
            state.wake.wake();
        }
        Err(error) => {
            tx.rollback().await?;
            again(state, id, error, now).await?;
            return Ok(false);
        }
    }
    Ok(true)
}

/// These rows are tried again, but not for ever.
async fn again(state: &State, id: i64, error: Error, now: DateTime<Utc>) -> Result<(), Error> {
    // What will be there again is waited for.
    let is_passing = matches!(error, Error::Unavailable { .. });
    let error = format!("{:#}", anyhow::Error::from(error));
    warn!(import = id, error, "rows of an import were not written");
    let mut tx = state.writes.begin().await?;
    if let Some(mut import) = store::lock(&mut tx, id).await? {
        import.attempts += i32::from(!is_passing);
        import.updated_at = now;
        if import.attempts >= MOST_ATTEMPTS {
            import.status = Status::Failed;
            store::forget_pieces(&mut tx, id).await?;
        }
        store::save(&mut tx, &import).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// The import after its next rows.
async fn work(
    state: &State,
    tx: &mut PgConnection,
    import: Import,
    now: DateTime<Utc>,
) -> Result<Import, Error> {
    let meta = Meta {
        actor: Actor::User(import.requested_by),
        origin: Origin::Import,
        recorded_at: now,
        request_id: import.request_id.clone(),
        traceparent: import.traceparent.clone(),
    };
    let mut import = Import { status: Status::Running, attempts: 0, updated_at: now, ..import };
    if import.phase == Phase::Undo {
        return undo::next(state, tx, import, &meta).await;
    }
    let Some(caller) = caller(state, import.requested_by, &meta).await? else {
        // They may write no more, and so may nobody for them.
        return Ok(Import { status: Status::Failed, ..import });
    };
    let from = u64::try_from(import.next_byte).unwrap_or_default();
    let records = records(state, &import, from, ROWS).await?;
    let Some(last) = records.last() else { return end(state, tx, import).await };
    import.next_byte = i64::try_from(last.ends_at).unwrap_or(i64::MAX);
    let who = Who::of(state, caller).await?;
    let rows = rows(state, tx, &who, &import, &records, &meta).await?;
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
        // It was good when it was looked at, and is not any more: what was written is taken back.
        return Ok(Import { phase: Phase::Undo, last_row: 1, ..import });
    }
    Ok(import)
}

/// Who began it as they are at present, if they may still write.
async fn caller(state: &State, user_id: i64, meta: &Meta) -> Result<Option<Caller>, Error> {
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
        let piece = store::piece(&state.reads, import.id, ordinal).await?;
        let piece = piece.unwrap_or_default();
        // Empty past the end, which is what ends the last row.
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

/// What becomes of rows.
async fn rows(
    state: &State,
    tx: &mut PgConnection,
    who: &Who,
    import: &Import,
    records: &[Record],
    meta: &Meta,
) -> Result<Vec<Row>, Error> {
    let mapping = Mapping::of_fields(&import.fields);
    let mut entries: Vec<_> =
        records.iter().map(|it| mapping.entry(&it.cells).and_then(fit)).collect();
    let external = |entry: &Result<Entry, Invalid>| {
        entry.as_ref().ok().and_then(|entry| entry.wish.external_id.clone())
    };
    let named: Vec<_> = entries.iter().filter_map(external).collect();
    let seen = store::external_ids(&state.reads, import.id, &named).await?;
    let mut seen: HashSet<_> = seen.into_iter().collect();
    let mut external_ids = Vec::with_capacity(entries.len());
    for entry in &mut entries {
        let external_id = external(entry);
        if external_id.as_ref().is_some_and(|id| !seen.insert(id.clone())) {
            let message = "an earlier row of the file has it";
            *entry = Err(Invalid::default().field("external_id", "duplicate", message));
            external_ids.push(None);
        } else {
            external_ids.push(external_id);
        }
    }
    let plans = batch::plan(state, who, entries, meta).await?;
    let done = match import.phase {
        Phase::Write => batch::write(tx, state, who, &plans, meta).await?,
        _ => plans.iter().map(|_| None).collect(),
    };
    let rows = (import.last_row + 1..).zip(plans.iter().zip(done)).zip(external_ids);
    Ok(rows
        .map(|((row, (plan, done)), external_id)| became(row, plan, done, external_id))
        .collect())
}

/// A row whose texts by which others are looked for can be looked for.
fn fit(entry: Entry) -> Result<Entry, Invalid> {
    let mut wrong: Option<Invalid> = None;
    for (field, text, most) in
        [("external_id", &entry.wish.external_id, 255), ("owner_email", &entry.owner_email, 320)]
    {
        let Some(text) = text else { continue };
        let (code, message) = if text.contains('\0') {
            ("invalid_character", "contains a NUL character".to_owned())
        } else if text.chars().count() > most {
            ("too_long", format!("is longer than {most} characters"))
        } else {
            continue;
        };
        wrong = Some(wrong.unwrap_or_default().field(field, code, message));
    }
    wrong.map_or(Ok(entry), Err)
}

fn became(row: i32, plan: &Plan, done: Option<Done>, external_id: Option<String>) -> Row {
    let (id, version) = done.map(|done| (done.id, done.version)).unzip();
    // A row that came to nothing does not stand in the way of a later one.
    let external_id = external_id.filter(|_| !matches!(plan, Plan::Fail(_)));
    let (status, opportunity_id, errors) = match plan {
        Plan::Create(..) => (RowStatus::Created, id, Vec::new()),
        Plan::Update(id, ..) => (RowStatus::Updated, Some(*id), Vec::new()),
        Plan::Skip(id) => (RowStatus::Skipped, Some(*id), Vec::new()),
        Plan::Fail(error) => (RowStatus::Failed, None, faults(error)),
    };
    Row { row, outcome: Outcome { status, opportunity_id, errors }, external_id, version }
}

/// Every row was worked off.
async fn end(state: &State, tx: &mut PgConnection, import: Import) -> Result<Import, Error> {
    if import.phase == Phase::Write || import.dry_run {
        return Ok(Import { status: Status::Done, ..import });
    }
    if import.counts.failed > 0 {
        return Ok(Import { status: Status::Failed, ..import });
    }
    // All of them are good: now they are written.
    store::clear_rows(tx, import.id).await?;
    let header = records(state, &import, 0, 1).await?;
    let next_byte = header.first().map_or(0, |it| i64::try_from(it.ends_at).unwrap_or(i64::MAX));
    let counts = super::model::Counts::default();
    Ok(Import { phase: Phase::Write, next_byte, last_row: 1, counts, ..import })
}
