//! Every statement about authorization codes.

use chrono::{DateTime, Utc};
use sqlx::{PgPool, Postgres, Transaction};

use super::model::Code;
use crate::session::model::Method;

/// Keeps a new code by its hash.
pub async fn insert(
    tx: &mut Transaction<'_, Postgres>,
    code_hash: &[u8],
    code: &Code,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into authorization_codes (code_hash, client_id, user_id, redirect_uri, code_challenge, may_write, method, address, expires_at)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        code_hash,
        code.client_id,
        code.user_id,
        code.redirect_uri,
        code.code_challenge,
        code.may_write,
        code.method as Method,
        code.address,
        code.expires_at
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Who signed in for the code of that hash, if it is that client's.
pub async fn owner(
    tx: &mut Transaction<'_, Postgres>,
    code_hash: &[u8],
    client_id: i64,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!(
        "select user_id from authorization_codes where code_hash = $1 and client_id = $2",
        code_hash,
        client_id
    )
    .fetch_optional(&mut **tx)
    .await
}

/// The code of that hash, which nobody else may use until the transaction ends.
pub async fn lock(
    tx: &mut Transaction<'_, Postgres>,
    code_hash: &[u8],
) -> sqlx::Result<Option<Code>> {
    sqlx::query_as!(
        Code,
        r#"select client_id, user_id, redirect_uri, code_challenge, may_write, method as "method: Method", address, expires_at, session_id
           from authorization_codes where code_hash = $1 for update"#,
        code_hash
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Notes the session that a code gave.
pub async fn used(
    tx: &mut Transaction<'_, Postgres>,
    code_hash: &[u8],
    session_id: i64,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update authorization_codes set session_id = $2 where code_hash = $1",
        code_hash,
        session_id
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Takes the unused codes of a user back.
pub async fn withdraw_of_user(
    tx: &mut Transaction<'_, Postgres>,
    user_id: i64,
) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from authorization_codes where code_hash in (
             select code_hash from authorization_codes where user_id = $1 and session_id is null order by code_hash for update
         )",
        user_id
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Takes the unused codes of a client back.
pub async fn withdraw_of_client(
    tx: &mut Transaction<'_, Postgres>,
    client_id: i64,
) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from authorization_codes where code_hash in (
             select code_hash from authorization_codes where client_id = $1 and session_id is null order by code_hash for update
         )",
        client_id
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Forgets codes that expired before then.
pub async fn forget(pool: &PgPool, expired_before: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("delete from authorization_codes where expires_at < $1", expired_before)
        .execute(pool)
        .await?;
    Ok(())
}
