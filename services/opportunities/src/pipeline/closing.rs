//! Deleting a stage: at once where nothing stands in it, otherwise once everything was moved, piece by piece, which any replica carries on.

use std::time::Duration;

use auth::Caller;
use events::{Actor, Origin};
use rpc::Error;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::model::{Pipeline, Stage};
use super::stage::StageRef;
use super::store::{self, Closing};
use super::{STAGE_IN_USE, Turn, draft, save, stages_changed};
use crate::State;
use crate::meta::Meta;
use crate::opportunity::relocate::{self, Step};

/// The reason of a conflict over a stage that is being deleted.
pub(super) const STAGE_CLOSING: &str = "STAGE_CLOSING";
/// How long a request waits for its stage to be empty.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked whether a stage is to be emptied.
const LOOK: Duration = Duration::from_secs(1);
/// How long until those are tried again that could not be moved.
const RETRY: Duration = Duration::from_secs(10);
/// How long until it is looked again whether somebody else is done with a piece.
const GLANCE: Duration = Duration::from_millis(50);

/// A stage that is not gone yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Its pipeline.
    pub pipeline_id: i64,
    /// Its key.
    pub key: String,
    /// The key of the stage where what stands in it goes.
    pub move_to: String,
    /// How many opportunities stand in it still, deleted ones included.
    pub remaining: i64,
}

/// What a look at a stage that is being deleted came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// The stage is gone.
    Gone,
    /// There is more to be moved.
    More,
    /// All that can be moved is; some opportunities do not have what the other stage asks for.
    Stuck,
}

/// Deletes a stage. Where opportunities stand in it, deleted ones included, they go to another of the same kind, by the rules of every move; that may take longer than this waits,
/// and what is left is answered then. To ask again changes nothing and waits again.
pub async fn delete(
    state: &State,
    caller: &Caller,
    which: StageRef,
    move_to: Option<String>,
    meta: Meta,
) -> Result<Option<Left>, Error> {
    caller.require_admin()?;
    let mut turn = Turn::take(state).await?;
    let before = turn.pipeline(which.pipeline_id, which.expected_version)?;
    let index = which.index(&before)?;
    let stage = &before.stages[index];
    let target = move_to.map(|called| target(&before, stage, &called)).transpose()?;
    if let Some(moving_to) = &stage.moving_to {
        if target.is_some_and(|target| target.key != *moving_to) {
            let message = "this stage is being deleted, and what stands in it goes elsewhere";
            return Err(Error::conflict(STAGE_CLOSING, message).about("move_to", moving_to));
        }
        turn.tx.rollback().await?;
        return wait(state, (before.id, &stage.key)).await;
    }
    can_go(&before, index)?;
    let standing = store::standing(&mut *turn.tx, before.id, &stage.key).await?;
    let mut after = before.clone();
    if standing.count == 0 {
        let stage = after.stages.remove(index);
        store::retire(&mut turn.tx, before.id, &stage).await?;
        let change = save(&mut turn.tx, &before, &mut after, &meta).await?;
        turn.commit(state, change.as_slice()).await?;
        return Ok(None);
    }
    let Some(target) = target else {
        let message = "opportunities stand in this stage: say in `move_to` where they go";
        return Err(Error::conflict(STAGE_IN_USE, message)
            .about("opportunities", standing.count)
            .about("deleted", standing.deleted));
    };
    if !target.required_fields.is_empty() {
        let fields = &target.required_fields;
        let lacking = store::lacking(&mut *turn.tx, before.id, &stage.key, fields).await?;
        if lacking.count > 0 {
            return Err(lacks(&lacking, target));
        }
    }
    after.stages[index].moving_to = Some(target.key.clone());
    let change = save(&mut turn.tx, &before, &mut after, &meta).await?;
    let change = change.ok_or_else(|| Error::internal("a closing that changes nothing"))?;
    let closing = Closing {
        pipeline_id: before.id,
        key: stage.key.clone(),
        move_to: target.key.clone(),
        requested_by: caller.user_id,
        request_id: meta.request_id.clone(),
        traceparent: meta.traceparent.clone(),
        event_id: change.event_id,
    };
    store::insert_closing(&mut turn.tx, &closing).await?;
    turn.commit(state, &[change]).await?;
    wait(state, (closing.pipeline_id, &closing.key)).await
}

/// Where what stands in a stage may go: another of the same pipeline and kind that stays.
fn target<'a>(pipeline: &'a Pipeline, stage: &Stage, called: &str) -> Result<&'a Stage, Error> {
    let invalid = |code, message| Err(Error::invalid("move_to", code, message));
    match pipeline.find(called) {
        None => invalid("unknown_stage", "there is no such stage in the pipeline"),
        Some(it) if it.key == stage.key => invalid("same_stage", "is the stage itself"),
        Some(it) if it.moving_to.is_some() => invalid("stage_closing", "is being deleted, too"),
        Some(it) if it.kind != stage.kind => {
            invalid("other_kind", "has to be a stage of the same kind: open, won or lost")
        }
        Some(it) => Ok(it),
    }
}

/// Whether the rest is a pipeline still.
fn can_go(pipeline: &Pipeline, index: usize) -> Result<(), Error> {
    let key = &pipeline.stages[index].key;
    if pipeline.stages.iter().any(|it| it.moving_to.as_ref() == Some(key)) {
        let message = "a stage is being deleted whose opportunities go to this one";
        return Err(Error::conflict("STAGE_RECEIVING", message));
    }
    let mut rest = pipeline.stages.clone();
    rest.remove(index);
    match draft::flaw(&rest) {
        Some(("first_not_open", message)) => Err(Error::conflict("FIRST_NOT_OPEN", message)),
        Some((_, message)) => Err(Error::conflict("LAST_OF_ITS_KIND", message)),
        None => Ok(()),
    }
}

fn lacks(lacking: &store::Lacking, target: &Stage) -> Error {
    let ids: Vec<_> = lacking.ids.iter().map(i64::to_string).collect();
    let message = format!(
        "stage {} asks for {}, which some opportunities do not have; the first of them: {}",
        target.name,
        target.required_fields.join(", "),
        ids.join(", ")
    );
    Error::conflict("REQUIRED_FOR_STAGE", message)
        .about("opportunities", lacking.count)
        .about("deleted", lacking.deleted)
        .about("ids", format!("[{}]", ids.join(",")))
}

/// Moves what stands in a stage that is being deleted for as long as a request may wait; what is left then.
async fn wait(state: &State, (pipeline_id, key): (i64, &str)) -> Result<Option<Left>, Error> {
    let until = Instant::now() + PATIENCE;
    let all = store::closings(&state.reads).await?;
    let found = all.into_iter().find(|it| it.pipeline_id == pipeline_id && it.key == *key);
    let Some(closing) = found else { return Ok(None) };
    let progress = work(state, &closing, Some(until)).await?;
    if progress == Progress::Gone {
        return Ok(None);
    }
    if progress == Progress::Stuck {
        let pipelines = store::all(&state.reads).await?;
        if let Some(target) = pipelines.stage(pipeline_id, &closing.move_to) {
            let fields = &target.required_fields;
            let lacking = store::lacking(&state.reads, pipeline_id, key, fields).await?;
            if lacking.count > 0 {
                return Err(lacks(&lacking, target));
            }
        }
    }
    let remaining = store::standing(&state.reads, pipeline_id, key).await?.count;
    let Closing { key, move_to, .. } = closing;
    Ok(Some(Left { pipeline_id, key, move_to, remaining }))
}

/// Moves what stands in a stage, piece by piece, and removes the stage when nothing is left. Several may do so at once, in one process or many: each piece is one's alone.
async fn work(state: &State, closing: &Closing, until: Option<Instant>) -> Result<Progress, Error> {
    let (mut after_id, mut blocked) = (0, 0);
    loop {
        if until.is_some_and(|until| Instant::now() >= until) {
            return Ok(Progress::More);
        }
        let step = relocate::step(state, closing, after_id, process::now()).await;
        match step {
            Ok(Step::Moved { last_id, lacking }) => {
                after_id = last_id;
                blocked += lacking;
            }
            Ok(Step::Busy) => sleep(GLANCE).await,
            Ok(Step::End) if blocked > 0 => return Ok(Progress::Stuck),
            Ok(Step::End) => {
                if finish(state, closing, process::now()).await? {
                    return Ok(Progress::Gone);
                }
                // Somebody else had some of them when this passed by.
                after_id = 0;
                sleep(GLANCE).await;
            }
            Err(error) if error.reason() == stages_changed().reason() => {}
            Err(error) => return Err(error),
        }
    }
}

/// Removes a stage that is empty; false where it is not, true also where it was removed before.
async fn finish(
    state: &State,
    closing: &Closing,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<bool, Error> {
    let mut turn = Turn::take(state).await?;
    let Some(before) = turn.pipelines.get(Some(closing.pipeline_id)).cloned() else {
        return Ok(true);
    };
    let is_it = |stage: &Stage| stage.key == closing.key && stage.moving_to.is_some();
    let Some(index) = before.stages.iter().position(is_it) else { return Ok(true) };
    if store::standing(&mut *turn.tx, before.id, &closing.key).await?.count > 0 {
        return Ok(false);
    }
    let mut after = before.clone();
    let stage = after.stages.remove(index);
    store::retire(&mut turn.tx, before.id, &stage).await?;
    let meta = meta(closing, now);
    let change = save(&mut turn.tx, &before, &mut after, &meta).await?;
    turn.commit(state, change.as_slice()).await?;
    info!(pipeline_id = closing.pipeline_id, stage = closing.key, "a stage was deleted");
    Ok(true)
}

/// What is done for who asked for it: one request that changes many records.
pub(crate) fn meta(closing: &Closing, now: chrono::DateTime<chrono::Utc>) -> Meta {
    Meta {
        actor: Actor::User(closing.requested_by),
        origin: Origin::Bulk,
        recorded_at: now,
        request_id: closing.request_id.clone(),
        traceparent: closing.traceparent.clone(),
    }
}

/// Empties every stage that is being deleted, whoever began it, for ever.
pub(crate) async fn run(state: State, shutdown: CancellationToken) -> anyhow::Result<()> {
    let mut pause = LOOK;
    while shutdown.run_until_cancelled(sleep(pause)).await.is_some() {
        pause = LOOK;
        // What is remembered says whether there is anything to do, so that a look costs nothing.
        let is_any = state.pipelines.get().is_ok_and(|pipelines| {
            pipelines.iter().any(|it| it.stages.iter().any(|stage| stage.moving_to.is_some()))
        });
        if !is_any {
            continue;
        }
        match shutdown.run_until_cancelled(carry_on(&state)).await {
            None => break,
            Some(Ok(true)) => {}
            Some(Ok(false)) => pause = RETRY,
            Some(Err(error)) => {
                let error = format!("{:#}", anyhow::Error::from(error));
                warn!(error, "a stage that is being deleted was not emptied");
                pause = RETRY;
            }
        }
    }
    Ok(())
}

/// Empties every stage that is being deleted; false where some could not be.
pub async fn carry_on(state: &State) -> Result<bool, Error> {
    let mut is_done = true;
    for closing in store::closings(&state.reads).await? {
        is_done &= work(state, &closing, None).await? == Progress::Gone;
    }
    Ok(is_done)
}
