//! The next rows of a file: what is to become of them, decided when it is their turn, or while the rows before them are being written.

use std::collections::HashSet;

use auth::{Caller, Role, Scope, Via};
use chrono::{DateTime, TimeDelta, Utc};
use events::{Actor, Origin};
use rpc::{Error, Invalid};

use super::super::file::{Record, Rows};
use super::super::mapping::Mapping;
use super::super::model::{Import, Kind, not_written};
use super::super::{PIECE_BYTES, store};
use super::MOST_ATTEMPTS;
use crate::meta::Meta;
use crate::opportunity::batch::{self, Plan, Who};
use crate::sheet::column::Entry;
use crate::state::Rules;
use crate::{State, directory, text};

/// How many rows are written at once.
const ROWS: usize = 1_000;
/// How much of a file is read for them, at most.
const BYTES: u64 = 1024 * 1024;
/// For how long what was decided before it was the rows' turn holds.
const HOLDS_FOR: TimeDelta = TimeDelta::seconds(2);

/// What is to become of rows.
pub(super) struct Decided {
    pub(super) who: Who,
    pub(super) plans: Vec<Plan>,
    pub(super) external_ids: Vec<Option<String>>,
    /// Where the row after them begins.
    pub(super) next_byte: i64,
    pub(super) meta: Meta,
}

/// What was decided of rows before it was their turn.
pub(super) struct Ahead {
    /// The import as it is to be then.
    import: Import,
    rules: Rules,
    rows: Decided,
}

impl Ahead {
    /// Decides what is to become of the rows after those that are about to be written; nothing where there are none. `import` is as it will be then, and `earlier` are the ids of another system
    /// that the rows before have.
    pub(super) async fn decide(
        state: &State,
        import: Import,
        earlier: Vec<String>,
    ) -> Result<Option<Self>, Error> {
        let rules = state.rules()?;
        let Some(who) = who(state, &import).await? else { return Ok(None) };
        let rows = decide(state, &import, who, earlier).await?;
        Ok(rows.map(|rows| Self { import, rules, rows }))
    }

    /// The rows, if it is their turn and what was decided by is as it was.
    pub(super) fn rows(
        self,
        import: &Import,
        who: &Who,
        rules: &Rules,
        now: DateTime<Utc>,
    ) -> Option<Decided> {
        let place = |it: &Import| (it.id, it.phase, it.next_byte, it.last_row, it.attempts);
        let is_so = place(&self.import) == place(import)
            && self.rows.who == *who
            && self.rules == *rules
            && self.holds(now);
        is_so.then_some(self.rows)
    }

    /// Whether what was decided is not too old.
    pub(super) fn holds(&self, now: DateTime<Utc>) -> bool {
        now - self.import.updated_at < HOLDS_FOR
    }
}

/// The import as it will be when these rows are written, and the ids of another system that they take.
pub(super) fn after(import: &Import, rows: &Decided) -> (Import, Vec<String>) {
    let good = rows.plans.iter().zip(&rows.external_ids);
    let good = good.filter(|(plan, _)| !matches!(plan, Plan::Fail(_)));
    let taken = good.filter_map(|(_, external_id)| external_id.clone()).collect();
    let last_row = import.last_row + i32::try_from(rows.plans.len()).unwrap_or_default();
    (Import { last_row, attempts: 0, ..import.clone() }, taken)
}

/// Who began an import as they are at present, if they may bring such rows in.
pub(super) async fn who(state: &State, import: &Import) -> Result<Option<Who>, Error> {
    let caller = caller(state, import.requested_by, &meta(import)).await?;
    let is_allowed = |it: &Caller| import.kind == Kind::Sales || it.role == Role::Admin;
    let Some(caller) = caller.filter(is_allowed) else { return Ok(None) };
    Who::of(state, caller, import.kind).await.map(Some)
}

/// By whom, when and why rows are written.
pub(super) fn meta(import: &Import) -> Meta {
    Meta {
        actor: Actor::User(import.requested_by),
        origin: Origin::Import,
        recorded_at: import.updated_at,
        request_id: import.request_id.clone(),
        traceparent: import.traceparent.clone(),
    }
}

/// Decides what is to become of the next rows, and writes nothing; nothing where there are none. The ids of another system that rows have which are not written yet are `earlier`.
pub(super) async fn decide(
    state: &State,
    import: &Import,
    who: Who,
    earlier: Vec<String>,
) -> Result<Option<Decided>, Error> {
    let from = u64::try_from(import.next_byte).unwrap_or_default();
    let records = records(state, import, from, at_once(import)).await?;
    let Some(last) = records.last() else { return Ok(None) };
    let next_byte = i64::try_from(last.ends_at).unwrap_or(i64::MAX);
    let meta = meta(import);
    let (plans, external_ids) = if import.attempts >= MOST_ATTEMPTS {
        records.iter().map(|_| (Plan::Fail(not_written().into()), None)).unzip()
    } else {
        plan(state, &who, import, &records, earlier, &meta).await?
    };
    Ok(Some(Decided { who, plans, external_ids, next_byte, meta }))
}

/// How many rows are tried: fewer where they could not be written, so that one that cannot be is found.
pub(super) fn at_once(import: &Import) -> usize {
    (ROWS >> import.attempts.clamp(0, MOST_ATTEMPTS)).max(1)
}

/// What is to become of rows, and their ids in another system.
async fn plan(
    state: &State,
    who: &Who,
    import: &Import,
    records: &[Record],
    earlier: Vec<String>,
    meta: &Meta,
) -> Result<(Vec<Plan>, Vec<Option<String>>), Error> {
    let mapping = Mapping::of_fields(&import.fields, import.kind, &*state.custom_fields.get()?);
    let rows: Vec<_> = records.iter().map(|it| fit(mapping.entry(&it.cells))).collect();
    let external_ids: Vec<_> = rows.iter().map(|(it, _)| it.wish.external_id.clone()).collect();
    let named: Vec<_> = external_ids.iter().flatten().cloned().collect();
    let seen = store::external_ids(&state.reads, import.id, &named).await?;
    let mut seen: HashSet<_> = seen.into_iter().chain(earlier).collect();
    let plans = batch::plan(state, who, rows, &mut seen, meta).await?;
    let plans = plans.into_iter().map(|plan| match plan {
        Plan::Fail(faults) => Plan::Fail(faults.reordered(|it| mapping.in_order(it))),
        good => good,
    });
    let plans = plans.collect();
    Ok((plans, external_ids))
}

/// Who began it as they are at present, if they may still write.
pub(in crate::import) async fn caller(
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
pub(super) async fn records(
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

/// A row whose texts by which others are looked for can be looked for; those that cannot are none that can be read.
fn fit((mut entry, mut unread): (Entry, Invalid)) -> (Entry, Invalid) {
    let it = &mut unread;
    let external_id = entry.wish.external_id.take();
    entry.wish.external_id = text::external_id(it, "external_id", external_id.as_deref());
    entry.owner_email = text::name(it, "owner_email", entry.owner_email.take().as_deref(), 320);
    (entry, unread)
}
