//! Every statement about teams.

use chrono::{DateTime, Utc};
use sqlx::{PgPool, Postgres, Transaction};

use super::model::{NewTeam, Team};

/// Whether there is a team of that id.
pub async fn exists(pool: &PgPool, id: i64) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from teams where id = $1 and deleted_at is null) as "exists!""#,
        id
    )
    .fetch_one(pool)
    .await
}

/// Teams by id after that one, `count` at most.
pub async fn list(pool: &PgPool, after_id: i64, count: i64) -> sqlx::Result<Vec<Team>> {
    sqlx::query_as!(
        Team,
        "select id, name, manager_id, parent_id, version, deleted_at from teams where id > $1 and deleted_at is null order by id limit $2",
        after_id,
        count
    )
    .fetch_all(pool)
    .await
}

/// Stores a new team. Violates `teams_manager_id_fkey` or `teams_parent_id_fkey` where there is no such user or team.
pub async fn insert(
    tx: &mut Transaction<'_, Postgres>,
    new: &NewTeam,
    now: DateTime<Utc>,
) -> sqlx::Result<Team> {
    sqlx::query_as!(
        Team,
        "insert into teams (name, manager_id, parent_id, version, created_at, updated_at) values ($1, $2, $3, 1, $4, $4)
         returning id, name, manager_id, parent_id, version, deleted_at",
        new.name,
        new.manager_id,
        new.parent_id,
        now
    )
    .fetch_one(&mut **tx)
    .await
}

/// A team, which nobody else may change until the transaction ends.
pub async fn lock(tx: &mut Transaction<'_, Postgres>, id: i64) -> sqlx::Result<Option<Team>> {
    sqlx::query_as!(
        Team,
        "select id, name, manager_id, parent_id, version, deleted_at from teams where id = $1 and deleted_at is null for update",
        id
    )
    .fetch_optional(&mut **tx)
    .await
}

/// Stores a team's manager and its next version. Violates `teams_manager_id_fkey` where there is no such user.
pub async fn set_manager(
    tx: &mut Transaction<'_, Postgres>,
    team: &Team,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update teams set manager_id = $2, version = $3, updated_at = $4 where id = $1",
        team.id,
        team.manager_id,
        team.version,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
