//! All SQL about reasons.

use sqlx::{PgConnection, PgExecutor};

use super::model::{LostReason, LostReasons};

/// All reasons in their order.
pub(super) async fn all(db: impl PgExecutor<'_>) -> sqlx::Result<LostReasons> {
    let rows = sqlx::query!(
        r#"select l.version, r.id as "id?", r.name as "name?", r.is_active as "is_active?"
           from managed_lists l left join lost_reasons r on true
           where l.name = 'lost_reasons'
           order by r.ordinal"#
    )
    .fetch_all(db)
    .await?;
    let version = rows.first().map(|row| row.version).unwrap_or_default();
    let reason =
        |(id, name, is_active)| Some(LostReason { id: id?, name: name?, is_active: is_active? });
    let items = rows.into_iter().filter_map(|row| reason((row.id, row.name, row.is_active)));
    Ok(LostReasons { items: items.collect(), version })
}

/// An id for a new reason.
pub(super) async fn next_id(tx: &mut PgConnection) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"select nextval('lost_reasons_id_seq') as "id!""#).fetch_one(tx).await
}

/// Writes the whole list.
pub(super) async fn put(tx: &mut PgConnection, list: &LostReasons) -> sqlx::Result<()> {
    let ids: Vec<_> = list.items.iter().map(|it| it.id).collect();
    let names: Vec<_> = list.items.iter().map(|it| it.name.clone()).collect();
    let active: Vec<_> = list.items.iter().map(|it| it.is_active).collect();
    sqlx::query!(
        "with v as (
           update managed_lists set version = $4 where name = 'lost_reasons'
         ), gone as (
           delete from lost_reasons where id <> all($1)
         )
         insert into lost_reasons (id, name, is_active, ordinal) overriding system value
         select id, name, is_active, ordinal
         from unnest($1::bigint[], $2::text[], $3::boolean[]) with ordinality as given (id, name, is_active, ordinal)
         on conflict (id) do update set name = excluded.name, is_active = excluded.is_active, ordinal = excluded.ordinal",
        &ids,
        &names,
        &active,
        list.version
    )
    .execute(tx)
    .await?;
    Ok(())
}
