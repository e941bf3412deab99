//! All SQL about customers, but for lists, duplicates and merges.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor, PgPool};

use super::model::{Customer, Draft, Keys};
use super::{Asker, Found};

/// Waits until no other transaction holds the same text's lock, and holds it until the end of this one.
pub(crate) async fn lock_text(tx: &mut PgConnection, what: &str) -> sqlx::Result<()> {
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended($1, 0))", what).execute(tx).await?;
    Ok(())
}

/// A customer as somebody asks for it.
struct Row {
    id: i64,
    name: String,
    company: Option<String>,
    industry: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    created_by: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    deleted_at: Option<DateTime<Utc>>,
    merged_into_id: Option<i64>,
    version: i64,
    is_seen: bool,
    is_changeable: bool,
}

impl From<Row> for Found {
    fn from(row: Row) -> Self {
        Self {
            is_seen: row.is_seen,
            is_changeable: row.is_changeable,
            customer: Customer {
                id: row.id,
                name: row.name,
                company: row.company,
                industry: row.industry,
                email: row.email,
                phone: row.phone,
                created_by: row.created_by,
                created_at: row.created_at,
                updated_at: row.updated_at,
                deleted_at: row.deleted_at,
                merged_into_id: row.merged_into_id,
                version: row.version,
            },
        }
    }
}

/// A customer, deleted or not, and what somebody may do with it.
pub(super) async fn find(
    db: impl PgExecutor<'_>,
    id: i64,
    who: &Asker,
) -> sqlx::Result<Option<Found>> {
    let ((all, owner_id, team_ids), (any, me, reach)) = (who.read.parts(), who.write.parts());
    let row = sqlx::query_as!(
        Row,
        r#"select c.id, c.name, c.company, c.industry, c.email, c.phone, c.created_by, c.created_at, c.updated_at, c.deleted_at, c.merged_into_id, c.version,
             ($2 or c.created_by = $3 or exists (
               select from opportunities o
               where o.customer_id = c.id and o.deleted_at is null and (o.owner_id = $4 or o.team_id = any($5)))) as "is_seen!",
             ($6 or c.created_by = $7 or exists (select from people p where p.user_id = c.created_by and p.team_id = any($8)) or exists (
               select from opportunities o left join people p on p.user_id = o.owner_id
               where o.customer_id = c.id and o.deleted_at is null and (o.owner_id = $7 or p.team_id = any($8)))) as "is_changeable!"
           from customers c where c.id = $1"#,
        id,
        all,
        who.by,
        owner_id,
        team_ids,
        any,
        me,
        reach
    )
    .fetch_optional(db)
    .await?;
    Ok(row.map(Into::into))
}

/// The same of several customers, for who changes nothing.
pub(crate) async fn found_by(pool: &PgPool, ids: &[i64], who: &Asker) -> sqlx::Result<Vec<Found>> {
    let (all, owner_id, team_ids) = who.read.parts();
    let rows = sqlx::query_as!(
        Row,
        r#"select c.id, c.name, c.company, c.industry, c.email, c.phone, c.created_by, c.created_at, c.updated_at, c.deleted_at, c.merged_into_id, c.version,
             ($2 or c.created_by = $3 or exists (
               select from opportunities o
               where o.customer_id = c.id and o.deleted_at is null and (o.owner_id = $4 or o.team_id = any($5)))) as "is_seen!",
             false as "is_changeable!"
           from customers c where c.id = any($1)"#,
        ids,
        all,
        who.by,
        owner_id,
        team_ids
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// The same of several customers by id, which nobody else changes until this transaction ends, and to which nothing is added.
pub(super) async fn lock(
    tx: &mut PgConnection,
    ids: &[i64],
    who: &Asker,
) -> sqlx::Result<Vec<Found>> {
    let ((all, owner_id, team_ids), (any, me, reach)) = (who.read.parts(), who.write.parts());
    let rows = sqlx::query_as!(
        Row,
        r#"select c.id, c.name, c.company, c.industry, c.email, c.phone, c.created_by, c.created_at, c.updated_at, c.deleted_at, c.merged_into_id, c.version,
             ($2 or c.created_by = $3 or exists (
               select from opportunities o
               where o.customer_id = c.id and o.deleted_at is null and (o.owner_id = $4 or o.team_id = any($5)))) as "is_seen!",
             ($6 or c.created_by = $7 or exists (select from people p where p.user_id = c.created_by and p.team_id = any($8)) or exists (
               select from opportunities o left join people p on p.user_id = o.owner_id
               where o.customer_id = c.id and o.deleted_at is null and (o.owner_id = $7 or p.team_id = any($8)))) as "is_changeable!"
           from customers c where c.id = any($1)
           order by c.id
           for no key update of c"#,
        ids,
        all,
        who.by,
        owner_id,
        team_ids,
        any,
        me,
        reach
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(Into::into).collect())
}

/// A living customer, which stays as it is until this transaction ends.
pub(super) async fn hold(tx: &mut PgConnection, id: i64) -> sqlx::Result<Option<Customer>> {
    sqlx::query_as!(
        Customer,
        "select id, name, company, industry, email, phone, created_by, created_at, updated_at, deleted_at, merged_into_id, version
         from customers where id = $1 and deleted_at is null
         for share",
        id
    )
    .fetch_optional(tx)
    .await
}

/// Into which customer one was merged.
pub(super) async fn merged_into(tx: &mut PgConnection, id: i64) -> sqlx::Result<Option<i64>> {
    let row = sqlx::query_scalar!("select merged_into_id from customers where id = $1", id);
    Ok(row.fetch_optional(tx).await?.flatten())
}

/// The oldest customer of a folded name that somebody may see: who made it, or sees one of its opportunities. It stays as it is until this transaction
/// ends.
pub(super) async fn find_by_name(
    tx: &mut PgConnection,
    folded: &str,
    who: &Asker,
) -> sqlx::Result<Option<Customer>> {
    let (all, owner_id, team_ids) = who.read.parts();
    sqlx::query_as!(
        Customer,
        "select c.id, c.name, c.company, c.industry, c.email, c.phone, c.created_by, c.created_at, c.updated_at, c.deleted_at, c.merged_into_id, c.version
         from customers c
         where c.folded_name = $1 and c.deleted_at is null
           and ($2 or c.created_by = $3 or exists (
             select 1 from opportunities o
             where o.customer_id = c.id and o.deleted_at is null and (o.owner_id = $4 or o.team_id = any($5))))
         order by c.id limit 1
         for share of c",
        folded,
        all,
        who.by,
        owner_id,
        team_ids
    )
    .fetch_optional(tx)
    .await
}

/// The oldest customer, among those that somebody may see, into which one of a folded name was merged, directly or by way of others.
pub(super) async fn find_by_merged_name(
    tx: &mut PgConnection,
    folded: &str,
    who: &Asker,
) -> sqlx::Result<Option<i64>> {
    let (all, owner_id, team_ids) = who.read.parts();
    sqlx::query_scalar!(
        r#"with recursive way as (
             select merged_into_id as id from customers where folded_name = $1 and merged_into_id is not null
             union
             select c.merged_into_id from customers c join way on c.id = way.id where c.merged_into_id is not null
           )
           select c.id from customers c join way on c.id = way.id
           where c.deleted_at is null
             and ($2 or c.created_by = $3 or exists (
               select 1 from opportunities o
               where o.customer_id = c.id and o.deleted_at is null and (o.owner_id = $4 or o.team_id = any($5))))
           order by c.id limit 1"#,
        folded,
        all,
        who.by,
        owner_id,
        team_ids
    )
    .fetch_optional(tx)
    .await
}

/// Adds a customer.
pub(super) async fn insert(
    tx: &mut PgConnection,
    new: &Draft,
    by: i64,
    at: DateTime<Utc>,
) -> sqlx::Result<Customer> {
    let keys =
        Keys::of(&new.name, new.company.as_deref(), new.email.as_deref(), new.phone.as_deref());
    sqlx::query_as!(
        Customer,
        "insert into customers (name, company, industry, email, phone, created_by, version, created_at, updated_at,
           folded_name, name_key, folded_email, phone_digits, folded, grams)
         values ($1, $2, $3, $4, $5, $6, 1, $7, $7, $8, $9, $10, $11, $12, $13)
         returning id, name, company, industry, email, phone, created_by, created_at, updated_at, deleted_at, merged_into_id, version",
        new.name,
        new.company,
        new.industry,
        new.email,
        new.phone,
        by,
        at,
        keys.folded_name,
        keys.name_key,
        keys.folded_email,
        keys.phone_digits,
        keys.text.folded,
        &keys.text.grams
    )
    .fetch_one(tx)
    .await
}

/// Writes what a change made of a customer.
pub(super) async fn update(tx: &mut PgConnection, it: &Customer) -> sqlx::Result<()> {
    let keys = Keys::of(&it.name, it.company.as_deref(), it.email.as_deref(), it.phone.as_deref());
    sqlx::query!(
        "update customers
         set name = $2, company = $3, industry = $4, email = $5, phone = $6, updated_at = $7, deleted_at = $8, merged_into_id = $9, version = $10,
             folded_name = $11, name_key = $12, folded_email = $13, phone_digits = $14, folded = $15, grams = $16
         where id = $1",
        it.id,
        it.name,
        it.company,
        it.industry,
        it.email,
        it.phone,
        it.updated_at,
        it.deleted_at,
        it.merged_into_id,
        it.version,
        keys.folded_name,
        keys.name_key,
        keys.folded_email,
        keys.phone_digits,
        keys.text.folded,
        &keys.text.grams
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Whether a customer has an opportunity that is not deleted.
pub(super) async fn has_opportunities(tx: &mut PgConnection, id: i64) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from opportunities where customer_id = $1 and deleted_at is null) as "has!""#,
        id
    )
    .fetch_one(tx)
    .await
}

/// A customer from before its keys were kept.
pub(super) struct Unfilled {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) company: Option<String>,
    pub(super) email: Option<String>,
    pub(super) phone: Option<String>,
    pub(super) version: i64,
}

/// A few hundred of them by id, after one.
pub(super) async fn unfilled(pool: &PgPool, after_id: i64) -> sqlx::Result<Vec<Unfilled>> {
    sqlx::query_as!(
        Unfilled,
        "select id, name, company, email, phone, version from customers where name_key is null and id > $1 order by id limit 500",
        after_id
    )
    .fetch_all(pool)
    .await
}

/// Keeps the keys of customers that are still as they were read.
pub(super) async fn fill(pool: &PgPool, filled: &[(Unfilled, Keys)]) -> sqlx::Result<u64> {
    let mut sql = sqlx::QueryBuilder::<sqlx::Postgres>::new(
        "update customers c set name_key = k.name_key, folded_email = k.folded_email, phone_digits = k.phone_digits, folded = k.folded, grams = k.grams from (",
    );
    sql.push_values(filled, |mut row, (it, keys)| {
        row.push_bind(it.id).push_bind(it.version).push_bind(&keys.name_key);
        row.push_bind(&keys.folded_email).push_bind(&keys.phone_digits);
        row.push_bind(&keys.text.folded).push_bind(&keys.text.grams);
    });
    sql.push(
        ") as k (id, version, name_key, folded_email, phone_digits, folded, grams)
          where c.id = k.id and c.version = k.version and c.name_key is null",
    );
    Ok(sql.build().execute(pool).await?.rows_affected())
}

/// Customers by id, deleted or not.
pub(super) async fn of_ids(pool: &PgPool, ids: &[i64]) -> sqlx::Result<Vec<Customer>> {
    sqlx::query_as!(
        Customer,
        "select id, name, company, industry, email, phone, created_by, created_at, updated_at, deleted_at, merged_into_id, version
         from customers where id = any($1)",
        ids
    )
    .fetch_all(pool)
    .await
}

/// Has nobody else change these customers, nor add to them, until this transaction ends.
pub(crate) async fn lock_only(tx: &mut PgConnection, ids: &[i64]) -> sqlx::Result<()> {
    sqlx::query!("select from customers where id = any($1) order by id for no key update", ids)
        .execute(tx)
        .await?;
    Ok(())
}
