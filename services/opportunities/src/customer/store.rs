//! All SQL about customers and contacts.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::model::{Contact, ContactWish, Customer};
use crate::access::model::Sight;
use crate::text::fold;

/// Waits until no other transaction holds the same text's lock, and holds it until the end of this one.
pub(super) async fn lock(tx: &mut PgConnection, what: &str) -> sqlx::Result<()> {
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended($1, 0))", what).execute(tx).await?;
    Ok(())
}

/// The oldest customer of a folded name that somebody may see: who made it, or sees one of its opportunities.
pub(super) async fn find_by_name(
    tx: &mut PgConnection,
    folded: &str,
    sight: &Sight,
    by: i64,
) -> sqlx::Result<Option<Customer>> {
    let (all, owner_id, team_ids) = sight.parts();
    sqlx::query_as!(
        Customer,
        "select c.id, c.name, c.created_by, c.created_at from customers c
         where c.folded_name = $1 and c.deleted_at is null
           and ($2 or c.created_by = $3 or exists (
             select 1 from opportunities o
             where o.customer_id = c.id and o.deleted_at is null and (o.owner_id = $4 or o.team_id = any($5))))
         order by c.id limit 1",
        folded,
        all,
        by,
        owner_id,
        team_ids
    )
    .fetch_optional(tx)
    .await
}

/// Adds a customer.
pub(super) async fn insert(
    tx: &mut PgConnection,
    name: &str,
    folded: &str,
    by: i64,
    at: DateTime<Utc>,
) -> sqlx::Result<Customer> {
    sqlx::query_as!(
        Customer,
        "insert into customers (name, folded_name, created_by, version, created_at, updated_at) values ($1, $2, $3, 1, $4, $4)
         returning id, name, created_by, created_at",
        name,
        folded,
        by,
        at
    )
    .fetch_one(tx)
    .await
}

/// The customer's oldest contact of that address, or of that name where no address is given.
pub(super) async fn find_contact(
    tx: &mut PgConnection,
    customer_id: i64,
    wish: &ContactWish,
) -> sqlx::Result<Option<Contact>> {
    let email = wish.email.as_deref().map(fold);
    sqlx::query_as!(
        Contact,
        "select id, name, email from contacts
         where customer_id = $1 and deleted_at is null
           and ((folded_email = $2) or ($2::text is null and folded_name = $3))
         order by id limit 1",
        customer_id,
        email,
        fold(&wish.name)
    )
    .fetch_optional(tx)
    .await
}

/// Adds a contact.
pub(super) async fn insert_contact(
    tx: &mut PgConnection,
    customer_id: i64,
    wish: &ContactWish,
    at: DateTime<Utc>,
) -> sqlx::Result<Contact> {
    sqlx::query_as!(
        Contact,
        "insert into contacts (customer_id, name, folded_name, email, folded_email, version, created_at, updated_at)
         values ($1, $2, $3, $4, $5, 1, $6, $6)
         returning id, name, email",
        customer_id,
        wish.name,
        fold(&wish.name),
        wish.email,
        wish.email.as_deref().map(fold),
        at
    )
    .fetch_one(tx)
    .await
}
