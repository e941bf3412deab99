//! The forecast.

use proto::analytics::v1::{
    GetForecastAccuracyRequest, GetForecastAccuracyResponse, GetForecastBreakdownRequest,
    GetForecastBreakdownResponse, GetForecastHistoryRequest, GetForecastHistoryResponse,
    GetForecastRequest, GetForecastResponse, ListOpportunityForecastsRequest,
    ListOpportunityForecastsResponse,
};

use crate::call::Call;
use crate::http::{Answer, Json, Query};

/// Forecast a period
///
/// What will have been won in it, with the range of it.
#[utoipa::path(get, path = "/forecast", tag = "forecast", params(GetForecastRequest))]
pub async fn get_forecast(
    call: Call,
    Query(request): Query<GetForecastRequest>,
) -> Answer<Json<GetForecastResponse>> {
    let answer = call.read(call.forecasts(), request, |mut it, request| async move {
        it.get_forecast(request).await
    });
    Ok(Json(answer.await?))
}

/// Forecast a period by owner or team
///
/// The rows add up to the whole with what is unassigned, to the cent; percentiles do not.
#[utoipa::path(
    get,
    path = "/forecast/breakdown",
    tag = "forecast",
    params(GetForecastBreakdownRequest)
)]
pub async fn get_forecast_breakdown(
    call: Call,
    Query(request): Query<GetForecastBreakdownRequest>,
) -> Answer<Json<GetForecastBreakdownResponse>> {
    let answer = call.read(call.forecasts(), request, |mut it, request| async move {
        it.get_forecast_breakdown(request).await
    });
    Ok(Json(answer.await?))
}

/// What may become of each open opportunity
///
/// Its chance to be won, when it probably closes, and why, the newest first.
#[utoipa::path(
    get,
    path = "/forecast/opportunities",
    tag = "forecast",
    params(ListOpportunityForecastsRequest)
)]
pub async fn list_opportunity_forecasts(
    call: Call,
    Query(request): Query<ListOpportunityForecastsRequest>,
) -> Answer<Json<ListOpportunityForecastsResponse>> {
    let answer = call.read(call.forecasts(), request, |mut it, request| async move {
        it.list_opportunity_forecasts(request).await
    });
    Ok(Json(answer.await?))
}

/// How the forecast of a period moved
///
/// Day by day as it was given, and what came true.
#[utoipa::path(
    get,
    path = "/forecast/history",
    tag = "forecast",
    params(GetForecastHistoryRequest)
)]
pub async fn get_forecast_history(
    call: Call,
    Query(request): Query<GetForecastHistoryRequest>,
) -> Answer<Json<GetForecastHistoryResponse>> {
    let answer = call.read(call.forecasts(), request, |mut it, request| async move {
        it.get_forecast_history(request).await
    });
    Ok(Json(answer.await?))
}

/// How past forecasts would have done
///
/// From a back-test that used only what was known at the time; told to who sees every opportunity.
#[utoipa::path(
    get,
    path = "/forecast/accuracy",
    tag = "forecast",
    params(GetForecastAccuracyRequest)
)]
pub async fn get_forecast_accuracy(
    call: Call,
    Query(request): Query<GetForecastAccuracyRequest>,
) -> Answer<Json<GetForecastAccuracyResponse>> {
    let answer = call.read(call.forecasts(), request, |mut it, request| async move {
        it.get_forecast_accuracy(request).await
    });
    Ok(Json(answer.await?))
}
