//! Users: making them and looking them up.

pub mod event;
pub mod model;
pub mod store;

use auth::Caller;
use chrono::{DateTime, Utc};
use rpc::{Error, Invalid, OnConstraint as _};
use sqlx::{Postgres, Transaction};

use self::model::{Draft, NewUser, User};
use crate::{
    app::App,
    cause::Cause,
    page::{Items, Page},
    password::{self, Salt},
    settings, team,
};

/// The user of that id.
pub async fn get(app: &App, id: i64) -> Result<User, Error> {
    store::get(&app.read, id).await?.ok_or_else(|| Error::not_found("user", id))
}

/// A page of users, by id.
pub async fn list(app: &App, page: Page) -> Result<Items<User>, Error> {
    let rows = store::list(&app.read, page.after_id, page.count()).await?;
    Ok(page.cut(rows, |user| user.id))
}

/// Makes a user on behalf of an admin. Fails with every bad field at once; `EMAIL_TAKEN` where another has the address.
pub async fn create(
    app: &App,
    caller: &Caller,
    draft: Draft,
    salt: Salt,
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<User, Error> {
    caller.require_admin()?;
    let new = check(app, draft).await?;
    let hashed = password::hash(&app.gate, new.password.clone(), salt).await?;
    let mut tx = app.write.begin().await?;
    let user = insert(&mut tx, &new, &hashed, now).await?;
    app.commit(tx, &[event::created(&user, cause, now)]).await?;
    Ok(user)
}

/// Applies the rules with the organisation's defaults.
pub(crate) async fn check(app: &App, draft: Draft) -> Result<NewUser, Error> {
    let organisation = settings::get(app).await?;
    let mut invalid = Invalid::default();
    let team_id = draft.team_id;
    if let (Some(new), true) =
        (draft.check(&organisation.time_zone, &mut invalid), invalid.is_empty())
    {
        return Ok(new);
    }
    // The foreign key would speak only after the rest is mended; all bad fields are told at once.
    if let Some(id) = team_id
        && !team::store::exists(&app.read, id).await?
    {
        invalid.add("team_id", "not_found", NO_TEAM);
    }
    invalid.into_result()?;
    Err(Error::internal("a user was refused without a reason"))
}

/// Stores a checked user in that transaction.
pub(crate) async fn insert(
    tx: &mut Transaction<'_, Postgres>,
    new: &NewUser,
    hashed_password: &str,
    now: DateTime<Utc>,
) -> Result<User, Error> {
    store::insert(tx, new, hashed_password, now).await.on_constraints(|name| match name {
        "users_email_key" => {
            Some(Error::conflict("EMAIL_TAKEN", "another user has this e-mail address"))
        }
        "users_team_id_fkey" => Some(Error::invalid("team_id", "not_found", NO_TEAM)),
        _ => None,
    })
}

const NO_TEAM: &str = "is no team";
