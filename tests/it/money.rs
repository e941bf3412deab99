//! Amounts: the digits that go in come out, and sums are right to the cent.

use local::StackOptions;
use serde_json::json;

use crate::api::Answer;
use crate::world::World;

#[tokio::test]
async fn an_amount_is_the_same_to_the_last_digit_from_the_request_to_every_answer() {
    let world = World::start(StackOptions::default()).await;
    what_is_no_amount_is_refused_by_field(&world).await;
    digits_come_back_in_their_shortest_form(&world).await;
    a_weighted_value_is_rounded_half_up(&world).await;
    the_overview_is_the_sum_to_the_cent(&world).await;
    a_filter_by_amount_is_exact(&world).await;
}

/// Makes an opportunity whose amount and probability are these digits.
async fn make(world: &World, amount: &str, probability: i32) -> Answer {
    let body = format!(
        r#"{{"customer_name":"Cent","opportunity_name":"x","amount":{amount},"probability":{probability}}}"#
    );
    world.admin.send(reqwest::Method::POST, "/opportunities", &[], &body).await
}

async fn what_is_no_amount_is_refused_by_field(world: &World) {
    for (amount, code) in [
        ("0.001", "too_many_decimals"),
        ("1234567890.123", "too_many_decimals"),
        ("1e-3", "too_many_decimals"),
        ("-0.01", "out_of_range"),
        ("-1", "out_of_range"),
        ("10000000000000", "out_of_range"),
        ("9999999999999.991", "too_many_decimals"),
        ("1e30", "out_of_range"),
        ("1e400", "out_of_range"),
        ("\"0.10\"", "wrong_type"),
        ("true", "wrong_type"),
        ("[1]", "wrong_type"),
        ("{}", "wrong_type"),
    ] {
        let refused = make(world, amount, 10).await;
        assert_eq!(refused.bad_fields(), [("amount", code)], "{amount}");
    }
    for no_json in ["NaN", "01", "1.", ".5", "0x10", "1_000", "+1"] {
        assert_eq!(make(world, no_json, 10).await.problem(), (400, "malformed"), "{no_json}");
    }
    let none = world.admin.get("/opportunities?include_total=true").await;
    assert_eq!(none.body["total_count"], 0, "what was refused is not there");
}

async fn digits_come_back_in_their_shortest_form(world: &World) {
    for (amount, shortest) in [
        ("0.10", "0.1"),
        ("0", "0"),
        ("0.00", "0"),
        ("-0", "0"),
        ("0.01", "0.01"),
        ("2500000.00", "2500000"),
        ("1.100", "1.1"),
        // The same number, written otherwise: whatever is a JSON number with at most two decimals.
        ("1e2", "100"),
        ("2.5e-1", "0.25"),
        ("9999999999999.99", "9999999999999.99"),
        ("4503599627370.97", "4503599627370.97"),
        ("null", "null"),
    ] {
        let made = make(world, amount, 100).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let path = format!("/opportunities/{}", made.body["id"]);
        let found = world.admin.get(&path).await;
        let newest = world.admin.get("/opportunities?limit=1").await;
        for (answer, place) in [(&made, ""), (&found, ""), (&newest, "/items/0")] {
            for field in ["amount", "weighted_value"] {
                assert_eq!(answer.raw(&format!("{place}/{field}")), shortest, "{field} {amount}");
            }
        }
    }
}

async fn a_weighted_value_is_rounded_half_up(world: &World) {
    for (amount, probability, weighted) in [
        ("0.01", 50, "0.01"),
        ("0.01", 49, "0"),
        ("0.05", 10, "0.01"),
        ("1.01", 50, "0.51"),
        ("1.03", 50, "0.52"),
        ("100.1", 33, "33.03"),
        ("9999999999999.99", 99, "9899999999999.99"),
        ("9999999999999.99", 50, "5000000000000"),
        ("333.33", 0, "0"),
    ] {
        let made = make(world, amount, probability).await;
        assert_eq!(made.raw("/weighted_value"), weighted, "{amount} at {probability}");
    }
}

async fn the_overview_is_the_sum_to_the_cent(world: &World) {
    // Until it is more than 2^53 cents, which no binary float could hold.
    for _ in 0..9 {
        make(world, "9999999999999.99", 7).await;
    }
    let list = world.admin.get("/opportunities?limit=200").await;
    let count = list.body["items"].as_array().unwrap().len();
    let sum = |field: &str| {
        let digits = (0..count).map(|index| list.raw(&format!("/items/{index}/{field}")));
        let sum: i128 = digits.filter(|it| it != "null").map(|digits| cents(&digits)).sum();
        shortest(sum)
    };
    let (total, weighted) = (sum("amount"), sum("weighted_value"));
    assert_eq!(total, "124503602127907.85");
    let overview =
        world.admin.eventually("/pipeline/overview", |it| it["total_opportunities"] == count).await;
    assert_eq!(overview.raw("/total_pipeline_value"), total);
    assert_eq!(overview.raw("/weighted_pipeline_value"), weighted);
    assert_eq!(overview.raw("/stages/0/total_value"), total);
    assert_eq!(overview.body["not_covered"]["without_amount"], 1);
}

async fn a_filter_by_amount_is_exact(world: &World) {
    let total = async |filter: &str| {
        let list = world.admin.get(&format!("/opportunities?include_total=true&{filter}")).await;
        assert_eq!(list.status, 200, "{}", list.text);
        list.body["total_count"].clone()
    };
    assert_eq!(total("min_amount=9999999999999.99").await, 12);
    assert_eq!(total("min_amount=4503599627370.97&max_amount=4503599627370.97").await, 1);
    assert_eq!(total("min_amount=4503599627370.98&max_amount=9999999999999.98").await, 0);
    assert_eq!(total("max_amount=0").await, json!(3));
    let refused = world.admin.get("/opportunities?min_amount=0.001&max_amount=x").await;
    let fields = refused.bad_fields();
    assert_eq!(fields, [("max_amount", "wrong_type"), ("min_amount", "too_many_decimals")]);
}

/// An amount in hundredths, from its digits.
fn cents(digits: &str) -> i128 {
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    format!("{whole}{decimals:0<2}").parse().unwrap()
}

fn shortest(cents: i128) -> String {
    let text = format!("{}.{:02}", cents / 100, cents % 100);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
