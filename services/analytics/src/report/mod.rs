//! Reports: what is asked, one statement over the rollups, and a pure function from its rows to the answer.

pub mod advanced;
pub mod change;
pub mod conversion;
pub mod opened;
pub mod overview;
pub mod performance;
mod store;
pub mod trend;
pub mod value;

use auth::Caller;
use chrono::{DateTime, NaiveDate, Utc};
use rpc::{Error, Invalid};

use crate::State;
use crate::ask::{Ask, calendar, prepare};
use crate::period::{Asked, Cut, check_year};
use crate::target;
use conversion::Conversion;
use overview::Overview;
use performance::Performance;
use trend::Trend;

/// Rows, and when the latest change in them was written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read<T> {
    pub(crate) rows: Vec<T>,
    pub(crate) as_of: DateTime<Utc>,
}

/// The funnel as it stands.
pub async fn overview(
    state: &State,
    caller: &Caller,
    ask: &Ask,
    now: DateTime<Utc>,
) -> Result<Overview, Error> {
    let ground = prepare(state, caller, ask, Invalid::default(), now).await?;
    let pipeline = ground.pipeline()?;
    let read = store::funnel(&state.reads, pipeline.id, &ground.scope).await?;
    Ok(overview::overview(pipeline, &read))
}

/// How many of the opportunities that entered each open stage from a day to a day went further.
pub async fn conversion(
    state: &State,
    caller: &Caller,
    ask: &Ask,
    (start, end): (Option<NaiveDate>, Option<NaiveDate>),
    mut invalid: Invalid,
    now: DateTime<Utc>,
) -> Result<Conversion, Error> {
    if start.zip(end).is_some_and(|(start, end)| start > end) {
        invalid.add("end_date", "before_start", "must not be before start_date");
    }
    let (_, today) = calendar(state, now)?;
    let ground = prepare(state, caller, ask, invalid, now).await?;
    let pipeline = ground.pipeline()?;
    let slices = conversion::slices(start, end, today);
    let read = store::entries(&state.reads, pipeline.id, &ground.scope, &slices).await?;
    Ok(conversion::conversion(pipeline, &read))
}

/// What was won, lost and made in each period of a year.
pub async fn trend(
    state: &State,
    caller: &Caller,
    ask: &Ask,
    (period, year): (Option<&str>, Option<i32>),
    now: DateTime<Utc>,
) -> Result<Trend, Error> {
    let mut invalid = Invalid::default();
    let (calendar, today) = calendar(state, now)?;
    let cut = Cut::asked(period, &mut invalid).unwrap_or(Cut::Monthly);
    let year = check_year(year, &mut invalid).unwrap_or_else(|| calendar.year_of(today));
    let ground = prepare(state, caller, ask, invalid, now).await?;
    let periods = calendar.cut(year, cut);
    let zone = state.settings.get()?.zone;
    let grain = cut.grain(ground.scope.is_of_all());
    let (read, earlier) = store::flow(&state.reads, &ground.scope, grain, &periods, zone).await?;
    Ok(trend::trend(periods, &read, earlier))
}

/// How each salesperson did in a period.
pub async fn performance(
    state: &State,
    caller: &Caller,
    ask: &Ask,
    asked: &Asked<'_>,
    now: DateTime<Utc>,
) -> Result<Performance, Error> {
    let mut invalid = Invalid::default();
    let (calendar, today) = calendar(state, now)?;
    let period = calendar.asked(asked, today, &mut invalid);
    let ground = prepare(state, caller, ask, invalid, now).await?;
    let period = period.ok_or_else(|| Error::internal("a period that is neither good nor bad"))?;
    let read = store::sellers(&state.reads, &ground.scope, period.span).await?;
    let targets = target::of_people(state, ask, &ground.scope, (calendar, &period)).await?;
    Ok(performance::performance(period, &read, &targets))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::category::Category;
    use crate::deal::Kind;
    use crate::pipeline::{Pipeline, Stage};
    use money::Money;

    pub(crate) fn money(hundredths: i128) -> Money {
        Money::from_hundredths(hundredths)
    }

    pub(crate) fn on(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    pub(crate) fn pipeline() -> Pipeline {
        let stages = [
            ("lead", "潛在客戶", Kind::Open),
            ("proposal", "方案提案", Kind::Open),
            ("won", "成交", Kind::Won),
            ("lost", "失敗", Kind::Lost),
        ];
        let stage = |(key, name, kind): (&str, &str, Kind)| Stage {
            key: key.to_owned(),
            name: name.to_owned(),
            kind,
            category: Category::Pipeline,
        };
        Pipeline { id: 1, is_default: true, stages: stages.map(stage).to_vec() }
    }
}
