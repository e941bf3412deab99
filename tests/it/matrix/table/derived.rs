//! What is derived: reports, forecasts and notifications.

use proto::analytics::v1 as analytics;
use serde_json::json;

use super::super::policy::Policy;
use super::{ABSENT, Row, row};

pub(super) fn derived_rows() -> Vec<Row> {
    use Policy::{Managers, Readers};
    vec![
        row("analytics.v1.ReportService/GetPipelineOverview", "get /pipeline/overview", Readers),
        row(
            "analytics.v1.ReportService/GetConversionRate",
            "get /reports/conversion-rate",
            Readers,
        ),
        row("analytics.v1.ReportService/GetSalesTrend", "get /reports/sales-trend", Readers),
        row(
            "analytics.v1.ReportService/GetSalesPerformance",
            "get /reports/sales-performance",
            Readers,
        ),
        row(
            "analytics.v1.AdvancedReportService/GetLossReasons",
            "get /reports/loss-reasons",
            Readers,
        ),
        row(
            "analytics.v1.AdvancedReportService/GetSalesVelocity",
            "get /reports/velocity",
            Readers,
        ),
        row(
            "analytics.v1.AdvancedReportService/GetStageDuration",
            "get /reports/stage-duration",
            Readers,
        ),
        row("analytics.v1.AdvancedReportService/GetCohorts", "get /reports/cohorts", Readers),
        row(
            "analytics.v1.AdvancedReportService/GetActivityReport",
            "get /reports/activities",
            Readers,
        ),
        row(
            "analytics.v1.AdvancedReportService/ListReportOpportunities",
            "get /reports/{report}/opportunities",
            Readers,
        ),
        row(
            "analytics.v1.PipelineChangeService/GetPipelineChanges",
            "get /reports/pipeline-changes",
            Readers,
        ),
        row(
            "analytics.v1.PipelineChangeService/ListPipelineChangeOpportunities",
            "get /reports/pipeline-changes/opportunities",
            Readers,
        )
        .saying(&analytics::ListPipelineChangeOpportunitiesRequest {
            term: "won".to_owned(),
            ..Default::default()
        }),
        row(
            "analytics.v1.AdjustmentService/ListForecastAdjustments",
            "get /forecast/adjustments",
            Managers,
        ),
        row(
            "analytics.v1.AdjustmentService/GetForecastAdjustment",
            "get /forecast/adjustments/{id}",
            Managers,
        )
        .saying(&analytics::GetForecastAdjustmentRequest { id: ABSENT }),
        row(
            "analytics.v1.AdjustmentService/SetForecastAdjustment",
            "put /forecast/adjustments",
            Managers,
        )
        .with(json!({})),
        row(
            "analytics.v1.AdjustmentService/DeleteForecastAdjustment",
            "delete /forecast/adjustments/{id}",
            Managers,
        )
        .saying(&analytics::DeleteForecastAdjustmentRequest { id: ABSENT, ..Default::default() }),
        row(
            "analytics.v1.AdjustmentService/ListForecastAdjustmentChanges",
            "get /forecast/adjustments/{id}/history",
            Managers,
        )
        .saying(&analytics::ListForecastAdjustmentChangesRequest {
            id: ABSENT,
            ..Default::default()
        }),
        row("analytics.v1.AttainmentService/GetAttainment", "get /forecast/attainment", Readers),
        row("analytics.v1.TargetService/ListTargets", "get /targets", Readers),
        row("analytics.v1.TargetService/GetTarget", "get /targets/{id}", Readers)
            .saying(&analytics::GetTargetRequest { id: ABSENT }),
        row("analytics.v1.TargetService/SetTarget", "put /targets", Managers).with(json!({})),
        row("analytics.v1.TargetService/DeleteTarget", "delete /targets/{id}", Managers)
            .saying(&analytics::DeleteTargetRequest { id: ABSENT, ..Default::default() }),
        row("notifier.v1.NotificationService/ListNotifications", "get /notifications", Readers),
    ]
}

pub(super) fn forecast_rows() -> Vec<Row> {
    use Policy::{Admins, Readers};
    vec![
        row("analytics.v1.ForecastService/GetForecast", "get /forecast", Readers),
        row(
            "analytics.v1.ForecastService/GetForecastBreakdown",
            "get /forecast/breakdown",
            Readers,
        ),
        row(
            "analytics.v1.ForecastService/ListOpportunityForecasts",
            "get /forecast/opportunities",
            Readers,
        ),
        row("analytics.v1.ForecastService/GetForecastHistory", "get /forecast/history", Readers),
        // It is about every opportunity.
        row("analytics.v1.ForecastService/GetForecastAccuracy", "get /forecast/accuracy", Admins),
    ]
}
