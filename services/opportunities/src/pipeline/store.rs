//! All SQL about pipelines and stages.

use chrono::{DateTime, Utc};
use rpc::{Error, OnConstraint as _};
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::category;
use super::draft::Retired;
use super::model::{Kind, Pipeline, Pipelines, REQUIRABLE, Stage, own_field};

/// All pipelines with their stages, the default one first.
pub(super) async fn all(db: impl PgExecutor<'_>) -> sqlx::Result<Pipelines> {
    let rows = sqlx::query!(
        r#"select p.id, p.name as pipeline_name, p.is_default, p.version, s.key, s.name, s.kind, s.default_probability, s.rotting_days, s.forecast_category, s.required_fields,
                  s.version as stage_version, c.move_to as "move_to?"
           from pipelines p
           join stages s on s.pipeline_id = p.id
           left join stage_closings c on c.pipeline_id = s.pipeline_id and c.key = s.key
           where p.deleted_at is null
           order by p.is_default desc, p.id, s.ordinal"#
    )
    .fetch_all(db)
    .await?;
    let mut pipelines: Vec<Pipeline> = Vec::new();
    for row in rows {
        let stage = Stage {
            key: row.key,
            name: row.name,
            kind: kind(&row.kind)?,
            default_probability: row.default_probability,
            rotting_days: row.rotting_days,
            forecast_category: category::of_column(row.forecast_category.as_deref())?,
            required_fields: row.required_fields,
            moving_to: row.move_to,
            version: row.stage_version,
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

fn kind(text: &str) -> sqlx::Result<Kind> {
    Kind::parse(text).ok_or_else(|| sqlx::Error::Decode("stages.kind".into()))
}

/// Waits until nobody else administers pipelines and nothing is on its way into a stage, and until this transaction ends neither is so.
pub(super) async fn take_turn(tx: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("select pg_advisory_xact_lock($1)", super::gate()).execute(tx).await?;
    Ok(())
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

/// Adds a pipeline without its stages; its id.
pub(super) async fn insert(
    tx: &mut PgConnection,
    pipeline: &Pipeline,
    now: DateTime<Utc>,
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        "insert into pipelines (name, is_default, version, created_at, updated_at) values ($1, $2, $3, $4, $4) returning id",
        pipeline.name,
        pipeline.is_default,
        pipeline.version,
        now
    )
    .fetch_one(tx)
    .await
}

/// Writes a pipeline without its stages.
pub(super) async fn update(
    tx: &mut PgConnection,
    pipeline: &Pipeline,
    deleted_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update pipelines set name = $2, is_default = $3, version = $4, updated_at = $5, deleted_at = $6 where id = $1",
        pipeline.id,
        pipeline.name,
        pipeline.is_default,
        pipeline.version,
        now,
        deleted_at
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Writes the stages of a pipeline, in their order. None is removed.
pub(super) async fn put_stages(tx: &mut PgConnection, pipeline: &Pipeline) -> sqlx::Result<()> {
    let stages = &pipeline.stages;
    let keys: Vec<_> = stages.iter().map(|it| it.key.clone()).collect();
    let names: Vec<_> = stages.iter().map(|it| it.name.clone()).collect();
    let kinds: Vec<_> = stages.iter().map(|it| it.kind.as_str().to_owned()).collect();
    let probabilities: Vec<_> = stages.iter().map(|it| it.default_probability).collect();
    let rotting_days: Vec<_> = stages.iter().map(|it| it.rotting_days).collect();
    let category = |it: &Stage| it.forecast_category.map(|it| it.as_str().to_owned());
    let categories: Vec<_> = stages.iter().map(category).collect();
    // An array of arrays of different lengths there is not.
    let required_fields: Vec<_> = stages.iter().map(|it| it.required_fields.join(",")).collect();
    sqlx::query!(
        "insert into stages as s (pipeline_id, key, name, kind, default_probability, rotting_days, forecast_category, required_fields, ordinal, version)
         select $1, key, name, kind, default_probability, rotting_days, forecast_category, string_to_array(required_fields, ','), ordinal, $8
         from unnest($2::text[], $3::text[], $4::text[], $5::integer[], $6::integer[], $7::text[], $9::text[])
           with ordinality as given (key, name, kind, default_probability, rotting_days, required_fields, forecast_category, ordinal)
         order by key
         on conflict (pipeline_id, key) do update
         set name = excluded.name, kind = excluded.kind, default_probability = excluded.default_probability, rotting_days = excluded.rotting_days,
             forecast_category = excluded.forecast_category, required_fields = excluded.required_fields, ordinal = excluded.ordinal, version = excluded.version",
        pipeline.id,
        &keys,
        &names,
        &kinds,
        &probabilities,
        &rotting_days as &[Option<i32>],
        &required_fields,
        pipeline.version,
        &categories as &[Option<String>]
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Whether the history of any opportunity of a pipeline names a stage.
pub(super) async fn is_used(
    tx: &mut PgConnection,
    pipeline_id: i64,
    key: &str,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (
             select from stage_history h join opportunities o on o.id = h.opportunity_id where h.to_stage_key = $2 and o.pipeline_id = $1
           ) as "is_used!""#,
        pipeline_id,
        key
    )
    .fetch_one(tx)
    .await
}

/// Whether any opportunity runs through a pipeline, deleted ones included.
pub(super) async fn runs_any(tx: &mut PgConnection, pipeline_id: i64) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from opportunities where pipeline_id = $1) as "runs_any!""#,
        pipeline_id
    )
    .fetch_one(tx)
    .await
}

/// What stands in a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// How many opportunities, deleted ones included.
    pub(super) count: i64,
    /// How many of them are deleted.
    pub(super) deleted: i64,
}

/// How many opportunities stand in a stage.
pub(super) async fn standing(
    db: impl PgExecutor<'_>,
    pipeline_id: i64,
    key: &str,
) -> sqlx::Result<Standing> {
    // By an index each.
    let row = sqlx::query!(
        r#"select (select count(*) from opportunities where pipeline_id = $1 and stage_key = $2 and deleted_at is null) as "living!",
                  (select count(*) from opportunities where pipeline_id = $1 and stage_key = $2 and deleted_at is not null) as "deleted!""#,
        pipeline_id,
        key
    )
    .fetch_one(db)
    .await?;
    Ok(Standing { count: row.living + row.deleted, deleted: row.deleted })
}

/// Opportunities that lack something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lacking {
    /// How many, deleted ones included.
    pub(super) count: i64,
    /// How many of them are deleted.
    pub(super) deleted: i64,
    /// Some of them.
    pub(super) ids: Vec<i64>,
}

/// Those that stand in a stage and lack any of these fields; see `Opportunity::has`.
pub(super) async fn lacking(
    db: impl PgExecutor<'_>,
    pipeline_id: i64,
    key: &str,
    fields: &[String],
) -> sqlx::Result<Lacking> {
    let is_known = |field: &str| own_field(field).is_some() || REQUIRABLE.contains(&field);
    debug_assert!(fields.iter().all(|field| is_known(field)));
    let own: Vec<_> =
        fields.iter().filter_map(|field| own_field(field)).map(str::to_owned).collect();
    let row = sqlx::query!(
        r#"with lacking as (
             select id, deleted_at from opportunities
             where pipeline_id = $1 and stage_key = $2 and (
               'amount' = any($3) and amount is null
               or ('contact_id' = any($3) or 'contact_name' = any($3)) and contact_id is null
               or 'expected_close_date' = any($3) and expected_close_date is null
               or 'external_id' = any($3) and external_id is null
               or 'lost_reason' = any($3) and lost_reason is null
               or 'notes' = any($3) and notes is null
               or 'products' = any($3) and products = '{}'
               or 'source' = any($3) and source is null
               or 'tags' = any($3) and tags = '{}'
               or not coalesce(custom_fields, '{}') ?& $4)
           )
           select count(*) as "count!", count(deleted_at) as "deleted!", array(select id from lacking order by id limit 10) as "ids!" from lacking"#,
        pipeline_id,
        key,
        fields,
        &own
    )
    .fetch_one(db)
    .await?;
    Ok(Lacking { count: row.count, deleted: row.deleted, ids: row.ids })
}

/// A stage that is being deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Closing {
    /// Its pipeline.
    pub(crate) pipeline_id: i64,
    /// Its key.
    pub(crate) key: String,
    /// Where what stands in it goes.
    pub(crate) move_to: String,
    /// Who wants it.
    pub(crate) requested_by: i64,
    /// In which request.
    pub(crate) request_id: String,
    /// In which trace.
    pub(crate) traceparent: String,
    /// The event that told of it.
    pub(crate) event_id: Uuid,
}

/// Every stage that is being deleted.
pub(super) async fn closings(db: impl PgExecutor<'_>) -> sqlx::Result<Vec<Closing>> {
    sqlx::query_as!(
        Closing,
        "select pipeline_id, key, move_to, requested_by, request_id, traceparent, event_id from stage_closings order by pipeline_id, key"
    )
    .fetch_all(db)
    .await
}

/// From now on a stage is being deleted.
pub(super) async fn insert_closing(tx: &mut PgConnection, it: &Closing) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into stage_closings (pipeline_id, key, move_to, requested_by, request_id, traceparent, event_id) values ($1, $2, $3, $4, $5, $6, $7)",
        it.pipeline_id,
        it.key,
        it.move_to,
        it.requested_by,
        it.request_id,
        it.traceparent,
        it.event_id
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes a stage in which nothing stands, and keeps its key with what it meant. Fails where something stands in it after all.
pub(super) async fn retire(
    tx: &mut PgConnection,
    pipeline_id: i64,
    stage: &Stage,
) -> Result<(), Error> {
    sqlx::query!(
        "with gone as (
           delete from stages where pipeline_id = $1 and key = $2 returning pipeline_id, key, kind
         )
         insert into retired_stages (pipeline_id, key, kind) select pipeline_id, key, kind from gone
         on conflict (pipeline_id, key) do update set kind = excluded.kind",
        pipeline_id,
        stage.key
    )
    .execute(tx)
    .await
    .on_constraint("opportunities_stage_fkey", || {
        Error::conflict(super::STAGE_IN_USE, "opportunities stand in this stage")
    })?;
    Ok(())
}

/// The keys of a pipeline's deleted stages, and whether history names them; of that only for the one key that is asked about.
pub(super) async fn retired(
    tx: &mut PgConnection,
    pipeline_id: i64,
    asked: Option<&str>,
) -> sqlx::Result<Vec<Retired>> {
    let rows = sqlx::query!(
        r#"select r.key, r.kind, r.key = $2 and exists (
             select from stage_history h join opportunities o on o.id = h.opportunity_id where h.to_stage_key = r.key and o.pipeline_id = $1
           ) as "is_used"
           from retired_stages r where r.pipeline_id = $1"#,
        pipeline_id,
        asked
    )
    .fetch_all(tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            let is_used = row.is_used.unwrap_or_default();
            Ok(Retired { key: row.key, kind: kind(&row.kind)?, is_used })
        })
        .collect()
}

/// A key that was a deleted stage's is a stage's again.
pub(super) async fn unretire(
    tx: &mut PgConnection,
    pipeline_id: i64,
    key: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from retired_stages where pipeline_id = $1 and key = $2",
        pipeline_id,
        key
    )
    .execute(tx)
    .await?;
    Ok(())
}
