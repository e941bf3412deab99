//! Making stages, changing them and bringing them into another order.

use auth::Caller;
use idempotency::{Once, Outcome};
use rpc::{Error, Invalid};

use super::draft::{self, MOST_STAGES, NewStage, StageEdit};
use super::model::{Pipeline, Stage};
use super::{Turn, closing, save, store};
use crate::State;
use crate::meta::Meta;

/// The operation that an idempotency key is for.
const CREATE: &str = "CreateStage";

/// A stage among those of its pipeline.
#[derive(Clone, Debug)]
pub struct Placed {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// The key of the stage.
    pub key: String,
}

/// Makes a stage.
pub async fn create(
    state: &State,
    caller: &Caller,
    pipeline_id: Option<i64>,
    new: NewStage,
    once: Option<Once<Placed>>,
    meta: Meta,
) -> Result<Outcome<Placed>, Error> {
    caller.require_admin()?;
    let (by, at) = (caller.user_id, meta.recorded_at);
    let mut tx = state.writes.begin().await?;
    let answered = idempotency::answered(&mut tx, by, CREATE, once.as_ref(), at).await?;
    if let Some(answer) = answered {
        return Ok(Outcome::Replay(answer));
    }
    let mut turn = Turn::of(tx).await?;
    let before = turn.pipeline(pipeline_id, None)?;
    if before.stages.len() >= MOST_STAGES {
        let message = format!("the pipeline has {MOST_STAGES} stages, which is the most");
        return Err(Error::conflict("TOO_MANY_STAGES", message));
    }
    let retired = store::retired(&mut turn.tx, before.id, new.key.as_deref()).await?;
    let mut after = before.clone();
    let mut invalid = Invalid::default();
    let own = turn.custom_fields().await?;
    let key = draft::new_stage(&mut after.stages, new, (&retired, &own), &mut invalid);
    if let Some((code, message)) = draft::flaw(&after.stages).filter(|_| invalid.is_empty()) {
        invalid.add("position", code, message);
    }
    invalid.into_result()?;
    let key = key.ok_or_else(|| Error::internal("a key that is neither good nor bad"))?;
    let change = save(&mut turn.tx, &before, &mut after, &meta).await?;
    store::unretire(&mut turn.tx, after.id, &key).await?;
    let placed = Placed { pipeline: after, key };
    idempotency::keep(&mut turn.tx, by, CREATE, once.as_ref(), &placed).await?;
    turn.commit(state, change.as_slice()).await?;
    Ok(Outcome::New(placed))
}

/// Which stage of which pipeline is meant, and of which version of that.
#[derive(Clone, Debug)]
pub struct StageRef {
    /// The pipeline; the default one where absent.
    pub pipeline_id: Option<i64>,
    /// The key of the stage, in any case.
    pub key: String,
    /// Only if this is the pipeline's version.
    pub expected_version: Option<i64>,
}

impl StageRef {
    /// Where it is among the stages of its pipeline.
    pub(super) fn index(&self, pipeline: &Pipeline) -> Result<usize, Error> {
        let mut stages = pipeline.stages.iter();
        let found = stages.position(|stage| stage.key.eq_ignore_ascii_case(&self.key));
        found.ok_or_else(|| Error::not_found("stage", &self.key))
    }
}

/// Changes what is named of a stage.
pub async fn update(
    state: &State,
    caller: &Caller,
    which: StageRef,
    edit: StageEdit,
    meta: Meta,
) -> Result<Placed, Error> {
    caller.require_admin()?;
    let mut turn = Turn::take(state).await?;
    let before = turn.pipeline(which.pipeline_id, which.expected_version)?;
    let index = which.index(&before)?;
    let stage = &before.stages[index];
    if stage.moving_to.is_some() {
        return Err(Error::conflict(closing::STAGE_CLOSING, "this stage is being deleted"));
    }
    let is_receiving =
        before.stages.iter().any(|it| it.moving_to.as_ref().is_some_and(|to| *to == stage.key));
    if is_receiving && edit.required_fields.is_some() {
        let message = "a stage is being deleted whose opportunities go to this one: what it asks for stays until then";
        return Err(Error::conflict("STAGE_RECEIVING", message));
    }
    if let Some(Some(kind)) = edit.kind
        && kind != stage.kind
        && (is_receiving || store::is_used(&mut turn.tx, before.id, &stage.key).await?)
    {
        return Err(kind_is_fixed(stage));
    }
    let mut after = before.clone();
    let mut invalid = Invalid::default();
    let own = turn.custom_fields().await?;
    draft::edit_stage(&mut after.stages, index, edit, &own, &mut invalid);
    invalid.into_result()?;
    let key = stage.key.clone();
    let change = save(&mut turn.tx, &before, &mut after, &meta).await?;
    turn.commit(state, change.as_slice()).await?;
    Ok(Placed { pipeline: after, key })
}

fn kind_is_fixed(stage: &Stage) -> Error {
    let kind = stage.kind.as_str();
    let message = format!("opportunities are or were in this stage, so that it stays {kind}");
    Error::conflict("STAGE_USED", message)
}

/// Brings the stages of a pipeline into another order.
pub async fn reorder(
    state: &State,
    caller: &Caller,
    (pipeline_id, expected_version): (Option<i64>, Option<i64>),
    keys: Vec<String>,
    meta: Meta,
) -> Result<Pipeline, Error> {
    caller.require_admin()?;
    let mut turn = Turn::take(state).await?;
    let before = turn.pipeline(pipeline_id, expected_version)?;
    let mut after = before.clone();
    let mut invalid = Invalid::default();
    draft::reorder(&mut after.stages, &keys, &mut invalid);
    invalid.into_result()?;
    let change = save(&mut turn.tx, &before, &mut after, &meta).await?;
    turn.commit(state, change.as_slice()).await?;
    Ok(after)
}
