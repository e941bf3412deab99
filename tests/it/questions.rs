//! Questions of a sales manager: every request of the page that answers them is answered, and its numbers open to opportunities.

use chrono::FixedOffset;
use local::StackOptions;
use serde_json::{Value, json};

use crate::world::World;

const PAGE: &str = include_str!("../../docs/questions.md");

#[tokio::test]
async fn five_questions_of_a_sales_manager_are_answered_from_the_api_alone() {
    let world = World::start(StackOptions::default()).await;
    for (name, stage, amount) in
        [("A", "lead", 100), ("B", "negotiation", 2_000), ("C", "lost", 30), ("D", "won", 400)]
    {
        let body = json!({
            "customer_name": name, "opportunity_name": name, "amount": amount, "expected_close_date": today(),
        });
        let made = world.admin.post("/opportunities", &body).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let moved = format!("/opportunities/{}/stage", made.body["id"]);
        assert_eq!(world.admin.patch(&moved, &json!({"stage": stage})).await.status, 200);
    }
    let me = world.admin.get("/users/me").await.body["id"].to_string();
    let requests: Vec<&str> =
        PAGE.lines().filter_map(|line| line.strip_prefix("    GET ")).collect();
    assert_eq!(PAGE.lines().filter(|line| line.starts_with("## ")).count(), 5);
    assert!(requests.len() > 15);
    for request in requests {
        let answer = world.admin.get(&request.replace("{owner}", &me)).await;
        assert_eq!(answer.status, 200, "{request}: {}", answer.body);
    }
    // A number and what is behind it.
    let is_told = |body: &Value| body["by_category"][1]["count"] == 1 && body["closed_won"] == 400;
    let forecast = world.admin.eventually("/forecast?period=month", is_told).await.body;
    for row in forecast["by_stage"].as_array().unwrap() {
        let key = row["stage_key"].as_str().unwrap();
        let path = format!("/forecast/opportunities?period=month&stage={key}");
        let behind = world.admin.get(&path).await.body;
        let items = behind["items"].as_array().unwrap();
        assert_eq!(row["count"], items.len(), "{key}");
        let value: f64 = items.iter().filter_map(|it| it["value"].as_f64()).sum();
        assert_eq!(row["total_value"].as_f64(), Some(value), "{key}");
    }
    let is_told = |body: &Value| body["items"][0]["count"] == 1;
    world.admin.eventually("/reports/loss-reasons", is_told).await;
    let behind = world.admin.get("/reports/loss-reasons/opportunities").await.body;
    assert_eq!(behind["items"][0]["opportunity_name"], "C");
}

/// The day that it is where the organisation is.
fn today() -> Value {
    let taipei = FixedOffset::east_opt(8 * 3_600).unwrap();
    json!(process::now().with_timezone(&taipei).date_naive().to_string())
}
