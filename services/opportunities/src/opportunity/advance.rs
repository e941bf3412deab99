//! Moving an opportunity to a stage.

use rpc::{Error, Invalid};
use sqlx::{PgPool, Postgres, Transaction};

use super::change::permit;
use super::model::{self, Moment, Outcome, Step};
use super::{Detail, draft, not_found, store, team_of};
use crate::meta::Meta;
use crate::pipeline::model::Kind;
use crate::{State, access, currency, pipeline, text};

/// A move as it is asked for.
#[derive(Clone, Debug)]
pub struct MoveWish {
    /// Name or key of the stage.
    pub stage: String,
    /// What else is said.
    pub step: Step,
    /// Only if this is the version.
    pub expected_version: Option<i64>,
    /// What is no value of its kind: nothing is moved by a wish that has any.
    pub faults: Invalid,
}

/// Moves an opportunity to a stage.
pub async fn change_stage(
    state: &State,
    caller: &auth::Caller,
    id: i64,
    mut wish: MoveWish,
    meta: Meta,
) -> Result<Detail, Error> {
    let mut faults = std::mem::take(&mut wish.faults);
    wish.step = tidy(wish.step, &wish.stage, &mut faults);
    let attempt = || attempt(state, caller, id, (wish.clone(), faults.clone()), meta.clone());
    pipeline::by_present_stages(state, attempt).await
}

async fn attempt(
    state: &State,
    caller: &auth::Caller,
    id: i64,
    (wish, mut faults): (MoveWish, Invalid),
    meta: Meta,
) -> Result<Detail, Error> {
    let pipelines = state.pipelines.get()?;
    let (settings, lost_reasons) = (state.settings.get()?, state.lost_reasons.get()?);
    let rights = access::rights(&state.reads, caller, settings.visibility).await?;
    let (pool, wake, by) = (state.writes.clone(), state.wake.clone(), caller.user_id);
    rpc::write(async move {
        let Locked { mut tx, mut detail, history_id, team_id } = lock(&pool, id).await?;
        let opportunity = &mut detail.opportunity;
        permit(&rights, opportunity, wish.expected_version)?;
        let pipeline = pipelines.get(Some(opportunity.pipeline_id)).ok_or_else(|| not_found(id))?;
        let Some(target) = pipeline.find(&wish.stage) else {
            if !wish.stage.trim().is_empty() {
                faults.add("stage", "unknown_stage", "there is no such stage in the pipeline");
            }
            return Err(faults.into());
        };
        let (at, zone) = (meta.recorded_at, settings.zone);
        let codes = [&*opportunity.currency];
        let exchange = currency::exchange(&mut *tx, &settings.default_currency, codes).await?;
        let moment = Moment { at, by, zone, exchange: &exchange, lost_reasons: &lost_reasons };
        let before = opportunity.clone();
        let step = wish.step;
        let outcome = model::advance(opportunity, pipeline, target, step, history_id, &moment);
        let outcome = faults.check(outcome.map_err(Error::from))?;
        let Some(outcome) = outcome.filter(|_| faults.is_empty()) else {
            return Err(faults.into());
        };
        let moved = match outcome {
            Outcome::Unchanged => return Ok(detail),
            Outcome::Adjusted => None,
            Outcome::Moved(moved) => Some(moved),
        };
        if before.status != Kind::Open && opportunity.status == Kind::Open {
            // While it was closed it did not follow its owner.
            opportunity.team_id = team_id;
        }
        let change = meta.moved(Some(&before), opportunity, moved.as_ref());
        store::update(&mut tx, &before, opportunity, moved.as_ref(), &events::encode(&change))
            .await?;
        tx.commit().await?;
        wake.wake();
        Ok(detail)
    })
    .await
}

/// An opportunity that nobody else changes until the transaction ends.
struct Locked {
    tx: Transaction<'static, Postgres>,
    detail: Detail,
    /// An id for its next history row.
    history_id: i64,
    /// Of a closed one: its owner's present team, in which they are held.
    team_id: Option<i64>,
}

/// Locks a living opportunity, and before it the owner of a closed one, which may be opened again. People come first everywhere: so does a change of
/// team, which takes along what is open.
async fn lock(pool: &PgPool, id: i64) -> Result<Locked, Error> {
    let mut held = None;
    loop {
        let mut tx = pool.begin().await?;
        let team_id = match held {
            Some(owner_id) => team_of(&mut tx, owner_id).await?,
            None => None,
        };
        let found = store::find_for_update(&mut tx, id).await?;
        let (detail, history_id) = found.ok_or_else(|| not_found(id))?;
        let (status, owner_id) = (detail.opportunity.status, detail.opportunity.owner_id);
        if status == Kind::Open || held == Some(owner_id) {
            return Ok(Locked { tx, detail, history_id, team_id });
        }
        held = Some(owner_id);
        tx.rollback().await?;
    }
}

/// A step whose texts fit, as far as it is good.
fn tidy(mut step: Step, stage: &str, invalid: &mut Invalid) -> Step {
    if stage.trim().is_empty() {
        invalid.add("stage", "required", "is required");
    }
    step.probability = draft::percent(invalid, step.probability);
    step.notes = text::free(invalid, "notes", step.notes.as_deref(), 20_000);
    step.lost_reason = text::name(invalid, "lost_reason", step.lost_reason.as_deref(), 255);
    step
}
