//! Links by which a password is set: an invitation on the page and over REST, and a mail to who forgot theirs.

use local::StackOptions;
use reqwest::Method;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::api::{Answer, Api, PATIENCE};
use crate::smtp::{Mail, Smtp};
use crate::world::World;

const PUBLIC_URL: &str = "https://sales.example";
const PASSWORD: &str = "correct horse battery";
const FORM: &str = "application/x-www-form-urlencoded";

/// The token of a link.
fn token(url: &str) -> &str {
    let path = url.strip_prefix(PUBLIC_URL).unwrap_or(url);
    path.strip_prefix("/set-password?token=").unwrap()
}

/// Whoever fills in a page, in English.
async fn fill_in(api: &Api, page: &str, form: &str) -> Answer {
    let headers = [("content-type", FORM), ("accept-language", "en")];
    api.send(Method::POST, &format!("//{page}"), &headers, form).await
}

#[tokio::test]
async fn who_is_invited_sets_a_password_on_the_page_or_over_rest() {
    let world = World::start(StackOptions::default()).await;
    let invited = async |name: &str| {
        let email = format!("{name}@example.com");
        let user = json!({"email": email, "username": name});
        let made = world.admin.post("/users", &user).await;
        assert_eq!(made.status, 201, "{}", made.text);
        made
    };

    // Without PUBLIC_URL the link is a path.
    let amy = invited("amy").await;
    let url = amy.body["invitation_url"].as_str().unwrap();
    let page = world.nobody.get(&format!("/{url}")).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let token = token(url);
    let hidden = format!("name=\"token\" value=\"{token}\"");
    assert!(page.text.contains(&hidden) && page.text.contains("設定密碼"), "{}", page.text);
    assert!(!page.text.contains("<script"), "{}", page.text);

    let form = |one: &str, other: &str| {
        format!("token={token}&new_password={one}&repeated_password={other}")
    };
    for (one, other, words) in [
        ("correct+horse", "correct+house", "not the same"),
        ("short", "short", "8 characters or more"),
    ] {
        let again = fill_in(&world.nobody, "set-password", &form(one, other)).await;
        assert_eq!(again.status, 422, "{}", again.text);
        assert!(again.text.contains(words) && again.text.contains(&hidden), "{}", again.text);
        assert!(!again.text.contains("horse"), "{}", again.text);
    }
    let good = form("correct+horse+battery", "correct+horse+battery");
    let done = fill_in(&world.nobody, "set-password", &good).await;
    assert_eq!((done.status, done.text.contains("Your password is set")), (200, true));
    let twice = fill_in(&world.nobody, "set-password", &good).await;
    assert_eq!((twice.status, twice.text.contains("This link is not good")), (422, true));
    world.nobody.sign_in("amy@example.com", PASSWORD).await;

    let user = json!({"email": "cat@example.com", "username": "cat", "is_active": false});
    let cat = world.admin.post("/users", &user).await;
    assert_eq!((cat.status, &cat.body["is_active"]), (201, &json!(false)), "{}", cat.text);
    assert_eq!(cat.body.get("invitation_url"), None);
    let path = format!("/users/{}", cat.body["id"]);
    let refused = world.admin.send(Method::POST, &format!("{path}/invitation"), &[], "").await;
    assert_eq!(refused.problem().1, "user_inactive", "{}", refused.text);
    assert_eq!(world.admin.patch(&path, &json!({"is_active": true})).await.status, 200);
    let again = world.admin.send(Method::POST, &format!("{path}/invitation"), &[], "").await;
    assert_eq!(again.status, 201, "{}", again.text);

    let bob = invited("bob").await;
    let path = format!("/users/{}/invitation", bob.body["id"]);
    let key = [("idempotency-key", "k")];
    let again = world.admin.send(Method::POST, &path, &key, "").await;
    assert_eq!((again.status, again.header("cache-control")), (201, "no-store"), "{}", again.text);
    let replayed = world.admin.send(Method::POST, &path, &key, "").await;
    assert_eq!(replayed.problem(), (409, "idempotent_replay"));
    assert!(replayed.body["about"]["id"].is_i64(), "{}", replayed.text);
    let (first, second) =
        (bob.body["invitation_url"].as_str(), again.body["invitation_url"].as_str());
    let set = async |url: Option<&str>| {
        let said = json!({"token": self::token(url.unwrap()), "new_password": PASSWORD});
        world.nobody.post("/auth/set-password", &said).await
    };
    assert_eq!(set(first).await.bad_fields(), [("token", "invalid_token")]);
    assert_eq!((set(second).await.status, set(second).await.status), (204, 422));
    let bob = world.nobody.sign_in("bob@example.com", PASSWORD).await;
    assert_eq!(bob.send(Method::POST, &path, &[], "").await.problem(), (403, "denied"));
    let refused = world.nobody.post("/auth/set-password", &json!({})).await;
    assert_eq!(refused.bad_fields(), [("new_password", "required"), ("token", "required")]);
}

/// The mail to that address which has this subject.
async fn mail(server: &Smtp, to: &str, subject: &str) -> Mail {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mails = server.mails();
        if let Some(mail) = mails.iter().find(|it| it.to == [to] && it.header("Subject") == subject)
        {
            return mail.clone();
        }
        assert!(Instant::now() < deadline, "no mail to {to} of {}", mails.len());
        sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn who_forgot_their_password_gets_a_mail_that_helps_once() {
    let (server, smtp_url) = Smtp::start().await;
    let settings = [
        ("PUBLIC_URL", PUBLIC_URL),
        ("EMAIL_ENABLED", "true"),
        ("SMTP_URL", &smtp_url),
        ("EMAIL_FROM", "Sales <sales@example.com>"),
    ];
    let environment = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let options = StackOptions { environment: environment.into(), ..StackOptions::default() };
    let world = World::start(options).await;
    let url = format!("{}/metrics", world.stack.ops_urls("notifier")[0]);
    let metrics = reqwest::get(url).await.unwrap().text().await.unwrap();
    // An alert needs what was before the first.
    let given_up = |line: &str| line.contains("state=\"exhausted\"") && line.ends_with(" 0");
    assert!(metrics.lines().any(given_up), "{metrics}");
    let user = json!({"email": "amy@example.com", "username": "Amy", "language": "en"});
    let made = world.admin.post("/users", &user).await;
    let url = made.body["invitation_url"].as_str().unwrap();
    assert!(url.starts_with(PUBLIC_URL), "{url}");
    let brought =
        mail(&server, "amy@example.com", "You are invited to Sales Pipeline Manager").await;
    assert!(brought.text().contains(&format!("\n\n{url}\n\n")), "{}", brought.text());
    let said = json!({"token": token(url), "new_password": PASSWORD});
    assert_eq!(world.nobody.post("/auth/set-password", &said).await.status, 204);
    let amy = world.nobody.sign_in("amy@example.com", PASSWORD).await;

    let asked = async |email: &str| {
        world.nobody.post("/auth/password-reset", &json!({"email": email})).await
    };
    let (known, unknown) = (asked("amy@example.com").await, asked("nobody@example.com").await);
    assert_eq!((known.status, known.text.as_str()), (202, ""));
    assert_eq!((unknown.status, unknown.text), (known.status, known.text));
    let brought = mail(&server, "amy@example.com", "Set a new password").await;
    let text = brought.text();
    let link = text.lines().find(|line| line.starts_with(PUBLIC_URL)).unwrap();
    let said = json!({"token": token(link), "new_password": "another horse battery"});
    assert_eq!(world.nobody.post("/auth/set-password", &said).await.status, 204);
    let twice = world.nobody.post("/auth/set-password", &said).await;
    assert_eq!(twice.bad_fields(), [("token", "invalid_token")]);
    world.nobody.sign_in("amy@example.com", "another horse battery").await;
    let deadline = Instant::now() + PATIENCE;
    while amy.get("/users/me").await.status != 401 {
        assert!(Instant::now() < deadline, "the session goes on");
    }

    let page = world.nobody.get("//reset-password").await;
    assert_eq!((page.status, page.text.contains("忘記密碼")), (200, true));
    for email in ["admin@example.com", "nobody@example.com"] {
        let form = format!("email={email}");
        let page = fill_in(&world.nobody, "reset-password", &form).await;
        assert_eq!((page.status, page.text.contains("Look into your mailbox")), (200, true));
    }
    assert!(
        server
            .mails()
            .iter()
            .all(|mail| mail.to == ["amy@example.com"] || mail.to == ["admin@example.com"])
    );
}
