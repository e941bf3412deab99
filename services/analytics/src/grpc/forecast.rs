//! ForecastService.

use proto::analytics::v1::forecast_service_server::ForecastService;
use proto::analytics::v1::{GetForecastRequest, GetForecastResponse};
use tonic::{Request, Response, Status};

use super::asked::{OfPart as _, OfPeriod as _};
use super::{answer, reader};
use crate::{State, forecast};

/// Serves forecasts.
pub struct Forecasts(pub State);

#[tonic::async_trait]
impl ForecastService for Forecasts {
    async fn get_forecast(
        &self,
        request: Request<GetForecastRequest>,
    ) -> Result<Response<GetForecastResponse>, Status> {
        let caller = reader(&request)?;
        let it = request.into_inner();
        let forecast =
            forecast::forecast(&self.0, &caller, &it.ask(), &it.asked(), process::now()).await?;
        Ok(Response::new(answer::forecast(forecast)))
    }
}
