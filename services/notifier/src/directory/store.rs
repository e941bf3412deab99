//! Every statement about people and teams, and about how far they are known.

use sqlx::PgConnection;

use super::model::{Person, Team};

/// Keeps a person as they are in the newest version told. The same version told again is kept again: who kept it before may not have known of all that
/// it says.
pub async fn put_person(tx: &mut PgConnection, person: &Person) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into people (user_id, username, email, language, role, is_active, version) values ($1, $2, $3, $4, $5, $6, $7)
         on conflict (user_id) do update
         set username = excluded.username, email = excluded.email, language = excluded.language, role = excluded.role,
             is_active = excluded.is_active, version = excluded.version
         where people.version <= excluded.version",
        person.user_id,
        person.username,
        person.email,
        person.language,
        person.role,
        person.is_active,
        person.version
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Keeps a team as it is in the newest version told.
pub async fn put_team(tx: &mut PgConnection, team: &Team) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into teams (team_id, manager_id, is_deleted, version) values ($1, $2, $3, $4)
         on conflict (team_id) do update
         set manager_id = excluded.manager_id, is_deleted = excluded.is_deleted, version = excluded.version
         where teams.version < excluded.version",
        team.team_id,
        team.manager_id,
        team.is_deleted,
        team.version
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Those of the users who are known. Whose role was not told yet is taken as who sees the least.
pub async fn people(tx: &mut PgConnection, user_ids: &[i64]) -> sqlx::Result<Vec<Person>> {
    sqlx::query_as!(
        Person,
        r#"select user_id, username, email, language, coalesce(role, 'viewer') as "role!", is_active, version from people where user_id = any($1)"#,
        user_ids
    )
    .fetch_all(tx)
    .await
}

/// Who leads that team, if it is known and anyone does.
pub async fn manager_of(tx: &mut PgConnection, team_id: i64) -> sqlx::Result<Option<i64>> {
    let row =
        sqlx::query!("select manager_id from teams where team_id = $1 and not is_deleted", team_id)
            .fetch_optional(tx)
            .await?;
    Ok(row.and_then(|row| row.manager_id))
}

/// Up to where the consumer of that name has applied identity's events.
pub async fn position(tx: &mut PgConnection, consumer: &str) -> sqlx::Result<i64> {
    let position = sqlx::query_scalar!(
        "select position from inbox where consumer = $1 and source = 'identity'",
        consumer
    )
    .fetch_optional(tx)
    .await?;
    Ok(position.unwrap_or_default())
}
