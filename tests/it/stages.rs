//! Pipelines and stages as an administrator shapes them, and what the funnel says of it.

use local::StackOptions;
use proto::identity::v1::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::Api;
use crate::world::World;

async fn put_order(api: &Api, keys: &Value, tag: &str) -> crate::api::Answer {
    let body = json!({"keys": keys}).to_string();
    let path = "/pipeline/stages/order";
    api.send(Method::PUT, path, &[("if-match", tag)], &body).await
}

#[tokio::test]
async fn an_administrator_shapes_the_funnel_and_the_numbers_follow() {
    let world = World::start(StackOptions::default()).await;
    let (api, rep) = (&world.admin, world.add("rep", Role::Rep, None).await.api);
    let listed = rep.get("/pipeline/stages").await;
    assert_eq!(
        (&listed.body["version"], &listed.body["items"][2]["position"]),
        (&json!(1), &json!(3))
    );
    assert!(listed.body["requirable_fields"].as_array().unwrap().contains(&json!("amount")));

    // A stage of one's own, once though asked for twice.
    let demo =
        json!({"name": "Demo", "position": 2, "required_fields": ["amount"], "rotting_days": 7});
    assert_eq!(rep.post("/pipeline/stages", &demo).await.status, 403);
    let keyed = [("idempotency-key", "demo")];
    let post = async || api.send(Method::POST, "/pipeline/stages", &keyed, &demo.to_string()).await;
    let made = post().await;
    assert_eq!((made.status, made.header("etag")), (201, "\"v2\""), "{}", made.text);
    assert_eq!(made.header("location"), "/api/v1/pipeline/stages/demo");
    assert_eq!(
        (&made.body["default_probability"], &made.body["moving_to"]),
        (&json!(20), &json!(null))
    );
    assert_eq!(post().await.text, made.text);
    let wrong =
        json!({"name": "demo", "kind": "open", "required_fields": ["colour"], "position": 99});
    let refused = api.post("/pipeline/stages", &wrong).await;
    let fields =
        [("name", "taken"), ("position", "out_of_range"), ("required_fields[0]", "unknown_value")];
    assert_eq!(refused.bad_fields(), fields, "{}", refused.text);

    // It asks for an amount, on every path.
    let sale = json!({"customer_name": "A", "opportunity_name": "B", "stage": "demo"});
    assert_eq!(
        rep.post("/opportunities", &sale).await.bad_fields(),
        [("amount", "required_for_stage")]
    );
    let mut sale = sale;
    // What is there and not good is not missing, too.
    sale["amount"] = json!(-1);
    let refused = rep.post("/opportunities", &sale).await;
    assert_eq!(refused.bad_fields(), [("amount", "out_of_range")], "{}", refused.text);
    sale["amount"] = json!(100);
    let id = rep.create(&sale).await["id"].as_i64().unwrap();

    // Another name, and another order, of the version that one has seen.
    let patch = async |body: Value, tag: &str| {
        let path = "/pipeline/stages/demo";
        api.send(Method::PATCH, path, &[("if-match", tag)], &body.to_string()).await
    };
    let renamed = patch(json!({"name": "產品展示", "rotting_days": null}), "\"v2\"").await;
    assert_eq!((renamed.status, renamed.header("etag")), (200, "\"v3\""), "{}", renamed.text);
    assert_eq!(
        (&renamed.body["key"], &renamed.body["rotting_days"]),
        (&json!("demo"), &json!(null))
    );
    assert_eq!(patch(json!({"name": "X"}), "\"v2\"").await.status, 412);
    assert_eq!(patch(json!({"kind": "won"}), "\"v3\"").await.problem(), (409, "stage_used"));
    let order = json!([
        "demo",
        "lead",
        "qualification",
        "proposal",
        "negotiation",
        "contract",
        "won",
        "lost"
    ]);
    assert_eq!(put_order(api, &order, "\"v1\"").await.status, 412);
    let ordered = put_order(api, &order, "\"v3\"").await;
    assert_eq!((ordered.status, ordered.header("etag")), (200, "\"v4\""), "{}", ordered.text);
    assert_eq!(ordered.body["stages"][0]["name"], "產品展示");
    assert_eq!(api.delete("/pipeline/stages/order").await.status, 405);
    let is_first = |body: &Value| {
        let stage = &body["stages"][0];
        (&stage["name"], &stage["key"], &stage["count"])
            == (&json!("產品展示"), &json!("demo"), &json!(1))
    };
    api.eventually("/pipeline/overview", is_first).await;

    // It goes, and what stood in it is elsewhere, in the numbers too.
    let path = "/pipeline/stages/demo";
    let refused = api.delete(path).await;
    assert_eq!(refused.problem(), (409, "stage_in_use"));
    assert_eq!(
        (&refused.body["about"]["opportunities"], &refused.body["about"]["deleted"]),
        (&json!(1), &json!(0))
    );
    let gone = api.delete(&format!("{path}?move_to=proposal")).await;
    assert_eq!(gone.status, 204, "{}", gone.text);
    assert_eq!(api.delete(&format!("{path}?move_to=proposal")).await.status, 404);
    let history = rep.get(&format!("/opportunities/{id}/history")).await;
    let last = &history.body["items"][1];
    assert_eq!(
        (&last["from_stage"], &last["to_stage_key"]),
        (&json!("產品展示"), &json!("proposal"))
    );
    let is_moved = |body: &Value| {
        body["stages"].as_array().is_some_and(|stages| {
            stages.len() == 7 && stages[2]["key"] == "proposal" && stages[2]["count"] == 1
        })
    };
    api.eventually("/pipeline/overview", is_moved).await;
    let audit = api.get("/audit?type=pipeline.updated").await;
    assert_eq!(audit.body["items"].as_array().unwrap().len(), 5, "{}", audit.text);
}

#[tokio::test]
async fn another_pipeline_has_stages_of_its_own_and_can_become_the_default() {
    let world = World::start(StackOptions::default()).await;
    let api = &world.admin;
    let stages = json!([
        {"name": "Signed up"}, {"name": "成交", "kind": "won"}, {"key": "gone", "name": "Gone", "kind": "lost"},
    ]);
    let made = api.post("/pipelines", &json!({"name": "Partners", "stages": stages})).await;
    assert_eq!((made.status, made.header("etag")), (201, "\"v1\""), "{}", made.text);
    let id = made.body["id"].as_i64().unwrap();
    let keys = made.body["stages"].as_array().unwrap().iter().map(|it| it["key"].as_str().unwrap());
    assert_eq!(keys.collect::<Vec<_>>(), ["signed_up", "stage_2", "gone"]);
    let path = format!("/pipelines/{id}");
    assert_eq!(made.header("location"), format!("/api/v1{path}"));
    let own = format!("/pipeline/stages?pipeline_id={id}");
    let added = api.post(&own, &json!({"name": "Trained"})).await;
    assert_eq!((added.status, &added.body["position"]), (201, &json!(2)), "{}", added.text);
    assert_eq!(api.get("/pipeline/stages").await.body["items"].as_array().unwrap().len(), 7);
    assert_eq!(api.patch("/pipelines/1", &json!({"is_default": false})).await.status, 422);
    let taken = api.patch(&path, &json!({"is_default": true})).await;
    assert_eq!((taken.status, taken.header("etag")), (200, "\"v3\""), "{}", taken.text);
    assert_eq!(api.get("/pipelines/1").await.body["is_default"], json!(false));
    assert_eq!(api.delete(&path).await.problem(), (409, "default_pipeline"));

    let sale = api.create(&json!({"customer_name": "A", "opportunity_name": "B"})).await;
    assert_eq!((&sale["pipeline_id"], &sale["stage"]), (&json!(id), &json!("Signed up")));
    let is_there = |body: &Value| body["stages"].as_array().is_some_and(|it| it.len() == 4);
    let overview = api.eventually("/pipeline/overview", is_there).await;
    assert_eq!(overview.body["stages"][1]["name"], "Trained");
    api.patch("/pipelines/1", &json!({"is_default": true})).await;
    assert_eq!(api.delete(&path).await.problem(), (409, "pipeline_in_use"));
    let empty = api.post("/pipelines", &json!({"name": "Empty"})).await;
    let path = format!("/pipelines/{}", empty.body["id"]);
    assert_eq!(api.delete(&path).await.status, 204);
    assert_eq!(api.get(&path).await.status, 404);
    assert_eq!(api.get("/pipelines").await.body["items"].as_array().unwrap().len(), 2);
}
