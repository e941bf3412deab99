//! What programs do.

use futures::future::join_all;
use proto::identity::v1::Role;
use reqwest::Method;
use serde_json::json;

use super::browser::{Browser, VERIFIER};
use super::{Program, URI};
use crate::world::World;

pub(super) async fn the_server_says_where_everything_is(world: &World) {
    let origin = world.stack.base_url();
    let server = world.nobody.get("//.well-known/oauth-authorization-server").await;
    assert_eq!(server.status, 200, "{}", server.text);
    assert_eq!(server.body["issuer"], json!(origin));
    for (member, path) in [
        ("authorization_endpoint", "/api/v1/auth/authorize"),
        ("token_endpoint", "/api/v1/auth/token"),
        ("revocation_endpoint", "/api/v1/auth/revoke"),
        ("jwks_uri", "/.well-known/jwks.json"),
    ] {
        assert_eq!(server.body[member], json!(format!("{origin}{path}")));
    }
    assert_eq!(server.body["code_challenge_methods_supported"], json!(["S256"]));
    assert_eq!(
        server.body["grant_types_supported"],
        json!(["authorization_code", "refresh_token", "client_credentials", "password"])
    );
    let keys = world.nobody.get("//.well-known/jwks.json").await;
    let key = &keys.body["keys"][0];
    assert_eq!(
        (&key["kty"], &key["crv"], &key["use"]),
        (&json!("OKP"), &json!("Ed25519"), &json!("sig"))
    );
    for answer in [&server, &keys] {
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.header("cache-control"), "public, max-age=300");
    }
    // Nobody makes up by what name we are known.
    for host in ["evil.example", "localhost.evil.example"] {
        let path = "//.well-known/oauth-authorization-server";
        let answer = world.nobody.send(Method::GET, path, &[("host", host)], "").await;
        assert_eq!(answer.problem(), (404, "not_found"), "{host}");
    }
}

pub(super) async fn a_program_is_made_once_and_its_secret_is_shown_once(world: &World) {
    let wanted = json!({"name": "Robot", "kind": "confidential", "redirect_uris": [URI]});
    let key = [("idempotency-key", "robot-1")];
    let send =
        async || world.admin.send(Method::POST, "/oauth-clients", &key, &wanted.to_string()).await;
    let made = send().await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.body["scopes"], json!(["read"]));
    assert_eq!(made.body["client_secret"].as_str().unwrap().len(), 43);
    assert_eq!(made.header("cache-control"), "no-store");
    let again = send().await;
    assert_eq!(again.problem(), (409, "secret_shown"));
    assert_eq!(again.body["about"], json!({"id": made.body["id"]}));
    let path = format!("/oauth-clients/{}", made.body["id"]);
    let found = world.admin.get(&path).await;
    assert_eq!((found.status, found.header("etag")), (200, "\"v1\""));
    assert_eq!(found.body.get("client_secret"), None);

    let bad = json!({"name": "", "redirect_uris": ["http://example.com/"], "scopes": ["root"], "user_id": 1});
    let refused = world.admin.post("/oauth-clients", &bad).await;
    let fields: Vec<_> = refused.bad_fields().into_iter().map(|(field, _)| field).collect();
    assert_eq!(fields, ["name", "redirect_uris[0]", "scopes[0]", "user_id"]);
    let amy = world.add("amy", Role::Rep, None).await;
    assert_eq!(amy.api.post("/oauth-clients", &wanted).await.problem(), (403, "denied"));
    let gone = world.admin.send(Method::DELETE, &path, &[("if-match", "\"v1\"")], "").await;
    assert_eq!((gone.status, world.admin.get(&path).await.status), (204, 404));
}

pub(super) async fn a_sign_in_gives_a_code_and_the_code_a_session_of_the_program(world: &World) {
    let program = Program::make(world, &json!({})).await;
    let sent = program.signs_in(&program.asks()).await;
    assert_eq!(sent.target(), "https://app.example.com/back");
    let told = sent.told();
    assert_eq!((&*told["tenant"], &*told["state"]), ("a", "s-1"));
    assert_eq!(told["iss"], world.stack.base_url());
    assert_eq!(told["code"].len(), 43);
    assert_eq!(sent.header("cache-control"), "no-store");
    let answer = program.exchanges(&told["code"]).await;
    assert_eq!((answer.status, answer.header("cache-control")), (200, "no-store"));
    let tokens = answer.json();
    assert_eq!((&tokens["token_type"], &tokens["scope"]), (&json!("bearer"), &json!("read write")));
    let api = world.nobody.with_token(tokens["access_token"].as_str().unwrap());
    api.create(&json!({"customer_name": "A", "opportunity_name": "B"})).await;
    let mine = api.get("/users/me/sessions").await;
    let session = mine.body["items"].as_array().unwrap().iter().find(|it| it["is_current"] == true);
    assert_eq!(session.unwrap()["client"], "Add-in <b>");

    // A program on somebody's device listens on whatever port it got.
    let uri = "http://127.0.0.1:51004/back";
    let sent = program.signs_in(&program.asks_with("redirect_uri", uri)).await;
    assert_eq!(sent.target(), uri);
    let code = &sent.told()["code"];
    assert_eq!(program.exchanges(code).await.failure(), (400, "invalid_grant".to_owned()));
    assert_eq!(program.exchanges_with(code, "redirect_uri", uri).await.status, 200);
}

pub(super) async fn a_code_is_good_once_for_whom_it_was_given(world: &World) {
    let program = Program::make(world, &json!({})).await;
    let other = Program::make(world, &json!({"kind": "confidential"})).await;
    let code = program.code().await;
    for (name, value, expected) in [
        ("code_verifier", "", (400, "invalid_request")),
        ("code_verifier", &VERIFIER[1..], (400, "invalid_grant")),
        ("code_verifier", super::CHALLENGE, (400, "invalid_grant")),
        ("redirect_uri", "", (400, "invalid_request")),
        ("redirect_uri", "https://app.example.com/back", (400, "invalid_grant")),
        ("client_id", "", (401, "invalid_client")),
        ("client_id", "spm_nobody", (401, "invalid_client")),
        ("client_id", &other.client_id, (401, "invalid_client")),
        ("code", "x", (400, "invalid_grant")),
        ("client_secret", "x", (401, "invalid_client")),
        ("grant_type", "implicit", (400, "unsupported_grant_type")),
    ] {
        let (status, error) = program.exchanges_with(&code, name, value).await.failure();
        assert_eq!((status, &*error), expected, "{name}={value}");
    }
    assert_eq!(other.exchanges(&code).await.failure(), (400, "invalid_grant".to_owned()));
    let tokens = program.exchanges(&code).await.json();
    let api = world.nobody.with_token(tokens["access_token"].as_str().unwrap());
    assert_eq!(api.get("/users/me").await.status, 200);
    assert_eq!(program.exchanges(&code).await.failure(), (400, "invalid_grant".to_owned()));
    is_refused_everywhere(&api).await;
}

pub(super) async fn fifty_exchanges_at_once_open_one_session(world: &World) {
    let program = Program::make(world, &json!({"kind": "confidential"})).await;
    let code = program.code().await;
    let answers = join_all((0..50).map(|_| program.exchanges(&code))).await;
    let good: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(good.len(), 1);
    let api = world.nobody.with_token(good[0].json()["access_token"].as_str().unwrap());
    is_refused_everywhere(&api).await;
}

pub(super) async fn a_refresh_token_is_its_programs_own(world: &World) {
    let program = Program::make(world, &json!({})).await;
    let other = Program::make(world, &json!({})).await;
    let tokens = program.tokens().await;
    let refresh = async |token: &str, client_id: Option<&str>| {
        let mut form = vec![("grant_type", "refresh_token"), ("refresh_token", token)];
        form.extend(client_id.map(|client_id| ("client_id", client_id)));
        program.browser().ask_token(&form, None).await
    };
    let token = tokens["refresh_token"].as_str().unwrap();
    let refused = refresh(token, Some(&other.client_id)).await;
    assert_eq!(refused.failure(), (400, "invalid_grant".to_owned()));
    assert_eq!(refresh(token, None).await.failure(), (401, "invalid_client".to_owned()));
    let next = refresh(token, Some(&program.client_id)).await;
    assert_eq!(next.status, 200, "{next:?}");
    // A session that no program was given goes on as before, whoever says that they ask.
    let secrets = world.stack.secrets();
    let own = [("username", &*secrets.admin_email), ("password", &*secrets.admin_password)];
    let own = world.nobody.ask_token(&own).await;
    let own = refresh(own.body["refresh_token"].as_str().unwrap(), Some("anything")).await;
    assert_eq!((own.status, own.json().get("scope")), (200, None));
}

pub(super) async fn a_program_acts_by_itself_within_its_scopes(world: &World) {
    let robot = world.add("robot", Role::Rep, None).await;
    let alone = json!({"kind": "confidential", "user_id": robot.id, "redirect_uris": [], "scopes": ["read"]});
    let program = Program::make(world, &alone).await;
    let (client_id, secret) = (&*program.client_id, program.secret.as_deref().unwrap());
    let browser = Browser::new(&world.stack.base_url());
    let grant = ("grant_type", "client_credentials");
    let basic =
        browser.ask_token(&[grant, ("scope", "read write")], Some((client_id, secret))).await;
    let form = [grant, ("client_id", client_id), ("client_secret", secret)];
    let post = browser.ask_token(&form, None).await;
    for answer in [&basic, &post] {
        let token = answer.json();
        assert_eq!((answer.status, &token["scope"]), (200, &json!("read")), "{answer:?}");
        assert_eq!(token.get("refresh_token"), None);
    }
    let api = world.nobody.with_token(basic.json()["access_token"].as_str().unwrap());
    assert_eq!(api.get("/users/me").await.body["id"], robot.id);
    let sale = json!({"customer_name": "A", "opportunity_name": "B"});
    assert_eq!(api.post("/opportunities", &sale).await.problem(), (403, "scope"));

    let wrong = browser.ask_token(&[grant], Some((client_id, "wrong"))).await;
    assert_eq!(wrong.failure(), (401, "invalid_client".to_owned()));
    assert_eq!(wrong.header("www-authenticate"), "Basic realm=\"salespipeline\"");
    let wrong = browser.ask_token(&[grant, ("client_id", client_id)], None).await;
    assert_eq!((wrong.status, wrong.header("www-authenticate")), (401, ""));
    let scope = browser.ask_token(&[grant, ("scope", "root")], Some((client_id, secret))).await;
    assert_eq!(scope.failure(), (400, "invalid_scope".to_owned()));
    let twice = browser.ask_token(&form, Some((client_id, secret))).await;
    assert_eq!(twice.failure(), (400, "invalid_request".to_owned()));

    let path = format!("/users/{}", robot.id);
    assert_eq!(world.admin.patch(&path, &json!({"is_active": false})).await.status, 200);
    let refused = browser.ask_token(&[grant], Some((client_id, secret))).await;
    assert_eq!(refused.failure(), (400, "unauthorized_client".to_owned()));
    is_refused_everywhere(&api).await;
}

pub(super) async fn a_program_that_is_deleted_is_let_in_nowhere(world: &World) {
    let own = world.admin.get("/users/me").await.body["id"].clone();
    let program = Program::make(world, &json!({"kind": "confidential", "user_id": own})).await;
    let tokens = program.tokens().await;
    let (client_id, secret) = (&*program.client_id, program.secret.as_deref().unwrap());
    let grant = [("grant_type", "client_credentials")];
    let alone = program.browser().ask_token(&grant, Some((client_id, secret))).await.json();
    let list = world.admin.all("/oauth-clients").await;
    let found = list.iter().find(|it| it["client_id"] == client_id).unwrap();
    let path = format!("/oauth-clients/{}", found["id"]);
    assert_eq!(world.admin.send(Method::DELETE, &path, &[], "").await.status, 204);
    for token in [&tokens["access_token"], &alone["access_token"]] {
        is_refused_everywhere(&world.nobody.with_token(token.as_str().unwrap())).await;
    }
    let refused = program.browser().ask_token(&grant, Some((client_id, secret))).await;
    assert_eq!(refused.failure(), (401, "invalid_client".to_owned()));
    let page = program.browser().open(&program.asks()).await;
    assert_eq!(page.status, 400);
}

/// What is taken back counts within two seconds; on a busy machine perhaps later.
async fn is_refused_everywhere(api: &crate::api::Api) {
    for path in ["/users/me", "/opportunities", "/forecast", "/notifications"] {
        let deadline = tokio::time::Instant::now() + crate::api::PATIENCE;
        // Each replica hears of it by itself.
        let mut refused = 0;
        while refused < 8 {
            assert!(tokio::time::Instant::now() < deadline, "{path} is still answered");
            refused = if api.get(path).await.status == 401 { refused + 1 } else { 0 };
        }
        assert_eq!(api.get(path).await.problem(), (401, "token_revoked"));
    }
}
