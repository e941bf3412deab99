//! Tokens that must be refused, attack by attack: by a verifier alone, and before the methods of a real server.

mod claims;
mod form;
mod header;
mod signature;

use std::fmt::Write as _;

use auth::token::{Claims, Signer};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::HeaderValue;
use jsonwebtoken::{Algorithm, EncodingKey};
use rpc::{Error, reason};
use serde_json::{Value, json};

use super::{ISSUER, now, rep, server::Running, signer, verifier};

/// An attack: what it is called, and its token.
type Attack = (String, String);

fn our_header() -> Value {
    json!({ "typ": "at+jwt", "alg": "EdDSA", "kid": signer().public_key().kid })
}

/// Makes tokens for a certain moment: good ones, and whatever else is wanted.
struct Forger {
    /// In seconds since 1970.
    at: i64,
}

impl Forger {
    fn claims(&self) -> Claims {
        let at = chrono::DateTime::from_timestamp(self.at, 0).unwrap();
        Claims::of(&rep(), ISSUER, "t-1", at, 1_800)
    }

    fn payload(&self) -> Value {
        serde_json::to_value(self.claims()).unwrap()
    }

    fn good(&self) -> String {
        signed(&our_header(), &self.payload())
    }

    /// Good but for one claim.
    fn claiming(&self, name: &str, value: Value) -> Attack {
        let named = format!("{name} {value}");
        (named, signed(&our_header(), &with(self.payload(), name, value)))
    }

    /// Good but for the header.
    fn headed(&self, header: &Value) -> Attack {
        (header.to_string(), signed(header, &self.payload()))
    }

    /// Good but for the header, which is a text and no JSON that we would write.
    fn headed_by(&self, header: &str) -> Attack {
        (header.to_owned(), signed_text(header.as_bytes(), self.payload().to_string().as_bytes()))
    }
}

/// A token that is good but for the payload, of which this is the text.
fn telling(payload: impl AsRef<[u8]>) -> Attack {
    let named = String::from_utf8_lossy(payload.as_ref()).into_owned();
    (named, signed_text(our_header().to_string().as_bytes(), payload.as_ref()))
}

fn part(value: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(value)
}

/// Signed with the good key, whatever header and payload say.
fn signed(header: &Value, payload: &Value) -> String {
    signed_text(header.to_string().as_bytes(), payload.to_string().as_bytes())
}

fn signed_text(header: &[u8], payload: &[u8]) -> String {
    let message = format!("{}.{}", part(header), part(payload));
    let signature = signature_of(&message, &good_key());
    format!("{message}.{signature}")
}

fn signature_of(message: &str, key: &EncodingKey) -> String {
    jsonwebtoken::crypto::sign(message.as_bytes(), key, Algorithm::EdDSA).unwrap()
}

/// The pair that `signer()` derives, by the derivation that is documented.
fn good_key() -> EncodingKey {
    use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
    let mut seed = [0; 32];
    let extracted = Salt::new(HKDF_SHA256, &[]).extract(b"0123456789abcdef0123456789abcdef");
    extracted
        .expand(&[b"salespipeline token signing v1"], HKDF_SHA256)
        .unwrap()
        .fill(&mut seed)
        .unwrap();
    let pair = aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
    EncodingKey::from_ed_der(pair.to_pkcs8v1().unwrap().as_ref())
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    object[name] = value;
    object
}

fn without(mut object: Value, name: &str) -> Value {
    object.as_object_mut().unwrap().remove(name);
    object
}

/// Why a verifier refuses a token now, if it does.
async fn refusal(token: &str) -> Option<String> {
    verifier().verify(token, now()).await.err().map(|error| error.reason().to_owned())
}

/// Every one of these is refused as no token of ours, by a verifier and by a server, both of which know a good token already; and
/// afterwards they go on as before.
async fn all_refused(attacks: impl Fn(&Forger) -> Vec<Attack>) {
    let forger = Forger { at: now().timestamp() };
    let verifier = verifier();
    verifier.verify(&forger.good(), now()).await.unwrap();
    let mut let_in = String::new();
    for (attack, token) in attacks(&forger) {
        match verifier.verify(&token, now()).await {
            Err(Error::Unauthenticated { reason, .. })
                if reason == reason::TOKEN_INVALID || reason == reason::TOKEN_EXPIRED => {}
            other => writeln!(let_in, "verifier: {attack}: {other:?}").unwrap(),
        }
        assert!(verifier.remembered(&token, now()).is_none(), "remembered: {attack}");
    }
    verifier.verify(&forger.good(), now()).await.unwrap();

    let forger = Forger { at: process::now().timestamp() };
    let server = Running::start(&[]).await;
    let good = format!("Bearer {}", forger.good());
    server.who_am_i(Some(&good)).await.unwrap();
    for (attack, token) in attacks(&forger) {
        let authorization = format!("Bearer {token}");
        // What no header can hold cannot be sent.
        if HeaderValue::from_str(&authorization).is_err() {
            continue;
        }
        match server.who_am_i(Some(&authorization)).await {
            Err(Error::Unauthenticated { .. }) => {}
            other => writeln!(let_in, "server: {attack}: {other:?}").unwrap(),
        }
    }
    assert_eq!(server.who_am_i(Some(&good)).await.unwrap(), "7");
    assert!(let_in.is_empty(), "{let_in}");
}

#[tokio::test]
async fn the_forger_of_these_tests_makes_good_tokens_when_told_to() {
    let forger = Forger { at: now().timestamp() };
    assert_eq!(refusal(&forger.good()).await, None);
    assert_eq!(refusal(&telling(forger.payload().to_string()).1).await, None);
    assert_eq!(refusal(&forger.headed_by(&our_header().to_string()).1).await, None);
    // What is new in a later version does not end the sessions of this one.
    assert_eq!(refusal(&forger.claiming("amr", json!(["pwd", "otp"])).1).await, None);
}

#[tokio::test]
async fn a_key_that_is_none_is_never_believed() {
    let weak = Signer::from_secret(&"0123456789abcdef0123456789abcdef".into()).unwrap();
    let mut key = weak.public_key().clone();
    key.kid = "made-up".to_owned();
    let verifier = auth::Verifier::new(ISSUER, auth::Keys::fixed([key]), std::sync::Arc::default());
    let forger = Forger { at: now().timestamp() };
    let token = signed(&with(our_header(), "kid", json!("made-up")), &forger.payload());
    assert_eq!(verifier.verify(&token, now()).await.unwrap_err().reason(), reason::TOKEN_INVALID);
}
