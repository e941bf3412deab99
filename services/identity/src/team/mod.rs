//! Teams: making them, naming who leads them, and looking them up.

pub mod event;
pub mod model;
pub mod store;

use auth::Caller;
use chrono::{DateTime, Utc};
use rpc::{Error, Invalid, OnConstraint as _};

use self::model::{Draft, Team};
use crate::{
    app::App,
    cause::Cause,
    page::{Items, Page},
};

/// A page of teams, by id.
pub async fn list(app: &App, page: Page) -> Result<Items<Team>, Error> {
    let rows = store::list(&app.read, page.after_id, page.count()).await?;
    Ok(page.cut(rows, |team| team.id))
}

/// Makes a team on behalf of an admin. Fails with the bad fields.
pub async fn create(
    app: &App,
    caller: &Caller,
    draft: Draft,
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<Team, Error> {
    caller.require_admin()?;
    let mut invalid = Invalid::default();
    let new = draft.check(&mut invalid);
    invalid.into_result()?;
    let new = new.ok_or_else(|| Error::internal("a team was refused without a reason"))?;
    let mut tx = app.write.begin().await?;
    let team = store::insert(&mut tx, &new, now).await.on_constraints(unknown)?;
    app.commit(tx, &[event::created(&team, cause, now)]).await?;
    Ok(team)
}

/// Names who leads a team, or nobody, on behalf of an admin. To name the same again changes nothing.
pub async fn set_manager(
    app: &App,
    caller: &Caller,
    id: i64,
    manager_id: Option<i64>,
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<Team, Error> {
    caller.require_admin()?;
    let mut tx = app.write.begin().await?;
    let Some(old) = store::lock(&mut tx, id).await? else {
        return Err(Error::not_found("team", id));
    };
    if old.manager_id == manager_id {
        return Ok(old);
    }
    let team = Team { manager_id, version: old.version + 1, ..old.clone() };
    store::set_manager(&mut tx, &team, now).await.on_constraints(unknown)?;
    app.commit(tx, &[event::updated(&old, &team, cause, now)]).await?;
    Ok(team)
}

/// Which field names a record that is not there.
fn unknown(constraint: &str) -> Option<Error> {
    match constraint {
        "teams_manager_id_fkey" => Some(Error::invalid("manager_id", "not_found", "is no user")),
        "teams_parent_id_fkey" => Some(Error::invalid("parent_id", "not_found", "is no team")),
        _ => None,
    }
}
