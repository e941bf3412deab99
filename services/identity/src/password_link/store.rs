//! Every statement about links by which a password is set.

use chrono::{DateTime, Utc};
use sqlx::{PgPool, Postgres, Transaction};

use super::model::{Kind, Link};

/// The id of the next link.
pub async fn next_id(tx: &mut Transaction<'_, Postgres>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"select nextval('password_links_id_seq') as "id!""#)
        .fetch_one(&mut **tx)
        .await
}

/// Stores a new link.
pub async fn insert(tx: &mut Transaction<'_, Postgres>, link: &Link) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into password_links (id, user_id, kind, nonce, token_hash, created_at, expires_at, version) values ($1, $2, $3, $4, $5, $6, $7, $8)",
        link.id,
        link.user_id,
        link.kind as Kind,
        link.nonce,
        link.token_hash,
        link.created_at,
        link.expires_at,
        link.version
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The link of that id.
pub async fn get(pool: &PgPool, id: i64) -> sqlx::Result<Option<Link>> {
    sqlx::query_as!(
        Link,
        r#"select id, user_id, kind as "kind: Kind", nonce, token_hash, created_at, expires_at, used_at, withdrawn_at, version
           from password_links where id = $1"#,
        id
    )
    .fetch_optional(pool)
    .await
}

/// A link, which nobody else may use until the transaction ends.
pub async fn lock(tx: &mut Transaction<'_, Postgres>, id: i64) -> sqlx::Result<Option<Link>> {
    sqlx::query_as!(
        Link,
        r#"select id, user_id, kind as "kind: Kind", nonce, token_hash, created_at, expires_at, used_at, withdrawn_at, version
           from password_links where id = $1 for update"#,
        id
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Stores that a link was used.
pub async fn put_used(tx: &mut Transaction<'_, Postgres>, link: &Link) -> sqlx::Result<()> {
    sqlx::query!(
        "update password_links set used_at = $2, version = $3 where id = $1",
        link.id,
        link.used_at,
        link.version
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Withdraws what a user has of links that were neither used nor withdrawn. Answers them as they are now.
pub async fn withdraw(
    tx: &mut Transaction<'_, Postgres>,
    user_id: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Link>> {
    sqlx::query_as!(
        Link,
        r#"update password_links set withdrawn_at = $2, version = version + 1
           where user_id = $1 and used_at is null and withdrawn_at is null
           returning id, user_id, kind as "kind: Kind", nonce, token_hash, created_at, expires_at, used_at, withdrawn_at, version"#,
        user_id,
        now
    )
    .fetch_all(&mut **tx)
    .await
}

/// The same for those of one kind.
pub async fn withdraw_of_kind(
    tx: &mut Transaction<'_, Postgres>,
    user_id: i64,
    kind: Kind,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Link>> {
    sqlx::query_as!(
        Link,
        r#"update password_links set withdrawn_at = $3, version = version + 1
           where user_id = $1 and kind = $2 and used_at is null and withdrawn_at is null
           returning id, user_id, kind as "kind: Kind", nonce, token_hash, created_at, expires_at, used_at, withdrawn_at, version"#,
        user_id,
        kind as Kind,
        now
    )
    .fetch_all(&mut **tx)
    .await
}

/// Counts a request, anew where the count began before then. False where there were as many as there may be.
pub async fn count(
    tx: &mut Transaction<'_, Postgres>,
    subject: &[u8],
    most: i32,
    now: DateTime<Utc>,
    began_after: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let counted = sqlx::query_scalar!(
        "insert into password_reset_counts as c (subject, window_started_at, requests) values ($1, $2, 1)
         on conflict (subject) do update
         set requests = case when c.window_started_at > $3 then c.requests + 1 else 1 end,
             window_started_at = case when c.window_started_at > $3 then c.window_started_at else $2 end
         where c.requests < $4 or c.window_started_at <= $3
         returning requests",
        subject,
        now,
        began_after,
        most
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(counted.is_some())
}

/// Forgets links that have been over since before the one time, and counts that began before the other.
pub async fn forget(
    pool: &PgPool,
    over_before: DateTime<Utc>,
    counted_before: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!("delete from password_links where expires_at < $1", over_before)
        .execute(pool)
        .await?;
    sqlx::query!("delete from password_reset_counts where window_started_at < $1", counted_before)
        .execute(pool)
        .await?;
    Ok(())
}
