//! Verifying access tokens.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use rpc::{Error, reason};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::{
    Caller, Keys, Revocations,
    memory::Memory,
    token::{Claims, LONGEST_LIFE_SECONDS, TYPE},
};

/// Who signs our tokens: identity, by this name.
pub const ISSUER: &str = "salespipeline";
/// Whom our tokens are for.
pub const AUDIENCE: &str = "salespipeline";

/// The longest token that is looked at, in bytes.
const LONGEST: usize = 8 * 1024;
/// How far the clocks of two machines may be apart, in seconds.
const LEEWAY: i64 = 5;

/// Has a verifier learn identity's keys before the first token comes, as soon as identity tells them.
pub async fn learn_keys(
    verifier: Arc<Verifier>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    shutdown.run_until_cancelled(verifier.keys.learn()).await;
    Ok(())
}

/// Verifies access tokens and remembers those that were good, so that a token costs a look-up from its second use on.
///
/// A token is good if its header is as we write it, it is signed with EdDSA by one of identity's keys, from this issuer and for
/// [`AUDIENCE`], has every claim once, is within its time by `now` (5 s of leeway), and was made for no more than a day. Whether it was since taken back, the
/// [`Revocations`] say each time.
#[derive(Debug)]
pub struct Verifier {
    validation: Validation,
    keys: Arc<Keys>,
    revocations: Arc<Revocations>,
    memory: Memory,
    /// The withdrawals that the memory knows of.
    withdrawals: AtomicU64,
}

impl Verifier {
    /// A verifier of the tokens of this issuer.
    pub fn new(issuer: &str, keys: Keys, revocations: Arc<Revocations>) -> Self {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        // Checked here, by the time that we are given: the library reads the clock itself.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let withdrawals = AtomicU64::new(keys.withdrawals());
        Self {
            validation,
            keys: Arc::new(keys),
            revocations,
            memory: Memory::default(),
            withdrawals,
        }
    }

    /// What has been taken back, as this verifier sees it.
    pub fn revocations(&self) -> &Arc<Revocations> {
        &self.revocations
    }

    /// Whom a token tells of. `UNAUTHENTICATED` with reason `TOKEN_INVALID`, `TOKEN_EXPIRED` or `TOKEN_REVOKED` if it is not good now;
    /// `UNAVAILABLE` if it names a key that only identity could tell of, and identity does not answer.
    pub async fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<Caller, Error> {
        if let Some(answer) = self.remembered(token, now) {
            return answer;
        }
        if token.len() > LONGEST {
            return Err(invalid());
        }
        let kid = key_of(token)?;
        let withdrawals = self.keys.withdrawals();
        let key = self.keys.find(&kid).await?.ok_or_else(invalid)?;
        if self.keys.are_stale() {
            let keys = self.keys.clone();
            tokio::spawn(async move { keys.freshen().await });
        }
        let now = now.timestamp();
        let (caller, expires_at) = self.read(token, &key, now)?;
        // Not if a key was withdrawn meanwhile: it may have been this one.
        if self.keys.withdrawals() == withdrawals {
            self.memory.put(token, caller.clone(), expires_at, now);
        }
        self.revocations.check(caller)
    }

    /// The same for a token that was verified before, without waiting; `None` for any other.
    pub fn remembered(&self, token: &str, now: DateTime<Utc>) -> Option<Result<Caller, Error>> {
        let withdrawals = self.keys.withdrawals();
        if self.withdrawals.load(Ordering::Acquire) != withdrawals {
            self.memory.clear();
            self.withdrawals.store(withdrawals, Ordering::Release);
        }
        let (caller, expires_at) = self.memory.get(token)?;
        if now.timestamp() >= expires_at {
            return Some(Err(expired()));
        }
        Some(self.revocations.check(caller))
    }

    /// The caller and the first second at which the token is too old.
    fn read(&self, token: &str, key: &DecodingKey, now: i64) -> Result<(Caller, i64), Error> {
        let claims = jsonwebtoken::decode::<Claims>(token, key, &self.validation)
            .map_err(|_| invalid())?
            .claims;
        let too_long = claims.exp.saturating_sub(claims.iat) > LONGEST_LIFE_SECONDS;
        let too_early = claims.nbf > now + LEEWAY || claims.iat > now + LEEWAY;
        let out_of_order = claims.nbf < claims.iat || claims.exp <= claims.nbf;
        if claims.jti.is_empty() || out_of_order || too_long || too_early {
            return Err(invalid());
        }
        let expires_at = claims.exp.saturating_add(LEEWAY);
        if now >= expires_at {
            return Err(expired());
        }
        let caller = claims.caller().ok_or_else(invalid)?;
        Ok((caller, expires_at))
    }
}

/// A header as we write it. One that says more (`jku`, `jwk`, `crit`, …) wants something that we do not do.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    typ: String,
    alg: String,
    kid: String,
}

/// The key that a token says it was signed with, if its header is one that we write.
fn key_of(token: &str) -> Result<String, Error> {
    let (header, _) = token.split_once('.').ok_or_else(invalid)?;
    let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| invalid())?;
    let header: Header = serde_json::from_slice(&header).map_err(|_| invalid())?;
    let is_ours = header.typ == TYPE && header.alg == "EdDSA";
    if is_ours { Ok(header.kid) } else { Err(invalid()) }
}

fn invalid() -> Error {
    Error::unauthenticated(reason::TOKEN_INVALID, "the access token is not valid")
}

fn expired() -> Error {
    Error::unauthenticated(reason::TOKEN_EXPIRED, "the access token has expired")
}
