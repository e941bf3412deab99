//! All SQL about people, teams and settings.

use sqlx::{PgConnection, PgPool};

use super::model::{Person, Settings, Visibility};

/// A person, if an event has told of them.
pub(crate) async fn person(pool: &PgPool, user_id: i64) -> sqlx::Result<Option<Person>> {
    sqlx::query_as!(
        Person,
        "select user_id, username, email, role, team_id, is_active from people where user_id = $1",
        user_id
    )
    .fetch_optional(pool)
    .await
}

/// Those of these people of whom an event has told.
pub(super) async fn people(pool: &PgPool, user_ids: &[i64]) -> sqlx::Result<Vec<Person>> {
    sqlx::query_as!(
        Person,
        "select user_id, username, email, role, team_id, is_active from people where user_id = any($1)",
        user_ids
    )
    .fetch_all(pool)
    .await
}

/// Keeps a person as of a version, unless that or a later one is known; whether it was news. Either way the row is locked until the end of this
/// transaction.
pub(crate) async fn upsert_person(
    tx: &mut PgConnection,
    person: &Person,
    version: i64,
) -> sqlx::Result<bool> {
    let done = sqlx::query!(
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
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The team of a person who is known, which stays theirs until the end of this transaction. Comes before any lock of an opportunity, as in a change of
/// team.
pub(crate) async fn hold_team(
    tx: &mut PgConnection,
    user_id: i64,
) -> sqlx::Result<Option<Option<i64>>> {
    sqlx::query_scalar!("select team_id from people where user_id = $1 for share", user_id)
        .fetch_optional(tx)
        .await
}

/// The teams of people who are known, which stay theirs until the end of this transaction; held in the order of their ids.
pub(crate) async fn hold_teams(
    tx: &mut PgConnection,
    user_ids: &[i64],
) -> sqlx::Result<Vec<(i64, Option<i64>)>> {
    let rows = sqlx::query!(
        "select user_id, team_id from people where user_id = any($1) order by user_id for share",
        user_ids
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.user_id, row.team_id)).collect())
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
    .execute(tx)
    .await?;
    Ok(())
}

/// The settings, if they are known yet.
pub(crate) async fn settings(pool: &PgPool) -> sqlx::Result<Option<Settings>> {
    let Some(row) = sqlx::query!(
        "select time_zone, default_currency, visibility, currency_fixed from settings"
    )
    .fetch_optional(pool)
    .await?
    else {
        return Ok(None);
    };
    let broken = |column: &'static str| sqlx::Error::Decode(column.into());
    Ok(Some(Settings {
        zone: row.time_zone.parse().map_err(|_| broken("settings.time_zone"))?,
        default_currency: row.default_currency,
        currency_fixed: row.currency_fixed,
        visibility: Visibility::parse(&row.visibility)
            .ok_or_else(|| broken("settings.visibility"))?,
    }))
}

/// The settings as identity tells of them.
pub(crate) struct SettingsRow<'a> {
    pub(crate) time_zone: &'a str,
    pub(crate) default_currency: &'a str,
    pub(crate) visibility: &'a str,
    pub(crate) fiscal_year_start: i32,
    pub(crate) version: i64,
    pub(crate) currency_fixed: bool,
}

/// Keeps the settings as of a version, unless a later one is known.
pub(crate) async fn upsert_settings(
    tx: &mut PgConnection,
    settings: &SettingsRow<'_>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into settings as s (id, time_zone, default_currency, visibility, fiscal_year_start, version, currency_fixed)
         values (1, $1, $2, $3, $4, $5, $6)
         on conflict (id) do update
         set time_zone = excluded.time_zone, default_currency = excluded.default_currency, visibility = excluded.visibility,
             fiscal_year_start = excluded.fiscal_year_start, version = excluded.version, currency_fixed = excluded.currency_fixed
         where s.version < excluded.version or (s.version = excluded.version and s.currency_fixed < excluded.currency_fixed)",
        settings.time_zone,
        settings.default_currency,
        settings.visibility,
        settings.fiscal_year_start,
        settings.version,
        settings.currency_fixed
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The people of these addresses, in lower case.
pub(crate) async fn of_addresses(
    pool: &PgPool,
    emails: &[String],
) -> sqlx::Result<Vec<(i64, Person)>> {
    let people = sqlx::query_as!(
        Person,
        "select user_id, username, email, role, team_id, is_active from people where lower(email) = any($1)",
        emails
    );
    Ok(people.fetch_all(pool).await?.into_iter().map(|it| (it.user_id, it)).collect())
}

/// Those who sell, as id and team.
pub(crate) async fn sellers(pool: &PgPool) -> sqlx::Result<Vec<(i64, Option<i64>)>> {
    let rows = sqlx::query!(
        "select user_id, team_id from people where role = 'rep' and is_active order by user_id"
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.user_id, row.team_id)).collect())
}
