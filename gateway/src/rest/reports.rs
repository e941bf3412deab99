//! The funnel and the reports.

use proto::analytics::v1::{
    GetConversionRateRequest, GetConversionRateResponse, GetPipelineOverviewRequest,
    GetPipelineOverviewResponse, GetSalesPerformanceRequest, GetSalesPerformanceResponse,
    GetSalesTrendRequest, GetSalesTrendResponse,
};

use crate::call::Call;
use crate::http::{Answer, Json, Query};

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
) -> Answer<Json<GetConversionRateResponse>> {
    let answer = call.read(call.reports(), request, |mut it, request| async move {
        it.get_conversion_rate(request).await
    });
    Ok(Json(answer.await?))
}

/// The trend of a year
///
/// A row for every period of it, empty ones too.
#[utoipa::path(get, path = "/reports/sales-trend", tag = "reports", params(GetSalesTrendRequest))]
pub async fn get_sales_trend(
    call: Call,
    Query(request): Query<GetSalesTrendRequest>,
) -> Answer<Json<GetSalesTrendResponse>> {
    let answer = call.read(call.reports(), request, |mut it, request| async move {
        it.get_sales_trend(request).await
    });
    Ok(Json(answer.await?))
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
) -> Answer<Json<GetSalesPerformanceResponse>> {
    let answer = call.read(call.reports(), request, |mut it, request| async move {
        it.get_sales_performance(request).await
    });
    Ok(Json(answer.await?))
}
