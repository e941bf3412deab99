//! Working off what was brought in: a few hundred rows in a transaction, each import in its turn. Whoever takes an import has it for a while, in one process or many: they decide what is to
//! become of its next rows, and then write that, if it is still theirs. While rows are being written it is looked ahead at those after them. Where a process ends, the next goes on after the
//! last rows that were written.

mod rows;

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rpc::Error;
use sqlx::PgConnection;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use super::model::{Counts, Import, Outcome, Phase, Row, RowStatus, Status, faults};
use super::{store, undo};
use crate::State;
use crate::meta::Meta;
use crate::opportunity::batch::{self, Became, Done};
use crate::opportunity::takeback::By;
pub(super) use rows::caller;
use rows::{Ahead, Decided};

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
    let mut worker = Worker::default();
    // A step is not cut off in the middle: nobody else would go on for a while.
    while !shutdown.is_cancelled() {
        let now = process::now();
        let pause = match worker.step(&state, now).await {
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

/// Who works imports off, and what they know by now of the rows that come next.
#[derive(Default)]
pub struct Worker {
    /// Of imports that take turns, by their ids.
    ahead: HashMap<i64, Ahead>,
}

impl Worker {
    /// Works off the next rows of the import that has waited longest; false where there is none, or where it has to be tried again after a while.
    pub async fn step(&mut self, state: &State, now: DateTime<Utc>) -> Result<bool, Error> {
        let until = now + HAS_IT_FOR;
        self.ahead.retain(|_, ahead| ahead.holds(now));
        let Some(import) = store::claim(&state.writes, now, until).await? else {
            return Ok(false);
        };
        let id = import.id;
        match attempt(state, import, self.ahead.remove(&id), now, until).await {
            Ok(ahead) => {
                self.ahead.extend(ahead.map(|ahead| (id, ahead)));
                Ok(true)
            }
            Err(error) => again(state, id, error, (now, until)).await,
        }
    }
}

/// Writes what is next of an import; what it was found meanwhile is to be done after that.
async fn attempt(
    state: &State,
    import: Import,
    ahead: Option<Ahead>,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Option<Ahead>, Error> {
    let import = Import { status: Status::Running, updated_at: now, ..import };
    let next = Next::of(state, import, ahead, now).await?;
    let mut tx = state.writes.begin().await?;
    if !store::hold(&mut tx, next.import().id, until).await? {
        // It took too long, and somebody else has it by now.
        return Ok(None);
    }
    let looking = next.look_ahead(state);
    let import = next.write(state, &mut tx).await?;
    keep(&mut tx, &import).await?;
    tx.commit().await?;
    state.wake.wake();
    Ok(match looking {
        Some(looking) => looking.await.ok().flatten(),
        None => None,
    })
}

/// Writes down how far an import is; the file of one that has come to its end is needed no more.
async fn keep(tx: &mut PgConnection, import: &Import) -> sqlx::Result<()> {
    let (id, status) = (import.id, import.status);
    store::save(&mut *tx, import, import.is_over()).await?;
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
    Rows(Import, Decided),
    /// Rows are taken back.
    Undo(Import, (By, Meta)),
}

impl Next {
    /// Decides it, if that was not done before it was its turn, and writes nothing.
    async fn of(
        state: &State,
        import: Import,
        ahead: Option<Ahead>,
        now: DateTime<Utc>,
    ) -> Result<Self, Error> {
        // What somebody changed elsewhere a moment ago counts.
        let rules = state.refresh_rules().await?;
        if import.phase == Phase::Undo {
            return Ok(match undo::by(state, &import, &rows::meta(&import)).await? {
                Some(by) => Self::Undo(import, by),
                None => Self::Keep(Import { status: Status::Failed, ..import }),
            });
        }
        let Some(who) = rows::who(state, &import).await? else {
            // They may write no more, and so may nobody for them.
            return Ok(Self::Keep(import.give_up()));
        };
        let decided = ahead.and_then(|it| it.rows(&import, &who, &rules, now));
        let decided = match decided {
            Some(decided) => Some(decided),
            None => rows::decide(state, &import, who, Vec::new()).await?,
        };
        Ok(match decided {
            Some(rows) => Self::Rows(Import { next_byte: rows.next_byte, ..import }, rows),
            None => Self::End(import),
        })
    }

    /// Looks at what comes after it, beside whatever else is done.
    fn look_ahead(&self, state: &State) -> Option<AbortOnDropHandle<Option<Ahead>>> {
        let Self::Rows(import, rows) = self else { return None };
        let (import, taken) = rows::after(import, rows);
        let state = state.clone();
        // What goes wrong goes wrong again when it is their turn.
        let looking = async move { Ahead::decide(&state, import, taken).await.ok().flatten() };
        Some(AbortOnDropHandle::new(tokio::spawn(looking)))
    }

    fn import(&self) -> &Import {
        match self {
            Self::Keep(it) | Self::End(it) | Self::Rows(it, _) | Self::Undo(it, _) => it,
        }
    }

    /// Does it; the import after it.
    async fn write(self, state: &State, tx: &mut PgConnection) -> Result<Import, Error> {
        let import = match self {
            Self::Keep(import) => import,
            Self::End(import) => end(state, tx, import).await?,
            Self::Rows(import, Decided { who, plans, external_ids, meta, .. }) => {
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
                let most = rows::at_once(&import);
                undo::next(state, tx, import, &by, most).await?
            }
        };
        Ok(Import { attempts: 0, ..import })
    }
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
        Became::Failed(it) => (RowStatus::Failed, (it.opportunity_id(), None), faults(it.told())),
    };
    // A row that came to nothing does not stand in the way of a later one.
    let external_id = external_id.filter(|_| status != RowStatus::Failed);
    Row { row, outcome: Outcome { status, opportunity_id, errors }, external_id, version }
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
    let header = rows::records(state, &import, 0, 1).await?;
    let next_byte = header.first().map_or(0, |it| i64::try_from(it.ends_at).unwrap_or(i64::MAX));
    let counts = Counts::default();
    Ok(Import { phase: Phase::Write, next_byte, last_row: 1, counts, ..import })
}
