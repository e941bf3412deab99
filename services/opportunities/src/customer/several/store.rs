//! All SQL about several customers at once.

use std::collections::HashMap;

use sqlx::{PgConnection, PgPool};

use crate::array::array;
use crate::customer::Asker;
use crate::customer::model::{Customer, Keys};

/// Waits until no other transaction makes customers of these folded names, and has nobody do so until the end of this one.
pub(super) async fn lock_names(tx: &mut PgConnection, folded: &[String]) -> sqlx::Result<()> {
    sqlx::query!(
        "select pg_advisory_xact_lock(key)
         from (select distinct hashtextextended('customer ' || name, 0) as key from unnest($1::text[]) as n (name) order by 1) as keys",
        folded
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The oldest customer of each folded name that somebody may see: who made it, or sees one of its opportunities.
pub(super) async fn find(
    tx: &mut PgConnection,
    folded: &[String],
    who: &Asker,
) -> sqlx::Result<HashMap<String, i64>> {
    let (all, owner_id, team_ids) = who.read.parts();
    let rows = sqlx::query!(
        r#"select distinct on (n.name) n.name as "name!", c.id
           from unnest($1::text[]) as n (name)
           join customers c on c.folded_name = n.name
           where c.deleted_at is null
             and ($2 or c.created_by = $3 or exists (
               select from opportunities o
               where o.customer_id = c.id and o.deleted_at is null and (o.owner_id = $4 or o.team_id = any($5))))
           order by n.name, c.id"#,
        folded,
        all,
        who.by,
        owner_id,
        team_ids
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.name, row.id)).collect())
}

/// The oldest customer, among those that somebody may see, into which one of each folded name was merged, directly or by way of others.
pub(super) async fn find_merged(
    tx: &mut PgConnection,
    folded: &[String],
    who: &Asker,
) -> sqlx::Result<HashMap<String, i64>> {
    let (all, owner_id, team_ids) = who.read.parts();
    let rows = sqlx::query!(
        r#"with recursive way as (
             select folded_name as name, merged_into_id as id from customers where folded_name = any($1) and merged_into_id is not null
             union
             select way.name, c.merged_into_id from customers c join way on c.id = way.id where c.merged_into_id is not null
           )
           select distinct on (way.name) way.name as "name!", c.id
           from customers c join way on c.id = way.id
           where c.deleted_at is null
             and ($2 or c.created_by = $3 or exists (
               select from opportunities o
               where o.customer_id = c.id and o.deleted_at is null and (o.owner_id = $4 or o.team_id = any($5))))
           order by way.name, c.id"#,
        folded,
        all,
        who.by,
        owner_id,
        team_ids
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.name, row.id)).collect())
}

/// The names of those that are there, which stay as they are until this transaction ends; held in the order of their ids.
pub(super) async fn hold(tx: &mut PgConnection, ids: &[i64]) -> sqlx::Result<HashMap<i64, String>> {
    let rows = sqlx::query!(
        "select id, name from customers where id = any($1) and deleted_at is null order by id for share",
        ids
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.name)).collect())
}

/// Those that are there.
pub(super) async fn living(pool: &PgPool, ids: &[i64]) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!("select id from customers where id = any($1) and deleted_at is null", ids)
        .fetch_all(pool)
        .await
}

/// That many ids for new customers, rising.
pub(super) async fn ids(tx: &mut PgConnection, count: usize) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"select nextval('customers_id_seq') as "id!" from generate_series(1, $1::bigint)"#,
        i64::try_from(count).unwrap_or(i64::MAX)
    )
    .fetch_all(tx)
    .await
}

/// Adds customers of which nothing is known but their names.
pub(super) async fn insert(
    tx: &mut PgConnection,
    made: &[Customer],
    keys: &[Keys],
) -> sqlx::Result<()> {
    let ids: Vec<_> = made.iter().map(|it| it.id).collect();
    let names: Vec<_> = made.iter().map(|it| it.name.clone()).collect();
    let by: Vec<_> = made.iter().map(|it| it.created_by).collect();
    let at: Vec<_> = made.iter().map(|it| it.created_at).collect();
    let folded_names: Vec<_> = keys.iter().map(|it| it.folded_name.clone()).collect();
    let name_keys: Vec<_> = keys.iter().map(|it| it.name_key.clone()).collect();
    let folded: Vec<_> = keys.iter().map(|it| it.text.folded.clone()).collect();
    let grams: Vec<_> = keys.iter().map(|it| array(&it.text.grams)).collect();
    sqlx::query!(
        "insert into customers (id, name, created_by, version, created_at, updated_at, folded_name, name_key, folded, grams)
         select id, name, created_by, 1, at, at, folded_name, name_key, folded, grams::text[]
         from unnest($1::bigint[], $2::text[], $3::bigint[], $4::timestamptz[], $5::text[], $6::text[], $7::text[], $8::text[])
           as n (id, name, created_by, at, folded_name, name_key, folded, grams)",
        &ids,
        &names,
        &by,
        &at,
        &folded_names,
        &name_keys,
        &folded,
        &grams
    )
    .execute(tx)
    .await?;
    Ok(())
}
