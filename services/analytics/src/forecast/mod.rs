//! The forecast of a period: what is asked, one statement over the rollups, the model, and beside it what is to be won and what managers expect.

pub mod model;
mod store;

use auth::Caller;
use chrono::{DateTime, Utc};
use futures::TryFutureExt as _;
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
    let of = (calendar, &period);
    let (known, target, adjustment) = tokio::try_join!(
        store::known(&state.reads, &ground.scope, period.span, phase).map_err(Error::from),
        target::of_scope(state, caller, ask, &ground.scope, of),
        adjustment::of_scope(state, caller, ask, of),
    )?;
    let pipelines = ground.pipelines.iter();
    let pipelines = pipelines.filter(|it| ask.pipeline_id.is_none_or(|id| it.id == id));
    Ok(Forecast { target, adjustment, ..model::forecast(period, phase, pipelines, &known) })
}
