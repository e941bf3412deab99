//! Opportunities whose stage is being deleted come into another of the same kind, a few hundred in each transaction.

mod store;

use chrono::{DateTime, Utc};
use events::Change;
use rpc::Error;

use super::model::{self, Moment, Outcome};
use crate::State;
use crate::currency::model::Exchange;
use crate::lost_reason::model::LostReasons;
use crate::pipeline::store::Closing;
use crate::pipeline::{self, closing};

/// What a piece of work came to.
pub(crate) enum Step {
    /// So far it was looked; some may lack what the stage asks for.
    Moved {
        /// The last id that was looked at.
        last_id: i64,
        /// How many were not moved.
        lacking: usize,
    },
    /// After that id there is none.
    End,
    /// Somebody else has a piece of it at this moment.
    Busy,
}

/// Moves the next of them by id after one, deleted ones too, each by the rules of every move, with its history row and its change. Fails where the stages are others by now than
/// they were when it began.
pub(crate) async fn step(
    state: &State,
    closing: &Closing,
    after_id: i64,
    now: DateTime<Utc>,
) -> Result<Step, Error> {
    let settings = state.settings.get()?;
    let mut tx = state.writes.begin().await?;
    if !store::try_take(&mut tx, closing).await? {
        return Ok(Step::Busy);
    }
    let pipeline = pipeline::in_transaction(&mut tx, closing.pipeline_id).await?;
    let Some(pipeline) = pipeline else { return Ok(Step::End) };
    let Some(target) = pipeline.stage(&closing.move_to) else { return Ok(Step::End) };
    let chunk = store::find(&mut tx, closing, after_id).await?;
    let Some((last, _)) = chunk.last() else { return Ok(Step::End) };
    let last_id = last.id;
    let meta = closing::meta(closing, now);
    // Within a kind of stage nothing is frozen anew, so that no rate is asked for.
    let exchange = Exchange::of(&settings.default_currency);
    let (by, zone) = (closing.requested_by, settings.zone);
    let lost_reasons = &LostReasons::default();
    let moment = Moment { at: now, by, zone, exchange: &exchange, lost_reasons };
    let (mut moved, mut changes, mut lacking) = (Vec::new(), Vec::new(), 0);
    for (before, history_id) in chunk {
        let mut after = before.clone();
        let step = model::Step::default();
        match model::advance(&mut after, &pipeline, target, step, history_id, &moment) {
            Ok(Outcome::Moved(row)) => {
                let change = meta.moved(Some(&before), &after, Some(&row));
                let cause_id = closing.event_id.to_string();
                changes.push(Change { cause_id, ..change });
                moved.push((after, row));
            }
            Ok(Outcome::Unchanged | Outcome::Adjusted) => {}
            // Since it was asked whether all have what the stage asks for, somebody took it away.
            Err(_) => lacking += 1,
        }
    }
    if !moved.is_empty() {
        if !store::hold_stage(&mut tx, closing.pipeline_id, target).await? {
            return Err(pipeline::stages_changed());
        }
        store::update(&mut tx, &moved).await?;
        store::insert_history(&mut tx, &moved).await?;
        events::outbox::append(&mut tx, &changes).await?;
    }
    tx.commit().await?;
    state.wake.wake();
    Ok(Step::Moved { last_id, lacking })
}
