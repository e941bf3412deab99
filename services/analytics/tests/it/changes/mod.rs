//! How the open pipeline changed: against a naive reference that replays what was told, on histories of all kinds.

pub(crate) mod reference;

use std::collections::BTreeMap;

use analytics::ask::Ask;
use analytics::rebuild::rebuild;
use analytics::report::change::model::{PipelineChanges, Term};
use analytics::report::change::{self, Between, Wanted};
use analytics::verify::verify;
use money::Money;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rpc::{Error, Invalid};
use rust_decimal::Decimal;

use crate::histories::{ADMIN, HISTORIES, PLACES, TAIPEI, filled, is_of_identity, now};
use crate::owner;
use crate::redelivery::tables;
use crate::support::{AMY, BOB, Deal, PIPELINE, World, at, caller, everything, money, on};
use reference::{Question, decimal};

/// Has what is open valued by the rates of that day.
async fn value(world: &World) {
    world.state.load().await.unwrap();
    let (caller, ask) = (caller(ADMIN), everything());
    analytics::report::overview(&world.state, &caller, &ask, now()).await.unwrap();
}

pub(crate) async fn report(world: &World, asked: &Question, by: i64) -> PipelineChanges {
    let (from, to) = (asked.from.to_string(), asked.to.to_string());
    let between = between(asked, (&from, &to));
    let (caller, ask) = (caller(by), asked.ask());
    let invalid = Invalid::default();
    change::changes(&world.state, &caller, &ask, &between, invalid, now()).await.unwrap()
}

fn between<'a>(asked: &Question, (from, to): (&'a str, &'a str)) -> Between<'a> {
    let (close_from, close_to) = asked.window.unwrap_or_default();
    Between { from: Some(from), to: Some(to), close_from, close_to }
}

/// Everything behind a term, page by page.
async fn opened(world: &World, asked: &Question, term: Term, by: i64) -> BTreeMap<i64, Decimal> {
    let (from, to) = (asked.from.to_string(), asked.to.to_string());
    let (between, caller, ask) = (between(asked, (&from, &to)), caller(by), asked.ask());
    let (mut all, mut cursor, mut last) = (BTreeMap::new(), None::<String>, i64::MAX);
    loop {
        let wanted =
            Wanted { term: Some(term.as_str()), limit: Some(37), cursor: cursor.as_deref() };
        let what = (&between, &wanted);
        let invalid = Invalid::default();
        let page = change::opportunities(&world.state, &caller, &ask, what, invalid, now());
        let page = page.await.unwrap();
        assert!(page.next_cursor.is_none() || page.items.len() == 37);
        for it in page.items {
            assert!(it.opportunity_id < last, "not in order");
            last = it.opportunity_id;
            all.insert(it.opportunity_id, decimal(it.value));
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            return all;
        }
    }
}

/// The terms add up: values always, and counts where something came or went.
fn adds_up(it: &PipelineChanges, told: &str) {
    let (mut value, mut count) = (Money::ZERO, 0);
    for term in Term::ALL {
        let sum = it.sums.of(term);
        let sign = match term {
            Term::Grown | Term::Shrunk | Term::Revalued => 0,
            Term::StartValue
            | Term::Created
            | Term::Reopened
            | Term::Restored
            | Term::ReassignedIn
            | Term::MovedIn
            | Term::PulledIn => 1,
            _ => -1,
        };
        if term != Term::EndValue {
            value += sum.value;
            count += sign * sum.count;
        }
    }
    let end = it.sums.of(Term::EndValue);
    assert_eq!((value, count), (end.value, end.count), "{told}");
}

#[tokio::test]
async fn every_term_is_what_replaying_two_thousand_histories_says_and_opens_to_what_is_behind_it() {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut lacking = [0; 3];
    for (seed, place) in (1..).zip(PLACES) {
        let (world, book) = filled(seed, place, HISTORIES).await;
        let mut random = StdRng::seed_from_u64(seed + 100);
        for number in 0..40 {
            let asked = Question::random(&book, &mut random);
            let told = format!("{place:?} {number} {asked:?}");
            let it = report(&world, &asked, ADMIN).await;
            adds_up(&it, &told);
            let (expected, left_out) = book.naive(&asked);
            for term in Term::ALL {
                let sum = it.sums.of(term);
                let behind = expected.get(term.as_str()).cloned().unwrap_or_default();
                let count = i64::try_from(behind.len()).unwrap();
                let found = (decimal(sum.value), sum.count);
                let value: Decimal = behind.values().sum();
                assert_eq!(found, (value, count), "{} {told}", term.as_str());
                if number % 8 == 0 {
                    let opened = opened(&world, &asked, term, ADMIN).await;
                    assert_eq!(opened, behind, "{} {told}", term.as_str());
                }
                *seen.entry(term.as_str()).or_default() += behind.len();
            }
            let missing = it.sums.not_covered;
            let found = [missing.without_amount, missing.without_rate, missing.without_date];
            assert_eq!(found, left_out, "{told}");
            for (all, one) in lacking.iter_mut().zip(left_out) {
                *all += one;
            }
        }
    }
    // Each was there to be looked at.
    assert!(Term::ALL.iter().all(|it| seen[it.as_str()] > 40), "{seen:?}");
    assert!(lacking.iter().all(|it| *it > 40), "{lacking:?}");
}

#[tokio::test]
async fn what_was_known_when_is_the_same_out_of_order_after_a_rebuild_and_is_verified() {
    let (world, book) = filled(7, TAIPEI, 60).await;
    value(&world).await;
    let kept = tables(&world).await;
    // A change of the name alone is nothing that the past needs.
    let told = book.by_id.values().flatten().count();
    let versions = kept.iter().filter(|row| row.starts_with("opportunity_versions")).count();
    assert!(versions > 60 && versions < told, "{versions} of {told}");

    let mut random = StdRng::seed_from_u64(8);
    let mut jumbled = World::create("everyone").await;
    let (identity, mut events): (Vec<_>, Vec<_>) =
        world.log.iter().cloned().partition(is_of_identity);
    jumbled.learn(&identity).await;
    let again: Vec<_> = events.choose_multiple(&mut random, events.len() / 3).cloned().collect();
    events.extend(again);
    events.shuffle(&mut random);
    for piece in events.chunks(29) {
        jumbled.tell(piece.to_vec()).await;
    }
    value(&jumbled).await;
    assert_eq!(tables(&jumbled).await, kept);

    let (people, deals) =
        (owner::having(world.log.clone()).await, owner::having(world.log.clone()).await);
    let url = world.database.url.clone().into();
    assert_eq!(verify(&url, &deals).await.unwrap().differences, [""; 0]);
    let spoil = "update opportunity_versions set amount = coalesce(amount, 0) + 1 where (opportunity_id, version) = (7, 1)";
    sqlx::query(spoil).execute(&world.state.writes).await.unwrap();
    let found = verify(&url, &deals).await.unwrap().differences;
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("versions of opportunity 7: "), "{found:?}");
    let spoil = "update activity_facts set completed_at = '2025-01-01' where activity_id = 3";
    sqlx::query(spoil).execute(&world.state.writes).await.unwrap();
    let lose = "delete from activity_facts where activity_id = 5";
    sqlx::query(lose).execute(&world.state.writes).await.unwrap();
    let found = verify(&url, &deals).await.unwrap().differences;
    assert_eq!(found.len(), 4, "{found:?}");
    let named = |name: &str| found.iter().any(|it| it.starts_with(name));
    assert!(named("activities from 0: "), "{found:?}");
    assert!(named("activity 3: ") && named("activity 5: "), "{found:?}");
    let mut connection = world.state.writes.acquire().await.unwrap();
    let count = rebuild(&mut connection, &people, &deals, now()).await.unwrap();
    assert_eq!((count, tables(&world).await), (60, kept));
}

#[tokio::test]
async fn what_is_open_at_the_end_of_today_is_what_the_funnel_says() {
    let (world, _) = filled(9, TAIPEI, 200).await;
    let ask = Ask { pipeline_id: Some(PIPELINE), ..everything() };
    let (caller, unasked) = (caller(ADMIN), Between::default());
    let invalid = Invalid::default();
    let it = change::changes(&world.state, &caller, &ask, &unasked, invalid, now()).await.unwrap();
    assert_eq!((&*it.from, &*it.to), ("2024-12-25", "2025-01-01"));
    let overview = analytics::report::overview(&world.state, &caller, &ask, now()).await.unwrap();
    let end = it.sums.of(Term::EndValue);
    let expected = (overview.total_pipeline_value, overview.open_opportunities);
    assert_eq!((end.value, end.count), expected);
    assert_eq!(it.sums.of(Term::StartValue), end);
    assert_eq!(it.as_of, overview.as_of);
}

#[tokio::test]
async fn one_that_grew_and_changed_hands_is_told_by_who_asks() {
    let mut world = World::create("owner").await;
    let (mut deal, mut events) = Deal::begin(1, AMY, Some(100), "2025-11-01T01:00:00Z");
    events.push(deal.later(at("2025-11-05T01:00:00Z")).change(|it| {
        it.amount = Some(money(150).into());
    }));
    events.push(deal.later(at("2025-11-06T01:00:00Z")).change(|it| {
        (it.owner_id, it.team_id) = (BOB, None);
    }));
    world.tell(events).await;
    let day = |text| on(text);
    let asked = Question {
        from: day("2025-11-04"),
        to: day("2025-11-10"),
        owner_id: None,
        team_id: None,
        pipeline_id: None,
        window: None,
    };
    let of = async |asked: Question, by| {
        let it = report(&world, &asked, by).await;
        adds_up(&it, "");
        let named = Term::ALL.map(|term| (term.as_str(), it.sums.of(term)));
        let named = named.into_iter().filter(|(_, sum)| sum.count > 0);
        named.map(|(name, sum)| format!("{name} {}", sum.value)).collect::<Vec<_>>()
    };
    assert_eq!(of(asked, ADMIN).await, ["start_value 100", "grown 50", "end_value 150"]);
    let of_amy = Question { owner_id: Some(AMY), ..asked };
    assert_eq!(of(of_amy, ADMIN).await, ["start_value 100", "reassigned_out -100"]);
    let of_bob = Question { owner_id: Some(BOB), ..asked };
    assert_eq!(of(of_bob, ADMIN).await, ["reassigned_in 150", "end_value 150"]);
    // Whose it is now decides who sees it.
    assert_eq!(of(asked, BOB).await, ["start_value 100", "grown 50", "end_value 150"]);
    assert_eq!(of(asked, AMY).await, [""; 0]);
    assert!(opened(&world, &asked, Term::StartValue, AMY).await.is_empty());
}

#[tokio::test]
async fn every_bad_field_of_a_listing_is_named_at_once_and_a_cursor_is_of_its_listing() {
    let (world, _) = filled(3, TAIPEI, 80).await;
    let (caller, ask) = (caller(ADMIN), everything());
    let between = Between {
        from: Some("2024-13-01"),
        close_from: Some(on("2024-03-02")),
        close_to: Some(on("2024-03-01")),
        ..Between::default()
    };
    let wanted = Wanted { term: Some("grew"), limit: Some(0), cursor: None };
    let (state, what) = (&world.state, (&between, &wanted));
    let refused =
        change::opportunities(state, &caller, &ask, what, Invalid::default(), now()).await;
    let Err(Error::Invalid(fields)) = refused else { panic!("it is invalid") };
    let fields: Vec<_> = fields.iter().map(|it| (&*it.field, &*it.code)).collect();
    assert_eq!(
        fields,
        [
            ("term", "unknown_value"),
            ("limit", "out_of_range"),
            ("from", "invalid_date"),
            ("close_to", "before_start"),
        ]
    );
    let between =
        Between { from: Some("2024-02-01"), to: Some("2024-03-20"), ..Between::default() };
    let page = async |term, cursor: Option<String>| {
        let wanted = Wanted { term, limit: Some(1), cursor: cursor.as_deref() };
        let what = (&between, &wanted);
        change::opportunities(state, &caller, &ask, what, Invalid::default(), now()).await
    };
    let first = page(Some("created"), None).await.unwrap();
    assert!(page(Some("created"), first.next_cursor.clone()).await.is_ok());
    let elsewhere = page(Some("end_value"), first.next_cursor).await;
    assert!(matches!(elsewhere, Err(Error::Malformed { .. })), "{elsewhere:?}");
    let refused = page(None, None).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
}
