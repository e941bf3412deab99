//! What others learn of a pipeline.

use proto::events::v1::{PipelineRecord, StageRecord, event::Record};

use super::model::{Pipeline, Stage};

/// The record as others may know it.
pub(crate) fn record(pipeline: &Pipeline) -> Record {
    Record::Pipeline(PipelineRecord {
        id: pipeline.id,
        name: pipeline.name.clone(),
        is_default: pipeline.is_default,
        stages: pipeline.stages.iter().map(stage).collect(),
        version: pipeline.version,
        deleted_at: None,
    })
}

fn stage(stage: &Stage) -> StageRecord {
    StageRecord {
        key: stage.key.clone(),
        name: stage.name.clone(),
        kind: stage.kind.as_str().to_owned(),
        default_probability: stage.default_probability,
        rotting_days: stage.rotting_days,
        required_fields: stage.required_fields.clone(),
    }
}
