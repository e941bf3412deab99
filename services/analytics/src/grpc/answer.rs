//! From what the use cases give to answers.

use chrono::NaiveDate;
use proto::analytics::v1 as pb;

use crate::report::conversion::{Conversion, StageConversion};
use crate::report::overview::{Overview, StageOverview};
use crate::report::performance::{Performance, SalesPerformance};
use crate::report::trend::{Trend, TrendPeriod};
use crate::report::value::NotCovered;

pub(super) fn not_covered(it: NotCovered) -> pb::NotCovered {
    pb::NotCovered {
        without_amount: it.without_amount,
        without_rate: it.without_rate,
        without_date: it.without_date,
    }
}

pub(super) fn overview(it: Overview) -> pb::GetPipelineOverviewResponse {
    pb::GetPipelineOverviewResponse {
        stages: it.stages.into_iter().map(stage_overview).collect(),
        total_opportunities: it.total_opportunities,
        open_opportunities: it.open_opportunities,
        total_pipeline_value: Some(it.total_pipeline_value.into()),
        weighted_pipeline_value: Some(it.weighted_pipeline_value.into()),
        not_covered: Some(not_covered(it.not_covered)),
        as_of: Some(it.as_of.into()),
    }
}

fn stage_overview(it: StageOverview) -> pb::StageOverview {
    pb::StageOverview {
        name: it.name,
        key: it.key,
        kind: it.kind.as_str().to_owned(),
        count: it.count,
        total_value: Some(it.total_value.into()),
        weighted_value: Some(it.weighted_value.into()),
        conversion_rate: it.conversion_rate,
    }
}

pub(super) fn conversion(
    it: Conversion,
    (start, end): (Option<NaiveDate>, Option<NaiveDate>),
) -> pb::GetConversionRateResponse {
    pb::GetConversionRateResponse {
        items: it.items.into_iter().map(stage_conversion).collect(),
        win_rate: it.win_rate,
        start_date: start.map(Into::into),
        end_date: end.map(Into::into),
        as_of: Some(it.as_of.into()),
    }
}

fn stage_conversion(it: StageConversion) -> pb::StageConversion {
    pb::StageConversion {
        stage: it.stage,
        stage_key: it.stage_key,
        entered: it.entered,
        advanced: it.advanced,
        lost: it.lost,
        in_progress: it.in_progress,
        conversion_rate: it.conversion_rate,
        average_days_in_stage: it.average_days_in_stage,
    }
}

pub(super) fn trend(it: Trend) -> pb::GetSalesTrendResponse {
    pb::GetSalesTrendResponse {
        items: it.items.into_iter().map(trend_period).collect(),
        not_covered: Some(not_covered(it.not_covered)),
        as_of: Some(it.as_of.into()),
    }
}

fn trend_period(it: TrendPeriod) -> pb::TrendPeriod {
    pb::TrendPeriod {
        win_rate: it.win_rate(),
        average_deal_size: it.average_deal_size().map(Into::into),
        period: it.period.label,
        start_date: Some(it.period.span.start.into()),
        end_date: Some(it.period.span.end.into()),
        won_count: it.won_count,
        won_value: Some(it.won_value.into()),
        lost_count: it.lost_count,
        created_count: it.created_count,
        created_value: Some(it.created_value.into()),
        won_value_change: it.won_value_change,
    }
}

pub(super) fn performance(it: Performance) -> pb::GetSalesPerformanceResponse {
    pb::GetSalesPerformanceResponse {
        period: it.period.label,
        start_date: Some(it.period.span.start.into()),
        end_date: Some(it.period.span.end.into()),
        items: it.items.into_iter().map(sales_performance).collect(),
        not_covered: Some(not_covered(it.not_covered)),
        as_of: Some(it.as_of.into()),
    }
}

fn sales_performance(it: SalesPerformance) -> pb::SalesPerformance {
    pb::SalesPerformance {
        win_rate: it.win_rate(),
        average_deal_size: it.average_deal_size().map(Into::into),
        average_days_to_close: it.average_days_to_close(),
        target: it.target.map(Into::into),
        attainment: it.attainment(),
        owner_id: it.owner_id,
        owner_name: it.owner_name,
        team_id: it.team_id,
        won_count: it.won_count,
        won_value: Some(it.won_value.into()),
        lost_count: it.lost_count,
        open_pipeline_value: Some(it.open_pipeline_value.into()),
        open_count: it.open_count,
        rank: it.rank,
    }
}
