//! Many at once: no update is lost, and what is sent twice happens once.

use std::collections::BTreeSet;

use futures::future::join_all;
use local::StackOptions;
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::World;

#[tokio::test]
async fn whatever_comes_at_once_leaves_what_one_after_the_other_would_have_left() {
    let world = World::start(StackOptions::default()).await;
    fifty_moves_at_once_are_a_chain(&world).await;
    of_many_changes_to_one_version_one_is_made(&world).await;
    twins_of_a_creation_make_one_opportunity_and_get_one_answer(&world).await;
    twenty_equal_new_names_make_one_customer(&world).await;
}

async fn fifty_moves_at_once_are_a_chain(world: &World) {
    let id = world.some_opportunity().await;
    let path = format!("/opportunities/{id}/stage");
    let keys = ["lead", "qualification", "proposal", "negotiation", "contract", "won", "lost"];
    let moves = (0..50).map(|index| {
        let step = json!({"stage": keys[index % 7], "notes": format!("move {index}")});
        let path = &path;
        async move { world.admin.patch(path, &step).await }
    });
    let answers = join_all(moves).await;
    assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");

    let rows = world.admin.all(&format!("/opportunities/{id}/history")).await;
    assert_eq!(rows[0]["from_stage_key"], Value::Null);
    for pair in rows.windows(2) {
        assert_eq!(pair[1]["from_stage_key"], pair[0]["to_stage_key"], "the chain is broken");
        assert_ne!(pair[1]["from_stage_key"], pair[1]["to_stage_key"], "a move to where it stood");
        assert!(pair[0]["id"] != pair[1]["id"]);
    }
    let record = world.admin.get(&format!("/opportunities/{id}")).await.body;
    let last = rows.last().unwrap();
    assert_eq!(record["stage_key"], last["to_stage_key"]);
    assert_eq!(record["probability"], last["probability"]);
    // Each row but the first is a version, and every answer tells of the version that it made or found.
    assert_eq!(record["version"], rows.len());
    assert!(rows.len() > 20, "too few of fifty moves were moves");
    let mut told: Vec<_> = answers.iter().map(|answer| answer.body.clone()).collect();
    told.sort_by_key(|body| body["version"].as_u64());
    for body in told {
        let version = usize::try_from(body["version"].as_u64().unwrap()).unwrap();
        assert_eq!(body["stage_key"], rows[version - 1]["to_stage_key"], "version {version}");
    }
    let path = format!("/pipeline/overview?after={id}:{}", record["version"]);
    let standing = |body: &Value| {
        let stages = body["stages"].as_array().unwrap();
        let stands: Vec<_> = stages.iter().filter(|stage| stage["count"] == 1).collect();
        stands.len() == 1 && stands[0]["key"] == record["stage_key"]
    };
    world.admin.eventually(&path, standing).await;
}

async fn of_many_changes_to_one_version_one_is_made(world: &World) {
    let id = world.some_opportunity().await;
    let path = format!("/opportunities/{id}/stage");
    for version in 1..4_u64 {
        let tag = format!("\"v{version}\"");
        let changes = (0..16).map(|index| {
            // Neither is where it stands, whoever comes first.
            let step = json!({"stage": "lead", "probability": version * 20 + index}).to_string();
            let (path, tag) = (&path, &tag);
            async move {
                let condition = [("if-match", &**tag)];
                world.admin.send(Method::PATCH, path, &condition, &step).await
            }
        });
        let answers = join_all(changes).await;
        let won: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
        assert_eq!(won.len(), 1, "of version {version}");
        assert_eq!(won[0].header("etag"), format!("\"v{}\"", version + 1));
        for lost in answers.iter().filter(|answer| answer.status != 200) {
            assert_eq!(lost.problem(), (412, "stale"));
            assert_eq!(lost.body["about"], json!({"current_version": version + 1}));
        }
        let record = world.admin.get(&format!("/opportunities/{id}")).await.body;
        assert_eq!(record["probability"], won[0].body["probability"]);
    }
}

async fn twins_of_a_creation_make_one_opportunity_and_get_one_answer(world: &World) {
    let body = r#"{"customer_name":"雙胞胎","opportunity_name":"Twin","amount":12.3,"contact_name":"A","source":"twins"}"#;
    let key = [("idempotency-key", "twin-1")];
    let twins = (0..32).map(|_| world.admin.send(Method::POST, "/opportunities", &key, body));
    let answers = join_all(twins).await;
    let first = &answers[0];
    assert_eq!(first.status, 201, "{}", first.text);
    for answer in &answers {
        assert_eq!((answer.status, &answer.text), (201, &first.text));
        for header in ["location", "etag", "content-type"] {
            assert_eq!(answer.header(header), first.header(header));
        }
    }
    // Later changes do not change the first answer.
    world.admin.advance(first.body["id"].as_i64().unwrap(), "proposal").await;
    let replay = world.admin.send(Method::POST, "/opportunities", &key, body).await;
    assert_eq!((replay.status, &replay.text), (201, &first.text));
    assert_eq!(replay.header("etag"), first.header("etag"));

    let other = body.replace("12.3", "12.4");
    let refused = world.admin.send(Method::POST, "/opportunities", &key, &other).await;
    assert_eq!(refused.bad_fields(), [("Idempotency-Key", "idempotency_key_reused")]);
    let list = world.admin.get("/opportunities?source=twins&include_total=true").await;
    assert_eq!(list.body["total_count"], 1);

    // A refusal is not kept: what was wrong may be put right under the same key.
    let key = [("idempotency-key", "twin-2")];
    let wrong = body.replace("12.3", "-1");
    let refused = world.admin.send(Method::POST, "/opportunities", &key, &wrong).await;
    assert_eq!(refused.status, 422);
    let right = world.admin.send(Method::POST, "/opportunities", &key, body).await;
    assert_eq!(right.status, 201, "{}", right.text);
    assert_ne!(right.body["id"], first.body["id"]);
    assert_eq!(right.body["customer_id"], first.body["customer_id"]);
    assert_eq!(right.body["contact_id"], first.body["contact_id"]);
}

async fn twenty_equal_new_names_make_one_customer(world: &World) {
    let wishes = (0..20).map(|index| {
        let name = if index % 2 == 0 { " ＡＣＭＥ 公司" } else { "acme 公司 " };
        let wish = json!({"customer_name": name, "opportunity_name": "One"});
        async move { world.admin.create(&wish).await }
    });
    let made = join_all(wishes).await;
    let customers: BTreeSet<_> = made.iter().map(|it| it["customer_id"].as_i64()).collect();
    assert_eq!(customers.len(), 1, "{customers:?}");
    let ids: BTreeSet<_> = made.iter().map(|it| it["id"].as_i64()).collect();
    assert_eq!(ids.len(), 20);
}
