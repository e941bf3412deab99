//! The opportunity book as somebody uses it who sells, and what it comes to in the numbers.

use local::StackOptions;
use reqwest::Method;
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn what_is_changed_deleted_and_restored_is_so_in_the_numbers_too() {
    let world = World::start(StackOptions::default()).await;
    let api = &world.admin;
    let said = json!({
        "customer_name": "ABC", "opportunity_name": "Support", "amount": 100, "contact_name": "Chen", "notes": "call",
    });
    let made = api.create(&said).await;
    let path = format!("/opportunities/{}", made["id"]);
    let totals = async |count: i64, value: &str, weighted: &str| {
        let is_so = |body: &serde_json::Value| {
            let numbers = ["total_pipeline_value", "weighted_pipeline_value"];
            let numbers = numbers.map(|name| body[name].to_string());
            body["total_opportunities"] == count && numbers == [value, weighted]
        };
        api.eventually("/pipeline/overview", is_so).await;
    };
    totals(1, "100", "10").await;

    let merge = r#"{"amount": 250.5, "probability": 40, "contact_name": null, "tags": ["a"], "stage": null}"#;
    let tagged = [("if-match", "\"v1\""), ("content-type", "application/merge-patch+json")];
    let refused = api.send(Method::PATCH, &path, &tagged, merge).await;
    assert_eq!((refused.status, &refused.body["code"]), (422, &json!("invalid")));
    let merge = merge.replace(r#", "stage": null"#, "");
    let changed = api.send(Method::PATCH, &path, &tagged, &merge).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_eq!([changed.raw("/amount"), changed.raw("/weighted_value")], ["250.5", "100.2"]);
    assert_eq!(changed.body["contact_name"], json!(null));
    assert_eq!((&changed.body["notes"], &changed.body["version"]), (&json!("call"), &json!(2)));
    totals(1, "250.5", "100.2").await;
    let late = api.send(Method::PATCH, &path, &tagged, &merge).await;
    assert_eq!(late.status, 412);
    let unknown = api.patch(&path, &json!({"colour": "red"})).await;
    assert_eq!(unknown.status, 422);

    let stale = api.send(Method::DELETE, &path, &[("if-match", "\"v1\"")], "").await;
    assert_eq!(stale.status, 412);
    assert_eq!(api.send(Method::DELETE, &path, &[("if-match", "\"v2\"")], "").await.status, 204);
    assert_eq!(api.get(&path).await.status, 404);
    totals(0, "0", "0").await;
    let restore = format!("{path}/restore");
    let keyed = [("idempotency-key", "again")];
    let first = api.send(Method::POST, &restore, &keyed, "").await;
    assert_eq!((first.status, &first.body["version"]), (200, &json!(4)), "{}", first.text);
    totals(1, "250.5", "100.2").await;
    api.patch(&path, &json!({"notes": null})).await;
    let again = api.send(Method::POST, &restore, &keyed, "").await;
    assert_eq!(again.text, first.text, "the first answer");
    let page = api.get("/opportunities?tag=a").await;
    assert_eq!(page.body["items"][0]["version"], json!(5));

    // Sent again it is what it was, though it could not be made any more.
    api.post("/pipeline/stages", &json!({"name": "Passing"})).await;
    let said = json!({"customer_name": "A", "opportunity_name": "B", "stage": "passing"});
    let make = async |key: &str| {
        let keyed = [("idempotency-key", key)];
        api.send(Method::POST, "/opportunities", &keyed, &said.to_string()).await
    };
    let first = make("once").await;
    assert_eq!(first.status, 201, "{}", first.text);
    assert_eq!(api.delete("/pipeline/stages/passing?move_to=lead").await.status, 204);
    let again = make("once").await;
    assert_eq!((again.status, &again.text), (201, &first.text));
    assert_eq!(make("twice").await.bad_fields(), [("stage", "unknown_stage")]);
}

#[tokio::test]
async fn many_are_changed_with_one_request_and_one_is_kept_in_step_with_another_system() {
    let world = World::start(StackOptions::default()).await;
    let api = &world.admin;
    let path = "/opportunities/by-external-id/ERP%2F7";
    let said = json!({"customer_name": "ABC", "opportunity_name": "Support", "amount": 100});
    let put =
        async |said: &serde_json::Value| api.send(Method::PUT, path, &[], &said.to_string()).await;
    let made = put(&said).await;
    assert_eq!((made.status, &made.body["external_id"]), (201, &json!("ERP/7")), "{}", made.text);
    let changed = put(&json!({"stage": "lost", "lost_reason": "價格", "notes": null})).await;
    assert_eq!((changed.status, &changed.body["version"]), (200, &json!(2)), "{}", changed.text);
    assert_eq!(changed.body["id"], made.body["id"]);
    assert_eq!(put(&json!({"external_id": "x"})).await.status, 422);
    let (put_if, absent) = (Method::PUT, "/opportunities/by-external-id/ERP-8");
    for (place, tag, status) in
        [(path, "\"v1\"", 412), (path, "\"v2\"", 200), (path, "*", 200), (absent, "*", 412)]
    {
        let guarded = [("if-match", tag)];
        let answer = api.send(put_if.clone(), place, &guarded, r#"{"notes":null}"#).await;
        assert_eq!(answer.status, status, "{place} {tag} {}", answer.text);
    }

    let ids = [made.body["id"].clone(), json!(world.some_opportunity().await)];
    let updates = json!({"updates": [
        {"id": ids[0], "version": 2, "stage": "proposal", "notes": "they called"},
        {"id": ids[1], "version": 7, "stage": "won"},
        {"id": ids[1], "probability": 101},
    ]});
    let keyed = [("idempotency-key", "bulk")];
    let bulk = "/opportunities/bulk";
    let done = api.send(Method::POST, bulk, &keyed, &updates.to_string()).await;
    assert_eq!(done.status, 200, "{}", done.text);
    assert_eq!((&done.body["succeeded"], &done.body["failed"]), (&json!(1), &json!(2)));
    let results = done.body["results"].as_array().unwrap();
    let statuses: Vec<_> = results.iter().map(|it| it["status"].as_i64().unwrap()).collect();
    assert_eq!(statuses, [200, 412, 422]);
    assert_eq!(results[0]["opportunity"]["stage_key"], json!("proposal"));
    assert_eq!(results[1]["error"]["current_version"], json!(1));
    assert_eq!(results[2]["error"]["errors"][0]["field"], json!("probability"));
    let again = api.send(Method::POST, bulk, &keyed, &updates.to_string()).await;
    assert_eq!(again.text, done.text);
    let history = api.get(&format!("/opportunities/{}/history", ids[0])).await;
    assert_eq!(history.body["items"][2]["notes"], json!("they called"));
    assert_eq!(history.body["items"].as_array().unwrap().len(), 3);
}
