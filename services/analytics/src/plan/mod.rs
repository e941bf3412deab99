//! What people plan rather than sell: for whom and for which period, and who may see and set it.

mod listing;
pub mod model;
pub(crate) mod store;

use auth::{Caller, Role};
use rpc::{Error, Invalid};

use crate::State;
use crate::directory::store as directory;
use crate::visibility::{self, Sight};
pub use listing::Listing;
pub(crate) use listing::Wanted;
use model::{Rights, Subject};

/// What a caller may see of plans, and whose they may set.
pub(crate) async fn rights(state: &State, caller: &Caller) -> Result<Rights, Error> {
    let settings = state.settings.get()?;
    let sight = visibility::sight(&state.reads, caller, &settings).await?;
    let sets = match caller.role {
        Role::Admin => Sight::All,
        Role::Manager => {
            let team_ids = directory::teams_within_reach(&state.reads, caller.user_id).await?;
            // Nobody's own by itself: a manager's target is theirs to set where they are in a team that they lead.
            Sight::Of { owner_id: NOBODY, team_ids }
        }
        Role::Rep | Role::Viewer | Role::Service => Sight::Nothing,
    };
    Ok(Rights { sight, own_team: caller.team_id, sets })
}

/// No person has this id.
const NOBODY: i64 = -1;

/// Fails unless the caller may set anybody's plans at all.
pub(crate) fn require_planner(caller: &Caller) -> Result<(), Error> {
    caller.require_write()?;
    caller.require_role(&[Role::Admin, Role::Manager])
}

/// Whether somebody who expects a version finds another; 0 stands for whichever there is.
pub(crate) fn is_stale(expected: Option<i64>, current: Option<i64>) -> bool {
    match expected {
        None => false,
        Some(0) => current.is_none(),
        expected => current != expected,
    }
}

/// What is told to who may set plans, and not these.
pub(crate) fn beyond_reach() -> Error {
    Error::denied("this is not within your reach")
}

/// The team by which a subject is in reach: a person's own, a team itself. Notes who is nobody; whom no event has told of yet identity is asked for.
pub(crate) async fn team_of(
    state: &State,
    subject: Subject,
    invalid: &mut Invalid,
) -> Result<Option<i64>, Error> {
    match subject {
        Subject::Organisation => Ok(None),
        Subject::Owner(id) => {
            if store::member(&state.reads, id).await?.is_none() {
                state.identity.fetch_person(&state.writes, id).await?;
            }
            let known = store::member(&state.reads, id).await?;
            if known.is_none() {
                invalid.add("owner_id", "not_found", "is no user");
            }
            Ok(known.and_then(|it| it.team_id))
        }
        Subject::Team(id) => {
            if store::team_is_deleted(&state.reads, id).await?.is_none() {
                state.identity.fetch_team(&state.writes, id).await?;
            }
            let is_there = store::team_is_deleted(&state.reads, id).await? == Some(false);
            if !is_there {
                invalid.add("team_id", "not_found", "is no team");
            }
            Ok(is_there.then_some(id))
        }
    }
}
