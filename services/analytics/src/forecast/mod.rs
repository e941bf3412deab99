//! The forecast of a period: what is asked, one statement over the rollups, and the model.

pub mod model;
mod store;

use auth::Caller;
use chrono::{DateTime, Utc};
use rpc::{Error, Invalid};

use crate::State;
use crate::ask::{Ask, calendar, prepare};
use crate::period::Asked;
use crate::{adjustment, target};
use model::{Forecast, Phase};

/// What will have been won in a period.
pub async fn forecast(
    state: &State,
    caller: &Caller,
    ask: &Ask,
    asked: &Asked<'_>,
    now: DateTime<Utc>,
) -> Result<Forecast, Error> {
    let mut invalid = Invalid::default();
    let (calendar, today) = calendar(state, now)?;
    let period = calendar.asked(asked, today, &mut invalid);
    let ground = prepare(state, caller, ask, invalid, now).await?;
    let period = period.ok_or_else(|| Error::internal("a period that is neither good nor bad"))?;
    let phase = Phase::of(period.span, today);
    let known = store::known(&state.reads, &ground.scope, period.span, phase).await?;
    let pipelines = ground.pipelines.iter();
    let pipelines = pipelines.filter(|it| ask.pipeline_id.is_none_or(|id| it.id == id));
    let target = target::of_scope(state, caller, ask, &ground.scope, (calendar, &period)).await?;
    let adjustment = adjustment::of_scope(state, caller, ask, (calendar, &period)).await?;
    Ok(Forecast { target, adjustment, ..model::forecast(period, phase, pipelines, &known) })
}
