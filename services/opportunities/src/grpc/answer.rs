//! From what the use cases give to answers.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use proto::opportunities::v1 as pb;
use rpc::Error;

use super::activity;
use crate::access::{Access, model::Ground};
use crate::custom_field::model::{CustomFields, Values};
use crate::directory::model::Settings;
use crate::opportunity::line_item::LineItem;
use crate::opportunity::model::day;
use crate::opportunity::{Detail, HistoryRow};
use crate::pipeline::category::Category;
use crate::pipeline::model::{Kind, Pipeline, Pipelines, Stage};
use crate::pipeline::stage::Placed;
use crate::state::Rules;
use crate::{State, custom_field};

/// By what opportunities are shown.
#[derive(Clone)]
pub(super) struct View {
    pub(super) pipelines: Arc<Pipelines>,
    pub(super) settings: Arc<Settings>,
    pub(super) custom_fields: Arc<CustomFields>,
}

impl View {
    /// What is remembered now.
    pub(super) fn of(state: &State) -> Result<Self, Error> {
        let Rules { pipelines, custom_fields, .. } = state.rules()?;
        Ok(Self { pipelines, settings: state.settings.get()?, custom_fields })
    }
}

/// An opportunity as of an instant.
pub(super) fn opportunity(detail: Detail, view: &View, now: DateTime<Utc>) -> pb::Opportunity {
    let View { pipelines, settings, custom_fields } = view;
    let Detail { opportunity: it, contact_name, contact_email, owner_name, next_activity } = detail;
    let today = day(now, settings.zone);
    let stage = pipelines.stage(it.pipeline_id, &it.stage_key);
    pb::Opportunity {
        // One that was made a moment ago elsewhere is found by its key, too.
        stage: stage.map_or_else(|| it.stage_key.clone(), |stage| stage.name.clone()),
        stale: stage.is_some_and(|stage| it.is_stale(stage, today, settings.zone)),
        days_in_stage: it.days_in_stage(today, settings.zone),
        status: status(it.status).into(),
        forecast_category: category(it.category(stage)).into(),
        forecast_category_is_own: it.forecast_category.is_some(),
        weighted_value: it.weighted_value().map(Into::into),
        id: it.id,
        opportunity_name: it.opportunity_name,
        customer_id: it.customer_id,
        customer_name: it.customer_name,
        contact_id: it.contact_id,
        contact_name,
        contact_email,
        pipeline_id: it.pipeline_id,
        stage_key: it.stage_key,
        amount: it.amount.map(Into::into),
        currency: it.currency,
        closed_amount: it.closed_amount.map(Into::into),
        closed_rate: it.closed_rate.map(Into::into),
        probability: it.probability,
        expected_close_date: it.expected_close_date.map(Into::into),
        actual_close_date: it.actual_close_date.map(Into::into),
        lost_reason: it.lost_reason,
        owner_id: it.owner_id,
        owner_name,
        team_id: it.team_id,
        products: it.products,
        notes: it.notes,
        source: it.source,
        external_id: it.external_id,
        tags: it.tags,
        waiting_until: it.waiting_until.map(Into::into),
        created_at: Some(it.created_at.into()),
        updated_at: Some(it.updated_at.into()),
        version: it.version,
        next_activity: next_activity.map(activity::next),
        line_items: it.line_items.into_iter().map(line).collect(),
        custom_fields: Some(said(it.custom_fields, custom_fields)),
    }
}

/// What is said in fields that are there.
fn said(mut values: Values, fields: &CustomFields) -> proto::CustomValues {
    values.retain(|key, _| fields.get(key).is_some());
    custom_field::event::values(&values)
}

fn line(it: LineItem) -> pb::LineItem {
    pb::LineItem {
        name: it.name,
        quantity: Some(it.quantity.into()),
        unit_price: Some(it.unit_price.into()),
        discount: Some(it.discount.into()),
    }
}

/// What is closed has none.
fn category(category: Option<Category>) -> pb::ForecastCategory {
    match category {
        Some(Category::Commit) => pb::ForecastCategory::Commit,
        Some(Category::BestCase) => pb::ForecastCategory::BestCase,
        Some(Category::Pipeline) => pb::ForecastCategory::Pipeline,
        Some(Category::Omitted) => pb::ForecastCategory::Omitted,
        None => pb::ForecastCategory::Closed,
    }
}

fn status(kind: Kind) -> pb::Status {
    match kind {
        Kind::Open => pb::Status::Open,
        Kind::Won => pb::Status::Won,
        Kind::Lost => pb::Status::Lost,
    }
}

pub(super) fn history(row: HistoryRow) -> pb::StageHistory {
    pb::StageHistory {
        id: row.id,
        from_stage: row.from_stage,
        from_stage_key: row.from_stage_key,
        to_stage: row.to_stage,
        to_stage_key: row.to_stage_key,
        changed_by: row.changed_by,
        changed_by_name: row.changed_by_name,
        notes: row.notes,
        probability: row.probability,
        changed_at: Some(row.changed_at.into()),
        seconds_in_from_stage: row.seconds_in_from_stage,
    }
}

pub(super) fn access(it: Access) -> pb::OpportunityAccess {
    let reasons = it.reasons.into_iter().map(|ground| match ground {
        Ground::Admin => pb::AccessReason::Admin,
        Ground::Owner => pb::AccessReason::Owner,
        Ground::TeamMember => pb::AccessReason::TeamMember,
        Ground::ManagerOfTeam => pb::AccessReason::ManagerOfTeam,
        Ground::ManagerOfTeamAbove => pb::AccessReason::ManagerOfTeamAbove,
        Ground::VisibilityEveryone => pb::AccessReason::VisibilityEveryone,
        // No person is a service.
        Ground::Service => pb::AccessReason::Unspecified,
    });
    pb::OpportunityAccess {
        user_id: it.user_id,
        username: it.username,
        role: it.role.as_str().to_owned(),
        can_write: it.can_write,
        reasons: reasons.map(Into::into).collect(),
    }
}

pub(super) fn pipeline(pipeline: &Pipeline) -> pb::Pipeline {
    pb::Pipeline {
        id: pipeline.id,
        name: pipeline.name.clone(),
        is_default: pipeline.is_default,
        stages: pipeline.stages.iter().zip(1..).map(|(stage, at)| placed(stage, at)).collect(),
        version: pipeline.version,
    }
}

/// A stage where it is in its pipeline.
pub(super) fn stage(it: &Placed) -> Option<pb::Stage> {
    let mut stages = it.pipeline.stages.iter().zip(1..);
    stages.find(|(stage, _)| stage.key == it.key).map(|(stage, at)| placed(stage, at))
}

fn placed(stage: &Stage, position: i32) -> pb::Stage {
    let kind = match stage.kind {
        Kind::Open => pb::StageKind::Open,
        Kind::Won => pb::StageKind::Won,
        Kind::Lost => pb::StageKind::Lost,
    };
    pb::Stage {
        key: stage.key.clone(),
        name: stage.name.clone(),
        kind: kind.into(),
        default_probability: stage.default_probability,
        rotting_days: stage.rotting_days,
        forecast_category: category(stage.category()).into(),
        forecast_category_is_set: stage.forecast_category.is_some(),
        required_fields: stage.required_fields.clone(),
        position,
        moving_to: stage.moving_to.clone(),
    }
}
