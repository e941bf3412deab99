//! All SQL about people, teams and settings.

use sqlx::{PgConnection, PgPool};

use super::model::{Person, Settings, Visibility};
use crate::projection::store::note_form;

/// Keeps a person as of a version, unless a later one is known.
pub(crate) async fn upsert_person(
    tx: &mut PgConnection,
    person: &Person,
    version: i64,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into people as p (user_id, username, email, role, team_id, is_active, version)
         values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (user_id) do update
         set username = excluded.username, email = excluded.email, role = excluded.role, team_id = excluded.team_id,
             is_active = excluded.is_active, version = excluded.version
         where p.version < excluded.version",
        person.user_id,
        person.username,
        person.email,
        person.role,
        person.team_id,
        person.is_active,
        version
    )
    .execute(&mut *tx)
    .await?;
    note_form(tx).await
}

/// A team as an event tells of it.
pub(crate) struct Team<'a> {
    pub(crate) id: i64,
    pub(crate) name: &'a str,
    pub(crate) manager_id: Option<i64>,
    pub(crate) parent_id: Option<i64>,
    pub(crate) is_deleted: bool,
    pub(crate) version: i64,
}

/// Keeps a team as of a version, unless a later one is known.
pub(crate) async fn upsert_team(tx: &mut PgConnection, team: &Team<'_>) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into teams as t (team_id, name, manager_id, parent_id, is_deleted, version)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (team_id) do update
         set name = excluded.name, manager_id = excluded.manager_id, parent_id = excluded.parent_id,
             is_deleted = excluded.is_deleted, version = excluded.version
         where t.version < excluded.version",
        team.id,
        team.name,
        team.manager_id,
        team.parent_id,
        team.is_deleted,
        team.version
    )
    .execute(&mut *tx)
    .await?;
    note_form(tx).await
}

/// The teams that a person leads and those below them.
pub(crate) async fn teams_within_reach(pool: &PgPool, manager_id: i64) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"with recursive reach as (
             select team_id from teams where manager_id = $1 and not is_deleted
             union
             select t.team_id from teams t join reach r on t.parent_id = r.team_id where not t.is_deleted
           )
           select team_id as "team_id!" from reach"#,
        manager_id
    )
    .fetch_all(pool)
    .await
}

/// The settings, if they are known yet.
pub(crate) async fn settings(connection: &mut PgConnection) -> sqlx::Result<Option<Settings>> {
    let row = sqlx::query!(
        "select time_zone, default_currency, visibility, fiscal_year_start from settings"
    )
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let broken = |column: &'static str| sqlx::Error::Decode(column.into());
    let fiscal_year_start = u32::try_from(row.fiscal_year_start).ok();
    Ok(Some(Settings {
        zone: row.time_zone.parse().map_err(|_| broken("settings.time_zone"))?,
        default_currency: row.default_currency,
        visibility: Visibility::parse(&row.visibility)
            .ok_or_else(|| broken("settings.visibility"))?,
        fiscal_year_start: fiscal_year_start
            .filter(|month| (1..=12).contains(month))
            .ok_or_else(|| broken("settings.fiscal_year_start"))?,
    }))
}

/// The settings as identity tells of them.
pub(crate) struct SettingsRow<'a> {
    pub(crate) time_zone: &'a str,
    pub(crate) default_currency: &'a str,
    pub(crate) visibility: &'a str,
    pub(crate) fiscal_year_start: i32,
    pub(crate) version: i64,
}

/// Keeps the settings as of a version, unless a later one is known.
pub(crate) async fn upsert_settings(
    tx: &mut PgConnection,
    settings: &SettingsRow<'_>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into settings as s (id, time_zone, default_currency, visibility, fiscal_year_start, version)
         values (1, $1, $2, $3, $4, $5)
         on conflict (id) do update
         set time_zone = excluded.time_zone, default_currency = excluded.default_currency, visibility = excluded.visibility,
             fiscal_year_start = excluded.fiscal_year_start, version = excluded.version
         where s.version < excluded.version",
        settings.time_zone,
        settings.default_currency,
        settings.visibility,
        settings.fiscal_year_start,
        settings.version
    )
    .execute(&mut *tx)
    .await?;
    note_form(tx).await
}

/// Removes all people, teams and settings, to be told of them anew.
pub(crate) async fn clear(tx: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("delete from people").execute(&mut *tx).await?;
    sqlx::query!("delete from teams").execute(&mut *tx).await?;
    sqlx::query!("delete from settings").execute(tx).await?;
    Ok(())
}
