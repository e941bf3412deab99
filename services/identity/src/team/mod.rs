//! Teams: making them, changing them, who is in them, and looking them up.

pub mod event;
pub mod model;
pub mod store;

use auth::Caller;
use chrono::{DateTime, Utc};
use events::Change;
use idempotency::{Once, Outcome};
use rpc::{Error, Invalid};
use sqlx::{Postgres, Transaction};

use self::model::{Draft, Edit, Team};
use crate::{
    app::App,
    cause::Cause,
    page::{Items, Page},
    user::{
        self,
        model::{Role, User},
    },
};

/// The operation that an idempotency key is for.
const CREATE: &str = "CreateTeam";

/// The team of that id.
pub async fn get(app: &App, id: i64) -> Result<Team, Error> {
    store::get(&app.read, id).await?.ok_or_else(|| not_found(id))
}

/// A page of teams, the newest first.
pub async fn list(app: &App, page: Page) -> Result<Items<Team>, Error> {
    let rows = store::list(&app.read, page).await?;
    Ok(page.cut(rows, |team| (team.created_at, team.id)))
}

/// Makes a team on behalf of an admin. Fails with the bad fields.
pub async fn create(
    app: &App,
    caller: &Caller,
    draft: Draft,
    once: Option<Once<Team>>,
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<Outcome<Team>, Error> {
    caller.require_admin()?;
    let mut tx = app.write.begin().await?;
    let by = caller.user_id;
    if let Some(answer) = idempotency::answered(&mut tx, by, CREATE, once.as_ref(), now).await? {
        return Ok(Outcome::Replay(answer));
    }
    user::take_turn_as_admin(&mut tx, caller).await?;
    let mut invalid = Invalid::default();
    check_manager(&mut tx, draft.manager_id, &mut invalid).await?;
    check_parent(&mut tx, draft.parent_id, &mut invalid).await?;
    let new = draft.check(&mut invalid);
    invalid.into_result()?;
    let new = new.ok_or_else(|| Error::internal("a team was refused without a reason"))?;
    let team = store::insert(&mut tx, &new, now).await?;
    idempotency::keep(&mut tx, by, CREATE, once.as_ref(), &team).await?;
    app.commit(tx, &[event::created(&team, cause, now)]).await?;
    Ok(Outcome::New(team))
}

/// Changes what is named of a team on behalf of an admin.
pub async fn update(
    app: &App,
    caller: &Caller,
    id: i64,
    expected_version: Option<i64>,
    edit: Edit,
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<Team, Error> {
    caller.require_admin()?;
    let mut tx = app.write.begin().await?;
    user::take_turn_as_admin(&mut tx, caller).await?;
    let old = lock(&mut tx, id, expected_version).await?;
    let mut invalid = Invalid::default();
    let new = edit.apply(&old, &mut invalid);
    if let Some(parent_id) = new.parent_id.filter(|_| new.parent_id != old.parent_id) {
        let below = store::with_those_below(&mut tx, id).await?;
        if below.contains(&parent_id) {
            invalid.add("parent_id", "below_itself", "is the team itself or below it");
        }
        check_parent(&mut tx, Some(parent_id), &mut invalid).await?;
    }
    if new.manager_id != old.manager_id {
        check_manager(&mut tx, new.manager_id, &mut invalid).await?;
    }
    invalid.into_result()?;
    if new == old {
        return Ok(old);
    }
    store::update(&mut tx, &new, now).await?;
    app.commit(tx, &[event::updated(&old, &new, cause, now)]).await?;
    Ok(new)
}

/// Deletes a team on behalf of an admin. Its members are in no team afterwards, and the teams below it come under the one above it.
pub async fn delete(
    app: &App,
    caller: &Caller,
    id: i64,
    expected_version: Option<i64>,
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    caller.require_admin()?;
    let mut tx = app.write.begin().await?;
    user::take_turn_as_admin(&mut tx, caller).await?;
    let old = lock(&mut tx, id, expected_version).await?;
    let mut changes = Vec::new();
    for member in user::store::lock_members(&mut tx, id).await? {
        let without = member.in_team(None, now);
        changes.extend(user::replace(&mut tx, &member, &without, cause, now).await?);
    }
    for below in store::lock_below(&mut tx, id).await? {
        let moved = Team { parent_id: old.parent_id, version: below.version + 1, ..below.clone() };
        store::update(&mut tx, &moved, now).await?;
        changes.push(event::updated(&below, &moved, cause, now));
    }
    let deleted = Team { deleted_at: Some(now), version: old.version + 1, ..old };
    store::update(&mut tx, &deleted, now).await?;
    changes.push(event::deleted(&deleted, cause, now));
    app.commit(tx, &changes).await
}

/// Brings a user into a team, out of any other, on behalf of an admin.
pub async fn add_member(
    app: &App,
    caller: &Caller,
    id: i64,
    user_id: i64,
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    caller.require_admin()?;
    let mut tx = app.write.begin().await?;
    user::take_turn_as_admin(&mut tx, caller).await?;
    lock(&mut tx, id, None).await?;
    let old = user::store::lock(&mut tx, user_id).await?;
    let old = old.ok_or_else(|| Error::not_found("user", user_id))?;
    if old.team_id == Some(id) {
        return Ok(());
    }
    let new = old.in_team(Some(id), now);
    let changes = user::replace(&mut tx, &old, &new, cause, now).await?;
    app.commit(tx, &changes).await
}

/// Takes a user out of a team on behalf of an admin.
pub async fn remove_member(
    app: &App,
    caller: &Caller,
    id: i64,
    user_id: i64,
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    caller.require_admin()?;
    let mut tx = app.write.begin().await?;
    user::take_turn_as_admin(&mut tx, caller).await?;
    lock(&mut tx, id, None).await?;
    let old = user::store::lock(&mut tx, user_id).await?;
    let old = old
        .filter(|user| user.team_id == Some(id))
        .ok_or_else(|| Error::not_found("team member", user_id))?;
    let new = old.in_team(None, now);
    let changes = user::replace(&mut tx, &old, &new, cause, now).await?;
    app.commit(tx, &changes).await
}

/// A manager whose team nobody leads leads it from now on; the changes are to be committed with that transaction.
pub(crate) async fn lead_if_nobody_does(
    tx: &mut Transaction<'_, Postgres>,
    user: &User,
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<Vec<Change>, Error> {
    let Some(id) = user.team_id.filter(|_| user.role == Role::Manager && user.is_active) else {
        return Ok(Vec::new());
    };
    let Some(old) = store::lock(tx, id).await?.filter(|team| team.manager_id.is_none()) else {
        return Ok(Vec::new());
    };
    let team = Team { manager_id: Some(user.id), version: old.version + 1, ..old.clone() };
    store::update(tx, &team, now).await?;
    Ok(vec![event::updated(&old, &team, cause, now)])
}

async fn lock(
    tx: &mut Transaction<'_, Postgres>,
    id: i64,
    expected_version: Option<i64>,
) -> Result<Team, Error> {
    let team = store::lock(tx, id).await?.ok_or_else(|| not_found(id))?;
    if expected_version.is_some_and(|version| version != team.version) {
        return Err(Error::Stale { current: Some(team.version) });
    }
    Ok(team)
}

/// The foreign keys would speak one at a time, and know of no deleted teams; all bad fields are told at once.
async fn check_parent(
    tx: &mut Transaction<'_, Postgres>,
    id: Option<i64>,
    invalid: &mut Invalid,
) -> Result<(), Error> {
    if let Some(id) = id
        && store::lock(tx, id).await?.is_none()
    {
        invalid.add("parent_id", "not_found", NO_TEAM);
    }
    Ok(())
}

async fn check_manager(
    tx: &mut Transaction<'_, Postgres>,
    id: Option<i64>,
    invalid: &mut Invalid,
) -> Result<(), Error> {
    if let Some(id) = id
        && user::store::get(&mut **tx, id).await?.is_none()
    {
        invalid.add("manager_id", "not_found", NO_USER);
    }
    Ok(())
}

fn not_found(id: i64) -> Error {
    Error::not_found("team", id)
}

const NO_USER: &str = "is no user";
const NO_TEAM: &str = "is no team";
