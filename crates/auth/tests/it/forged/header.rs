//! Tokens with a header that is none of ours, though the signature may be.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;

use super::{
    super::{Identity, now, other_signer, signer},
    Forger, all_refused, our_header, signed, with, without,
};

#[tokio::test]
async fn a_type_that_is_not_that_of_an_access_token() {
    all_refused(|forger| {
        let types = [
            "JWT",
            "jwt",
            "AT+JWT",
            "At+Jwt",
            "at+JWT",
            "application/at+jwt",
            "rt+jwt",
            "id+jwt",
            "JWE",
            "JOSE",
            "dpop+jwt",
            "at+jwt ",
            " at+jwt",
            "at+jwt;v=1",
            "",
        ];
        let mut attacks: Vec<_> =
            types.iter().map(|typ| forger.headed(&with(our_header(), "typ", json!(typ)))).collect();
        for typ in [json!(null), json!(["at+jwt"]), json!(7)] {
            attacks.push(forger.headed(&with(our_header(), "typ", typ)));
        }
        attacks.push(forger.headed(&without(our_header(), "typ")));
        attacks
    })
    .await;
}

/// Ids of keys that are none.
fn key_ids() -> Vec<String> {
    let ours = signer().public_key().kid.clone();
    let mut ids = vec![
        ours.to_lowercase(),
        ours[1..].to_owned(),
        format!("{ours}="),
        format!("{ours}\0"),
        format!(" {ours}"),
        format!("{ours},{ours}"),
        signer().public_key().x.clone(),
        other_signer().public_key().kid.clone(),
        "k".repeat(5_000),
    ];
    let names = [
        "",
        "unknown",
        "0",
        "null",
        "../../../../dev/null",
        "/dev/null",
        "file:///dev/null",
        "..\\..\\windows\\win.ini",
        "' or 1=1 --",
        "x' union select 'a2V5",
        "'; drop table users; --",
        "https://attacker.example/keys",
        "http://169.254.169.254/latest/meta-data",
        "| whoami",
        "$(id)",
        "{{7*7}}",
        "%00",
        "\u{202e}key",
    ];
    ids.extend(names.map(str::to_owned));
    ids
}

#[tokio::test]
async fn a_key_id_that_is_none() {
    all_refused(|forger| {
        let mut attacks: Vec<_> = key_ids()
            .into_iter()
            .map(|kid| forger.headed(&with(our_header(), "kid", json!(kid))))
            .collect();
        let ours = signer().public_key().kid.clone();
        for kid in [json!(null), json!(7), json!([ours]), json!({ "kid": ours }), json!(true)] {
            attacks.push(forger.headed(&with(our_header(), "kid", kid)));
        }
        attacks.push(forger.headed(&without(our_header(), "kid")));
        attacks
    })
    .await;
}

#[tokio::test]
async fn key_ids_that_nobody_knows_make_nobody_ask_identity_again_and_again() {
    let identity = Identity::default();
    identity.publishes([signer().public_key().clone()]);
    let verifier = identity.verifier();
    let forger = Forger { at: now().timestamp() };
    for kid in key_ids() {
        let token = signed(&with(our_header(), "kid", json!(kid)), &forger.payload());
        assert!(verifier.verify(&token, now()).await.is_err(), "{kid}");
    }
    assert_eq!(identity.asked(), 1);
    verifier.verify(&forger.good(), now()).await.unwrap();
}

#[tokio::test]
async fn a_header_that_wants_more_than_a_signature_checked() {
    let own = serde_json::to_value(other_signer().public_key()).unwrap();
    let url = "https://attacker.example/keys";
    let certificate = STANDARD.encode(b"certificate");
    let extras = [
        ("jku", json!(url)),
        ("jwk", own.clone()),
        ("jwk", serde_json::to_value(signer().public_key()).unwrap()),
        ("x5u", json!(url)),
        ("x5c", json!([certificate])),
        ("x5t", json!("x")),
        ("x5t#S256", json!("x")),
        ("crit", json!([])),
        ("crit", json!(["exp"])),
        ("crit", json!(["b64"])),
        ("crit", json!("exp")),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("cty", json!("JWT")),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
        ("epk", own.clone()),
        ("p2c", json!(i32::MAX)),
        ("nonce", json!("x")),
        ("exp", json!(i64::MAX)),
        ("iss", json!("salespipeline")),
        ("whatever", json!(1)),
        ("jku", json!(null)),
    ];
    all_refused(|forger| {
        let mut attacks = Vec::new();
        for (name, value) in &extras {
            // Beside our own key, beside another's, and alone.
            let beside = with(our_header(), name, value.clone());
            attacks.push(forger.headed(&beside));
            attacks.push(forger.headed(&with(beside.clone(), "kid", own["kid"].clone())));
            attacks.push(forger.headed(&without(beside, "kid")));
        }
        let critical = with(with(our_header(), "b64", json!(false)), "crit", json!(["b64"]));
        attacks.push(forger.headed(&critical));
        attacks
    })
    .await;
}

#[tokio::test]
async fn a_header_that_is_no_single_json_object() {
    all_refused(|forger| {
        let header = our_header().to_string();
        let open = header.trim_end_matches('}');
        let kid = signer().public_key().kid.clone();
        let texts = [
            String::new(),
            "null".to_owned(),
            "[]".to_owned(),
            "{}".to_owned(),
            format!("[{header}]"),
            format!("{header}{header}"),
            format!("{header}x"),
            format!("\u{feff}{header}"),
            open.to_owned(),
            format!(r#"{open},"alg":"none"}}"#),
            format!(r#"{open},"alg":"EdDSA"}}"#),
            format!(r#"{open},"kid":"{kid}"}}"#),
            format!(r#"{open},"typ":"at+jwt"}}"#),
            format!(r#"{{"alg":"none",{}"#, &header[1..]),
            header.replace("kid", "KID"),
            header.replace("alg", "Alg"),
            header.replace('"', "'"),
            format!(r#"{open},"deep":{}{}}}"#, "[".repeat(2_000), "]".repeat(2_000)),
            "[".repeat(5_000),
            "{\"a\":".repeat(1_000),
        ];
        texts.iter().map(|text| forger.headed_by(text)).collect()
    })
    .await;
}
