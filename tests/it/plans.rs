//! What is to be won, what managers expect, and how sure a forecast may be: from the request to every answer.

use local::StackOptions;
use proto::identity::v1::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{Person, World};

#[tokio::test]
async fn a_year_is_planned_and_held_against_what_is_won_and_open() {
    let world = World::start(StackOptions::default()).await;
    let north = world.add_team("North").await;
    let amy = world.add("amy", Role::Rep, Some(north)).await;
    let mei = world.add("mei", Role::Manager, Some(north)).await;
    world.appoint(north, &mei).await;
    a_manager_s_reach_is_known(&world, &mei, north).await;
    targets_are_set_by_who_may(&world, &mei, &amy, north).await;
    what_is_won_is_held_against_them(&world, &mei, &amy).await;
    what_a_manager_expects_stands_beside_the_model(&mei, &amy).await;
    categories_say_what_a_forecast_may_count_on(&world, &amy).await;
}

/// Who leads whom analytics is told by an event: what somebody else set for the team is seen once it is.
async fn a_manager_s_reach_is_known(world: &World, mei: &Person, north: i64) {
    let said = json!({"period": "year", "year": 2000, "team_id": north, "amount": 1});
    let path = "/forecast/adjustments";
    let set = world.admin.send(Method::PUT, path, &[], &said.to_string()).await;
    assert_eq!(set.status, 200, "{}", set.text);
    mei.api.eventually(path, |body| body["items"][0]["id"] == set.body["id"]).await;
}

fn year(of: &Value, amount: i64) -> Value {
    let mut said = json!({"period": "year", "year": 2026, "amount": amount});
    said.as_object_mut().unwrap().extend(of.as_object().unwrap().clone());
    said
}

async fn targets_are_set_by_who_may(world: &World, mei: &Person, amy: &Person, north: i64) {
    let put = async |person: &Person, body: &Value, tag: &[(&str, &str)]| {
        person.api.send(Method::PUT, "/targets", tag, &body.to_string()).await
    };
    let of_amy = year(&json!({"owner_id": amy.id}), 1000);
    assert_eq!(put(amy, &of_amy, &[]).await.problem(), (403, "denied"));
    let of_all = year(&json!({}), 1);
    assert_eq!(put(mei, &of_all, &[]).await.problem(), (403, "denied"));
    let set = put(mei, &of_amy, &[]).await;
    assert_eq!((set.status, set.header("etag")), (200, "\"v1\""), "{}", set.text);
    assert_eq!(set.body["label"], "2026");
    assert_eq!(set.body["owner_name"], "amy");
    let twice = year(&json!({"owner_id": amy.id}), 2000);
    let stale = put(mei, &twice, &[("if-match", "\"v7\"")]).await;
    assert_eq!(stale.status, 412);
    let more = put(mei, &twice, &[("if-match", "\"v1\"")]).await;
    assert_eq!((more.status, more.header("etag")), (200, "\"v2\""));
    let nobody = year(&json!({"owner_id": 999_999_999}), 1);
    assert_eq!(put(mei, &nobody, &[]).await.bad_fields(), [("owner_id", "not_found")]);
    let of_team = year(&json!({"team_id": north}), 5000);
    assert_eq!(put(mei, &of_team, &[]).await.status, 200);
    let path = format!("/targets/{}", set.body["id"]);
    let got = amy.api.get(&path).await;
    assert_eq!((got.status, &got.body), (200, &more.body));
    assert_eq!(amy.api.delete(&path).await.problem(), (403, "denied"));
    let listed = world.admin.get("/targets?period=year&year=2026&limit=1").await;
    assert_eq!(listed.body["items"][0]["team_name"], "North", "{}", listed.text);
    let cursor = listed.body["next_cursor"].as_str().unwrap();
    let path = format!("/targets?period=year&year=2026&limit=1&cursor={cursor}");
    let next = world.admin.get(&path).await;
    assert_eq!(next.body["items"][0]["id"], set.body["id"]);
}

async fn what_is_won_is_held_against_them(world: &World, mei: &Person, amy: &Person) {
    let won = amy.api.create(&sale("2026-12-01", 500)).await;
    let id = won["id"].as_i64().unwrap();
    let said = json!({"stage": "won"});
    let closed = amy.api.patch(&format!("/opportunities/{id}/stage"), &said).await;
    assert_eq!(closed.status, 200, "{}", closed.text);
    let day = closed.body["actual_close_date"].as_str().unwrap();
    let this_year: i32 = day[..4].parse().unwrap();
    for (owner, amount) in [(Some(amy.id), 2000), (None, 4000)] {
        let of = owner.map_or(json!({}), |id| json!({"owner_id": id}));
        let mut said = year(&of, amount);
        said["year"] = json!(this_year);
        let set = world.admin.send(Method::PUT, "/targets", &[], &said.to_string()).await;
        assert_eq!(set.status, 200, "{}", set.text);
    }
    let path = "/reports/sales-performance?period=year";
    let rows = mei.api.eventually(path, |body| body["items"][0]["won_value"] == 500).await;
    let row = &rows.body["items"][0];
    assert_eq!((&row["target"], &row["attainment"]), (&json!(2000), &json!(0.25)));
    let file = mei.api.get(&format!("{path}&format=csv")).await;
    assert!(file.text.contains(",2000,0.25,1"), "{}", file.text);
    let forecast = mei.api.get("/forecast?period=year").await;
    let told = (&forecast.body["target"], &forecast.body["target_source"]);
    assert_eq!(told, (&json!(4000), &json!("set")), "{}", forecast.text);
    let it = mei.api.get(&format!("/forecast/attainment?period=year&owner_id={}", amy.id)).await;
    assert_eq!(it.body["attainment"], 0.25, "{}", it.text);
    assert_eq!((&it.body["gap"], &it.body["win_rate"]), (&json!(1500), &json!(1.0)));
    let people = mei.api.get("/forecast/attainment?period=year&by=owner").await;
    assert_eq!(people.body["items"][0]["owner_name"], "amy", "{}", people.text);
    assert_eq!(people.body["target"], 4000);
    let unknown = mei.api.get("/forecast/attainment?by=team").await;
    assert_eq!(unknown.bad_fields(), [("by", "unknown_value")]);
}

async fn what_a_manager_expects_stands_beside_the_model(mei: &Person, amy: &Person) {
    let path = format!("/forecast?period=year&owner_id={}", amy.id);
    let before = mei.api.get(&path).await.body;
    let current = before["period"].as_str().unwrap().parse::<i32>().unwrap();
    let said = json!({
        "period": "year", "year": current, "owner_id": amy.id, "amount": -0.5, "note": "預算延後",
    });
    let adjustments = "/forecast/adjustments";
    let refused = amy.api.send(Method::PUT, adjustments, &[], &said.to_string()).await;
    assert_eq!(refused.problem(), (403, "denied"));
    let set = mei.api.send(Method::PUT, adjustments, &[], &said.to_string()).await;
    assert_eq!((set.status, set.header("etag")), (200, "\"v1\""), "{}", set.text);
    let mut after = mei.api.get(&path).await.body;
    assert_eq!(after["adjustment"], set.body);
    let expected = before["expected"].as_f64().unwrap();
    assert_eq!(after["adjusted_expected"].as_f64(), Some(expected - 0.5));
    for field in ["adjustment", "adjusted_expected"] {
        after[field] = Value::Null;
    }
    assert_eq!(after["expected"], before["expected"]);
    assert_eq!(amy.api.get(&path).await.body["adjustment"], Value::Null);
    let one = format!("{adjustments}/{}", set.body["id"]);
    assert_eq!(mei.api.delete(&one).await.status, 204);
    assert_eq!(mei.api.get(&one).await.status, 404);
    let history = mei.api.get(&format!("{one}/history")).await;
    let versions: Vec<_> = history.body["items"].as_array().unwrap().iter().collect();
    assert_eq!((versions.len(), &versions[1]["note"]), (2, &json!("預算延後")));
    assert_eq!(versions[0]["amount"], Value::Null);
}

async fn categories_say_what_a_forecast_may_count_on(world: &World, amy: &Person) {
    let made = amy.api.create(&sale("2020-01-01", 100)).await;
    assert_eq!(made["forecast_category"], "pipeline");
    let path = format!("/opportunities/{}", made["id"]);
    let say = async |category: Value| {
        let said = json!({"forecast_category": category});
        amy.api.patch(&path, &said).await
    };
    let omitted = say(json!("omitted")).await;
    let told = (&omitted.body["forecast_category"], &omitted.body["forecast_category_is_own"]);
    assert_eq!(told, (&json!("omitted"), &json!(true)), "{}", omitted.text);
    assert_eq!(say(json!("closed")).await.bad_fields(), [("forecast_category", "unknown_value")]);
    let after = format!("/forecast?after={}:{}", made["id"], omitted.body["version"]);
    let left_out = |body: &Value| body["by_category"][3]["total_value"] == 100;
    let forecast = amy.api.eventually(&after, left_out).await.body;
    assert_eq!(forecast["by_stage"][0]["total_value"], 100);
    assert_eq!(forecast["by_stage"][0]["predicted_value"], 0);
    assert_eq!(forecast["from_pipeline"], 0);
    let found = amy.api.get("/opportunities?forecast_category=omitted").await;
    assert_eq!(found.body["items"][0]["id"], made["id"], "{}", found.text);
    let file = amy.api.get("/opportunities/export?forecast_category=omitted").await;
    assert!(file.text.contains("omitted"), "{}", file.text);
    let back = say(Value::Null).await;
    let told = (&back.body["forecast_category"], &back.body["forecast_category_is_own"]);
    assert_eq!(told, (&json!("pipeline"), &json!(false)));
    let stage = json!({"forecast_category": "commit"});
    let stage = world.admin.patch("/pipeline/stages/lead", &stage).await;
    assert_eq!(stage.body["forecast_category"], "commit", "{}", stage.text);
    amy.api.eventually(&path, |body| body["forecast_category"] == "commit").await;
    let committed = |body: &Value| body["by_category"][0]["total_value"] == 100;
    let forecast = amy.api.eventually("/forecast", committed).await.body;
    assert_eq!(
        (&forecast["from_pipeline"], &forecast["by_category"][3]["count"]),
        (&json!(10), &json!(0))
    );
}

fn sale(expected_close_date: &str, amount: i64) -> Value {
    json!({
        "customer_name": "Customer", "opportunity_name": "Sale", "amount": amount,
        "expected_close_date": expected_close_date,
    })
}
