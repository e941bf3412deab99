//! Tokens that are not written as tokens are.

use auth::token::Claims;
use proptest::{prelude::*, test_runner::TestRunner};
use rpc::{Error, reason};
use serde_json::json;

use super::{
    super::{now, rep, server::Running, signer, verifier},
    Forger, all_refused, our_header, part, refusal, with,
};

/// The longest token that is looked at.
const LONGEST: usize = 8 * 1024;

#[tokio::test]
async fn a_good_token_with_something_around_it_or_missing() {
    all_refused(|forger| {
        let good = forger.good();
        let parts: Vec<_> = good.split('.').collect();
        let [header, payload, signature] = parts[..] else { panic!("three parts") };
        let admin = part(with(forger.payload(), "role", json!("admin")).to_string());
        [
            ("another payload", format!("{header}.{admin}.{signature}")),
            ("two parts", format!("{header}.{payload}")),
            ("one part", header.to_owned()),
            ("detached", format!("{header}..{signature}")),
            ("no header", format!(".{payload}.{signature}")),
            ("dot behind", format!("{good}.")),
            ("two dots behind", format!("{good}..")),
            ("dot before", format!(".{good}")),
            ("two dots between", format!("{header}..{payload}.{signature}")),
            ("four parts", format!("{good}.{signature}")),
            ("five parts, as a JWE", format!("{header}.{payload}.{payload}.{payload}.{signature}")),
            ("space before", format!(" {good}")),
            ("space behind", format!("{good} ")),
            ("tab behind", format!("{good}\t")),
            ("line behind", format!("{good}\n")),
            ("zero behind", format!("{good}\0")),
            ("space within", format!("{header} .{payload}.{signature}")),
            ("cut short", good[..good.len() - 4].to_owned()),
            ("by one", good[..good.len() - 1].to_owned()),
            ("longer", format!("{good}A")),
            ("longer by four", format!("{good}AAAA")),
            ("padded", format!("{header}.{payload}.{signature}==")),
            ("header padded", format!("{header}=.{payload}.{signature}")),
            ("payload padded", format!("{header}.{payload}=.{signature}")),
            ("twice", format!("{good},{good}")),
            ("twice with a space", format!("{good} {good}")),
            ("quoted", format!("\"{good}\"")),
            ("with its scheme again", format!("Bearer {good}")),
            ("upper case", good.to_uppercase()),
            ("lower case", good.to_lowercase()),
            ("percent encoded", good.replace('.', "%2E")),
            ("another dot", good.replace('.', "\u{ff0e}")),
            ("nothing", String::new()),
            ("dots", "..".to_owned()),
            ("letters", "a.b.c".to_owned()),
            ("no letters", "\u{0}.\u{ff}.é".to_owned()),
        ]
        .map(|(name, token)| (name.to_owned(), token))
        .into()
    })
    .await;
}

#[tokio::test]
async fn a_signed_message_in_json() {
    all_refused(|forger| {
        let good = forger.good();
        let parts: Vec<_> = good.split('.').collect();
        let [header, payload, signature] = parts[..] else { panic!("three parts") };
        let flat = json!({ "protected": header, "payload": payload, "signature": signature });
        let general = json!({
            "payload": payload,
            "signatures": [{ "protected": header, "signature": signature }],
        });
        let unprotected = json!({
            "header": our_header(), "payload": payload, "signature": signature,
        });
        [flat, general, unprotected, json!([good])]
            .map(|it| (it.to_string(), it.to_string()))
            .into()
    })
    .await;
}

/// The same bytes in other letters.
#[tokio::test]
async fn base64_that_is_not_the_one_way_to_write_it() {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    all_refused(|forger| {
        // Of a length for which the last letter says less than six bits.
        let good = forger.good();
        let mut attacks = Vec::new();
        for (index, part) in good.split('.').enumerate().filter(|(_, it)| it.len() % 4 != 0) {
            let last = LETTERS.iter().position(|it| Some(it) == part.as_bytes().last()).unwrap();
            for bit in [1, 2] {
                let mut parts: Vec<_> = good.split('.').map(str::to_owned).collect();
                let other = char::from(LETTERS[last ^ bit]);
                parts[index] = format!("{}{other}", &part[..part.len() - 1]);
                attacks.push((format!("part {index}, spare bit {bit}"), parts.join(".")));
            }
        }
        assert!(!attacks.is_empty(), "no part has spare bits");
        let standard = good.replace('-', "+").replace('_', "/");
        if standard != good {
            attacks.push(("the other alphabet".to_owned(), standard));
        }
        for (name, with) in [("line break", "\r\n"), ("space", " "), ("padding", "=")] {
            attacks.push((name.to_owned(), format!("{}{with}{}", &good[..20], &good[20..])));
        }
        attacks
    })
    .await;
}

/// A good token with a `jti` of so many letters.
fn of_length(at: &Forger, jti: usize) -> String {
    signer().sign(&Claims { jti: "x".repeat(jti), ..at.claims() }).unwrap()
}

#[tokio::test]
async fn a_token_too_long_to_look_at() {
    let server = Running::start(&[]).await;
    let [verified, served] = [now(), process::now()].map(|it| Forger { at: it.timestamp() });
    let short = of_length(&verified, 0).len();
    // Three bytes are four letters.
    let most = (LONGEST - short) / 4 * 3;
    let longest =
        (most - 8..most + 8).rfind(|it| of_length(&verified, *it).len() <= LONGEST).unwrap();
    assert!(LONGEST - of_length(&verified, longest).len() < 2);
    for (jti, is_good) in [(longest, true), (longest + 1, false), (longest + 3_000, false)] {
        let refused = refusal(&of_length(&verified, jti)).await;
        assert_eq!(refused.as_deref(), (!is_good).then_some(reason::TOKEN_INVALID), "{jti}");
        let bearer = format!("Bearer {}", of_length(&served, jti));
        match server.who_am_i(Some(&bearer)).await {
            Ok(_) => assert!(is_good, "{jti}"),
            Err(Error::Unauthenticated { .. }) => assert!(!is_good, "{jti}"),
            Err(error) => panic!("{error:?}"),
        }
    }
    for length in [64 * 1024, 1 << 20] {
        let long = of_length(&verified, length);
        assert_eq!(refusal(&long).await.as_deref(), Some(reason::TOKEN_INVALID));
        assert_eq!(refusal(&long[..length]).await.as_deref(), Some(reason::TOKEN_INVALID));
    }
    // So long a header reaches no method, and the server is there for others.
    let bearer = format!("Bearer {}", of_length(&served, 48 * 1024));
    server.who_am_i(Some(&bearer)).await.unwrap_err();
    let good = format!("Bearer {}", served.good());
    assert_eq!(server.who_am_i(Some(&good)).await.unwrap(), "7");
}

/// Runs a property with a verifier that knows the good token.
fn holds<S: Strategy>(
    strategy: &S,
    test: impl Fn(&auth::Verifier, &str, S::Value) -> Result<(), TestCaseError>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let good = Forger { at: now().timestamp() }.good();
    let verifier = verifier();
    let caller = runtime.block_on(verifier.verify(&good, now())).unwrap();
    assert_eq!(caller, rep());
    let mut runner = TestRunner::new(ProptestConfig {
        failure_persistence: None,
        cases: 1_000,
        ..ProptestConfig::default()
    });
    let _inside = runtime.enter();
    runner.run(strategy, |value| test(&verifier, &good, value)).unwrap();
}

fn is_refused(verifier: &auth::Verifier, token: &str) -> bool {
    let runtime = tokio::runtime::Handle::current();
    runtime.block_on(verifier.verify(token, now())).is_err()
}

#[test]
fn a_good_token_with_any_one_byte_changed() {
    let length = Forger { at: now().timestamp() }.good().len();
    holds(&(0..length, 0x20_u8..0x7f), |verifier, good, (at, byte)| {
        let mut bytes = good.as_bytes().to_vec();
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        let changed = String::from_utf8(bytes).unwrap();
        prop_assert!(is_refused(verifier, &changed), "{changed}");
        Ok(())
    });
}

#[test]
fn whatever_else_somebody_makes_up() {
    let anything = prop_oneof![
        any::<String>(),
        "[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_-]{86}",
        (any::<Vec<u8>>(), any::<Vec<u8>>(), any::<[u8; 32]>()).prop_map(|(a, b, c)| format!(
            "{}.{}.{}",
            part(a),
            part(b),
            part([c, c].concat())
        )),
    ];
    holds(&anything, |verifier, _, token| {
        prop_assert!(is_refused(verifier, &token), "{token}");
        Ok(())
    });
}
