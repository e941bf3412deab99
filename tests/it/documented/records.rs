//! Signing in, opportunities and their history, notifications.

use std::collections::BTreeSet;

use chrono::{DateTime, FixedOffset, NaiveDate};
use reqwest::Method;
use serde_json::{Value, json};

use super::past::Team;
use super::without;
use crate::world::World;

/// The day of an instant in the organisation's zone.
fn day(instant: &Value) -> NaiveDate {
    let taipei = FixedOffset::east_opt(8 * 3600).unwrap();
    let text = instant.as_str().unwrap();
    assert!(text.ends_with('Z'), "{text} is not in UTC");
    DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&taipei).date_naive()
}

pub(super) async fn the_way_in_is_shown_to_anybody(world: &World) {
    let front = world.nobody.get("//").await;
    assert_eq!((front.status, front.header("location")), (307, "/docs/"));
    let page = world.nobody.get("//docs/").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/html"), "{page:?}");
    let document = world.nobody.get("//openapi.json").await;
    assert!(document.body["openapi"].as_str().unwrap().starts_with("3.1"), "{document:?}");
    let documented: BTreeSet<_> = document.body["paths"].as_object().unwrap().keys().collect();
    for path in [
        "auth/token",
        "pipeline/overview",
        "opportunities",
        "opportunities/{id}",
        "opportunities/{id}/stage",
        "opportunities/{id}/history",
        "forecast",
        "reports/conversion-rate",
        "reports/pipeline-changes",
        "reports/pipeline-changes/opportunities",
        "reports/sales-trend",
        "reports/sales-performance",
        "notifications",
    ] {
        assert!(documented.contains(&format!("/api/v1/{path}")), "{path} is not documented");
    }
    for probe in ["//healthz", "//readyz"] {
        assert_eq!(world.nobody.get(probe).await.status, 200, "{probe}");
    }
}

pub(super) async fn an_address_and_a_password_give_tokens_and_a_refresh_token_gives_new_ones(
    world: &World,
) {
    let secrets = world.stack.secrets();
    let credentials = [("username", &*secrets.admin_email), ("password", &secrets.admin_password)];
    let signed_in = world.nobody.ask_token(&credentials).await;
    let members: Vec<_> = signed_in.body.as_object().unwrap().keys().collect();
    assert_eq!(members, ["access_token", "expires_in", "refresh_token", "token_type"]);
    assert_eq!(signed_in.body["token_type"], "bearer");
    assert_eq!(signed_in.body["expires_in"], 30 * 60);
    assert_eq!(signed_in.header("cache-control"), "no-store");
    let explicit = [&[("grant_type", "password")][..], &credentials[..]].concat();
    assert_eq!(world.nobody.ask_token(&explicit).await.status, 200);

    let refresh_token = signed_in.body["refresh_token"].as_str().unwrap();
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
    let refreshed = world.nobody.ask_token(&refresh).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.text);
    let token = refreshed.body["access_token"].as_str().unwrap();
    assert_eq!(world.nobody.with_token(token).get("/users").await.status, 200);
    assert_ne!(refreshed.body["refresh_token"], refresh_token);
}

pub(super) async fn people_teams_and_stages_are_listed(world: &World, team: &Team) {
    let users = team.wang.api.get("/users").await;
    let names: Vec<_> = users.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|user| (user["username"].as_str().unwrap(), user["role"].as_str().unwrap()))
        .collect();
    assert_eq!(names[..3], [("lin", "manager"), ("chen", "rep"), ("wang", "rep")]);
    assert_eq!(users.body["next_cursor"], Value::Null);
    let wang = team.wang.api.get(&format!("/users/{}", team.wang.id)).await;
    assert_eq!(wang.body, users.body["items"][2]);
    assert_eq!(wang.header("etag"), "\"v1\"");
    let teams = team.wang.api.get("/teams").await;
    assert_eq!(
        teams.body["items"],
        json!([{"id": team.id, "name": "北區業務", "manager_id": team.lin.id, "parent_id": null, "version": 2}])
    );

    let stages = world.admin.get("/pipeline/stages").await;
    let rows = stages.body["items"].as_array().unwrap().iter().map(|stage| {
        json!([stage["key"], stage["name"], stage["kind"], stage["default_probability"]])
    });
    assert_eq!(
        json!(rows.collect::<Vec<_>>()),
        json!([
            ["lead", "潛在客戶", "open", 10],
            ["qualification", "需求確認", "open", 30],
            ["proposal", "方案提案", "open", 50],
            ["negotiation", "商務談判", "open", 70],
            ["contract", "合約簽訂", "open", 90],
            ["won", "成交", "won", 100],
            ["lost", "失敗", "lost", 0],
        ])
    );
    let pipelines = world.admin.get("/pipelines").await;
    assert_eq!(pipelines.body["items"][0]["is_default"], true);
    assert_eq!(pipelines.body["items"][0]["stages"], stages.body["items"]);
}

/// The product page's example with everything else that can be said of an opportunity.
pub(super) async fn an_opportunity_is_made_as_the_sdk_makes_it(team: &Team) -> Value {
    let wang = &team.wang;
    let said = json!({
        "customer_name": "XYZ 公司", "opportunity_name": "軟體授權採購", "stage": "潛在客戶",
        "amount": 300_000, "probability": 25, "contact_name": "陳經理", "contact_email": "chen@example.org",
        "expected_close_date": "2026-01-31", "products": ["授權", "維護"], "notes": "第一次拜訪",
        "owner_id": wang.id, "external_id": "erp-1", "currency": "TWD", "pipeline_id": 1,
        "source": "官網", "tags": ["大客戶"], "waiting_until": "2026-01-15",
    });
    let made = wang.api.post("/opportunities", &said).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let id = made.body["id"].as_i64().unwrap();
    assert_eq!(made.header("location"), format!("/api/v1/opportunities/{id}"));
    assert_eq!(made.header("etag"), "\"v1\"");
    assert_eq!(made.raw("/amount"), "300000");
    assert!(made.body["customer_id"].is_i64() && made.body["contact_id"].is_i64());
    assert_eq!(made.body["created_at"], made.body["updated_at"]);
    let mut expected = said;
    expected.as_object_mut().unwrap().extend(
        json!({
            "stage_key": "lead", "status": "open", "weighted_value": 75_000, "actual_close_date": null,
            "lost_reason": null, "owner_name": "wang", "team_id": team.id, "stale": false,
            "days_in_stage": 0, "version": 1, "next_activity": null, "closed_amount": null, "closed_rate": null,
            "line_items": [], "custom_fields": {}, "forecast_category": "pipeline",
            "forecast_category_is_own": false,
        })
        .as_object()
        .unwrap()
        .clone(),
    );
    let given = ["id", "customer_id", "contact_id", "created_at", "updated_at"];
    assert_eq!(without(&made.body, &given), expected);

    let found = wang.api.get(&format!("/opportunities/{id}")).await;
    assert_eq!((found.status, found.header("etag")), (200, "\"v1\""));
    assert_eq!(found.body, made.body);
    made.body
}

pub(super) async fn it_moves_on_and_its_history_says_so(team: &Team, made: &Value) {
    let path = format!("/opportunities/{}", made["id"]);
    let step = json!({"stage": "需求確認", "probability": 40, "notes": "需求訪談完成，預算確認"});
    let moved = team.wang.api.patch(&format!("{path}/stage"), &step).await;
    assert_eq!((moved.status, moved.header("etag")), (200, "\"v2\""), "{}", moved.text);
    let changed = ["stage", "stage_key", "probability", "weighted_value", "version", "updated_at"];
    assert_eq!(without(&moved.body, &changed), without(made, &changed), "nothing else changes");
    let now = changed[..5].iter().map(|member| &moved.body[*member]).collect::<Vec<_>>();
    assert_eq!(json!(now), json!(["需求確認", "qualification", 40, 120_000, 2]));

    let again =
        team.wang.api.patch(&format!("{path}/stage"), &json!({"stage": "QUALIFICATION"})).await;
    assert_eq!((again.status, &again.body), (200, &moved.body), "it stands there already");

    let history = team.wang.api.get(&format!("{path}/history")).await;
    let rows = history.body["items"].as_array().unwrap();
    let by = json!({"changed_by": team.wang.id, "changed_by_name": "wang"});
    for (row, expected) in rows.iter().zip([
        json!({
            "from_stage": null, "from_stage_key": null, "to_stage": "潛在客戶", "to_stage_key": "lead",
            "notes": null, "probability": 25, "seconds_in_from_stage": null,
        }),
        json!({
            "from_stage": "潛在客戶", "from_stage_key": "lead", "to_stage": "需求確認",
            "to_stage_key": "qualification", "notes": "需求訪談完成，預算確認", "probability": 40,
            "seconds_in_from_stage": row_age(made, &moved.body),
        }),
    ]) {
        let mut expected = expected;
        expected.as_object_mut().unwrap().extend(by.as_object().unwrap().clone());
        assert_eq!(without(row, &["id", "changed_at"]), expected);
    }
    assert_eq!(rows.len(), 2, "a move to the stage it is in leaves no row");
    assert_eq!(rows[0]["changed_at"], made["created_at"]);
    assert_eq!(rows[1]["changed_at"], moved.body["updated_at"]);
    assert_eq!(history.body["next_cursor"], Value::Null);
}

/// Whole seconds from the creation of one to the latest change of the other.
fn row_age(made: &Value, moved: &Value) -> i64 {
    let at = |value: &Value| DateTime::parse_from_rfc3339(value.as_str().unwrap()).unwrap();
    (at(&moved["updated_at"]) - at(&made["created_at"])).num_seconds()
}

pub(super) async fn a_stage_is_listed_by_amount(world: &World, sold: &Value, past: &[i64]) {
    let list = world.admin.get("/opportunities?stage=需求確認&sort_by=amount").await;
    assert_eq!(list.status, 200, "{}", list.text);
    let ids: Vec<_> = list.body["items"].as_array().unwrap().iter().map(|it| &it["id"]).collect();
    // 300000, 333.33, 10.01
    assert_eq!(json!(ids), json!([sold["id"], past[4], past[7]]));
    assert_eq!(list.raw("/items/1/amount"), "333.33");
    assert_eq!(list.body["next_cursor"], Value::Null);
    let path = format!("/opportunities/{}", past[4]);
    assert_eq!(list.body["items"][1], world.admin.get(&path).await.body);
}

pub(super) async fn a_win_is_told_to_its_owner(world: &World, team: &Team) -> Value {
    let said = json!({
        "customer_name": "ABC", "opportunity_name": "Support", "amount": 88.88, "owner_id": team.wang.id,
    });
    let made = world.admin.create(&said).await;
    assert_eq!((&made["stage"], &made["probability"]), (&json!("潛在客戶"), &json!(10)));
    assert_eq!((&made["currency"], &made["team_id"]), (&json!("TWD"), &json!(team.id)));
    let path = format!("/opportunities/{}/stage", made["id"]);
    let won = world.admin.patch(&path, &json!({"stage": "成交"})).await;
    assert_eq!(won.status, 200, "{}", won.text);
    let won = won.body;
    assert_eq!((&won["status"], &won["probability"]), (&json!("won"), &json!(100)));
    assert_eq!(won["actual_close_date"], day(&won["updated_at"]).to_string());

    let about = |body: &Value| body["items"].as_array().is_some_and(|items| !items.is_empty());
    let told = team.wang.api.eventually("/notifications", about).await;
    // Of what was imported, and of one's own moves, nobody is told.
    assert_eq!(told.body["items"].as_array().unwrap().len(), 1, "{}", told.text);
    let told = &told.body["items"][0];
    let given = ["id", "body", "occurred_at", "created_at"];
    assert_eq!(
        without(told, &given),
        json!({
            "event": "opportunity.won", "title": "成交：Support", "opportunity_id": made["id"],
            "read_at": null,
        })
    );
    assert_eq!(told["occurred_at"], won["updated_at"]);
    assert!(told["body"].as_str().unwrap().contains("88.88 TWD"), "{told}");
    let lead = team.lin.api.eventually("/notifications", about).await;
    assert_eq!(lead.body["items"][0]["event"], "opportunity.won", "who leads the team is told too");
    let others = team.chen.api.send(Method::GET, "/notifications", &[], "").await;
    assert_eq!(others.body, json!({"items": [], "next_cursor": null}));
    won
}
