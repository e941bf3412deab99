//! Advanced reports: how fast, why not, how long, what became of it, and what was done about it. What is asked, one statement each, and a pure function from its rows to the answer.

pub mod activities;
pub mod cohorts;
pub mod loss_reasons;
pub mod stage_duration;
mod store;
pub mod velocity;

use auth::Caller;
use chrono::{DateTime, Utc};
use rpc::{Error, Invalid};

use crate::State;
use crate::ask::{Ask, calendar, prepare};
use crate::period::Cut;
use crate::range::{Range, begin};
use crate::report::conversion;
use activities::Activities;
use cohorts::Cohorts;
use loss_reasons::LossReasons;
use stage_duration::StageDurations;
use velocity::Velocity;

/// How many months a cohort is followed where nobody says.
const MONTHS: i32 = 12;
/// How many it is followed at most.
const MOST_MONTHS: i32 = 36;

/// How much is won a day, of what closed from a day to a day.
pub async fn velocity(
    state: &State,
    caller: &Caller,
    ask: &Ask,
    range: Range,
    mut invalid: Invalid,
    now: DateTime<Utc>,
) -> Result<Velocity, Error> {
    range.check(&mut invalid);
    let (_, today) = calendar(state, now)?;
    let ground = prepare(state, caller, ask, invalid, now).await?;
    let slices = velocity::slices(range, today);
    let read = store::closed(&state.reads, &ground.scope, &slices).await?;
    Ok(velocity::velocity(&read))
}

/// Why opportunities were lost from a day to a day.
pub async fn loss_reasons(
    state: &State,
    caller: &Caller,
    ask: &Ask,
    range: Range,
    mut invalid: Invalid,
    now: DateTime<Utc>,
) -> Result<LossReasons, Error> {
    range.check(&mut invalid);
    let (_, today) = calendar(state, now)?;
    let ground = prepare(state, caller, ask, invalid, now).await?;
    let slices = velocity::slices(range, today);
    let read = store::lost(&state.reads, &ground.scope, &slices).await?;
    Ok(loss_reasons::loss_reasons(read))
}

/// How long those are in each open stage that entered it from a day to a day.
pub async fn stage_durations(
    state: &State,
    caller: &Caller,
    ask: &Ask,
    range: Range,
    mut invalid: Invalid,
    now: DateTime<Utc>,
) -> Result<StageDurations, Error> {
    range.check(&mut invalid);
    let (_, today) = calendar(state, now)?;
    let ground = prepare(state, caller, ask, invalid, now).await?;
    let slices = conversion::slices(range.start, range.end, today);
    let read = store::durations(&state.reads, &ground.scope, &slices, today).await?;
    let pipelines = ground.pipelines.iter();
    let pipelines = pipelines.filter(|it| ask.pipeline_id.is_none_or(|id| it.id == id));
    Ok(stage_duration::stage_durations(pipelines, &read))
}

/// What everybody did from a day to a day; without a first day from that of the quarter.
pub async fn activities(
    state: &State,
    caller: &Caller,
    ask: &Ask,
    range: Range,
    mut invalid: Invalid,
    now: DateTime<Utc>,
) -> Result<Activities, Error> {
    range.check(&mut invalid);
    let (calendar, today) = calendar(state, now)?;
    let range = range.begun(calendar, today);
    let zone = state.settings.get()?.zone;
    let ground = prepare(state, caller, ask, invalid, now).await?;
    let (from, before) = range.instants(zone);
    let within = (from, before, begin(today, zone));
    let read = store::done(&state.reads, &ground.scope, within).await?;
    Ok(activities::activities(range, read))
}

/// What became of those that were made from a day to a day, month by month.
pub async fn cohorts(
    state: &State,
    caller: &Caller,
    ask: &Ask,
    (period, months): (Option<&str>, Option<i32>),
    range: Range,
    mut invalid: Invalid,
    now: DateTime<Utc>,
) -> Result<Cohorts, Error> {
    range.check(&mut invalid);
    let cut = match period {
        None | Some("monthly") => Cut::Monthly,
        Some("quarterly") => Cut::Quarterly,
        Some(_) => {
            invalid.add("period", "unknown_value", "must be monthly or quarterly");
            Cut::Monthly
        }
    };
    let months = months.unwrap_or(MONTHS);
    if !(1..=MOST_MONTHS).contains(&months) {
        invalid.add("months", "out_of_range", format!("must be from 1 to {MOST_MONTHS}"));
    }
    let (calendar, today) = calendar(state, now)?;
    let zone = state.settings.get()?.zone;
    let ground = prepare(state, caller, ask, invalid, now).await?;
    let cohorts = cohorts::cut(calendar, cut, range, today);
    let bounds = cohorts::bounds(&cohorts, zone);
    let read = store::made(&state.reads, &ground.scope, &bounds).await?;
    Ok(cohorts::follow(&cohorts, months, today, &read))
}
