//! Pipelines and their stages, and what every process remembers of them.

pub(crate) mod event;
pub mod model;
pub(crate) mod store;

use chrono::{DateTime, Utc};
use events::{Actor, Origin};
use model::{Pipeline, Pipelines, default_stages};
use rpc::Error;
use sqlx::PgPool;

use crate::meta::Meta;

/// The name of the pipeline with which a new installation begins.
const DEFAULT_NAME: &str = "銷售漏斗";

/// Makes the default pipeline unless there is one. Idempotent, also when several replicas start at once.
pub async fn ensure_default(pool: &PgPool, now: DateTime<Utc>) -> Result<(), Error> {
    let mut tx = pool.begin().await?;
    let Some(id) = store::insert_default(&mut tx, DEFAULT_NAME, now).await? else { return Ok(()) };
    let stages = default_stages();
    let pipeline =
        Pipeline { id, name: DEFAULT_NAME.to_owned(), is_default: true, stages, version: 1 };
    store::insert_stages(&mut tx, &pipeline).await?;
    let meta = Meta {
        actor: Actor::Service("opportunities".to_owned()),
        origin: Origin::System,
        recorded_at: now,
        request_id: String::new(),
        traceparent: String::new(),
    };
    let stages = pipeline.stages.iter().map(|stage| &*stage.key).collect::<Vec<_>>();
    let changes = [
        events::field_change("name", None, Some(&pipeline.name)),
        events::field_change("is_default", None, Some(&true)),
        events::field_change("stages", None, Some(&stages)),
    ]
    .into_iter()
    .flatten()
    .collect();
    let record = event::record(&pipeline);
    let change = meta.change("pipeline", id, 1, "pipeline.created", now, record, changes);
    events::outbox::append(&mut tx, &[change]).await?;
    tx.commit().await?;
    Ok(())
}

/// All pipelines as they are stored.
pub async fn all(pool: &PgPool) -> Result<Pipelines, Error> {
    Ok(store::all(pool).await?)
}

/// The stages that somebody calls so in a list; what nobody knows is a bad field.
pub fn stages_called(
    pipelines: &Pipelines,
    (field, called): (&str, &[String]),
    pipeline_id: Option<i64>,
    invalid: &mut rpc::Invalid,
) -> Option<Vec<(i64, String)>> {
    if called.is_empty() {
        return None;
    }
    let mut stages = Vec::new();
    for name in called {
        let found = pipelines.called(name, pipeline_id);
        if found.is_empty() {
            invalid.add(field, "unknown_stage", format!("there is no stage {name}"));
        }
        stages.extend(found.into_iter().map(|(pipeline, key)| (pipeline, key.to_owned())));
    }
    stages.sort();
    stages.dedup();
    Some(stages)
}
