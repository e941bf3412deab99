//! The sign-in page.

use serde_json::json;

use super::browser::{Browser, plain};
use super::{Program, URI};
use crate::world::World;

pub(super) async fn it_is_shown_as_no_other_page_can_use_it(world: &World) {
    let program = Program::make(world, &json!({})).await;
    let page = program.browser().open(&program.asks()).await;
    assert_eq!((page.status, page.header("cache-control")), (200, "no-store"));
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    let policy = page.header("content-security-policy");
    for part in [
        "default-src 'none'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self' https:;",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let cookie = page.header("set-cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    assert!(!page.text.contains("<script") && !page.text.contains("http://"), "{}", page.text);
    for label in ["<label for=\"username\">", "<label for=\"password\">", "name=\"viewport\""] {
        assert!(page.text.contains(label), "{label}");
    }
}

pub(super) async fn it_speaks_both_languages(world: &World) {
    let program = Program::make(world, &json!({})).await;
    let mut browser = program.browser();
    let url = format!("{}?client_id={}", browser.address(), program.client_id);
    let words = async |browser: &mut Browser, more: &str, accepted: &str| {
        browser.open_url(&format!("{url}{more}"), &[("accept-language", accepted)]).await.text
    };
    assert!(words(&mut browser, "", "en-GB,en").await.contains("You cannot sign in here"));
    assert!(words(&mut browser, "", "zh-TW").await.contains("無法登入"));
    assert!(words(&mut browser, "&ui_locales=zh-TW", "en").await.contains("無法登入"));
    let page = browser.open(&program.asks_with("ui_locales", "zh-TW")).await;
    assert!(page.text.contains("<html lang=\"zh-Hant-TW\">") && page.text.contains("登入並允許"));
    let page = browser.open(&program.asks_with("ui_locales", "en")).await;
    assert!(page.text.contains("change it in your name"), "{}", page.text);
    let own = program.asks_with("client_id", "dashboard");
    let own: Vec<_> = own.into_iter().filter(|(name, _)| *name != "redirect_uri").collect();
    let home = "http://localhost/signed-in";
    let page =
        browser.open(&[own, vec![("redirect_uri", home), ("ui_locales", "en")]].concat()).await;
    assert_eq!(page.status, 200, "{page:?}");
    assert!(!page.text.contains("asks to use"), "the product asks nobody about itself");
}

pub(super) async fn who_is_wrong_is_told_no_more_than_that(world: &World) {
    let program = Program::make(world, &json!({})).await;
    let mut browser = program.browser();
    let form = browser.open(&program.asks_with("ui_locales", "en")).await.form();
    let mut pages = Vec::new();
    let known = world.add("wrong", proto::identity::v1::Role::Rep, None).await;
    let path = format!("/users/{}", known.id);
    let email = world.admin.get(&path).await.body["email"].as_str().unwrap().to_owned();
    for (email, password) in [(&*email, "not it"), ("nobody@example.com", "not it"), ("a\0b", "x")]
    {
        let page = browser.submit(&form, &[("username", email), ("password", password)]).await;
        assert_eq!(page.status, 422, "{page:?}");
        let shown = email.replace('\0', "\u{fffd}");
        pages.push(page.text.replace(&format!("value=\"{shown}\""), "value=\"\""));
    }
    assert!(pages[0].contains("role=\"alert\""));
    assert!(pages.iter().all(|page| *page == pages[0]), "{pages:?}");
    // And may try again from there.
    let again = browser.submit(&form, &[("username", &email), ("password", "")]).await;
    assert_eq!(again.form().action, form.action);
    for _ in 0..5 {
        browser.submit(&form, &[("username", &email), ("password", "no")]).await;
    }
    let page = browser.submit(&form, &[("username", &email), ("password", "no")]).await;
    assert_eq!(page.status, 429);
    assert!(page.header("retry-after").parse::<u64>().unwrap() >= 1);
    assert!(page.text.contains("too many wrong attempts"), "{}", page.text);
}

pub(super) async fn nobody_is_sent_where_the_program_did_not_say(world: &World) {
    let program = Program::make(world, &json!({})).await;
    let mut browser = program.browser();
    for uri in [
        "",
        "https://app.example.com/",
        "https://app.example.com/back",
        "https://app.example.com/back?tenant=A",
        "https://app.example.com/back?tenant=a&next=https://evil.example",
        "https://app.example.com/back?tenant=a#x",
        "https://app.example.com/x/../back?tenant=a",
        "https://APP.example.com/back?tenant=a",
        "https://app.example.com:444/back?tenant=a",
        "https://app.example.com@evil.example/back?tenant=a",
        "https://user@app.example.com/back?tenant=a",
        "http://app.example.com/back?tenant=a",
        "//evil.example/back",
        "https://evil.example",
        "javascript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "http://127.0.0.1:51004/other",
        "http://127.0.0.1.evil.example/back",
        "http://localhost:51004/back",
        "https://127.0.0.1:51004/back",
    ] {
        let asks = program.asks_with("redirect_uri", uri);
        let page = browser.open(&asks).await;
        assert_eq!((page.status, page.header("location")), (400, ""), "{uri}");
        assert!(page.text.contains("redirect_uri_unknown"), "{}", page.text);
        // Nor by who goes past the page.
        let form = browser.open(&program.asks()).await.form();
        let url = reqwest::Url::parse_with_params(&browser.address(), &asks).unwrap();
        let action = format!("{}?{}", url.path(), url.query().unwrap());
        let secrets = world.stack.secrets();
        let fields = [("username", &*secrets.admin_email), ("password", &*secrets.admin_password)];
        let forged = super::browser::Form { action, ..form };
        let page = browser.submit(&forged, &fields).await;
        assert_eq!((page.status, page.header("location")), (400, ""), "{uri}");
    }
    for client_id in ["", "spm_nobody", "a\0b", &program.client_id.to_uppercase()] {
        let page = browser.open(&program.asks_with("client_id", client_id)).await;
        assert_eq!((page.status, page.header("location")), (400, ""), "{client_id}");
        assert!(page.text.contains("client_unknown"));
    }
    for name in ["client_id", "redirect_uri"] {
        let mut asks = program.asks();
        asks.push((name, if name == "client_id" { &program.client_id } else { URI }));
        let page = browser.open(&asks).await;
        assert_eq!((page.status, page.header("location")), (400, ""), "{name} came twice");
    }
}

pub(super) async fn a_program_that_asks_wrongly_is_told_so(world: &World) {
    let program = Program::make(world, &json!({})).await;
    let mut browser = program.browser();
    for (name, value, error) in [
        ("response_type", "", "invalid_request"),
        ("response_type", "token", "unsupported_response_type"),
        ("response_type", "code id_token", "unsupported_response_type"),
        ("code_challenge", "", "invalid_request"),
        ("code_challenge", "short", "invalid_request"),
        ("code_challenge_method", "", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("scope", "openid", "invalid_scope"),
    ] {
        let sent = browser.open(&program.asks_with(name, value)).await;
        assert_eq!(sent.target(), "https://app.example.com/back");
        let told = sent.told();
        assert_eq!((&*told["error"], &*told["state"]), (error, "s-1"), "{name}={value}");
        assert_eq!(told["iss"], world.stack.base_url());
        assert!(!told.contains_key("code"));
    }
    let mut twice = program.asks();
    twice.push(("scope", "read"));
    twice.push(("scope", "write"));
    assert_eq!(browser.open(&twice).await.told()["error"], "invalid_request");
}

pub(super) async fn whatever_is_sent_stays_text_and_the_state_comes_back_untouched(world: &World) {
    let program = Program::make(world, &json!({})).await;
    let mut browser = program.browser();
    for payload in [
        "\"><script>alert(1)</script>",
        "' onmouseover='alert(1)",
        "javascript:alert(1)",
        "</title><svg onload=alert(1)>",
        "a b+c%20d&e=f#g?h;i",
        "王小明 ✓ \u{202e}",
        "&quot;&#x3c;script&#x3e;",
        "\r\nSet-Cookie: x=y",
        "{{7*7}}",
    ] {
        let sent = program.signs_in(&program.asks_with("state", payload)).await;
        assert_eq!(sent.told()["state"], payload);
        assert_eq!(sent.headers.get_all("set-cookie").iter().count(), 0);
        for name in [
            "client_id",
            "redirect_uri",
            "response_type",
            "scope",
            "code_challenge",
            "code_challenge_method",
            "ui_locales",
            "nonce",
        ] {
            let page = browser.open(&program.asks_with(name, payload)).await;
            assert!(page.status < 500, "{name}={payload}");
            assert!(!page.text.contains(payload) || !payload.contains('<'), "{}", page.text);
            assert!(!page.text.contains("<script") && !page.text.contains("<svg"), "{}", page.text);
        }
        let form = browser.open(&program.asks_with("state", payload)).await.form();
        let page = browser.submit(&form, &[("username", payload), ("password", "x")]).await;
        assert_eq!(page.form().action, form.action);
        let shown = page.text.split("autofocus value=\"").nth(1);
        let shown = shown.or_else(|| page.text.split(" value=\"").nth(2)).unwrap();
        assert_eq!(plain(shown.split('"').next().unwrap()), payload);
    }
    // Nor does an address that a browser would not write make markup.
    let url = format!("{}?client_id={}&x=\"><script>", browser.address(), program.client_id);
    let raw = browser.open_url(&url, &[]).await;
    assert!(!raw.text.contains("<script"), "{}", raw.text);
}

pub(super) async fn a_form_of_another_page_is_not_taken(world: &World) {
    let program = Program::make(world, &json!({})).await;
    let secrets = world.stack.secrets();
    let fields = [("username", &*secrets.admin_email), ("password", &*secrets.admin_password)];
    // Of somebody who has the form and not the cookie.
    let mut attacker = program.browser();
    let theirs = attacker.open(&program.asks()).await.form();
    let stale = program.browser().submit(&theirs, &fields).await;
    assert_eq!((stale.status, stale.header("location")), (403, ""));
    assert!(!stale.text.contains(&secrets.admin_email), "it is not known whose that is");
    // Of somebody whose cookie is another.
    let mut victim = program.browser();
    let own = victim.open(&program.asks()).await.form();
    assert_ne!(own.token, theirs.token);
    assert_eq!(victim.submit(&theirs, &fields).await.status, 403);
    let cross = [("sec-fetch-site", "cross-site")];
    assert_eq!(victim.submit_with(&own, &fields, &cross).await.status, 403);
    // What is shown then works.
    let again = victim.submit(&theirs, &fields).await.form();
    let same = [("sec-fetch-site", "same-origin")];
    assert_eq!(victim.submit_with(&again, &fields, &same).await.status, 303);
    // Two tabs do not disturb each other.
    let (one, two) =
        (victim.open(&program.asks()).await.form(), victim.open(&program.asks()).await.form());
    assert_eq!(victim.submit(&one, &fields).await.status, 303);
    assert_eq!(victim.submit(&two, &fields).await.status, 303);
}

pub(super) async fn who_declines_sends_no_code(world: &World) {
    let program = Program::make(world, &json!({})).await;
    let mut browser = program.browser();
    let form = browser.open(&program.asks()).await.form();
    let sent = browser.submit(&form, &[("action", "deny")]).await;
    let told = sent.told();
    assert_eq!((&*told["error"], &*told["state"]), ("access_denied", "s-1"));
    assert!(!told.contains_key("code"));
}
