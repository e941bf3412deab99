//! What others learn of an opportunity: its public record, what changed in it, and the name of what happened.

use events::Event;
use prost::Message as _;
use proto::events::v1::{FieldChange, LineItemRecord, OpportunityRecord, StageMove, event::Record};
use serde::Serialize;

use super::line_item::{self, LineItem};
use super::model::{Moved, Opportunity};
use crate::custom_field;
use crate::meta::as_text;
use crate::pipeline::category::Category;
use crate::pipeline::model::Kind;

/// The record as others may know it.
pub(crate) fn record(opportunity: &Opportunity) -> Record {
    Record::Opportunity(opportunity_record(opportunity))
}

/// Whether an opportunity is as an event told of it, whatever happened in between, but for what is copied from others: its customer's name and its owner's team.
pub(crate) fn is_as_told(opportunity: &Opportunity, payload: &[u8]) -> bool {
    match Event::decode(payload).map(|event| event.record) {
        Ok(Some(Record::Opportunity(told))) => {
            let now = opportunity_record(opportunity);
            let told = OpportunityRecord {
                customer_name: now.customer_name.clone(),
                team_id: now.team_id,
                version: now.version,
                updated_at: now.updated_at,
                ..told
            };
            told == now
        }
        _ => false,
    }
}

/// An opportunity as an event told of it. Who made it is not told.
pub(crate) fn opportunity(payload: &[u8]) -> Option<Opportunity> {
    let Some(Record::Opportunity(it)) = Event::decode(payload).ok()?.record else { return None };
    let day = |day: Option<proto::Date>| day.map(TryInto::try_into).transpose().ok();
    Some(Opportunity {
        id: it.id,
        opportunity_name: it.opportunity_name,
        customer_id: it.customer_id,
        customer_name: it.customer_name,
        contact_id: it.contact_id,
        pipeline_id: it.pipeline_id,
        stage_key: it.stage_key,
        status: Kind::parse(&it.status)?,
        amount: it.amount.map(Into::into),
        currency: it.currency,
        closed_amount: it.closed_amount.map(Into::into),
        closed_rate: it.closed_rate.map(Into::into),
        probability: it.probability,
        expected_close_date: day(it.expected_close_date)?,
        actual_close_date: day(it.actual_close_date)?,
        lost_reason: it.lost_reason,
        owner_id: it.owner_id,
        team_id: it.team_id,
        products: it.products,
        notes: it.notes,
        source: it.source,
        external_id: it.external_id,
        tags: it.tags,
        line_items: it.line_items.into_iter().map(line).collect::<Option<_>>()?,
        custom_fields: it.custom_fields.map(custom_field::event::said).unwrap_or_default(),
        waiting_until: day(it.waiting_until)?,
        forecast_category: it.forecast_category.as_deref().and_then(Category::parse),
        created_by: 0,
        created_at: it.created_at?.into(),
        updated_at: it.updated_at?.into(),
        stage_entered_at: it.stage_entered_at?.into(),
        deleted_at: it.deleted_at.map(Into::into),
        version: it.version,
    })
}

fn opportunity_record(opportunity: &Opportunity) -> OpportunityRecord {
    OpportunityRecord {
        id: opportunity.id,
        opportunity_name: opportunity.opportunity_name.clone(),
        customer_id: opportunity.customer_id,
        customer_name: opportunity.customer_name.clone(),
        contact_id: opportunity.contact_id,
        pipeline_id: opportunity.pipeline_id,
        stage_key: opportunity.stage_key.clone(),
        status: opportunity.status.as_str().to_owned(),
        amount: opportunity.amount.map(Into::into),
        currency: opportunity.currency.clone(),
        closed_amount: opportunity.closed_amount.map(Into::into),
        closed_rate: opportunity.closed_rate.map(Into::into),
        probability: opportunity.probability,
        expected_close_date: opportunity.expected_close_date.map(Into::into),
        actual_close_date: opportunity.actual_close_date.map(Into::into),
        lost_reason: opportunity.lost_reason.clone(),
        owner_id: opportunity.owner_id,
        team_id: opportunity.team_id,
        products: opportunity.products.clone(),
        source: opportunity.source.clone(),
        external_id: opportunity.external_id.clone(),
        tags: opportunity.tags.clone(),
        waiting_until: opportunity.waiting_until.map(Into::into),
        forecast_category: opportunity.forecast_category.map(|it| it.as_str().to_owned()),
        created_at: Some(opportunity.created_at.into()),
        updated_at: Some(opportunity.updated_at.into()),
        stage_entered_at: Some(opportunity.stage_entered_at.into()),
        deleted_at: opportunity.deleted_at.map(Into::into),
        version: opportunity.version,
        notes: opportunity.notes.clone(),
        line_items: opportunity.line_items.iter().map(line_item).collect(),
        custom_fields: Some(&opportunity.custom_fields)
            .filter(|values| !values.is_empty())
            .map(custom_field::event::values),
    }
}

fn line(it: LineItemRecord) -> Option<LineItem> {
    Some(LineItem {
        name: it.name,
        quantity: it.quantity?.into(),
        unit_price: it.unit_price?.into(),
        discount: it.discount?.into(),
    })
}

fn line_item(line: &LineItem) -> LineItemRecord {
    LineItemRecord {
        name: line.name.clone(),
        quantity: Some(line.quantity.into()),
        unit_price: Some(line.unit_price.into()),
        discount: Some(line.discount.into()),
    }
}

/// The history row as others may know it.
pub(crate) fn stage_move(moved: &Moved) -> StageMove {
    StageMove {
        history_id: moved.id,
        from_stage_key: moved.from.as_ref().map(|(key, _)| key.clone()),
        from_stage: moved.from.as_ref().map(|(_, name)| name.clone()),
        to_stage_key: moved.to.0.clone(),
        to_stage: moved.to.1.clone(),
        probability: moved.probability,
        changed_by: moved.changed_by,
        changed_at: Some(moved.changed_at.into()),
        notes: moved.notes.clone(),
    }
}

/// What happened, by name.
pub(crate) fn kind(before: Option<&Opportunity>, after: &Opportunity) -> &'static str {
    match before {
        None => "opportunity.created",
        Some(before) if before.deleted_at.is_some() != after.deleted_at.is_some() => {
            if after.deleted_at.is_some() { "opportunity.deleted" } else { "opportunity.restored" }
        }
        Some(before) if is_elsewhere(before, after) => match (before.status, after.status) {
            (before, after) if before == after => "opportunity.stage_changed",
            (_, Kind::Won) => "opportunity.won",
            (_, Kind::Lost) => "opportunity.lost",
            (_, Kind::Open) => "opportunity.reopened",
        },
        Some(before) if before.owner_id != after.owner_id => "opportunity.assigned",
        Some(_) => "opportunity.updated",
    }
}

fn is_elsewhere(before: &Opportunity, after: &Opportunity) -> bool {
    (before.pipeline_id, &before.stage_key) != (after.pipeline_id, &after.stage_key)
}

/// The fields that differ, with both values as JSON text; for a new record every field that has a value.
pub(crate) fn changes(before: Option<&Opportunity>, after: &Opportunity) -> Vec<FieldChange> {
    let old = before.map(fields);
    fields(after)
        .into_iter()
        .enumerate()
        .filter_map(|(index, (field, new))| {
            let old = old.as_ref().map_or("null", |old| &old[index].1);
            (*old != *new).then(|| FieldChange {
                field: field.to_owned(),
                old: old.to_owned(),
                new: new.clone(),
            })
        })
        .collect()
}

/// The fields that people and rules change, in the order of the record, as JSON text. Amounts are exact.
fn fields(it: &Opportunity) -> [(&'static str, String); 27] {
    [
        ("opportunity_name", json(&it.opportunity_name)),
        ("customer_id", json(&it.customer_id)),
        ("customer_name", json(&it.customer_name)),
        ("contact_id", json(&it.contact_id)),
        ("pipeline_id", json(&it.pipeline_id)),
        ("stage_key", json(&it.stage_key)),
        ("status", json(&it.status.as_str())),
        ("amount", digits(it.amount)),
        ("currency", json(&it.currency)),
        ("closed_amount", digits(it.closed_amount)),
        ("closed_rate", digits(it.closed_rate)),
        ("probability", json(&it.probability)),
        ("expected_close_date", json(&it.expected_close_date.map(|it| it.to_string()))),
        ("actual_close_date", json(&it.actual_close_date.map(|it| it.to_string()))),
        ("lost_reason", json(&it.lost_reason)),
        ("owner_id", json(&it.owner_id)),
        ("team_id", json(&it.team_id)),
        ("products", json(&Some(&it.products).filter(|names| !names.is_empty()))),
        ("notes", json(&it.notes)),
        ("source", json(&it.source)),
        ("external_id", json(&it.external_id)),
        ("tags", json(&Some(&it.tags).filter(|names| !names.is_empty()))),
        ("waiting_until", json(&it.waiting_until.map(|it| it.to_string()))),
        ("forecast_category", json(&it.forecast_category.map(Category::as_str))),
        ("line_items", line_item::json(&it.line_items).unwrap_or_else(null)),
        ("custom_fields", custom_field::model::json(&it.custom_fields).unwrap_or_else(null)),
        ("deleted_at", json(&it.deleted_at.map(as_text))),
    ]
}

fn digits<T: ToString>(number: Option<T>) -> String {
    number.map_or_else(null, |number| number.to_string())
}

fn null() -> String {
    "null".to_owned()
}

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned())
}
