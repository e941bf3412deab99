//! Dead letters: an administrator sees what a service could not apply, and has it applied again, by the API and by the commands.

use std::fmt::Write as _;

use local::StackOptions;
use local::provision::execute;
use prost::Message as _;
use proto::events::v1::{Event, TeamRecord, event::Record};
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::World;

/// Whoever applies events of identity, and as whom.
const CONSUMERS: [(&str, &str); 3] = [
    ("opportunities", "opportunities"),
    ("analytics", "analytics"),
    ("notifier", "notifier-people"),
];

/// A team that everybody can apply, and bytes that nobody can read.
async fn put_aside(world: &World, service: &str, consumer: &str) {
    let team = TeamRecord { id: 900, name: "Late".to_owned(), ..TeamRecord::default() };
    let event = Event {
        event_id: "0199d3a8-5f2e-7a54-9d1c-000000000001".to_owned(),
        r#type: "team.created".to_owned(),
        aggregate: "team".to_owned(),
        aggregate_id: 900,
        version: 1,
        position: 900_001,
        record: Some(Record::Team(team)),
        ..Event::default()
    };
    let mut database = world.stack.database().connect().await.unwrap();
    for (position, payload) in [(900_001, event.encode_to_vec()), (900_002, vec![7])] {
        let payload = payload.iter().fold(String::new(), |mut hex, byte| {
            write!(hex, "{byte:02x}").unwrap();
            hex
        });
        let sql = format!(
            "set search_path = {service};
             insert into dead_letter (consumer, source, position, event_id, payload, error, attempts, failed_at)
             values ('{consumer}', 'identity', {position}, '0199d3a8-5f2e-7a54-9d1c-000000000001', '\\x{payload}', 'out of disk', 3, '2025-01-01T00:00:00Z')"
        );
        execute(&mut database, &sql).await.unwrap();
    }
}

#[tokio::test]
async fn what_a_service_could_not_apply_is_shown_and_applied_again() {
    let world = World::start(StackOptions::default()).await;
    for (service, consumer) in CONSUMERS {
        put_aside(&world, service, consumer).await;
        it_is_shown_and_applied(&world, service, consumer).await;
        the_command_says_the_same(&world, service).await;
    }
    for service in ["identity", "gateway", "nobody"] {
        let absent = world.admin.get(&format!("/dead-letters/{service}")).await;
        assert_eq!(absent.problem(), (404, "not_found"));
    }
    let refused = world.admin.get("/dead-letters/analytics?limit=0&cursor=1").await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    let refused = world.admin.get("/dead-letters/analytics?cursor=x").await;
    assert_eq!(refused.status, 400, "{}", refused.text);
}

async fn it_is_shown_and_applied(world: &World, service: &str, consumer: &str) {
    let path = format!("/dead-letters/{service}");
    let first = world.admin.get(&format!("{path}?limit=1")).await.body;
    let next = first["next_cursor"].as_str().unwrap();
    let rest = world.admin.get(&format!("{path}?cursor={next}")).await.body;
    assert_eq!(rest["next_cursor"], Value::Null);
    let items = [&first["items"], &rest["items"]].map(|it| it.as_array().unwrap().clone()).concat();
    assert_eq!(items.len(), 2, "{items:?}");
    let of = |it: &Value| {
        let fields = ["consumer", "source", "attempts", "error", "type", "record_id", "content"];
        json!(fields.map(|field| it[field].clone()))
    };
    assert_eq!(
        of(&items[0]),
        json!([consumer, "identity", 3, "out of disk", "team.created", 900, null])
    );
    assert_eq!(of(&items[1]), json!([consumer, "identity", 3, "out of disk", null, null, null]));
    let one = format!("{path}/{}", items[0]["id"]);
    let shown = world.admin.get(&one).await;
    assert!(shown.body["content"].as_str().unwrap().contains("Late"), "{}", shown.text);

    let replay =
        async |path: &str| world.admin.send(Method::PUT, &format!("{path}/replay"), &[], "").await;
    let applied = replay(&one).await;
    assert_eq!(applied.body, json!({ "applied": 1, "left": [], "remaining": 1 }));
    assert_eq!(replay(&one).await.problem(), (404, "not_found"));
    let left = replay(&path).await.body;
    assert_eq!((&left["applied"], &left["remaining"]), (&json!(0), &json!(1)), "{left}");
    assert_eq!(left["left"][0]["id"], items[1]["id"]);
    let left = world.admin.get(&format!("{path}/{}", items[1]["id"])).await.body;
    assert_eq!(left["attempts"], 4);
    assert_ne!(left["error"], "out of disk");
}

async fn the_command_says_the_same(world: &World, service: &str) {
    let listed = world.stack.run(service, &["dead-letters", "list"]).await.unwrap();
    let said = String::from_utf8_lossy(&listed.stdout);
    let lines: Vec<Value> = said.lines().map(|it| serde_json::from_str(it).unwrap()).collect();
    assert_eq!(lines.len(), 1, "{said} {}", String::from_utf8_lossy(&listed.stderr));
    assert_eq!((&lines[0]["position"], &lines[0]["attempts"]), (&json!(900_002), &json!(4)));
    let id = lines[0]["id"].to_string();
    let tried = world.stack.run(service, &["dead-letters", "replay", &id]).await.unwrap();
    assert!(!tried.status.success(), "it cannot be read");
    let said = String::from_utf8_lossy(&tried.stdout);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["applied"], &said["left"]), (&json!(0), &json!(1)));
}
