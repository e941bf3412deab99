//! Pipelines.

use proto::opportunities::v1::{
    CreatePipelineRequest, DeletePipelineRequest, GetPipelineRequest, ListPipelinesRequest,
    ListPipelinesResponse, Pipeline, UpdatePipelineRequest,
};

use crate::call::{Call, IdempotencyKey};
use crate::http::{
    Answer, Created, IfMatch, Json, NoContent, NoQuery, Patch, Path, Query, Resource, present,
};
use crate::router::BASE;

/// List pipelines
///
/// With their stages, the default one first.
#[utoipa::path(get, path = "/pipelines", tag = "pipeline", params(ListPipelinesRequest))]
pub async fn list_pipelines(
    call: Call,
    Query(request): Query<ListPipelinesRequest>,
) -> Answer<Json<ListPipelinesResponse>> {
    let answer = call.read(call.pipelines(), request, |mut it, request| async move {
        it.list_pipelines(request).await
    });
    Ok(Json(answer.await?))
}

/// Make a pipeline
///
/// With the standard stages where none are given. As the default one it takes that from the one that was. For admins.
#[utoipa::path(
    post,
    path = "/pipelines",
    tag = "pipeline",
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key and body give the first answer again, for 24 hours."))
)]
pub async fn create_pipeline(
    call: Call,
    _query: NoQuery,
    key: IdempotencyKey,
    Json(request): Json<CreatePipelineRequest>,
) -> Answer<Created<Pipeline>> {
    let call = call.once(key);
    let mut service = call.pipelines();
    let answer =
        call.write(request, |request| async move { service.create_pipeline(request).await });
    let body = present(answer.await?.pipeline)?;
    let location = format!("{BASE}/pipelines/{}", body.id);
    Ok(Created { version: body.version, location, body })
}

/// Get a pipeline
///
/// With its stages in order.
#[utoipa::path(get, path = "/pipelines/{id}", tag = "pipeline", params(("id" = i64, Path, description = "The pipeline.")))]
pub async fn get_pipeline(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
) -> Answer<Resource<Pipeline>> {
    let request = GetPipelineRequest { id };
    let answer = call.read(call.pipelines(), request, |mut it, request| async move {
        it.get_pipeline(request).await
    });
    let body = present(answer.await?.pipeline)?;
    Ok(Resource { version: body.version, body })
}

/// Change a pipeline
///
/// What is not named stays. Making it the default one takes that from the one that was. For admins.
#[utoipa::path(
    patch,
    path = "/pipelines/{id}",
    tag = "pipeline",
    request_body(content((UpdatePipelineRequest = "application/json"), (UpdatePipelineRequest = "application/merge-patch+json"))),
    params(("id" = i64, Path, description = "The pipeline."), ("If-Match" = Option<String>, Header, description = "Only if this is its `ETag`; 412 otherwise."))
)]
pub async fn update_pipeline(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
    IfMatch(expected_version): IfMatch,
    Patch(request): Patch<UpdatePipelineRequest>,
) -> Answer<Resource<Pipeline>> {
    let request = UpdatePipelineRequest { id, expected_version, ..request };
    let mut service = call.pipelines();
    let answer =
        call.write(request, |request| async move { service.update_pipeline(request).await });
    let body = present(answer.await?.pipeline)?;
    Ok(Resource { version: body.version, body })
}

/// Delete a pipeline
///
/// Neither the default one, nor one through which opportunities run, deleted ones included. For admins.
#[utoipa::path(
    delete,
    path = "/pipelines/{id}",
    tag = "pipeline",
    params(("id" = i64, Path, description = "The pipeline."), ("If-Match" = Option<String>, Header, description = "Only if this is its `ETag`; 412 otherwise."))
)]
pub async fn delete_pipeline(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
    IfMatch(expected_version): IfMatch,
) -> Answer<NoContent> {
    let request = DeletePipelineRequest { id, expected_version };
    let mut service = call.pipelines();
    call.write(request, |request| async move { service.delete_pipeline(request).await }).await?;
    Ok(NoContent)
}
