//! Every statement about refresh tokens and whom a sign-in concerns.

use chrono::{DateTime, Utc};
use sqlx::{PgPool, Postgres, Transaction};

use super::model::{RefreshToken, Session, hash};
use crate::{session::model::Session as OwnSession, user::model::Role};

/// What a sign-in needs to know of a user.
#[derive(Clone, Debug)]
pub struct Account {
    /// The user.
    pub user_id: i64,
    /// argon2id, as a PHC string; none where they never set one.
    pub hashed_password: Option<String>,
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

/// A new session.
#[derive(Clone, Debug)]
pub struct New<'a> {
    /// Who signed in.
    pub user_id: i64,
    /// How.
    pub method: &'a str,
    /// From where, if known.
    pub address: Option<String>,
    /// For which program, if for one.
    pub client_id: Option<i64>,
    /// Whether its tokens may be for changing too.
    pub may_write: bool,
    /// Hash of the secret that its tokens have in common.
    pub family_hash: &'a [u8],
    /// Hash of the secret that the first has alone.
    pub secret_hash: &'a [u8],
    /// When it is over unless it is refreshed before.
    pub expires_at: DateTime<Utc>,
}

/// Opens a session.
pub async fn open(
    tx: &mut Transaction<'_, Postgres>,
    new: &New<'_>,
    now: DateTime<Utc>,
) -> sqlx::Result<OwnSession> {
    sqlx::query_as!(
        OwnSession,
        "insert into sessions (user_id, method, address, generation, family_hash, secret_hash, created_at, refreshed_at, expires_at, version, client_id, may_write)
         values ($1, $2, $3, 1, $4, $5, $6, $6, $7, 1, $8, $9)
         returning id, user_id, method, address, created_at, refreshed_at, expires_at, ended_at, end_reason, version,
                   (select name from clients c where c.id = sessions.client_id) as client",
        new.user_id,
        new.method,
        new.address,
        new.family_hash,
        new.secret_hash,
        now,
        new.expires_at,
        new.client_id,
        new.may_write
    )
    .fetch_one(&mut **tx)
    .await
}

/// A session as it is for the moment.
pub async fn find(tx: &mut Transaction<'_, Postgres>, id: i64) -> sqlx::Result<Option<Session>> {
    sqlx::query_as!(
        Session,
        "select id, user_id, client_id, may_write, generation, family_hash, secret_hash, created_at, expires_at, ended_at, previous_generation,
                previous_secret_hash, rotated_at
         from sessions where id = $1",
        id
    )
    .fetch_optional(&mut **tx)
    .await
}

/// A session, which nobody else may refresh or end until the transaction ends.
pub async fn lock(tx: &mut Transaction<'_, Postgres>, id: i64) -> sqlx::Result<Option<Session>> {
    sqlx::query_as!(
        Session,
        "select id, user_id, client_id, may_write, generation, family_hash, secret_hash, created_at, expires_at, ended_at, previous_generation,
                previous_secret_hash, rotated_at
         from sessions where id = $1 for update",
        id
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Makes that token the session's latest, given for the previous one.
pub async fn rotate(
    tx: &mut Transaction<'_, Postgres>,
    token: &RefreshToken,
    previous: &RefreshToken,
    first_at: DateTime<Utc>,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update sessions set generation = $2, secret_hash = $3, previous_generation = $4, previous_secret_hash = $5, rotated_at = $6,
                             refreshed_at = $7, expires_at = $8
         where id = $1",
        token.session_id,
        token.generation,
        hash(&token.secret),
        previous.generation,
        hash(&previous.secret),
        first_at,
        now,
        expires_at
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
