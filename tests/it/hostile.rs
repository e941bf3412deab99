//! Requests that mean no good: whatever they are answered, it is no fault of ours.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures::{StreamExt as _, stream};
use local::StackOptions;
use reqwest::Method;
use serde_json::json;

use crate::world::World;

/// Values at and beyond every edge, as they stand in a query.
const VALUES: [&str; 21] = [
    "",
    "0",
    "-1",
    "1",
    "2147483647",
    "9223372036854775807",
    "9223372036854775808",
    "1e400",
    "NaN",
    "true",
    "a%00b",
    "%FF",
    "'%3B drop table opportunities%3B--",
    "0001-01-01",
    "9999-12-31",
    "10000-01-01",
    "9999-12-31T23:59:60Z",
    "0001-01-01T00:00:00%2B23:59",
    "9223372036854775807:9223372036854775807",
    "eyJsIjowLCJrIjoieCIsImkiOjB9",
    "__________8",
];

/// How many are asked at once.
const AT_ONCE: usize = 16;

#[tokio::test]
async fn no_request_provokes_a_fault() {
    let world = World::start(StackOptions::default()).await;
    every_parameter_takes_every_value(&world).await;
    every_field_takes_every_value(&world).await;
    cursors_may_be_forged(&world).await;
    headers_may_be_long(&world).await;
    let made = world.some_opportunity().await;
    assert!(made > 0, "it still works");
}

/// 200 or the caller's mistake; that of asking for too many files at once, too.
fn is_no_fault(status: u16, what: &str) {
    assert!(matches!(status, 200 | 201 | 400..=422 | 429 | 431), "{what}: {status}");
}

async fn every_parameter_takes_every_value(world: &World) {
    let document = world.nobody.get("//openapi.json").await.body;
    let mut paths = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path.strip_prefix("/api/v1").unwrap().replace("{id}", "1");
        let path = path.replace("{report}", "loss-reasons");
        let parameters = methods["get"]["parameters"].as_array();
        for parameter in parameters.into_iter().flatten().filter(|it| it["in"] == "query") {
            let name = parameter["name"].as_str().unwrap();
            paths.extend(VALUES.map(|value| format!("{path}?{name}={value}")));
        }
    }
    assert!(paths.len() > 1_000, "only {} questions", paths.len());
    paths.extend(VALUES.map(|value| format!("/opportunities/{value}")));
    ask_all(world, paths).await;
}

async fn ask_all(world: &World, paths: Vec<String>) {
    let ask = |path: String| async move {
        is_no_fault(world.admin.get(&path).await.status, &path);
    };
    stream::iter(paths).for_each_concurrent(AT_ONCE, ask).await;
}

async fn every_field_takes_every_value(world: &World) {
    let id = world.some_opportunity().await;
    let document = world.nobody.get("//openapi.json").await.body;
    for (schema, method, path) in [
        ("CreateOpportunityRequest", Method::POST, "/opportunities".to_owned()),
        ("ChangeOpportunityStageRequest", Method::PATCH, format!("/opportunities/{id}/stage")),
    ] {
        let fields = document["components"]["schemas"][schema]["properties"].as_object().unwrap();
        assert!(fields.len() >= 5, "{fields:?}");
        let mut bodies = Vec::new();
        for name in fields.keys().cloned() {
            for value in VALUES {
                let text = value.replace("%00", "\0").replace("%FF", "\u{FFFF}");
                bodies
                    .extend([json!(text), json!([text])].map(|it| (name.clone(), it.to_string())));
                if serde_json::from_str::<serde_json::Value>(value).is_ok() {
                    bodies.push((name.clone(), value.to_owned()));
                }
            }
            bodies
                .extend(["\"\\ud800\"", "{\"a\":1}"].map(|value| (name.clone(), value.to_owned())));
            bodies.push((name, "[".repeat(10_000)));
        }
        let (method, path) = (&method, &path);
        let send = |(name, value): (String, String)| async move {
            send(world, method, path, &name, &value).await;
        };
        stream::iter(bodies).for_each_concurrent(AT_ONCE, send).await;
    }
}

/// A request that is good but for one field.
async fn send(world: &World, method: &Method, path: &str, name: &str, value: &str) {
    let mut body = String::from("{");
    for other in ["customer_name", "opportunity_name", "stage"] {
        if other != name && is_taken(path, other) {
            body += &["\"", other, "\":\"lead\","].concat();
        }
    }
    body += &["\"", name, "\":", value, "}"].concat();
    let answer = world.admin.send(method.clone(), path, &[], &body).await;
    let body: String = body.chars().take(300).collect();
    is_no_fault(answer.status, &format!("{path} {body}"));
}

fn is_taken(path: &str, field: &str) -> bool {
    field == "stage" || path == "/opportunities"
}

/// Cursors of another's making, of the right form.
async fn cursors_may_be_forged(world: &World) {
    for sort in ["amount", "created_at", "expected_close_date", "opportunity_name"] {
        let list = format!("/opportunities?limit=1&sort_by={sort}");
        let page = world.admin.get(&list).await;
        let Some(cursor) = page.body["next_cursor"].as_str() else { panic!("one page of {list}") };
        let forged = (0..cursor.len()).step_by(2).map(|at| {
            let letter = if cursor[at..].starts_with('A') { '9' } else { 'A' };
            format!("{list}&cursor={}{letter}{}", &cursor[..at], &cursor[at + 1..])
        });
        ask_all(world, forged.collect()).await;
    }
    // A history's is a number of microseconds: here one that no database counts to.
    let before_time = URL_SAFE_NO_PAD.encode((-8_000_000_000_000_000_000_i64).to_be_bytes());
    let id = world.some_opportunity().await;
    let history = format!("/opportunities/{id}/history?cursor={before_time}");
    assert_eq!(world.admin.get(&history).await.problem(), (400, "cursor_invalid"));
}

/// What travels on to a service must not break the connection that others use.
async fn headers_may_be_long(world: &World) {
    let body = r#"{"customer_name":"a","opportunity_name":"b"}"#;
    for name in ["traceparent", "idempotency-key", "x-request-id", "if-match", "tracestate"] {
        for length in [300, 20_000, 40_000, 200_000] {
            let value = "x".repeat(length);
            let headers = [(name, &*value)];
            let answer = world.admin.try_send(Method::POST, "/opportunities", &headers, body).await;
            // Beyond its bound a connection may be closed before all of it was read.
            if let Ok(answer) = answer {
                is_no_fault(answer.status, &format!("{name} of {length}"));
            }
            let status = world.admin.get("/opportunities?limit=1").await.status;
            assert_eq!(status, 200, "after {name} of {length}");
        }
    }
}
