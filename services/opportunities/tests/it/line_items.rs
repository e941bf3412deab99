//! What is to be sold, line by line: kept with its opportunity to the last digit, told of, and what it does to the amount.

use auth::{Caller, Role};
use events::{Event, Record};
use opportunities::opportunity;
use opportunities::opportunity::draft::Wish;
use opportunities::opportunity::edit::EditWish;
use opportunities::opportunity::line_item::LineWish;
use opportunities::opportunity::list::{self, Ask, Filter};
use opportunities::opportunity::model::Opportunity;
use prost::Message as _;
use rpc::{Error, Invalid};

use crate::support::{World, caller, event, person, wish};

const AMY: i64 = 1;

async fn world() -> World {
    let world = World::create("everyone").await;
    world.tell(&[event(1, person(AMY, "rep", Some(7)))]).await;
    world
}

fn amy() -> Caller {
    caller(AMY, Role::Rep, Some(7))
}

fn line(name: &str, quantity: &str, unit_price: &str, discount: &str) -> LineWish {
    LineWish {
        name: name.to_owned(),
        quantity: Some(quantity.parse().unwrap()),
        unit_price: Some(unit_price.parse().unwrap()),
        discount: Some(discount.parse().unwrap()),
    }
}

fn lines(lines: Vec<LineWish>) -> EditWish {
    EditWish { line_items: Some(Some(lines)), ..EditWish::default() }
}

fn amount(it: &Opportunity) -> String {
    it.amount.unwrap().to_string()
}

async fn told(world: &World, id: i64) -> Vec<Event> {
    let payloads: Vec<Vec<u8>> = sqlx::query_scalar(
        "select payload from change where aggregate = 'opportunity' and aggregate_id = $1 order by version",
    )
    .bind(id)
    .fetch_all(&world.state.reads)
    .await
    .unwrap();
    payloads.iter().map(|payload| Event::decode(&**payload).unwrap()).collect()
}

#[tokio::test]
async fn lines_are_kept_to_the_last_digit_answered_everywhere_and_told_of() {
    let world = world().await;
    let asked = vec![
        line("授權 \"A\"", "999999999.9999", "0.01", "0"),
        line("導入服務", "2.5", "1999.99", "12.25"),
    ];
    let wish = Wish { line_items: asked, products: vec!["B".to_owned()], ..wish() };
    let made = world.make(&amy(), wish).await.unwrap().opportunity;
    assert_eq!((amount(&made).as_str(), made.products.len()), ("10004387.48", 3));
    assert_eq!(world.find(made.id).await, made);

    let mut invalid = Invalid::default();
    let sort = list::sort(&mut invalid, Some("amount"), None);
    let by_product = Filter { product: Some("導入服務".to_owned()), ..Filter::default() };
    let ask = Ask { filter: &by_product, sort, limit: 1, cursor: None, include_total: true };
    let page = opportunity::list(&world.state, &amy(), &ask).await.unwrap();
    assert_eq!((page.total, page.next_cursor), (Some(1), None));
    assert_eq!(page.items[0].opportunity, made);

    let fewer = lines(vec![line("授權 \"A\"", "0.0001", "12.34", "0")]);
    let changed = world.change(&amy(), (made.id, Some(1)), fewer).await.unwrap().opportunity;
    assert_eq!((amount(&changed).as_str(), changed.version), ("0", 2));
    assert_eq!(changed.products, ["B", "授權 \"A\""]);
    let told = told(&world, made.id).await;
    let change = told[1].changes.iter().find(|it| it.field == "line_items").unwrap();
    let before = r#"[{"name":"授權 \"A\"","quantity":999999999.9999,"unit_price":0.01,"discount":0},{"name":"導入服務","quantity":2.5,"unit_price":1999.99,"discount":12.25}]"#;
    let after = r#"[{"name":"授權 \"A\"","quantity":0.0001,"unit_price":12.34,"discount":0}]"#;
    assert_eq!((&*change.old, &*change.new), (before, after));
    let Some(Record::Opportunity(record)) = &told[0].record else { panic!("of an opportunity") };
    let kept: Vec<_> =
        record.line_items.iter().map(|it| it.quantity.unwrap().to_string()).collect();
    assert_eq!(kept, ["999999999.9999", "2.5"]);

    // Null clears, and what goes with its opportunity comes back with it.
    world.delete(&amy(), made.id).await.unwrap();
    let restored = world.restore(&amy(), made.id).await.unwrap().opportunity;
    assert_eq!(restored.line_items, changed.line_items);
    let cleared = EditWish { line_items: Some(None), ..EditWish::default() };
    let cleared = world.change(&amy(), (made.id, None), cleared).await.unwrap().opportunity;
    assert_eq!((cleared.line_items.len(), amount(&cleared).as_str()), (0, "0"));
    assert_eq!(world.find(made.id).await, cleared);
    world.everything_is_told().await;
}

#[tokio::test]
async fn lines_of_a_closed_one_are_a_recorded_correction_of_what_it_closed_with() {
    let world = world().await;
    let id = world.sale(&amy()).await.opportunity.id;
    world.advance(&amy(), id, "won").await.unwrap();
    let wish = lines(vec![line("A", "3", "19.99", "0")]);
    let won = world.change(&amy(), (id, None), wish).await.unwrap().opportunity;
    assert_eq!((amount(&won).as_str(), won.closed_amount), ("59.97", won.amount));
    assert_eq!(world.find(id).await, won);
    let refused = world.change(&amy(), (id, None), lines(vec![LineWish::default()])).await;
    let Err(Error::Invalid(fields)) = refused else { panic!("{refused:?}") };
    let fields: Vec<_> = fields.iter().map(|it| &*it.field).collect();
    assert_eq!(fields, ["line_items[0].name", "line_items[0].unit_price"]);
}
