//! The funnel and the reports.

use proto::analytics::v1::{
    GetConversionRateRequest, GetConversionRateResponse, GetPipelineOverviewRequest,
    GetPipelineOverviewResponse, GetSalesPerformanceRequest, GetSalesPerformanceResponse,
    GetSalesTrendRequest, GetSalesTrendResponse, SalesPerformance, StageConversion, TrendPeriod,
};

use crate::call::Call;
use crate::http::{Answer, Json, Query, Table};

/// The funnel as it stands
///
/// A row for every stage of the pipeline, in order.
#[utoipa::path(
    get,
    path = "/pipeline/overview",
    tag = "pipeline",
    params(GetPipelineOverviewRequest)
)]
pub async fn get_pipeline_overview(
    call: Call,
    Query(request): Query<GetPipelineOverviewRequest>,
) -> Answer<Json<GetPipelineOverviewResponse>> {
    let answer = call.read(call.reports(), request, |mut it, request| async move {
        it.get_pipeline_overview(request).await
    });
    Ok(Json(answer.await?))
}

/// Conversion by stage
///
/// Of the opportunities that entered each open stage, how many went further, fell out, or are still there.
#[utoipa::path(
    get,
    path = "/reports/conversion-rate",
    tag = "reports",
    params(GetConversionRateRequest)
)]
pub async fn get_conversion_rate(
    call: Call,
    Query(request): Query<GetConversionRateRequest>,
) -> Answer<Table<GetConversionRateResponse>> {
    let format = request.format();
    let answer = call.read(call.reports(), request, |mut it, request| async move {
        it.get_conversion_rate(request).await
    });
    Table::of_rows::<StageConversion>(answer.await?, format, "conversion-rate.csv")
}

/// The trend of a year
///
/// A row for every period of it, empty ones too.
#[utoipa::path(get, path = "/reports/sales-trend", tag = "reports", params(GetSalesTrendRequest))]
pub async fn get_sales_trend(
    call: Call,
    Query(request): Query<GetSalesTrendRequest>,
) -> Answer<Table<GetSalesTrendResponse>> {
    let format = request.format();
    let answer = call.read(call.reports(), request, |mut it, request| async move {
        it.get_sales_trend(request).await
    });
    Table::of_rows::<TrendPeriod>(answer.await?, format, "sales-trend.csv")
}

/// The performance of each salesperson
///
/// A row for every active rep and manager and for whoever has numbers in the period.
#[utoipa::path(
    get,
    path = "/reports/sales-performance",
    tag = "reports",
    params(GetSalesPerformanceRequest)
)]
pub async fn get_sales_performance(
    call: Call,
    Query(request): Query<GetSalesPerformanceRequest>,
) -> Answer<Table<GetSalesPerformanceResponse>> {
    let format = request.format();
    let answer = call.read(call.reports(), request, |mut it, request| async move {
        it.get_sales_performance(request).await
    });
    Table::of_rows::<SalesPerformance>(answer.await?, format, "sales-performance.csv")
}
