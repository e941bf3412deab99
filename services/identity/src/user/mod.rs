//! Users: making them, looking them up, changing them and their passwords.

pub mod event;
pub mod model;
pub mod store;

use auth::Caller;
use chrono::{DateTime, Utc};
use events::{Change, lock};
use idempotency::{Once, Outcome};
use process::Secret;
use rpc::{Error, Invalid, OnConstraint as _};
use sqlx::{Postgres, Transaction};

use self::model::{Draft, Edit, NewUser, Role, User, is_own_business, rights};
use crate::{
    SERVICE,
    app::App,
    cause::Cause,
    external,
    page::{Items, Page},
    password::{self, Salt, Verdict},
    password_link::{
        self,
        model::{Kind, Links, Nonce},
    },
    second_factor::{self, model::Need},
    session::{self, Which, model::EndReason},
    settings,
    sign_in::{self, Attempt, model::Peer},
    team,
};

/// The operation that an idempotency key is for.
const CREATE: &str = "CreateUser";
/// The same for a password.
const CHANGE_PASSWORD: &str = "ChangePassword";

/// The user of that id.
pub async fn get(app: &App, id: i64) -> Result<User, Error> {
    store::get(&app.read, id).await?.ok_or_else(|| Error::not_found("user", id))
}

/// A page of users, the newest first.
pub async fn list(app: &App, page: Page) -> Result<Items<User>, Error> {
    let rows = store::list(&app.read, page).await?;
    Ok(page.cut(rows, |user| (user.created_at, user.id)))
}

/// Randomness for one user.
#[derive(Clone, Copy)]
pub struct Random {
    /// For the password.
    pub salt: Salt,
    /// For the invitation.
    pub nonce: Nonce,
}

/// A new user.
#[derive(Clone, Debug)]
pub struct Made {
    /// The user.
    pub user: User,
    /// Where an active user without a password sets one.
    pub invitation_url: Option<Secret>,
}

/// Makes a user on behalf of an admin, with an invitation where no password is given and the user is active. Fails with every bad field at once; `EMAIL_TAKEN` where another has the
/// address.
pub async fn create(
    app: &App,
    (links, random): (&Links, Random),
    caller: &Caller,
    draft: Draft,
    once: Option<Once<User>>,
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<Outcome<Made>, Error> {
    caller.require_admin()?;
    // A key or a program would have made somebody who outlives it.
    caller.require_session()?;
    let by = caller.user_id;
    // Before anything is looked at anew: what was right then may not be now.
    if let Some(answer) = idempotency::kept(&app.read, by, CREATE, once.as_ref(), now).await? {
        return Ok(Outcome::Replay(answer));
    }
    let new = check(app, draft).await?;
    let hashed = match new.password.clone() {
        Some(password) => Some(password::hash(&app.gate, password, random.salt).await?),
        None => None,
    };
    let mut tx = app.write.begin().await?;
    if let Some(answer) = idempotency::answered(&mut tx, by, CREATE, once.as_ref(), now).await? {
        return Ok(Outcome::Replay(answer));
    }
    take_turn_as_admin(&mut tx, caller).await?;
    let user = insert(&mut tx, &new, hashed.as_deref(), now).await?;
    let mut changes = vec![event::created(&user, cause, now)];
    changes.extend(team::lead_if_nobody_does(&mut tx, &user, cause, now).await?);
    let invitation_url = if new.is_invited() {
        let (with, kind) = ((links, random.nonce), Kind::Invitation);
        let issued = password_link::issue(&mut tx, with, user.id, kind, cause, now).await?;
        changes.extend(issued.changes);
        Some(issued.url)
    } else {
        None
    };
    idempotency::keep(&mut tx, by, CREATE, once.as_ref(), &user).await?;
    app.commit(tx, &changes).await?;
    Ok(Outcome::New(Made { user, invitation_url }))
}

/// Applies the rules with the organisation's defaults.
pub(crate) async fn check(app: &App, draft: Draft) -> Result<NewUser, Error> {
    let organisation = settings::get(app).await?;
    let mut invalid = Invalid::default();
    let team_id = draft.team_id;
    let new = draft.check(&organisation.time_zone, &mut invalid);
    // The foreign key would speak only after the rest is mended, and knows of no deleted teams; all bad fields are told at once.
    check_team(app, team_id, &mut invalid).await?;
    invalid.into_result()?;
    new.ok_or_else(|| Error::internal("a user was refused without a reason"))
}

async fn check_team(app: &App, id: Option<i64>, invalid: &mut Invalid) -> Result<(), Error> {
    if let Some(id) = id
        && !team::store::exists(&app.read, id).await?
    {
        invalid.add("team_id", "not_found", NO_TEAM);
    }
    Ok(())
}

/// Stores a checked user in that transaction.
pub(crate) async fn insert(
    tx: &mut Transaction<'_, Postgres>,
    new: &NewUser,
    hashed_password: Option<&str>,
    now: DateTime<Utc>,
) -> Result<User, Error> {
    take_turn(tx).await?;
    require_team(tx, new.team_id).await?;
    store::insert(tx, new, hashed_password, now).await.on_constraints(taken)
}

/// Changes what is named of a user: on behalf of an admin, or of the user as far as it is their own business.
pub async fn update(
    app: &App,
    caller: &Caller,
    id: i64,
    expected_version: Option<i64>,
    edit: Edit,
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<User, Error> {
    caller.require_own_write()?;
    let is_admin = caller.require_admin().is_ok();
    if !is_admin && caller.user() != Some(id) {
        return Err(Error::denied("only administrators change other people"));
    }
    let organisation = settings::get(app).await?;
    let mut tx = app.write.begin().await?;
    if is_admin {
        take_turn_as_admin(&mut tx, caller).await?;
    } else {
        take_turn(&mut tx).await?;
    }
    let old = store::lock(&mut tx, id).await?.ok_or_else(|| Error::not_found("user", id))?;
    if expected_version.is_some_and(|version| version != old.version) {
        return Err(Error::Stale { current: Some(old.version) });
    }
    let mut invalid = Invalid::default();
    let new = edit.apply(&old, &organisation.time_zone, &mut invalid);
    if !is_admin && !is_own_business(&old, &new) {
        return Err(Error::denied("only administrators change address, role, team and activity"));
    }
    if new.team_id != old.team_id {
        check_team(app, new.team_id, &mut invalid).await?;
    }
    invalid.into_result()?;
    if new == old {
        return Ok(old);
    }
    if (&new.email, new.role, new.is_active) != (&old.email, old.role, old.is_active) {
        // Whoever has these has the account, or another's rights: that would outlive the key or the program.
        caller.require_session()?;
    }
    let new = User { updated_at: now.max(old.updated_at), ..new };
    let changes = replace(&mut tx, &old, &new, cause, now).await?;
    app.commit(tx, &changes).await?;
    Ok(new)
}

/// Stores a user as it is to be, with what follows from it, in that transaction; the changes are to be committed with it.
pub(crate) async fn replace(
    tx: &mut Transaction<'_, Postgres>,
    old: &User,
    new: &User,
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<Vec<Change>, Error> {
    let is_admin = |user: &User| user.role == Role::Admin && user.is_active;
    if is_admin(old) && !is_admin(new) && !store::other_admin(tx, old.id).await? {
        return Err(Error::conflict("LAST_ADMIN", "one active administrator has to stay"));
    }
    if new.team_id != old.team_id {
        require_team(tx, new.team_id).await?;
    }
    store::update(tx, new).await.on_constraints(taken)?;
    let mut updated = event::updated(old, new, cause, now);
    if old.email != new.email || !new.is_active {
        // The provider made sure of the address of before, or of who is not to come in any more.
        updated = event::unlinked(updated, &external::unlink(tx, new.id).await?);
    }
    let mut changes = vec![updated];
    if old.is_active && !new.is_active {
        let reason = EndReason::UserInactive;
        changes.extend(session::end(tx, new.id, Which::All, reason, cause, now).await?);
    }
    if old.email != new.email || !new.is_active {
        // It was mailed to the address of before, or to who is not to come in any more.
        changes.extend(password_link::withdraw(tx, new.id, cause, now).await?);
    }
    if old.role != new.role && second_factor::need(tx, new.id).await? == Need::Enrolment {
        // They sign in anew, and show what the role must have.
        let reason = EndReason::SecondFactorChanged;
        changes.extend(session::end(tx, new.id, Which::All, reason, cause, now).await?);
    }
    if rights(old) != rights(new) {
        changes.extend(team::lead_if_nobody_does(tx, new, cause, now).await?);
    }
    Ok(changes)
}

/// Changes of people and teams are made one after the other: they are rare, and each may concern many records of both kinds.
pub(crate) async fn take_turn(tx: &mut Transaction<'_, Postgres>) -> Result<(), Error> {
    Ok(store::take_turn(tx, lock::key("people", SERVICE)).await?)
}

/// The same on behalf of an admin, and refuses (`TOKEN_REVOKED`) who is none any more: their token says what they were when they asked, and they may have waited.
/// Nobody's role changes while another has the turn.
pub(crate) async fn take_turn_as_admin(
    tx: &mut Transaction<'_, Postgres>,
    caller: &Caller,
) -> Result<(), Error> {
    caller.require_admin()?;
    take_turn(tx).await?;
    let now = store::get(&mut **tx, caller.user_id).await?;
    if now.is_some_and(|user| user.is_active && user.role == Role::Admin) {
        return Ok(());
    }
    let message = "whose token this is may not do what it says any more";
    Err(Error::unauthenticated(rpc::reason::TOKEN_REVOKED, message))
}

/// A team that somebody comes into is there.
async fn require_team(tx: &mut Transaction<'_, Postgres>, id: Option<i64>) -> Result<(), Error> {
    match id {
        Some(id) if team::store::lock(tx, id).await?.is_none() => {
            Err(Error::invalid("team_id", "not_found", NO_TEAM))
        }
        _ => Ok(()),
    }
}

/// Changes the caller's own password and ends their other sessions.
pub async fn change_password(
    app: &App,
    caller: &Caller,
    (current, new): (Secret, Secret),
    once: Option<Once<()>>,
    salt: Salt,
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    // No program is given a password, so none has one to show.
    caller.require_session()?;
    caller.require_own_write()?;
    let id = caller.user().ok_or_else(|| Error::denied("a service has no password"))?;
    let operation = CHANGE_PASSWORD;
    if idempotency::kept(&app.read, id, operation, once.as_ref(), now).await?.is_some() {
        return Ok(());
    }
    let mut invalid = Invalid::default();
    password::check(&mut invalid, "new_password", &new);
    invalid.into_result()?;
    let user = get(app, id).await?;
    let peer = session::peer(app, caller).await?;
    let (attempt, hashed) = try_password(app, &user, current, peer, now).await?;
    let new = match password::hash(&app.gate, new, salt).await {
        Ok(new) => new,
        Err(error) => {
            attempt.withdrawn(app).await?;
            return Err(error);
        }
    };
    let mut tx = app.write.begin().await?;
    if idempotency::answered(&mut tx, id, operation, once.as_ref(), now).await?.is_some() {
        attempt.withdrawn(app).await?;
        return Ok(());
    }
    let old = store::lock(&mut tx, id).await?.ok_or_else(|| Error::not_found("user", id))?;
    attempt.succeeded(&mut tx, now).await?;
    if store::hashed_password(&mut *tx, id).await? != hashed {
        return Err(Error::conflict("PASSWORD_CHANGED", "the password was changed meanwhile"));
    }
    let which = Which::Except(caller.session_id);
    let changes = set_password(&mut tx, &old, &new, which, cause, now).await?;
    idempotency::keep(&mut tx, id, operation, once.as_ref(), &()).await?;
    app.commit(tx, &changes).await
}

/// Lets a user through who knows the password they have, whose hash is answered too. Fails with a field error on `current_password`.
pub(crate) async fn try_password(
    app: &App,
    user: &User,
    current: Secret,
    peer: Peer,
    now: DateTime<Utc>,
) -> Result<(Attempt, Option<String>), Error> {
    let attempt = sign_in::admit(app, &user.email, peer, now).await?;
    let hashed = store::hashed_password(&app.read, user.id).await?;
    match password::verify(&app.gate, current, hashed.clone()).await {
        Ok(Verdict::Right | Verdict::Outdated) => Ok((attempt, hashed)),
        Ok(Verdict::Wrong) => {
            attempt.failed(app, now).await?;
            let wrong = "is not the password so far";
            Err(Error::invalid("current_password", "wrong_password", wrong))
        }
        Err(error) => {
            attempt.withdrawn(app).await?;
            Err(error)
        }
    }
}

/// Gives a locked user another password, ends sessions of theirs and withdraws their links, in that transaction; the changes are to be committed with it.
pub(crate) async fn set_password(
    tx: &mut Transaction<'_, Postgres>,
    old: &User,
    hashed_password: &str,
    which: Which,
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<Vec<Change>, Error> {
    let user = old.next(now);
    store::update(tx, &user).await?;
    store::set_password(tx, user.id, hashed_password).await?;
    let mut changes = vec![event::password_changed(&user, cause, now)];
    changes.extend(password_link::withdraw(tx, user.id, cause, now).await?);
    let reason = EndReason::PasswordChanged;
    changes.extend(session::end(tx, user.id, which, reason, cause, now).await?);
    Ok(changes)
}

fn taken(constraint: &str) -> Option<Error> {
    match constraint {
        "users_email_key" => {
            Some(Error::conflict("EMAIL_TAKEN", "another user has this e-mail address"))
        }
        "users_team_id_fkey" => Some(Error::invalid("team_id", "not_found", NO_TEAM)),
        _ => None,
    }
}

const NO_TEAM: &str = "is no team";
