//! All SQL about pipelines and stages.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use super::model::{Kind, Pipeline, Pipelines, Stage};

/// All pipelines with their stages, the default one first.
pub(super) async fn all(pool: &PgPool) -> sqlx::Result<Pipelines> {
    let rows = sqlx::query!(
        r#"select p.id, p.name as pipeline_name, p.is_default, p.version, s.key, s.name, s.kind, s.default_probability, s.rotting_days, s.required_fields
           from pipelines p join stages s on s.pipeline_id = p.id
           where p.deleted_at is null
           order by p.is_default desc, p.id, s.ordinal"#
    )
    .fetch_all(pool)
    .await?;
    let mut pipelines: Vec<Pipeline> = Vec::new();
    for row in rows {
        let kind =
            Kind::parse(&row.kind).ok_or_else(|| sqlx::Error::Decode("stages.kind".into()))?;
        let stage = Stage {
            key: row.key,
            name: row.name,
            kind,
            default_probability: row.default_probability,
            rotting_days: row.rotting_days,
            required_fields: row.required_fields,
        };
        match pipelines.last_mut() {
            Some(pipeline) if pipeline.id == row.id => pipeline.stages.push(stage),
            _ => pipelines.push(Pipeline {
                id: row.id,
                name: row.pipeline_name,
                is_default: row.is_default,
                stages: vec![stage],
                version: row.version,
            }),
        }
    }
    Ok(Pipelines::new(pipelines))
}

/// Adds the default pipeline, unless there is one; its id.
pub(super) async fn insert_default(
    tx: &mut PgConnection,
    name: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        "insert into pipelines (name, is_default, version, created_at, updated_at) values ($1, true, 1, $2, $2)
         on conflict (is_default) where is_default and deleted_at is null do nothing
         returning id",
        name,
        now
    )
    .fetch_optional(tx)
    .await
}

/// Adds the stages of a new pipeline.
pub(super) async fn insert_stages(tx: &mut PgConnection, pipeline: &Pipeline) -> sqlx::Result<()> {
    for (stage, ordinal) in pipeline.stages.iter().zip(1_i32..) {
        sqlx::query!(
            "insert into stages (pipeline_id, key, name, kind, default_probability, rotting_days, required_fields, ordinal)
             values ($1, $2, $3, $4, $5, $6, $7, $8)",
            pipeline.id,
            stage.key,
            stage.name,
            stage.kind.as_str(),
            stage.default_probability,
            stage.rotting_days,
            &stage.required_fields,
            ordinal
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}
