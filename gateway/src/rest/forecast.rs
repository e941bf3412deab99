//! The forecast.

use proto::analytics::v1::{GetForecastRequest, GetForecastResponse};

use crate::call::Call;
use crate::http::{Answer, Json, Query};

/// Forecast a period
///
/// What will have been won in it: what is won already and what the open pipeline will bring in time, with a range.
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
