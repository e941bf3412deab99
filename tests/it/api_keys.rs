//! API keys: how programs ask, as their callers and their owners see it.

use std::fs;
use std::time::Duration;

use chrono::TimeDelta;
use futures::future::join_all;
use local::StackOptions;
use proto::identity::v1::Role;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::api::{Answer, Api, PATIENCE};
use crate::world::{Person, World};

/// How soon what is taken back is taken back everywhere.
const EVERYWHERE: Duration = Duration::from_secs(2);

/// A key and who asks with it as a bearer token.
struct Key {
    id: i64,
    text: String,
    api: Api,
}

#[tokio::test]
async fn a_program_asks_with_a_key_of_a_person() {
    let world = World::with("LOG_LEVEL", "debug").await;
    let amy = world.add("amy", Role::Rep, None).await;
    let viewer = world.add("viewer", Role::Viewer, None).await;
    a_key_is_shown_once_and_serves_in_either_header(&world, &amy).await;
    a_key_does_what_its_scopes_and_its_owners_role_allow(&world, &amy, &viewer).await;
    a_key_makes_no_keys(&world, &amy).await;
    an_administrators_key_makes_nobody_who_outlives_it(&world, &amy).await;
    what_is_wrong_with_a_key_is_said(&world, &amy).await;
    a_request_that_is_sent_again_does_not_show_the_key_again(&amy).await;
    a_key_is_good_until_it_expires(&world, &amy).await;
    a_key_that_is_revoked_is_good_nowhere(&world, &amy).await;
    a_key_follows_what_becomes_of_its_owner(&world).await;
    a_hundred_requests_at_once_need_few_exchanges(&world, &amy).await;
    no_log_holds_a_key(&world, &amy).await;
}

#[tokio::test]
async fn without_identity_a_key_serves_while_it_is_remembered() {
    let mut world = World::start(StackOptions::default()).await;
    let admin = Person { id: 1, api: world.admin.clone() };
    let known = make(&world, &admin, &json!({"name": "known"})).await;
    let new = make(&world, &admin, &json!({"name": "new"})).await;
    assert_eq!(known.api.get("/opportunities").await.status, 200);
    world.stack.kill("identity").await;
    assert_eq!(known.api.get("/opportunities").await.status, 200);
    let refused = new.api.get("/opportunities").await;
    assert_eq!(refused.problem(), (503, "unavailable"));
    assert_ne!(refused.header("retry-after"), "");
    let forged = known.text.replace("spm_live_", "spm_live_1");
    let refused = world.nobody.with_token(&forged).get("/opportunities").await;
    assert_eq!(refused.problem(), (401, "api_key_invalid"), "nobody has to be asked");
    world.stack.restart("identity").await.unwrap();
    new.api.eventually("/opportunities", |_| true).await;
}

async fn make(world: &World, owner: &Person, wanted: &Value) -> Key {
    let made = owner.api.post("/api-keys", wanted).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let text = made.body["key"].as_str().unwrap().to_owned();
    Key { id: made.body["id"].as_i64().unwrap(), api: world.nobody.with_token(&text), text }
}

/// Asks until it is answered otherwise, which has to be soon.
async fn until(api: &Api, path: &str, is_so: impl Fn(&Answer) -> bool) -> Answer {
    let begun = Instant::now();
    loop {
        let asked = Instant::now();
        let answer = api.get(path).await;
        if is_so(&answer) {
            return answer;
        }
        assert!(asked - begun < EVERYWHERE, "{path} is still {}", answer.text);
    }
}

async fn a_key_is_shown_once_and_serves_in_either_header(world: &World, amy: &Person) {
    let made = amy.api.post("/api-keys", &json!({"name": " cron "})).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let id = made.body["id"].as_i64().unwrap();
    assert_eq!(made.header("location"), format!("/api/v1/api-keys/{id}"));
    let key = made.body["key"].as_str().unwrap();
    assert!(key.starts_with(&format!("spm_live_{id}_")), "{key}");
    let mut shown = made.body.clone();
    shown.as_object_mut().unwrap().remove("key");
    let expected = json!({
        "id": id, "name": "cron", "prefix": format!("spm_live_{id}"), "scopes": ["read"],
        "expires_at": null, "last_used_at": null, "created_at": made.body["created_at"], "version": 1,
    });
    assert_eq!(shown, expected);
    let list = amy.api.get("/api-keys").await;
    assert_eq!(list.body, json!({"items": [expected], "next_cursor": null}));

    let (bearer, both) = (format!("Bearer {key}"), format!("bearer {key}"));
    let other = format!("Bearer {}", amy.api.token().unwrap());
    for (headers, status) in [
        (&[("authorization", &*bearer)][..], 200),
        (&[("x-api-key", key)], 200),
        (&[("x-api-key", key), ("authorization", &*both)], 200),
        (&[("x-api-key", key), ("authorization", &*other)], 400),
        (&[("x-api-key", key), ("x-api-key", key)], 400),
    ] {
        let answer = world.nobody.send(Method::GET, "/users/me", headers, "").await;
        assert_eq!(answer.status, status, "{}", answer.text);
        if status == 200 {
            assert_eq!(answer.body["id"], amy.id);
        }
    }
    let list = amy.api.get("/api-keys").await;
    assert!(list.body["items"][0]["last_used_at"].is_string(), "{}", list.text);
    assert!(!list.text.contains("\"key\""), "{}", list.text);
    let of_amy = world.admin.get(&format!("/api-keys?user_id={}", amy.id)).await;
    assert_eq!(of_amy.body, list.body);
    assert_eq!(amy.api.get("/api-keys?user_id=1").await.problem(), (403, "denied"));
}

async fn a_key_does_what_its_scopes_and_its_owners_role_allow(
    world: &World,
    amy: &Person,
    viewer: &Person,
) {
    let sale = json!({"customer_name": "A", "opportunity_name": "B"});
    let reads = make(world, amy, &json!({"name": "reads", "scopes": ["read"]})).await;
    assert_eq!(reads.api.post("/opportunities", &sale).await.problem(), (403, "scope"));
    assert_eq!(reads.api.get("/opportunities").await.status, 200);
    let writes = make(world, amy, &json!({"name": "writes", "scopes": ["write"]})).await;
    let made = writes.api.create(&sale).await;
    assert_eq!(made["owner_id"], amy.id);
    let found = writes.api.get(&format!("/opportunities/{}", made["id"])).await;
    assert_eq!(found.status, 200, "writing includes reading");
    let scopes = json!({"name": "writes", "scopes": ["read", "write"]});
    let viewers = make(world, viewer, &scopes).await;
    assert_eq!(viewers.api.post("/opportunities", &sale).await.problem(), (403, "denied"));
    assert_eq!(viewers.api.get("/opportunities").await.status, 200);
}

async fn a_key_makes_no_keys(world: &World, amy: &Person) {
    let key = make(world, amy, &json!({"name": "writes", "scopes": ["write"]})).await;
    let refused = key.api.post("/api-keys", &json!({"name": "more"})).await;
    assert_eq!(refused.problem(), (403, "denied"));
    let own = format!("/api-keys/{}", key.id);
    assert_eq!(key.api.send(Method::DELETE, &own, &[], "").await.problem(), (403, "denied"));
}

async fn an_administrators_key_makes_nobody_who_outlives_it(world: &World, amy: &Person) {
    let made = world.admin.post("/api-keys", &json!({"name": "all", "scopes": ["write"]})).await;
    let key = made.body["key"].as_str().unwrap().to_owned();
    let ask = async |method, path: &str, body: Value| {
        let headers = [("x-api-key", &*key), ("content-type", "application/json")];
        world.nobody.send(method, path, &headers, &body.to_string()).await.status
    };
    let user = json!({"email": "new@example.com", "username": "new", "role": "admin"});
    assert_eq!(ask(Method::POST, "/users", user).await, 403);
    let path = format!("/users/{}", amy.id);
    for change in [
        json!({"role": "admin"}),
        json!({"email": "other@example.com"}),
        json!({"is_active": false}),
    ] {
        assert_eq!(ask(Method::PATCH, &path, change.clone()).await, 403, "{change}");
    }
    let demanded = json!({"second_factor_roles": ["viewer"]});
    assert_eq!(ask(Method::PATCH, "/settings", demanded).await, 403);
    assert_eq!(ask(Method::PATCH, &path, json!({"username": "Amy"})).await, 200);
}

async fn what_is_wrong_with_a_key_is_said(world: &World, amy: &Person) {
    for (wanted, expected) in [
        (json!({}), &[("name", "required")][..]),
        (
            json!({"name": " ", "expires_at": "2020-01-01T00:00:00Z"}),
            &[("expires_at", "in_the_past"), ("name", "required")],
        ),
        (json!({"name": "a", "scopes": []}), &[("scopes", "out_of_range")]),
        (json!({"name": "a", "scopes": ["read", "admin"]}), &[("scopes[1]", "unknown_value")]),
        (json!({"name": "a", "scopes": "read"}), &[("scopes", "wrong_type")]),
        (json!({"name": "a", "key": "mine"}), &[("key", "unknown_field")]),
    ] {
        let refused = amy.api.post("/api-keys", &wanted).await;
        assert_eq!(refused.bad_fields(), expected, "{wanted}");
    }
    let key = make(world, amy, &json!({"name": "a"})).await;
    for text in ["spm_live_", "spm_live_1_a_b", &key.text[1..], &format!("{}x", key.text)] {
        let refused = world.nobody.send(Method::GET, "/users", &[("x-api-key", text)], "").await;
        assert_eq!(refused.problem(), (401, "api_key_invalid"), "{text}");
        let challenge = refused.header("www-authenticate");
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    }
    let unknown = world.admin.send(Method::DELETE, "/api-keys/999999", &[], "").await;
    assert_eq!(unknown.problem(), (404, "not_found"));
    let cursor = amy.api.get("/api-keys?cursor=nonsense").await;
    assert_eq!(cursor.problem(), (400, "cursor_invalid"));
}

async fn a_request_that_is_sent_again_does_not_show_the_key_again(amy: &Person) {
    let headers = [("idempotency-key", "make-a-key")];
    let body = r#"{"name":"once"}"#;
    let made = amy.api.send(Method::POST, "/api-keys", &headers, body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let again = amy.api.send(Method::POST, "/api-keys", &headers, body).await;
    assert_eq!(again.problem(), (409, "idempotent_replay"));
    assert_eq!(again.body["about"], json!({"id": made.body["id"]}));
    assert!(!again.text.contains("spm_live"), "{}", again.text);
}

async fn a_key_is_good_until_it_expires(world: &World, amy: &Person) {
    let expires_at = process::now() + TimeDelta::seconds(3);
    let key =
        make(world, amy, &json!({"name": "short", "expires_at": expires_at.to_rfc3339()})).await;
    assert_eq!(key.api.get("/users/me").await.status, 200);
    let deadline = Instant::now() + PATIENCE;
    let refused = loop {
        let asked_at = process::now();
        let answer = key.api.get("/users/me").await;
        if answer.status != 200 {
            break answer;
        }
        assert!(asked_at < expires_at && Instant::now() < deadline, "it is still good");
    };
    assert_eq!(refused.problem(), (401, "api_key_expired"));
}

async fn a_key_that_is_revoked_is_good_nowhere(world: &World, amy: &Person) {
    let key = make(world, amy, &json!({"name": "leaked", "scopes": ["write"]})).await;
    // Remembered by the gateway, its token by the services.
    for path in ["/opportunities", "/pipeline/overview", "/notifications", "/users"] {
        assert_eq!(key.api.get(path).await.status, 200, "{path}");
    }
    let own = format!("/api-keys/{}", key.id);
    let stale = amy.api.send(Method::DELETE, &own, &[("if-match", "\"v2\"")], "").await;
    assert_eq!(stale.problem(), (412, "stale"));
    let revoked = amy.api.send(Method::DELETE, &own, &[], "").await;
    assert_eq!(revoked.status, 204, "{}", revoked.text);
    let refused = until(&key.api, "/opportunities", |it| it.status != 200).await;
    assert_eq!(refused.problem(), (401, "api_key_revoked"));
    let again = amy.api.send(Method::DELETE, &own, &[], "").await;
    assert_eq!(again.problem(), (404, "not_found"));
    let list = amy.api.get("/api-keys").await;
    assert!(list.body["items"].as_array().unwrap().iter().all(|it| it["id"] != key.id));

    let key = make(world, amy, &json!({"name": "leaked"})).await;
    assert_eq!(key.api.get("/opportunities").await.status, 200);
    let own = format!("/api-keys/{}", key.id);
    let revoked = world.admin.send(Method::DELETE, &own, &[], "").await;
    assert_eq!(revoked.status, 204, "an admin revokes anyone's: {}", revoked.text);
    until(&key.api, "/opportunities", |it| it.status == 401).await;
}

async fn a_key_follows_what_becomes_of_its_owner(world: &World) {
    let ben = world.add("ben", Role::Rep, None).await;
    let key = make(world, &ben, &json!({"name": "writes", "scopes": ["write"]})).await;
    let sale = json!({"customer_name": "A", "opportunity_name": "B"});
    let id = key.api.create(&sale).await["id"].as_i64().unwrap();
    let path = format!("/users/{}", ben.id);
    let change = async |change: Value| {
        let changed = world.admin.patch(&path, &change).await;
        assert_eq!(changed.status, 200, "{}", changed.text);
        Instant::now()
    };
    let changed = change(json!({"role": "viewer"})).await;
    loop {
        let asked = Instant::now();
        let answer = key.api.post("/opportunities", &sale).await;
        if answer.status == 403 {
            break;
        }
        assert!(asked - changed < EVERYWHERE, "a viewer still makes {}", answer.text);
    }
    change(json!({"is_active": false})).await;
    let refused = until(&key.api, "/opportunities", |it| it.status != 200).await;
    assert_eq!(refused.problem(), (401, "api_key_revoked"));
    change(json!({"is_active": true, "role": "rep"})).await;
    let path = format!("/opportunities/{id}");
    until(&key.api, &path, |it| it.status == 200).await;
}

/// How often identity was asked to exchange a key.
async fn exchanges(world: &World) -> u64 {
    let mut sum = 0;
    for url in world.stack.ops_urls("identity") {
        let metrics = reqwest::get(format!("{url}/metrics")).await.unwrap().text().await.unwrap();
        let method = "identity.v1.ApiKeyService/ExchangeApiKey";
        let counted = metrics
            .lines()
            .filter(|line| line.starts_with("rpc_requests_total") && line.contains(method));
        sum += counted.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum::<u64>();
    }
    sum
}

async fn a_hundred_requests_at_once_need_few_exchanges(world: &World, amy: &Person) {
    let key = make(world, amy, &json!({"name": "busy"})).await;
    let before = exchanges(world).await;
    assert!(before > 0, "they are not counted");
    let answers = join_all((0..100).map(|_| key.api.get("/opportunities"))).await;
    assert!(answers.iter().all(|it| it.status == 200));
    assert_eq!(exchanges(world).await - before, 1);
    // One that is no key of ours, as far as can be told without asking.
    let revoked = amy.api.send(Method::DELETE, &format!("/api-keys/{}", key.id), &[], "").await;
    assert_eq!(revoked.status, 204);
    // Of several processes each hears of it by itself, and they answer in turn.
    let (begun, mut in_a_row) = (Instant::now(), 0);
    while in_a_row < 10 {
        let is_refused = key.api.get("/users/me").await.status == 401;
        in_a_row = if is_refused { in_a_row + 1 } else { 0 };
        assert!(is_refused || begun.elapsed() < EVERYWHERE, "it is still good");
    }
    let before = exchanges(world).await;
    let answers = join_all((0..100).map(|_| key.api.get("/users/me"))).await;
    assert!(answers.iter().all(|it| it.problem() == (401, "api_key_revoked")));
    let asked = exchanges(world).await - before;
    assert!(asked <= 5, "{asked} exchanges of a key that is known to be refused");
}

async fn no_log_holds_a_key(world: &World, amy: &Person) {
    let key = make(world, amy, &json!({"name": "quiet"})).await;
    assert_eq!(key.api.get("/opportunities").await.status, 200);
    let mut seen = 0;
    for file in fs::read_dir(world.stack.logs()).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|it| it == "log") {
            let log = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            seen += log.len();
            let letters = key.text.rsplit('_').nth(1).unwrap();
            assert!(!log.contains(letters), "{}", path.display());
            assert!(!log.contains("spm_live_"), "{}", path.display());
        }
    }
    assert!(seen > 10_000, "only {seen} bytes of logs");
}
