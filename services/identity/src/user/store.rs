//! Every statement about users.

use chrono::{DateTime, Utc};
use sqlx::{PgExecutor, PgPool, Postgres, Transaction};

use super::model::{Language, NewUser, Role, User, fold_email};
use crate::page::Page;

/// The user of that id.
pub async fn get(db: impl PgExecutor<'_>, id: i64) -> sqlx::Result<Option<User>> {
    sqlx::query_as!(
        User,
        r#"select id, email, username, role as "role: Role", team_id, language as "language: Language", time_zone, is_active, has_second_factor,
                  rights_version, version, created_at, updated_at
           from users where id = $1"#,
        id
    )
    .fetch_optional(db)
    .await
}

/// The user of a folded address.
pub async fn id_of(
    tx: &mut Transaction<'_, Postgres>,
    folded_email: &str,
) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar!("select id from users where folded_email = $1", folded_email)
        .fetch_optional(&mut **tx)
        .await
}

/// A user, whom nobody else may change until the transaction ends.
pub async fn lock(tx: &mut Transaction<'_, Postgres>, id: i64) -> sqlx::Result<Option<User>> {
    sqlx::query_as!(
        User,
        r#"select id, email, username, role as "role: Role", team_id, language as "language: Language", time_zone, is_active, has_second_factor,
                  rights_version, version, created_at, updated_at
           from users where id = $1 for update"#,
        id
    )
    .fetch_optional(&mut **tx)
    .await
}

/// The members of a team, whom nobody else may change until the transaction ends.
pub async fn lock_members(
    tx: &mut Transaction<'_, Postgres>,
    team_id: i64,
) -> sqlx::Result<Vec<User>> {
    sqlx::query_as!(
        User,
        r#"select id, email, username, role as "role: Role", team_id, language as "language: Language", time_zone, is_active, has_second_factor,
                  rights_version, version, created_at, updated_at
           from users where team_id = $1 order by id for update"#,
        team_id
    )
    .fetch_all(&mut **tx)
    .await
}

/// A page of users, the newest first.
pub async fn list(pool: &PgPool, page: Page) -> sqlx::Result<Vec<User>> {
    sqlx::query_as!(
        User,
        r#"select id, email, username, role as "role: Role", team_id, language as "language: Language", time_zone, is_active, has_second_factor,
                  rights_version, version, created_at, updated_at
           from users where (created_at, id) < ($1, $2) order by created_at desc, id desc limit $3"#,
        page.before.0,
        page.before.1,
        page.count()
    )
    .fetch_all(pool)
    .await
}

/// Stores what is other about a user. Violates `users_email_key` where the address is taken, `users_team_id_fkey` where there is no such team.
pub async fn update(tx: &mut Transaction<'_, Postgres>, user: &User) -> sqlx::Result<()> {
    sqlx::query!(
        "update users set email = $2, folded_email = $3, username = $4, role = $5, team_id = $6, language = $7, time_zone = $8, is_active = $9,
                          rights_version = $10, version = $11, updated_at = $12, has_second_factor = $13
         where id = $1",
        user.id,
        user.email,
        fold_email(&user.email),
        user.username,
        user.role as Role,
        user.team_id,
        user.language as Language,
        user.time_zone,
        user.is_active,
        user.rights_version,
        user.version,
        user.updated_at,
        user.has_second_factor
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Whether another than this user is an active administrator.
pub async fn other_admin(tx: &mut Transaction<'_, Postgres>, id: i64) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from users where role = 'admin' and is_active and id <> $1) as "any!""#,
        id
    )
    .fetch_one(&mut **tx)
    .await
}

/// The hash of a user's password, if they have one.
pub async fn hashed_password(db: impl PgExecutor<'_>, id: i64) -> sqlx::Result<Option<String>> {
    let hashed = sqlx::query_scalar!("select hashed_password from users where id = $1", id)
        .fetch_optional(db)
        .await?;
    Ok(hashed.flatten())
}

/// Stores a password's hash.
pub async fn set_password(
    tx: &mut Transaction<'_, Postgres>,
    id: i64,
    hashed_password: &str,
) -> sqlx::Result<()> {
    sqlx::query!("update users set hashed_password = $2 where id = $1", id, hashed_password)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Whether there is any user.
pub async fn any(db: impl PgExecutor<'_>) -> sqlx::Result<bool> {
    sqlx::query_scalar!(r#"select exists (select from users) as "any!""#).fetch_one(db).await
}

/// Stores a new user. Violates `users_email_key` where the address is taken, `users_team_id_fkey` where there is no such team.
pub async fn insert(
    tx: &mut Transaction<'_, Postgres>,
    new: &NewUser,
    hashed_password: Option<&str>,
    now: DateTime<Utc>,
) -> sqlx::Result<User> {
    sqlx::query_as!(
        User,
        r#"insert into users (email, folded_email, username, hashed_password, role, team_id, language, time_zone, is_active, rights_version,
                              version, created_at, updated_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $10, 1, 1, $9, $9)
           returning id, email, username, role as "role: Role", team_id, language as "language: Language", time_zone, is_active, has_second_factor,
                     rights_version, version, created_at, updated_at"#,
        new.email,
        new.folded_email,
        new.username,
        hashed_password,
        new.role as Role,
        new.team_id,
        new.language as Language,
        new.time_zone,
        now,
        new.is_active
    )
    .fetch_one(&mut **tx)
    .await
}

/// Waits until nobody else does what has this key, and keeps others waiting until the transaction ends.
pub async fn take_turn(tx: &mut Transaction<'_, Postgres>, key: i64) -> sqlx::Result<()> {
    sqlx::query!(r#"select pg_advisory_xact_lock($1) as "locked: ()""#, key)
        .fetch_one(&mut **tx)
        .await?;
    Ok(())
}
