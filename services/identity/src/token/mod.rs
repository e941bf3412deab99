//! Tokens: signing in, staying signed in, and the tokens of services.

pub mod model;
pub mod refresh;
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
    model::{Half, RefreshToken, expires_at, hash},
    store::Account,
};
use crate::{
    app::App,
    cause::{Cause, Request},
    client::{
        self,
        model::{Client, Credentials, asked, scope},
    },
    config::ServiceSecrets,
    password::{self, Salt, Verdict},
    second_factor::{self, model::Need},
    session::{self, model::Method},
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
    /// Whether an e-mail address and a password are taken at the token endpoint.
    pub takes_passwords: bool,
}

/// Randomness for one session.
#[derive(Clone, Copy)]
pub struct Random {
    /// For the session.
    pub family: Half,
    /// For its first refresh token.
    pub secret: Half,
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
    /// What the access token may be used for, where that is to be told.
    pub scope: Option<Scope>,
}

/// For whom and for what a user's token is.
#[derive(Clone, Copy, Debug)]
struct Use {
    /// The session, or what stands for one.
    session_id: i64,
    may_write: bool,
    via: Via,
}

/// What a session that a client was given is got for: to the product's own ones people speak themselves, others are programs.
fn via(client: Option<&Client>) -> Via {
    match client {
        Some(client) if !client.is_built_in => Via::Client,
        Some(_) | None => Via::Session,
    }
}

impl Issuer {
    /// Every key whose signatures are accepted; the first signs.
    pub fn keys(&self) -> Vec<Jwk> {
        [self.signer.public_key().clone()].into_iter().chain(self.second.clone()).collect()
    }

    /// A user's token.
    fn token(&self, account: &Account, to: Use, now: DateTime<Utc>) -> Result<String, Error> {
        let caller = Caller {
            user_id: account.user_id,
            session_id: to.session_id,
            role: account.role.into(),
            team_id: account.team_id,
            rights_version: account.rights_version,
            scope: scope(to.may_write),
            via: to.via,
            service: None,
        };
        self.sign(&caller, self.life_s, now)
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
#[derive(Clone)]
pub struct Opened<'a> {
    /// How somebody signed in.
    pub method: Method,
    /// From where, if known.
    pub address: Option<String>,
    /// For which program, if for one.
    pub client: Option<&'a Client>,
    /// Whether its tokens may be for changing too.
    pub may_write: bool,
    /// For the session and its first token.
    pub random: Random,
}

/// Opens a session for whoever knows the password. Unknown accounts, wrong passwords and inactive users get one answer, after one time. Where a second factor is
/// needed, a right password gets `SECOND_FACTOR_REQUIRED`.
pub async fn sign_in(
    app: &App,
    issuer: &Issuer,
    (email, password): (&str, Secret),
    wanted: Option<&str>,
    (peer, random, salt): (Peer, Random, Salt),
    origin: &Request,
    now: DateTime<Utc>,
) -> Result<Grant, Error> {
    if !issuer.takes_passwords {
        let message = "the password grant is switched off";
        return Err(Error::precondition("UNSUPPORTED_GRANT_TYPE", message));
    }
    let wanted = asked(wanted)?;
    let checked = check_password(app, email, password, (peer, salt), now).await?;
    let (mut tx, account) = checked.ok_or_else(invalid_grant)?;
    if second_factor::need(&mut tx, account.user_id).await? != Need::None {
        tx.commit().await?;
        return Err(second_factor::required());
    }
    let opened = Opened {
        method: Method::Password,
        address: peer.told(),
        client: None,
        may_write: wanted.unwrap_or(true),
        random,
    };
    let cause = origin.by(Actor::User(account.user_id));
    let (grant, change) = open(&mut tx, issuer, &account, opened, &cause, now).await?;
    app.commit(tx, &[change]).await?;
    Ok(Grant { scope: wanted.map(scope), ..grant })
}

/// The active account of that address, if the password is its own, in a transaction that notes the success and is for what it was for. Nothing for unknown accounts, wrong
/// passwords and inactive users, after one time. Fails where nobody may try now.
pub(crate) async fn check_password(
    app: &App,
    email: &str,
    password: Secret,
    (peer, salt): (Peer, Salt),
    now: DateTime<Utc>,
) -> Result<Option<(Transaction<'static, Postgres>, Account)>, Error> {
    let attempt = sign_in::admit(app, email, peer, now).await?;
    let (mut tx, account) = match recognise(app, email, password, salt).await {
        Ok(Some(recognised)) => recognised,
        Ok(None) => {
            attempt.failed(app, now).await?;
            return Ok(None);
        }
        Err(error) => {
            attempt.withdrawn(app).await?;
            return Err(error);
        }
    };
    attempt.succeeded(&mut tx, now).await?;
    Ok(Some((tx, account)))
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
    opened: Opened<'_>,
    cause: &Cause,
    now: DateTime<Utc>,
) -> Result<(Grant, Change), Error> {
    let Opened { method, address, client, may_write, random: Random { family, secret } } = opened;
    let new = store::New {
        user_id: account.user_id,
        method: method.as_str(),
        address,
        client_id: client.map(|client| client.id),
        may_write,
        family_hash: &hash(&family),
        secret_hash: &hash(&secret),
        expires_at: expires_at(now, now),
    };
    let session = store::open(tx, &new, now).await?;
    tracing::info!(user_id = account.user_id, session_id = session.id, "signed in");
    let refresh_token = RefreshToken { session_id: session.id, generation: 1, family, secret };
    let to = Use { session_id: session.id, may_write, via: via(client) };
    let access_token = issuer.token(account, to, now)?;
    let grant = Grant { access_token, expires_in: issuer.life_s, refresh_token, scope: None };
    Ok((grant, session::event::started(&session, cause, now)))
}

/// An access token and the seconds it lives for a client that acts as its user by itself, and what it may be used for.
pub async fn for_client(
    app: &App,
    issuer: &Issuer,
    credentials: Option<&Credentials>,
    wanted: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(String, i64, Scope), Error> {
    let unauthorized = |message: &'static str| Error::precondition("UNAUTHORIZED_CLIENT", message);
    let wanted = asked(wanted)?;
    let mut tx = app.write.begin().await?;
    let client = client::authenticate(&mut tx, credentials).await?;
    let user_id =
        client.user_id.ok_or_else(|| unauthorized("the client acts as nobody by itself"))?;
    let account = store::account(&mut tx, user_id).await?;
    if !account.is_active {
        return Err(unauthorized("the client's user is not active"));
    }
    tx.rollback().await?;
    let may_write = client.may_write && wanted.unwrap_or(true);
    let to = Use { session_id: client.id, may_write, via: Via::Client };
    Ok((issuer.token(&account, to, now)?, issuer.life_s, scope(may_write)))
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

/// What was shown for tokens is not good, or not any more, or in other hands.
pub(crate) fn invalid_grant() -> Error {
    Error::unauthenticated("INVALID_GRANT", "wrong credentials, or they are no longer good")
}
