//! All SQL about contacts.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor, PgPool};

use super::model::{Contact, ContactWish, Draft};
use crate::text::fold;

/// A contact, deleted or not.
pub(super) async fn find(db: impl PgExecutor<'_>, id: i64) -> sqlx::Result<Option<Contact>> {
    sqlx::query_as!(
        Contact,
        "select id, customer_id, name, email, phone, title, created_at, updated_at, deleted_at, merged_into_id, erased_at, version
         from contacts where id = $1",
        id
    )
    .fetch_optional(db)
    .await
}

/// Contacts by id, deleted or not.
pub(crate) async fn of_ids(pool: &PgPool, ids: &[i64]) -> sqlx::Result<Vec<Contact>> {
    sqlx::query_as!(
        Contact,
        "select id, customer_id, name, email, phone, title, created_at, updated_at, deleted_at, merged_into_id, erased_at, version
         from contacts where id = any($1)",
        ids
    )
    .fetch_all(pool)
    .await
}

/// Contacts by id, deleted or not, which nobody else changes until this transaction ends.
pub(crate) async fn lock(tx: &mut PgConnection, ids: &[i64]) -> sqlx::Result<Vec<Contact>> {
    sqlx::query_as!(
        Contact,
        "select id, customer_id, name, email, phone, title, created_at, updated_at, deleted_at, merged_into_id, erased_at, version
         from contacts where id = any($1)
         order by id
         for no key update",
        ids
    )
    .fetch_all(tx)
    .await
}

/// The living contacts of some customers by id, which nobody else changes until this transaction ends.
pub(crate) async fn lock_of(
    tx: &mut PgConnection,
    customer_ids: &[i64],
) -> sqlx::Result<Vec<Contact>> {
    sqlx::query_as!(
        Contact,
        "select id, customer_id, name, email, phone, title, created_at, updated_at, deleted_at, merged_into_id, erased_at, version
         from contacts where customer_id = any($1) and deleted_at is null
         order by id
         for no key update",
        customer_ids
    )
    .fetch_all(tx)
    .await
}

/// The longest page of a customer's living contacts and one more, the newest first, before a place.
pub(super) async fn list(
    pool: &PgPool,
    customer_id: i64,
    before: (DateTime<Utc>, i64),
) -> sqlx::Result<Vec<Contact>> {
    sqlx::query_as!(
        Contact,
        "select id, customer_id, name, email, phone, title, created_at, updated_at, deleted_at, merged_into_id, erased_at, version
         from contacts where customer_id = $1 and deleted_at is null and (created_at, id) < ($2, $3)
         order by created_at desc, id desc limit 201",
        customer_id,
        before.0,
        before.1
    )
    .fetch_all(pool)
    .await
}

/// The customer's oldest contact of that address, or of that name where no address is given. It stays as it is until this transaction ends.
pub(super) async fn find_like(
    tx: &mut PgConnection,
    customer_id: i64,
    wish: &ContactWish,
) -> sqlx::Result<Option<Contact>> {
    let email = wish.email.as_deref().map(fold);
    sqlx::query_as!(
        Contact,
        "select id, customer_id, name, email, phone, title, created_at, updated_at, deleted_at, merged_into_id, erased_at, version
         from contacts
         where customer_id = $1 and deleted_at is null
           and ((folded_email = $2) or ($2::text is null and folded_name = $3))
         order by id limit 1
         for share",
        customer_id,
        email,
        fold(&wish.name)
    )
    .fetch_optional(tx)
    .await
}

/// Another contact of the customer's of that address.
pub(super) async fn of_address(
    tx: &mut PgConnection,
    customer_id: i64,
    email: &str,
    but: i64,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        "select id from contacts where customer_id = $1 and deleted_at is null and folded_email = $2 and id <> $3 order by id limit 1",
        customer_id,
        fold(email),
        but
    )
    .fetch_optional(tx)
    .await
}

/// Adds a contact.
pub(super) async fn insert(
    tx: &mut PgConnection,
    customer_id: i64,
    new: &Draft,
    at: DateTime<Utc>,
) -> sqlx::Result<Contact> {
    sqlx::query_as!(
        Contact,
        "insert into contacts (customer_id, name, folded_name, email, folded_email, phone, title, version, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7, 1, $8, $8)
         returning id, customer_id, name, email, phone, title, created_at, updated_at, deleted_at, merged_into_id, erased_at, version",
        customer_id,
        new.name,
        fold(&new.name),
        new.email,
        new.email.as_deref().map(fold),
        new.phone,
        new.title,
        at
    )
    .fetch_one(tx)
    .await
}

/// Writes what changes made of contacts.
pub(crate) async fn update(tx: &mut PgConnection, contacts: &[Contact]) -> sqlx::Result<()> {
    let mut sql = sqlx::QueryBuilder::<sqlx::Postgres>::new(
        "update contacts c
         set customer_id = n.customer_id, name = n.name, folded_name = n.folded_name, email = n.email, folded_email = n.folded_email, phone = n.phone,
             title = n.title, updated_at = n.updated_at, deleted_at = n.deleted_at, merged_into_id = n.merged_into_id, erased_at = n.erased_at,
             version = n.version
         from (",
    );
    for chunk in contacts.chunks(1_000) {
        sql.reset();
        sql.push_values(chunk, |mut row, it| {
            row.push_bind(it.id).push_bind(it.customer_id);
            row.push_bind(&it.name).push_bind(fold(&it.name));
            row.push_bind(&it.email).push_bind(it.email.as_deref().map(fold));
            row.push_bind(&it.phone).push_bind(&it.title);
            row.push_bind(it.updated_at).push_bind(it.deleted_at);
            row.push_bind(it.merged_into_id).push_bind(it.erased_at).push_bind(it.version);
        });
        sql.push(
            ") as n (id, customer_id, name, folded_name, email, folded_email, phone, title, updated_at, deleted_at, merged_into_id, erased_at, version)
             where c.id = n.id",
        );
        sql.build().execute(&mut *tx).await?;
    }
    Ok(())
}
