//! Staying signed in, and signing out.

use auth::{Caller, Via};
use chrono::{DateTime, Utc};
use events::Actor;
use rpc::Error;
use sqlx::{Postgres, Transaction};

use super::{
    Grant, Issuer, Use, invalid_grant,
    model::{Half, RefreshToken, Session, Standing, expires_at},
    store, via,
};
use crate::{
    SERVICE,
    app::App,
    cause::Request,
    client::{
        self,
        model::{Client, Credentials, asked, invalid_scope, scope},
    },
    second_factor::{self, model::Need},
    session::{self, Which, model::EndReason},
};

/// A refresh, as it is asked for.
#[derive(Clone)]
pub struct Refresh {
    /// The session's latest token.
    pub token: String,
    /// What the new access token is to be used for; all that was granted where it is absent.
    pub scope: Option<String>,
    /// Who asks, if a client does.
    pub credentials: Option<Credentials>,
}

/// Exchanges a session's latest refresh token for the next. An earlier one ends the session: two have it, and one of them is a thief. A client's token is good in
/// its own hands alone; in others nothing happens to its session.
pub async fn refresh(
    app: &App,
    issuer: &Issuer,
    asks: Refresh,
    secret: Half,
    origin: &Request,
    now: DateTime<Utc>,
) -> Result<Grant, Error> {
    let token = RefreshToken::parse(&asks.token).ok_or_else(invalid_grant)?;
    let wanted = asked(asks.scope.as_deref())?;
    let mut tx = app.write.begin().await?;
    let session = store::find(&mut tx, token.session_id).await?.filter(|it| it.is_of(&token));
    let Session { user_id: owner, client_id, .. } = session.ok_or_else(invalid_grant)?;
    let client = match client_id {
        Some(id) => Some(require_client(&mut tx, id, asks.credentials.as_ref()).await?),
        None => None,
    };
    // First the user, then the session: in the order in which who changes a user takes them.
    let account = store::account(&mut tx, owner).await?;
    let session = store::lock(&mut tx, token.session_id).await?.ok_or_else(invalid_grant)?;
    let first_at = match session.standing(&token, now) {
        Standing::Unknown => return Err(invalid_grant()),
        Standing::Reused => {
            let which = Which::Only(session.id);
            let cause = origin.by(Actor::Service(SERVICE.to_owned()));
            let reason = EndReason::RefreshReuse;
            let ended = session::end(&mut tx, owner, which, reason, &cause, now).await?;
            app.commit(tx, &ended).await?;
            tracing::warn!(
                user_id = owner,
                session_id = session.id,
                "a refresh token was used twice, the session is over"
            );
            return Err(invalid_grant());
        }
        Standing::Latest => now,
        Standing::Previous => session.rotated_at.unwrap_or(now),
    };
    if !account.is_active {
        return Err(invalid_grant());
    }
    // Who has one signed in with it; whose role must have one by now signs in anew and turns it on.
    if second_factor::need(&mut tx, owner).await? == Need::Enrolment {
        return Err(second_factor::required());
    }
    if wanted == Some(true) && !session.may_write {
        return Err(invalid_scope("more is asked for than was granted"));
    }
    let next = token.next(session.generation, secret);
    let until = expires_at(session.created_at, now);
    store::rotate(&mut tx, &next, &token, first_at, now, until).await?;
    tx.commit().await?;
    let may_write = wanted.unwrap_or(session.may_write);
    let to = Use { session_id: session.id, may_write, via: via(client.as_ref()) };
    let access_token = issuer.token(&account, to, now)?;
    let told = wanted.is_some() || client.is_some();
    Ok(Grant {
        access_token,
        expires_in: issuer.life_s,
        refresh_token: next,
        scope: told.then(|| scope(may_write)),
    })
}

/// The client that a session was opened for, which has to show that it is the one that asks.
async fn require_client(
    tx: &mut Transaction<'_, Postgres>,
    id: i64,
    credentials: Option<&Credentials>,
) -> Result<Client, Error> {
    let client = client::authenticate(tx, credentials).await?;
    if client.id == id { Ok(client) } else { Err(invalid_grant()) }
}

/// Ends the session that a refresh token or a verified access token belongs to. What is no token ends nothing. The token of a confidential client is for it alone to revoke.
pub async fn revoke(
    app: &App,
    token: &str,
    (credentials, verified): (Option<&Credentials>, Option<&Caller>),
    origin: &Request,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let mut tx = app.write.begin().await?;
    let verified = verified.filter(|caller| [Via::Session, Via::Client].contains(&caller.via));
    let session = if let Some(caller) = verified.filter(|caller| caller.user().is_some()) {
        let session = store::find(&mut tx, caller.session_id).await?;
        if session.is_none() && caller.via == Via::Client {
            let message = "no session stands for a client's own token";
            return Err(Error::precondition("UNSUPPORTED_TOKEN_TYPE", message));
        }
        session
    } else if let Some(token) = RefreshToken::parse(token) {
        store::find(&mut tx, token.session_id).await?.filter(|session| session.is_of(&token))
    } else {
        None
    };
    let Some(session) = session else { return Ok(()) };
    if let Some(id) = session.client_id {
        let client = client::store::any(&mut tx, id).await?;
        let is_confidential = client.is_some_and(|client| client.secret_hash.is_some());
        if is_confidential || credentials.is_some() {
            require_client(&mut tx, id, credentials).await?;
        }
    }
    let cause = origin.by(Actor::User(session.user_id));
    let (which, reason) = (Which::Only(session.id), EndReason::SignedOut);
    let ended = session::end(&mut tx, session.user_id, which, reason, &cause, now).await?;
    app.commit(tx, &ended).await
}
