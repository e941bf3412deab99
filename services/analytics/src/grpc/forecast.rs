//! ForecastService.

use proto::analytics::v1 as pb;
use proto::analytics::v1::forecast_service_server::ForecastService;
use tonic::{Request, Response, Status};

use super::asked::{OfPart as _, OfPeriod as _};
use super::{forecast_answer as answer, reader};
use crate::forecast::{accuracy, kept, outlook};
use crate::{State, forecast};

/// Serves forecasts.
pub struct Forecasts(pub State);

#[tonic::async_trait]
impl ForecastService for Forecasts {
    async fn get_forecast(
        &self,
        request: Request<pb::GetForecastRequest>,
    ) -> Result<Response<pb::GetForecastResponse>, Status> {
        let caller = reader(&request)?;
        let it = request.into_inner();
        let now = process::now();
        let found = forecast::forecast(&self.0, &caller, &it.ask(), &it.asked(), now).await?;
        Ok(Response::new(answer::forecast(found)))
    }

    async fn get_forecast_breakdown(
        &self,
        request: Request<pb::GetForecastBreakdownRequest>,
    ) -> Result<Response<pb::GetForecastBreakdownResponse>, Status> {
        let caller = reader(&request)?;
        let it = request.into_inner();
        let asked = (&it.asked(), it.by.as_deref());
        let now = process::now();
        let found = forecast::breakdown(&self.0, &caller, &it.ask(), asked, now).await?;
        Ok(Response::new(answer::breakdown(found)))
    }

    async fn list_opportunity_forecasts(
        &self,
        request: Request<pb::ListOpportunityForecastsRequest>,
    ) -> Result<Response<pb::ListOpportunityForecastsResponse>, Status> {
        let caller = reader(&request)?;
        let it = request.into_inner();
        let which = (&it.asked(), it.stage.as_deref());
        let page = (it.limit, it.cursor.as_deref());
        let now = process::now();
        let found = outlook::opportunities(&self.0, &caller, &it.ask(), which, page, now).await?;
        Ok(Response::new(answer::opportunities(found)))
    }

    async fn get_forecast_history(
        &self,
        request: Request<pb::GetForecastHistoryRequest>,
    ) -> Result<Response<pb::GetForecastHistoryResponse>, Status> {
        let caller = reader(&request)?;
        let it = request.into_inner();
        let now = process::now();
        let found = kept::history(&self.0, &caller, &it.ask(), &it.asked(), now).await?;
        Ok(Response::new(answer::history(found)))
    }

    async fn get_forecast_accuracy(
        &self,
        request: Request<pb::GetForecastAccuracyRequest>,
    ) -> Result<Response<pb::GetForecastAccuracyResponse>, Status> {
        let caller = reader(&request)?;
        let it = request.into_inner();
        let found = accuracy::accuracy(&self.0, &caller, it.period.as_deref()).await?;
        Ok(Response::new(answer::accuracy(found)))
    }
}
