//! The audit: an administrator finds who changed what, over both services that own data, and nobody else does.

use std::collections::BTreeSet;

use local::StackOptions;
use proto::audit::v1::ListAuditEntriesRequest;
use proto::audit::v1::audit_service_client::AuditServiceClient;
use proto::identity::v1::Role;
use proto::opportunities::v1::ChangeOpportunityStageRequest;
use proto::opportunities::v1::opportunity_service_client::OpportunityServiceClient;
use reqwest::Method;
use rpc::client::Context;
use serde_json::{Value, json};
use tonic::Code;

use crate::world::{Person, World};

/// What a filter says of an entry.
type Says = dyn Fn(&Value) -> bool;

struct Story {
    world: World,
    amy: Person,
    mei: Person,
    viewer: Person,
    /// Made by Amy, moved by her and by the administrator.
    deal: i64,
}

impl Story {
    async fn told() -> Self {
        let world = World::start(StackOptions::default()).await;
        let team = world.add_team("North").await;
        let amy = world.add("amy", Role::Rep, Some(team)).await;
        let mei = world.add("mei", Role::Manager, Some(team)).await;
        let viewer = world.add("viewer", Role::Viewer, None).await;
        world.appoint(team, &mei).await;
        let wanted = json!({"customer_name": "XYZ 公司", "opportunity_name": "軟體", "amount": 1_234_567_890_123.45});
        let deal = amy.api.create(&wanted).await["id"].as_i64().unwrap();
        let path = format!("/opportunities/{deal}/stage");
        let headers = [("x-request-id", "amys-move")];
        let moved = amy.api.send(Method::PATCH, &path, &headers, r#"{"stage":"proposal"}"#).await;
        assert_eq!(moved.status, 200, "{}", moved.text);
        let mut service = OpportunityServiceClient::new(world.channel("opportunities"));
        let request = ChangeOpportunityStageRequest {
            id: deal,
            stage: "lost".to_owned(),
            lost_reason: Some("price".to_owned()),
            ..ChangeOpportunityStageRequest::default()
        };
        service.change_opportunity_stage(world.context.request(request)).await.unwrap();
        Self { world, amy, mei, viewer, deal }
    }

    /// What the administrator finds with these parameters.
    async fn finds(&self, query: &str) -> Vec<Value> {
        self.world.admin.all(&format!("/audit?{query}")).await
    }
}

#[tokio::test]
async fn an_administrator_finds_who_changed_what_and_nobody_else_does() {
    let mut story = Story::told().await;
    each_change_is_told_with_old_and_new_values(&story).await;
    each_filter_leaves_what_it_says(&story).await;
    pages_of_both_sources_join(&story).await;
    nobody_else_may_read_it(&story).await;
    what_makes_no_sense_is_refused(&story).await;
    a_source_that_is_down_is_no_partial_list(&mut story).await;
}

/// A field's old and new value in an entry.
fn change<'a>(entry: &'a Value, field: &str) -> (&'a Value, &'a Value) {
    let changes = entry["changes"].as_array().unwrap();
    let change = changes.iter().find(|it| it["field"] == field);
    let change = change.unwrap_or_else(|| panic!("no {field} in {entry}"));
    (&change["old"], &change["new"])
}

async fn each_change_is_told_with_old_and_new_values(story: &Story) {
    let query = format!("record_type=opportunity&record_id={}", story.deal);
    let entries = story.finds(&query).await;
    let [lost, moved, created] = &entries[..] else { panic!("{entries:?}") };
    for (entry, kind, version, user_id) in [
        (created, "opportunity.created", 1, story.amy.id),
        (moved, "opportunity.stage_changed", 2, story.amy.id),
        (lost, "opportunity.lost", 3, 1),
    ] {
        let found = json!([entry["type"], entry["version"], entry["actor_user_id"]]);
        assert_eq!(found, json!([kind, version, user_id]), "{entry}");
        let rest = json!([entry["source"], entry["origin"], entry["actor_service"]]);
        assert_eq!(rest, json!(["opportunities", "user", null]), "{entry}");
        assert_eq!(entry["record_id"], story.deal);
    }
    assert_eq!(moved["request_id"], "amys-move");
    assert_eq!(change(created, "opportunity_name"), (&Value::Null, &json!("軟體")));
    assert_eq!(change(moved, "stage_key"), (&json!("lead"), &json!("proposal")));
    assert_eq!(change(moved, "probability"), (&json!(10), &json!(50)));
    assert_eq!(change(lost, "lost_reason"), (&Value::Null, &json!("price")));
    // To the digit, as it was written.
    let page = story.world.admin.get(&format!("/audit?{query}&type=opportunity.created")).await;
    assert!(
        page.text.contains(r#""field":"amount","old":null,"new":1234567890123.45"#),
        "{}",
        page.text
    );

    let users = story.finds("record_type=user&type=user.created").await;
    let [_, _, amy, admin] = &users[..] else { panic!("{users:?}") };
    assert_eq!((&amy["record_id"], &amy["actor_user_id"]), (&json!(story.amy.id), &json!(1)));
    assert_eq!(change(amy, "role"), (&Value::Null, &json!("rep")));
    assert_eq!((&admin["actor_service"], &admin["request_id"]), (&json!("identity"), &Value::Null));
}

async fn each_filter_leaves_what_it_says(story: &Story) {
    let all = story.finds("").await;
    let sources: BTreeSet<_> = all.iter().map(|it| it["source"].as_str().unwrap()).collect();
    assert_eq!(sources, BTreeSet::from(["identity", "opportunities"]));
    let amy = story.amy.id;
    let filters: [(String, Box<Says>); 9] = [
        (format!("actor_user_id={amy}"), Box::new(move |it| it["actor_user_id"] == amy)),
        ("source=identity".to_owned(), Box::new(|it| it["source"] == "identity")),
        ("source=opportunities".to_owned(), Box::new(|it| it["source"] == "opportunities")),
        ("record_type=team".to_owned(), Box::new(|it| it["record_type"] == "team")),
        ("type=opportunity.lost".to_owned(), Box::new(|it| it["type"] == "opportunity.lost")),
        ("origin=system".to_owned(), Box::new(|it| it["origin"] == "system")),
        ("request_id=amys-move".to_owned(), Box::new(|it| it["request_id"] == "amys-move")),
        ("from=2025-01-01&to=9999-12-30".to_owned(), Box::new(|_| true)),
        (
            format!("actor_user_id={amy}&type=customer.created&source=opportunities"),
            Box::new(move |it| it["actor_user_id"] == amy && it["type"] == "customer.created"),
        ),
    ];
    for (query, says) in filters {
        let expected: Vec<_> = all.iter().filter(|it| says(it)).cloned().collect();
        assert!(!expected.is_empty(), "{query} would find nothing");
        assert_eq!(story.finds(&query).await, expected, "{query}");
    }
    // An instant is taken as such, and both ends are included.
    let at = all[2]["recorded_at"].as_str().unwrap();
    let found = story.finds(&format!("from={at}&to={at}")).await;
    assert!(found.contains(&all[2]) && found.iter().all(|it| it["recorded_at"] == at), "{found:?}");
    assert_eq!(story.finds("to=2024-12-31").await, [] as [Value; 0]);
    assert_eq!(story.finds("source=identity&record_type=opportunity").await, [] as [Value; 0]);
}

async fn pages_of_both_sources_join(story: &Story) {
    let all = story.finds("").await;
    let instant = |entry: &Value| {
        chrono::DateTime::parse_from_rfc3339(entry["recorded_at"].as_str().unwrap()).unwrap()
    };
    assert!(all.is_sorted_by(|one, next| instant(one) >= instant(next)), "newest first");
    for limit in [1, 2, all.len(), 5] {
        let mut found = Vec::new();
        let mut next = String::new();
        loop {
            let page = story.world.admin.get(&format!("/audit?limit={limit}{next}")).await;
            assert_eq!(page.status, 200, "{}", page.text);
            found.extend(page.body["items"].as_array().unwrap().iter().cloned());
            match page.body["next_cursor"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => break,
            }
            // What comes meanwhile is above what was read.
            if limit == 5 {
                story.world.some_opportunity().await;
            }
        }
        assert_eq!(found, all, "{limit}");
    }
}

async fn nobody_else_may_read_it(story: &Story) {
    for person in [&story.amy, &story.mei, &story.viewer] {
        for query in ["", "?source=identity", "?source=opportunities", "?limit=0"] {
            let refused = person.api.get(&format!("/audit{query}")).await;
            assert_eq!(refused.problem(), (403, "denied"), "{query}");
        }
        let bearer = format!("Bearer {}", person.api.token().unwrap());
        let context = Context::default().with_authorization(bearer.parse().unwrap());
        for service in ["identity", "opportunities"] {
            let mut audit = AuditServiceClient::new(story.world.channel(service));
            let request = context.request(ListAuditEntriesRequest::default());
            let refused = audit.list_audit_entries(request).await.unwrap_err();
            assert_eq!(refused.code(), Code::PermissionDenied, "{service}");
        }
    }
    assert_eq!(story.world.nobody.get("/audit").await.problem(), (401, "token_missing"));
}

async fn what_makes_no_sense_is_refused(story: &Story) {
    let admin = &story.world.admin;
    let refused = admin.get("/audit?record_id=1&from=today&limit=201").await;
    assert_eq!(
        refused.bad_fields(),
        [("from", "invalid_date"), ("limit", "out_of_range"), ("record_type", "required")]
    );
    let refused = admin.get("/audit?colour=red&source=notifier&origin=war&actor_user_id=x").await;
    assert_eq!(
        refused.bad_fields(),
        [
            ("actor_user_id", "wrong_type"),
            ("colour", "unknown_parameter"),
            ("origin", "unknown_value"),
            ("source", "unknown_value"),
        ]
    );
    let page = admin.get("/audit?limit=1").await;
    let cursor = page.body["next_cursor"].as_str().unwrap();
    for at in 0..cursor.len() {
        let letter = if cursor[at..].starts_with('A') { '9' } else { 'A' };
        let forged = format!("{}{letter}{}", &cursor[..at], &cursor[at + 1..]);
        let answer = admin.get(&format!("/audit?cursor={forged}")).await;
        assert!(matches!(answer.status, 200 | 400), "{forged}: {}", answer.text);
    }
    let refused = admin.get(&format!("/audit?cursor={}", &cursor[1..])).await;
    assert_eq!(refused.problem(), (400, "cursor_invalid"));
}

async fn a_source_that_is_down_is_no_partial_list(story: &mut Story) {
    for (service, other) in [("identity", "opportunities"), ("opportunities", "identity")] {
        story.world.stack.kill(service).await;
        let refused = story.world.admin.get("/audit").await;
        assert_eq!(refused.problem(), (503, "unavailable"), "without {service}");
        let found = story.finds(&format!("source={other}")).await;
        assert!(!found.is_empty(), "{other} needs no other");
        story.world.stack.restart(service).await.unwrap();
    }
    assert!(!story.finds("").await.is_empty());
}
