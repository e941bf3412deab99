//! What may become of each open opportunity: its chance, when it probably closes, and why.

mod store;
pub mod words;

use std::collections::HashMap;
use std::time::Duration;

use auth::Caller;
use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use forecast::feature::Look;
use forecast::history::Deal;
use forecast::measure::rounded;
use money::Money;
use rpc::{Error, Invalid};

use super::model::Phase;
use super::speaker::Model;
use crate::State;
use crate::ask::{Ask, calendar, prepare};
use crate::page::{self, Page};
use crate::period::Asked;
use crate::pipeline::Pipelines;
use crate::rollup::day;
use crate::training::history::{Known, float, money};
use crate::training::store::{some, steps};
use crate::training::{Speaking, here, speaking};
use store::Wanted;
use words::{Said, say};

/// An open opportunity as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenOpportunity {
    /// Which.
    pub opportunity_id: i64,
    /// As of this version.
    pub version: i64,
    /// Its name.
    pub opportunity_name: String,
    /// Whose customer.
    pub customer_id: i64,
    /// What that is called, where it is known.
    pub customer_name: Option<String>,
    /// Its pipeline.
    pub pipeline_id: i64,
    /// The name of its stage.
    pub stage: String,
    /// And the key.
    pub stage_key: String,
    /// What its stage is said to promise, in parts of a hundred.
    pub stage_probability: Option<i32>,
    /// Whose it is.
    pub owner_id: i64,
    /// Their name.
    pub owner_name: Option<String>,
    /// Of which team.
    pub team_id: Option<i64>,
    /// What it is worth.
    pub amount: Option<Money>,
    /// In this currency.
    pub currency: String,
    /// In the organisation's.
    pub value: Option<Money>,
    /// The probability that it carries, in parts of a hundred.
    pub probability: i32,
    /// When it is expected to close.
    pub expected_close_date: Option<NaiveDate>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// What may become of it.
#[derive(Clone, Debug, PartialEq)]
pub struct OpportunityForecast {
    /// Which it is.
    pub opportunity: OpenOpportunity,
    /// To be won at last.
    pub win_probability: f64,
    /// What is usual in its stage.
    pub stage_win_probability: f64,
    /// What it is worth by that.
    pub expected_value: Option<Money>,
    /// If it is won: the day before which one in ten is, the day before which half are, and the day after which one in ten is.
    pub close_dates: Option<[NaiveDate; 3]>,
    /// Why.
    pub reasons: Vec<Said>,
}

/// A page of open opportunities.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// The newest first.
    pub items: Vec<OpportunityForecast>,
    /// Of the next page.
    pub next_cursor: Option<String>,
    /// Which model spoke.
    pub model: Model,
    /// When the latest change in it was written down.
    pub as_of: DateTime<Utc>,
}

/// Open opportunities in sight, the newest first, with what may become of them.
pub async fn opportunities(
    state: &State,
    caller: &Caller,
    ask: &Ask,
    (asked, stage): (&Asked<'_>, Option<&str>),
    (limit, cursor): (Option<i32>, Option<&str>),
    now: DateTime<Utc>,
) -> Result<Listed, Error> {
    let mut invalid = Invalid::default();
    let size = page::size(limit, &mut invalid);
    let whose = (ask.owner_id, ask.team_id, ask.pipeline_id);
    let page = Page::parse(size, cursor, &format!("open {asked:?} {stage:?} {whose:?}"))?;
    let (calendar, today) = calendar(state, now)?;
    let is_of_period = *asked != Asked::default();
    let period = calendar.asked(asked, today, &mut invalid).filter(|_| is_of_period);
    let stages = in_stage(&*state.pipelines.get()?, ask.pipeline_id, stage, &mut invalid);
    let ground = prepare(state, caller, ask, invalid, now).await?;
    let wanted = Wanted {
        phase: period.as_ref().map(|period| Phase::of(period.span, today)),
        span: period.map(|period| period.span),
        stages,
    };
    let read = store::open(&state.reads, &ground.scope, &wanted, page).await?;
    let place = |it: &OpenOpportunity| (it.created_at.timestamp_micros(), it.opportunity_id);
    let (rows, next_cursor) = page.cut(read.rows, place);
    let speaking = speaking(state).await.map_err(Error::unavailable)?;
    let learned = speaking.filter(|speaking| speaking.trained.is_learned());
    let Some(speaking) = learned else {
        let items = rows.into_iter().map(unlearned).collect();
        return Ok(Listed {
            items,
            next_cursor,
            model: Model::stage_weighted(),
            as_of: read.as_of,
        });
    };
    let (won, lost) = speaking.trained.learned.ended;
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let voice = speaking.trained.voice().name();
    let model = Model::learned(voice, speaking.version, (count(won), count(lost)));
    let model = model.seen(&ground.scope.sight);
    let deals = deals(state, &speaking, &rows, now).await?;
    let names = super::store::names(&state.reads, false).await?;
    let zone = state.settings.get()?.zone;
    let told = rows.into_iter().map(|row| match deals.get(&row.opportunity_id) {
        Some(deal) => told(row, deal, (&speaking, &names), (zone, now)),
        None => unlearned(row),
    });
    Ok(Listed { items: told.collect(), next_cursor, model, as_of: read.as_of })
}

/// The open stages of that key or name, each with its pipeline; none where nothing is named. One that there is not is noted.
fn in_stage(
    pipelines: &Pipelines,
    pipeline_id: Option<i64>,
    stage: Option<&str>,
    invalid: &mut Invalid,
) -> Option<Vec<(i64, String)>> {
    let stage = stage?.trim();
    let asked = pipelines.iter().filter(|it| pipeline_id.is_none_or(|id| it.id == id));
    let open = asked.flat_map(|it| it.open_stages().map(|stage| (it.id, stage)));
    let named = open.filter(|(_, it)| it.name == stage || it.key.eq_ignore_ascii_case(stage));
    let found: Vec<(i64, String)> = named.map(|(id, stage)| (id, stage.key.clone())).collect();
    if found.is_empty() {
        invalid.add("stage", "unknown_stage", "there is no such open stage");
    }
    Some(found)
}

/// As the model looks at them.
async fn deals(
    state: &State,
    speaking: &Speaking,
    rows: &[OpenOpportunity],
    now: DateTime<Utc>,
) -> Result<HashMap<i64, Deal>, Error> {
    let ids: Vec<i64> = rows.iter().map(|row| row.opportunity_id).collect();
    let mut connection = state.reads.acquire().await?;
    let steps = steps(&mut connection).await?;
    let chunk = some(&mut connection, &ids).await?;
    let settings = state.settings.get()?;
    let known = Known::new(&speaking.trained, &steps, here(&settings, now));
    Ok(chunk.each().map(|facts| (facts.told.opportunity_id, known.deal(facts))).collect())
}

/// One of which a model says nothing: its own probability and date.
fn unlearned(opportunity: OpenOpportunity) -> OpportunityForecast {
    let chance = |percent: i32| f64::from(percent) / 100.0;
    let own = chance(opportunity.probability);
    OpportunityForecast {
        win_probability: own,
        stage_win_probability: opportunity.stage_probability.map_or(own, chance),
        expected_value: opportunity.value.map(|value| value.weighted(opportunity.probability)),
        close_dates: opportunity.expected_close_date.map(|day| [day; 3]),
        reasons: Vec::new(),
        opportunity,
    }
}

fn told(
    opportunity: OpenOpportunity,
    deal: &Deal,
    (speaking, names): (&Speaking, &HashMap<i64, String>),
    (zone, now): (Tz, DateTime<Utc>),
) -> OpportunityForecast {
    let trained = &speaking.trained;
    // It may have been closed between two looks.
    let Some(look) = Look::of(deal, now.timestamp()) else { return unlearned(opportunity) };
    let outlook = trained.outlook(&look);
    let chance = outlook.win_probability();
    let on = |part: f64| {
        let days = trained.won_after(&outlook, part);
        let after = Duration::try_from_secs_f64(days * forecast::history::DAY);
        day(now + after.unwrap_or_default(), zone)
    };
    let share = trained.share_of_amount();
    let reasons = trained.reasons(&look);
    OpportunityForecast {
        win_probability: rounded(chance),
        stage_win_probability: rounded(trained.stage_average(&look)),
        expected_value: opportunity.value.map(|value| money(float(value) * share * chance)),
        close_dates: (chance > 0.0).then(|| [0.1, 0.5, 0.9].map(on)),
        reasons: reasons.iter().map(|reason| say(reason, trained, names)).collect(),
        opportunity,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::Pipeline;
    use crate::report::tests::pipeline;

    #[test]
    fn a_stage_is_named_by_its_key_or_its_name_in_every_pipeline_that_is_asked_for() {
        let other = Pipeline { id: 2, is_default: false, ..pipeline() };
        let pipelines = Pipelines::new(vec![pipeline(), other]);
        let found = |pipeline_id, stage: &str| {
            let mut invalid = Invalid::default();
            let found = in_stage(&pipelines, pipeline_id, Some(stage), &mut invalid).unwrap();
            assert_eq!(found.is_empty(), invalid.into_result().is_err());
            found.into_iter().map(|(id, _)| id).collect::<Vec<_>>()
        };
        assert_eq!(found(None, " 方案提案"), [1, 2]);
        assert_eq!(found(Some(2), "Proposal"), [2]);
        assert!(found(None, "won").is_empty(), "it is not open");
        assert!(found(None, "").is_empty());
    }
}
