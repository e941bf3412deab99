//! A second factor through the REST API: turned on, asked for, taken away, demanded.

use aws_lc_rs::hmac;
use data_encoding::BASE32_NOPAD;
use local::StackOptions;
use proto::identity::v1::Role;
use serde_json::{Value, json};

use crate::api::Api;
use crate::world::World;

const PASSWORD: &str = "correct horse battery";

/// What an app shows so many half minutes from now (RFC 6238).
pub(crate) fn shown(secret: &str, later: i64) -> String {
    let secret = BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    let step = process::now().timestamp() / 30 + later;
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let at = usize::from(tag.as_ref()[19] & 15);
    let four: [u8; 4] = tag.as_ref()[at..at + 4].try_into().unwrap();
    format!("{:06}", (u32::from_be_bytes(four) & 0x7fff_ffff) % 1_000_000)
}

/// The secret, the code that confirmed it, and the recovery codes.
async fn enrol(own: &Api) -> (String, String, Vec<Value>) {
    let begun = own.post("/users/me/second-factor", &json!({"current_password": PASSWORD})).await;
    assert_eq!(begun.status, 200, "{}", begun.text);
    assert_eq!(begun.headers["cache-control"], "no-store");
    let secret = begun.body["secret"].as_str().unwrap().to_owned();
    let uri = begun.body["otpauth_uri"].as_str().unwrap();
    assert!(uri.starts_with("otpauth://totp/Sales%20Pipeline%20Manager:"), "{uri}");
    let code = shown(&secret, 0);
    let confirmed = own.post("/users/me/second-factor/confirm", &json!({"code": code})).await;
    assert_eq!(confirmed.status, 200, "{}", confirmed.text);
    assert_eq!(confirmed.headers["cache-control"], "no-store");
    (secret, code, confirmed.body["recovery_codes"].as_array().unwrap().clone())
}

#[tokio::test]
async fn a_second_factor_is_turned_on_asked_for_taken_away_and_demanded() {
    let world = World::start(StackOptions::default()).await;
    let amy = world.add("amy", Role::Rep, None).await;
    let own = &amy.api;
    let stands = own.get("/users/me/second-factor").await;
    let nothing = json!({"is_enabled": false, "is_required": false, "recovery_codes_left": 0});
    assert_eq!((stands.status, stands.body), (200, nothing));

    let wrong = json!({"current_password": "wrong"});
    let refused = own.post("/users/me/second-factor", &wrong).await;
    assert_eq!(
        (refused.status, &refused.body["errors"][0]["code"]),
        (422, &json!("wrong_password"))
    );
    let (secret, used, codes) = enrol(own).await;
    assert_eq!(codes.len(), 10);
    assert_eq!(own.get("/users/me").await.body["has_second_factor"], true);
    let told = |body: &Value| body["items"][0]["event"] == "account.second_factor_enabled";
    own.eventually("/notifications", told).await;
    let again = own.post("/users/me/second-factor/confirm", &json!({"code": "123456"})).await;
    assert_eq!((again.status, &again.body["code"]), (409, &json!("second_factor_enabled")));

    let form = [("username", "amy@example.com"), ("password", PASSWORD)];
    let refused = world.nobody.ask_token(&form).await;
    assert_eq!((refused.status, &refused.body["error"]), (400, &json!("invalid_grant")));
    let told = refused.body["error_description"].as_str().unwrap().to_owned();
    assert!(told.contains("sign-in page"), "{told}");
    let form = [("username", "amy@example.com"), ("password", "wrong")];
    let refused = world.nobody.ask_token(&form).await;
    assert_ne!(refused.body["error_description"], told);

    let used = json!({"code": used});
    let refused = own.post("/users/me/second-factor/recovery-codes", &used).await;
    assert_eq!((refused.status, &refused.body["errors"][0]["code"]), (422, &json!("wrong_code")));
    let code = json!({"code": shown(&secret, 1)});
    let replaced = own.post("/users/me/second-factor/recovery-codes", &code).await;
    let codes = replaced.body["recovery_codes"].clone();
    assert_eq!((replaced.status, codes.as_array().unwrap().len()), (200, 10));

    let path = format!("/users/{}/second-factor", amy.id);
    assert_eq!(own.delete(&path).await.status, 403);
    assert_eq!(world.admin.delete(&path).await.status, 204);
    assert_eq!(world.admin.delete(&path).await.status, 404);
    let own = world.nobody.sign_in("amy@example.com", PASSWORD).await;

    let (_, _, codes) = enrol(&own).await;
    let demanded = json!({"second_factor_roles": ["rep"]});
    let settings = world.admin.patch("/settings", &demanded).await;
    assert_eq!((settings.status, &settings.body["second_factor_roles"]), (200, &json!(["rep"])));
    let unknown = world.admin.patch("/settings", &json!({"second_factor_roles": ["owner"]})).await;
    assert_eq!(unknown.status, 422, "{}", unknown.text);
    let code = json!({"code": codes[0]});
    let refused = own.post("/users/me/second-factor/disable", &code).await;
    assert_eq!((refused.status, &refused.body["code"]), (403, &json!("second_factor_required")));
    for nobody in [json!([]), Value::Null] {
        let settings =
            world.admin.patch("/settings", &json!({"second_factor_roles": nobody})).await;
        assert_eq!((settings.status, &settings.body["second_factor_roles"]), (200, &json!([])));
    }
    assert_eq!(own.post("/users/me/second-factor/disable", &code).await.status, 204);
    world.nobody.sign_in("amy@example.com", PASSWORD).await;
}
