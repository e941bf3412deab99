//! The organisation's currency: it can be changed until there is an amount, and never after.

use futures::future::join;
use local::StackOptions;
use serde_json::{Value, json};

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
