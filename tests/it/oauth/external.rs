//! Signing in with an external provider: the whole product, and a provider that others certified.

use local::StackOptions;
use local::openid::{CLIENT_ID, CLIENT_SECRET, Provider};
use proto::identity::v1::Role;
use reqwest::Url;
use serde_json::{Value, json};

use super::browser::{Browser, Form, Seen};
use super::elsewhere::Elsewhere;
use super::{Program, URI};
use crate::api::Api;
use crate::world::World;

/// Where people find the product, as far as they and the provider know; the tests find it elsewhere.
const PUBLIC_URL: &str = "https://sales.example.com";
const CALLBACK: &str = "https://sales.example.com/api/v1/auth/external/callback";

/// The button of the provider on a page.
fn button(page: &Seen) -> Form {
    let (_, rest) = page.text.split_once("</form>").unwrap();
    Seen { text: rest.to_owned(), ..page.clone() }.form()
}

/// Somebody goes to the provider; where they are sent.
async fn goes(program: &Program<'_>, browser: &mut Browser) -> String {
    let page = browser.open(&program.asks_with("ui_locales", "en")).await;
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.text.contains(">Sign in with Company login and allow<"), "{}", page.text);
    let sent = browser.submit(&button(&page), &[]).await;
    assert_eq!(sent.status, 303, "{sent:?}");
    assert_eq!(sent.header("referrer-policy"), "no-referrer");
    sent.header("location").to_owned()
}

/// They come back to us, at the address where the tests find us.
async fn comes_back(browser: &mut Browser, location: &str) -> Seen {
    assert!(location.starts_with(CALLBACK), "{location}");
    let here = location.replacen(PUBLIC_URL, &browser.origin, 1);
    browser.open_url(&here, &[("accept-language", "en")]).await
}

/// All of it, by that name at the provider.
async fn signs_in(program: &Program<'_>, name: &str) -> Seen {
    let mut browser = program.browser();
    let address = goes(program, &mut browser).await;
    let location = Elsewhere::new().signs_in(&address, name).await;
    comes_back(&mut browser, &location).await
}

async fn linked(world: &World, id: i64) -> Vec<Value> {
    let path = format!("/audit?record_type=user&record_id={id}");
    let entries = world.admin.all(&path).await;
    entries.into_iter().filter(|it| it["type"] == "user.external_linked").collect()
}

#[tokio::test]
async fn people_sign_in_with_a_provider_that_knows_their_address() {
    let accounts = json!({
        "amy": {"email": "Amy@example.com", "email_verified": true},
        "bob": {"email": "bob@example.com", "email_verified": false},
        "eve": {"email": "eve@elsewhere.example", "email_verified": true},
    });
    let mut provider = Provider::start(CALLBACK, &accounts).await.unwrap();
    let environment = [
        ("PUBLIC_URL", PUBLIC_URL),
        ("OIDC_ISSUER", &provider.issuer),
        ("OIDC_CLIENT_ID", CLIENT_ID),
        ("OIDC_CLIENT_SECRET", CLIENT_SECRET),
        ("OIDC_NAME", "Company login"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let world = World::start(StackOptions { environment, ..StackOptions::default() }).await;
    let amy = world.add("amy", Role::Rep, None).await;
    let bob = world.add("bob", Role::Rep, None).await;
    let program = Program::make(&world, &json!({})).await;

    who_is_known_there_is_known_here(&world, &program, amy.id).await;
    who_is_not_known_here_stays_outside(&world, &program, bob.id).await;
    who_changes_their_mind_is_back_on_the_page(&program).await;
    who_comes_back_has_to_be_who_went(&program).await;
    who_may_not_come_in_any_more_does_not_by_the_provider_either(&world, &program, amy.id).await;
    who_must_have_a_second_factor_is_asked_for_it(&world, &program).await;
    a_forged_form_sends_nobody_to_the_provider(&program).await;

    // With the provider gone people still get in with their passwords.
    let mut browser = program.browser();
    let address = goes(&program, &mut browser).await;
    let location = Elsewhere::new().signs_in(&address, "amy").await;
    provider.stop().await;
    let page = comes_back(&mut browser, &location).await;
    assert_eq!((page.status, page.header("retry-after")), (503, "1"), "{page:?}");
    assert!(page.text.contains("not possible at the moment"), "{}", page.text);
    let secrets = world.stack.secrets();
    let fields = [("username", &*secrets.admin_email), ("password", &*secrets.admin_password)];
    assert_eq!(
        browser.submit(&page.form(), &fields).await.target(),
        "https://app.example.com/back"
    );
}

async fn who_is_known_there_is_known_here(world: &World, program: &Program<'_>, amy: i64) {
    for _ in 0..2 {
        let sent = signs_in(program, "amy").await;
        assert_eq!(sent.target(), "https://app.example.com/back", "{sent:?}");
        let told = sent.told();
        assert_eq!((&*told["tenant"], &*told["state"], &*told["iss"]), ("a", "s-1", PUBLIC_URL));
        let answer = program.exchanges(&told["code"]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let token = answer.json()["access_token"].as_str().unwrap().to_owned();
        let own: Api = world.nobody.with_token(&token);
        assert_eq!(own.get("/users/me").await.body["id"], amy);
    }
    let [link] = &linked(world, amy).await[..] else { panic!("one link") };
    assert_eq!(link["actor_user_id"], amy);
    assert_eq!(link["changes"][1], json!({"field": "external_subject", "old": null, "new": "amy"}));
}

async fn who_is_not_known_here_stays_outside(world: &World, program: &Program<'_>, bob: i64) {
    let before = world.admin.all("/users").await.len();
    for (name, word) in [("eve", "no account here"), ("bob", "not verified")] {
        let page = signs_in(program, name).await;
        assert_eq!((page.status, page.header("location")), (403, ""), "{page:?}");
        assert!(page.text.contains(word), "{}", page.text);
        assert!(page.text.contains("role=\"alert\""), "{}", page.text);
        // They can try again from there, with the program's request as it was.
        let again = button(&page);
        assert!(again.action.starts_with("/api/v1/auth/external?client_id="), "{again:?}");
        assert!(again.action.ends_with("&ui_locales=en"), "{again:?}");
    }
    assert_eq!(world.admin.all("/users").await.len(), before);
    assert_eq!(linked(world, bob).await.len(), 0);
}

async fn who_changes_their_mind_is_back_on_the_page(program: &Program<'_>) {
    let mut browser = program.browser();
    let address = goes(program, &mut browser).await;
    let location = Elsewhere::new().cancels(&address).await;
    let page = comes_back(&mut browser, &location).await;
    assert_eq!(page.status, 403, "{page:?}");
    assert!(page.text.contains("did not sign in with the other account"), "{}", page.text);
}

async fn who_comes_back_has_to_be_who_went(program: &Program<'_>) {
    let mut browser = program.browser();
    let address = goes(program, &mut browser).await;
    let location = Elsewhere::new().signs_in(&address, "amy").await;
    let over = |page: &Seen| {
        assert_eq!((page.status, page.header("location")), (400, ""), "{page:?}");
        assert!(page.text.contains("This sign-in is over"), "{}", page.text);
        assert_eq!(page.header("cache-control"), "no-store");
    };
    // Neither somebody without our cookie, nor somebody with one of their own.
    over(&comes_back(&mut program.browser(), &location).await);
    let mut other = program.browser();
    other.open(&program.asks()).await;
    over(&comes_back(&mut other, &location).await);
    let twice = format!("{location}&state=x");
    over(&comes_back(&mut browser, &twice).await);
    over(&comes_back(&mut browser, CALLBACK).await);
    let sent = comes_back(&mut browser, &location).await;
    assert_eq!(sent.target(), "https://app.example.com/back");
    over(&comes_back(&mut browser, &location).await);
    // Nor is a code of one sign-in good in another.
    let stolen = Elsewhere::new().signs_in(&goes(program, &mut browser).await, "amy").await;
    let own = Elsewhere::new().signs_in(&goes(program, &mut browser).await, "amy").await;
    let code = |location: &str| {
        let url = Url::parse(location).unwrap();
        url.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned()
    };
    let page = comes_back(&mut browser, &own.replace(&code(&own), &code(&stolen))).await;
    assert_eq!((page.status, page.header("location")), (502, ""), "{page:?}");
}

async fn who_may_not_come_in_any_more_does_not_by_the_provider_either(
    world: &World,
    program: &Program<'_>,
    amy: i64,
) {
    let path = format!("/users/{amy}");
    assert_eq!(world.admin.patch(&path, &json!({"is_active": false})).await.status, 200);
    assert_eq!(signs_in(program, "amy").await.status, 403);
    assert_eq!(world.admin.patch(&path, &json!({"is_active": true})).await.status, 200);
    assert_eq!(signs_in(program, "amy").await.target(), "https://app.example.com/back");
    assert_eq!(linked(world, amy).await.len(), 2);
}

async fn who_must_have_a_second_factor_is_asked_for_it(world: &World, program: &Program<'_>) {
    let demand = async |roles: Value| {
        let wanted = json!({"second_factor_roles": roles});
        assert_eq!(world.admin.patch("/settings", &wanted).await.status, 200);
    };
    demand(json!(["rep"])).await;
    let page = signs_in(program, "amy").await;
    assert_eq!((page.status, page.header("location")), (200, ""), "{page:?}");
    assert!(page.text.contains("name=\"ticket\""), "{}", page.text);
    assert!(page.form().action.starts_with("/api/v1/auth/authorize?"), "{page:?}");
    demand(json!([])).await;
}

async fn a_forged_form_sends_nobody_to_the_provider(program: &Program<'_>) {
    let mut browser = program.browser();
    let page = browser.open(&program.asks()).await;
    let form = button(&page);
    let other = browser.clone().open(&program.asks_with("state", "x")).await;
    assert_eq!(button(&other).token, form.token, "a browser has one");
    let forged =
        Form { token: program.browser().open(&program.asks()).await.form().token, ..form.clone() };
    assert_eq!(browser.submit(&forged, &[]).await.status, 403);
    let elsewhere = browser.submit_with(&form, &[], &[("sec-fetch-site", "cross-site")]).await;
    assert_eq!((elsewhere.status, elsewhere.header("location")), (403, ""));
    let action = form.action.replace("back%3Ftenant%3Da", "other");
    assert_ne!(action, form.action);
    let page = browser.submit(&Form { action, ..form.clone() }, &[]).await;
    assert_eq!((page.status, page.header("location")), (400, ""), "{URI}");
}

#[tokio::test]
async fn without_a_provider_the_page_has_no_button() {
    let world = World::start(StackOptions::default()).await;
    let program = Program::make(&world, &json!({})).await;
    let mut browser = program.browser();
    let page = browser.open(&program.asks()).await;
    assert_eq!(page.text.matches("<form").count(), 1);
    let form = page.form();
    let action = form.action.replace("/auth/authorize?", "/auth/external?");
    let page = browser.submit(&Form { action, ..form }, &[]).await;
    assert_eq!((page.status, page.header("location")), (400, ""), "{page:?}");
    let page = browser
        .open_url(&format!("{}/api/v1/auth/external/callback?state=x&code=y", browser.origin), &[])
        .await;
    assert_eq!(page.status, 400, "{page:?}");
}
