//! All SQL that writes several opportunities at once.

use std::collections::BTreeSet;

use rpc::{Error, OnConstraint as _};
use sqlx::{AssertSqlSafe, PgConnection};

use crate::array::array;
use crate::custom_field;
use crate::opportunity::model::{Moved, Opportunity};
use crate::opportunity::store::{COLUMNS, detail};
use crate::opportunity::{EXTERNAL_ID_TAKEN, line_item};
use crate::pipeline;

/// Those of these ids, deleted or not, which nobody else changes until this transaction ends; locked in the order of their ids.
pub(in crate::opportunity) async fn lock(
    tx: &mut PgConnection,
    ids: &[i64],
) -> sqlx::Result<Vec<Opportunity>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "select {COLUMNS} from opportunities o
         left join contacts c on c.id = o.contact_id
         left join people p on p.user_id = o.owner_id
         where o.id = any($1)
         order by o.id
         for update of o"
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(ids).fetch_all(tx).await?;
    rows.iter().map(|row| Ok(detail(row)?.opportunity)).collect()
}

/// How many of these stages, each a pipeline, a key and a version, are as they were when they were read; they stay so until this transaction ends.
pub(super) async fn hold_stages(
    tx: &mut PgConnection,
    stages: &BTreeSet<(i64, &str, i64)>,
) -> sqlx::Result<usize> {
    let pipelines: Vec<_> = stages.iter().map(|it| it.0).collect();
    let keys: Vec<_> = stages.iter().map(|it| it.1.to_owned()).collect();
    let versions: Vec<_> = stages.iter().map(|it| it.2).collect();
    let held = sqlx::query!(
        "with gate as materialized (select pg_advisory_xact_lock_shared($4) as it)
         select s.key
         from stages s, gate
         where (s.pipeline_id, s.key, s.version) in (select * from unnest($1::bigint[], $2::text[], $3::bigint[]))
         order by s.pipeline_id, s.key
         for key share of s",
        &pipelines,
        &keys,
        &versions,
        pipeline::gate()
    )
    .fetch_all(tx)
    .await?;
    Ok(held.len())
}

/// Writes opportunities as they are now, those that are new and those that were there.
pub(super) async fn write(tx: &mut PgConnection, records: &[&Opportunity]) -> Result<(), Error> {
    if records.is_empty() {
        return Ok(());
    }
    macro_rules! column {
        (|$it:ident| $value:expr) => {
            records.iter().map(|$it| $value).collect::<Vec<_>>()
        };
    }
    sqlx::query!(
        "insert into opportunities (id, opportunity_name, customer_id, customer_name, contact_id, pipeline_id, stage_key, status, amount, currency,
           closed_amount, closed_rate, probability, weighted_value, expected_close_date, actual_close_date, lost_reason, owner_id, team_id, products, notes,
           source, external_id, tags, waiting_until, forecast_category, line_items, custom_fields, created_by, created_at, updated_at, stage_entered_at, deleted_at, version)
         select id, opportunity_name, customer_id, customer_name, contact_id, pipeline_id, stage_key, status, amount, currency,
           closed_amount, closed_rate, probability, weighted_value, expected_close_date, actual_close_date, lost_reason, owner_id, team_id, products::text[], notes,
           source, external_id, tags::text[], waiting_until, forecast_category, line_items::jsonb, custom_fields::jsonb, created_by, created_at, updated_at, stage_entered_at, deleted_at, version
         from unnest($1::bigint[], $2::text[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::text[], $8::text[], $9::numeric[], $10::text[],
             $11::numeric[], $12::numeric[], $13::integer[], $14::numeric[], $15::date[], $16::date[], $17::text[], $18::bigint[], $19::bigint[], $20::text[], $21::text[],
             $22::text[], $23::text[], $24::text[], $25::date[], $26::text[], $27::text[], $28::bigint[], $29::timestamptz[], $30::timestamptz[], $31::timestamptz[],
             $32::timestamptz[], $33::bigint[], $34::text[])
           as n (id, opportunity_name, customer_id, customer_name, contact_id, pipeline_id, stage_key, status, amount, currency,
             closed_amount, closed_rate, probability, weighted_value, expected_close_date, actual_close_date, lost_reason, owner_id, team_id, products, notes,
             source, external_id, tags, waiting_until, line_items, custom_fields, created_by, created_at, updated_at, stage_entered_at, deleted_at, version, forecast_category)
         on conflict (id) do update
         set opportunity_name = excluded.opportunity_name, customer_id = excluded.customer_id, customer_name = excluded.customer_name,
             contact_id = excluded.contact_id, pipeline_id = excluded.pipeline_id, stage_key = excluded.stage_key, status = excluded.status,
             amount = excluded.amount, currency = excluded.currency, closed_amount = excluded.closed_amount, closed_rate = excluded.closed_rate,
             probability = excluded.probability, weighted_value = excluded.weighted_value, expected_close_date = excluded.expected_close_date,
             actual_close_date = excluded.actual_close_date, lost_reason = excluded.lost_reason, owner_id = excluded.owner_id, team_id = excluded.team_id,
             products = excluded.products, notes = excluded.notes, source = excluded.source, external_id = excluded.external_id, tags = excluded.tags,
             waiting_until = excluded.waiting_until, forecast_category = excluded.forecast_category, line_items = excluded.line_items, custom_fields = excluded.custom_fields, updated_at = excluded.updated_at,
             stage_entered_at = excluded.stage_entered_at, deleted_at = excluded.deleted_at, version = excluded.version",
        &column!(|it| it.id),
        &column!(|it| it.opportunity_name.clone()),
        &column!(|it| it.customer_id),
        &column!(|it| it.customer_name.clone()),
        &column!(|it| it.contact_id) as _,
        &column!(|it| it.pipeline_id),
        &column!(|it| it.stage_key.clone()),
        &column!(|it| it.status.as_str().to_owned()),
        &column!(|it| it.amount) as _,
        &column!(|it| it.currency.clone()),
        &column!(|it| it.closed_amount) as _,
        &column!(|it| it.closed_rate) as _,
        &column!(|it| it.probability),
        &column!(|it| it.weighted_value()) as _,
        &column!(|it| it.expected_close_date) as _,
        &column!(|it| it.actual_close_date) as _,
        &column!(|it| it.lost_reason.clone()) as _,
        &column!(|it| it.owner_id),
        &column!(|it| it.team_id) as _,
        &column!(|it| array(&it.products)),
        &column!(|it| it.notes.clone()) as _,
        &column!(|it| it.source.clone()) as _,
        &column!(|it| it.external_id.clone()) as _,
        &column!(|it| array(&it.tags)),
        &column!(|it| it.waiting_until) as _,
        &column!(|it| line_item::json(&it.line_items)) as _,
        &column!(|it| custom_field::model::json(&it.custom_fields)) as _,
        &column!(|it| it.created_by),
        &column!(|it| it.created_at),
        &column!(|it| it.updated_at),
        &column!(|it| it.stage_entered_at),
        &column!(|it| it.deleted_at) as _,
        &column!(|it| it.version),
        &column!(|it| it.forecast_category.map(|it| it.as_str().to_owned())) as _
    )
    .execute(tx)
    .await
    .on_constraint("opportunities_external_id_key", || {
        Error::conflict(EXTERNAL_ID_TAKEN, "an opportunity with this external_id exists")
    })?;
    Ok(())
}

/// Adds rows to the history of opportunities.
pub(super) async fn insert_history(
    tx: &mut PgConnection,
    moves: &[(i64, &Moved)],
) -> sqlx::Result<()> {
    if moves.is_empty() {
        return Ok(());
    }
    macro_rules! column {
        (|$it:ident| $value:expr) => {
            moves.iter().map(|(_, $it)| $value).collect::<Vec<_>>()
        };
    }
    let opportunities: Vec<_> = moves.iter().map(|(id, _)| *id).collect();
    sqlx::query!(
        "insert into stage_history (id, opportunity_id, from_stage_key, from_stage, to_stage_key, to_stage, probability, notes, changed_by, changed_at, seconds_in_from_stage)
         select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::integer[], $8::text[], $9::bigint[], $10::timestamptz[], $11::bigint[])",
        &column!(|it| it.id),
        &opportunities,
        &column!(|it| it.from.as_ref().map(|from| from.0.clone())) as _,
        &column!(|it| it.from.as_ref().map(|from| from.1.clone())) as _,
        &column!(|it| it.to.0.clone()),
        &column!(|it| it.to.1.clone()),
        &column!(|it| it.probability),
        &column!(|it| it.notes.clone()) as _,
        &column!(|it| it.changed_by),
        &column!(|it| it.changed_at),
        &column!(|it| it.seconds_in_from_stage) as _
    )
    .execute(tx)
    .await?;
    Ok(())
}
