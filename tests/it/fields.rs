//! An opportunity with lines, reasons and fields of the organisation's own, as an administrator and a salesperson use them.

use local::StackOptions;
use proto::identity::v1::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::Api;
use crate::world::World;

#[tokio::test]
async fn lines_reasons_and_own_fields_are_exact_from_the_request_to_the_answer_and_the_numbers() {
    let world = World::start(StackOptions::default()).await;
    let (admin, rep) = (&world.admin, world.add("rep", Role::Rep, None).await.api);
    administer(admin, &rep).await;

    // To the last digit.
    let sale = r#"{"customer_name": "A", "opportunity_name": "B",
        "line_items": [{"name": "授權", "quantity": 12.3456, "unit_price": 99.99, "discount": 12.25}, {"name": "服務", "unit_price": 0.10}],
        "custom_fields": {"seats": 900719925474099.123456789, "region": "ｓＯＵＴＨ"}}"#;
    let made = rep.send(Method::POST, "/opportunities", &[], sale).await;
    assert_eq!(made.status, 201, "{}", made.text);
    // 12.3456 × 99.99 × 0.8775 = 1083.2183… and 0.1
    assert_eq!(made.raw("/amount"), "1083.32");
    let lines = r#"[{"name":"授權","quantity":12.3456,"unit_price":99.99,"discount":12.25},{"name":"服務","quantity":1,"unit_price":0.1,"discount":0}]"#;
    assert_eq!(made.raw("/line_items"), lines);
    assert_eq!(
        made.raw("/custom_fields"),
        r#"{"region":"South","seats":900719925474099.123456789}"#
    );
    assert_eq!(made.body["products"], json!(["授權", "服務"]));
    let path = format!("/opportunities/{}", made.body["id"]);
    let total = |body: &Value| body["total_pipeline_value"] == json!(1083.32);
    admin.eventually("/pipeline/overview", total).await;

    // Found, and every bad field of all of it told at once.
    for (query, count) in [
        ("custom_field=region:SOUTH&custom_field=seats:900719925474099.1234567890", 1),
        ("custom_field=region:%E5%8C%97%E5%8D%80", 0),
        ("product=%E6%9C%8D%E5%8B%99", 1),
    ] {
        let page = rep.get(&format!("/opportunities?{query}")).await;
        assert_eq!(page.body["items"].as_array().map(Vec::len), Some(count), "{}", page.text);
    }
    let unknown = rep.get("/opportunities?custom_field=colour:red").await;
    assert_eq!(unknown.bad_fields(), [("custom_field", "unknown_custom_field")]);
    let wrong = json!({
        "line_items": [{"name": "X", "unit_price": -1}], "custom_fields": {"colour": "red", "seats": "1"},
    });
    let mut new = wrong.clone();
    new["customer_name"] = json!("A");
    new["opportunity_name"] = json!("B");
    let expected = [
        ("custom_fields.colour", "unknown_custom_field"),
        ("custom_fields.seats", "wrong_type"),
        ("line_items[0].unit_price", "out_of_range"),
    ];
    assert_eq!(rep.post("/opportunities", &new).await.bad_fields(), expected);
    let kind = rep.patch(&path, &json!({"custom_fields": {"seats": true}})).await;
    assert_eq!(kind.bad_fields(), [("custom_fields.seats", "wrong_type")]);

    // Merged within, and cleared as a whole.
    let merged = rep.patch(&path, &json!({"custom_fields": {"seats": null}, "amount": 7})).await;
    assert_eq!(merged.raw("/custom_fields"), r#"{"region":"South"}"#, "{}", merged.text);
    let same = rep
        .patch(&path, &json!({"line_items": merged.body["line_items"], "custom_fields": {}}))
        .await;
    assert_eq!((&same.body["version"], same.raw("/amount")), (&json!(2), "7".into()));
    let cleared = rep.patch(&path, &json!({"custom_fields": null, "amount": null})).await;
    assert_eq!(
        (cleared.raw("/custom_fields"), cleared.raw("/amount")),
        ("{}".into(), "1083.32".into())
    );

    let lost = json!({"stage": "lost", "lost_reason": "whatever"});
    let refused = rep.patch(&format!("{path}/stage"), &lost).await;
    assert_eq!(refused.bad_fields(), [("lost_reason", "unknown_lost_reason")]);
    let lost = json!({"stage": "lost", "lost_reason": "ｐrice"});
    let lost = rep.patch(&format!("{path}/stage"), &lost).await;
    assert_eq!(lost.body["lost_reason"], json!("Price"), "{}", lost.text);
    let audit = admin.get("/audit?source=opportunities&limit=200").await;
    assert!(
        audit.text.contains("custom_fields.updated") && audit.text.contains("lost_reasons.updated"),
        "{}",
        audit.text
    );
}

/// What an administrator decides, and what only an administrator does.
async fn administer(admin: &Api, rep: &Api) {
    // Once though asked for twice.
    let keyed = [("idempotency-key", "region")];
    let region =
        json!({"key": "region", "name": "區域", "type": "choice", "choices": ["北區", "South"]});
    let post =
        async || admin.send(Method::POST, "/custom-fields", &keyed, &region.to_string()).await;
    let made = post().await;
    assert_eq!((made.status, made.header("etag")), (201, "\"v1\""), "{}", made.text);
    assert_eq!(post().await.text, made.text);
    let seats = json!({"key": "seats", "name": "Seats", "type": "number"});
    assert_eq!(admin.post("/custom-fields", &seats).await.status, 201);
    let wrong =
        admin.post("/custom-fields", &json!({"key": "Ä", "name": " ", "position": 9})).await;
    let expected = [
        ("key", "invalid_character"),
        ("name", "required"),
        ("position", "out_of_range"),
        ("type", "required"),
    ];
    assert_eq!(wrong.bad_fields(), expected, "{}", wrong.text);
    assert_eq!(rep.post("/custom-fields", &seats).await.status, 403);
    let fixed = admin.patch("/custom-fields/seats", &json!({"type": "text"})).await;
    assert_eq!(fixed.bad_fields(), [("type", "unknown_field")]);
    for name in ["Price", "Timing"] {
        let reason = admin.post("/lost-reasons", &json!({"name": name})).await;
        assert_eq!(reason.status, 201, "{}", reason.text);
    }
    let listed = rep.get("/lost-reasons").await;
    assert_eq!(
        (&listed.body["items"][1]["name"], &listed.body["version"]),
        (&json!("Timing"), &json!(2))
    );
    let timing = format!("/lost-reasons/{}", listed.body["items"][1]["id"]);
    let first =
        admin.send(Method::PATCH, &timing, &[("if-match", "\"v2\"")], r#"{"position": 1}"#).await;
    assert_eq!((first.status, first.header("etag")), (200, "\"v3\""), "{}", first.text);
    assert_eq!(
        admin.send(Method::DELETE, &timing, &[("if-match", "\"v2\"")], "").await.status,
        412
    );
}
