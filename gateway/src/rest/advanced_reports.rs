//! Reports on what slows sales down and why they are lost, and the opportunities behind every number.

use proto::analytics::v1::{
    ActivityCounts, ActivityReportRow, CohortMonth, GetActivityReportRequest,
    GetActivityReportResponse, GetCohortsRequest, GetCohortsResponse, GetLossReasonsRequest,
    GetLossReasonsResponse, GetSalesVelocityRequest, GetSalesVelocityResponse,
    GetStageDurationRequest, GetStageDurationResponse, ListReportOpportunitiesRequest,
    ListReportOpportunitiesResponse, LossReason, StageDuration,
};

use crate::call::Call;
use crate::http::{Answer, Json, Path, Query, Table};

/// Why opportunities were lost
///
/// By reason: how many, what they would have brought, and from which stages.
#[utoipa::path(get, path = "/reports/loss-reasons", tag = "reports", params(GetLossReasonsRequest))]
pub async fn get_loss_reasons(
    call: Call,
    Query(request): Query<GetLossReasonsRequest>,
) -> Answer<Table<GetLossReasonsResponse>> {
    let format = request.format();
    let answer = call.read(call.advanced_reports(), request, |mut it, request| async move {
        it.get_loss_reasons(request).await
    });
    Table::of_rows::<LossReason>(answer.await?, format, "loss-reasons.csv")
}

/// Sales velocity
///
/// How much is won a day: `closed_count` × `win_rate` × `average_deal_size` ÷ `average_days_to_close`.
#[utoipa::path(get, path = "/reports/velocity", tag = "reports", params(GetSalesVelocityRequest))]
pub async fn get_sales_velocity(
    call: Call,
    Query(request): Query<GetSalesVelocityRequest>,
) -> Answer<Table<GetSalesVelocityResponse>> {
    let format = request.format();
    let answer = call.read(call.advanced_reports(), request, |mut it, request| async move {
        it.get_sales_velocity(request).await
    });
    Table::of_one(answer.await?, format, "velocity.csv")
}

/// How long opportunities are in each stage
///
/// Within how many days a quarter, a half, three quarters and nine of ten leave it, those still there counted (Kaplan-Meier).
#[utoipa::path(
    get,
    path = "/reports/stage-duration",
    tag = "reports",
    params(GetStageDurationRequest)
)]
pub async fn get_stage_duration(
    call: Call,
    Query(request): Query<GetStageDurationRequest>,
) -> Answer<Table<GetStageDurationResponse>> {
    let format = request.format();
    let answer = call.read(call.advanced_reports(), request, |mut it, request| async move {
        it.get_stage_duration(request).await
    });
    Table::of_rows::<StageDuration>(answer.await?, format, "stage-duration.csv")
}

/// What became of cohorts
///
/// Of the opportunities that were made in the same month or quarter: how many were won, lost and open, month by month.
#[utoipa::path(get, path = "/reports/cohorts", tag = "reports", params(GetCohortsRequest))]
pub async fn get_cohorts(
    call: Call,
    Query(request): Query<GetCohortsRequest>,
) -> Answer<Table<GetCohortsResponse>> {
    let format = request.format();
    let answer = call.read(call.advanced_reports(), request, |mut it, request| async move {
        it.get_cohorts(request).await
    });
    Table::of_rows::<CohortMonth>(answer.await?, format, "cohorts.csv")
}

/// What each person did
///
/// By person: how many activities of each kind they wrote down and did, what is overdue, and which of their open opportunities nobody touched.
#[utoipa::path(
    get,
    path = "/reports/activities",
    tag = "reports",
    params(GetActivityReportRequest)
)]
pub async fn get_activity_report(
    call: Call,
    Query(request): Query<GetActivityReportRequest>,
) -> Answer<Table<GetActivityReportResponse>> {
    let format = request.format();
    let answer = call.read(call.advanced_reports(), request, |mut it, request| async move {
        it.get_activity_report(request).await
    });
    let counts = Some(ActivityCounts::default());
    let row = ActivityReportRow { created: counts, completed: counts, ..Default::default() };
    Table::of_rows_like(answer.await?, &row, format, "activities.csv")
}

/// Open a number of a report
///
/// The opportunities behind it: with the parameters of the report and of a row, and `term` for which number, exactly those that it counts.
#[utoipa::path(
    get,
    path = "/reports/{report}/opportunities",
    tag = "reports",
    params(
        ("report" = String, Path, description = "`conversion-rate`, `sales-trend`, `sales-performance`, `loss-reasons`, `velocity`, `stage-duration`, `cohorts` or `activities`."),
        ListReportOpportunitiesRequest
    )
)]
pub async fn list_report_opportunities(
    call: Call,
    Path(report): Path<String>,
    Query(mut request): Query<ListReportOpportunitiesRequest>,
) -> Answer<Json<ListReportOpportunitiesResponse>> {
    request.report = report;
    let answer = call.read(call.advanced_reports(), request, |mut it, request| async move {
        it.list_report_opportunities(request).await
    });
    Ok(Json(answer.await?))
}
