//! Every statement about sign-ins with an external provider and whom they were of.

use chrono::{DateTime, Utc};
use sqlx::{PgPool, Postgres, Transaction};

use super::model::Pending;

/// Remembers that somebody was sent to the provider, unless as many from there did not come back yet.
pub async fn insert(
    tx: &mut Transaction<'_, Postgres>,
    (state_hash, browser_hash, prefix): (&[u8], &[u8], &str),
    pending: &Pending,
    (expires_at, now): (DateTime<Utc>, DateTime<Utc>),
    most: i64,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "insert into external_sign_ins (state_hash, browser_hash, client_id, redirect_uri, scope, code_challenge, page, prefix, expires_at)
         select $1, $2, $3, $4, $5, $6, $7, $8, $9
         where (select count(*) from external_sign_ins where prefix = $8 and expires_at > $10) < $11",
        state_hash,
        browser_hash,
        pending.client_id,
        pending.redirect_uri,
        pending.scope,
        pending.code_challenge,
        pending.page,
        prefix,
        expires_at,
        now,
        most
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// What is remembered of a sign-in, which is forgotten with that; nothing where it is another browser's, too old, or was answered already.
pub async fn take(
    tx: &mut Transaction<'_, Postgres>,
    state_hash: &[u8],
    browser_hash: &[u8],
    now: DateTime<Utc>,
) -> sqlx::Result<Option<Pending>> {
    sqlx::query_as!(
        Pending,
        "delete from external_sign_ins where state_hash = $1 and browser_hash = $2 and expires_at > $3
         returning client_id, redirect_uri, scope, code_challenge, page",
        state_hash,
        browser_hash,
        now
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Forgets sign-ins that are not to be answered any more.
pub async fn forget(pool: &PgPool, now: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("delete from external_sign_ins where expires_at <= $1", now).execute(pool).await?;
    Ok(())
}

/// The user who is linked with somebody at a provider.
pub async fn user_of(
    tx: &mut Transaction<'_, Postgres>,
    issuer: &str,
    subject: &str,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        "select user_id from external_identities where issuer = $1 and subject = $2",
        issuer,
        subject
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Who a user is at a provider, if that is known.
pub async fn subject_of(
    tx: &mut Transaction<'_, Postgres>,
    user_id: i64,
    issuer: &str,
) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!(
        "select subject from external_identities where user_id = $1 and issuer = $2",
        user_id,
        issuer
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Links a user with somebody at a provider, unless either is linked with another.
pub async fn link(
    tx: &mut Transaction<'_, Postgres>,
    (issuer, subject): (&str, &str),
    user_id: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "insert into external_identities (issuer, subject, user_id, linked_at) values ($1, $2, $3, $4) on conflict do nothing",
        issuer,
        subject,
        user_id,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Forgets who a user is elsewhere; the providers and who they were there.
pub async fn unlink(
    tx: &mut Transaction<'_, Postgres>,
    user_id: i64,
) -> sqlx::Result<Vec<(String, String)>> {
    let rows = sqlx::query!(
        "delete from external_identities where user_id = $1 returning issuer, subject",
        user_id
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.issuer, row.subject)).collect())
}
