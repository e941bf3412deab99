//! API keys: making them, looking at them, revoking them, and exchanging one that somebody shows for a short access token.

pub mod event;
pub mod model;
pub mod store;

use auth::{Caller, Role, Via};
use chrono::{DateTime, TimeDelta, Utc};
use idempotency::{Once, Outcome};
use rpc::{Error, Invalid};

use self::model::{ApiKey, Draft, MOST, invalid};
use crate::{
    GATEWAY,
    app::App,
    cause::Cause,
    page::{Items, Page},
    second_factor::{self, model::Need},
    session,
    token::Issuer,
    user,
};

/// The operation that an idempotency key is for.
const CREATE: &str = "CreateApiKey";

/// How long a key that is over can still be looked up by who runs the product.
const KEPT: TimeDelta = TimeDelta::days(30);

/// The keys of the caller, or on behalf of an admin of that user, that were not revoked; the newest first.
pub async fn list(
    app: &App,
    caller: &Caller,
    user_id: Option<i64>,
    page: Page,
) -> Result<Items<ApiKey>, Error> {
    caller.require_read()?;
    let own = caller.user().ok_or_else(|| Error::denied("a service has no API keys"))?;
    let user_id = user_id.unwrap_or(own);
    if user_id != own {
        caller.require_role(&[Role::Admin])?;
    }
    let rows = store::list(&app.read, user_id, page).await?;
    Ok(page.cut(rows, |key| (key.created_at, key.id)))
}

/// Makes a key of the caller's own, with this secret. Fails with every bad field at once; `TOO_MANY_API_KEYS` where the caller has enough; denied
/// (`SECOND_FACTOR_REQUIRED`) where their role must have a second factor and they have none.
pub async fn create(
    app: &App,
    caller: &Caller,
    draft: Draft,
    once: Option<Once<ApiKey>>,
    secret: [u8; 32],
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<Outcome<(ApiKey, auth::ApiKey)>, Error> {
    caller.require_session()?;
    caller.require_own_write()?;
    let mut tx = app.write.begin().await?;
    let by = caller.user_id;
    if let Some(answer) = idempotency::answered(&mut tx, by, CREATE, once.as_ref(), now).await? {
        return Ok(Outcome::Replay(answer));
    }
    // After that: what expires in the future now does not when the request is sent again.
    let mut invalid = Invalid::default();
    let new = draft.check(now, &mut invalid);
    invalid.into_result()?;
    let new = new.ok_or_else(|| Error::internal("a key was refused without a reason"))?;
    // One after the other, so that two requests at once do not both find room.
    user::store::lock(&mut tx, by).await?.ok_or_else(|| Error::not_found("user", by))?;
    // It would outlive the token that it is made with, which is from before that was demanded.
    if second_factor::need(&mut tx, by).await? == Need::Enrolment {
        let message = "your role must have a second factor: turn it on first".to_owned();
        return Err(Error::Denied { reason: second_factor::REQUIRED.into(), message });
    }
    if store::count(&mut tx, by, now).await? >= MOST {
        let message = format!("there are {MOST} API keys already; revoke one first");
        return Err(Error::conflict("TOO_MANY_API_KEYS", message));
    }
    let key = auth::ApiKey::new(store::next_id(&mut tx).await?, secret);
    let made = store::insert(&mut tx, (key.id(), by), &new, &key.hash(), now).await?;
    idempotency::keep(&mut tx, by, CREATE, once.as_ref(), &made).await?;
    app.commit(tx, &[event::created(&made, cause, now)]).await?;
    Ok(Outcome::New((made, key)))
}

/// Revokes one of the caller's own keys, or anyone's on behalf of an admin.
pub async fn revoke(
    app: &App,
    caller: &Caller,
    id: i64,
    expected_version: Option<i64>,
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    caller.require_session()?;
    caller.require_own_write()?;
    let is_admin = caller.require_admin().is_ok();
    let mut tx = app.write.begin().await?;
    if is_admin {
        user::take_turn_as_admin(&mut tx, caller).await?;
    }
    let old = store::lock(&mut tx, id).await?;
    let old = old.filter(|key| is_admin || key.user_id == caller.user_id);
    let old = old.ok_or_else(|| Error::not_found("API key", id))?;
    if expected_version.is_some_and(|version| version != old.version) {
        return Err(Error::Stale { current: Some(old.version) });
    }
    let revoked = ApiKey { revoked_at: Some(now), version: old.version + 1, ..old };
    store::revoke(&mut tx, &revoked).await?;
    session::store::revoke(&mut tx, &[id], now).await?;
    app.commit(tx, &[event::revoked(&revoked, cause, now)]).await
}

/// The access token that stands for a key, and the seconds it lives, for the gateway. It has the key's scope and its owner's present rights.
pub async fn exchange(
    app: &App,
    issuer: &Issuer,
    caller: &Caller,
    key: &str,
    now: DateTime<Utc>,
) -> Result<(String, i64), Error> {
    if caller.require_service()? != GATEWAY {
        return Err(Error::denied("only the gateway exchanges API keys"));
    }
    let key = auth::ApiKey::parse(key).ok_or_else(invalid)?;
    let known = store::known(&app.read, key.id()).await?.ok_or_else(invalid)?;
    let life_s = known.token_life_s(&key.hash(), now)?;
    if known.is_use_to_be_noted(now)
        && let Err(error) = note_use(app, key.id(), now).await
    {
        tracing::warn!(%error, key_id = key.id(), "the use of an API key was not written down");
    }
    let caller = Caller {
        user_id: known.owner.user_id,
        session_id: key.id(),
        role: known.owner.role.into(),
        team_id: known.owner.team_id,
        rights_version: known.owner.rights_version,
        scope: known.scope(),
        via: Via::ApiKey,
        service: None,
    };
    Ok((issuer.sign(&caller, life_s, now)?, life_s))
}

async fn note_use(app: &App, id: i64, now: DateTime<Utc>) -> Result<(), Error> {
    let mut tx = app.write.begin().await?;
    store::note_use(&mut tx, id, now).await?;
    Ok(tx.commit().await?)
}

/// Forgets keys that have been over for long.
pub async fn forget(app: &App, now: DateTime<Utc>) -> sqlx::Result<()> {
    store::forget(&app.write, now - KEPT).await
}
