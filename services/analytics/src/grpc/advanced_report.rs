//! AdvancedReportService.

use proto::analytics::v1::advanced_report_service_server::AdvancedReportService;
use proto::analytics::v1::{
    GetCohortsRequest, GetCohortsResponse, GetLossReasonsRequest, GetLossReasonsResponse,
    GetSalesVelocityRequest, GetSalesVelocityResponse, GetStageDurationRequest,
    GetStageDurationResponse, ListReportOpportunitiesRequest, ListReportOpportunitiesResponse,
};
use rpc::Invalid;
use tonic::{Request, Response, Status};

use super::report::day;
use super::{advanced_answer as answer, reader};
use crate::State;
use crate::ask::Ask;
use crate::period::Asked;
use crate::range::Range;
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
        let (owner_id, team_id, pipeline_id) = (it.owner_id, it.team_id, it.pipeline_id);
        let ask = Ask { owner_id, team_id, pipeline_id, after: it.after };
        let (range, invalid) = range(it.start_date, it.end_date);
        let now = process::now();
        let velocity = advanced::velocity(&self.0, &caller, &ask, range, invalid, now).await?;
        Ok(Response::new(answer::velocity(&velocity, range)))
    }

    async fn get_loss_reasons(
        &self,
        request: Request<GetLossReasonsRequest>,
    ) -> Result<Response<GetLossReasonsResponse>, Status> {
        let caller = reader(&request)?;
        let it = request.into_inner();
        let (owner_id, team_id, pipeline_id) = (it.owner_id, it.team_id, it.pipeline_id);
        let ask = Ask { owner_id, team_id, pipeline_id, after: it.after };
        let (range, invalid) = range(it.start_date, it.end_date);
        let now = process::now();
        let reasons = advanced::loss_reasons(&self.0, &caller, &ask, range, invalid, now).await?;
        Ok(Response::new(answer::loss_reasons(reasons, range)))
    }

    async fn get_stage_duration(
        &self,
        request: Request<GetStageDurationRequest>,
    ) -> Result<Response<GetStageDurationResponse>, Status> {
        let caller = reader(&request)?;
        let it = request.into_inner();
        let (owner_id, team_id, pipeline_id) = (it.owner_id, it.team_id, it.pipeline_id);
        let ask = Ask { owner_id, team_id, pipeline_id, after: it.after };
        let (range, invalid) = range(it.start_date, it.end_date);
        let now = process::now();
        let durations = advanced::stage_durations(&self.0, &caller, &ask, range, invalid, now);
        Ok(Response::new(answer::stage_durations(durations.await?, range)))
    }

    async fn get_cohorts(
        &self,
        request: Request<GetCohortsRequest>,
    ) -> Result<Response<GetCohortsResponse>, Status> {
        let caller = reader(&request)?;
        let it = request.into_inner();
        let (owner_id, team_id, pipeline_id) = (it.owner_id, it.team_id, it.pipeline_id);
        let ask = Ask { owner_id, team_id, pipeline_id, after: it.after };
        let (range, invalid) = range(it.start_date, it.end_date);
        let asked = (it.period.as_deref(), it.months);
        let now = process::now();
        let cohorts = advanced::cohorts(&self.0, &caller, &ask, asked, range, invalid, now);
        Ok(Response::new(answer::cohorts(cohorts.await?)))
    }

    async fn list_report_opportunities(
        &self,
        request: Request<ListReportOpportunitiesRequest>,
    ) -> Result<Response<ListReportOpportunitiesResponse>, Status> {
        let caller = reader(&request)?;
        let it = request.into_inner();
        let (owner_id, team_id, pipeline_id) = (it.owner_id, it.team_id, it.pipeline_id);
        let ask = Ask { owner_id, team_id, pipeline_id, after: it.after };
        let (range, mut invalid) = range(it.start_date, it.end_date);
        let (year, quarter, month) = (it.year, it.quarter, it.month);
        let wanted = Wanted {
            term: it.term.as_deref(),
            range,
            asked: Asked { period: it.period.as_deref(), year, quarter, month },
            until: day(&mut invalid, "until", it.until),
            stage: it.stage.as_deref(),
            stage_key: it.stage_key.as_deref(),
            lost_reason: it.lost_reason.as_deref(),
        };
        let number = (it.report.as_str(), &wanted);
        let page = (it.limit, it.cursor.as_deref());
        let now = process::now();
        let listed =
            opened::opportunities(&self.0, &caller, &ask, number, page, invalid, now).await?;
        Ok(Response::new(answer::opened(listed)))
    }
}

/// The days of a message; what is no day is noted.
fn range(start: Option<proto::Date>, end: Option<proto::Date>) -> (Range, Invalid) {
    let mut invalid = Invalid::default();
    let start = day(&mut invalid, "start_date", start);
    let end = day(&mut invalid, "end_date", end);
    (Range { start, end }, invalid)
}
