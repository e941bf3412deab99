//! All SQL about several contacts at once.

use sqlx::PgConnection;

use super::Wanted;
use crate::contact::model::Contact;

/// Waits until no other transaction looks for contacts of these customers to make them, and has nobody do so until the end of this one.
pub(super) async fn lock_customers(tx: &mut PgConnection, ids: &[i64]) -> sqlx::Result<()> {
    sqlx::query!(
        "select pg_advisory_xact_lock(key)
         from (select distinct hashtextextended('contacts ' || id, 0) as key from unnest($1::bigint[]) as c (id) order by 1) as keys",
        ids
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Of each who is wanted the customer's oldest contact of that address, or of that name where no address is given.
pub(super) async fn find(
    tx: &mut PgConnection,
    wanted: &[Wanted<'_>],
) -> sqlx::Result<Vec<Option<i64>>> {
    let customers: Vec<_> = wanted.iter().map(|it| it.customer_id).collect();
    let names: Vec<_> = wanted.iter().map(|it| it.name.clone()).collect();
    let emails: Vec<_> = wanted.iter().map(|it| it.email.clone()).collect();
    sqlx::query_scalar!(
        r#"select (
             select min(c.id) from contacts c
             where c.customer_id = w.customer_id and c.deleted_at is null
               and (c.folded_email = w.email or (w.email is null and c.folded_name = w.name))
           ) as "id?"
           from unnest($1::bigint[], $2::text[], $3::text[]) with ordinality as w (customer_id, name, email, n)
           order by w.n"#,
        &customers,
        &names,
        &emails as &[Option<String>]
    )
    .fetch_all(tx)
    .await
}

/// How many of these are there; they stay as they are until this transaction ends, held in the order of their ids.
pub(super) async fn hold(tx: &mut PgConnection, ids: &[i64]) -> sqlx::Result<usize> {
    let held = sqlx::query!(
        "select id from contacts where id = any($1) and deleted_at is null order by id for share",
        ids
    );
    Ok(held.fetch_all(tx).await?.len())
}

/// That many ids for new contacts, rising.
pub(super) async fn ids(tx: &mut PgConnection, count: usize) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"select nextval('contacts_id_seq') as "id!" from generate_series(1, $1::bigint)"#,
        i64::try_from(count).unwrap_or(i64::MAX)
    )
    .fetch_all(tx)
    .await
}

/// Adds contacts, each with what it is compared by.
pub(super) async fn insert(
    tx: &mut PgConnection,
    made: &[Contact],
    wanted: &[&Wanted<'_>],
) -> sqlx::Result<()> {
    if made.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = made.iter().map(|it| it.id).collect();
    let customers: Vec<_> = made.iter().map(|it| it.customer_id).collect();
    let names: Vec<_> = made.iter().map(|it| it.name.clone()).collect();
    let emails: Vec<_> = made.iter().map(|it| it.email.clone()).collect();
    let at: Vec<_> = made.iter().map(|it| it.created_at).collect();
    let folded_names: Vec<_> = wanted.iter().map(|it| it.name.clone()).collect();
    let folded_emails: Vec<_> = wanted.iter().map(|it| it.email.clone()).collect();
    sqlx::query!(
        "insert into contacts (id, customer_id, name, folded_name, email, folded_email, version, created_at, updated_at)
         select id, customer_id, name, folded_name, email, folded_email, 1, at, at
         from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
           as n (id, customer_id, name, folded_name, email, folded_email, at)",
        &ids,
        &customers,
        &names,
        &folded_names,
        &emails as &[Option<String>],
        &folded_emails as &[Option<String>],
        &at
    )
    .execute(tx)
    .await?;
    Ok(())
}
