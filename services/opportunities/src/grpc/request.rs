//! From requests to what the use cases take.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use money::Money;
use proto::CustomKind;
use proto::opportunities::v1 as pb;
use rpc::{Error, Invalid, Span, mask::Mask, span};

use super::answer::View;
use super::pipeline::category_of;
use crate::custom_field::model::{Value, ValueWishes};
use crate::opportunity::MoveWish;
use crate::opportunity::bulk::Update;
use crate::opportunity::draft::Wish;
use crate::opportunity::edit::EditWish;
use crate::opportunity::line_item::LineWish;
use crate::opportunity::list::{Categorized, Filter, Staleness};
use crate::opportunity::model::Step;
use crate::opportunity::past::{Past, PastMove};
use crate::opportunity::search::Query;
use crate::pipeline::model::{Kind, Pipelines};
use crate::{opportunity, pipeline};

/// A day of a message, or a bad field.
pub(super) fn day(
    invalid: &mut Invalid,
    field: &str,
    date: Option<proto::Date>,
) -> Option<NaiveDate> {
    let day = date.map(NaiveDate::try_from).transpose();
    day.unwrap_or_else(|_| {
        invalid.add(field, "invalid_date", "is not a day of the calendar");
        None
    })
}

pub(super) fn wish(it: pb::CreateOpportunityRequest) -> Wish {
    let mut faults = Invalid::default();
    let invalid = &mut faults;
    let wish = Wish {
        expected_close_date: day(invalid, "expected_close_date", it.expected_close_date),
        waiting_until: day(invalid, "waiting_until", it.waiting_until),
        forecast_category: it
            .forecast_category
            .and_then(|it| category_of(invalid, "forecast_category", it)),
        customer_name: it.customer_name,
        customer_id: it.customer_id,
        contact_name: it.contact_name,
        contact_email: it.contact_email,
        opportunity_name: it.opportunity_name,
        stage: it.stage,
        amount: it.amount.map(Money::from),
        probability: it.probability,
        products: it.products,
        notes: it.notes,
        owner_id: it.owner_id,
        external_id: it.external_id,
        currency: it.currency,
        pipeline_id: it.pipeline_id,
        source: it.source,
        tags: it.tags,
        line_items: it.line_items.into_iter().map(line).collect(),
        custom_fields: it.custom_fields.map(said).unwrap_or_default(),
        lost_reason: None,
        actual_close_date: None,
        faults: Invalid::default(),
    };
    Wish { faults, ..wish }
}

fn line(it: pb::LineItem) -> LineWish {
    LineWish {
        name: it.name,
        quantity: it.quantity.map(Into::into),
        unit_price: it.unit_price.map(Into::into),
        discount: it.discount.map(Into::into),
    }
}

/// What is to be said in fields of the organisation's own.
fn said(values: proto::CustomValues) -> ValueWishes {
    let value = |it: proto::CustomValue| {
        it.kind.map(|kind| match kind {
            CustomKind::Text(text) => Value::Text(text),
            CustomKind::Number(number) => Value::Number(number.into()),
        })
    };
    values.values.into_iter().map(|(key, it)| (key, value(it))).collect()
}

/// What can be changed of an opportunity.
const CHANGED: [&str; 23] = [
    "customer_name",
    "customer_id",
    "contact_name",
    "contact_email",
    "opportunity_name",
    "stage",
    "amount",
    "probability",
    "expected_close_date",
    "actual_close_date",
    "lost_reason",
    "products",
    "notes",
    "owner_id",
    "external_id",
    "currency",
    "pipeline_id",
    "source",
    "tags",
    "waiting_until",
    "forecast_category",
    "line_items",
    "custom_fields",
];

pub(super) fn edit(it: pb::UpdateOpportunityRequest) -> Result<EditWish, Error> {
    let mask = Mask::of(it.update_mask, &CHANGED)?;
    let mut invalid = Invalid::default();
    let mut categories = Invalid::default();
    let mut day = |field, date| mask.wish(field, day(&mut invalid, field, date));
    let category = mask.wish("forecast_category", it.forecast_category);
    let category =
        category.map(|it| it.and_then(|it| category_of(&mut categories, "forecast_category", it)));
    let names =
        |field, names: Vec<String>| mask.wish(field, Some(names).filter(|names| !names.is_empty()));
    let lines: Vec<_> = it.line_items.into_iter().map(line).collect();
    let wish = EditWish {
        expected_close_date: day("expected_close_date", it.expected_close_date),
        actual_close_date: day("actual_close_date", it.actual_close_date),
        waiting_until: day("waiting_until", it.waiting_until),
        forecast_category: category,
        customer_name: mask.wish("customer_name", it.customer_name),
        customer_id: mask.wish("customer_id", it.customer_id),
        contact_name: mask.wish("contact_name", it.contact_name),
        contact_email: mask.wish("contact_email", it.contact_email),
        opportunity_name: mask.wish("opportunity_name", it.opportunity_name),
        stage: mask.wish("stage", it.stage),
        amount: mask.wish("amount", it.amount.map(Money::from)),
        probability: mask.wish("probability", it.probability),
        lost_reason: mask.wish("lost_reason", it.lost_reason),
        products: names("products", it.products),
        notes: mask.wish("notes", it.notes),
        owner_id: mask.wish("owner_id", it.owner_id),
        external_id: mask.wish("external_id", it.external_id),
        currency: mask.wish("currency", it.currency),
        pipeline_id: mask.wish("pipeline_id", it.pipeline_id),
        source: mask.wish("source", it.source),
        tags: names("tags", it.tags),
        custom_fields: mask.wish("custom_fields", it.custom_fields.map(said)),
        line_items: mask.wish("line_items", Some(lines).filter(|lines| !lines.is_empty())),
        move_notes: None,
        faults: Invalid::default(),
    };
    invalid.extend(categories);
    Ok(EditWish { faults: invalid, ..wish })
}

/// An opportunity of another system, as one that is to be made and as one that is to be changed.
pub(super) fn upsert(it: pb::UpsertOpportunityRequest) -> Result<(Wish, EditWish), Error> {
    let pb::UpsertOpportunityRequest {
        external_id,
        update_mask,
        customer_name,
        customer_id,
        contact_name,
        contact_email,
        opportunity_name,
        stage,
        amount,
        probability,
        expected_close_date,
        actual_close_date,
        lost_reason,
        products,
        notes,
        owner_id,
        currency,
        pipeline_id,
        source,
        tags,
        waiting_until,
        forecast_category,
        line_items,
        custom_fields,
        expected_version: _,
    } = it;
    let update = pb::UpdateOpportunityRequest {
        id: 0,
        expected_version: None,
        update_mask,
        customer_name,
        customer_id,
        contact_name,
        contact_email,
        opportunity_name,
        stage,
        amount,
        probability,
        expected_close_date,
        actual_close_date,
        lost_reason,
        products,
        notes,
        owner_id,
        external_id: None,
        currency,
        pipeline_id,
        source,
        tags,
        waiting_until,
        forecast_category,
        line_items,
        custom_fields,
    };
    let new = pb::CreateOpportunityRequest {
        customer_name: update.customer_name.clone(),
        customer_id,
        contact_name: update.contact_name.clone(),
        contact_email: update.contact_email.clone(),
        opportunity_name: update.opportunity_name.clone().unwrap_or_default(),
        stage: update.stage.clone(),
        amount,
        probability,
        expected_close_date,
        products: update.products.clone(),
        notes: update.notes.clone(),
        owner_id,
        external_id: Some(external_id),
        currency: update.currency.clone(),
        pipeline_id,
        source: update.source.clone(),
        tags: update.tags.clone(),
        waiting_until,
        forecast_category,
        line_items: update.line_items.clone(),
        custom_fields: update.custom_fields.clone(),
    };
    let lost_reason = update.lost_reason.clone();
    let edit = edit(update)?;
    // Of both: what is made may close at once.
    let (actual_close_date, faults) = (edit.actual_close_date.flatten(), edit.faults.clone());
    Ok((Wish { lost_reason, actual_close_date, faults, ..wish(new) }, edit))
}

/// What is of a forecast category, as the stages say now.
fn categorized(invalid: &mut Invalid, asked: i32, pipelines: &Pipelines) -> Option<Categorized> {
    if pb::ForecastCategory::try_from(asked) == Ok(pb::ForecastCategory::Closed) {
        return Some(Categorized::Closed);
    }
    let category = category_of(invalid, "forecast_category", asked)?;
    Some(Categorized::open(category, pipelines))
}

/// One of many changes.
pub(super) fn update(it: pb::OpportunityUpdate) -> Update {
    let mut faults = Invalid::default();
    let expected_close_date = day(&mut faults, "expected_close_date", it.expected_close_date);
    let is_move = it.stage.is_some();
    let notes = Some(it.notes).filter(Option::is_some);
    Update {
        id: it.id,
        expected_version: it.version,
        wish: EditWish {
            move_notes: notes.clone().filter(|_| is_move).flatten(),
            notes: notes.filter(|_| !is_move),
            stage: it.stage.map(Some),
            probability: it.probability.map(Some),
            lost_reason: it.lost_reason.map(Some),
            owner_id: it.owner_id.map(Some),
            expected_close_date: expected_close_date.map(Some),
            faults,
            ..EditWish::default()
        },
    }
}

/// A move.
pub(super) fn movement(it: pb::ChangeOpportunityStageRequest) -> MoveWish {
    let mut faults = Invalid::default();
    let actual_close_date = day(&mut faults, "actual_close_date", it.actual_close_date);
    let (probability, notes, lost_reason) = (it.probability, it.notes, it.lost_reason);
    let step = Step { probability, notes, lost_reason, actual_close_date };
    MoveWish { stage: it.stage, step, expected_version: it.expected_version, faults }
}

/// The filters of a list. Whatever is wrong is noted.
pub(super) fn filter(
    invalid: &mut Invalid,
    it: &pb::ListOpportunitiesRequest,
    view: &View,
    now: DateTime<Utc>,
) -> Filter {
    let View { pipelines, settings, custom_fields } = view;
    let statuses = it.status().filter_map(|status| match status {
        pb::Status::Open => Some(Kind::Open),
        pb::Status::Won => Some(Kind::Won),
        pb::Status::Lost => Some(Kind::Lost),
        pb::Status::Unspecified => None,
    });
    let statuses = statuses.collect();
    for (field, text) in [
        ("product", &it.product),
        ("tag", &it.tag),
        ("source", &it.source),
        ("lost_reason", &it.lost_reason),
    ] {
        if text.as_ref().is_some_and(|text| text.contains('\0')) {
            invalid.add(field, "invalid_character", "contains a NUL character");
        }
    }
    for text in &it.custom_field {
        if text.contains('\0') {
            invalid.add("custom_field", "invalid_character", "contains a NUL character");
        }
    }
    let said = it.custom_field.iter().filter_map(|asked| custom_fields.asked(invalid, asked));
    let custom_fields = said.collect();
    let zone = settings.zone;
    let entered = entered(invalid, it, pipelines, zone);
    let today = opportunity::model::day(now, zone);
    Filter {
        query: Query::parse(invalid, it.q.as_deref()),
        category: it.forecast_category.and_then(|it| categorized(invalid, it, pipelines)),
        stale: it.stale.map(|is_wanted| Staleness::new(is_wanted, pipelines, today, zone)),
        entered,
        stages: pipeline::stages_called(pipelines, ("stage", &it.stage), it.pipeline_id, invalid),
        statuses,
        owner_id: it.owner_id,
        team_id: it.team_id,
        customer_id: it.customer_id,
        pipeline_id: it.pipeline_id,
        product: it.product.clone(),
        tag: it.tag.clone(),
        source: it.source.clone(),
        lost_reason: it.lost_reason.clone(),
        custom_fields,
        min_amount: it.min_amount.map(Money::from),
        max_amount: it.max_amount.map(Money::from),
        expected_close: (
            day(invalid, "expected_close_from", it.expected_close_from),
            day(invalid, "expected_close_to", it.expected_close_to),
        ),
        closed: (
            day(invalid, "closed_from", it.closed_from),
            day(invalid, "closed_to", it.closed_to),
        ),
        created: span(
            invalid,
            ("created_from", it.created_from.as_deref()),
            ("created_to", it.created_to.as_deref()),
            zone,
        ),
        updated: span(
            invalid,
            ("updated_from", it.updated_from.as_deref()),
            ("updated_to", it.updated_to.as_deref()),
            zone,
        ),
    }
}

/// Into which stage an opportunity has come, and when.
fn entered(
    invalid: &mut Invalid,
    it: &pb::ListOpportunitiesRequest,
    pipelines: &Pipelines,
    zone: Tz,
) -> Option<(Vec<String>, Span)> {
    let within = span(
        invalid,
        ("entered_from", it.entered_from.as_deref()),
        ("entered_to", it.entered_to.as_deref()),
        zone,
    );
    if it.entered_stage.is_none() && within != (None, None) {
        invalid.add("entered_stage", "required", "is needed with entered_from and entered_to");
    }
    let called = ("entered_stage", it.entered_stage.as_slice());
    let stages = pipeline::stages_called(pipelines, called, it.pipeline_id, invalid)?;
    Some((stages.into_iter().map(|(_, key)| key).collect(), within))
}

/// Opportunities with their past.
pub(super) fn pasts(asked: Vec<pb::HistoricalOpportunity>) -> Result<Vec<Past>, Error> {
    let mut invalid = Invalid::default();
    let pasts = asked.into_iter().enumerate().map(|(index, it)| {
        let mut wrong = Invalid::default();
        let created_at = instant(&mut wrong, "created_at", it.created_at);
        let mut wish = wish(it.opportunity.unwrap_or_default());
        wrong.extend(std::mem::take(&mut wish.faults));
        let moves = it.moves.into_iter().enumerate().map(|(index, it)| {
            let at = instant(&mut wrong, &format!("moves[{index}].changed_at"), it.changed_at);
            let field = format!("moves[{index}].actual_close_date");
            let actual_close_date = day(&mut wrong, &field, it.actual_close_date);
            let (probability, notes, lost_reason) = (it.probability, it.notes, it.lost_reason);
            let step = Step { probability, notes, lost_reason, actual_close_date };
            PastMove { stage: it.stage, at, by: it.changed_by, step }
        });
        let past = Past { wish, created_at, moves: moves.collect() };
        invalid.extend(wrong.within(&format!("opportunities[{index}]")));
        past
    });
    let pasts = pasts.collect();
    invalid.into_result()?;
    Ok(pasts)
}

fn instant(invalid: &mut Invalid, field: &str, at: Option<proto::Timestamp>) -> DateTime<Utc> {
    let Some(at) = at else {
        invalid.add(field, "required", "is required");
        return DateTime::UNIX_EPOCH;
    };
    at.into()
}
