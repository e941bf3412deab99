//! From an event to a fact: the only place that reads the records of opportunities.

use chrono::{DateTime, NaiveDate, Utc};
use events::{ApplyError, Event, Record};
use money::{Money, Rate};

use crate::category::Category;
use crate::deal::{Fact, Kind, Move};
use crate::version::Version;

/// What a view of the past needs to know of a record, by the names of its fields.
const IN_VERSIONS: [&str; 11] = [
    "pipeline_id",
    "stage_key",
    "status",
    "owner_id",
    "team_id",
    "currency",
    "amount",
    "closed_amount",
    "probability",
    "expected_close_date",
    "deleted_at",
];

/// The record of an opportunity's event, and its move if it has one. What cannot be read is the event's fault.
pub fn read(event: &Event) -> Result<(Fact, Option<Move>), ApplyError> {
    let Some(Record::Opportunity(it)) = &event.record else {
        return Err(poison("not an opportunity"));
    };
    let fact = Fact {
        opportunity_id: event.aggregate_id,
        version: event.version,
        opportunity_name: it.opportunity_name.clone(),
        customer_id: it.customer_id,
        customer_name: Some(it.customer_name.clone()),
        pipeline_id: it.pipeline_id,
        stage_key: it.stage_key.clone(),
        status: Kind::parse(&it.status).ok_or_else(|| poison("an unknown status"))?,
        owner_id: it.owner_id,
        team_id: it.team_id,
        currency: it.currency.clone(),
        amount: it.amount.map(Money::from),
        closed_amount: it.closed_amount.map(Money::from),
        probability: it.probability,
        expected_close_date: date(it.expected_close_date)?,
        actual_close_date: date(it.actual_close_date)?,
        forecast_category: it.forecast_category.as_deref().and_then(Category::parse),
        lost_reason: it.lost_reason.clone(),
        source: it.source.clone(),
        created_at: instant(it.created_at)?,
        stage_entered_at: instant(it.stage_entered_at)?,
        is_deleted: it.deleted_at.is_some(),
    };
    let moved = event.stage_move.as_ref().map(|it| {
        Ok::<_, ApplyError>(Move {
            history_id: it.history_id,
            from_stage_key: it.from_stage_key.clone(),
            to_stage_key: it.to_stage_key.clone(),
            probability: it.probability,
            changed_by: it.changed_by,
            changed_at: instant(it.changed_at)?,
        })
    });
    Ok((fact, moved.transpose()?))
}

/// The version that an event tells of, if it changed anything that a view of the past needs; that is for the event alone to say, so that it is the same whatever else is known.
pub fn version(event: &Event, fact: &Fact) -> Result<Option<Version>, ApplyError> {
    let is_needed = |field: &str| IN_VERSIONS.contains(&field);
    if event.version > 1 && !event.changes.iter().any(|it| is_needed(&it.field)) {
        return Ok(None);
    }
    Ok(Some(Version::of(fact, instant(event.occurred_at)?)))
}

/// What a currency is worth from a day on, as of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeRate {
    /// Its id.
    pub rate_id: i64,
    /// ISO 4217.
    pub currency: String,
    /// The first day.
    pub valid_from: NaiveDate,
    /// What a unit is worth in the organisation's currency.
    pub rate: Rate,
    /// Whether it was removed.
    pub is_deleted: bool,
    /// As of this version.
    pub version: i64,
}

/// The rate of an event.
pub fn rate(event: &Event) -> Result<ExchangeRate, ApplyError> {
    let Some(Record::ExchangeRate(it)) = &event.record else {
        return Err(poison("not a rate"));
    };
    let rate = it.rate.map(Rate::from).filter(|rate| rate.is_rate());
    Ok(ExchangeRate {
        rate_id: it.id,
        currency: it.currency.clone(),
        valid_from: date(it.valid_from)?.ok_or_else(|| poison("a day is missing"))?,
        rate: rate.ok_or_else(|| poison("a rate is missing"))?,
        is_deleted: it.deleted_at.is_some(),
        version: event.version,
    })
}

fn date(date: Option<proto::Date>) -> Result<Option<NaiveDate>, ApplyError> {
    date.map(|date| NaiveDate::try_from(date).map_err(|_| poison("not a day"))).transpose()
}

fn instant(at: Option<proto::Timestamp>) -> Result<DateTime<Utc>, ApplyError> {
    at.map(Into::into).ok_or_else(|| poison("an instant is missing"))
}

fn poison(what: &'static str) -> ApplyError {
    ApplyError::Poison(anyhow::Error::msg(what))
}
