//! PipelineService.

use idempotency::Once;
use prost::Message as _;
use proto::opportunities::v1 as pb;
use proto::opportunities::v1::pipeline_service_server::PipelineService;
use rpc::Invalid;
use rpc::mask::{Mask, Wish};
use tonic::{Request, Response, Status};

use super::{answer, caller_and_meta};
use crate::State;
use crate::custom_field;
use crate::page::{checked_limit, in_order};
use crate::pipeline;
use crate::pipeline::category::Category;
use crate::pipeline::closing::{self, Left};
use crate::pipeline::draft::{NewStage, StageEdit};
use crate::pipeline::model::{Kind, Pipeline, REQUIRABLE, asking_for_own_field};
use crate::pipeline::stage::{self, Placed, StageRef};

/// Serves pipelines.
pub struct PipelinesGrpc(pub State);

#[tonic::async_trait]
impl PipelineService for PipelinesGrpc {
    async fn list_pipelines(
        &self,
        request: Request<pb::ListPipelinesRequest>,
    ) -> Result<Response<pb::ListPipelinesResponse>, Status> {
        auth::caller(&request)?.require_read()?;
        let pb::ListPipelinesRequest { limit, cursor } = request.into_inner();
        let page = (checked_limit(limit)?, cursor.as_deref());
        let (pipelines, next_cursor) = pipeline::list(&self.0.reads, page).await?;
        let items = pipelines.iter().map(answer::pipeline).collect();
        let requirable_fields = requirable(&self.0).await?;
        Ok(Response::new(pb::ListPipelinesResponse { items, requirable_fields, next_cursor }))
    }

    async fn get_pipeline(
        &self,
        request: Request<pb::GetPipelineRequest>,
    ) -> Result<Response<pb::GetPipelineResponse>, Status> {
        auth::caller(&request)?.require_read()?;
        let pipeline = pipeline::get(&self.0.reads, Some(request.into_inner().id)).await?;
        let pipeline = Some(answer::pipeline(&pipeline));
        Ok(Response::new(pb::GetPipelineResponse { pipeline }))
    }

    async fn create_pipeline(
        &self,
        request: Request<pb::CreatePipelineRequest>,
    ) -> Result<Response<pb::CreatePipelineResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let once = Once::of(&request, |it: &Pipeline| created(it).encode_to_vec())?;
        let asked = request.into_inner();
        let mut invalid = Invalid::default();
        let stages = asked.stages.into_iter().enumerate().map(|(index, it)| {
            let field = format!("stages[{index}].kind");
            NewStage {
                kind: it.kind.and_then(|kind| kind_of(&mut invalid, &field, kind)),
                key: it.key,
                name: it.name,
                default_probability: it.default_probability,
                rotting_days: it.rotting_days,
                forecast_category: it.forecast_category.and_then(|category| {
                    let field = format!("stages[{index}].forecast_category");
                    category_of(&mut invalid, &field, category)
                }),
                required_fields: it.required_fields,
                position: None,
            }
        });
        let draft = (asked.name, asked.is_default.unwrap_or_default(), stages.collect());
        caller.require_admin()?;
        invalid.into_result()?;
        let state = self.0.clone();
        let made =
            rpc::write(async move { pipeline::create(&state, &caller, draft, once, meta).await });
        Ok(Response::new(made.await?.into_message(|it| created(&it))?))
    }

    async fn update_pipeline(
        &self,
        request: Request<pb::UpdatePipelineRequest>,
    ) -> Result<Response<pb::UpdatePipelineResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let asked = request.into_inner();
        let mask = Mask::of(asked.update_mask, &["name", "is_default"])?;
        let edit = (mask.wish("name", asked.name), mask.wish("is_default", asked.is_default));
        let (state, which) = (self.0.clone(), (asked.id, asked.expected_version));
        let pipeline =
            rpc::write(async move { pipeline::update(&state, &caller, which, edit, meta).await });
        let pipeline = Some(answer::pipeline(&pipeline.await?));
        Ok(Response::new(pb::UpdatePipelineResponse { pipeline }))
    }

    async fn delete_pipeline(
        &self,
        request: Request<pb::DeletePipelineRequest>,
    ) -> Result<Response<pb::DeletePipelineResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let pb::DeletePipelineRequest { id, expected_version } = request.into_inner();
        let (state, which) = (self.0.clone(), (id, expected_version));
        rpc::write(async move { pipeline::delete(&state, &caller, which, meta).await }).await?;
        Ok(Response::new(pb::DeletePipelineResponse {}))
    }

    async fn list_stages(
        &self,
        request: Request<pb::ListStagesRequest>,
    ) -> Result<Response<pb::ListStagesResponse>, Status> {
        auth::caller(&request)?.require_read()?;
        let pb::ListStagesRequest { pipeline_id, limit, cursor } = request.into_inner();
        let page = (checked_limit(limit)?, cursor.as_deref());
        let pipeline = pipeline::get(&self.0.reads, pipeline_id).await?;
        let pb::Pipeline { id, stages, version, .. } = answer::pipeline(&pipeline);
        let listing = format!("stages {id}");
        let (places, next_cursor) = in_order(&stages, &listing, page, |it| it.key.clone())?;
        Ok(Response::new(pb::ListStagesResponse {
            items: stages[places].to_vec(),
            pipeline_id: id,
            version,
            requirable_fields: requirable(&self.0).await?,
            next_cursor,
        }))
    }

    async fn create_stage(
        &self,
        request: Request<pb::CreateStageRequest>,
    ) -> Result<Response<pb::CreateStageResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let once = Once::of(&request, |it: &Placed| stage_created(it).encode_to_vec())?;
        let asked = request.into_inner();
        let mut invalid = Invalid::default();
        let new = NewStage {
            kind: asked.kind.and_then(|kind| kind_of(&mut invalid, "kind", kind)),
            key: asked.key,
            name: asked.name,
            default_probability: asked.default_probability,
            rotting_days: asked.rotting_days,
            forecast_category: asked
                .forecast_category
                .and_then(|it| category_of(&mut invalid, "forecast_category", it)),
            required_fields: asked.required_fields,
            position: asked.position,
        };
        caller.require_admin()?;
        invalid.into_result()?;
        let (state, pipeline_id) = (self.0.clone(), asked.pipeline_id);
        let made = rpc::write(async move {
            stage::create(&state, &caller, pipeline_id, new, once, meta).await
        });
        Ok(Response::new(made.await?.into_message(|it| stage_created(&it))?))
    }

    async fn update_stage(
        &self,
        request: Request<pb::UpdateStageRequest>,
    ) -> Result<Response<pb::UpdateStageResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let asked = request.into_inner();
        let fields = [
            "name",
            "kind",
            "default_probability",
            "rotting_days",
            "forecast_category",
            "required_fields",
            "position",
        ];
        let mask = Mask::of(asked.update_mask, &fields)?;
        let mut invalid = Invalid::default();
        let required = Some(asked.required_fields).filter(|fields| !fields.is_empty());
        let kind: Wish<i32> = mask.wish("kind", asked.kind);
        let edit = StageEdit {
            name: mask.wish("name", asked.name),
            kind: kind.map(|kind| kind.and_then(|kind| kind_of(&mut invalid, "kind", kind))),
            default_probability: mask.wish("default_probability", asked.default_probability),
            rotting_days: mask.wish("rotting_days", asked.rotting_days),
            forecast_category: mask
                .wish("forecast_category", asked.forecast_category)
                .map(|it| it.and_then(|it| category_of(&mut invalid, "forecast_category", it))),
            required_fields: mask.wish("required_fields", required),
            position: mask.wish("position", asked.position),
        };
        caller.require_admin()?;
        invalid.into_result()?;
        let which = StageRef {
            pipeline_id: asked.pipeline_id,
            key: asked.key,
            expected_version: asked.expected_version,
        };
        let state = self.0.clone();
        let placed =
            rpc::write(async move { stage::update(&state, &caller, which, edit, meta).await });
        let placed = placed.await?;
        let stage = answer::stage(&placed);
        let version = placed.pipeline.version;
        Ok(Response::new(pb::UpdateStageResponse { stage, version }))
    }

    async fn reorder_stages(
        &self,
        request: Request<pb::ReorderStagesRequest>,
    ) -> Result<Response<pb::ReorderStagesResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let pb::ReorderStagesRequest { pipeline_id, expected_version, keys } = request.into_inner();
        let (state, which) = (self.0.clone(), (pipeline_id, expected_version));
        let pipeline =
            rpc::write(async move { stage::reorder(&state, &caller, which, keys, meta).await });
        let pipeline = Some(answer::pipeline(&pipeline.await?));
        Ok(Response::new(pb::ReorderStagesResponse { pipeline }))
    }

    async fn delete_stage(
        &self,
        request: Request<pb::DeleteStageRequest>,
    ) -> Result<Response<pb::DeleteStageResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let pb::DeleteStageRequest { key, expected_version, pipeline_id, move_to } =
            request.into_inner();
        let which = StageRef { pipeline_id, key, expected_version };
        let state = self.0.clone();
        let left =
            rpc::write(async move { closing::delete(&state, &caller, which, move_to, meta).await });
        let closing = left.await?.map(|Left { pipeline_id, key, move_to, remaining }| {
            pb::StageClosing { pipeline_id, key, move_to, remaining }
        });
        Ok(Response::new(pb::DeleteStageResponse { closing }))
    }
}

fn created(pipeline: &Pipeline) -> pb::CreatePipelineResponse {
    pb::CreatePipelineResponse { pipeline: Some(answer::pipeline(pipeline)) }
}

fn stage_created(placed: &Placed) -> pb::CreateStageResponse {
    let (stage, version) = (answer::stage(placed), placed.pipeline.version);
    pb::CreateStageResponse { stage, version }
}

/// What a stage may ask for.
async fn requirable(state: &State) -> Result<Vec<String>, rpc::Error> {
    let own = custom_field::all(&state.reads).await?;
    let own = own.living().map(|field| asking_for_own_field(&field.key));
    Ok(REQUIRABLE.map(str::to_owned).into_iter().chain(own).collect())
}

/// A kind of a message, or a bad field.
pub(super) fn category_of(invalid: &mut Invalid, field: &str, category: i32) -> Option<Category> {
    match pb::ForecastCategory::try_from(category) {
        Ok(pb::ForecastCategory::Commit) => Some(Category::Commit),
        Ok(pb::ForecastCategory::BestCase) => Some(Category::BestCase),
        Ok(pb::ForecastCategory::Pipeline) => Some(Category::Pipeline),
        Ok(pb::ForecastCategory::Omitted) => Some(Category::Omitted),
        Ok(pb::ForecastCategory::Closed | pb::ForecastCategory::Unspecified) | Err(_) => {
            invalid.add(field, "unknown_value", "is none of commit, best_case, pipeline, omitted");
            None
        }
    }
}

fn kind_of(invalid: &mut Invalid, field: &str, kind: i32) -> Option<Kind> {
    match pb::StageKind::try_from(kind) {
        Ok(pb::StageKind::Open) => Some(Kind::Open),
        Ok(pb::StageKind::Won) => Some(Kind::Won),
        Ok(pb::StageKind::Lost) => Some(Kind::Lost),
        Ok(pb::StageKind::Unspecified) | Err(_) => {
            invalid.add(field, "unknown_value", "is none of open, won, lost");
            None
        }
    }
}
