//! Fields of the organisation's own: how administrators manage them, what opportunities say in them, and how these are found by it.

use std::sync::Arc;

use auth::{Caller, Role};
use events::{Event, Record};
use idempotency::Outcome;
use opportunities::State;
use opportunities::custom_field::draft::{Edit, New};
use opportunities::custom_field::model::{CustomFields, Type, Value, ValueWishes, json};
use opportunities::custom_field::{self, Listed};
use opportunities::opportunity;
use opportunities::opportunity::draft::Wish;
use opportunities::opportunity::edit::EditWish;
use opportunities::opportunity::list::{self, Ask, Filter};
use opportunities::pipeline::closing;
use opportunities::pipeline::draft::StageEdit;
use opportunities::pipeline::stage::{self, StageRef};
use opportunities::state::Known;
use prost::Message as _;
use rpc::{Error, Invalid};

use crate::support::{ADMIN, World, caller, event, meta, person, wish};

const AMY: i64 = 1;

fn amy() -> Caller {
    caller(AMY, Role::Rep, Some(7))
}

fn admin() -> Caller {
    caller(ADMIN, Role::Admin, None)
}

async fn add(state: &State, key: &str, kind: Type) -> Result<Listed, Error> {
    let choices =
        if kind == Type::Choice { vec!["北區".to_owned(), "South".to_owned()] } else { vec![] };
    let (key, name) = (key.to_owned(), key.to_owned());
    let new = New { key, name, kind: Some(kind), choices, position: None };
    match custom_field::create(state, &admin(), new, None, meta(ADMIN)).await? {
        Outcome::New(listed) => Ok(listed),
        Outcome::Replay(_) => panic!("there was no key"),
    }
}

async fn world() -> World {
    let world = World::create("everyone").await;
    world.tell(&[event(1, person(AMY, "rep", Some(7)))]).await;
    for (key, kind) in [
        ("memo", Type::Text),
        ("seats", Type::Number),
        ("renewal", Type::Date),
        ("region", Type::Choice),
    ] {
        add(&world.state, key, kind).await.unwrap();
    }
    world
}

#[expect(clippy::unnecessary_wraps, reason = "a wish is a value or nothing")]
fn text(text: &str) -> Option<Value> {
    Some(Value::Text(text.to_owned()))
}

#[expect(clippy::unnecessary_wraps, reason = "a wish is a value or nothing")]
fn number(text: &str) -> Option<Value> {
    Some(Value::Number(text.parse().unwrap()))
}

fn said(values: &[(&str, Option<Value>)]) -> ValueWishes {
    values.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

fn saying(values: &[(&str, Option<Value>)]) -> EditWish {
    EditWish { custom_fields: Some(Some(said(values))), ..EditWish::default() }
}

fn codes<T: std::fmt::Debug>(answer: Result<T, Error>) -> Vec<String> {
    match answer {
        Err(Error::Invalid(fields)) => {
            fields.iter().map(|it| format!("{} {}", it.field, it.code)).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_said_is_kept_to_the_last_digit_merged_told_and_found() {
    let world = world().await;
    let full = [
        ("memo", text("a \"b\" 🚀")),
        ("seats", number("-999999999999999.999999999")),
        ("renewal", text("2026-02-28")),
        ("region", text("ｓouth")),
    ];
    let made = world.make(&amy(), Wish { custom_fields: said(&full), ..wish() }).await.unwrap();
    let made = made.opportunity;
    let first = r#"{"memo":"a \"b\" 🚀","region":"South","renewal":"2026-02-28","seats":-999999999999999.999999999}"#;
    assert_eq!(json(&made.custom_fields).as_deref(), Some(first));
    assert_eq!(world.find(made.id).await, made);
    world.sale(&amy()).await;

    let fields = world.state.custom_fields.get().unwrap();
    let found = async |asked: &[&str]| {
        let mut invalid = Invalid::default();
        let sort = list::sort(&mut invalid, None, None);
        let asked = asked.iter().map(|text| fields.asked(&mut invalid, text).unwrap()).collect();
        let filter = Filter { custom_fields: asked, ..Filter::default() };
        let ask = Ask { filter: &filter, sort, limit: 50, cursor: None, include_total: true };
        let page = opportunity::list(&world.state, &amy(), &ask).await.unwrap();
        assert_eq!(page.total, Some(i64::try_from(page.items.len()).unwrap()));
        page.items.into_iter().map(|it| it.opportunity.id).collect::<Vec<_>>()
    };
    assert_eq!(found(&["seats:-999999999999999.9999999990", "region:SOUTH"]).await, [made.id]);
    assert_eq!(found(&["memo:a \"b\" 🚀"]).await, [made.id]);
    assert_eq!(found(&["region:South", "seats:1"]).await, [0; 0]);

    let wish = saying(&[("memo", None), ("seats", number("12.50"))]);
    let changed = world.change(&amy(), (made.id, Some(1)), wish.clone()).await.unwrap().opportunity;
    let second = r#"{"region":"South","renewal":"2026-02-28","seats":12.5}"#;
    assert_eq!(json(&changed.custom_fields).as_deref(), Some(second));
    let again = world.change(&amy(), (made.id, None), wish).await.unwrap().opportunity;
    assert_eq!(again.version, 2, "to name what is so already changes nothing");
    let wrong = saying(&[("seats", text("1")), ("colour", text("red")), ("region", text("East"))]);
    let expected = [
        "custom_fields.colour unknown_custom_field",
        "custom_fields.region unknown_choice",
        "custom_fields.seats wrong_type",
    ];
    assert_eq!(codes(world.change(&amy(), (made.id, None), wrong.clone()).await), expected);
    let Some(Some(new)) = wrong.custom_fields else { panic!("it names some") };
    let refused = world.make(&amy(), Wish { custom_fields: new, ..crate::support::wish() }).await;
    assert_eq!(codes(refused), expected);
    let cleared = EditWish { custom_fields: Some(None), ..EditWish::default() };
    world.change(&amy(), (made.id, None), cleared).await.unwrap();
    assert!(world.find(made.id).await.custom_fields.is_empty());

    let payloads: Vec<Vec<u8>> = sqlx::query_scalar(
        "select payload from change where aggregate = 'opportunity' and aggregate_id = $1 order by version",
    )
    .bind(made.id)
    .fetch_all(&world.state.reads)
    .await
    .unwrap();
    let told: Vec<_> = payloads.iter().map(|it| Event::decode(&**it).unwrap()).collect();
    let change = told[1].changes.iter().find(|it| it.field == "custom_fields").unwrap();
    assert_eq!((&*change.old, &*change.new), (first, second));
    let Some(Record::Opportunity(record)) = &told[0].record else { panic!("of an opportunity") };
    let values = record.custom_fields.as_ref().unwrap();
    assert_eq!(serde_json::to_string(values).unwrap(), first);
    world.everything_is_told().await;
}

#[tokio::test]
async fn a_field_that_is_gone_hides_what_is_said_in_it_and_comes_back_with_it() {
    let world = world().await;
    let both = [("seats", number("5")), ("region", text("北區"))];
    let id = world.make(&amy(), Wish { custom_fields: said(&both), ..wish() }).await.unwrap();
    let id = id.opportunity.id;
    let version = |it: &Arc<CustomFields>| it.version;
    let before = version(&world.state.custom_fields.get().unwrap());
    let which = |key: &str, version| (key.to_owned(), version);
    let delete = async |key: &str, version| {
        custom_field::delete(&world.state, &admin(), which(key, version), meta(ADMIN)).await
    };
    let stale = delete("seats", Some(before + 1)).await.unwrap_err();
    assert!(matches!(stale, Error::Stale { .. }), "{stale:?}");
    delete("seats", Some(before)).await.unwrap();
    let gone = delete("seats", None).await.unwrap_err();
    assert!(matches!(gone, Error::NotFound { .. }), "{gone:?}");
    let refused = world.change(&amy(), (id, None), saying(&[("seats", number("6"))])).await;
    assert_eq!(codes(refused), ["custom_fields.seats unknown_custom_field"]);
    // All that can be seen is cleared, and what cannot stays.
    let cleared = EditWish { custom_fields: Some(None), ..EditWish::default() };
    world.change(&amy(), (id, None), cleared).await.unwrap();
    let other = add(&world.state, "seats", Type::Text).await;
    assert_eq!(codes(other), ["key other_type"]);
    let back = add(&world.state, "seats", Type::Number).await.unwrap();
    assert_eq!((back.list.living().count(), back.list.version), (4, before + 2));
    assert_eq!(json(&world.find(id).await.custom_fields).as_deref(), Some(r#"{"seats":5}"#));

    // Fewer choices change nothing that was said; another process knows what was added at once.
    world.change(&amy(), (id, None), saying(&[("region", text("South"))])).await.unwrap();
    let custom_fields = Known::default();
    custom_fields.set((*world.state.custom_fields.get().unwrap()).clone());
    let replica = State { custom_fields, ..world.state.clone() };
    let fewer = Edit { choices: Some(Some(vec!["East".to_owned()])), ..Edit::default() };
    let key = which("region", None);
    custom_field::update(&world.state, &admin(), key, fewer, meta(ADMIN)).await.unwrap();
    let wish = saying(&[("region", text("EAST"))]);
    assert_eq!(
        json(&world.find(id).await.custom_fields).as_deref(),
        Some(r#"{"region":"South","seats":5}"#)
    );
    let there = opportunity::update(&replica, &amy(), id, None, wish, meta(AMY)).await.unwrap();
    assert_eq!(there.opportunity.custom_fields["region"], Value::Text("East".to_owned()));
    let denied = custom_field::delete(&world.state, &amy(), which("memo", None), meta(AMY)).await;
    assert!(matches!(denied, Err(Error::Denied { .. })), "{denied:?}");
    let told: Vec<i64> = sqlx::query_scalar(
        "select version from change where aggregate = 'custom_fields' order by version",
    )
    .fetch_all(&world.state.reads)
    .await
    .unwrap();
    assert_eq!(told, (1..=7).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stage_asks_for_a_field_on_every_path_and_the_field_stays_while_it_does() {
    let world = world().await;
    let asking = async |fields: &[&str]| {
        let which = StageRef { pipeline_id: None, key: "proposal".into(), expected_version: None };
        let fields = Some(Some(fields.iter().map(|it| (*it).to_owned()).collect()));
        let edit = StageEdit { required_fields: fields, ..StageEdit::default() };
        stage::update(&world.state, &admin(), which, edit, meta(ADMIN)).await
    };
    assert_eq!(
        codes(asking(&["custom_fields.colour"]).await),
        ["required_fields[0] unknown_value"]
    );
    asking(&["custom_fields.region", "custom_fields.seats"]).await.unwrap();

    let missing =
        ["custom_fields.region required_for_stage", "custom_fields.seats required_for_stage"];
    let in_it = Wish { stage: Some("proposal".into()), ..wish() };
    assert_eq!(codes(world.make(&amy(), in_it).await), missing);
    let it = world.sale(&amy()).await.opportunity;
    assert_eq!(codes(world.advance(&amy(), it.id, "proposal").await), missing);
    let half = saying(&[("seats", number("3"))]);
    let half = EditWish { stage: Some(Some("proposal".into())), ..half };
    assert_eq!(codes(world.change(&amy(), (it.id, None), half).await), missing[..1]);
    let both = saying(&[("seats", number("3")), ("region", text("south"))]);
    let both = EditWish { stage: Some(Some("proposal".into())), ..both };
    let there = world.change(&amy(), (it.id, None), both).await.unwrap().opportunity;
    assert_eq!(there.stage_key, "proposal");
    let cleared = saying(&[("region", None)]);
    assert_eq!(codes(world.change(&amy(), (it.id, None), cleared).await), missing[..1]);

    // What stands elsewhere and lacks it cannot be sent there as a whole.
    let other = world.sale(&amy()).await.opportunity;
    world.advance(&amy(), other.id, "qualification").await.unwrap();
    let which = StageRef { pipeline_id: None, key: "qualification".into(), expected_version: None };
    let to = Some("proposal".to_owned());
    let stuck = closing::delete(&world.state, &admin(), which, to, meta(ADMIN)).await;
    assert_eq!(stuck.unwrap_err().reason(), "REQUIRED_FOR_STAGE");

    let delete = async |key: &str| {
        custom_field::delete(&world.state, &admin(), (key.to_owned(), None), meta(ADMIN)).await
    };
    let refused = delete("region").await.unwrap_err();
    assert_eq!(refused.reason(), "CUSTOM_FIELD_REQUIRED");
    assert!(world.state.custom_fields.get().unwrap().get("region").is_some());
    delete("memo").await.unwrap();
    asking(&["custom_fields.seats"]).await.unwrap();
    delete("region").await.unwrap();
    let gone = asking(&["custom_fields.region"]).await;
    assert_eq!(codes(gone), ["required_fields[0] unknown_value"]);
}
