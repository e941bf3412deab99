//! Every statement about users.

use chrono::{DateTime, Utc};
use sqlx::{PgPool, Postgres, Transaction};

use super::model::{Language, NewUser, Role, User};

/// The user of that id.
pub async fn get(pool: &PgPool, id: i64) -> sqlx::Result<Option<User>> {
    sqlx::query_as!(
        User,
        r#"select id, email, username, role as "role: Role", team_id, language as "language: Language", time_zone, is_active, rights_version,
                  version, created_at, updated_at
           from users where id = $1"#,
        id
    )
    .fetch_optional(pool)
    .await
}

/// Users by id after that one, `count` at most.
pub async fn list(pool: &PgPool, after_id: i64, count: i64) -> sqlx::Result<Vec<User>> {
    sqlx::query_as!(
        User,
        r#"select id, email, username, role as "role: Role", team_id, language as "language: Language", time_zone, is_active, rights_version,
                  version, created_at, updated_at
           from users where id > $1 order by id limit $2"#,
        after_id,
        count
    )
    .fetch_all(pool)
    .await
}

/// Whether there is any user.
pub async fn any(tx: &mut Transaction<'_, Postgres>) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"select exists (select from users) as "any!""#).fetch_one(&mut **tx).await
}

/// Stores a new user. Violates `users_email_key` where the address is taken, `users_team_id_fkey` where there is no such team.
pub async fn insert(
    tx: &mut Transaction<'_, Postgres>,
    new: &NewUser,
    hashed_password: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<User> {
    sqlx::query_as!(
        User,
        r#"insert into users (email, folded_email, username, hashed_password, role, team_id, language, time_zone, is_active, rights_version,
                              version, created_at, updated_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8, true, 1, 1, $9, $9)
           returning id, email, username, role as "role: Role", team_id, language as "language: Language", time_zone, is_active,
                     rights_version, version, created_at, updated_at"#,
        new.email,
        new.folded_email,
        new.username,
        hashed_password,
        new.role as Role,
        new.team_id,
        new.language as Language,
        new.time_zone,
        now
    )
    .fetch_one(&mut **tx)
    .await
}

/// Waits until no other process makes the first user.
pub async fn lock_first(tx: &mut Transaction<'_, Postgres>, key: i64) -> sqlx::Result<()> {
    sqlx::query!(r#"select pg_advisory_xact_lock($1) as "locked: ()""#, key)
        .fetch_one(&mut **tx)
        .await?;
    Ok(())
}
