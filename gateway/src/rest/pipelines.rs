//! Pipelines and their stages.

use proto::opportunities::v1::{
    ListPipelinesRequest, ListPipelinesResponse, ListStagesRequest, ListStagesResponse,
};

use crate::call::Call;
use crate::http::{Answer, Json, NoQuery, Query};

/// List pipelines
///
/// All of them with their stages, the default one first.
#[utoipa::path(get, path = "/pipelines", tag = "pipeline")]
pub async fn list_pipelines(call: Call, _query: NoQuery) -> Answer<Json<ListPipelinesResponse>> {
    let request = ListPipelinesRequest {};
    let answer = call.read(call.pipelines(), request, |mut it, request| async move {
        it.list_pipelines(request).await
    });
    Ok(Json(answer.await?))
}

/// List stages
///
/// Those of one pipeline, in order.
#[utoipa::path(get, path = "/pipeline/stages", tag = "pipeline", params(ListStagesRequest))]
pub async fn list_stages(
    call: Call,
    Query(request): Query<ListStagesRequest>,
) -> Answer<Json<ListStagesResponse>> {
    let answer = call.read(call.pipelines(), request, |mut it, request| async move {
        it.list_stages(request).await
    });
    Ok(Json(answer.await?))
}
