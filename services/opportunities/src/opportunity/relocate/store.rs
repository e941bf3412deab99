//! All SQL about opportunities whose stage is being deleted.

use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use crate::opportunity::model::{Moved, Opportunity};
use crate::opportunity::store::{COLUMNS, WIDTH, detail};
use crate::pipeline::store::Closing;
use crate::pipeline::{self, model::Stage};

/// How many are moved in one transaction.
const CHUNK: usize = 250;

/// Takes the turn to move a piece of what stands in a stage, until this transaction ends; false while somebody else has it.
pub(super) async fn try_take(tx: &mut PgConnection, closing: &Closing) -> sqlx::Result<bool> {
    let name = format!("{} {}", closing.pipeline_id, closing.key);
    sqlx::query_scalar!(
        r#"select pg_try_advisory_xact_lock($1) as "is_taken!""#,
        events::lock::key("relocate", &name)
    )
    .fetch_one(tx)
    .await
}

/// The next in a stage by id after one, deleted ones too, which nobody else changes until this transaction ends, each with an id for its next history row.
pub(super) async fn find(
    tx: &mut PgConnection,
    closing: &Closing,
    after_id: i64,
) -> sqlx::Result<Vec<(Opportunity, i64)>> {
    let sql = format!(
        "select {COLUMNS}, nextval('stage_history_id_seq') from opportunities o
         left join contacts c on c.id = o.contact_id
         left join people p on p.user_id = o.owner_id
         where o.pipeline_id = $1 and o.stage_key = $2 and o.id > $3
         order by o.id limit {CHUNK}
         for update of o"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(closing.pipeline_id)
        .bind(&closing.key)
        .bind(after_id)
        .fetch_all(tx)
        .await?;
    rows.iter().map(|row| Ok((detail(row)?.opportunity, row.try_get(WIDTH)?))).collect()
}

/// Holds the stage where they go as it is until this transaction ends; false where it is another by now.
pub(super) async fn hold_stage(
    tx: &mut PgConnection,
    pipeline_id: i64,
    stage: &Stage,
) -> sqlx::Result<bool> {
    let held = sqlx::query!(
        "with gate as materialized (select pg_advisory_xact_lock_shared($4) as it)
         select s.key from stages s, gate where s.pipeline_id = $1 and s.key = $2 and s.version = $3 for key share of s",
        pipeline_id,
        stage.key,
        stage.version,
        pipeline::gate()
    )
    .fetch_optional(tx)
    .await?;
    Ok(held.is_some())
}

/// Writes what a move within a kind of stage changes.
pub(super) async fn update(
    tx: &mut PgConnection,
    moved: &[(Opportunity, Moved)],
) -> sqlx::Result<()> {
    let ids: Vec<_> = moved.iter().map(|(it, _)| it.id).collect();
    let keys: Vec<_> = moved.iter().map(|(it, _)| it.stage_key.clone()).collect();
    let probabilities: Vec<_> = moved.iter().map(|(it, _)| it.probability).collect();
    let weighted: Vec<_> = moved.iter().map(|(it, _)| it.weighted_value()).collect();
    let closed: Vec<_> = moved.iter().map(|(it, _)| it.closed_amount).collect();
    let entered: Vec<_> = moved.iter().map(|(it, _)| it.stage_entered_at).collect();
    let updated: Vec<_> = moved.iter().map(|(it, _)| it.updated_at).collect();
    let versions: Vec<_> = moved.iter().map(|(it, _)| it.version).collect();
    sqlx::query!(
        "update opportunities o
         set stage_key = moved.stage_key, probability = moved.probability, weighted_value = moved.weighted_value, closed_amount = moved.closed_amount,
             stage_entered_at = moved.stage_entered_at, updated_at = moved.updated_at, version = moved.version
         from unnest($1::bigint[], $2::text[], $3::integer[], $4::numeric[], $5::numeric[], $6::timestamptz[], $7::timestamptz[], $8::bigint[])
           as moved (id, stage_key, probability, weighted_value, closed_amount, stage_entered_at, updated_at, version)
         where o.id = moved.id",
        &ids,
        &keys,
        &probabilities,
        &weighted as _,
        &closed as _,
        &entered,
        &updated,
        &versions
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Adds their history rows.
pub(super) async fn insert_history(
    tx: &mut PgConnection,
    moved: &[(Opportunity, Moved)],
) -> sqlx::Result<()> {
    let from = |it: &Moved| it.from.clone().unwrap_or_default();
    let ids: Vec<_> = moved.iter().map(|(_, it)| it.id).collect();
    let opportunities: Vec<_> = moved.iter().map(|(it, _)| it.id).collect();
    let from_keys: Vec<_> = moved.iter().map(|(_, it)| from(it).0).collect();
    let from_names: Vec<_> = moved.iter().map(|(_, it)| from(it).1).collect();
    let to_keys: Vec<_> = moved.iter().map(|(_, it)| it.to.0.clone()).collect();
    let to_names: Vec<_> = moved.iter().map(|(_, it)| it.to.1.clone()).collect();
    let probabilities: Vec<_> = moved.iter().map(|(_, it)| it.probability).collect();
    let by: Vec<_> = moved.iter().map(|(_, it)| it.changed_by).collect();
    let at: Vec<_> = moved.iter().map(|(_, it)| it.changed_at).collect();
    let seconds: Vec<_> = moved.iter().map(|(_, it)| it.seconds_in_from_stage).collect();
    sqlx::query!(
        "insert into stage_history (id, opportunity_id, from_stage_key, from_stage, to_stage_key, to_stage, probability, changed_by, changed_at, seconds_in_from_stage)
         select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::integer[], $8::bigint[], $9::timestamptz[], $10::bigint[])",
        &ids,
        &opportunities,
        &from_keys,
        &from_names,
        &to_keys,
        &to_names,
        &probabilities,
        &by,
        &at,
        &seconds as &[Option<i64>]
    )
    .execute(tx)
    .await?;
    Ok(())
}
