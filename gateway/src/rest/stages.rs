//! The stages of a pipeline. What is made conditional on a version is so on that of the pipeline.

use proto::opportunities::v1::{
    CreateStageRequest, DeleteStageRequest, ListStagesRequest, ListStagesResponse, Pipeline,
    ReorderStagesRequest, Stage, StageClosing, UpdateStageRequest,
};
use proto::query;

use crate::call::{Call, IdempotencyKey};
use crate::http::{Answer, Created, Done, IfMatch, Json, Patch, Path, Query, Resource, present};
use crate::router::BASE;

/// Whose stages are to be other.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OfPipeline {
    /// The pipeline; the default one where absent.
    #[param(required = false, example = json!(1), value_type = i64)]
    pipeline_id: Option<i64>,
}

impl query::Query for OfPipeline {
    const FIELDS: &'static [query::Parameter] =
        &[query::Parameter { name: "pipeline_id", repeated: false, form: query::Form::Number }];
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

/// Make a stage
///
/// For admins. The `ETag` is the version of the pipeline.
#[utoipa::path(
    post,
    path = "/pipeline/stages",
    tag = "pipeline",
    params(
        OfPipeline,
        ("Idempotency-Key" = Option<String>, Header, description = "The same key and body give the first answer again, for 24 hours.")
    )
)]
pub async fn create_stage(
    call: Call,
    Query(OfPipeline { pipeline_id }): Query<OfPipeline>,
    key: IdempotencyKey,
    Json(request): Json<CreateStageRequest>,
) -> Answer<Created<Stage>> {
    let request = CreateStageRequest { pipeline_id, ..request };
    let call = call.once(key);
    let mut service = call.pipelines();
    let answer = call.write(request, |request| async move { service.create_stage(request).await });
    let answer = answer.await?;
    let body = present(answer.stage)?;
    let of_pipeline = pipeline_id.map(|id| format!("?pipeline_id={id}")).unwrap_or_default();
    let location = format!("{BASE}/pipeline/stages/{}{of_pipeline}", body.key);
    Ok(Created { version: answer.version, location, body })
}

/// Change a stage
///
/// What is not named stays; its key stays always, its kind once opportunities have been in it. For admins. The `ETag` is the version of the pipeline.
#[utoipa::path(
    patch,
    path = "/pipeline/stages/{key}",
    tag = "pipeline",
    request_body(content((UpdateStageRequest = "application/json"), (UpdateStageRequest = "application/merge-patch+json"))),
    params(
        ("key" = String, Path, description = "The key of the stage."),
        OfPipeline,
        ("If-Match" = Option<String>, Header, description = "Only if this is the version of the pipeline; 412 otherwise.")
    )
)]
pub async fn update_stage(
    call: Call,
    Path(key): Path<String>,
    Query(OfPipeline { pipeline_id }): Query<OfPipeline>,
    IfMatch(expected_version): IfMatch,
    Patch(request): Patch<UpdateStageRequest>,
) -> Answer<Resource<Stage>> {
    let request = UpdateStageRequest { key, pipeline_id, expected_version, ..request };
    let mut service = call.pipelines();
    let answer = call.write(request, |request| async move { service.update_stage(request).await });
    let answer = answer.await?;
    Ok(Resource { version: answer.version, body: present(answer.stage)? })
}

/// Bring stages into another order
///
/// Every stage of the pipeline by its key. Conversion is by the new order from then on, for what was before, too. For admins.
#[utoipa::path(
    put,
    path = "/pipeline/stages/order",
    tag = "pipeline",
    params(OfPipeline, ("If-Match" = Option<String>, Header, description = "Only if this is the version of the pipeline; 412 otherwise."))
)]
pub async fn reorder_stages(
    call: Call,
    Query(OfPipeline { pipeline_id }): Query<OfPipeline>,
    IfMatch(expected_version): IfMatch,
    Json(request): Json<ReorderStagesRequest>,
) -> Answer<Resource<Pipeline>> {
    let request = ReorderStagesRequest { pipeline_id, expected_version, ..request };
    let mut service = call.pipelines();
    let answer =
        call.write(request, |request| async move { service.reorder_stages(request).await });
    let body = present(answer.await?.pipeline)?;
    Ok(Resource { version: body.version, body })
}

/// Delete a stage
///
/// Where opportunities stand in it, `move_to` says where they go, deleted ones too: 204 when the stage is gone; 202 with what is left where that takes longer, and it goes on by
/// itself. From the beginning on nothing comes into the stage. To ask again changes nothing and waits again. For admins.
#[utoipa::path(
    delete,
    path = "/pipeline/stages/{key}",
    tag = "pipeline",
    params(
        ("key" = String, Path, description = "The key of the stage."),
        DeleteStageRequest,
        ("If-Match" = Option<String>, Header, description = "Only if this is the version of the pipeline; 412 otherwise.")
    )
)]
pub async fn delete_stage(
    call: Call,
    Path(key): Path<String>,
    Query(request): Query<DeleteStageRequest>,
    IfMatch(expected_version): IfMatch,
) -> Answer<Done<StageClosing>> {
    let request = DeleteStageRequest { key, expected_version, ..request };
    let mut service = call.pipelines();
    let answer = call.write(request, |request| async move { service.delete_stage(request).await });
    Ok(answer.await?.closing.map_or(Done::Now, Done::Later))
}
