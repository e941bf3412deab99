//! Tokens that are signed by us and say what we would not.

use auth::token::{Claims, LONGEST_LIFE_SECONDS};
use rpc::reason;
use serde_json::{Value, json};

use super::{
    super::{ISSUER, now, signer},
    Attack, Forger, all_refused, our_header, refusal, signed, telling, without,
};

const ALL: [&str; 13] =
    ["iss", "aud", "sub", "sid", "jti", "scope", "role", "team", "rv", "via", "iat", "nbf", "exp"];

#[tokio::test]
async fn a_claim_that_is_missing_or_there_twice() {
    all_refused(|forger| {
        let payload = forger.payload();
        let text = payload.to_string();
        let mut attacks = Vec::new();
        for name in ALL {
            attacks.push((
                format!("no {name}"),
                signed(&our_header(), &without(payload.clone(), name)),
            ));
            // The same again, the one before, and the one after.
            for value in [payload[name].clone(), json!("admin"), json!(1)] {
                attacks.push(telling(format!(r#"{{"{name}":{value},{}"#, &text[1..])));
                let open = text.trim_end_matches('}');
                attacks.push(telling(format!(r#"{open},"{name}":{value}}}"#)));
            }
        }
        attacks
    })
    .await;
}

#[tokio::test]
async fn an_issuer_or_an_audience_that_is_not_ours() {
    let names =
        ["https://attacker.example", "", "SalesPipeline", "salespipeline ", "salespipeline/"];
    all_refused(|forger| {
        let mut attacks = Vec::new();
        for claim in ["iss", "aud"] {
            attacks.extend(names.iter().map(|name| forger.claiming(claim, json!(name))));
            for value in [
                json!([ISSUER]),
                json!([ISSUER, "billing"]),
                json!([]),
                json!(null),
                json!(1),
                json!({ "salespipeline": true }),
            ] {
                attacks.push(forger.claiming(claim, value));
            }
        }
        attacks.push(forger.claiming("aud", json!("billing")));
        attacks
    })
    .await;
}

/// One payload, with the value of a claim as it is written.
fn written(forger: &Forger, name: &str, value: &str) -> Attack {
    let mut payload = forger.payload();
    payload[name] = json!("HERE");
    telling(payload.to_string().replace("\"HERE\"", value))
}

#[tokio::test]
async fn a_time_that_is_none() {
    all_refused(|forger| {
        let mut attacks = Vec::new();
        for (name, usual) in [("exp", forger.at + 60), ("nbf", forger.at), ("iat", forger.at)] {
            let values = [
                format!("\"{usual}\""),
                format!("{usual}.0"),
                format!("{usual}.5"),
                format!("{usual}e0"),
                format!("[{usual}]"),
                format!("{{\"seconds\":{usual}}}"),
                "1.8e9".to_owned(),
                "1e400".to_owned(),
                "-1".to_owned(),
                "-0".to_owned(),
                "null".to_owned(),
                "true".to_owned(),
                "\"\"".to_owned(),
                "\"now\"".to_owned(),
                "9223372036854775807".to_owned(),
                "9223372036854775808".to_owned(),
                "18446744073709551616".to_owned(),
                "-9223372036854775808".to_owned(),
                "-9223372036854775809".to_owned(),
                format!("{usual}000"),
                "0".to_owned(),
            ];
            attacks.extend(values.iter().map(|value| written(forger, name, value)));
        }
        attacks
    })
    .await;
}

#[tokio::test]
async fn a_token_out_of_its_time() {
    // At a server that has a clock of its own, nothing may depend on a second.
    let attacks = |forger: &Forger| {
        let (at, claims) = (forger.at, forger.claims());
        let long_ago = at - LONGEST_LIFE_SECONDS;
        [
            Claims { exp: at - 6, nbf: at - 60, iat: at - 60, ..claims.clone() },
            Claims { exp: at - 3_600, nbf: long_ago, iat: long_ago, ..claims.clone() },
            Claims { nbf: at + 3_600, exp: at + 7_200, ..claims.clone() },
            Claims { iat: at + 3_600, nbf: at + 3_600, exp: at + 7_200, ..claims.clone() },
            Claims { iat: at + 3_600, ..claims.clone() },
            Claims { exp: at - 1, nbf: at, ..claims.clone() },
            Claims { exp: at + 60, nbf: at - 60, iat: at, ..claims.clone() },
            // Good for ever, or for longer than any.
            Claims { exp: at + LONGEST_LIFE_SECONDS + 1, ..claims.clone() },
            Claims { exp: i64::MAX, iat: i64::MIN, ..claims.clone() },
            Claims { exp: i64::MAX, nbf: i64::MIN, iat: at, ..claims.clone() },
            Claims { exp: i64::MAX, nbf: i64::MIN, iat: i64::MIN, ..claims.clone() },
            Claims { exp: i64::MIN, nbf: i64::MIN, iat: i64::MAX, ..claims },
        ]
        .map(|it| (format!("{it:?}"), signer().sign(&it).unwrap()))
        .into()
    };
    all_refused(attacks).await;
}

#[tokio::test]
async fn clocks_may_be_five_seconds_apart() {
    let forger = Forger { at: now().timestamp() };
    let (at, claims) = (forger.at, forger.claims());
    let ended = |exp| Claims { exp, nbf: at - 60, iat: at - 60, ..claims.clone() };
    let begins = |nbf| Claims { nbf, ..claims.clone() };
    let made = |iat| Claims { iat, nbf: iat, ..claims.clone() };
    for (claims, expected) in [
        (ended(at - 4), None),
        (ended(at - 5), Some(reason::TOKEN_EXPIRED)),
        (ended(at - 6), Some(reason::TOKEN_EXPIRED)),
        (begins(at + 4), None),
        (begins(at + 5), None),
        (begins(at + 6), Some(reason::TOKEN_INVALID)),
        (made(at + 4), None),
        (made(at + 6), Some(reason::TOKEN_INVALID)),
    ] {
        let token = signer().sign(&claims).unwrap();
        assert_eq!(refusal(&token).await.as_deref(), expected, "{claims:?}");
    }
}

#[tokio::test]
async fn a_subject_a_role_or_a_scope_that_there_is_not() {
    let text = |values: &[&str]| values.iter().map(|it| json!(it)).collect::<Vec<_>>();
    let too_large = "9223372036854775808";
    let subjects = [
        "",
        "0",
        "-7",
        "+7",
        "07",
        "7 ",
        " 7",
        "7.0",
        "7e0",
        "0x7",
        "７",
        "7\n",
        "7\0",
        "7,8",
        "7 or 1=1",
        "seven",
        "user:7",
        "service:",
        "service:analytics",
        "Service:analytics",
        too_large,
    ];
    let values: Vec<(&str, Vec<Value>)> = vec![
        ("sub", text(&subjects)),
        ("sub", vec![json!(7), json!(null), json!(["7"]), json!({ "id": 7 }), json!(true)]),
        ("role", text(&["", "owner", "root", "Admin", "ADMIN", "admin ", "service", "admin,rep"])),
        ("role", vec![json!(null), json!(0), json!(["admin"]), json!({ "admin": null })]),
        ("scope", text(&["admin", "read write everything", "READ", "read,write", "*", "read:all"])),
        ("scope", vec![json!(null), json!(["read"]), json!(1), json!({ "read": true })]),
        ("via", text(&["", "Session", "service", "session ", "key"])),
        ("via", vec![json!(null), json!(0), json!(["session"]), json!({ "session": null })]),
        ("jti", vec![json!(""), json!(null), json!(1)]),
        ("sid", vec![json!("70"), json!(null), json!(70.5)]),
        ("rv", vec![json!("5"), json!(null), json!(5.5)]),
        ("team", vec![json!("3"), json!([3]), json!(3.5)]),
    ];
    all_refused(|forger| {
        let mut attacks = Vec::new();
        for (name, values) in &values {
            attacks.extend(values.iter().map(|value| forger.claiming(name, value.clone())));
        }
        attacks
    })
    .await;
}

#[tokio::test]
async fn a_person_who_passes_for_a_service_or_a_service_for_a_person() {
    all_refused(|forger| {
        let both = [
            ("service:analytics", "admin"),
            ("service:analytics", "rep"),
            ("service:", "service"),
            ("analytics", "service"),
            ("7", "service"),
            ("", "service"),
        ];
        let attack = |(sub, role): (&str, &str)| {
            let payload = super::with(forger.payload(), "sub", json!(sub));
            let token = signed(&our_header(), &super::with(payload, "role", json!(role)));
            (format!("{sub} {role}"), token)
        };
        both.into_iter().map(attack).collect()
    })
    .await;
}

#[tokio::test]
async fn a_payload_that_is_no_single_json_object() {
    all_refused(|forger| {
        let text = forger.payload().to_string();
        let mut attacks: Vec<_> = [
            String::new(),
            "null".to_owned(),
            "[]".to_owned(),
            "{}".to_owned(),
            "\"\"".to_owned(),
            format!("[{text}]"),
            format!("{text}{text}"),
            format!("{text},"),
            format!("\u{feff}{text}"),
            text.trim_end_matches('}').to_owned(),
            text.replace('"', "'"),
        ]
        .iter()
        .map(telling)
        .collect();
        // Text that is none.
        attacks.push(telling(text.replace("t-1", "\u{1}").into_bytes()));
        let mut bytes = text.into_bytes();
        let at = bytes.windows(3).position(|it| it == b"t-1").unwrap();
        bytes[at] = 0xff;
        attacks.push(telling(bytes));
        attacks
    })
    .await;
}
