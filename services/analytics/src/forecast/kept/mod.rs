//! Forecasts as they were given, day by day.

mod store;

use anyhow::Result;
use auth::Caller;
use chrono::{DateTime, Datelike as _, Days, NaiveDate, Utc};
use chrono_tz::Tz;
use money::Money;
use rpc::{Error, Invalid};
use sqlx::PgPool;

use super::model::{Phase, Whose};
use super::part::{Part, Pieces, pieces};
use super::speaker::Model;
use super::stage::Stages;
use super::{Heard, hear, is_whole};
use crate::State;
use crate::ask::Ask;
use crate::period::{Asked, Calendar, Period, Span};
use crate::pipeline;
use crate::rollup::day;
use crate::visibility::{Scope, Sight};

pub(crate) use store::{first_kept, forget_replayed, keep};

/// A forecast of a period as it was given on a day.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Given {
    pub(crate) span: Span,
    pub(crate) made_on: NaiveDate,
    pub(crate) made_at: DateTime<Utc>,
    /// Which model spoke.
    pub(crate) model: String,
    pub(crate) model_version: i32,
    /// Whether it was made later, from what was known then.
    pub(crate) is_replayed: bool,
    pub(crate) whole: Part,
    /// Of the logarithm of what is to come, where a model spoke.
    pub(crate) sigma: Option<f64>,
    /// By owner, team and pipeline.
    pub(crate) parts: Vec<(Whose, Pieces)>,
}

/// The periods whose forecast is kept: the present month, quarter and year, and those after them.
fn periods(calendar: Calendar, today: NaiveDate) -> Vec<Period> {
    let (year, quarter) = (calendar.year_of(today), calendar.quarter_of(today));
    let month = calendar.month(year, today.month());
    let next = month.span.end.checked_add_days(Days::new(1)).unwrap_or(today);
    let (after_year, after_quarter) =
        if quarter == 4 { (year + 1, 1) } else { (year, quarter + 1) };
    vec![
        calendar.month(calendar.year_of(next), next.month()),
        month,
        calendar.quarter(year, quarter),
        calendar.quarter(after_year, after_quarter),
        calendar.year(year),
        calendar.year(year + 1),
    ]
}

/// Keeps the forecast of today as it is told now, in place of what it was earlier today.
pub(crate) async fn keep_day(
    pool: &PgPool,
    calendar: Calendar,
    (zone, now): (Tz, DateTime<Utc>),
) -> Result<()> {
    let today = day(now, zone);
    let pipelines = pipeline::all(pool).await?;
    let scope = Scope::new(Sight::All, None, None, None);
    let mut given = Vec::new();
    for period in periods(calendar, today) {
        let phase = Phase::of(period.span, today);
        let known = super::store::known(pool, &scope, (period.span, phase), true).await?;
        let stages = Stages::of(pipelines.iter(), &known);
        let whole = Pieces::of(&known.won, &stages.counted);
        let parts = pieces(&known.won, &stages.counted, |whose| whose);
        let model = Model::of(phase, &known);
        given.push(Given {
            span: period.span,
            made_on: today,
            made_at: now,
            model: model.name,
            model_version: model.version,
            is_replayed: false,
            whole: whole.part(known.ahead, true),
            sigma: known.ahead.map(|ahead| ahead.sigma),
            parts: parts.into_iter().collect(),
        });
    }
    let mut tx = pool.begin().await?;
    store::forget_day(&mut tx, today).await?;
    for given in &given {
        keep(&mut tx, given).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// How the forecast of a period moved.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// Which.
    pub period: Period,
    /// The days, the first first.
    pub days: Vec<KeptDay>,
    /// What was won in it, once it is over.
    pub actual: Option<Money>,
    /// When the latest change in that was written down.
    pub as_of: DateTime<Utc>,
}

/// The forecast of a day.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptDay {
    /// Which day.
    pub made_on: NaiveDate,
    /// When on that.
    pub made_at: DateTime<Utc>,
    /// What was told.
    pub part: Part,
    /// Which model spoke.
    pub model: String,
    /// Its version.
    pub model_version: i32,
    /// Whether it was made later, from what was known then.
    pub is_replayed: bool,
}

/// How the forecast of a period moved, as far as the caller sees it.
pub async fn history(
    state: &State,
    caller: &Caller,
    ask: &Ask,
    asked: &Asked<'_>,
    now: DateTime<Utc>,
) -> Result<Kept, Error> {
    let heard = hear(state, caller, ask, asked, Invalid::default(), now).await?;
    let Heard { period, phase, ground, .. } = heard;
    let scope = &ground.scope;
    let days = async {
        if is_whole(scope) {
            store::days(&state.reads, period.span).await
        } else {
            store::days_of_part(&state.reads, scope, period.span).await
        }
    };
    let known = super::store::known(&state.reads, scope, (period.span, phase), false);
    let (days, known) = tokio::try_join!(days, known)?;
    let won = known.won.iter().map(|(_, sum)| sum.value).sum();
    let actual = Some(won).filter(|_| phase == Phase::Past);
    Ok(Kept { period, days, actual, as_of: known.as_of })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_present_periods_and_the_next_ones_are_kept() {
        let labels = |first_month, today: &str| -> Vec<String> {
            let periods = periods(Calendar { first_month }, today.parse().unwrap());
            periods.into_iter().map(|it| it.label).collect()
        };
        assert_eq!(
            labels(1, "2025-12-31"),
            ["2026-01", "2025-12", "2025-Q4", "2026-Q1", "2025", "2026"]
        );
        assert_eq!(
            labels(4, "2026-03-01"),
            ["2026-04", "2026-03", "2025-Q4", "2026-Q1", "2025", "2026"]
        );
    }
}
