//! What opportunities in other currencies are worth in numbers.

use analytics::forecast::forecast;
use analytics::period::Asked;
use analytics::report;
use analytics::report::overview::Overview;
use chrono::{DateTime, Utc};
use events::Event;
use money::Money;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rust_decimal::{Decimal, RoundingStrategy};

use crate::owner;
use crate::support::{AMY, Deal, World, at, caller, everything, money, now, on, rate};

const ADMIN: i64 = 99;
const MADE: &str = "2025-11-01T01:00:00Z";
const CURRENCIES: [&str; 4] = ["TWD", "USD", "EUR", "JPY"];

async fn overview(world: &World, now: DateTime<Utc>) -> Overview {
    report::overview(&world.state, &caller(ADMIN), &everything(), now).await.unwrap()
}

/// An opportunity of that amount and currency.
fn deal(id: i64, units: i128, currency: &str) -> (Deal, Vec<Event>) {
    let (mut deal, mut events) = Deal::begin(id, AMY, Some(units), MADE);
    events.push(deal.change(|it| currency.clone_into(&mut it.currency)));
    (deal, events)
}

/// The rollups are what the facts add up to.
async fn is_sum_of_facts(world: &World, now: DateTime<Utc>) {
    let kept = overview(world, now).await;
    let mut tx = world.state.writes.begin().await.unwrap();
    let settings = world.state.settings.get().unwrap();
    analytics::projection::remake_rollups(&mut tx, &settings).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(overview(world, now).await, kept);
}

#[tokio::test]
async fn one_without_a_rate_is_counted_and_has_no_value_until_there_is_one() {
    let mut world = World::create("everyone").await;
    world.tell(deal(1, 100, "EUR").1).await;
    world.tell(deal(2, 7, "TWD").1).await;
    let it = overview(&world, now()).await;
    assert_eq!((it.total_opportunities, it.total_pipeline_value), (2, money(7)));
    assert_eq!((it.not_covered.without_rate, it.not_covered.without_amount), (1, 0));
    world.tell(vec![rate(1, 1, ("EUR", "2025-11-20"), "35.5")]).await;
    let it = overview(&world, now()).await;
    assert_eq!((it.total_opportunities, it.total_pipeline_value), (2, money(3_557)));
    assert_eq!(it.weighted_pipeline_value.to_string(), "355.7");
    assert_eq!(it.not_covered.without_rate, 0);
    let asked = Asked::default();
    let by = caller(ADMIN);
    let it = report::performance(&world.state, &by, &everything(), &asked, now()).await.unwrap();
    assert_eq!(it.items[0].open_pipeline_value, money(3_557));
    let (all, monthly) = (everything(), (Some("monthly"), None));
    let it = report::trend(&world.state, &by, &all, monthly, now()).await.unwrap();
    assert_eq!(it.items[10].created_value, money(3_557));
    // It was wrong: there is none again.
    world.tell(vec![rate(1, 2, ("EUR", "2025-11-20"), "")]).await;
    assert_eq!(overview(&world, now()).await.total_pipeline_value, money(7));
    is_sum_of_facts(&world, now()).await;
}

#[tokio::test]
async fn a_rate_that_begins_tomorrow_counts_from_midnight_where_the_organisation_is() {
    let mut world = World::create("everyone").await;
    let (mut deal, events) = deal(1, 100, "USD");
    world.tell(events).await;
    world
        .tell(vec![deal.change(|it| it.expected_close_date = Some(on("2025-11-30").into()))])
        .await;
    world.tell(vec![rate(1, 1, ("USD", "2025-11-01"), "32")]).await;
    world.tell(vec![rate(2, 1, ("USD", "2025-11-21"), "30")]).await;
    // The 21st begins in Taipei at 16:00 of the 20th.
    for (now, value) in [("2025-11-20T15:59:59Z", 3_200), ("2025-11-20T16:00:00Z", 3_000)] {
        let now = at(now);
        assert_eq!(overview(&world, now).await.total_pipeline_value, money(value));
        let asked = Asked { period: Some("month"), ..Asked::default() };
        let it = forecast(&world.state, &caller(ADMIN), &everything(), &asked, now).await.unwrap();
        assert_eq!(it.by_stage[0].total_value, money(value));
        is_sum_of_facts(&world, now).await;
    }
    // One that is learnt of on the day counts at once.
    world.tell(vec![rate(2, 2, ("USD", "2025-11-21"), "31")]).await;
    assert_eq!(
        overview(&world, at("2025-11-20T16:00:00Z")).await.total_pipeline_value,
        money(3_100)
    );
}

#[tokio::test]
async fn a_rate_changes_nothing_that_is_closed() {
    let mut world = World::create("everyone").await;
    world.tell(vec![rate(1, 1, ("USD", "2025-10-01"), "32")]).await;
    let (mut frozen, mut events) = deal(1, 100, "USD");
    events.push(frozen.move_to("won", at("2025-11-05T01:00:00Z")));
    events.push(frozen.change(|it| it.closed_amount = Some(money(3_200).into())));
    let (mut unknown, more) = deal(2, 100, "EUR");
    events.extend(more);
    events.push(unknown.move_to("won", at("2025-11-06T01:00:00Z")));
    world.tell(events).await;
    let month = Asked { period: Some("month"), ..Asked::default() };
    for rates in [
        vec![],
        vec![rate(1, 2, ("USD", "2025-10-01"), "40"), rate(2, 1, ("EUR", "2025-01-01"), "35")],
        vec![rate(1, 3, ("USD", "2025-10-01"), "")],
    ] {
        world.tell(rates).await;
        let it = overview(&world, now()).await;
        assert_eq!((it.stages[2].count, it.stages[2].total_value), (2, money(3_200)));
        assert_eq!(it.not_covered.without_rate, 1);
        let by = caller(ADMIN);
        let it = forecast(&world.state, &by, &everything(), &month, now()).await.unwrap();
        assert_eq!((it.whole.closed_won, it.not_covered.without_rate), (money(3_200), 1));
        is_sum_of_facts(&world, now()).await;
    }
}

#[tokio::test]
async fn rates_that_were_lost_on_the_way_are_told_again() {
    let mut world = World::create("everyone").await;
    let (_, events) = deal(1, 100, "USD");
    world.tell(events.clone()).await;
    let mut all = events;
    all.push(rate(1, 1, ("USD", "2025-11-01"), "32"));
    all.push(rate(1, 2, ("USD", "2025-11-01"), "33"));
    assert_eq!(overview(&world, now()).await.not_covered.without_rate, 1);
    let owner = owner::having(all).await;
    analytics::reconcile::reconcile(&world.state.writes, &owner).await.unwrap();
    assert_eq!(overview(&world, now()).await.total_pipeline_value, money(3_300));
}

/// An amount at a rate by another way: decimals that are rounded.
fn converted(amount: Decimal, rate: Decimal) -> Decimal {
    (amount * rate).round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
}

fn decimal(money: Money) -> Decimal {
    Decimal::try_from_i128_with_scale(money.hundredths(), 2).unwrap()
}

/// What is open as it should be, of amounts with their probability and rate.
fn naive(open: &[(Decimal, i32, Option<Decimal>)]) -> (Decimal, Decimal, i64) {
    let mut sums = (Decimal::ZERO, Decimal::ZERO, 0);
    for (amount, probability, rate) in open {
        let Some(rate) = rate else {
            sums.2 += 1;
            continue;
        };
        let weighted = converted(*amount, Decimal::new(i64::from(*probability), 2));
        sums.0 += converted(*amount, *rate);
        sums.1 += converted(weighted, *rate);
    }
    sums
}

#[tokio::test]
async fn totals_are_the_sums_of_what_each_is_worth_to_the_cent_whatever_becomes_of_rates() {
    for seed in 0..3 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut world = World::create("everyone").await;
        let mut open = Vec::new();
        for id in 1..=60 {
            let currency = *CURRENCIES.choose(&mut random).unwrap();
            let cents = random.random_range(0..1_000_000);
            let probability = random.random_range(0..=100);
            let (mut deal, mut events) = deal(id, 1, currency);
            events.push(deal.change(|it| {
                it.amount = Some(Money::from_hundredths(cents).into());
                it.probability = probability;
            }));
            world.tell(events).await;
            open.push((
                Decimal::try_from_i128_with_scale(cents, 2).unwrap(),
                probability,
                currency,
            ));
        }
        let mut rates = std::collections::BTreeMap::new();
        for version in 1..=8 {
            for currency in &CURRENCIES[1..] {
                if random.random_bool(0.5) {
                    let ten_billionths = random.random_range(1..1_000_000_000_000_i64);
                    let is_removed = random.random_bool(0.2);
                    let worth = Decimal::new(ten_billionths, 10);
                    let text = if is_removed { String::new() } else { worth.to_string() };
                    let id = i64::from(currency.as_bytes()[0]);
                    world.tell(vec![rate(id, version, (currency, "2025-11-02"), &text)]).await;
                    rates.insert(*currency, Some(worth).filter(|_| !is_removed));
                }
            }
            rates.insert("TWD", Some(Decimal::ONE));
            let expected: Vec<_> = open
                .iter()
                .map(|(amount, percent, currency)| {
                    (*amount, *percent, rates.get(currency).copied().flatten())
                })
                .collect();
            let it = overview(&world, now()).await;
            let found = (
                decimal(it.total_pipeline_value),
                decimal(it.weighted_pipeline_value),
                it.not_covered.without_rate,
            );
            assert_eq!(found, naive(&expected), "seed {seed}, version {version}");
        }
        is_sum_of_facts(&world, now()).await;
    }
}
