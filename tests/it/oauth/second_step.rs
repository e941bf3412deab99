//! The second step on the sign-in page.

use proto::identity::v1::Role;
use serde_json::json;

use super::Program;
use super::browser::{Browser, Form, Seen, plain};
use crate::second_factor::shown;
use crate::world::World;

const PASSWORD: &str = "correct horse battery";

/// The value of a hidden field.
fn hidden(page: &Seen, name: &str) -> Option<String> {
    let (_, rest) = page.text.split_once(&format!("name=\"{name}\" value=\""))?;
    Some(plain(rest.split('"').next().unwrap()))
}

/// Sends the second form with what is typed, and what it holds itself.
async fn send(browser: &Browser, page: &Seen, typed: (&str, &str)) -> Seen {
    let form: Form = page.form();
    let mut fields = vec![typed];
    let held = ["ticket", "secret", "otpauth_uri"].map(|name| (name, hidden(page, name)));
    for (name, value) in &held {
        fields.extend(value.as_deref().map(|value| (*name, value)));
    }
    browser.submit(&form, &fields).await
}

pub(super) async fn it_turns_a_second_factor_on_where_the_role_must_have_one(world: &World) {
    let program = Program::make(world, &json!({})).await;
    let ben = world.add("second-step", Role::Viewer, None).await;
    let demand = async |roles: &[&str]| {
        let answer = world.admin.patch("/settings", &json!({"second_factor_roles": roles})).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    };
    demand(&["viewer"]).await;
    let mut browser = program.browser();
    let first = [("username", "second-step@example.com"), ("password", PASSWORD)];
    let form = browser.open(&program.asks_with("ui_locales", "en")).await.form();
    let page = browser.submit(&form, &first).await;
    assert_eq!((page.status, page.header("cache-control")), (200, "no-store"));
    for part in ["<svg class=\"qr\"", "autocomplete=\"one-time-code\"", "Your role has to"] {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
    let secret = hidden(&page, "secret").unwrap();
    // A wrong one leaves the same to scan.
    let again = send(&browser, &page, ("code", "12345")).await;
    assert_eq!(again.status, 422);
    assert_eq!(hidden(&again, "secret").as_ref(), Some(&secret));
    assert!(again.text.contains("role=\"alert\"") && again.text.contains("<svg"));
    // One by one: what another browser has the form of is not taken.
    let foreign = send(&program.browser(), &again, ("code", "12345")).await;
    assert_eq!(foreign.status, 403);
    assert_eq!((hidden(&foreign, "ticket"), hidden(&foreign, "secret")), (None, None));

    let codes = send(&browser, &again, ("code", &shown(&secret, 0))).await;
    assert_eq!((codes.status, codes.header("cache-control")), (200, "no-store"));
    let all: Vec<&str> = codes.text.split("<li><code>").skip(1).collect();
    assert_eq!(all.len(), 10, "{}", codes.text);
    let recovery = all[0].split('<').next().unwrap().to_owned();
    let (_, link) = codes.text.split_once("class=\"button\" href=\"").unwrap();
    let location = reqwest::Url::parse(&plain(link.split('"').next().unwrap())).unwrap();
    assert_eq!(location.host_str(), Some("app.example.com"));
    let told: std::collections::BTreeMap<_, _> = location.query_pairs().into_owned().collect();
    assert_eq!((&*told["state"], &*told["tenant"]), ("s-1", "a"));
    assert_eq!(program.exchanges(&told["code"]).await.status, 200);
    // Their sessions of before are over.
    let deadline = tokio::time::Instant::now() + crate::api::PATIENCE;
    while ben.api.get("/users/me").await.status != 401 {
        assert!(tokio::time::Instant::now() < deadline, "the session of before goes on");
    }

    let form = browser.open(&program.asks_with("ui_locales", "zh-TW")).await.form();
    let page = browser.submit(&form, &first).await;
    assert!(page.text.contains("兩步驟驗證") && !page.text.contains("<svg"), "{}", page.text);
    assert_eq!(send(&browser, &page, ("code", "")).await.status, 422);
    let sent = send(&browser, &page, ("recovery_code", &recovery)).await;
    assert_eq!(program.exchanges(&sent.told()["code"]).await.status, 200);
    let page = send(&browser, &page, ("recovery_code", &recovery)).await;
    assert_eq!(page.status, 422, "it was used");
    let sent = send(&browser, &page, ("code", &shown(&secret, 1))).await;
    assert_eq!(program.exchanges(&sent.told()["code"]).await.status, 200);

    // What was made for one request is not good for another.
    let form = browser.open(&program.asks_with("scope", "read")).await.form();
    let fields = [("ticket", &*hidden(&page, "ticket").unwrap()), ("code", "123456")];
    let expired = browser.submit(&form, &fields).await;
    assert_eq!(expired.status, 403);
    assert!(expired.text.contains("name=\"password\""), "it begins anew: {}", expired.text);
    demand(&[]).await;
}
