//! Every statement about API keys.

use chrono::{DateTime, Utc};
use sqlx::{PgPool, Postgres, Transaction};

use super::model::{ApiKey, Known, NewKey, noted_before};
use crate::{page::Page, token::store::Account, user::model::Role};

/// A user's keys that were not revoked, the newest first.
pub async fn list(pool: &PgPool, user_id: i64, page: Page) -> sqlx::Result<Vec<ApiKey>> {
    sqlx::query_as!(
        ApiKey,
        "select id, user_id, name, can_write, created_at, expires_at, revoked_at, last_used_at, version
         from api_keys
         where user_id = $1 and revoked_at is null and (created_at, id) < ($2, $3)
         order by created_at desc, id desc limit $4",
        user_id,
        page.before.0,
        page.before.1,
        page.count()
    )
    .fetch_all(pool)
    .await
}

/// How many keys of a user are good.
pub async fn count(
    tx: &mut Transaction<'_, Postgres>,
    user_id: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from api_keys where user_id = $1 and revoked_at is null and (expires_at is null or expires_at > $2)"#,
        user_id,
        now
    )
    .fetch_one(&mut **tx)
    .await
}

/// The id of a key that is to be made: nothing else that stands for a session has it.
pub async fn next_id(tx: &mut Transaction<'_, Postgres>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(r#"select nextval('sessions_id_seq') as "id!""#).fetch_one(&mut **tx).await
}

/// Stores a new key.
pub async fn insert(
    tx: &mut Transaction<'_, Postgres>,
    (id, user_id): (i64, i64),
    new: &NewKey,
    key_hash: &[u8],
    now: DateTime<Utc>,
) -> sqlx::Result<ApiKey> {
    sqlx::query_as!(
        ApiKey,
        "insert into api_keys (id, user_id, name, key_hash, can_write, created_at, expires_at, version)
         values ($1, $2, $3, $4, $5, $6, $7, 1)
         returning id, user_id, name, can_write, created_at, expires_at, revoked_at, last_used_at, version",
        id,
        user_id,
        new.name,
        key_hash,
        new.can_write,
        now,
        new.expires_at
    )
    .fetch_one(&mut **tx)
    .await
}

/// A key that was not revoked, which nobody else may revoke until the transaction ends.
pub async fn lock(tx: &mut Transaction<'_, Postgres>, id: i64) -> sqlx::Result<Option<ApiKey>> {
    sqlx::query_as!(
        ApiKey,
        "select id, user_id, name, can_write, created_at, expires_at, revoked_at, last_used_at, version
         from api_keys where id = $1 and revoked_at is null for update",
        id
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Notes that a key is no longer good.
pub async fn revoke(tx: &mut Transaction<'_, Postgres>, key: &ApiKey) -> sqlx::Result<()> {
    sqlx::query!(
        "update api_keys set revoked_at = $2, version = $3 where id = $1",
        key.id,
        key.revoked_at,
        key.version
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What has to be known of the key of that id when somebody shows one.
pub async fn known(pool: &PgPool, id: i64) -> sqlx::Result<Option<Known>> {
    let row = sqlx::query!(
        r#"select k.key_hash, k.can_write, k.expires_at, k.revoked_at, k.last_used_at,
                  u.id as user_id, u.role as "role: Role", u.team_id, u.rights_version, u.is_active
           from api_keys as k join users as u on u.id = k.user_id where k.id = $1"#,
        id
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Known {
        key_hash: row.key_hash,
        can_write: row.can_write,
        expires_at: row.expires_at,
        revoked_at: row.revoked_at,
        last_used_at: row.last_used_at,
        owner: Account {
            user_id: row.user_id,
            hashed_password: None,
            role: row.role,
            team_id: row.team_id,
            rights_version: row.rights_version,
            is_active: row.is_active,
        },
    }))
}

/// Writes down that a key was used, unless that was done not long ago.
pub async fn note_use(
    tx: &mut Transaction<'_, Postgres>,
    id: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update api_keys set last_used_at = $2 where id = $1 and (last_used_at is null or last_used_at <= $3)",
        id,
        now,
        noted_before(now)
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Forgets keys that were revoked or had expired before then.
pub async fn forget(pool: &PgPool, over_before: DateTime<Utc>) -> sqlx::Result<()> {
    sqlx::query!("delete from api_keys where revoked_at < $1 or expires_at < $1", over_before)
        .execute(pool)
        .await?;
    Ok(())
}
