//! What others learn of a pipeline.

use chrono::{DateTime, Utc};
use events::{Change, field_change};
use proto::events::v1::{FieldChange, PipelineRecord, StageRecord, event::Record};

use super::category::Category;
use super::model::{Pipeline, Stage};
use crate::meta::Meta;

/// A pipeline was made.
pub(super) fn created(pipeline: &Pipeline, meta: &Meta) -> Change {
    change("pipeline.created", (None, pipeline), None, meta)
}

/// A pipeline is other than it was.
pub(super) fn updated(before: &Pipeline, after: &Pipeline, meta: &Meta) -> Change {
    change("pipeline.updated", (Some(before), after), None, meta)
}

/// A pipeline is gone.
pub(super) fn deleted(before: &Pipeline, after: &Pipeline, meta: &Meta) -> Change {
    change("pipeline.deleted", (Some(before), after), Some(meta.recorded_at), meta)
}

fn change(
    event_type: &'static str,
    (before, after): (Option<&Pipeline>, &Pipeline),
    deleted_at: Option<DateTime<Utc>>,
    meta: &Meta,
) -> Change {
    let record = Record::Pipeline(PipelineRecord {
        id: after.id,
        name: after.name.clone(),
        is_default: after.is_default,
        stages: after.stages.iter().map(record).collect(),
        version: after.version,
        deleted_at: deleted_at.map(Into::into),
    });
    let changes = changes(before, after);
    let at = meta.recorded_at;
    meta.change("pipeline", after.id, after.version, event_type, at, record, changes)
}

fn record(stage: &Stage) -> StageRecord {
    StageRecord {
        key: stage.key.clone(),
        name: stage.name.clone(),
        kind: stage.kind.as_str().to_owned(),
        default_probability: stage.default_probability,
        rotting_days: stage.rotting_days,
        forecast_category: stage.forecast_category.map(|it| it.as_str().to_owned()),
        required_fields: stage.required_fields.clone(),
        moving_to: stage.moving_to.clone(),
    }
}

/// The fields that differ: name, whether it is the default, the keys of the stages in order, and `stages.<key>.<field>` of those that were there before.
fn changes(before: Option<&Pipeline>, after: &Pipeline) -> Vec<FieldChange> {
    fn keys(pipeline: &Pipeline) -> Vec<&str> {
        pipeline.stages.iter().map(|stage| &*stage.key).collect()
    }
    let mut changes = vec![
        field_change("name", before.map(|it| &it.name), Some(&after.name)),
        field_change("is_default", before.map(|it| &it.is_default), Some(&after.is_default)),
        field_change("stages", before.map(keys).as_ref(), Some(&keys(after))),
    ];
    for stage in &after.stages {
        let Some(was) = before.and_then(|before| before.stage(&stage.key)) else { continue };
        let field = |name: &str| format!("stages.{}.{name}", stage.key);
        changes.extend([
            field_change(&field("name"), Some(&was.name), Some(&stage.name)),
            field_change(&field("kind"), Some(&was.kind.as_str()), Some(&stage.kind.as_str())),
            field_change(
                &field("default_probability"),
                Some(&was.default_probability),
                Some(&stage.default_probability),
            ),
            field_change(
                &field("rotting_days"),
                was.rotting_days.as_ref(),
                stage.rotting_days.as_ref(),
            ),
            field_change(
                &field("forecast_category"),
                was.forecast_category.map(Category::as_str).as_ref(),
                stage.forecast_category.map(Category::as_str).as_ref(),
            ),
            field_change(
                &field("required_fields"),
                Some(&was.required_fields),
                Some(&stage.required_fields),
            ),
            field_change(&field("moving_to"), was.moving_to.as_ref(), stage.moving_to.as_ref()),
        ]);
    }
    changes.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::model::{Kind, default_stages};

    #[test]
    fn what_is_other_about_a_stage_is_told_by_its_key_and_an_order_by_the_keys() {
        let before = Pipeline {
            id: 1,
            name: "Sales".to_owned(),
            is_default: true,
            stages: default_stages(),
            version: 1,
        };
        let mut after = before.clone();
        after.stages.swap(1, 2);
        after.stages[0].rotting_days = Some(9);
        after.stages[3].name = "Negotiation".to_owned();
        assert_eq!(after.stages[5].kind, Kind::Won);
        let told: Vec<_> = changes(Some(&before), &after)
            .into_iter()
            .map(|it| format!("{} {} {}", it.field, it.old, it.new))
            .collect();
        let order = "\"negotiation\",\"contract\",\"won\",\"lost\"]";
        assert_eq!(
            told,
            [
                format!(
                    "stages [\"lead\",\"qualification\",\"proposal\",{order} [\"lead\",\"proposal\",\"qualification\",{order}"
                ),
                "stages.lead.rotting_days null 9".to_owned(),
                "stages.negotiation.name \"商務談判\" \"Negotiation\"".to_owned(),
            ]
        );
    }
}
