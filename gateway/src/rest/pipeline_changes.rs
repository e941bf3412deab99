//! How the open pipeline changed, and the opportunities behind it.

use proto::analytics::v1::{
    GetPipelineChangesRequest, GetPipelineChangesResponse, ListPipelineChangeOpportunitiesRequest,
    ListPipelineChangeOpportunitiesResponse,
};

use crate::call::Call;
use crate::http::{Answer, Json, Query, Table};

/// What changed in the pipeline
///
/// What was added, grew, shrank, slipped, was won and was lost between two days, adding up to the cent.
#[utoipa::path(
    get,
    path = "/reports/pipeline-changes",
    tag = "reports",
    params(GetPipelineChangesRequest)
)]
pub async fn get_pipeline_changes(
    call: Call,
    Query(request): Query<GetPipelineChangesRequest>,
) -> Answer<Table<GetPipelineChangesResponse>> {
    let format = request.format();
    let answer = call.read(call.pipeline_changes(), request, |mut it, request| async move {
        it.get_pipeline_changes(request).await
    });
    Table::of_terms(answer.await?, format, "pipeline-changes.csv")
}

/// The opportunities behind a change
///
/// Exactly those of one term, with what each contributes to it.
#[utoipa::path(
    get,
    path = "/reports/pipeline-changes/opportunities",
    tag = "reports",
    params(ListPipelineChangeOpportunitiesRequest)
)]
pub async fn list_pipeline_change_opportunities(
    call: Call,
    Query(request): Query<ListPipelineChangeOpportunitiesRequest>,
) -> Answer<Json<ListPipelineChangeOpportunitiesResponse>> {
    let answer = call.read(call.pipeline_changes(), request, |mut it, request| async move {
        it.list_pipeline_change_opportunities(request).await
    });
    Ok(Json(answer.await?))
}
