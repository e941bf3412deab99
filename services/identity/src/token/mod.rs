//! Tokens: signing in, staying signed in, and the tokens of services.

pub mod model;
pub mod store;

use auth::{
    Caller, Scope,
    token::{Claims, Jwk, Signer},
};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use chrono::{DateTime, Utc};
use process::Secret;
use rpc::Error;

use self::{
    model::{Half, RefreshToken, Standing, expires_at, hash},
    store::Account,
};
use crate::{
    app::App,
    config::ServiceSecrets,
    password::{self, Salt, Verdict},
    user::model::{Role, fold_email},
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
            role: match account.role {
                Role::Admin => auth::Role::Admin,
                Role::Manager => auth::Role::Manager,
                Role::Rep => auth::Role::Rep,
                Role::Viewer => auth::Role::Viewer,
            },
            team_id: account.team_id,
            rights_version: account.rights_version,
            scope: Scope::ALL,
            service: None,
        };
        let access_token = self.sign(&caller, self.life_s, now)?;
        Ok(Grant { access_token, expires_in: self.life_s, refresh_token })
    }

    fn sign(&self, caller: &Caller, life_s: i64, now: DateTime<Utc>) -> Result<String, Error> {
        let id = events::event_id(now).to_string();
        self.signer.sign(&Claims::of(caller, &self.name, id, now, life_s))
    }
}

/// Opens a session for whoever knows the password. Unknown accounts, wrong passwords and inactive users get one answer, after one time.
pub async fn sign_in(
    app: &App,
    issuer: &Issuer,
    email: &str,
    password: Secret,
    random: Random,
    now: DateTime<Utc>,
) -> Result<Grant, Error> {
    let folded = fold_email(email);
    // The database takes no such text, and nobody has such an address.
    let account =
        if folded.contains('\0') { None } else { store::account_of(&app.read, &folded).await? };
    let hashed = account.as_ref().map(|account| account.hashed_password.clone());
    let verdict = password::verify(&app.gate, password.clone(), hashed).await?;
    let Some(seen) = account.filter(|account| account.is_active && verdict != Verdict::Wrong)
    else {
        return Err(invalid_grant());
    };
    let rehashed = match verdict {
        Verdict::Outdated => Some(password::hash(&app.gate, password, random.salt).await?),
        Verdict::Right | Verdict::Wrong => None,
    };
    let mut tx = app.write.begin().await?;
    if let Some(rehashed) = rehashed {
        store::rehash(&mut tx, seen.user_id, &seen.hashed_password, &rehashed).await?;
    }
    // As the user is now: hashing takes its time.
    let account = store::account(&mut tx, seen.user_id).await?;
    if !account.is_active {
        return Err(invalid_grant());
    }
    let (family_hash, secret_hash) = (hash(&random.family), hash(&random.secret));
    let session_id = store::open(
        &mut tx,
        account.user_id,
        &family_hash,
        &secret_hash,
        now,
        expires_at(now, now),
    )
    .await?;
    tx.commit().await?;
    tracing::info!(user_id = account.user_id, session_id, "signed in");
    let refresh_token =
        RefreshToken { session_id, generation: 1, family: random.family, secret: random.secret };
    issuer.grant(&account, refresh_token, now)
}

/// Exchanges a session's latest refresh token for the next. An earlier one ends the session: two have it, and one of them is a thief.
pub async fn refresh(
    app: &App,
    issuer: &Issuer,
    token: &str,
    secret: Half,
    now: DateTime<Utc>,
) -> Result<Grant, Error> {
    let token = RefreshToken::parse(token).ok_or_else(invalid_grant)?;
    let mut tx = app.write.begin().await?;
    let session = store::lock(&mut tx, token.session_id).await?.ok_or_else(invalid_grant)?;
    match session.standing(&token, now) {
        Standing::Unknown => return Err(invalid_grant()),
        Standing::Reused => {
            store::end(&mut tx, session.id, "refresh_reuse", now).await?;
            tx.commit().await?;
            tracing::warn!(
                user_id = session.user_id,
                session_id = session.id,
                "a refresh token was used twice, the session is over"
            );
            return Err(invalid_grant());
        }
        Standing::Latest => {}
    }
    let account = store::account(&mut tx, session.user_id).await?;
    if !account.is_active {
        store::end(&mut tx, session.id, "user_inactive", now).await?;
        tx.commit().await?;
        return Err(invalid_grant());
    }
    let next = token.next(secret);
    store::rotate(&mut tx, &next, now, expires_at(session.created_at, now)).await?;
    tx.commit().await?;
    issuer.grant(&account, next, now)
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
