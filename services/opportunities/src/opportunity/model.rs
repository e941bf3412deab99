//! The rules of an opportunity: one pure function for every way in which its stage can change.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use money::{Money, Rate};
use rpc::Invalid;

use super::line_item::LineItem;
use crate::access::model::Owned;
use crate::currency::model::Exchange;
use crate::custom_field::model::Values;
use crate::lost_reason::model::LostReasons;
use crate::pipeline::category::Category;
use crate::pipeline::model::{Kind, Pipeline, Stage, own_field};

/// An opportunity as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opportunity {
    /// Its id.
    pub id: i64,
    /// What is to be sold.
    pub opportunity_name: String,
    /// To whom.
    pub customer_id: i64,
    /// That customer's name.
    pub customer_name: String,
    /// The person asked.
    pub contact_id: Option<i64>,
    /// The pipeline it runs through.
    pub pipeline_id: i64,
    /// Key of its stage there.
    pub stage_key: String,
    /// The kind of that stage.
    pub status: Kind,
    /// For how much.
    pub amount: Option<Money>,
    /// ISO 4217.
    pub currency: String,
    /// The amount in the organisation's currency, frozen when it closed.
    pub closed_amount: Option<Money>,
    /// The rate by which it was frozen, if one was needed.
    pub closed_rate: Option<Rate>,
    /// Percent.
    pub probability: i32,
    /// The day it is expected to close.
    pub expected_close_date: Option<NaiveDate>,
    /// The day it closed.
    pub actual_close_date: Option<NaiveDate>,
    /// Why it was lost.
    pub lost_reason: Option<String>,
    /// Whose it is.
    pub owner_id: i64,
    /// The team it counts for.
    pub team_id: Option<i64>,
    /// Names of products.
    pub products: Vec<String>,
    /// Free text.
    pub notes: Option<String>,
    /// Where it came from.
    pub source: Option<String>,
    /// Its id in another system.
    pub external_id: Option<String>,
    /// Labels.
    pub tags: Vec<String>,
    /// Not stale before this day.
    pub waiting_until: Option<NaiveDate>,
    /// How sure a forecast may be of it, where it says so itself; kept while it is closed.
    pub forecast_category: Option<Category>,
    /// What is to be sold, line by line.
    pub line_items: Vec<LineItem>,
    /// What is said in the organisation's own fields.
    pub custom_fields: Values,
    /// Who made it.
    pub created_by: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// When it came into its stage.
    pub stage_entered_at: DateTime<Utc>,
    /// When it was deleted.
    pub deleted_at: Option<DateTime<Utc>>,
    /// Rises by one with every change.
    pub version: i64,
}

impl Opportunity {
    /// Whose it is, for who may read and change it.
    pub fn owned(&self) -> Owned {
        Owned { owner_id: self.owner_id, team_id: self.team_id }
    }

    /// What it is worth at its probability.
    pub fn weighted_value(&self) -> Option<Money> {
        self.amount.map(|amount| amount.weighted(self.probability))
    }

    /// Whole days in its stage; for a closed one since the day it closed.
    pub fn days_in_stage(&self, today: NaiveDate, zone: Tz) -> i32 {
        let since = self.actual_close_date.unwrap_or_else(|| day(self.stage_entered_at, zone));
        i32::try_from((today - since).num_days().max(0)).unwrap_or(i32::MAX)
    }

    /// How sure a forecast may be of it: as it says itself, or as its stage does; nothing once it is closed.
    pub fn category(&self, stage: Option<&Stage>) -> Option<Category> {
        if self.status != Kind::Open {
            return None;
        }
        // By its probability where its stage is so new that nobody here knows it.
        let by_probability = || Category::of_probability(self.probability);
        let of_stage = || stage.and_then(Stage::category).unwrap_or_else(by_probability);
        Some(self.forecast_category.unwrap_or_else(of_stage))
    }

    /// Whether it has stood in its stage for longer than the stage allows.
    pub fn is_stale(&self, stage: &Stage, today: NaiveDate, zone: Tz) -> bool {
        self.status == Kind::Open
            && stage.rotting_days.is_some_and(|days| self.days_in_stage(today, zone) > days)
            && self.waiting_until.is_none_or(|until| until <= today)
    }

    /// It as the change that follows `before`.
    pub(super) fn after(self, before: &Self, at: DateTime<Utc>) -> Self {
        Self { version: before.version + 1, updated_at: at.max(before.updated_at), ..self }
    }

    /// From now on its amount in the organisation's currency is what it was worth on the day it closed, as far as it is known now.
    pub(super) fn freeze(&mut self, exchange: &Exchange) {
        let on = self.actual_close_date;
        let value = on.and_then(|on| exchange.value(self.amount, &self.currency, on));
        (self.closed_amount, self.closed_rate) = match value {
            Some((amount, rate)) => (Some(amount), rate),
            None => (None, None),
        };
    }

    pub(super) fn has(&self, field: &str) -> bool {
        match field {
            "amount" => self.amount.is_some(),
            "expected_close_date" => self.expected_close_date.is_some(),
            "contact_id" | "contact_name" => self.contact_id.is_some(),
            "products" => !self.products.is_empty(),
            "notes" => self.notes.is_some(),
            "source" => self.source.is_some(),
            "lost_reason" => self.lost_reason.is_some(),
            "external_id" => self.external_id.is_some(),
            "tags" => !self.tags.is_empty(),
            other => own_field(other).is_none_or(|key| self.custom_fields.contains_key(key)),
        }
    }
}

/// One row of the stage history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Its id.
    pub id: i64,
    /// Key and name of the stage before; none for the creation.
    pub from: Option<(String, String)>,
    /// Key and name of the stage after.
    pub to: (String, String),
    /// Probability after the move.
    pub probability: i32,
    /// What was noted about it.
    pub notes: Option<String>,
    /// Who moved it.
    pub changed_by: i64,
    /// When.
    pub changed_at: DateTime<Utc>,
    /// How long it stood in the stage before; none for the creation.
    pub seconds_in_from_stage: Option<i64>,
    /// The version of the stage after by which it was decided.
    pub stage_version: i64,
}

/// What somebody wants of a move, apart from the stage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Percent; the stage's default where absent.
    pub probability: Option<i32>,
    /// A note for the history row.
    pub notes: Option<String>,
    /// Why it was lost.
    pub lost_reason: Option<String>,
    /// The day it closed.
    pub actual_close_date: Option<NaiveDate>,
}

/// When and where a rule is applied.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The instant.
    pub at: DateTime<Utc>,
    /// Who acts.
    pub by: i64,
    /// The organisation's zone, in which days are cut.
    pub zone: Tz,
    /// What amounts are worth in the organisation's currency.
    pub exchange: &'a Exchange,
    /// Why something may be lost.
    pub lost_reasons: &'a LostReasons,
}

impl Moment<'_> {
    /// The day it is in the organisation's zone.
    pub fn today(&self) -> NaiveDate {
        day(self.at, self.zone)
    }
}

/// What became of a move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It stands there already, and nothing else was asked.
    Unchanged,
    /// It stands there already; its probability is another now.
    Adjusted,
    /// It stands in another stage now.
    Moved(Moved),
}

/// The day on which an instant falls in a zone.
pub fn day(at: DateTime<Utc>, zone: Tz) -> NaiveDate {
    at.with_timezone(&zone).date_naive()
}

/// Puts a new opportunity into its first stage: what is asked of every creation. `opportunity` holds all but what the stage decides.
pub fn begin(
    opportunity: &mut Opportunity,
    stage: &Stage,
    step: &Step,
    history_id: i64,
    moment: &Moment<'_>,
) -> Result<Moved, Invalid> {
    opportunity.created_at = moment.at;
    enter(opportunity, stage, step, moment)?;
    opportunity.version = 1;
    Ok(Moved {
        id: history_id,
        from: None,
        to: (stage.key.clone(), stage.name.clone()),
        probability: opportunity.probability,
        notes: None,
        changed_by: moment.by,
        changed_at: moment.at,
        seconds_in_from_stage: None,
        stage_version: stage.version,
    })
}

/// Moves an opportunity to a stage of its pipeline. Whatever was wrong is told at once and nothing is changed.
pub fn advance(
    opportunity: &mut Opportunity,
    pipeline: &Pipeline,
    stage: &Stage,
    step: Step,
    history_id: i64,
    moment: &Moment<'_>,
) -> Result<Outcome, Invalid> {
    if stage.key == opportunity.stage_key {
        return adjust(opportunity, stage, &step, moment);
    }
    let from_name = pipeline.stage(&opportunity.stage_key).map_or("", |stage| &stage.name);
    let to = (opportunity.pipeline_id, stage);
    transfer(opportunity, from_name, to, step, history_id, moment).map(Outcome::Moved)
}

/// Moves an opportunity to another stage, of its pipeline or of another. `from_name` is what the one it stands in is called. Whatever was wrong is told at once
/// and nothing is changed.
pub(super) fn transfer(
    opportunity: &mut Opportunity,
    from_name: &str,
    (pipeline_id, stage): (i64, &Stage),
    step: Step,
    history_id: i64,
    moment: &Moment<'_>,
) -> Result<Moved, Invalid> {
    // Two moves within one tick of the clock, or a clock that was set back, still make a chain in time.
    let at = moment.at.max(opportunity.stage_entered_at + TimeDelta::microseconds(1));
    let moment = Moment { at, ..*moment };
    let mut next = Opportunity { pipeline_id, ..opportunity.clone() };
    enter(&mut next, stage, &step, &moment)?;
    let moved = Moved {
        id: history_id,
        from: Some((opportunity.stage_key.clone(), from_name.to_owned())),
        to: (stage.key.clone(), stage.name.clone()),
        probability: next.probability,
        notes: step.notes,
        changed_by: moment.by,
        changed_at: at,
        seconds_in_from_stage: Some((at - opportunity.stage_entered_at).num_seconds()),
        stage_version: stage.version,
    };
    next.version += 1;
    *opportunity = next;
    Ok(moved)
}

/// It is deleted, which can be undone.
pub fn delete(opportunity: &Opportunity, at: DateTime<Utc>) -> Opportunity {
    Opportunity {
        deleted_at: Some(at),
        version: opportunity.version + 1,
        updated_at: at.max(opportunity.updated_at),
        ..opportunity.clone()
    }
}

/// It is there again as it was; an open one counts for the team that its owner is in by now.
pub fn restore(
    opportunity: &Opportunity,
    owners_team: Option<i64>,
    at: DateTime<Utc>,
) -> Opportunity {
    let is_open = opportunity.status == Kind::Open;
    Opportunity {
        deleted_at: None,
        team_id: if is_open { owners_team } else { opportunity.team_id },
        version: opportunity.version + 1,
        updated_at: at.max(opportunity.updated_at),
        ..opportunity.clone()
    }
}

/// An open opportunity goes with its owner to another team.
pub fn follow(opportunity: &Opportunity, team_id: Option<i64>, at: DateTime<Utc>) -> Opportunity {
    Opportunity {
        team_id,
        version: opportunity.version + 1,
        updated_at: at.max(opportunity.updated_at),
        ..opportunity.clone()
    }
}

/// A move to the stage it stands in changes nothing but a named probability.
fn adjust(
    opportunity: &mut Opportunity,
    stage: &Stage,
    step: &Step,
    moment: &Moment<'_>,
) -> Result<Outcome, Invalid> {
    let mut invalid = Invalid::default();
    check(&mut invalid, opportunity, stage, step, moment);
    if !invalid.is_empty() {
        return Err(invalid);
    }
    match step.probability {
        Some(probability) if probability != opportunity.probability => {
            opportunity.probability = probability;
            opportunity.version += 1;
            opportunity.updated_at = moment.at.max(opportunity.updated_at);
            Ok(Outcome::Adjusted)
        }
        _ => Ok(Outcome::Unchanged),
    }
}

/// What being in a stage decides: status, probability, close date, frozen amount.
fn enter(
    opportunity: &mut Opportunity,
    stage: &Stage,
    step: &Step,
    moment: &Moment<'_>,
) -> Result<(), Invalid> {
    let mut invalid = Invalid::default();
    check(&mut invalid, opportunity, stage, step, moment);
    if let Some(moving_to) = &stage.moving_to {
        let message = format!("is being deleted; what stands in it goes to {moving_to}");
        invalid.add("stage", "stage_closing", message);
    }
    // Of a closed one that comes into another stage of the same kind it stays when it closed, and why.
    let closed = (opportunity.actual_close_date, opportunity.lost_reason.take());
    let stays = opportunity.status == stage.kind;
    let (closed_on, lost_reason) = if stays { closed } else { (None, None) };
    opportunity.stage_key.clone_from(&stage.key);
    opportunity.status = stage.kind;
    opportunity.probability = match stage.kind {
        Kind::Open => step.probability.unwrap_or(stage.default_probability),
        Kind::Won => 100,
        Kind::Lost => 0,
    };
    if stage.kind == Kind::Lost {
        let named = step.lost_reason.as_deref();
        let settled = moment.lost_reasons.settle(&mut invalid, named, lost_reason.as_deref());
        opportunity.lost_reason = settled.or(lost_reason);
    }
    if stage.kind == Kind::Open {
        opportunity.actual_close_date = None;
        (opportunity.closed_amount, opportunity.closed_rate) = (None, None);
    } else {
        let day = step.actual_close_date.or(closed_on).unwrap_or(moment.today());
        opportunity.actual_close_date = Some(day);
        // What it was worth is as when it closed, too, unless that is another day now.
        if !stays || closed_on != Some(day) {
            opportunity.freeze(moment.exchange);
        }
    }
    opportunity.stage_entered_at = moment.at;
    opportunity.updated_at = moment.at;
    for field in stage.required_fields.iter().filter(|field| !opportunity.has(field)) {
        invalid.add(field, "required_for_stage", format!("is needed in stage {}", stage.name));
    }
    if invalid.is_empty() { Ok(()) } else { Err(invalid) }
}

/// What a step may say in a stage.
pub(super) fn check(
    invalid: &mut Invalid,
    opportunity: &Opportunity,
    stage: &Stage,
    step: &Step,
    moment: &Moment<'_>,
) {
    match (stage.kind, step.probability) {
        (_, None) | (Kind::Won, Some(100)) | (Kind::Lost, Some(0)) => {}
        (Kind::Open, Some(probability)) if (0..=100).contains(&probability) => {}
        (Kind::Open, Some(_)) => {
            invalid.add("probability", "out_of_range", "is not between 0 and 100");
        }
        (Kind::Won, Some(_)) => {
            invalid.add("probability", "fixed_by_stage", "is 100 in a won stage");
        }
        (Kind::Lost, Some(_)) => {
            invalid.add("probability", "fixed_by_stage", "is 0 in a lost stage");
        }
    }
    if stage.kind != Kind::Lost && step.lost_reason.is_some() {
        invalid.add("lost_reason", "not_lost", "is only for a lost stage");
    }
    if let Some(closed_on) = step.actual_close_date {
        if stage.kind == Kind::Open {
            invalid.add("actual_close_date", "not_closed", "is only for a won or lost stage");
        } else if closed_on > moment.today() {
            invalid.add("actual_close_date", "in_the_future", "is after today");
        } else if closed_on < day(opportunity.created_at, moment.zone) {
            invalid.add("actual_close_date", "before_creation", "is before the day of creation");
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
