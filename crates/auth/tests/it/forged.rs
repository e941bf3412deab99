//! Tokens that must be refused, one attack each.

use auth::token::{Claims, Signer};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rpc::reason;
use serde_json::{Value, json};

use super::{ISSUER, claims, now, other_signer, signer, verifier};

async fn refusal(token: &str) -> Option<String> {
    verifier().verify(token, now()).await.err().map(|error| error.reason().to_owned())
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn header() -> Value {
    json!({ "typ": "at+jwt", "alg": "EdDSA", "kid": signer().public_key().kid })
}

fn payload() -> Value {
    serde_json::to_value(claims()).unwrap()
}

/// Signed with the good key, whatever header and payload say.
fn signed(header: &Value, payload: &Value) -> String {
    let message = format!("{}.{}", part(header), part(payload));
    let signature =
        jsonwebtoken::crypto::sign(message.as_bytes(), &good_key(), Algorithm::EdDSA).unwrap();
    format!("{message}.{signature}")
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

#[tokio::test]
async fn the_forger_of_these_tests_makes_good_tokens_when_told_to() {
    assert_eq!(refusal(&signed(&header(), &payload())).await, None);
}

#[tokio::test]
async fn a_token_without_a_signature() {
    for alg in ["none", "None", "NONE", ""] {
        let header = with(header(), "alg", json!(alg));
        let unsigned = format!("{}.{}.", part(&header), part(&payload()));
        assert_eq!(refusal(&unsigned).await.as_deref(), Some(reason::TOKEN_INVALID), "{alg}");
        assert_eq!(
            refusal(&signed(&header, &payload())).await.as_deref(),
            Some(reason::TOKEN_INVALID),
            "{alg}"
        );
    }
}

#[tokio::test]
async fn the_public_key_taken_for_a_shared_secret() {
    let x = signer().public_key().x.clone();
    for secret in [x.clone().into_bytes(), URL_SAFE_NO_PAD.decode(&x).unwrap()] {
        let mut header = Header::new(Algorithm::HS256);
        header.typ = Some("at+jwt".to_owned());
        header.kid = Some(signer().public_key().kid.clone());
        let token =
            jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(&secret)).unwrap();
        assert_eq!(refusal(&token).await.as_deref(), Some(reason::TOKEN_INVALID));
    }
}

#[tokio::test]
async fn another_key_under_the_name_of_ours() {
    let stranger = other_signer().sign(&claims()).unwrap();
    assert_eq!(refusal(&stranger).await.as_deref(), Some(reason::TOKEN_INVALID));
    let (_, rest) = stranger.split_once('.').unwrap();
    assert_eq!(
        refusal(&format!("{}.{rest}", part(&header()))).await.as_deref(),
        Some(reason::TOKEN_INVALID)
    );
}

#[tokio::test]
async fn a_header_that_is_not_one_of_ours() {
    let headers = [
        with(header(), "typ", json!("JWT")),
        with(header(), "typ", json!("application/at+jwt")),
        with(header(), "typ", json!("rt+jwt")),
        without(header(), "typ"),
        without(header(), "kid"),
        with(header(), "kid", json!("../../dev/null")),
        with(header(), "kid", json!("' or 1=1 --")),
        with(header(), "kid", json!(7)),
        with(header(), "alg", json!("ES256")),
        with(header(), "crit", json!(["exp"])),
        with(header(), "crit", json!([])),
        with(without(header(), "kid"), "jku", json!("https://attacker.example/keys")),
        with(
            with(header(), "kid", json!("own")),
            "jwk",
            serde_json::to_value(other_signer().public_key()).unwrap(),
        ),
    ];
    for header in headers {
        assert_eq!(
            refusal(&signed(&header, &payload())).await.as_deref(),
            Some(reason::TOKEN_INVALID),
            "{header}"
        );
    }
}

#[tokio::test]
async fn claims_that_are_missing_or_of_the_wrong_type() {
    for name in
        ["iss", "aud", "sub", "sid", "jti", "scope", "role", "team", "rv", "iat", "nbf", "exp"]
    {
        let token = signed(&header(), &without(payload(), name));
        assert_eq!(refusal(&token).await.as_deref(), Some(reason::TOKEN_INVALID), "{name}");
    }
    let at = now().timestamp();
    let wrong = [
        ("exp", json!((at + 60).to_string())),
        ("exp", json!(f64::MAX)),
        ("exp", json!(null)),
        ("exp", json!(-1)),
        ("exp", json!([at + 60])),
        ("nbf", json!(at.to_string())),
        ("nbf", json!(null)),
        ("nbf", json!(true)),
        ("iat", json!("now")),
        ("sub", json!(7)),
        ("sub", json!("")),
        ("sub", json!("7 ")),
        ("sub", json!("0")),
        ("sid", json!("70")),
        ("jti", json!("")),
        ("role", json!("owner")),
        ("role", json!("service")),
        ("scope", json!("read write everything")),
        ("scope", json!(["read"])),
        ("team", json!("3")),
        ("rv", json!(null)),
    ];
    for (name, value) in wrong {
        let token = signed(&header(), &with(payload(), name, value.clone()));
        assert_eq!(refusal(&token).await.as_deref(), Some(reason::TOKEN_INVALID), "{name} {value}");
    }
}

#[tokio::test]
async fn a_token_of_another_issuer_or_for_somebody_else() {
    let wrong = [
        ("iss", json!("https://attacker.example")),
        ("iss", json!([ISSUER])),
        ("iss", json!("")),
        ("aud", json!("billing")),
        ("aud", json!(["salespipeline", "billing"])),
        ("aud", json!([])),
        ("aud", json!("SalesPipeline")),
    ];
    for (name, value) in wrong {
        let token = signed(&header(), &with(payload(), name, value.clone()));
        assert_eq!(refusal(&token).await.as_deref(), Some(reason::TOKEN_INVALID), "{name} {value}");
    }
}

#[tokio::test]
async fn a_token_out_of_its_time() {
    let at = now().timestamp();
    let cases = [
        (Claims { exp: at - 6, nbf: at - 60, iat: at - 60, ..claims() }, reason::TOKEN_EXPIRED),
        (Claims { nbf: at + 3_600, exp: at + 7_200, ..claims() }, reason::TOKEN_INVALID),
        (Claims { iat: at + 3_600, ..claims() }, reason::TOKEN_INVALID),
        (Claims { exp: at - 1, nbf: at, ..claims() }, reason::TOKEN_INVALID),
        // Good for ever.
        (Claims { exp: at + 10 * 365 * 86_400, ..claims() }, reason::TOKEN_INVALID),
        (Claims { exp: i64::MAX, iat: i64::MIN, ..claims() }, reason::TOKEN_INVALID),
        (Claims { exp: i64::MAX, nbf: i64::MIN, iat: at, ..claims() }, reason::TOKEN_INVALID),
    ];
    for (claims, expected) in cases {
        let token = signer().sign(&claims).unwrap();
        assert_eq!(refusal(&token).await.as_deref(), Some(expected), "{claims:?}");
    }
}

#[tokio::test]
async fn a_token_that_was_changed() {
    let good = signer().sign(&claims()).unwrap();
    let parts: Vec<_> = good.split('.').collect();
    let admin = part(&with(payload(), "role", json!("admin")));
    let mut changed = vec![
        format!("{}.{admin}.{}", parts[0], parts[2]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{good}."),
        format!("{good}.{}", parts[2]),
        format!(" {good}"),
        good[..good.len() - 4].to_owned(),
        format!("{}.{}.{}==", parts[0], parts[1], parts[2]),
        String::new(),
        "..".to_owned(),
        "a.b.c".to_owned(),
    ];
    for at in (0..good.len()).step_by(7).filter(|at| good.as_bytes()[*at] != b'.') {
        let other = if &good[at..=at] == "A" { "B" } else { "A" };
        changed.push(format!("{}{other}{}", &good[..at], &good[at + 1..]));
    }
    let verifier = verifier();
    // The good one is remembered while the others are tried.
    verifier.verify(&good, now()).await.unwrap();
    for token in changed {
        let answer = verifier.verify(&token, now()).await;
        assert_eq!(answer.unwrap_err().reason(), reason::TOKEN_INVALID, "{token}");
    }
}

#[tokio::test]
async fn a_token_too_long_to_look_at() {
    let long = Claims { jti: "x".repeat(64 * 1024), ..claims() };
    assert_eq!(
        refusal(&signer().sign(&long).unwrap()).await.as_deref(),
        Some(reason::TOKEN_INVALID)
    );
    assert_eq!(refusal(&"a".repeat(1 << 20)).await.as_deref(), Some(reason::TOKEN_INVALID));
}

#[tokio::test]
async fn a_key_that_is_none_is_never_believed() {
    let weak = Signer::from_secret(&"0123456789abcdef0123456789abcdef".into()).unwrap();
    let mut key = weak.public_key().clone();
    key.kid = "made-up".to_owned();
    let verifier = auth::Verifier::new(ISSUER, auth::Keys::fixed([key]), std::sync::Arc::default());
    let token = signed(&with(header(), "kid", json!("made-up")), &payload());
    assert_eq!(verifier.verify(&token, now()).await.unwrap_err().reason(), reason::TOKEN_INVALID);
}
