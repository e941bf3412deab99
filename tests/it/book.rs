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
}
