//! ForecastService.

use proto::analytics::v1::forecast_service_server::ForecastService;
use proto::analytics::v1::{GetForecastRequest, GetForecastResponse};
use tonic::{Request, Response, Status};

use super::{answer, reader};
use crate::ask::Ask;
use crate::period::Asked;
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
        let (owner_id, team_id, pipeline_id) = (it.owner_id, it.team_id, it.pipeline_id);
        let ask = Ask { owner_id, team_id, pipeline_id, after: it.after };
        let (year, quarter, month) = (it.year, it.quarter, it.month);
        let asked = Asked { period: it.period.as_deref(), year, quarter, month };
        let forecast = forecast::forecast(&self.0, &caller, &ask, &asked, process::now()).await?;
        Ok(Response::new(answer::forecast(forecast)))
    }
}
