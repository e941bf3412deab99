//! PipelineService.

use proto::opportunities::v1::pipeline_service_server::PipelineService;
use proto::opportunities::v1::{
    ListPipelinesRequest, ListPipelinesResponse, ListStagesRequest, ListStagesResponse,
};
use rpc::Error;
use tonic::{Request, Response, Status};

use super::answer;
use crate::{State, pipeline};

/// Serves pipelines.
pub struct PipelinesGrpc(pub State);

#[tonic::async_trait]
impl PipelineService for PipelinesGrpc {
    async fn list_pipelines(
        &self,
        request: Request<ListPipelinesRequest>,
    ) -> Result<Response<ListPipelinesResponse>, Status> {
        auth::caller(&request)?.require_read()?;
        let pipelines = pipeline::all(&self.0.reads).await?;
        let items = pipelines.iter().map(answer::pipeline).collect();
        Ok(Response::new(ListPipelinesResponse { items }))
    }

    async fn list_stages(
        &self,
        request: Request<ListStagesRequest>,
    ) -> Result<Response<ListStagesResponse>, Status> {
        auth::caller(&request)?.require_read()?;
        let pipelines = pipeline::all(&self.0.reads).await?;
        let id = request.into_inner().pipeline_id;
        let pipeline = pipelines
            .get(id)
            .ok_or_else(|| Error::not_found("pipeline", id.unwrap_or_default()))?;
        let items = pipeline.stages.iter().map(answer::stage).collect();
        Ok(Response::new(ListStagesResponse { items }))
    }
}
