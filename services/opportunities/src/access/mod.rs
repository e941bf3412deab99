//! Authority: what a caller may read and change, and who else may what.

pub mod model;
pub(crate) mod store;

use std::collections::HashMap;

use auth::{Caller, Role};
use futures::future::BoxFuture;
use rpc::Error;
use sqlx::{PgConnection, PgPool};

use crate::directory::model::Visibility;
use crate::{State, opportunity};
use model::{Action, Ground, Owned, Sight, Standing};

/// Somebody who is answered for longer than a moment: who they are by now, or why they are not answered any more.
pub type Asking = Box<dyn Fn() -> BoxFuture<'static, Result<Caller, Error>> + Send + Sync>;

/// What a caller may read.
pub(crate) async fn sight(
    pool: &PgPool,
    caller: &Caller,
    visibility: Visibility,
) -> Result<Sight, Error> {
    // Where everyone reads everything it does not matter who leads whom.
    let asks_for_reach = visibility != Visibility::Everyone;
    let who = standing(pool, caller, asks_for_reach).await?;
    Ok(Sight::of(&who, visibility, Action::Read))
}

/// What a caller may read and what they may change.
#[derive(PartialEq)]
pub(crate) struct Rights {
    pub(crate) read: Sight,
    pub(crate) write: Sight,
}

/// What a caller may read and what they may change, with one statement at most.
pub(crate) async fn rights(
    pool: &PgPool,
    caller: &Caller,
    visibility: Visibility,
) -> Result<Rights, Error> {
    let asks_for_reach = visibility != Visibility::Everyone || caller.scope.write;
    let who = standing(pool, caller, asks_for_reach).await?;
    Ok(Rights {
        read: Sight::of(&who, visibility, Action::Read),
        write: Sight::of(&who, visibility, Action::Write),
    })
}

async fn standing(pool: &PgPool, caller: &Caller, asks_for_reach: bool) -> Result<Standing, Error> {
    let reach = if asks_for_reach && caller.role == Role::Manager {
        store::teams_within_reach(pool, caller.user_id).await?
    } else {
        Vec::new()
    };
    let of = |directly| {
        let those = reach.iter().filter(move |led| led.directly == directly);
        those.map(|led| led.team_id).collect()
    };
    Ok(Standing {
        user_id: caller.user_id,
        role: caller.role,
        team_id: caller.team_id,
        holds_write: caller.scope.write,
        leads: of(true),
        below: of(false),
    })
}

/// What one person may do with an opportunity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The person.
    pub user_id: i64,
    /// Their name.
    pub username: String,
    /// What they are in the organisation.
    pub role: Role,
    /// Whether they may change it.
    pub can_write: bool,
    /// Every ground on which they may read it; none if they may not.
    pub reasons: Vec<Ground>,
}

/// What active people may do with an opportunity: `limit` of them (200 at most) after an id, and whether there are more. For administrators.
pub async fn list(
    state: &State,
    caller: &Caller,
    id: i64,
    after_id: i64,
    limit: usize,
) -> Result<(Vec<Access>, bool), Error> {
    let record = opportunity::get(state, caller, id).await?.opportunity.owned();
    caller.require_role(&[Role::Admin])?;
    let visibility = state.settings.get()?.visibility;
    let mut people = store::active_people(&state.reads, record.team_id, after_id).await?;
    let more = people.len() > limit;
    people.truncate(limit);
    let listed: Result<_, Error> =
        people.into_iter().map(|person| access(person, visibility, record)).collect();
    Ok((listed?, more))
}

fn access(it: store::Member, visibility: Visibility, record: Owned) -> Result<Access, Error> {
    let role: Role = it.role.parse().map_err(|_| Error::internal("a role that there is not"))?;
    // Of the teams within their reach only the record's own matters here.
    let team_if = |leads: bool| record.team_id.filter(|_| leads).into_iter().collect();
    let who = Standing {
        user_id: it.user_id,
        role,
        team_id: it.team_id,
        holds_write: true,
        leads: team_if(it.leads),
        below: team_if(it.leads_above && !it.leads),
    };
    Ok(Access {
        user_id: who.user_id,
        username: it.username,
        role,
        can_write: model::may(&who, visibility, Action::Write, record),
        reasons: model::reasons(&who, visibility, record),
    })
}

/// A person who is named in something about an opportunity.
pub(crate) struct Reader {
    /// Whether they may sign in.
    pub(crate) is_active: bool,
    /// Whether they may read the opportunity, once they do.
    pub(crate) reads: bool,
}

/// Those of some people who are known, and whether they may read an opportunity.
pub(crate) async fn readers(
    tx: &mut PgConnection,
    visibility: Visibility,
    record: Owned,
    user_ids: &[i64],
) -> Result<HashMap<i64, Reader>, Error> {
    let found = store::people(tx, record.team_id, user_ids).await?;
    let readers = found.into_iter().map(|(person, is_active)| {
        let it = access(person, visibility, record)?;
        Ok((it.user_id, Reader { is_active, reads: !it.reasons.is_empty() }))
    });
    readers.collect()
}
