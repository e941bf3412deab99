//! The second hop: one statement for each request.

use anyhow::Result;
use proto::analytics::v1::report_service_server::{ReportService, ReportServiceServer};
use proto::analytics::v1::{
    GetConversionRateRequest, GetConversionRateResponse, GetPipelineOverviewRequest,
    GetPipelineOverviewResponse, GetSalesPerformanceRequest, GetSalesPerformanceResponse,
    GetSalesTrendRequest, GetSalesTrendResponse,
};
use proto::opportunities::v1::opportunity_service_server::{
    OpportunityService, OpportunityServiceServer,
};
use proto::opportunities::v1::{
    ChangeOpportunityStageRequest, ChangeOpportunityStageResponse, CreateOpportunityRequest,
    CreateOpportunityResponse, DeleteOpportunityRequest, DeleteOpportunityResponse,
    GetOpportunityAccessRequest, GetOpportunityAccessResponse, GetOpportunityRequest,
    GetOpportunityResponse, ImportHistoryRequest, ImportHistoryResponse, ListOpportunitiesRequest,
    ListOpportunitiesResponse, ListStageHistoryRequest, ListStageHistoryResponse,
    RestoreOpportunityRequest, RestoreOpportunityResponse, UpdateOpportunityRequest,
    UpdateOpportunityResponse, UpsertOpportunityRequest, UpsertOpportunityResponse,
};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::store;

#[derive(Clone)]
struct Service {
    pool: PgPool,
}

/// Serves until the process ends.
pub(crate) async fn serve(listener: TcpListener, database_url: &str, size: u32) -> Result<()> {
    let pool = PgPoolOptions::new()
        .max_connections(size)
        .test_before_acquire(false)
        .connect(database_url)
        .await?;
    let service = Service { pool };
    Server::builder()
        .add_service(OpportunityServiceServer::new(service.clone()))
        .add_service(ReportServiceServer::new(service))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
        .await?;
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
fn failed(error: sqlx::Error) -> Status {
    Status::internal(error.to_string())
}

fn found<T>(row: Option<T>) -> Result<T, Status> {
    row.ok_or_else(|| Status::not_found("there is none"))
}

fn not_here<T>() -> Result<T, Status> {
    Err(Status::unimplemented("the bare program does not have it"))
}

#[tonic::async_trait]
impl OpportunityService for Service {
    async fn create_opportunity(
        &self,
        request: Request<CreateOpportunityRequest>,
    ) -> Result<Response<CreateOpportunityResponse>, Status> {
        let row = store::insert(&self.pool, request.into_inner(), process::now()).await;
        Ok(Response::new(CreateOpportunityResponse { opportunity: Some(row.map_err(failed)?) }))
    }

    async fn get_opportunity(
        &self,
        request: Request<GetOpportunityRequest>,
    ) -> Result<Response<GetOpportunityResponse>, Status> {
        let row = store::find(&self.pool, request.into_inner().id, process::now()).await;
        let row = found(row.map_err(failed)?)?;
        Ok(Response::new(GetOpportunityResponse { opportunity: Some(row) }))
    }

    async fn list_opportunities(
        &self,
        request: Request<ListOpportunitiesRequest>,
    ) -> Result<Response<ListOpportunitiesResponse>, Status> {
        let stage = request.into_inner().stage.pop().unwrap_or_default();
        let page = store::list(&self.pool, &stage, process::now()).await;
        Ok(Response::new(page.map_err(failed)?))
    }

    async fn change_opportunity_stage(
        &self,
        request: Request<ChangeOpportunityStageRequest>,
    ) -> Result<Response<ChangeOpportunityStageResponse>, Status> {
        let row = store::advance(&self.pool, request.into_inner(), process::now()).await;
        let row = found(row.map_err(failed)?)?;
        Ok(Response::new(ChangeOpportunityStageResponse { opportunity: Some(row) }))
    }

    async fn update_opportunity(
        &self,
        _: Request<UpdateOpportunityRequest>,
    ) -> Result<Response<UpdateOpportunityResponse>, Status> {
        not_here()
    }

    async fn upsert_opportunity(
        &self,
        _: Request<UpsertOpportunityRequest>,
    ) -> Result<Response<UpsertOpportunityResponse>, Status> {
        not_here()
    }

    async fn delete_opportunity(
        &self,
        _: Request<DeleteOpportunityRequest>,
    ) -> Result<Response<DeleteOpportunityResponse>, Status> {
        not_here()
    }

    async fn restore_opportunity(
        &self,
        _: Request<RestoreOpportunityRequest>,
    ) -> Result<Response<RestoreOpportunityResponse>, Status> {
        not_here()
    }

    async fn list_stage_history(
        &self,
        request: Request<ListStageHistoryRequest>,
    ) -> Result<Response<ListStageHistoryResponse>, Status> {
        let page = store::history(&self.pool, request.into_inner().id).await;
        Ok(Response::new(page.map_err(failed)?))
    }

    async fn get_opportunity_access(
        &self,
        _: Request<GetOpportunityAccessRequest>,
    ) -> Result<Response<GetOpportunityAccessResponse>, Status> {
        not_here()
    }

    async fn import_history(
        &self,
        _: Request<ImportHistoryRequest>,
    ) -> Result<Response<ImportHistoryResponse>, Status> {
        not_here()
    }
}

#[tonic::async_trait]
impl ReportService for Service {
    async fn get_pipeline_overview(
        &self,
        _: Request<GetPipelineOverviewRequest>,
    ) -> Result<Response<GetPipelineOverviewResponse>, Status> {
        let overview = store::overview(&self.pool, process::now()).await;
        Ok(Response::new(overview.map_err(failed)?))
    }

    async fn get_conversion_rate(
        &self,
        _: Request<GetConversionRateRequest>,
    ) -> Result<Response<GetConversionRateResponse>, Status> {
        not_here()
    }

    async fn get_sales_trend(
        &self,
        _: Request<GetSalesTrendRequest>,
    ) -> Result<Response<GetSalesTrendResponse>, Status> {
        not_here()
    }

    async fn get_sales_performance(
        &self,
        _: Request<GetSalesPerformanceRequest>,
    ) -> Result<Response<GetSalesPerformanceResponse>, Status> {
        not_here()
    }
}
