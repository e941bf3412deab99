//! Second factors: turning one on and off, recovery codes, and what a sign-in needs besides the password.
//!
//! Each try of a code is counted before it is checked ([`sign_in::admit_code`]), apart from tries of the password, so that who knows that does not get more of them.
//! Codes and secrets are in no event and no log.

pub mod model;
pub mod store;

use auth::Caller;
use chrono::{DateTime, Utc};
use events::Change;
use idempotency::Once;
use process::Secret;
use rpc::Error;
use sqlx::{Postgres, Transaction};

use self::{
    model::{
        Key, Need, RecoveryRandom, Shown, Standing, good_step, letters, otpauth_uri,
        recovery_codes, recovery_hash,
    },
    store::Factor,
};
use crate::{
    app::App,
    cause::Cause,
    seal::{self, Seal},
    session::{self, Which, model::EndReason},
    sign_in::{self, model::Peer},
    user::{self, event, model::User},
};

/// The operations that an idempotency key is for.
const BEGIN: &str = "BeginSecondFactor";
const CONFIRM: &str = "ConfirmSecondFactor";
const REPLACE_CODES: &str = "ReplaceRecoveryCodes";
const DISABLE: &str = "DisableSecondFactor";

/// What an app is to be given, once.
#[derive(Clone)]
pub struct Begun {
    /// The secret to type.
    pub secret: Secret,
    /// The same to scan.
    pub otpauth_uri: Secret,
}

/// Randomness for a new secret.
#[derive(Clone, Copy)]
pub struct Random {
    /// The secret.
    pub key: Key,
    /// For its encryption.
    pub seal: seal::Random,
}

/// Who shows a code, and from where.
#[derive(Clone, Copy, Debug)]
pub struct By {
    /// The user.
    pub user_id: i64,
    /// Their connection.
    pub peer: Peer,
}

/// How the caller stands.
pub async fn get(app: &App, caller: &Caller) -> Result<Standing, Error> {
    caller.require_session()?;
    caller.require_read()?;
    let id = caller.user_id;
    store::standing(&app.read, id).await?.ok_or_else(|| Error::not_found("user", id))
}

/// Gives the caller a secret to confirm, in place of an unconfirmed one. Conflict (`SECOND_FACTOR_ENABLED`) where one is confirmed.
pub async fn begin(
    app: &App,
    seal: &Seal,
    caller: &Caller,
    current_password: Secret,
    once: Option<Once<i64>>,
    random: Random,
    now: DateTime<Utc>,
) -> Result<Begun, Error> {
    require_own(caller)?;
    require_first(app, caller, BEGIN, once.as_ref(), now).await?;
    let user = user::get(app, caller.user_id).await?;
    if user.has_second_factor {
        return Err(enabled());
    }
    let peer = session::peer(app, caller).await?;
    let (attempt, _) = user::try_password(app, &user, current_password, peer, now).await?;
    let mut tx = app.write.begin().await?;
    let user = lock(&mut tx, user.id).await?;
    attempt.succeeded(&mut tx, now).await?;
    take_key(&mut tx, user.id, BEGIN, once.as_ref(), now).await?;
    let begun = begin_in(&mut tx, seal, &user, random, now).await?;
    tx.commit().await?;
    Ok(begun)
}

/// The same for somebody who has just shown the password and has no session yet.
pub async fn begin_enrolment(
    app: &App,
    seal: &Seal,
    user_id: i64,
    random: Random,
    now: DateTime<Utc>,
) -> Result<Begun, Error> {
    let mut tx = app.write.begin().await?;
    let user = lock(&mut tx, user_id).await?;
    let begun = begin_in(&mut tx, seal, &user, random, now).await?;
    tx.commit().await?;
    Ok(begun)
}

async fn begin_in(
    tx: &mut Transaction<'_, Postgres>,
    seal: &Seal,
    user: &User,
    random: Random,
    now: DateTime<Utc>,
) -> Result<Begun, Error> {
    let sealed = seal.seal(&random.key, &bound(user.id), random.seal)?;
    if !store::begin(tx, user.id, &sealed, now).await? {
        return Err(enabled());
    }
    Ok(Begun {
        secret: letters(&random.key).into(),
        otpauth_uri: otpauth_uri(&random.key, &user.email).into(),
    })
}

/// Turns the caller's second factor on by its first code, ends their other sessions and answers the recovery codes.
pub async fn confirm(
    app: &App,
    seal: &Seal,
    caller: &Caller,
    (code, once, random): (&str, Option<Once<i64>>, RecoveryRandom),
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<Vec<Secret>, Error> {
    require_own(caller)?;
    require_first(app, caller, CONFIRM, once.as_ref(), now).await?;
    let by = By { user_id: caller.user_id, peer: session::peer(app, caller).await? };
    let with = (Which::Except(caller.session_id), random);
    let confirmed = confirm_enrolment(app, seal, by, code, with, cause, now).await?;
    let Confirmed { mut tx, changes, codes } = confirmed.ok_or_else(wrong_code)?;
    take_key(&mut tx, caller.user_id, CONFIRM, once.as_ref(), now).await?;
    app.commit(tx, &changes).await?;
    Ok(codes)
}

/// A second factor that is on once its transaction is committed, with these changes.
pub struct Confirmed {
    /// It holds the user.
    pub tx: Transaction<'static, Postgres>,
    /// What is told of it.
    pub changes: Vec<Change>,
    /// The recovery codes, shown once.
    pub codes: Vec<Secret>,
}

/// The same for somebody who may have no session yet: which sessions end, they say. Nothing where the code is wrong. Conflict (`SECOND_FACTOR_NOT_BEGUN`,
/// `SECOND_FACTOR_ENABLED`) where there is nothing to confirm.
pub async fn confirm_enrolment(
    app: &App,
    seal: &Seal,
    by: By,
    code: &str,
    (ended, random): (Which, RecoveryRandom),
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<Option<Confirmed>, Error> {
    let attempt = sign_in::admit_code(app, by.user_id, by.peer, now).await?;
    let mut tx = app.write.begin().await?;
    let old = lock(&mut tx, by.user_id).await?;
    let factor = match store::lock(&mut tx, old.id).await? {
        Some(factor) if factor.confirmed_at.is_none() && old.is_active => factor,
        other => {
            drop(tx);
            attempt.withdrawn(app).await?;
            return Err(other.map_or_else(not_begun, |_| enabled()));
        }
    };
    let step = match step_of(seal, old.id, &factor, code, now) {
        Ok(Some(step)) => step,
        Ok(None) => {
            drop(tx);
            attempt.failed(app, now).await?;
            return Ok(None);
        }
        Err(error) => {
            drop(tx);
            attempt.withdrawn(app).await?;
            return Err(error);
        }
    };
    attempt.succeeded(&mut tx, now).await?;
    store::confirm(&mut tx, old.id, step, now).await?;
    let codes = replace_codes(&mut tx, old.id, &random).await?;
    let new = User { has_second_factor: true, ..old.next(now) };
    user::store::update(&mut tx, &new).await?;
    let mut changes = vec![event::second_factor_enabled(&old, &new, cause, now)];
    let reason = EndReason::SecondFactorChanged;
    changes.extend(session::end(&mut tx, old.id, ended, reason, cause, now).await?);
    Ok(Some(Confirmed { tx, changes, codes }))
}

/// Gives the caller new recovery codes for a code; the ones before are no longer good.
pub async fn replace_recovery_codes(
    app: &App,
    seal: &Seal,
    caller: &Caller,
    (code, once, random): (&str, Option<Once<i64>>, RecoveryRandom),
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<Vec<Secret>, Error> {
    require_own(caller)?;
    require_first(app, caller, REPLACE_CODES, once.as_ref(), now).await?;
    require_enabled(app, caller.user_id).await?;
    let by = By { user_id: caller.user_id, peer: session::peer(app, caller).await? };
    let (mut tx, old) = check(app, seal, by, code, now).await?.ok_or_else(wrong_code)?;
    take_key(&mut tx, old.id, REPLACE_CODES, once.as_ref(), now).await?;
    let codes = replace_codes(&mut tx, old.id, &random).await?;
    let new = old.next(now);
    user::store::update(&mut tx, &new).await?;
    app.commit(tx, &[event::recovery_codes_replaced(&new, cause, now)]).await?;
    Ok(codes)
}

/// Turns the caller's second factor off for a code. Denied (`SECOND_FACTOR_REQUIRED`) where their role must have one.
pub async fn disable(
    app: &App,
    seal: &Seal,
    caller: &Caller,
    (code, once): (&str, Option<Once<i64>>),
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    require_own(caller)?;
    let (by, key) = (caller.user_id, once.as_ref());
    if idempotency::kept(&app.read, by, DISABLE, key, now).await?.is_some() {
        return Ok(());
    }
    if require_enabled(app, caller.user_id).await?.must {
        let message = "your role must have a second factor".to_owned();
        return Err(Error::Denied { reason: REQUIRED.into(), message });
    }
    let by = By { user_id: caller.user_id, peer: session::peer(app, caller).await? };
    let (mut tx, old) = check(app, seal, by, code, now).await?.ok_or_else(wrong_code)?;
    take_key(&mut tx, old.id, DISABLE, once.as_ref(), now).await?;
    let change = remove(&mut tx, &old, event::second_factor_disabled, cause, now).await?;
    app.commit(tx, &[change]).await
}

/// Takes another's second factor away on behalf of an admin and ends their sessions: for a lost device. Not one's own, which takes a code.
pub async fn reset(
    app: &App,
    caller: &Caller,
    user_id: i64,
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    caller.require_session()?;
    caller.require_admin()?;
    if caller.user_id == user_id {
        return Err(Error::denied("one's own second factor is turned off with a code of it"));
    }
    let mut tx = app.write.begin().await?;
    user::take_turn_as_admin(&mut tx, caller).await?;
    let old = lock(&mut tx, user_id).await?;
    if !old.has_second_factor {
        return Err(Error::not_found("second factor", user_id));
    }
    let mut changes = vec![remove(&mut tx, &old, event::second_factor_reset, cause, now).await?];
    let reason = EndReason::SecondFactorChanged;
    changes.extend(session::end(&mut tx, user_id, Which::All, reason, cause, now).await?);
    app.commit(tx, &changes).await
}

/// What that user's sign-in needs besides the password, in the transaction that opens a session or renews it.
pub async fn need(tx: &mut Transaction<'_, Postgres>, user_id: i64) -> Result<Need, Error> {
    let guarded = store::guarded(tx, user_id).await?;
    let (has, must) = guarded.ok_or_else(|| Error::not_found("user", user_id))?;
    Ok(Need::of(has, must))
}

/// What a caller is told who shows a right password, or a refresh token, where that is not enough.
pub(crate) fn required() -> Error {
    Error::unauthenticated(
        REQUIRED,
        "this account needs a second factor: sign in on the sign-in page",
    )
}

/// Checks a code of the app or a recovery code, which is good once. The transaction that is answered holds the user and has used the code up: it is for what the code
/// is for, and has to be committed. Nothing where the code is wrong, or the user has no second factor or is not active. Fails where nobody may try now
/// (`TOO_MANY_FAILURES`).
pub async fn check(
    app: &App,
    seal: &Seal,
    by: By,
    shown: &str,
    now: DateTime<Utc>,
) -> Result<Option<(Transaction<'static, Postgres>, User)>, Error> {
    let attempt = sign_in::admit_code(app, by.user_id, by.peer, now).await?;
    let mut tx = app.write.begin().await?;
    let user = lock(&mut tx, by.user_id).await?;
    let factor = store::lock(&mut tx, user.id).await?;
    let factor = factor.filter(|factor| user.is_active && factor.confirmed_at.is_some());
    let is_good = match (factor, Shown::parse(shown)) {
        (Some(factor), Some(Shown::Code(code))) => {
            let step = match step_of(seal, user.id, &factor, &code, now) {
                Ok(step) => step,
                Err(error) => {
                    drop(tx);
                    attempt.withdrawn(app).await?;
                    return Err(error);
                }
            };
            if let Some(step) = step {
                store::take(&mut tx, user.id, step).await?;
            }
            step.is_some()
        }
        (Some(_), Some(Shown::Recovery(hash))) => {
            let is_good = store::take_recovery_code(&mut tx, user.id, &hash, now).await?;
            if is_good {
                tracing::info!(user_id = user.id, "a recovery code was used");
            }
            is_good
        }
        _ => false,
    };
    if !is_good {
        drop(tx);
        attempt.failed(app, now).await?;
        return Ok(None);
    }
    attempt.succeeded(&mut tx, now).await?;
    Ok(Some((tx, user)))
}

/// Encrypts anew what is encrypted under another key than `SECRET_KEY`'s, so that the previous one can be taken away. What no key opens stays as it is.
pub async fn reseal(
    app: &App,
    seal: &Seal,
    random: impl Fn() -> Result<seal::Random, Error>,
) -> Result<(), Error> {
    let mut after = i64::MIN;
    loop {
        let ids = store::of_other_keys(&app.read, seal.name(), after, PART).await?;
        let Some(last) = ids.last() else { return Ok(()) };
        after = *last;
        for id in ids {
            let mut tx = app.write.begin().await?;
            let Some(factor) = store::lock(&mut tx, id).await? else { continue };
            match seal.open(&factor.secret, &bound(id)) {
                Ok(key) => {
                    let sealed = seal.seal(&key, &bound(id), random()?)?;
                    store::reseal(&mut tx, id, &sealed).await?;
                    tx.commit().await?;
                }
                Err(error) => {
                    tracing::error!(user_id = id, %error, "a second factor cannot be read: an administrator has to reset it");
                }
            }
        }
    }
}

/// How many secrets are looked for at once.
const PART: i64 = 500;

/// Why a sign-in or a change is refused that needs a second factor.
pub const REQUIRED: &str = "SECOND_FACTOR_REQUIRED";

/// A secret is encrypted for its user: in another's row it is none.
fn bound(user_id: i64) -> String {
    format!("second factor of user {user_id}")
}

/// Somebody who signed in, with a token that may change what is theirs.
fn require_own(caller: &Caller) -> Result<(), Error> {
    caller.require_session()?;
    caller.require_own_write()
}

/// A request that was answered before gets nothing once more that is shown once.
async fn require_first(
    app: &App,
    caller: &Caller,
    operation: &str,
    once: Option<&Once<i64>>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let by = caller.user_id;
    match idempotency::kept(&app.read, by, operation, once, now).await? {
        Some(_) => Err(idempotency::shown_once(by)),
        None => Ok(()),
    }
}

/// Takes the key of a request and keeps that it was answered, in the transaction of what it does; a twin that was quicker has done it.
async fn take_key(
    tx: &mut Transaction<'_, Postgres>,
    by: i64,
    operation: &str,
    once: Option<&Once<i64>>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    if idempotency::answered(tx, by, operation, once, now).await?.is_some() {
        return Err(idempotency::shown_once(by));
    }
    Ok(idempotency::keep(tx, by, operation, once, &by).await?)
}

async fn require_enabled(app: &App, user_id: i64) -> Result<Standing, Error> {
    let standing = store::standing(&app.read, user_id).await?;
    standing.filter(|standing| standing.has).ok_or_else(|| {
        Error::conflict("SECOND_FACTOR_NOT_ENABLED", "there is no second factor to speak of")
    })
}

/// The user, first of all that is locked: in the order in which who changes a user takes them.
async fn lock(tx: &mut Transaction<'_, Postgres>, user_id: i64) -> Result<User, Error> {
    let user = user::store::lock(tx, user_id).await?;
    user.ok_or_else(|| Error::not_found("user", user_id))
}

fn step_of(
    seal: &Seal,
    user_id: i64,
    factor: &Factor,
    code: &str,
    now: DateTime<Utc>,
) -> Result<Option<i64>, Error> {
    let key = seal.open(&factor.secret, &bound(user_id))?;
    let Some(Shown::Code(code)) = Shown::parse(code) else { return Ok(None) };
    Ok(good_step(&key, &code, factor.last_step, now))
}

async fn replace_codes(
    tx: &mut Transaction<'_, Postgres>,
    user_id: i64,
    random: &RecoveryRandom,
) -> Result<Vec<Secret>, Error> {
    let codes = recovery_codes(random);
    let hashes: Vec<_> = codes.iter().filter_map(|code| recovery_hash(code)).collect();
    store::drop_recovery_codes(tx, user_id).await?;
    store::insert_recovery_codes(tx, user_id, &hashes).await?;
    Ok(codes.into_iter().map(Secret::from).collect())
}

/// Removes a locked user's second factor, and what is told of it.
async fn remove(
    tx: &mut Transaction<'_, Postgres>,
    old: &User,
    told: impl FnOnce(&User, &User, &Cause, DateTime<Utc>) -> Change,
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<Change, Error> {
    store::delete(tx, old.id).await?;
    let new = User { has_second_factor: false, ..old.next(now) };
    user::store::update(tx, &new).await?;
    Ok(told(old, &new, cause, now))
}

fn enabled() -> Error {
    Error::conflict("SECOND_FACTOR_ENABLED", "there is a second factor already: turn it off first")
}

fn not_begun() -> Error {
    Error::conflict("SECOND_FACTOR_NOT_BEGUN", "there is no secret to confirm: ask for one first")
}

fn wrong_code() -> Error {
    Error::invalid("code", "wrong_code", "is not good, or not any more")
}
