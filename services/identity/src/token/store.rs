//! Every statement about sessions, and the one about whom a sign-in concerns.

use chrono::{DateTime, Utc};
use sqlx::{PgPool, Postgres, Transaction};

use super::model::{RefreshToken, Session, hash};
use crate::user::model::Role;

/// What a sign-in needs to know of a user.
#[derive(Clone, Debug)]
pub struct Account {
    /// The user.
    pub user_id: i64,
    /// argon2id, as a PHC string.
    pub hashed_password: String,
    /// What they may do.
    pub role: Role,
    /// Their team.
    pub team_id: Option<i64>,
    /// Rises with every change of what they may do.
    pub rights_version: i64,
    /// Whether they may sign in.
    pub is_active: bool,
}

/// The account of a folded address.
pub async fn account_of(pool: &PgPool, folded_email: &str) -> sqlx::Result<Option<Account>> {
    sqlx::query_as!(
        Account,
        r#"select id as user_id, hashed_password, role as "role: Role", team_id, rights_version, is_active from users where folded_email = $1"#,
        folded_email
    )
    .fetch_optional(pool)
    .await
}

/// The account of a user, kept as it is until the transaction ends.
pub async fn account(tx: &mut Transaction<'_, Postgres>, user_id: i64) -> sqlx::Result<Account> {
    sqlx::query_as!(
        Account,
        r#"select id as user_id, hashed_password, role as "role: Role", team_id, rights_version, is_active from users where id = $1 for share"#,
        user_id
    )
    .fetch_one(&mut **tx)
    .await
}

/// Keeps a password's new hash, unless the password was changed meanwhile.
pub async fn rehash(
    tx: &mut Transaction<'_, Postgres>,
    user_id: i64,
    old: &str,
    new: &str,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update users set hashed_password = $3 where id = $1 and hashed_password = $2",
        user_id,
        old,
        new
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Opens a session with its first token's secrets and answers its id.
pub async fn open(
    tx: &mut Transaction<'_, Postgres>,
    user_id: i64,
    family_hash: &[u8],
    secret_hash: &[u8],
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        "insert into sessions (user_id, generation, family_hash, secret_hash, created_at, refreshed_at, expires_at)
         values ($1, 1, $2, $3, $4, $4, $5) returning id",
        user_id,
        family_hash,
        secret_hash,
        now,
        expires_at
    )
    .fetch_one(&mut **tx)
    .await
}

/// A session, which nobody else may refresh or end until the transaction ends.
pub async fn lock(tx: &mut Transaction<'_, Postgres>, id: i64) -> sqlx::Result<Option<Session>> {
    sqlx::query_as!(
        Session,
        "select id, user_id, generation, family_hash, secret_hash, created_at, expires_at, ended_at from sessions where id = $1 for update",
        id
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Makes that token the session's latest.
pub async fn rotate(
    tx: &mut Transaction<'_, Postgres>,
    token: &RefreshToken,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update sessions set generation = $2, secret_hash = $3, refreshed_at = $4, expires_at = $5 where id = $1",
        token.session_id,
        token.generation,
        hash(&token.secret),
        now,
        expires_at
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Ends a session for good.
pub async fn end(
    tx: &mut Transaction<'_, Postgres>,
    id: i64,
    reason: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update sessions set ended_at = $3, end_reason = $2 where id = $1 and ended_at is null",
        id,
        reason,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
