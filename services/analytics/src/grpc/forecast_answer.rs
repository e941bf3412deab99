//! From forecasts to answers.

use forecast::measure;
use forecast::track::{Calibration, Length, Try};
use money::Money;
use proto::analytics::v1 as pb;

use super::adjustment;
use super::answer::not_covered;
use crate::forecast::Breakdown;
use crate::forecast::accuracy::{Accuracy, Measures};
use crate::forecast::kept::{Kept, KeptDay};
use crate::forecast::model::{Forecast, TrackRecord};
use crate::forecast::outlook::words::Said;
use crate::forecast::outlook::{Listed, OpportunityForecast};
use crate::forecast::part::Part;
use crate::forecast::speaker::Model;
use crate::forecast::stage::{CategoryForecast, StageForecast};
use crate::period::forecast_label;
use crate::training::history::money;

pub(super) fn forecast(it: Forecast) -> pb::GetForecastResponse {
    let adjusted_expected = it.adjusted_expected();
    pb::GetForecastResponse {
        period: forecast_label(&it.period),
        start_date: Some(it.period.span.start.into()),
        end_date: Some(it.period.span.end.into()),
        forecast: Some(range(it.whole.range)),
        expected: Some(it.whole.expected().into()),
        closed_won: Some(it.whole.closed_won.into()),
        from_pipeline: Some(it.whole.from_pipeline.into()),
        from_new_business: Some(it.whole.from_new_business.into()),
        target: it.target.map(|target| target.amount.into()),
        target_source: it.target.map(|target| target.source.as_str().to_owned()),
        target_is_partial: it.target.map(|target| target.is_partial),
        adjustment: it.adjustment.map(adjustment::to_wire),
        adjusted_expected: adjusted_expected.map(Into::into),
        by_category: it.by_category.map(category_forecast).into(),
        not_covered: Some(not_covered(it.not_covered)),
        model: Some(model(it.model)),
        percentiles_add_up: false,
        as_of: Some(it.as_of.into()),
        by_stage: it.by_stage.into_iter().map(stage_forecast).collect(),
        track_record: it.record.map(track_record),
    }
}

fn track_record(it: TrackRecord) -> pb::ForecastTrackRecord {
    pb::ForecastTrackRecord { forecasts: it.tried.into(), inside_range: it.held.into() }
}

fn range([pessimistic, realistic, optimistic]: [Money; 3]) -> pb::ForecastRange {
    pb::ForecastRange {
        optimistic: Some(optimistic.into()),
        realistic: Some(realistic.into()),
        pessimistic: Some(pessimistic.into()),
    }
}

fn model(it: Model) -> pb::ForecastModel {
    pb::ForecastModel {
        name: it.name,
        version: it.version,
        learned: it.learned,
        explanation: it.explanation.to_owned(),
        learned_from: it.learned_from.map(|(won, lost)| pb::LearnedFrom { won, lost }),
        explanation_zh: it.explanation_zh.to_owned(),
    }
}

fn category_forecast(it: CategoryForecast) -> pb::CategoryForecast {
    pb::CategoryForecast {
        forecast_category: it.category.as_str().to_owned(),
        count: it.count,
        total_value: Some(it.total_value.into()),
        weighted_value: Some(it.weighted_value.into()),
    }
}

fn stage_forecast(it: StageForecast) -> pb::StageForecast {
    pb::StageForecast {
        stage: it.stage,
        stage_key: it.stage_key,
        count: it.count,
        total_value: Some(it.total_value.into()),
        weighted_value: Some(it.weighted_value.into()),
        predicted_value: Some(it.predicted_value.into()),
    }
}

pub(super) fn breakdown(it: Breakdown) -> pb::GetForecastBreakdownResponse {
    let part = |(id, name, part): (_, _, Part)| pb::ForecastPart {
        id,
        name,
        forecast: Some(range(part.range)),
        expected: Some(part.expected().into()),
        closed_won: Some(part.closed_won.into()),
        from_pipeline: Some(part.from_pipeline.into()),
    };
    pb::GetForecastBreakdownResponse {
        period: forecast_label(&it.period),
        start_date: Some(it.period.span.start.into()),
        end_date: Some(it.period.span.end.into()),
        items: it.items.into_iter().map(part).collect(),
        unassigned: Some(it.whole.from_new_business.into()),
        expected: Some(it.whole.expected().into()),
        model: Some(model(it.model)),
        percentiles_add_up: false,
        as_of: Some(it.as_of.into()),
    }
}

pub(super) fn opportunities(it: Listed) -> pb::ListOpportunityForecastsResponse {
    pb::ListOpportunityForecastsResponse {
        items: it.items.into_iter().map(opportunity).collect(),
        next_cursor: it.next_cursor,
        model: Some(model(it.model)),
        as_of: Some(it.as_of.into()),
    }
}

fn opportunity(it: OpportunityForecast) -> pb::OpportunityForecast {
    let of = it.opportunity;
    let [from, probable, to] = it.close_dates.map_or([None; 3], |days| days.map(Some));
    pb::OpportunityForecast {
        opportunity_id: of.opportunity_id,
        version: of.version,
        opportunity_name: of.opportunity_name,
        customer_id: of.customer_id,
        customer_name: of.customer_name,
        pipeline_id: of.pipeline_id,
        stage: of.stage,
        stage_key: of.stage_key,
        owner_id: of.owner_id,
        owner_name: of.owner_name,
        team_id: of.team_id,
        amount: of.amount.map(Into::into),
        currency: of.currency,
        value: of.value.map(Into::into),
        probability: of.probability,
        expected_close_date: of.expected_close_date.map(Into::into),
        created_at: Some(of.created_at.into()),
        win_probability: it.win_probability,
        stage_win_probability: it.stage_win_probability,
        expected_value: it.expected_value.map(Into::into),
        probable_close_date: probable.map(Into::into),
        close_date_from: from.map(Into::into),
        close_date_to: to.map(Into::into),
        reasons: it.reasons.into_iter().map(reason).collect(),
    }
}

fn reason(it: Said) -> pb::ForecastReason {
    pb::ForecastReason {
        feature: it.feature,
        direction: if it.effect < 0.0 { "down" } else { "up" }.to_owned(),
        effect: it.effect,
        evidence: it.evidence,
        text_zh: it.zh,
        text_en: it.en,
    }
}

pub(super) fn history(it: Kept) -> pb::GetForecastHistoryResponse {
    pb::GetForecastHistoryResponse {
        period: forecast_label(&it.period),
        start_date: Some(it.period.span.start.into()),
        end_date: Some(it.period.span.end.into()),
        items: it.days.into_iter().map(kept).collect(),
        actual: it.actual.map(Into::into),
        as_of: Some(it.as_of.into()),
    }
}

fn kept(it: KeptDay) -> pb::KeptForecast {
    pb::KeptForecast {
        date: Some(it.made_on.into()),
        forecast: Some(range(it.part.range)),
        expected: Some(it.part.expected().into()),
        closed_won: Some(it.part.closed_won.into()),
        from_pipeline: Some(it.part.from_pipeline.into()),
        from_new_business: Some(it.part.from_new_business.into()),
        model: it.model,
        model_version: it.model_version,
        replayed: it.is_replayed,
        made_at: Some(it.made_at.into()),
    }
}

pub(super) fn accuracy(it: Accuracy) -> pb::GetForecastAccuracyResponse {
    let period = match it.length {
        Length::Month => "month",
        Length::Quarter => "quarter",
        Length::Year => "year",
    };
    pb::GetForecastAccuracyResponse {
        period: period.to_owned(),
        items: it.tries.iter().map(forecast_try).collect(),
        forecast: Some(measures(it.forecast)),
        stage_weighted: Some(measures(it.stage_weighted)),
        last_period: Some(measures(it.last_period)),
        by_decile: it.by_chance.iter().map(calibration).collect(),
        by_amount: it.by_amount.iter().map(amount_band).collect(),
        log_loss: it.log_loss.map(measure::rounded),
        model: Some(model(it.model)),
        as_of: it.tried_at.map(Into::into),
    }
}

fn forecast_try(it: &Try) -> pb::ForecastTry {
    let at = |seconds| chrono::DateTime::from_timestamp(seconds, 0).map(Into::into);
    pb::ForecastTry {
        from: at(it.replay.at),
        to: at(it.replay.at + it.length.seconds()),
        forecast: Some(range(it.percentiles.map(money))),
        actual: Some(money(it.replay.actual).into()),
        stage_weighted: Some(money(it.stage_weighted).into()),
        last_period: Some(money(it.replay.last).into()),
        inside_range: it.is_held(),
    }
}

fn measures(it: Measures) -> pb::ForecastMeasures {
    pb::ForecastMeasures {
        mape: it.mape,
        bias: it.bias,
        coverage: it.coverage,
        pinball: it.pinball,
    }
}

fn amount_band(it: &Calibration) -> pb::ForecastAmountBand {
    let pb::ForecastCalibration { count, told, won, .. } = calibration(it);
    let (from, to) = it.between;
    pb::ForecastAmountBand {
        from: Some(money(from).into()),
        to: Some(money(to).into()),
        count,
        told,
        won,
    }
}

fn calibration(it: &Calibration) -> pb::ForecastCalibration {
    pb::ForecastCalibration {
        from: measure::rounded(it.between.0),
        to: measure::rounded(it.between.1),
        count: i64::try_from(it.count).unwrap_or(i64::MAX),
        told: measure::rounded(it.told),
        won: measure::rounded(it.won),
    }
}
