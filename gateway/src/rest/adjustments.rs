//! What managers expect beside the model of the forecast.

use proto::analytics::v1::{
    DeleteForecastAdjustmentRequest, ForecastAdjustment, GetForecastAdjustmentRequest,
    ListForecastAdjustmentChangesRequest, ListForecastAdjustmentChangesResponse,
    ListForecastAdjustmentsRequest, ListForecastAdjustmentsResponse, SetForecastAdjustmentRequest,
};

use crate::call::Call;
use crate::http::{
    Answer, IfMatch, IfThere, Json, NoContent, NoQuery, Path, Query, Resource, present,
};

/// List adjustments of the forecast
///
/// What is expected beside the model in a month, a quarter or a year of a person, of a team, or, where neither is said, of the organisation; the latest first. For administrators, and
/// for managers within their reach.
#[utoipa::path(
    get,
    path = "/forecast/adjustments",
    tag = "forecast",
    params(ListForecastAdjustmentsRequest)
)]
pub async fn list_forecast_adjustments(
    call: Call,
    Query(request): Query<ListForecastAdjustmentsRequest>,
) -> Answer<Json<ListForecastAdjustmentsResponse>> {
    let answer = call.read(call.adjustments(), request, |mut it, request| async move {
        it.list_forecast_adjustments(request).await
    });
    Ok(Json(answer.await?))
}

/// Get an adjustment of the forecast
///
/// For administrators, and for managers within their reach.
#[utoipa::path(
    get,
    path = "/forecast/adjustments/{id}",
    tag = "forecast",
    params(("id" = i64, Path, description = "The adjustment."))
)]
pub async fn get_forecast_adjustment(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
) -> Answer<Resource<ForecastAdjustment>> {
    let request = GetForecastAdjustmentRequest { id };
    let answer = call.read(call.adjustments(), request, |mut it, request| async move {
        it.get_forecast_adjustment(request).await
    });
    let body = present(answer.await?.adjustment)?;
    Ok(Resource { version: body.version, body })
}

/// Set an adjustment of the forecast
///
/// For a period, and a person, a team or, where neither is named, the organisation; in the place of the one that there is. What the model says stays as it is. For administrators, and for
/// managers within their reach.
#[utoipa::path(
    put,
    path = "/forecast/adjustments",
    tag = "forecast",
    params(("If-Match" = Option<String>, Header, description = "Only if this is the `ETag` of the adjustment that there is, or `*` and there is one; 412 otherwise."))
)]
pub async fn set_forecast_adjustment(
    call: Call,
    _query: NoQuery,
    IfThere(expected_version): IfThere,
    Json(request): Json<SetForecastAdjustmentRequest>,
) -> Answer<Resource<ForecastAdjustment>> {
    let request = SetForecastAdjustmentRequest { expected_version, ..request };
    let mut service = call.adjustments();
    let answer = call
        .write(request, |request| async move { service.set_forecast_adjustment(request).await });
    let body = present(answer.await?.adjustment)?;
    Ok(Resource { version: body.version, body })
}

/// Take an adjustment of the forecast away
///
/// What it was stays in its history. For administrators, and for managers within their reach.
#[utoipa::path(
    delete,
    path = "/forecast/adjustments/{id}",
    tag = "forecast",
    params(
        ("id" = i64, Path, description = "The adjustment."),
        ("If-Match" = Option<String>, Header, description = "Only if this is its `ETag`; 412 otherwise.")
    )
)]
pub async fn delete_forecast_adjustment(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
    IfMatch(expected_version): IfMatch,
) -> Answer<NoContent> {
    let request = DeleteForecastAdjustmentRequest { id, expected_version };
    let mut service = call.adjustments();
    call.write(request, |request| async move { service.delete_forecast_adjustment(request).await })
        .await?;
    Ok(NoContent)
}

/// The history of an adjustment of the forecast
///
/// Every version of it, the latest first, its removal too. For administrators, and for managers within their reach.
#[utoipa::path(
    get,
    path = "/forecast/adjustments/{id}/history",
    tag = "forecast",
    params(("id" = i64, Path, description = "The adjustment."), ListForecastAdjustmentChangesRequest)
)]
pub async fn list_forecast_adjustment_changes(
    call: Call,
    Path(id): Path<i64>,
    Query(request): Query<ListForecastAdjustmentChangesRequest>,
) -> Answer<Json<ListForecastAdjustmentChangesResponse>> {
    let request = ListForecastAdjustmentChangesRequest { id, ..request };
    let answer = call.read(call.adjustments(), request, |mut it, request| async move {
        it.list_forecast_adjustment_changes(request).await
    });
    Ok(Json(answer.await?))
}
