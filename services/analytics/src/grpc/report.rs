//! ReportService.

use chrono::NaiveDate;
use proto::analytics::v1::report_service_server::ReportService;
use proto::analytics::v1::{
    GetConversionRateRequest, GetConversionRateResponse, GetPipelineOverviewRequest,
    GetPipelineOverviewResponse, GetSalesPerformanceRequest, GetSalesPerformanceResponse,
    GetSalesTrendRequest, GetSalesTrendResponse,
};
use rpc::Invalid;
use tonic::{Request, Response, Status};

use super::{answer, reader};
use crate::ask::Ask;
use crate::period::Asked;
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
        let (owner_id, team_id, pipeline_id) = (it.owner_id, it.team_id, it.pipeline_id);
        let ask = Ask { owner_id, team_id, pipeline_id, after: it.after };
        let overview = report::overview(&self.0, &caller, &ask, process::now()).await?;
        Ok(Response::new(answer::overview(overview)))
    }

    async fn get_conversion_rate(
        &self,
        request: Request<GetConversionRateRequest>,
    ) -> Result<Response<GetConversionRateResponse>, Status> {
        let caller = reader(&request)?;
        let it = request.into_inner();
        let (owner_id, team_id, pipeline_id) = (it.owner_id, it.team_id, it.pipeline_id);
        let ask = Ask { owner_id, team_id, pipeline_id, after: it.after };
        let mut invalid = Invalid::default();
        let range = (
            day(&mut invalid, "start_date", it.start_date),
            day(&mut invalid, "end_date", it.end_date),
        );
        let conversion =
            report::conversion(&self.0, &caller, &ask, range, invalid, process::now()).await?;
        Ok(Response::new(answer::conversion(conversion, range)))
    }

    async fn get_sales_trend(
        &self,
        request: Request<GetSalesTrendRequest>,
    ) -> Result<Response<GetSalesTrendResponse>, Status> {
        let caller = reader(&request)?;
        let it = request.into_inner();
        let (owner_id, team_id, pipeline_id) = (it.owner_id, it.team_id, it.pipeline_id);
        let ask = Ask { owner_id, team_id, pipeline_id, after: it.after };
        let asked = (it.period.as_deref(), it.year);
        let trend = report::trend(&self.0, &caller, &ask, asked, process::now()).await?;
        Ok(Response::new(answer::trend(trend)))
    }

    async fn get_sales_performance(
        &self,
        request: Request<GetSalesPerformanceRequest>,
    ) -> Result<Response<GetSalesPerformanceResponse>, Status> {
        let caller = reader(&request)?;
        let it = request.into_inner();
        let (owner_id, team_id, pipeline_id) = (it.owner_id, it.team_id, it.pipeline_id);
        let ask = Ask { owner_id, team_id, pipeline_id, after: it.after };
        let (year, quarter, month) = (it.year, it.quarter, it.month);
        let asked = Asked { period: it.period.as_deref(), year, quarter, month };
        let performance =
            report::performance(&self.0, &caller, &ask, &asked, process::now()).await?;
        Ok(Response::new(answer::performance(performance)))
    }
}

/// A day of a message, or a bad field.
pub(super) fn day(
    invalid: &mut Invalid,
    field: &str,
    date: Option<proto::Date>,
) -> Option<NaiveDate> {
    let day = date.map(NaiveDate::try_from).transpose();
    day.unwrap_or_else(|_| {
        invalid.add(field, "invalid_date", "is not a day of the calendar");
        None
    })
}
