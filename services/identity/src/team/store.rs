//! Every statement about teams.

use chrono::{DateTime, Utc};
use sqlx::{PgPool, Postgres, Transaction};

use super::model::{NewTeam, Team};
use crate::page::Page;

/// Whether there is a team of that id.
pub async fn exists(pool: &PgPool, id: i64) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from teams where id = $1 and deleted_at is null) as "exists!""#,
        id
    )
    .fetch_one(pool)
    .await
}

/// The team of that id.
pub async fn get(pool: &PgPool, id: i64) -> sqlx::Result<Option<Team>> {
    sqlx::query_as!(
        Team,
        "select id, name, manager_id, parent_id, version, created_at, deleted_at from teams where id = $1 and deleted_at is null",
        id
    )
    .fetch_optional(pool)
    .await
}

/// A page of teams, the newest first.
pub async fn list(pool: &PgPool, page: Page) -> sqlx::Result<Vec<Team>> {
    sqlx::query_as!(
        Team,
        "select id, name, manager_id, parent_id, version, created_at, deleted_at from teams
         where deleted_at is null and (created_at, id) < ($1, $2) order by created_at desc, id desc limit $3",
        page.before.0,
        page.before.1,
        page.count()
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
         returning id, name, manager_id, parent_id, version, created_at, deleted_at",
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
        "select id, name, manager_id, parent_id, version, created_at, deleted_at from teams where id = $1 and deleted_at is null for update",
        id
    )
    .fetch_optional(&mut **tx)
    .await
}

/// The teams right below one, which nobody else may change until the transaction ends.
pub async fn lock_below(
    tx: &mut Transaction<'_, Postgres>,
    parent_id: i64,
) -> sqlx::Result<Vec<Team>> {
    sqlx::query_as!(
        Team,
        "select id, name, manager_id, parent_id, version, created_at, deleted_at from teams
         where parent_id = $1 and deleted_at is null order by id for update",
        parent_id
    )
    .fetch_all(&mut **tx)
    .await
}

/// A team and all below it, by id.
pub async fn with_those_below(
    tx: &mut Transaction<'_, Postgres>,
    id: i64,
) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"with recursive below as (
             select id from teams where id = $1
             union
             select teams.id from teams join below on teams.parent_id = below.id where teams.deleted_at is null
           )
           select id as "id!" from below"#,
        id
    )
    .fetch_all(&mut **tx)
    .await
}

/// Stores what is other about a team. Violates `teams_manager_id_fkey` where there is no such user.
pub async fn update(
    tx: &mut Transaction<'_, Postgres>,
    team: &Team,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update teams set name = $2, manager_id = $3, parent_id = $4, version = $5, deleted_at = $6, updated_at = $7 where id = $1",
        team.id,
        team.name,
        team.manager_id,
        team.parent_id,
        team.version,
        team.deleted_at,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
