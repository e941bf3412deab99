//! The first hop: a request becomes its message, the answer's message becomes JSON.

use anyhow::Result;
use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch};
use axum::serve::ListenerExt as _;
use bytes::Bytes;
use http::{StatusCode, header};
use proto::analytics::v1::GetPipelineOverviewRequest;
use proto::analytics::v1::report_service_client::ReportServiceClient;
use proto::opportunities::v1::opportunity_service_client::OpportunityServiceClient;
use proto::opportunities::v1::{
    ChangeOpportunityStageRequest, CreateOpportunityRequest, GetOpportunityRequest,
    ListOpportunitiesRequest, ListStageHistoryRequest,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use tonic::transport::{Channel, Endpoint};

/// Answered without a second hop: 1 kB.
static FIXED: [u8; 1_024] = [b'x'; 1_024];

#[derive(Clone)]
struct Services {
    opportunities: OpportunityServiceClient<Channel>,
    reports: ReportServiceClient<Channel>,
}

/// Why there is no answer.
struct Failure(StatusCode, String);

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        let code = match status.code() {
            tonic::Code::NotFound => StatusCode::NOT_FOUND,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self(code, status.message().to_owned())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}

type Answer = Result<Response, Failure>;

/// Serves until the process ends.
pub(crate) async fn serve(listener: TcpListener, service_url: String) -> Result<()> {
    let channel = Endpoint::from_shared(service_url)?.tcp_nodelay(true).connect_lazy();
    let services = Services {
        opportunities: OpportunityServiceClient::new(channel.clone()),
        reports: ReportServiceClient::new(channel),
    };
    let router = Router::new()
        .route("/readyz", get(async || FIXED.as_slice()))
        .route("/api/v1/pipeline/overview", get(overview))
        .route("/api/v1/opportunities", get(list).post(create))
        .route("/api/v1/opportunities/{id}", get(find))
        .route("/api/v1/opportunities/{id}/stage", patch(advance))
        .route("/api/v1/opportunities/{id}/history", get(history))
        .with_state(services);
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    Ok(axum::serve(listener, router).await?)
}

fn json(status: StatusCode, answer: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(answer)
        .map_err(|error| Failure(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok((status, [(header::CONTENT_TYPE, "application/json")], body).into_response())
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body)
        .map_err(|error| Failure(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))
}

async fn overview(State(mut services): State<Services>) -> Answer {
    let answer = services.reports.get_pipeline_overview(GetPipelineOverviewRequest::default());
    json(StatusCode::OK, answer.await?.get_ref())
}

async fn list(State(mut services): State<Services>, RawQuery(query): RawQuery) -> Answer {
    let request: ListOpportunitiesRequest =
        proto::query::decode(query.as_deref().unwrap_or_default())
            .map_err(|_| Failure(StatusCode::UNPROCESSABLE_ENTITY, "bad query".to_owned()))?;
    json(StatusCode::OK, services.opportunities.list_opportunities(request).await?.get_ref())
}

async fn find(State(mut services): State<Services>, Path(id): Path<i64>) -> Answer {
    let answer = services.opportunities.get_opportunity(GetOpportunityRequest { id }).await?;
    json(StatusCode::OK, &answer.get_ref().opportunity)
}

async fn create(State(mut services): State<Services>, body: Bytes) -> Answer {
    let request: CreateOpportunityRequest = read(&body)?;
    let answer = services.opportunities.create_opportunity(request).await?;
    json(StatusCode::CREATED, &answer.get_ref().opportunity)
}

async fn advance(State(mut services): State<Services>, Path(id): Path<i64>, body: Bytes) -> Answer {
    let mut request: ChangeOpportunityStageRequest = read(&body)?;
    request.id = id;
    let answer = services.opportunities.change_opportunity_stage(request).await?;
    json(StatusCode::OK, &answer.get_ref().opportunity)
}

async fn history(State(mut services): State<Services>, Path(id): Path<i64>) -> Answer {
    let request = ListStageHistoryRequest { id, ..Default::default() };
    json(StatusCode::OK, services.opportunities.list_stage_history(request).await?.get_ref())
}
