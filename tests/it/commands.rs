//! The commands of the programs: what is derived can be made anew and is checked.

use local::StackOptions;
use local::provision::execute;
use proto::identity::v1::Role;
use serde_json::{Value, json};

use crate::world::World;

/// Whatever analytics answers of these.
const QUESTIONS: [&str; 7] = [
    "/pipeline/overview",
    "/reports/pipeline-changes",
    "/reports/conversion-rate",
    "/reports/sales-trend?period=daily",
    "/reports/sales-performance?period=year",
    "/forecast",
    "/forecast?period=year",
];

#[tokio::test]
async fn what_is_derived_can_be_made_anew_while_it_is_asked_and_a_difference_is_found() {
    let world = World::start(StackOptions::default()).await;
    fill(&world).await;
    let before = answers(&world).await;
    verifies(&world, 0).await;
    a_rebuild_while_serving_gives_the_same_answers(&world, &before).await;
    what_was_tampered_with_is_named_and_made_good(&world).await;
    assert_eq!(answers(&world).await, before);
}

async fn fill(world: &World) {
    let amy = world.add("amy", Role::Rep, None).await;
    let mut last = Value::Null;
    for (index, stage) in ["lead", "proposal", "won", "lost", "proposal", "won"].iter().enumerate()
    {
        let wanted = json!({
            "customer_name": "A", "opportunity_name": "B", "amount": index * 100,
            "expected_close_date": "2026-01-01", "owner_id": amy.id,
        });
        let made = world.admin.create(&wanted).await;
        last = world.admin.advance(made["id"].as_i64().unwrap(), stage).await;
    }
    let activity = json!({ "activity_type": "call", "subject": "C" });
    let path = format!("/opportunities/{}/activities", last["id"]);
    assert_eq!(world.admin.post(&path, &activity).await.status, 201);
    let path = format!("/pipeline/overview?after={}:{}", last["id"], last["version"]);
    world.admin.eventually(&path, |body| body["stages"][5]["count"] == 2).await;
    let named = |body: &Value| body["items"][0]["owner_name"] == "amy";
    world.admin.eventually("/reports/sales-performance", named).await;
}

/// The answers to all questions.
async fn answers(world: &World) -> Vec<String> {
    let mut answers = Vec::new();
    for question in QUESTIONS {
        let answer = world.admin.get(question).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answers.push(answer.text);
    }
    answers
}

/// Runs `analytics verify` and looks for that many differences; the first ones.
async fn verifies(world: &World, differences: u64) -> Vec<Value> {
    let verified = world.stack.run("analytics", &["verify"]).await.unwrap();
    let said = String::from_utf8_lossy(&verified.stdout);
    let said: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    assert_eq!(said["differences"], differences, "{said}");
    assert_eq!(verified.status.success(), differences == 0, "{said}");
    assert_eq!(said["opportunities"], 6);
    said["first"].as_array().unwrap().clone()
}

async fn rebuild(world: &World) {
    let rebuilt = world.stack.run("analytics", &["rebuild"]).await.unwrap();
    assert!(rebuilt.status.success(), "{}", String::from_utf8_lossy(&rebuilt.stderr));
}

async fn a_rebuild_while_serving_gives_the_same_answers(world: &World, before: &[String]) {
    let mut rebuilding = std::pin::pin!(rebuild(world));
    let mut asked = 0;
    loop {
        tokio::select! {
            () = &mut rebuilding => break,
            answer = world.admin.get(QUESTIONS[asked % QUESTIONS.len()]) => {
                assert_eq!(answer.text, before[asked % before.len()]);
                asked += 1;
            }
        }
    }
    assert!(asked > 0, "nobody asked meanwhile");
    assert_eq!(answers(world).await, before);
    verifies(world, 0).await;
}

async fn what_was_tampered_with_is_named_and_made_good(world: &World) {
    let mut database = world.stack.database().connect().await.unwrap();
    for sql in [
        "update opportunity_facts set opportunity_name = 'C' where stage_key = 'lead'",
        "update opportunity_versions set amount = amount + 0.01 where stage_key = 'lost'",
        "update activity_facts set completed_at = '2025-01-01'",
        "update standing_rollup set total_value = total_value + 0.01 where stage_key = 'proposal'",
        "delete from flow_rollup where kind = 'won' and grain = 'month'",
        "insert into unvalued_rollup values ('2025-01-01', '2025-01-01', 1, 2, 0, 1, 0)",
        "update loss_rollup set value = value + 0.01 where grain = 'day'",
        "update stay_rollup set count = count + 1 where stage_key = 'lead' and grain = 'day' and since = '-infinity'",
        "update conversion_rollup set advanced = advanced - 1 where stage_key = 'lead' and grain = 'all'",
    ] {
        execute(&mut database, &format!("set search_path = analytics; {sql}")).await.unwrap();
    }
    let found = verifies(world, 9).await;
    for (difference, name) in found.iter().zip([
        "opportunity",
        "versions",
        "activity",
        "standing",
        "flow",
        "unvalued",
        "loss",
        "conversion",
        "stays",
    ]) {
        assert!(difference.as_str().unwrap().starts_with(&format!("{name} ")), "{difference}");
    }
    rebuild(world).await;
    verifies(world, 0).await;
}
