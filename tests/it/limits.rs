//! How much a caller may ask of the gateway, and how it knows who asks.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use local::StackOptions;
use proto::identity::v1::session_service_client::SessionServiceClient;
use proto::identity::v1::{ListSessionsRequest, Role};
use reqwest::Method;
use rpc::client::Context;
use tokio::time::sleep;

use crate::api::{Answer, Api};
use crate::world::World;

/// More than a budget of 20 a second has in ten seconds, which a busy machine may take for them.
const FLOOD: usize = 250;

async fn start(trusted_proxies: &str) -> World {
    let environment = [("RATE_LIMIT", "20"), ("TRUSTED_PROXIES", trusted_proxies)];
    let environment: BTreeMap<_, _> =
        environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    World::start(StackOptions { environment, ..StackOptions::default() }).await
}

async fn get_as(api: &Api, client: &str) -> Answer {
    api.send(Method::GET, "/teams", &[("x-forwarded-for", client)], "").await
}

/// Signs in as the administrator for another client; where identity thinks that was.
async fn sign_in_as(world: &World, client: &str) -> Option<String> {
    let secrets = world.stack.secrets();
    let form = format!("username={}&password={}", secrets.admin_email, secrets.admin_password);
    let kind = ("content-type", "application/x-www-form-urlencoded");
    let headers = [kind, ("x-forwarded-for", client)];
    let answer = world.nobody.send(Method::POST, "/auth/token", &headers, &form).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let bearer = format!("Bearer {}", answer.body["access_token"].as_str().unwrap());
    let context = Context::default().with_authorization(bearer.parse().unwrap());
    let mut sessions = SessionServiceClient::new(world.channel("identity"));
    let request = context.request(ListSessionsRequest::default());
    let answer = sessions.list_sessions(request).await.unwrap().into_inner();
    answer.items.into_iter().find(|session| session.is_current).unwrap().address
}

/// Asks all at once, each time for another client, until the budget is used up; an answer that says so.
async fn flood(api: &Api, allowed: u16, client: impl Fn(usize) -> String) -> Answer {
    let asked = (0..FLOOD).map(|number| {
        let client = client(number);
        async move { get_as(api, &client).await }
    });
    let answers = join_all(asked).await;
    let (served, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == allowed);
    assert!(served.len() >= 20, "{} were served", served.len());
    for answer in &served {
        assert_eq!(answer.header("ratelimit-policy"), "\"default\";q=40;w=2");
        assert!(answer.header("ratelimit").starts_with("\"default\";r="));
    }
    refused.into_iter().next().expect("nobody was refused")
}

fn is_refused(answer: &Answer) -> Duration {
    assert_eq!(answer.problem(), (429, "rate_limited"));
    assert_eq!(answer.header("ratelimit-policy"), "\"default\";q=40;w=2");
    assert_eq!(answer.header("ratelimit"), "\"default\";r=0;t=1");
    assert_eq!(answer.header("retry-after"), "1");
    Duration::from_secs(1)
}

#[tokio::test]
async fn who_asks_too_much_waits_and_nobody_else_does() {
    let world = start("").await;
    let other = world.add("other", Role::Rep, None).await.api;
    let address = sign_in_as(&world, "203.0.113.5").await;
    assert_eq!(address.as_deref(), Some("127.0.0.1"), "nobody vouches for another");

    // The person, whichever way they come.
    let refused = flood(&world.admin, 200, |number| format!("198.51.100.{number}")).await;
    let wait = is_refused(&refused);
    assert_eq!(other.get("/teams").await.status, 200, "somebody else is served");
    sleep(wait).await;
    assert_eq!(world.admin.get("/teams").await.status, 200, "who has waited is served");

    // Bad tokens are their sender's, whom a header that nobody vouches for does not hide.
    let stranger = world.nobody.with_token("a.b.c");
    let refused = flood(&stranger, 401, |number| format!("198.51.100.{number}")).await;
    is_refused(&refused);
    assert_eq!(other.get("/teams").await.status, 200, "whose token is good is served");

    // And sign-ins are of the same budget, refused in their own form.
    let sign_ins = (0..FLOOD).map(|_| world.nobody.ask_token(&[("username", "a")]));
    let answers = join_all(sign_ins).await;
    let refused = answers.iter().find(|answer| answer.status == 429).unwrap();
    assert_eq!(refused.body["error"], "temporarily_unavailable");
    assert_eq!((refused.header("retry-after"), refused.header("cache-control")), ("1", "no-store"));

    for probe in ["//healthz", "//openapi.json"] {
        let answer = world.nobody.get(probe).await;
        assert_eq!((answer.status, answer.header("ratelimit")), (200, ""), "{probe}");
    }
}

#[tokio::test]
async fn a_proxy_that_is_trusted_says_for_whom_it_asks() {
    let world = start("10.0.0.0/8, 127.0.0.1").await;
    let address = sign_in_as(&world, "2001:db8::5").await;
    assert_eq!(address.as_deref(), Some("2001:db8::5"), "identity is told of it");
    let stranger = &world.nobody;
    let refused = flood(stranger, 401, |_| "203.0.113.5".to_owned()).await;
    is_refused(&refused);
    assert_eq!(get_as(stranger, "203.0.113.6").await.status, 401, "another client is served");
    // What the client itself wrote stands further left; what trusted proxies wrote, further right.
    let refused =
        flood(stranger, 401, |number| format!("198.51.100.{number}, 203.0.113.7, 10.0.0.3")).await;
    is_refused(&refused);
    // Whoever has a network of their own is one client.
    let refused = flood(stranger, 401, |number| format!("2001:db8:0:1::{number:x}")).await;
    is_refused(&refused);
    assert_eq!(get_as(stranger, "2001:db8:0:2::1").await.status, 401);
}
