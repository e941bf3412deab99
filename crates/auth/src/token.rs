//! Access tokens as identity makes them: signed JWTs (RFC 9068, EdDSA), and the public keys by which others verify them.

use std::collections::HashSet;

use aws_lc_rs::{
    digest,
    hkdf::{HKDF_SHA256, Salt},
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use process::Secret;
use serde::{Deserialize, Serialize};

use crate::{Caller, Role, Scope, Via, verifier::AUDIENCE};

/// The `typ` of our tokens, which no other kind of JWT has.
pub const TYPE: &str = "at+jwt";

/// The longest that a token may live, in seconds: 24 hours.
pub const LONGEST_LIFE_SECONDS: i64 = 24 * 3_600;

/// The fewest characters of a `SECRET_KEY`.
const SHORTEST_SECRET: usize = 32;

/// Binds what is derived from the secret to this one use.
const PURPOSE: &[u8] = b"salespipeline token signing v1";

/// What comes before the 32 bytes of an Ed25519 private key in PKCS #8 (RFC 8410, section 7).
const PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Which deployment signed it.
    pub iss: String,
    /// Whom it is for: always [`AUDIENCE`].
    pub aud: String,
    /// The user's id, or `service:<name>`.
    pub sub: String,
    /// The session, or what stands for one; 0 for a service.
    pub sid: i64,
    /// This token and no other.
    pub jti: String,
    /// What it may be used for.
    pub scope: Scope,
    /// What the caller is, at rights version `rv`.
    pub role: Role,
    /// Their team then.
    #[serde(deserialize_with = "present")]
    pub team: Option<i64>,
    /// Version of the user's rights.
    pub rv: i64,
    /// What it was got for.
    pub via: Via,
    /// When it was signed, in seconds since 1970, like the other two.
    pub iat: i64,
    /// From when it is good.
    pub nbf: i64,
    /// From when it is no longer.
    pub exp: i64,
}

/// A claim that may be null, and may not be missing.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Option::deserialize(deserializer)
}

impl Claims {
    /// What a token for `caller` says, good for `lifetime` seconds from `now`. `id` is unique among tokens.
    pub fn of(
        caller: &Caller,
        issuer: &str,
        id: impl Into<String>,
        now: DateTime<Utc>,
        lifetime: i64,
    ) -> Self {
        let now = now.timestamp();
        Self {
            iss: issuer.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: match &caller.service {
                Some(name) => format!("service:{name}"),
                None => caller.user_id.to_string(),
            },
            sid: caller.session_id,
            jti: id.into(),
            scope: caller.scope,
            role: caller.role,
            team: caller.team_id,
            rv: caller.rights_version,
            via: caller.via,
            iat: now,
            nbf: now,
            exp: now + lifetime.min(LONGEST_LIFE_SECONDS),
        }
    }

    /// Whom it tells of, if its claims go together: a service is a service in subject and role.
    pub(crate) fn caller(self) -> Option<Caller> {
        let service = self.sub.strip_prefix("service:").map(str::to_owned);
        let user_id = match (&service, self.role) {
            (Some(name), Role::Service) if !name.is_empty() => 0,
            (None, Role::Admin | Role::Manager | Role::Rep | Role::Viewer) => positive(&self.sub)?,
            _ => return None,
        };
        Some(Caller {
            user_id,
            session_id: self.sid,
            role: self.role,
            team_id: self.team,
            rights_version: self.rv,
            scope: self.scope,
            via: self.via,
            service,
        })
    }
}

/// The number, if it is one and written as we write it.
fn positive(text: &str) -> Option<i64> {
    text.parse().ok().filter(|id: &i64| *id > 0 && id.to_string() == text)
}

/// Signs tokens. It is derived from `SECRET_KEY` alone, so that every replica signs with the same key and nothing is stored.
#[derive(Clone)]
pub struct Signer {
    key: EncodingKey,
    public: Jwk,
    header: Header,
}

/// The secret cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It could be guessed.
    #[error("SECRET_KEY has fewer than {SHORTEST_SECRET} characters")]
    TooShort,
    /// So could this.
    #[error("SECRET_KEY is not random: it has few different characters, or repeats a short text")]
    NotRandom,
    /// The cryptography refused; it never does.
    #[error("no key can be derived from SECRET_KEY")]
    Derivation,
}

/// Whether it may be random: of 32 random digits fewer than one text in a hundred has only seven different ones, of anything else next to none.
fn is_random(secret: &str) -> bool {
    let letters: Vec<char> = secret.chars().collect();
    let different: HashSet<_> = letters.iter().collect();
    let repeats =
        |length: usize| letters.iter().zip(letters.iter().skip(length)).all(|(a, b)| a == b);
    different.len() >= 8 && !(1..16).any(repeats)
}

impl Signer {
    /// The key pair of this secret: HKDF-SHA256 makes the seed, Ed25519 the pair.
    pub fn from_secret(secret: &Secret) -> Result<Self, SecretError> {
        if secret.expose().chars().count() < SHORTEST_SECRET {
            return Err(SecretError::TooShort);
        }
        if !is_random(secret.expose()) {
            return Err(SecretError::NotRandom);
        }
        let derive = || -> Result<(EncodingKey, Jwk), aws_lc_rs::error::Unspecified> {
            let mut seed = [0; 32];
            let extracted = Salt::new(HKDF_SHA256, &[]).extract(secret.expose().as_bytes());
            extracted.expand(&[PURPOSE], HKDF_SHA256)?.fill(&mut seed)?;
            let pair = Ed25519KeyPair::from_seed_unchecked(&seed)
                .map_err(|_| aws_lc_rs::error::Unspecified)?;
            let key = EncodingKey::from_ed_der(&[&PKCS8[..], &seed[..]].concat());
            Ok((key, Jwk::of(pair.public_key().as_ref())))
        };
        let (key, public) = derive().map_err(|_| SecretError::Derivation)?;
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TYPE.to_owned());
        header.kid = Some(public.kid.clone());
        Ok(Self { key, public, header })
    }

    /// A token that says this.
    pub fn sign(&self, claims: &Claims) -> Result<String, rpc::Error> {
        jsonwebtoken::encode(&self.header, claims, &self.key)
            .map_err(|_| rpc::Error::internal("a token cannot be signed"))
    }

    /// The key by which others verify what this signs.
    pub fn public_key(&self) -> &Jwk {
        &self.public
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("kid", &self.public.kid).finish_non_exhaustive()
    }
}

/// An Ed25519 public key as a JSON Web Key (RFC 8037).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwk {
    /// Its id: the RFC 7638 thumbprint, SHA-256 in base64url.
    pub kid: String,
    /// `OKP`.
    pub kty: String,
    /// `Ed25519`.
    pub crv: String,
    /// The key, base64url without padding.
    pub x: String,
    /// `EdDSA`.
    pub alg: String,
    /// `sig`.
    #[serde(rename = "use")]
    pub usage: String,
}

impl Jwk {
    fn of(public_key: &[u8]) -> Self {
        let x = URL_SAFE_NO_PAD.encode(public_key);
        Self {
            kid: thumbprint(&x),
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            x,
            alg: "EdDSA".to_owned(),
            usage: "sig".to_owned(),
        }
    }

    /// Whether it is a key of the only kind that we use, under the id that is its own.
    pub(crate) fn is_usable(&self) -> bool {
        let kind = [&self.kty, &self.crv, &self.alg, &self.usage];
        kind == ["OKP", "Ed25519", "EdDSA", "sig"]
            && URL_SAFE_NO_PAD.decode(&self.x).is_ok_and(|key| key.len() == 32)
            && self.kid == thumbprint(&self.x)
    }
}

/// RFC 7638: the hash of the key's required members, in order, without white space.
fn thumbprint(x: &str) -> String {
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, members.as_bytes()))
}

impl From<Jwk> for proto::identity::v1::Key {
    fn from(it: Jwk) -> Self {
        Self { kid: it.kid, kty: it.kty, crv: it.crv, x: it.x, alg: it.alg, r#use: it.usage }
    }
}

impl From<proto::identity::v1::Key> for Jwk {
    fn from(it: proto::identity::v1::Key) -> Self {
        Self { kid: it.kid, kty: it.kty, crv: it.crv, x: it.x, alg: it.alg, usage: it.r#use }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_secret_makes_the_same_key_everywhere_and_another_secret_another() {
        let signer = Signer::from_secret(&SECRET.into()).unwrap();
        assert_eq!(signer.public_key(), Signer::from_secret(&SECRET.into()).unwrap().public_key());
        let other = Signer::from_secret(&format!("{SECRET}!").as_str().into()).unwrap();
        assert_ne!(signer.public_key().x, other.public_key().x);
        // Sessions end when this changes: it must not by accident.
        assert_eq!(signer.public_key().x, "kLAYSWeRvPxo2B-YZAZi-aSAreEA515atwp2lNeIcW4");
        assert!(signer.public_key().is_usable());
    }

    #[test]
    fn a_short_secret_is_refused() {
        assert_eq!(Signer::from_secret(&SECRET[1..].into()).unwrap_err(), SecretError::TooShort);
    }

    #[test]
    fn the_thumbprint_is_that_of_rfc_8037() {
        // Appendix A.3.
        let key = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        assert_eq!(thumbprint(key), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn a_signer_does_not_print_its_key() {
        let signer = Signer::from_secret(&SECRET.into()).unwrap();
        assert_eq!(
            format!("{signer:?}"),
            format!("Signer {{ kid: {:?}, .. }}", signer.public_key().kid)
        );
    }

    #[test]
    fn a_caller_reads_back_from_the_claims_made_for_them() {
        let now = DateTime::UNIX_EPOCH;
        let user = Caller {
            user_id: 7,
            session_id: 70,
            role: Role::Rep,
            team_id: Some(3),
            rights_version: 5,
            scope: Scope::READ,
            via: Via::ApiKey,
            service: None,
        };
        for caller in [user, Caller::service("analytics")] {
            let claims = Claims::of(&caller, "salespipeline", "t-1", now, 1_800);
            assert_eq!(claims.exp - claims.iat, 1_800);
            assert_eq!(claims.caller(), Some(caller));
        }
    }

    #[test]
    fn claims_that_do_not_go_together_tell_of_nobody() {
        let claims = Claims::of(
            &Caller::service("analytics"),
            "salespipeline",
            "t-1",
            DateTime::UNIX_EPOCH,
            60,
        );
        for (sub, role) in [
            ("7", Role::Service),
            ("service:x", Role::Admin),
            ("service:", Role::Service),
            ("-7", Role::Admin),
            ("07", Role::Admin),
            ("", Role::Rep),
        ] {
            let claims = Claims { sub: sub.to_owned(), role, ..claims.clone() };
            assert_eq!(claims.caller(), None, "{sub} {role}");
        }
    }
}
