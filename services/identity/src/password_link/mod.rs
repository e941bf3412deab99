//! Links by which a person sets a password, once: an invitation, or because they forgot theirs.
//!
//! Nobody keeps a link. Its secret is derived from `SECRET_KEY` whenever it is needed, and its hash alone is stored; the event that tells of it has neither.

pub mod event;
pub mod model;
pub mod store;

use auth::Caller;
use chrono::{DateTime, TimeDelta, Utc};
use events::{Actor, Change};
use idempotency::Once;
use process::Secret;
use rpc::{Error, Invalid};
use sqlx::{Postgres, Transaction};

use self::model::{Kind, Link, Links, Nonce, PER_ACCOUNT, PER_ADDRESS, Token, WINDOW, subject};
use crate::{
    SERVICE,
    app::App,
    cause::{Cause, Request},
    password::{self, Salt},
    session::Which,
    sign_in::{self, model::Peer},
    token,
    user::{
        self,
        model::{User, fold_email},
    },
};

/// The operation that an idempotency key is for.
const INVITE: &str = "InviteUser";

/// The service that mails links.
const MAILS: &str = "notifier";

/// How long a link that is over can still be looked up by who runs the product.
const KEPT: TimeDelta = TimeDelta::days(30);

/// A new link.
#[derive(Clone, Debug)]
pub struct Issued {
    /// Its id.
    pub id: i64,
    /// The link itself.
    pub url: Secret,
    /// To be committed with it.
    pub changes: Vec<Change>,
}

/// Makes a link of a locked user in that transaction; it takes the place of the one before, and an invitation that of a reset, too.
pub(crate) async fn issue(
    tx: &mut Transaction<'_, Postgres>,
    (links, nonce): (&Links, Nonce),
    user_id: i64,
    kind: Kind,
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<Issued, Error> {
    let mut changes = match kind {
        Kind::Invitation => withdraw(tx, user_id, cause, now).await?,
        // Anybody may ask for one; an administrator's invitation stays good.
        Kind::Reset => told(&store::withdraw_of_kind(tx, user_id, kind, now).await?, cause, now),
    };
    let id = store::next_id(tx).await?;
    let token = links.key.token(id, &nonce);
    let token = token.ok_or_else(|| Error::internal("a link has no secret"))?;
    let link = Link::new(&token, user_id, kind, nonce, now);
    store::insert(tx, &link).await?;
    tracing::info!(user_id, link_id = id, kind = kind.as_str(), "made a link to set a password");
    changes.push(event::created(&link, cause, now));
    Ok(Issued { id, url: links.url(&token), changes })
}

/// Withdraws what a locked user has of good links, in that transaction; the changes are to be committed with it.
pub(crate) async fn withdraw(
    tx: &mut Transaction<'_, Postgres>,
    user_id: i64,
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<Vec<Change>, Error> {
    Ok(told(&store::withdraw(tx, user_id, now).await?, cause, now))
}

fn told(withdrawn: &[Link], cause: &Cause, now: DateTime<Utc>) -> Vec<Change> {
    withdrawn.iter().map(|link| event::withdrawn(link, cause, now)).collect()
}

/// A link for an active user, who may have a password already, on behalf of an admin who signed in: with it, they could sign in as that user. Asked again with
/// the same key it is a conflict (`IDEMPOTENT_REPLAY`): the link is shown once.
pub async fn invite(
    app: &App,
    (links, nonce): (&Links, Nonce),
    caller: &Caller,
    user_id: i64,
    once: Option<Once<i64>>,
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<Secret, Error> {
    caller.require_admin()?;
    caller.require_session()?;
    let mut tx = app.write.begin().await?;
    let by = caller.user_id;
    // A key is for a path, and that names the user.
    let operation = format!("{INVITE} {user_id}");
    if let Some(made) = idempotency::answered(&mut tx, by, &operation, once.as_ref(), now).await? {
        return Err(idempotency::shown_once(String::from_utf8_lossy(&made)));
    }
    user::take_turn_as_admin(&mut tx, caller).await?;
    let user = user::store::lock(&mut tx, user_id).await?;
    let user = user.ok_or_else(|| Error::not_found("user", user_id))?;
    if !user.is_active {
        let inactive = "nobody is invited who may not sign in";
        return Err(Error::precondition("USER_INACTIVE", inactive));
    }
    let issued = issue(&mut tx, (links, nonce), user_id, Kind::Invitation, cause, now).await?;
    idempotency::keep(&mut tx, by, &operation, once.as_ref(), &issued.id).await?;
    app.commit(tx, &issued.changes).await?;
    Ok(issued.url)
}

/// Makes a link for the active user of that address, to be mailed, unless more were asked for than there may be. Who asks learns nothing of it.
pub async fn request_reset(
    app: &App,
    (links, nonce): (&Links, Nonce),
    email: &str,
    peer: Peer,
    origin: &Request,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    if links.public_url.is_none() {
        tracing::warn!("somebody forgot their password, and without PUBLIC_URL no link is mailed");
        return Ok(());
    }
    let (folded, prefix) = (fold_email(email), peer.prefix());
    // Where they signed in lately they have a count of their own, so that nobody elsewhere uses it up.
    let account = if sign_in::is_trusted(app, &folded, peer, now).await? {
        subject("account from", &format!("{prefix} {folded}"))
    } else {
        subject("account", &folded)
    };
    let mut tx = app.write.begin().await?;
    for (subject, most) in [(subject("address", &prefix), PER_ADDRESS), (account, PER_ACCOUNT)] {
        if !store::count(&mut tx, &subject, most, now, now - WINDOW).await? {
            tracing::info!("more links to set a password were asked for than there may be");
            return Ok(tx.commit().await?);
        }
    }
    let user = match token::account_of(app, &folded).await? {
        Some(account) => user::store::lock(&mut tx, account.user_id).await?,
        None => None,
    };
    let Some(user) = user.filter(|it| it.is_active && fold_email(&it.email) == folded) else {
        return Ok(tx.commit().await?);
    };
    let cause = origin.by(Actor::Service(SERVICE.to_owned()));
    let issued = issue(&mut tx, (links, nonce), user.id, Kind::Reset, &cause, now).await?;
    app.commit(tx, &issued.changes).await
}

/// Sets the password of the user whose link it is, and ends all their sessions. Of many who try one link at once, one succeeds. What is wrong with a link that is
/// not good is not told.
pub async fn set_password(
    app: &App,
    token: &str,
    new_password: Secret,
    salt: Salt,
    origin: &Request,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let mut invalid = Invalid::default();
    let known = known(app, token, now).await?;
    match &known {
        Some(_) => {}
        None if token.is_empty() => invalid.add("token", "required", "is missing"),
        None => invalid.add("token", "invalid_token", NOT_GOOD),
    }
    password::check(&mut invalid, "new_password", &new_password);
    invalid.into_result()?;
    let (token, user_id) = known.ok_or_else(not_good)?;
    // Only for a good link: nobody can have passwords hashed by guessing.
    let hashed = password::hash(&app.gate, new_password, salt).await?;
    let mut tx = app.write.begin().await?;
    // First the user, then the link: in the order in which who changes a user takes them.
    let user = user::store::lock(&mut tx, user_id).await?.filter(|user| user.is_active);
    let link = store::lock(&mut tx, token.link_id).await?;
    let link = link.filter(|link| link.is_good(now) && link.is_of(&token));
    let (Some(user), Some(link)) = (user, link) else { return Err(not_good()) };
    let cause = origin.by(Actor::User(user.id));
    let link = link.used(now);
    store::put_used(&mut tx, &link).await?;
    let mut changes = vec![event::used(&link, &cause, now)];
    sign_in::pardon(&mut tx, &user.email).await?;
    changes.extend(user::set_password(&mut tx, &user, &hashed, Which::All, &cause, now).await?);
    app.commit(tx, &changes).await
}

/// The token and whose it is, if it is of a good link of an active user.
async fn known(app: &App, token: &str, now: DateTime<Utc>) -> Result<Option<(Token, i64)>, Error> {
    let Some(token) = Token::parse(token) else { return Ok(None) };
    let link = store::get(&app.read, token.link_id).await?;
    let Some(link) = link.filter(|link| link.is_of(&token) && link.is_good(now)) else {
        return Ok(None);
    };
    let user = user::store::get(&app.read, link.user_id).await?;
    Ok(user.filter(|user| user.is_active).map(|user| (token, user.id)))
}

/// A link as it is mailed.
#[derive(Clone, Debug)]
pub struct Revealed {
    /// Whose password.
    pub user: User,
    /// What it is for.
    pub kind: Kind,
    /// The link itself.
    pub url: Secret,
    /// Until when it is good.
    pub expires_at: DateTime<Utc>,
}

/// A good link of an active user, for the service that mails it.
pub async fn reveal(
    app: &App,
    links: &Links,
    caller: &Caller,
    id: i64,
    now: DateTime<Utc>,
) -> Result<Revealed, Error> {
    if caller.require_service()? != MAILS {
        return Err(Error::denied("only who mails links is told one"));
    }
    let gone = || Error::not_found("password link", id);
    let link = store::get(&app.read, id).await?.filter(|link| link.is_good(now));
    let link = link.ok_or_else(gone)?;
    let user = user::store::get(&app.read, link.user_id).await?.filter(|user| user.is_active);
    let user = user.ok_or_else(gone)?;
    if links.public_url.is_none() {
        let unknown = "PUBLIC_URL is not set, so that a link in a mail would lead nowhere";
        return Err(Error::precondition("NO_PUBLIC_URL", unknown));
    }
    let Some(token) = links.token_of(&link) else {
        tracing::warn!(
            link_id = id,
            "a link was made with a SECRET_KEY that is not known any more"
        );
        return Err(gone());
    };
    Ok(Revealed { user, kind: link.kind, url: links.url(&token), expires_at: link.expires_at })
}

/// Forgets what nobody asks for any more.
pub async fn forget(app: &App, now: DateTime<Utc>) -> sqlx::Result<()> {
    store::forget(&app.write, now - KEPT, now - WINDOW).await
}

fn not_good() -> Error {
    Error::invalid("token", "invalid_token", NOT_GOOD)
}

const NOT_GOOD: &str = "is not of a link that is good; ask for another";
