//! All SQL about who leads whom.

use sqlx::{PgConnection, PgPool};

/// A team within a manager's reach.
pub(super) struct Led {
    pub(super) team_id: i64,
    /// Whether they lead it themselves, rather than a team above it.
    pub(super) directly: bool,
}

/// The teams that a person leads, and those below them.
pub(super) async fn teams_within_reach(pool: &PgPool, manager_id: i64) -> sqlx::Result<Vec<Led>> {
    sqlx::query_as!(
        Led,
        r#"with recursive reach as (
             select team_id, manager_id from teams where manager_id = $1 and not is_deleted
             union
             select t.team_id, t.manager_id from teams t join reach r on t.parent_id = r.team_id where not t.is_deleted
           )
           select team_id as "team_id!", manager_id is not distinct from $1 as "directly!" from reach"#,
        manager_id
    )
    .fetch_all(pool)
    .await
}

/// A person, and how they stand to a team.
pub(super) struct Member {
    pub(super) user_id: i64,
    pub(super) username: String,
    pub(super) role: String,
    pub(super) team_id: Option<i64>,
    /// Whether they lead that team.
    pub(super) leads: bool,
    /// Whether they lead a team above it.
    pub(super) leads_above: bool,
}

/// The longest page of active people by id after one, and one more, and how they stand to a team.
pub(super) async fn active_people(
    pool: &PgPool,
    team_id: Option<i64>,
    after_id: i64,
) -> sqlx::Result<Vec<Member>> {
    sqlx::query_as!(
        Member,
        r#"with recursive above as (
             select team_id, manager_id, parent_id from teams where team_id = $1 and not is_deleted
             union
             select t.team_id, t.manager_id, t.parent_id from teams t join above a on t.team_id = a.parent_id where not t.is_deleted
           )
           select user_id, username, role, team_id,
                  exists (select from above a where a.manager_id = p.user_id and a.team_id = $1) as "leads!",
                  exists (select from above a where a.manager_id = p.user_id and a.team_id <> $1) as "leads_above!"
           from people p
           where is_active and user_id > $2
           order by user_id limit 201"#,
        team_id,
        after_id
    )
    .fetch_all(pool)
    .await
}

/// Those of some people who are known, how they stand to a team, and whether they are active.
pub(super) async fn people(
    tx: &mut PgConnection,
    team_id: Option<i64>,
    user_ids: &[i64],
) -> sqlx::Result<Vec<(Member, bool)>> {
    let rows = sqlx::query!(
        r#"with recursive above as (
             select team_id, manager_id, parent_id from teams where team_id = $1 and not is_deleted
             union
             select t.team_id, t.manager_id, t.parent_id from teams t join above a on t.team_id = a.parent_id where not t.is_deleted
           )
           select user_id, username, role, team_id, is_active,
                  exists (select from above a where a.manager_id = p.user_id and a.team_id = $1) as "leads!",
                  exists (select from above a where a.manager_id = p.user_id and a.team_id <> $1) as "leads_above!"
           from people p
           where user_id = any($2)"#,
        team_id,
        user_ids
    )
    .fetch_all(tx)
    .await?;
    let people = rows.into_iter().map(|row| {
        let member = Member {
            user_id: row.user_id,
            username: row.username,
            role: row.role,
            team_id: row.team_id,
            leads: row.leads,
            leads_above: row.leads_above,
        };
        (member, row.is_active)
    });
    Ok(people.collect())
}
