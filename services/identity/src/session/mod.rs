//! Sessions: looking at one's own, ending them, and telling every process which tokens are no longer good.

pub mod event;
pub mod model;
pub mod store;

use auth::Caller;
use chrono::{DateTime, TimeDelta, Utc};
use events::Change;
use futures::stream::{self, Stream};
use rpc::Error;
use sqlx::{Postgres, Transaction};

use self::model::{EndReason, Rights, Session, TOLD_FOR};
use crate::{
    app::App,
    authorization,
    cause::Cause,
    page::{Items, Page},
    sign_in::model::Peer,
    user,
};

/// How long a session that is over can still be looked up by who runs the product.
const KEPT: TimeDelta = TimeDelta::days(30);

/// Which sessions of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All.
    All,
    /// That one.
    Only(i64),
    /// All but that one.
    Except(i64),
}

/// The caller's own live sessions, the newest first.
pub async fn list(
    app: &App,
    caller: &Caller,
    page: Page,
    now: DateTime<Utc>,
) -> Result<Items<Session>, Error> {
    caller.require_read()?;
    let rows = store::list(&app.read, caller.user_id, page, now).await?;
    Ok(page.cut(rows, |session| (session.created_at, session.id)))
}

/// From where the caller signed in, for what they try by their session: it is known, other than the connection by which a request of theirs comes.
pub(crate) async fn peer(app: &App, caller: &Caller) -> Result<Peer, Error> {
    let address = store::address(&app.read, caller.session_id).await?;
    Ok(Peer { address: address.and_then(|address| address.parse().ok()) })
}

/// Ends one of the caller's own sessions.
pub async fn end_own(
    app: &App,
    caller: &Caller,
    id: i64,
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    // A key or a program that was stolen would put its owner out.
    caller.require_session()?;
    caller.require_own_write()?;
    let mut tx = app.write.begin().await?;
    let reason = EndReason::SignedOut;
    let ended = end(&mut tx, caller.user_id, Which::Only(id), reason, cause, now).await?;
    if ended.is_empty() {
        return Err(Error::not_found("session", id));
    }
    app.commit(tx, &ended).await
}

/// Ends all sessions of a user on behalf of an admin.
pub async fn end_all(
    app: &App,
    caller: &Caller,
    user_id: i64,
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    caller.require_session()?;
    caller.require_admin()?;
    user::get(app, user_id).await?;
    let mut tx = app.write.begin().await?;
    user::take_turn_as_admin(&mut tx, caller).await?;
    let reason = EndReason::EndedByAdmin;
    let ended = end(&mut tx, user_id, Which::All, reason, cause, now).await?;
    app.commit(tx, &ended).await
}

/// Ends sessions of a user in that transaction; the changes are to be committed with it.
pub(crate) async fn end(
    tx: &mut Transaction<'_, Postgres>,
    user_id: i64,
    which: Which,
    reason: EndReason,
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<Vec<Change>, Error> {
    let (only, except) = match which {
        Which::All => (None, None),
        Which::Only(id) => (Some(id), None),
        Which::Except(id) => (None, Some(id)),
    };
    if only.is_none() {
        // What was about to become a session.
        authorization::store::withdraw_of_user(tx, user_id).await?;
    }
    let ended = store::end(tx, user_id, only, except, reason.as_str(), now).await?;
    told(tx, &ended, cause, now).await
}

/// Ends the sessions that a client was given, in that transaction; the changes are to be committed with it.
pub(crate) async fn end_of_client(
    tx: &mut Transaction<'_, Postgres>,
    client_id: i64,
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<Vec<Change>, Error> {
    let reason = EndReason::ClientDeleted.as_str();
    let ended = store::end_of_client(tx, client_id, reason, now).await?;
    told(tx, &ended, cause, now).await
}

/// Notes that these are over and what is told of it.
async fn told(
    tx: &mut Transaction<'_, Postgres>,
    ended: &[Session],
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<Vec<Change>, Error> {
    let ids: Vec<i64> = ended.iter().map(|session| session.id).collect();
    store::revoke(tx, &ids, now).await?;
    Ok(ended.iter().map(|session| event::ended(session, cause, now)).collect())
}

/// A part of what tokens that were signed before may no longer claim.
#[derive(Clone, Debug, Default)]
pub struct RightsPart {
    /// Users and what they may do now.
    pub users: Vec<Rights>,
    /// What no longer stands for a session.
    pub revoked: Vec<i64>,
}

/// All of it, in parts: every user, then what was revoked.
pub fn rights(
    app: App,
    now: DateTime<Utc>,
) -> impl Stream<Item = sqlx::Result<RightsPart>> + Send + use<> {
    stream::try_unfold(Some(Place::User(i64::MIN)), move |place| {
        let app = app.clone();
        async move {
            let Some(place) = place else { return Ok(None) };
            match place {
                Place::User(after) => {
                    let users = store::rights(&app.read, after, PART).await?;
                    let next = users
                        .last()
                        .map_or(Place::Revoked(i64::MIN), |last| Place::User(last.user_id));
                    Ok(Some((RightsPart { users, ..RightsPart::default() }, Some(next))))
                }
                Place::Revoked(after) => {
                    let revoked = store::revoked(&app.read, now - TOLD_FOR, after, PART).await?;
                    let next = revoked.last().copied().map(Place::Revoked);
                    Ok(Some((RightsPart { revoked, ..RightsPart::default() }, next)))
                }
            }
        }
    })
}

/// How many a part has.
const PART: i64 = 5_000;

/// After which one the next part begins.
enum Place {
    User(i64),
    Revoked(i64),
}

/// Forgets what nobody asks for any more.
pub async fn forget(app: &App, now: DateTime<Utc>) -> sqlx::Result<()> {
    store::forget(&app.write, now - TOLD_FOR, now - KEPT).await
}
