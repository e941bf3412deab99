//! Tokens: signing in, staying signed in, and the tokens of services.

pub mod model;
pub mod store;

use auth::{
    Caller, Scope, Via,
    token::{Claims, Jwk, Signer},
};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use chrono::{DateTime, Utc};
use events::{Actor, Change};
use process::Secret;
use rpc::Error;
use sqlx::{Postgres, Transaction};

use self::{
    model::{Half, RefreshToken, Standing, expires_at, hash},
    store::Account,
};
use crate::{
    SERVICE,
    app::App,
    cause::{Cause, Request},
    config::ServiceSecrets,
    password::{self, Salt, Verdict},
    second_factor::{self, model::Need},
    session::{
        self, Which,
        model::{EndReason, Method},
    },
    sign_in::{self, model::Peer},
    user::model::fold_email,
};

/// Seconds that a service's token lives.
const SERVICE_TOKEN_LIFE_S: i64 = 900;

/// What access tokens are made with.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// Signs.
    pub signer: Signer,
    /// The key that signed before, or will next: accepted, and published for others to accept.
    pub second: Option<Jwk>,
    /// Who tokens say they are from.
    pub name: String,
    /// Seconds that a user's token lives.
    pub life_s: i64,
}

/// Randomness for one sign-in.
#[derive(Clone, Copy)]
pub struct Random {
    /// For the session.
    pub family: Half,
    /// For its first refresh token.
    pub secret: Half,
    /// For the password, should it be hashed anew.
    pub salt: Salt,
}

/// What somebody gets who signs in or stays signed in.
#[derive(Clone, Debug)]
pub struct Grant {
    /// A signed JWT.
    pub access_token: String,
    /// Seconds until it expires.
    pub expires_in: i64,
    /// For the next grant.
    pub refresh_token: RefreshToken,
}

impl Issuer {
    /// Every key whose signatures are accepted; the first signs.
    pub fn keys(&self) -> Vec<Jwk> {
        [self.signer.public_key().clone()].into_iter().chain(self.second.clone()).collect()
    }

    fn grant(
        &self,
        account: &Account,
        refresh_token: RefreshToken,
        now: DateTime<Utc>,
    ) -> Result<Grant, Error> {
        let caller = Caller {
            user_id: account.user_id,
            session_id: refresh_token.session_id,
            role: account.role.into(),
            team_id: account.team_id,
            rights_version: account.rights_version,
            scope: Scope::ALL,
            via: Via::Session,
            service: None,
        };
        let access_token = self.sign(&caller, self.life_s, now)?;
        Ok(Grant { access_token, expires_in: self.life_s, refresh_token })
    }

    /// A token that tells of that caller.
    pub(crate) fn sign(
        &self,
        caller: &Caller,
        life_s: i64,
        now: DateTime<Utc>,
    ) -> Result<String, Error> {
        let id = events::event_id(now).to_string();
        self.signer.sign(&Claims::of(caller, &self.name, id, now, life_s))
    }
}

/// A sign-in that is about to open a session.
#[derive(Clone, Copy)]
pub struct Opened {
    /// How somebody signed in.
    pub method: Method,
    /// From where.
    pub peer: Peer,
    /// For the session and its first token.
    pub random: Random,
}

/// Opens a session for whoever knows the password. Unknown accounts, wrong passwords and inactive users get one answer, after one time. Where a second factor is
/// needed, a right password gets `SECOND_FACTOR_REQUIRED`.
pub async fn sign_in(
    app: &App,
    issuer: &Issuer,
    email: &str,
    password: Secret,
    (peer, random): (Peer, Random),
    origin: &Request,
    now: DateTime<Utc>,
) -> Result<Grant, Error> {
    let attempt = sign_in::admit(app, email, peer, now).await?;
    let (mut tx, account) = match recognise(app, email, password, random.salt).await {
        Ok(Some(recognised)) => recognised,
        Ok(None) => {
            attempt.failed(app, now).await?;
            return Err(invalid_grant());
        }
        Err(error) => {
            attempt.withdrawn(app).await?;
            return Err(error);
        }
    };
    attempt.succeeded(&mut tx, now).await?;
    if second_factor::need(&mut tx, account.user_id).await? != Need::None {
        tx.commit().await?;
        return Err(second_factor::required());
    }
    let opened = Opened { method: Method::Password, peer, random };
    let cause = origin.by(Actor::User(account.user_id));
    let (grant, change) = open(&mut tx, issuer, &account, opened, &cause, now).await?;
    app.commit(tx, &[change]).await?;
    Ok(grant)
}

/// The active account of that address whose password it is, as it is now, and the transaction that keeps it so. Hashing takes its time: where the password was
/// hashed anew meanwhile, as by another sign-in, it is looked at once more.
async fn recognise(
    app: &App,
    email: &str,
    password: Secret,
    salt: Salt,
) -> Result<Option<(Transaction<'static, Postgres>, Account)>, Error> {
    for _ in 0..2 {
        let Some(known) = known(app, email, password.clone(), salt).await? else {
            return Ok(None);
        };
        let mut tx = app.write.begin().await?;
        if let (Some(old), Some(new)) = (&known.hashed_password, &known.rehashed) {
            store::rehash(&mut tx, known.user_id, old, new).await?;
        }
        let account = store::account(&mut tx, known.user_id).await?;
        let is_same = [&known.hashed_password, &known.rehashed].contains(&&account.hashed_password);
        if account.is_active && is_same {
            return Ok(Some((tx, account)));
        }
    }
    Ok(None)
}

/// An account whose password is known to be right.
struct Known {
    user_id: i64,
    hashed_password: Option<String>,
    /// The password hashed anew, where that is due.
    rehashed: Option<String>,
}

/// The active account of that address, if the password is its own. Takes as long where there is none.
async fn known(
    app: &App,
    email: &str,
    password: Secret,
    salt: Salt,
) -> Result<Option<Known>, Error> {
    let account = account_of(app, &fold_email(email)).await?;
    let hashed = account.as_ref().and_then(|account| account.hashed_password.clone());
    let verdict = password::verify(&app.gate, password.clone(), hashed).await?;
    let Some(account) = account.filter(|account| account.is_active && verdict != Verdict::Wrong)
    else {
        return Ok(None);
    };
    let rehashed = match verdict {
        Verdict::Outdated => Some(password::hash(&app.gate, password, salt).await?),
        Verdict::Right | Verdict::Wrong => None,
    };
    let Account { user_id, hashed_password, .. } = account;
    Ok(Some(Known { user_id, hashed_password, rehashed }))
}

/// The account of a folded address.
pub(crate) async fn account_of(app: &App, folded_email: &str) -> Result<Option<Account>, Error> {
    // The database takes no such text, and nobody has such an address.
    if folded_email.contains('\0') {
        return Ok(None);
    }
    Ok(store::account_of(&app.read, folded_email).await?)
}

/// Opens a session in that transaction, with which the change is to be committed.
pub(crate) async fn open(
    tx: &mut Transaction<'_, Postgres>,
    issuer: &Issuer,
    account: &Account,
    opened: Opened,
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<(Grant, Change), Error> {
    let Random { family, secret, .. } = opened.random;
    let new = store::New {
        user_id: account.user_id,
        method: opened.method.as_str(),
        address: opened.peer.address.map(|address| address.to_canonical().to_string()),
        family_hash: &hash(&family),
        secret_hash: &hash(&secret),
        expires_at: expires_at(now, now),
    };
    let session = store::open(tx, &new, now).await?;
    tracing::info!(user_id = account.user_id, session_id = session.id, "signed in");
    let refresh_token = RefreshToken { session_id: session.id, generation: 1, family, secret };
    let grant = issuer.grant(account, refresh_token, now)?;
    Ok((grant, session::event::started(&session, cause, now)))
}

/// Exchanges a session's latest refresh token for the next. An earlier one ends the session: two have it, and one of them is a thief.
pub async fn refresh(
    app: &App,
    issuer: &Issuer,
    token: &str,
    secret: Half,
    origin: &Request,
    now: DateTime<Utc>,
) -> Result<Grant, Error> {
    let token = RefreshToken::parse(token).ok_or_else(invalid_grant)?;
    let mut tx = app.write.begin().await?;
    // First the user, then the session: in the order in which who changes a user takes them.
    let owner = store::owner(&mut tx, token.session_id).await?.ok_or_else(invalid_grant)?;
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
    let next = token.next(session.generation, secret);
    let until = expires_at(session.created_at, now);
    store::rotate(&mut tx, &next, &token, first_at, now, until).await?;
    tx.commit().await?;
    issuer.grant(&account, next, now)
}

/// Ends the session that a refresh token or a verified access token belongs to. What is no token ends nothing.
pub async fn revoke(
    app: &App,
    token: &str,
    verified: Option<&Caller>,
    origin: &Request,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let mut tx = app.write.begin().await?;
    let (session_id, owner) = if let Some(caller) = verified.filter(|it| it.via == Via::Session) {
        (caller.session_id, Some(caller.user_id))
    } else if let Some(token) = RefreshToken::parse(token) {
        let session = store::lock(&mut tx, token.session_id).await?;
        let session = session.filter(|session| session.is_of(&token));
        (token.session_id, session.map(|session| session.user_id))
    } else {
        return Ok(());
    };
    let Some(owner) = owner else { return Ok(()) };
    let cause = origin.by(Actor::User(owner));
    let (which, reason) = (Which::Only(session_id), EndReason::SignedOut);
    let ended = session::end(&mut tx, owner, which, reason, &cause, now).await?;
    app.commit(tx, &ended).await
}

/// A service's own access token and the seconds it lives, for its secret.
pub fn for_service(
    issuer: &Issuer,
    secrets: &ServiceSecrets,
    service: &str,
    secret: &Secret,
    now: DateTime<Utc>,
) -> Result<(String, i64), Error> {
    let known = secrets.of(service);
    // Hashes are compared, so that the time tells nothing of length or content; an unknown name is compared with what is no secret.
    let expected = hash(known.map_or("", Secret::expose).as_bytes());
    let same = verify_slices_are_equal(&expected, &hash(secret.expose().as_bytes())).is_ok();
    if known.is_none() || !same {
        return Err(Error::unauthenticated("INVALID_CLIENT", "unknown service or wrong secret"));
    }
    Ok((issuer.sign(&Caller::service(service), SERVICE_TOKEN_LIFE_S, now)?, SERVICE_TOKEN_LIFE_S))
}

fn invalid_grant() -> Error {
    Error::unauthenticated("INVALID_GRANT", "wrong credentials, or they are no longer good")
}
