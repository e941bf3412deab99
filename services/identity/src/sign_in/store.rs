//! Every statement about wrong sign-ins, and right ones as far as they matter to these.

use chrono::{DateTime, Utc};
use sqlx::{PgPool, Postgres, Transaction};

use super::model::Failures;

/// Failures from an address and since when they are counted.
pub async fn address(
    tx: &mut Transaction<'_, Postgres>,
    prefix: &str,
) -> sqlx::Result<Option<(i32, DateTime<Utc>)>> {
    let row = sqlx::query!(
        "select failures, window_started_at from sign_in_addresses where prefix = $1",
        prefix
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| (row.failures, row.window_started_at)))
}

/// Counts a failure from an address; anew where the count began before then.
pub async fn count_address(
    tx: &mut Transaction<'_, Postgres>,
    prefix: &str,
    now: DateTime<Utc>,
    began_after: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into sign_in_addresses as a (prefix, window_started_at, failures) values ($1, $2, 1)
         on conflict (prefix) do update
         set failures = case when a.window_started_at > $3 then a.failures + 1 else 1 end,
             window_started_at = case when a.window_started_at > $3 then a.window_started_at else $2 end",
        prefix,
        now,
        began_after
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Whether an account was signed in to from there since then.
pub async fn is_trusted(
    pool: &PgPool,
    account: &[u8],
    prefix: &str,
    since: DateTime<Utc>,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from sign_in_successes where account = $1 and prefix = $2 and succeeded_at > $3) as "trusted!""#,
        account,
        prefix,
        since
    )
    .fetch_one(pool)
    .await
}

/// The failures of an account, as they are now.
pub async fn failures(
    pool: &PgPool,
    account: &[u8],
    bucket: &str,
) -> sqlx::Result<Option<Failures>> {
    sqlx::query_as!(
        Failures,
        "select failures, blocked_until, failed_at from sign_in_failures where account = $1 and prefix = $2",
        account,
        bucket
    )
    .fetch_optional(pool)
    .await
}

/// The failures of an account, which nobody else counts until the transaction ends.
pub async fn lock(
    tx: &mut Transaction<'_, Postgres>,
    account: &[u8],
    bucket: &str,
) -> sqlx::Result<Option<Failures>> {
    sqlx::query_as!(
        Failures,
        "select failures, blocked_until, failed_at from sign_in_failures where account = $1 and prefix = $2 for update",
        account,
        bucket
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Stores the failures of an account. False where somebody else counted the first one meanwhile and `is_first`.
pub async fn put(
    tx: &mut Transaction<'_, Postgres>,
    account: &[u8],
    bucket: &str,
    failures: Failures,
    is_first: bool,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
        "insert into sign_in_failures as f (account, prefix, failures, blocked_until, failed_at) values ($1, $2, $3, $4, $5)
         on conflict (account, prefix) do update
         set failures = excluded.failures, blocked_until = excluded.blocked_until, failed_at = excluded.failed_at
         where not $6",
        account,
        bucket,
        failures.failures,
        failures.blocked_until,
        failures.failed_at,
        is_first
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Forgets the failures of an account.
pub async fn clear(
    tx: &mut Transaction<'_, Postgres>,
    account: &[u8],
    bucket: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from sign_in_failures where account = $1 and prefix = $2",
        account,
        bucket
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Forgets the failures of an account from all addresses.
pub async fn clear_all(tx: &mut Transaction<'_, Postgres>, account: &[u8]) -> sqlx::Result<()> {
    sqlx::query!("delete from sign_in_failures where account = $1", account)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Notes where an account was signed in to.
pub async fn trust(
    tx: &mut Transaction<'_, Postgres>,
    account: &[u8],
    prefix: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into sign_in_successes as s (account, prefix, succeeded_at) values ($1, $2, $3)
         on conflict (account, prefix) do update set succeeded_at = greatest(s.succeeded_at, excluded.succeeded_at)",
        account,
        prefix,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Forgets failures before the one time, successes before the other, and counts of addresses before the third.
pub async fn forget(
    pool: &PgPool,
    failed_before: DateTime<Utc>,
    succeeded_before: DateTime<Utc>,
    counted_before: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!("delete from sign_in_failures where failed_at < $1", failed_before)
        .execute(pool)
        .await?;
    sqlx::query!("delete from sign_in_successes where succeeded_at < $1", succeeded_before)
        .execute(pool)
        .await?;
    sqlx::query!("delete from sign_in_addresses where window_started_at < $1", counted_before)
        .execute(pool)
        .await?;
    Ok(())
}
