//! From what advanced reports give to answers.

use proto::analytics::v1 as pb;

use super::answer::not_covered;
use crate::range::Range;
use crate::report::advanced::activities::{Activities, Counts, Did};
use crate::report::advanced::cohorts::{CohortMonth, Cohorts};
use crate::report::advanced::loss_reasons::{LossReason, LossReasons, LossStage};
use crate::report::advanced::stage_duration::{StageDuration, StageDurations};
use crate::report::advanced::velocity::Velocity;
use crate::report::opened::Listed;
use crate::report::opened::model::Opened;

pub(super) fn velocity(it: &Velocity, range: Range) -> pb::GetSalesVelocityResponse {
    pb::GetSalesVelocityResponse {
        start_date: range.start.map(Into::into),
        end_date: range.end.map(Into::into),
        closed_count: it.closed_count(),
        won_count: it.won_count,
        lost_count: it.lost_count,
        won_value: Some(it.won_value.into()),
        win_rate: it.win_rate(),
        average_deal_size: it.average_deal_size().map(Into::into),
        average_days_to_close: it.average_days_to_close(),
        velocity_per_day: it.per_day().map(Into::into),
        not_covered: Some(not_covered(it.not_covered)),
        as_of: Some(it.as_of.into()),
    }
}

pub(super) fn loss_reasons(it: LossReasons, range: Range) -> pb::GetLossReasonsResponse {
    pb::GetLossReasonsResponse {
        items: it.items.into_iter().map(loss_reason).collect(),
        lost_count: it.count,
        lost_value: Some(it.value.into()),
        not_covered: Some(not_covered(it.not_covered)),
        start_date: range.start.map(Into::into),
        end_date: range.end.map(Into::into),
        as_of: Some(it.as_of.into()),
    }
}

fn loss_reason(it: LossReason) -> pb::LossReason {
    pb::LossReason {
        lost_reason: it.lost_reason,
        count: it.count,
        value: Some(it.value.into()),
        share: it.share,
        by_stage: it.by_stage.into_iter().map(loss_stage).collect(),
    }
}

fn loss_stage(it: LossStage) -> pb::LossStage {
    pb::LossStage {
        pipeline_id: it.stage.as_ref().map(|stage| stage.pipeline_id),
        stage_key: it.stage.as_ref().map(|stage| stage.key.clone()),
        stage: it.stage.map(|stage| stage.name),
        count: it.count,
        value: Some(it.value.into()),
    }
}

pub(super) fn stage_durations(it: StageDurations, range: Range) -> pb::GetStageDurationResponse {
    pb::GetStageDurationResponse {
        items: it.items.into_iter().map(stage_duration).collect(),
        start_date: range.start.map(Into::into),
        end_date: range.end.map(Into::into),
        as_of: Some(it.as_of.into()),
    }
}

fn stage_duration(it: StageDuration) -> pb::StageDuration {
    let [p25_days, median_days, p75_days, p90_days] = it.percentiles;
    pb::StageDuration {
        pipeline_id: it.pipeline_id,
        stage: it.stage,
        stage_key: it.stage_key,
        entered: it.ended + it.open,
        ended: it.ended,
        open: it.open,
        p25_days,
        median_days,
        p75_days,
        p90_days,
    }
}

pub(super) fn cohorts(it: Cohorts) -> pb::GetCohortsResponse {
    pb::GetCohortsResponse {
        items: it.items.into_iter().map(cohort_month).collect(),
        not_covered: Some(not_covered(it.not_covered)),
        as_of: Some(it.as_of.into()),
    }
}

fn cohort_month(it: CohortMonth) -> pb::CohortMonth {
    let (open_count, open_value) = it.open();
    pb::CohortMonth {
        won_share: it.won_share(),
        start_date: Some(it.period.span.start.into()),
        end_date: Some(it.period.span.end.into()),
        period: it.period.label,
        month: i32::try_from(it.month).unwrap_or(i32::MAX),
        until: Some(it.until.into()),
        created_count: it.created.0,
        created_value: Some(it.created.1.into()),
        won_count: it.won.0,
        won_value: Some(it.won.1.into()),
        lost_count: it.lost.0,
        lost_value: Some(it.lost.1.into()),
        open_count,
        open_value: Some(open_value.into()),
    }
}

pub(super) fn activities(it: Activities) -> pb::GetActivityReportResponse {
    pb::GetActivityReportResponse {
        items: it.items.into_iter().map(did).collect(),
        start_date: it.range.start.map(Into::into),
        end_date: it.range.end.map(Into::into),
        as_of: Some(it.as_of.into()),
    }
}

fn did(it: Did) -> pb::ActivityReportRow {
    pb::ActivityReportRow {
        owner_id: it.person.owner_id,
        owner_name: it.person.owner_name,
        team_id: it.person.team_id,
        created: Some(activity_counts(it.created)),
        completed: Some(activity_counts(it.completed)),
        overdue_count: it.overdue_count,
        touched_count: it.touched_count,
        open_count: it.open_count,
        untouched_count: it.untouched_count,
        without_next_count: it.without_next_count,
    }
}

fn activity_counts(it: Counts) -> pb::ActivityCounts {
    let [call, email, meeting, task, note] = it.0;
    pb::ActivityCounts { call, email, meeting, task, note, total: it.total() }
}

pub(super) fn opened(it: Listed) -> pb::ListReportOpportunitiesResponse {
    pb::ListReportOpportunitiesResponse {
        items: it.items.into_iter().map(opportunity).collect(),
        next_cursor: it.next_cursor,
        as_of: Some(it.as_of.into()),
    }
}

fn opportunity(it: Opened) -> pb::ReportOpportunity {
    pb::ReportOpportunity {
        id: it.opportunity_id,
        opportunity_name: it.opportunity_name,
        customer_id: it.customer_id,
        customer_name: it.customer_name,
        pipeline_id: it.pipeline_id,
        stage: it.stage,
        stage_key: it.stage_key,
        status: it.status,
        owner_id: it.owner_id,
        owner_name: it.owner_name,
        team_id: it.team_id,
        amount: it.amount.map(Into::into),
        currency: it.currency,
        value: it.value.map(Into::into),
        probability: it.probability,
        expected_close_date: it.expected_close_date.map(Into::into),
        actual_close_date: it.actual_close_date.map(Into::into),
        lost_reason: it.lost_reason,
        created_at: Some(it.created_at.into()),
        version: it.version,
    }
}
