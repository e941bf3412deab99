//! The organisation's currency, which can be changed until there is an amount, and what others are worth in it.

use futures::future::join;
use local::StackOptions;
use proto::identity::v1::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::{Answer, Api};
use crate::world::World;

fn sale(amount: &Value) -> Value {
    json!({"customer_name": "A", "opportunity_name": "B", "amount": amount})
}

async fn change(world: &World, code: &str) -> (u16, Value) {
    let answer = world.admin.patch("/settings", &json!({"default_currency": code})).await;
    (answer.status, answer.body)
}

#[tokio::test]
async fn the_currency_stays_what_it_was_when_the_first_amount_was_kept() {
    let mut world = World::start(StackOptions::default()).await;
    assert_eq!(change(&world, "EUR").await.0, 200);
    world.admin.create(&sale(&Value::Null)).await;
    assert_eq!(world.admin.get("/settings").await.body["currency_fixed"], false);

    // Whether it is fixed only identity can say: without it there is no first amount.
    world.stack.kill("identity").await;
    let refused = world.admin.post("/opportunities", &sale(&json!(1))).await;
    assert_eq!(refused.problem(), (503, "unavailable"));
    world.stack.restart("identity").await.unwrap();
    assert_eq!(world.admin.get("/settings").await.body["currency_fixed"], false);

    // Whoever is first: an amount is in the currency that the organisation has then, and from then on.
    for code in ["USD", "JPY", "CHF"] {
        assert_eq!(change(&world, code).await.0, 200);
    }
    let amount = sale(&json!(1));
    let (made, changed) = join(world.admin.create(&amount), change(&world, "GBP")).await;
    let settings = world.admin.get("/settings").await.body;
    assert_eq!(settings["currency_fixed"], true);
    assert_eq!(made["currency"], settings["default_currency"]);
    let expected = if changed.0 == 200 { "GBP" } else { "CHF" };
    assert_eq!(settings["default_currency"], expected, "{changed:?}");

    let (status, problem) = change(&world, "TWD").await;
    assert_eq!((status, &problem["code"]), (409, &json!("currency_fixed")));
    // Then identity is not needed for another.
    world.stack.kill("identity").await;
    assert_eq!(world.admin.create(&amount).await["currency"], expected);
}

/// Somebody says what a unit of a currency is worth from a day on, in these digits.
async fn put(api: &Api, code: &str, from: &str, rate: &str, headers: &[(&str, &str)]) -> Answer {
    let body = format!(r#"{{"valid_from":"{from}","rate":{rate}}}"#);
    api.send(Method::PUT, &format!("/currencies/{code}/rates"), headers, &body).await
}

#[tokio::test]
async fn what_is_open_is_worth_what_it_is_today_and_what_is_closed_what_it_was_when_it_closed() {
    let world = World::start(StackOptions::default()).await;
    let (admin, rep) = (&world.admin, world.add("rep", Role::Rep, None).await.api);
    rates_are_kept_by_administrators(admin, &rep).await;
    let won = numbers_are_in_the_organisations_currency(admin, &rep).await;
    a_rate_changes_nothing_that_is_closed(admin, &rep, &won).await;
    // What is derived is right, and can be made anew.
    for command in ["verify", "rebuild", "verify"] {
        let done = world.stack.run("analytics", &[command]).await.unwrap();
        assert!(done.status.success(), "{command}: {}", String::from_utf8_lossy(&done.stdout));
    }
    assert_eq!(won_value(&rep).await, json!(3253.25));
}

async fn rates_are_kept_by_administrators(admin: &Api, rep: &Api) {
    assert_eq!(put(rep, "USD", "2020-01-01", "32.5", &[]).await.status, 403);
    let made = put(admin, "USD", "2020-01-01", "31", &[]).await;
    assert_eq!((made.status, made.header("etag")), (200, "\"v1\""), "{}", made.text);
    let headers = [("if-match", "\"v1\"")];
    let made = put(admin, "USD", "2020-01-01", "32.50", &headers).await;
    assert_eq!((made.status, made.raw("/rate")), (200, "32.5".to_owned()), "{}", made.text);
    assert_eq!(put(admin, "USD", "2020-01-01", "33", &headers).await.status, 412);
    assert_eq!(put(admin, "USD", "2999-01-01", "99", &[]).await.status, 200);
    for (rate, code) in [
        ("0", "out_of_range"),
        ("-1", "out_of_range"),
        ("10000000000", "out_of_range"),
        ("0.00000000001", "too_many_decimals"),
        ("\"32.5\"", "wrong_type"),
    ] {
        let refused = put(admin, "USD", "2020-01-01", rate, &[]).await;
        assert_eq!(refused.bad_fields(), [("rate", code)], "{rate}");
    }
    let refused = put(admin, "TWD", "2020-01-01", "1", &[]).await;
    assert_eq!(refused.bad_fields(), [("currency", "default_currency")]);
    assert_eq!(put(admin, "XTS", "2020-01-01", "1", &[]).await.problem().0, 404);
    let listed = rep.get("/currencies/USD/rates").await;
    assert_eq!(listed.raw("/items/0/rate"), "99");
    assert_eq!(listed.body["items"][1]["valid_from"], "2020-01-01");
    let all = rep.get("/currencies").await.body;
    let (twd, usd) = (&all["items"][0], &all["items"][1]);
    assert_eq!((&twd["code"], &twd["is_default"]), (&json!("TWD"), &json!(true)));
    assert_eq!((&usd["code"], &usd["rate"]), (&json!("USD"), &json!(32.5)));
    for (path, status) in [("2999-01-01", 204), ("2999-01-01", 404), ("tomorrow", 404)] {
        let removed = admin.delete(&format!("/currencies/USD/rates/{path}")).await;
        assert_eq!(removed.status, status, "{path}");
    }
    let entries = admin.get("/audit?record_type=exchange_rate").await.body;
    assert_eq!(entries["items"][0]["type"], "currency.rate_removed", "{entries}");
    assert_eq!(entries["items"].as_array().unwrap().len(), 4);
}

/// One that was won is the answer.
async fn numbers_are_in_the_organisations_currency(admin: &Api, rep: &Api) -> Value {
    let sale = |amount: f64, currency: &str| json!({"customer_name": "A", "opportunity_name": "B", "amount": amount, "currency": currency});
    let euros = rep.create(&sale(5.0, "EUR")).await;
    assert_eq!(euros["weighted_value"], json!(0.5));
    let dollars = rep.create(&sale(100.10, "USD")).await;
    let after = format!("/pipeline/overview?after={}:1", dollars["id"]);
    let is_there = |body: &Value| body["total_pipeline_value"] == json!(3253.25);
    let it = rep.eventually(&after, is_there).await.body;
    // 10.01 dollars at its probability.
    assert_eq!(it["weighted_pipeline_value"], json!(325.33), "{it}");
    assert_eq!(
        (&it["total_opportunities"], &it["not_covered"]["without_rate"]),
        (&json!(2), &json!(1))
    );
    let won = rep.advance(dollars["id"].as_i64().unwrap(), "won").await;
    assert_eq!((&won["closed_amount"], &won["closed_rate"]), (&json!(3253.25), &json!(32.5)));
    // A rate for the other, and it is covered.
    assert_eq!(put(admin, "EUR", "2020-01-01", "35", &[]).await.status, 200);
    let is_covered = |body: &Value| body["not_covered"]["without_rate"] == 0;
    let it = rep.eventually("/pipeline/overview", is_covered).await.body;
    assert_eq!(it["total_pipeline_value"], 175, "{it}");
    won
}

async fn a_rate_changes_nothing_that_is_closed(admin: &Api, rep: &Api, won: &Value) {
    assert_eq!(put(admin, "USD", "2020-01-01", "40", &[]).await.status, 200);
    assert_eq!(put(admin, "EUR", "2020-01-01", "36", &[]).await.status, 200);
    let is_told = |body: &Value| body["total_pipeline_value"] == 180;
    rep.eventually("/pipeline/overview", is_told).await;
    assert_eq!(
        rep.get(&format!("/opportunities/{}", won["id"])).await.body["closed_rate"],
        json!(32.5)
    );
    assert_eq!(won_value(rep).await, json!(3253.25));
    let forecast = rep.get("/forecast?period=month").await.body;
    assert_eq!(forecast["closed_won"], json!(3253.25), "{forecast}");
}

async fn won_value(api: &Api) -> Value {
    let it = api.get("/pipeline/overview").await.body;
    let stages = it["stages"].as_array().unwrap();
    stages.iter().find(|it| it["kind"] == "won").unwrap()["total_value"].clone()
}
