//! The organisation's settings.

pub mod event;
pub mod model;
pub mod store;

use auth::Caller;
use chrono::{DateTime, Utc};
use rpc::{Error, Invalid};

use self::model::{Edit, Settings};
use crate::{app::App, cause::Cause, user, user::model::Role};

/// The settings. They are there from the first start on.
pub async fn get(app: &App) -> Result<Settings, Error> {
    store::get(&app.read).await?.ok_or_else(not_seeded)
}

/// Changes what is named of the settings on behalf of an admin.
pub async fn update(
    app: &App,
    caller: &Caller,
    expected_version: Option<i64>,
    edit: Edit,
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<Settings, Error> {
    caller.require_admin()?;
    let mut tx = app.write.begin().await?;
    user::take_turn_as_admin(&mut tx, caller).await?;
    let old = store::lock(&mut tx).await?.ok_or_else(not_seeded)?;
    if expected_version.is_some_and(|version| version != old.version) {
        return Err(Error::Stale { current: Some(old.version) });
    }
    let mut invalid = Invalid::default();
    let new = edit.apply(&old, &mut invalid);
    invalid.into_result()?;
    let new = new.ok_or_else(|| Error::internal("settings were refused without a reason"))?;
    if new == old {
        return Ok(old);
    }
    if new.second_factor_roles != old.second_factor_roles {
        caller.require_session()?;
    }
    if new.default_currency != old.default_currency && old.currency_fixed {
        return Err(Error::conflict(
            "CURRENCY_FIXED",
            "there are amounts, so the currency stays what it is",
        ));
    }
    let of_admins = |it: &Settings| it.second_factor_roles.contains(&Role::Admin);
    if of_admins(&new) && !of_admins(&old) {
        let own = user::get(app, caller.user_id).await?;
        if !own.has_second_factor {
            let message = "turn your own second factor on before you ask it of administrators";
            return Err(Error::conflict("SECOND_FACTOR_NOT_ENABLED", message));
        }
    }
    store::update(&mut tx, &new, now).await?;
    app.commit(tx, &[event::updated(&old, &new, cause, now)]).await?;
    Ok(new)
}

/// Fixes the currency on behalf of the service that is about to keep an amount.
pub async fn fix_currency(
    app: &App,
    caller: &Caller,
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<Settings, Error> {
    caller.require_service()?;
    let mut tx = app.write.begin().await?;
    let old = store::lock(&mut tx).await?.ok_or_else(not_seeded)?;
    if old.currency_fixed {
        return Ok(old);
    }
    let new = Settings { currency_fixed: true, version: old.version + 1, ..old.clone() };
    store::update(&mut tx, &new, now).await?;
    app.commit(tx, &[event::updated(&old, &new, cause, now)]).await?;
    Ok(new)
}

fn not_seeded() -> Error {
    Error::unavailable(anyhow::anyhow!("the settings were not seeded yet"))
}
