//! What this service knows of identity's records: people, teams and the organisation's settings.

pub mod model;
pub(crate) mod store;

use rpc::Error;
use sqlx::PgPool;

use model::{Person, Settings, Sight, Visibility};

/// A person by id, asked of identity when no event has told of them yet.
pub(crate) async fn person(state: &crate::State, user_id: i64) -> Result<Option<Person>, Error> {
    if let Some(person) = store::person(&state.reads, user_id).await? {
        return Ok(Some(person));
    }
    let Some((person, version)) = state.identity.user(user_id).await? else { return Ok(None) };
    let pool = state.writes.clone();
    let known = person.clone();
    rpc::write(async move {
        store::upsert_person(&mut *pool.acquire().await?, &known, version).await?;
        Ok::<_, Error>(())
    })
    .await?;
    Ok(Some(person))
}

/// What a caller may read, by the organisation's setting: their own, their team's, or everyone's.
pub(crate) async fn sight(
    pool: &PgPool,
    caller: &auth::Caller,
    settings: &Settings,
) -> Result<Sight, Error> {
    use auth::Role;
    Ok(match (caller.role, settings.visibility) {
        (Role::Admin | Role::Service, _) | (_, Visibility::Everyone) => Sight::All,
        (Role::Manager, visibility) => {
            let mut teams = store::teams_within_reach(pool, caller.user_id).await?;
            if visibility == Visibility::Team {
                teams.extend(caller.team_id);
            }
            Sight::Of { owner_id: caller.user_id, team_ids: teams }
        }
        (_, Visibility::Team) => {
            Sight::Of { owner_id: caller.user_id, team_ids: caller.team_id.into_iter().collect() }
        }
        (_, Visibility::Owner) => Sight::Of { owner_id: caller.user_id, team_ids: Vec::new() },
    })
}

/// What a caller may change: nothing, their own, their teams', or everyone's.
pub(crate) async fn reach(pool: &PgPool, caller: &auth::Caller) -> Result<Sight, Error> {
    use auth::Role;
    if caller.require_write().is_err() {
        return Ok(Sight::Nothing);
    }
    Ok(match caller.role {
        Role::Admin => Sight::All,
        Role::Manager => Sight::Of {
            owner_id: caller.user_id,
            team_ids: store::teams_within_reach(pool, caller.user_id).await?,
        },
        Role::Rep => Sight::Of { owner_id: caller.user_id, team_ids: Vec::new() },
        Role::Viewer | Role::Service => Sight::Nothing,
    })
}
