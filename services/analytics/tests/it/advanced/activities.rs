//! What each person did over random histories, against what the test counts by itself, and the opportunities behind every number of it.

use std::collections::{BTreeMap, BTreeSet};

use analytics::activity::TYPES;
use analytics::ask::Ask;
use analytics::period::Calendar;
use analytics::range::Range;
use analytics::report::advanced::{self, activities::Did};
use analytics::report::opened::{self, model::Wanted};
use auth::Caller;
use proto::events::v1::ActivityRecord;
use rpc::{Error, Invalid};

use super::book::{Activity, Known, day, written};
use super::{ADMIN, Question};
use crate::support::{AMY, BOB, Deal, MEI, TEAM, World, activity, at, caller, everything, now, on};

async fn did(world: &World, by: &Caller, ask: &Ask, range: Range) -> Vec<Did> {
    let asked = Invalid::default();
    advanced::activities(&world.state, by, ask, range, asked, now()).await.unwrap().items
}

async fn opened(world: &World, by: &Caller, ask: &Ask, wanted: &Wanted<'_>) -> BTreeSet<i64> {
    let (number, page) = (("activities", wanted), (Some(200), None));
    let asked = Invalid::default();
    let it = opened::opportunities(&world.state, by, ask, number, page, asked, now()).await;
    let it = it.unwrap_or_else(|error| panic!("{wanted:?}: {error:?}"));
    assert_eq!(it.next_cursor, None);
    it.items.iter().map(|it| it.opportunity_id).collect()
}

/// What a person did, each about which opportunity.
#[derive(Debug, Default, PartialEq)]
struct Expected {
    created: BTreeMap<&'static str, Vec<i64>>,
    completed: BTreeMap<&'static str, Vec<i64>>,
    by_term: BTreeMap<&'static str, Vec<i64>>,
}

fn expected(it: &Question, book: &[Known]) -> BTreeMap<i64, Expected> {
    let mut people: BTreeMap<i64, Expected> = BTreeMap::new();
    for (id, team_id) in [(AMY, Some(TEAM)), (BOB, None), (MEI, None)] {
        if it.ask.team_id.is_none_or(|team| team_id == Some(team)) {
            people.entry(id).or_default();
        }
    }
    // Without a first day it is of the quarter.
    let range = it.range.begun(Calendar { first_month: 1 }, day(now()));
    let within = |at| {
        let day = day(at);
        range.start.is_none_or(|start| start <= day) && range.end.is_none_or(|end| day <= end)
    };
    let was_created = |it: &Activity| within(it.created_at);
    let was_completed = |it: &Activity| it.completed_at.is_some_and(within);
    let about = book.iter().filter(|deal| {
        it.ask.team_id.is_none_or(|id| deal.team_id == Some(id))
            && it.ask.pipeline_id.is_none_or(|id| deal.pipeline_id == id)
    });
    for deal in about {
        for done in &deal.activities {
            if was_created(done) {
                let whose = people.entry(done.created_by).or_default();
                whose.created.entry(done.kind).or_default().push(deal.id);
                whose.by_term.entry("touched").or_default().push(deal.id);
            }
            let whose = people.entry(done.owner_id).or_default();
            if was_completed(done) {
                whose.completed.entry(done.kind).or_default().push(deal.id);
                whose.by_term.entry("touched").or_default().push(deal.id);
            }
            let is_to_be_done = done.completed_at.is_none();
            if is_to_be_done && done.scheduled_at.is_some_and(|at| day(at) < day(now())) {
                whose.by_term.entry("overdue").or_default().push(deal.id);
            }
        }
        if deal.status() != "open" {
            continue;
        }
        let whose = people.entry(deal.owner_id).or_default();
        whose.by_term.entry("open").or_default().push(deal.id);
        if !deal.activities.iter().any(|it| was_created(it) || was_completed(it)) {
            whose.by_term.entry("untouched").or_default().push(deal.id);
        }
        let is_next = |it: &Activity| it.completed_at.is_none() && it.scheduled_at.is_some();
        if !deal.activities.iter().any(is_next) {
            whose.by_term.entry("without_next").or_default().push(deal.id);
        }
    }
    // Activities about which a sight of people alone says nothing make no row.
    people.retain(|id, of| {
        let sells = match *id {
            AMY => it.ask.team_id.is_none_or(|team| team == TEAM),
            _ => it.ask.team_id.is_none(),
        };
        (sells || *of != Expected::default()) && it.ask.owner_id.is_none_or(|owner| owner == *id)
    });
    people
}

fn distinct(ids: Option<&Vec<i64>>) -> BTreeSet<i64> {
    ids.into_iter().flatten().copied().collect()
}

#[tokio::test]
async fn what_everybody_did_is_what_the_activities_say_and_opens_to_the_opportunities_behind_it() {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 20..23 {
        let (world, book, mut random) = written(seed, 120).await;
        let by = caller(ADMIN);
        for number in 0..20 {
            let it = Question::any(&book, &mut random);
            let told = format!("seed {seed} {:?} {:?}", it.ask, it.range);
            let found = did(&world, &by, &it.ask, it.range).await;
            let expected = expected(&it, &book);
            let people: BTreeSet<_> = found.iter().map(|it| it.person.owner_id).collect();
            assert_eq!(people, expected.keys().copied().collect(), "{told}");
            for row in &found {
                let of = &expected[&row.person.owner_id];
                let count =
                    |ids: Option<&Vec<i64>>| i64::try_from(ids.map_or(0, Vec::len)).unwrap();
                let counts = |by: &BTreeMap<_, _>| TYPES.map(|kind| count(by.get(kind)));
                assert_eq!(row.created.0, counts(&of.created), "{told}");
                assert_eq!(row.completed.0, counts(&of.completed), "{told}");
                let touched = distinct(of.by_term.get("touched"));
                assert_eq!(row.touched_count, i64::try_from(touched.len()).unwrap(), "{told}");
                for (term, found) in [
                    ("overdue", row.overdue_count),
                    ("open", row.open_count),
                    ("untouched", row.untouched_count),
                    ("without_next", row.without_next_count),
                ] {
                    assert_eq!(found, count(of.by_term.get(term)), "{term} {told}");
                }
                let ask = Ask { owner_id: Some(row.person.owner_id), ..it.ask.clone() };
                for term in ["touched", "overdue", "open", "untouched", "without_next"] {
                    let wanted = Wanted { term: Some(term), range: it.range, ..Wanted::default() };
                    let behind = distinct(of.by_term.get(term));
                    *seen.entry(term).or_default() += behind.len();
                    assert_eq!(opened(&world, &by, &ask, &wanted).await, behind, "{term} {told}");
                }
                for (term, kinds) in [("created", &of.created), ("completed", &of.completed)] {
                    let wanted = Wanted { term: Some(term), range: it.range, ..Wanted::default() };
                    let all = kinds.values().flatten().copied().collect();
                    assert_eq!(opened(&world, &by, &ask, &wanted).await, all, "{term} {told}");
                    let kind = TYPES[number % TYPES.len()];
                    let wanted = Wanted { activity_type: Some(kind), ..wanted };
                    let behind = distinct(kinds.get(kind));
                    *seen.entry(term).or_default() += behind.len();
                    assert_eq!(opened(&world, &by, &ask, &wanted).await, behind, "{kind} {told}");
                }
            }
        }
    }
    // Each was there to be looked at.
    assert!(seen.len() == 7 && seen.values().all(|it| *it > 100), "{seen:?}");
}

#[tokio::test]
async fn nobody_is_told_of_activities_about_what_they_may_not_see() {
    let mut world = World::create("owner").await;
    for (id, owner_id) in [(1, AMY), (2, BOB)] {
        let (_, events) = Deal::begin(id, owner_id, Some(5), "2025-10-01T01:00:00Z");
        world.tell(events).await;
        // Bob does something about both.
        let record = ActivityRecord {
            id,
            opportunity_id: id,
            activity_type: "call".to_owned(),
            created_by: BOB,
            owner_id: BOB,
            created_at: Some(at("2025-10-02T01:00:00Z").into()),
            ..ActivityRecord::default()
        };
        world.tell(vec![activity(1, record)]).await;
    }
    for (user_id, told, behind) in [
        (AMY, vec![(BOB, 1, 0), (AMY, 0, 1)], vec![1]),
        (BOB, vec![(BOB, 1, 1)], vec![2]),
        (ADMIN, vec![(BOB, 2, 1), (AMY, 0, 1), (MEI, 0, 0)], vec![1, 2]),
    ] {
        let by = caller(user_id);
        let found = did(&world, &by, &everything(), Range::default()).await;
        let found: Vec<_> = found
            .iter()
            .map(|it| (it.person.owner_id, it.created.total(), it.open_count))
            .collect();
        assert_eq!(found, told, "{user_id}");
        let opened = opened(&world, &by, &everything(), &Wanted::default()).await;
        assert_eq!(opened, behind.into_iter().collect(), "{user_id}");
    }
}

#[tokio::test]
async fn a_kind_that_there_is_not_and_one_of_what_has_no_kinds_are_refused() {
    let world = World::create("everyone").await;
    let start = Some(on("2025-02-01"));
    let range = Range { start, end: Some(on("2025-01-01")) };
    let (by, ask) = (caller(ADMIN), everything());
    let it = advanced::activities(&world.state, &by, &ask, range, Invalid::default(), now());
    assert!(matches!(it.await, Err(Error::Invalid(_))));
    for (report, term, kind, expected) in [
        ("activities", "created", "fax", "unknown_value"),
        ("activities", "overdue", "call", "unknown_parameter"),
        ("velocity", "won", "call", "unknown_parameter"),
    ] {
        let wanted = Wanted { term: Some(term), activity_type: Some(kind), ..Wanted::default() };
        let (number, asked) = ((report, &wanted), Invalid::default());
        let it = opened::opportunities(&world.state, &by, &ask, number, (None, None), asked, now());
        let Err(Error::Invalid(fields)) = it.await else { panic!("{report} {kind} is invalid") };
        let told: Vec<_> = fields.iter().map(|it| (it.field.as_str(), &*it.code)).collect();
        assert_eq!(told, [("activity_type", expected)]);
    }
}
