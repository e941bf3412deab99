//! Rates of currencies, and what they make of opportunities that close, on every path.

use std::sync::Arc;

use auth::{Caller, Role};
use chrono::{Days, NaiveDate};
use futures::future::join_all;
use idempotency::Outcome;
use opportunities::currency::model::ExchangeRate;
use opportunities::currency::{self, Currency, Wish};
use opportunities::opportunity::bulk::{self, Update};
use opportunities::opportunity::draft;
use opportunities::opportunity::edit::EditWish;
use opportunities::opportunity::model::{Opportunity, Step};
use opportunities::opportunity::{self, MoveWish};
use rpc::Error;

use crate::support::{ADMIN, World, caller, meta, now, wish};

fn admin() -> Caller {
    caller(ADMIN, Role::Admin, None)
}

fn today() -> NaiveDate {
    now().with_timezone(&chrono_tz::Asia::Taipei).date_naive()
}

fn ago(days: u64) -> NaiveDate {
    today() - Days::new(days)
}

/// A rate of dollars.
fn dollars(valid_from: NaiveDate, rate: &str) -> Wish {
    let (valid_from, rate) = (Some(valid_from), Some(rate.parse().unwrap()));
    Wish { currency: "USD".to_owned(), valid_from, rate, expected_version: None }
}

async fn set(world: &World, wish: Wish) -> Result<ExchangeRate, Error> {
    currency::set(&world.state, &admin(), wish, meta(ADMIN)).await
}

async fn remove(world: &World, valid_from: NaiveDate, version: Option<i64>) -> Result<(), Error> {
    let which = ("USD", valid_from);
    currency::remove(&world.state, &admin(), which, version, meta(ADMIN)).await
}

/// Somebody sells something for 100 dollars.
async fn sale(world: &World, stage: Option<&str>) -> Opportunity {
    let wish = draft::Wish {
        amount: Some("100".parse().unwrap()),
        currency: Some("USD".to_owned()),
        stage: stage.map(str::to_owned),
        ..wish()
    };
    world.make(&admin(), wish).await.unwrap().opportunity
}

fn frozen(it: &Opportunity) -> Option<(String, String)> {
    it.closed_amount
        .zip(it.closed_rate)
        .map(|(amount, rate)| (amount.to_string(), rate.to_string()))
}

fn at(amount: &str, rate: &str) -> (String, String) {
    (amount.to_owned(), rate.to_owned())
}

fn to(stage: &str) -> EditWish {
    EditWish { stage: Some(Some(stage.to_owned())), ..EditWish::default() }
}

fn on(day: NaiveDate) -> EditWish {
    EditWish { actual_close_date: Some(Some(day)), ..EditWish::default() }
}

/// What the change log says of rates: type, version, field, old and new.
async fn told(world: &World) -> Vec<String> {
    let payloads: Vec<Vec<u8>> = sqlx::query_scalar(
        "select payload from change where aggregate = 'exchange_rate' order by change_id",
    )
    .fetch_all(&world.state.reads)
    .await
    .unwrap();
    let mut all = Vec::new();
    for payload in payloads {
        let event = <events::Event as prost::Message>::decode(&*payload).unwrap();
        let rate = event.changes.iter().find(|it| it.field == "rate").unwrap();
        all.push(format!("{} {} {} {}", event.r#type, event.version, rate.old, rate.new));
    }
    all
}

#[tokio::test]
async fn a_rate_is_set_changed_removed_and_set_again_and_each_is_told() {
    let world = World::create("everyone").await;
    let made = set(&world, dollars(ago(3), "32.5")).await.unwrap();
    assert_eq!((made.version, made.rate.to_string().as_str()), (1, "32.5"));
    // What is so already changes nothing.
    assert_eq!(set(&world, dollars(ago(3), "32.50")).await.unwrap(), made);
    let stale = Wish { expected_version: Some(7), ..dollars(ago(3), "33") };
    let refused = set(&world, stale).await.unwrap_err();
    assert!(matches!(refused, Error::Stale { current: Some(1) }), "{refused:?}");
    let absent = Wish { expected_version: Some(1), ..dollars(ago(9), "33") };
    let refused = set(&world, absent).await.unwrap_err();
    assert!(matches!(refused, Error::Stale { current: None }), "{refused:?}");
    set(&world, dollars(ago(3), "0.0000000001")).await.unwrap();
    assert!(matches!(remove(&world, ago(3), Some(1)).await, Err(Error::Stale { .. })));
    remove(&world, ago(3), Some(2)).await.unwrap();
    for absent in [ago(3), ago(9)] {
        assert!(matches!(remove(&world, absent, None).await, Err(Error::NotFound { .. })));
    }
    assert_eq!(set(&world, dollars(ago(3), "33")).await.unwrap().version, 4);
    assert_eq!(
        told(&world).await,
        [
            "currency.rate_set 1 null 32.5",
            "currency.rate_set 2 32.5 0.0000000001",
            "currency.rate_removed 3 0.0000000001 null",
            "currency.rate_set 4 null 33",
        ]
    );
}

#[tokio::test]
async fn twenty_who_set_one_rate_at_once_make_one() {
    let world = Arc::new(World::create("everyone").await);
    let all = (1..=20).map(|rate| {
        let world = Arc::clone(&world);
        async move { set(&world, dollars(ago(1), &rate.to_string())).await.unwrap().version }
    });
    let mut versions = join_all(all).await;
    versions.sort_unstable();
    assert_eq!(versions, (1..=20).collect::<Vec<_>>());
    let (rates, next) = currency::rates(&world.state, &admin(), "USD", (50, None)).await.unwrap();
    assert_eq!((rates.len(), rates[0].version, next), (1, 20, None));
}

#[tokio::test]
async fn rates_are_read_by_everyone_in_pages_and_changed_by_admins() {
    let world = World::create("everyone").await;
    for days in 0..5 {
        set(&world, dollars(ago(days), &format!("3{days}"))).await.unwrap();
    }
    remove(&world, ago(2), None).await.unwrap();
    set(&world, Wish { currency: "EUR".to_owned(), ..dollars(today() + Days::new(1), "35") })
        .await
        .unwrap();
    let rep = caller(ADMIN, Role::Rep, None);
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = (3, cursor.as_deref());
        let (rates, next) = currency::rates(&world.state, &rep, "USD", page).await.unwrap();
        found.extend(rates.iter().map(|it| it.rate.to_string()));
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(found, ["30", "31", "33", "34"]);
    let today = Some("30");
    let expected = [("TWD", true, None), ("EUR", false, None), ("USD", false, today)];
    for limit in 1..=4 {
        let (mut all, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let page = (limit, cursor.as_deref());
            let page = currency::list(&world.state, &rep, page, &meta(ADMIN)).await.unwrap();
            assert!(page.0.len() == limit || page.1.is_none());
            all.extend(page.0);
            cursor = page.1;
            if cursor.is_none() {
                break;
            }
        }
        let valid = |it: &Currency| it.valid.map(|(_, rate)| rate.to_string());
        let all: Vec<_> = all.iter().map(|it| (&*it.code, it.is_default, valid(it))).collect();
        let expected = expected.map(|(code, own, rate)| (code, own, rate.map(str::to_owned)));
        assert_eq!(all, expected, "{limit}");
    }
    for role in [Role::Manager, Role::Rep, Role::Viewer] {
        let by = caller(ADMIN, role, None);
        let wish = dollars(ago(1), "1");
        let refused = currency::set(&world.state, &by, wish, meta(ADMIN)).await;
        assert!(matches!(refused, Err(Error::Denied { .. })), "{role:?}");
    }
    let unknown = Wish { currency: "XTS".to_owned(), ..dollars(ago(1), "1") };
    assert!(matches!(set(&world, unknown).await, Err(Error::NotFound { .. })));
    let own = Wish { currency: "TWD".to_owned(), ..dollars(ago(1), "0") };
    let Err(Error::Invalid(fields)) = set(&world, own).await else { panic!("it is invalid") };
    let codes: Vec<_> = fields.iter().map(|it| format!("{} {}", it.field, it.code)).collect();
    assert_eq!(codes, ["currency default_currency", "rate out_of_range"]);
}

#[tokio::test]
async fn it_is_frozen_by_the_rate_of_its_day_on_every_path() {
    let world = World::create("everyone").await;
    set(&world, dollars(ago(400), "30")).await.unwrap();
    set(&world, dollars(today(), "32.5")).await.unwrap();
    let now = Some(at("3250", "32.5"));
    assert_eq!(frozen(&sale(&world, Some("won")).await), now);

    let moved = world.advance(&admin(), sale(&world, None).await.id, "won").await.unwrap();
    assert_eq!(frozen(&moved.opportunity), now);

    let id = sale(&world, None).await.id;
    let changed = world.change(&admin(), (id, None), to("lost")).await.unwrap();
    assert_eq!(frozen(&changed.opportunity), now);

    let update =
        Update { id: sale(&world, None).await.id, expected_version: None, wish: to("won") };
    let done = bulk::update(&world.state, &admin(), vec![update], None, meta(ADMIN)).await.unwrap();
    let Outcome::New(done) = done else { panic!("there was no key") };
    assert_eq!(frozen(&done[0].outcome.as_ref().unwrap().opportunity), now);
    assert_eq!(frozen(&world.find(done[0].id).await), now);

    // What is stored is what was answered, and reopening clears it.
    assert_eq!(frozen(&world.find(id).await), now);
    let opened = world.advance(&admin(), id, "lead").await.unwrap().opportunity;
    assert_eq!((opened.closed_amount, opened.closed_rate), (None, None));
    world.everything_is_told().await;
}

#[tokio::test]
async fn what_is_closed_keeps_its_worth_whatever_becomes_of_rates_until_it_is_corrected() {
    let world = World::create("everyone").await;
    let id = sale(&world, None).await.id;
    world
        .sql(
            "update opportunities set created_at = created_at - interval '30 days' where id = $1",
            id,
        )
        .await;
    let step = Step { actual_close_date: Some(ago(5)), ..Step::default() };
    let wish = MoveWish {
        stage: "won".to_owned(),
        step,
        expected_version: None,
        faults: rpc::Invalid::default(),
    };
    opportunity::change_stage(&world.state, &admin(), id, wish, meta(ADMIN)).await.unwrap();
    assert_eq!(frozen(&world.find(id).await), None);

    // One that closed without a rate is not covered, though one is set for its day afterwards.
    set(&world, dollars(ago(10), "30")).await.unwrap();
    set(&world, dollars(ago(2), "40")).await.unwrap();
    let note = EditWish { notes: Some(Some("x".to_owned())), ..EditWish::default() };
    world.change(&admin(), (id, None), note).await.unwrap();
    assert_eq!(frozen(&world.find(id).await), None);
    // To say again when it closed, or for how much, corrects it.
    let it = world.change(&admin(), (id, None), on(ago(5))).await.unwrap().opportunity;
    assert_eq!(frozen(&it), Some(at("3000", "30")));

    set(&world, dollars(ago(10), "31")).await.unwrap();
    remove(&world, ago(2), None).await.unwrap();
    let again = world.change(&admin(), (id, None), on(ago(5))).await.unwrap().opportunity;
    assert_eq!(again, it);
    world.delete(&admin(), id).await.unwrap();
    assert_eq!(
        frozen(&world.restore(&admin(), id).await.unwrap().opportunity),
        Some(at("3000", "30"))
    );
    // Corrected, it is frozen by what is known of that day now.
    let it = world.change(&admin(), (id, None), on(ago(1))).await.unwrap().opportunity;
    assert_eq!(frozen(&it), Some(at("3100", "31")));
    let amount = Some(Some("200".parse().unwrap()));
    let wish = EditWish { amount, ..EditWish::default() };
    let it = world.change(&admin(), (id, None), wish).await.unwrap().opportunity;
    assert_eq!(frozen(&it), Some(at("6200", "31")));
    let changes: Vec<u8> = sqlx::query_scalar(
        "select payload from change where aggregate = 'opportunity' and aggregate_id = $1 order by version desc limit 1",
    )
    .bind(id)
    .fetch_one(&world.state.reads)
    .await
    .unwrap();
    let event = <events::Event as prost::Message>::decode(&*changes).unwrap();
    let told: Vec<_> =
        event.changes.iter().map(|it| format!("{} {} {}", it.field, it.old, it.new)).collect();
    assert_eq!(told, ["amount 100 200", "closed_amount 3100 6200"]);
    world.everything_is_told().await;
}
