//! Customers and their people as somebody uses them who tidies up.

use local::StackOptions;
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::World;

#[tokio::test]
async fn duplicates_are_found_merged_parted_again_and_people_forgotten() {
    let world = World::start(StackOptions::default()).await;
    let api = &world.admin;
    let post = async |path: &str, key: &str, body: &Value| {
        let headers = [("idempotency-key", key)];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        api.send(Method::POST, path, &headers, &body).await
    };
    let sale = json!({
        "customer_name": "XYZ 公司", "contact_name": "Grete", "contact_email": "grete@example.com",
        "opportunity_name": "軟體授權採購", "amount": 100,
    });
    let sale = api.create(&sale).await;
    let (opportunity, into) = (format!("/opportunities/{}", sale["id"]), &sale["customer_id"]);
    let new = json!({"name": "ｘｙｚ", "industry": "software", "email": "info@xyz.example.com"});
    let made = post("/customers", "a", &new).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.headers["etag"], "\"v1\"");
    let again = post("/customers", "a", &new).await;
    assert_eq!((again.status, &again.text), (201, &made.text));
    let from = &made.body["id"];
    let wrong = post("/customers", "b", &json!({"name": " ", "email": "x"})).await;
    assert_eq!((wrong.status, wrong.body["errors"].as_array().unwrap().len()), (422, 2));

    let groups = api.get("/customers/duplicates").await.body;
    assert_eq!(groups["items"][0]["reasons"], json!(["similar_name"]));
    assert_eq!(groups["items"][0]["customers"][1]["id"], *from);
    let merge = post(&format!("/customers/{into}/merge"), "c", &json!({"from_id": from})).await;
    assert_eq!(merge.status, 200, "{}", merge.text);
    assert_eq!(merge.body["customer"]["industry"], json!("software"));
    let gone = api.get(&format!("/customers/{from}")).await;
    assert_eq!((gone.status, &gone.body["merged_into_id"]), (200, into));
    let refused = api.patch(&format!("/customers/{from}"), &json!({"name": "x"})).await;
    assert_eq!((refused.status, &refused.body["code"]), (409, &json!("customer_merged")));
    let found = api.get("/customers?q=%E5%85%AC%E5%8F%B8&sort_by=name").await.body;
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
    assert_eq!(api.get("/customers?colour=red").await.status, 422);

    let path = format!("/customers/{into}");
    let renamed = api.patch(&path, &json!({"name": "ABC 公司", "industry": null})).await;
    assert_eq!((renamed.status, &renamed.body["industry"]), (200, &Value::Null));
    assert_eq!(api.get(&opportunity).await.body["customer_name"], json!("ABC 公司"));
    // Wherever opportunities are listed.
    for list in [
        "/forecast/opportunities",
        "/reports/conversion-rate/opportunities?stage_key=lead&term=entered",
        "/reports/pipeline-changes/opportunities?term=created",
    ] {
        let is_so = |it: &Value| it["items"][0]["customer_name"] == "ABC 公司";
        api.eventually(list, is_so).await;
    }
    let part = post(&format!("{path}/unmerge"), "d", &json!({"from_id": from})).await;
    assert_eq!(part.status, 200, "{}", part.text);
    assert_eq!(part.body["left"][0]["field"], json!("industry"));
    let kept = api.send(Method::DELETE, &path, &[("if-match", "\"v999\"")], "").await;
    assert_eq!(kept.status, 412);
    let kept = api.send(Method::DELETE, &path, &[], "").await;
    assert_eq!((kept.status, &kept.body["code"]), (409, &json!("customer_has_opportunities")));

    let contact = format!("/contacts/{}", sale["contact_id"]);
    let titled = api.patch(&contact, &json!({"title": "Einkauf"})).await;
    assert_eq!((titled.status, &titled.body["version"]), (200, &json!(2)));
    let people = api.get(&format!("{path}/contacts")).await.body;
    assert_eq!(people["items"][0]["email"], json!("grete@example.com"));
    let erased = post(&format!("{contact}/erase"), "e", &Value::Null).await;
    assert_eq!(erased.status, 200, "{}", erased.text);
    assert_eq!(api.get(&contact).await.status, 404);
    let sale = api.get(&opportunity).await.body;
    assert_eq!((&sale["contact_name"], &sale["amount"]), (&Value::Null, &json!(100)));
    let entries = api.get("/audit?record_type=contact").await;
    assert_eq!(entries.body["items"][0]["type"], json!("contact.erased"));
    for secret in ["Grete", "grete@example.com", "Einkauf"] {
        assert!(!entries.text.contains(secret), "{}", entries.text);
    }
}
