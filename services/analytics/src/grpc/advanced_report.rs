//! AdvancedReportService.

use proto::analytics::v1::advanced_report_service_server::AdvancedReportService;
use proto::analytics::v1::{
    GetActivityReportRequest, GetActivityReportResponse, GetCohortsRequest, GetCohortsResponse,
    GetLossReasonsRequest, GetLossReasonsResponse, GetSalesVelocityRequest,
    GetSalesVelocityResponse, GetStageDurationRequest, GetStageDurationResponse,
    ListReportOpportunitiesRequest, ListReportOpportunitiesResponse,
};
use tonic::{Request, Response, Status};

use super::asked::{OfDays as _, OfPart as _, OfPeriod as _, day};
use super::{advanced_answer as answer, reader};
use crate::State;
use crate::report::opened::model::Wanted;
use crate::report::{advanced, opened};

/// Serves advanced reports, and the opportunities behind every number.
pub struct AdvancedReports(pub State);

#[tonic::async_trait]
impl AdvancedReportService for AdvancedReports {
    async fn get_sales_velocity(
        &self,
        request: Request<GetSalesVelocityRequest>,
    ) -> Result<Response<GetSalesVelocityResponse>, Status> {
        let caller = reader(&request)?;
        let it = request.into_inner();
        let (range, invalid) = it.range();
        let now = process::now();
        let velocity = advanced::velocity(&self.0, &caller, &it.ask(), range, invalid, now).await?;
        Ok(Response::new(answer::velocity(&velocity, range)))
    }

    async fn get_loss_reasons(
        &self,
        request: Request<GetLossReasonsRequest>,
    ) -> Result<Response<GetLossReasonsResponse>, Status> {
        let caller = reader(&request)?;
        let it = request.into_inner();
        let (range, invalid) = it.range();
        let now = process::now();
        let reasons =
            advanced::loss_reasons(&self.0, &caller, &it.ask(), range, invalid, now).await?;
        Ok(Response::new(answer::loss_reasons(reasons, range)))
    }

    async fn get_stage_duration(
        &self,
        request: Request<GetStageDurationRequest>,
    ) -> Result<Response<GetStageDurationResponse>, Status> {
        let caller = reader(&request)?;
        let it = request.into_inner();
        let (range, invalid) = it.range();
        let now = process::now();
        let durations =
            advanced::stage_durations(&self.0, &caller, &it.ask(), range, invalid, now).await?;
        Ok(Response::new(answer::stage_durations(durations, range)))
    }

    async fn get_cohorts(
        &self,
        request: Request<GetCohortsRequest>,
    ) -> Result<Response<GetCohortsResponse>, Status> {
        let caller = reader(&request)?;
        let it = request.into_inner();
        let (range, invalid) = it.range();
        let asked = (it.period.as_deref(), it.months);
        let now = process::now();
        let cohorts =
            advanced::cohorts(&self.0, &caller, &it.ask(), asked, range, invalid, now).await?;
        Ok(Response::new(answer::cohorts(cohorts)))
    }

    async fn get_activity_report(
        &self,
        request: Request<GetActivityReportRequest>,
    ) -> Result<Response<GetActivityReportResponse>, Status> {
        let caller = reader(&request)?;
        let it = request.into_inner();
        let (range, invalid) = it.range();
        let now = process::now();
        let activities =
            advanced::activities(&self.0, &caller, &it.ask(), range, invalid, now).await?;
        Ok(Response::new(answer::activities(activities)))
    }

    async fn list_report_opportunities(
        &self,
        request: Request<ListReportOpportunitiesRequest>,
    ) -> Result<Response<ListReportOpportunitiesResponse>, Status> {
        let caller = reader(&request)?;
        let it = request.into_inner();
        let (range, mut invalid) = it.range();
        let wanted = Wanted {
            term: it.term.as_deref(),
            range,
            asked: it.asked(),
            until: day(&mut invalid, "until", it.until),
            stage: it.stage.as_deref(),
            stage_key: it.stage_key.as_deref(),
            lost_reason: it.lost_reason.as_deref(),
            activity_type: it.activity_type.as_deref(),
        };
        let number = (it.report.as_str(), &wanted);
        let page = (it.limit, it.cursor.as_deref());
        let now = process::now();
        let listed =
            opened::opportunities(&self.0, &caller, &it.ask(), number, page, invalid, now).await?;
        Ok(Response::new(answer::opened(listed)))
    }
}
