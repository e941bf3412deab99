//! ReportService.

use proto::analytics::v1::report_service_server::ReportService;
use proto::analytics::v1::{
    GetConversionRateRequest, GetConversionRateResponse, GetPipelineOverviewRequest,
    GetPipelineOverviewResponse, GetSalesPerformanceRequest, GetSalesPerformanceResponse,
    GetSalesTrendRequest, GetSalesTrendResponse,
};
use tonic::{Request, Response, Status};

use super::asked::{OfDays as _, OfPart as _, OfPeriod as _};
use super::{answer, reader};
use crate::{State, report};

/// Serves reports.
pub struct Reports(pub State);

#[tonic::async_trait]
impl ReportService for Reports {
    async fn get_pipeline_overview(
        &self,
        request: Request<GetPipelineOverviewRequest>,
    ) -> Result<Response<GetPipelineOverviewResponse>, Status> {
        let caller = reader(&request)?;
        let it = request.into_inner();
        let overview = report::overview(&self.0, &caller, &it.ask(), process::now()).await?;
        Ok(Response::new(answer::overview(overview)))
    }

    async fn get_conversion_rate(
        &self,
        request: Request<GetConversionRateRequest>,
    ) -> Result<Response<GetConversionRateResponse>, Status> {
        let caller = reader(&request)?;
        let it = request.into_inner();
        let (range, invalid) = it.range();
        let range = (range.start, range.end);
        let conversion =
            report::conversion(&self.0, &caller, &it.ask(), range, invalid, process::now()).await?;
        Ok(Response::new(answer::conversion(conversion, range)))
    }

    async fn get_sales_trend(
        &self,
        request: Request<GetSalesTrendRequest>,
    ) -> Result<Response<GetSalesTrendResponse>, Status> {
        let caller = reader(&request)?;
        let it = request.into_inner();
        let asked = (it.period.as_deref(), it.year);
        let trend = report::trend(&self.0, &caller, &it.ask(), asked, process::now()).await?;
        Ok(Response::new(answer::trend(trend)))
    }

    async fn get_sales_performance(
        &self,
        request: Request<GetSalesPerformanceRequest>,
    ) -> Result<Response<GetSalesPerformanceResponse>, Status> {
        let caller = reader(&request)?;
        let it = request.into_inner();
        let performance =
            report::performance(&self.0, &caller, &it.ask(), &it.asked(), process::now()).await?;
        Ok(Response::new(answer::performance(performance)))
    }
}
