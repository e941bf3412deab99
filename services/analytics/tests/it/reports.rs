//! Reports: numbers over what events told.

use analytics::ask::Ask;
use analytics::period::Asked;
use analytics::report;
use analytics::report::overview::Overview;
use rpc::{Error, Invalid};

use crate::support::{AMY, BOB, Deal, MEI, TEAM, World, at, caller, everything, money, now, on};

const ADMIN: i64 = 99;

/// Amy: 1 won (1000) after a proposal, 2 open lead of 300. Bob: 3 lost, 4 open without an amount, 5 open in USD.
async fn told(visibility: &str) -> World {
    let mut world = World::create(visibility).await;
    let (mut first, mut events) = Deal::begin(1, AMY, Some(1000), "2025-10-01T01:00:00Z");
    events.push(first.move_to("proposal", at("2025-10-03T13:00:00Z")));
    events.push(first.move_to("won", at("2025-11-05T01:00:00Z")));
    events.extend(Deal::begin(2, AMY, Some(300), "2025-11-01T01:00:00Z").1);
    // The evening of the 31st in UTC is the 1st in Taipei.
    let (mut third, created) = Deal::begin(3, BOB, Some(70), "2025-10-31T20:00:00Z");
    events.extend(created);
    events.push(third.move_to("lost", at("2025-11-10T01:00:00Z")));
    events.extend(Deal::begin(4, BOB, None, "2025-11-02T01:00:00Z").1);
    let (mut fifth, created) = Deal::begin(5, BOB, Some(50), "2025-11-02T01:00:00Z");
    events.extend(created);
    events.push(fifth.change(|it| "USD".clone_into(&mut it.currency)));
    world.tell(events).await;
    world
}

async fn overview(world: &World, user_id: i64, ask: &Ask) -> Overview {
    report::overview(&world.state, &caller(user_id), ask, now()).await.unwrap()
}

#[tokio::test]
async fn the_funnel_counts_everything_and_values_what_has_an_amount_and_a_rate() {
    let world = told("everyone").await;
    let it = overview(&world, BOB, &everything()).await;
    let counts: Vec<_> = it.stages.iter().map(|it| (it.key.as_str(), it.count)).collect();
    assert_eq!(counts, [("lead", 3), ("proposal", 0), ("won", 1), ("lost", 1)]);
    assert_eq!((it.total_opportunities, it.open_opportunities), (5, 3));
    assert_eq!((it.total_pipeline_value, it.weighted_pipeline_value), (money(300), money(30)));
    assert_eq!(it.stages[2].total_value, money(1000));
    assert_eq!(it.stages[3].weighted_value, money(0));
    assert_eq!((it.not_covered.without_amount, it.not_covered.without_rate), (1, 1));
    assert_eq!(it.stages[0].conversion_rate, Some(0.5));
    assert_eq!(it.stages[1].conversion_rate, Some(1.0));
    assert_eq!(it.as_of, now());
}

#[tokio::test]
async fn each_sees_in_numbers_what_they_may_see_and_asks_for() {
    let world = told("owner").await;
    for (user_id, count) in [(AMY, 2), (BOB, 3), (MEI, 2), (ADMIN, 5)] {
        let it = overview(&world, user_id, &everything()).await;
        assert_eq!(it.total_opportunities, count, "{user_id}");
    }
    for (ask, count) in [
        (Ask { owner_id: Some(BOB), ..everything() }, 3),
        (Ask { team_id: Some(TEAM), ..everything() }, 2),
        (Ask { team_id: Some(TEAM), owner_id: Some(BOB), ..everything() }, 0),
        (Ask { team_id: Some(0), ..everything() }, 0),
        (Ask { owner_id: Some(-1), ..everything() }, 0),
    ] {
        let it = overview(&world, ADMIN, &ask).await;
        assert_eq!(it.total_opportunities, count, "{ask:?}");
    }
    let others = Ask { owner_id: Some(AMY), ..everything() };
    assert_eq!(overview(&world, BOB, &others).await.total_opportunities, 0);
}

#[tokio::test]
async fn what_is_open_counts_for_its_owner_s_new_team_and_what_closed_for_the_team_of_its_time() {
    const NEW: i64 = 8;
    let mut world = World::create("everyone").await;
    let (mut won, mut events) = Deal::begin(1, AMY, Some(1000), "2025-10-01T01:00:00Z");
    events.push(won.move_to("won", at("2025-11-05T01:00:00Z")));
    let (mut open, created) = Deal::begin(2, AMY, Some(300), "2025-11-01T01:00:00Z");
    events.extend(created);
    world.tell(events).await;
    // Amy goes to another team, and opportunities tells that what she has open went along.
    let follows = open.change(|it| it.team_id = Some(NEW));
    world.tell(vec![follows.clone(), follows]).await;
    for (team_id, won_value, open_value) in [(TEAM, 1000, 0), (NEW, 0, 300)] {
        let ask = Ask { team_id: Some(team_id), ..everything() };
        let it = overview(&world, ADMIN, &ask).await;
        assert_eq!(it.total_pipeline_value, money(open_value), "{team_id}");
        assert_eq!(it.stages[2].total_value, money(won_value), "{team_id}");
        let asked = (Some("yearly"), None);
        let caller = caller(ADMIN);
        let it = report::trend(&world.state, &caller, &ask, asked, now()).await.unwrap();
        assert_eq!(it.items[4].won_value, money(won_value), "{team_id}");
        assert_eq!(it.items[4].created_value, money(won_value + open_value), "{team_id}");
        let asked = Asked::default();
        let it = report::performance(&world.state, &caller, &ask, &asked, now()).await.unwrap();
        let amy = it.items.iter().find(|it| it.owner_id == AMY).unwrap();
        assert_eq!((amy.won_value, amy.open_pipeline_value), (money(won_value), money(open_value)));
    }
}

#[tokio::test]
async fn conversion_chooses_by_the_day_of_first_entry_in_the_organisation_s_zone() {
    let world = told("everyone").await;
    let of = async |start: Option<&str>, end: Option<&str>| {
        let (caller, ask) = (caller(BOB), everything());
        let (range, invalid) = ((start.map(on), end.map(on)), Invalid::default());
        report::conversion(&world.state, &caller, &ask, range, invalid, now()).await.unwrap()
    };
    for (start, end, entered) in [
        (None, None, 5),
        (Some("2025-10-01"), Some("2025-10-31"), 1),
        (Some("2025-11-01"), Some("2025-11-01"), 2),
        (Some("2025-10-02"), None, 4),
        (None, Some("2025-11-01"), 3),
        (Some("2026-01-01"), None, 0),
    ] {
        let it = of(start, end).await;
        assert_eq!(it.items[0].entered, entered, "{start:?} to {end:?}");
        assert_eq!(it.items.len(), 2);
    }
    let it = of(Some("2025-10-01"), Some("2025-10-31")).await;
    assert_eq!((it.items[0].advanced, it.items[0].in_progress), (1, 0));
    assert_eq!(it.items[0].average_days_in_stage, Some(2.5));
    assert_eq!(it.win_rate, Some(1.0));
}

#[tokio::test]
async fn a_trend_has_what_was_won_lost_and_made_by_its_day() {
    let world = told("everyone").await;
    let trend = async |period: &'static str| {
        let asked = (Some(period), None);
        report::trend(&world.state, &caller(BOB), &everything(), asked, now()).await.unwrap()
    };
    let it = trend("monthly").await;
    let november = &it.items[10];
    assert_eq!(november.period.label, "2025-11");
    assert_eq!((november.won_count, november.lost_count, november.created_count), (1, 1, 4));
    assert_eq!((november.won_value, november.created_value), (money(1000), money(370)));
    assert_eq!(november.win_rate(), Some(0.5));
    assert_eq!(november.average_deal_size(), Some(money(1000)));
    assert_eq!(it.items[9].created_value, money(1000));
    assert_eq!((it.not_covered.without_amount, it.not_covered.without_rate), (1, 1));
    for (period, rows, place) in
        [("daily", 365, 308), ("weekly", 52, 44), ("quarterly", 4, 3), ("yearly", 5, 4)]
    {
        let it = trend(period).await;
        assert_eq!(it.items.len(), rows, "{period}");
        assert_eq!(it.items[place].won_value, money(1000), "{period}");
        assert_eq!(it.items.iter().map(|it| it.won_count).sum::<i64>(), 1, "{period}");
    }
}

#[tokio::test]
async fn everyone_who_sells_has_a_row_in_what_the_caller_sees() {
    let world = told("owner").await;
    let performance = async |user_id| {
        let (ask, asked) = (everything(), Asked::default());
        let caller = caller(user_id);
        report::performance(&world.state, &caller, &ask, &asked, now()).await.unwrap()
    };
    let it = performance(ADMIN).await;
    assert_eq!(it.period.label, "2025-Q4");
    let rows: Vec<_> = it.items.iter().map(|it| (it.owner_name.as_str(), it.rank)).collect();
    assert_eq!(rows, [("Amy", 1), ("Bob", 2), ("Mei", 2)]);
    let amy = &it.items[0];
    assert_eq!(
        (amy.won_value, amy.open_pipeline_value, amy.open_count),
        (money(1000), money(300), 1)
    );
    assert_eq!((amy.average_days_to_close(), amy.team_id), (Some(35.0), Some(TEAM)));
    assert_eq!((it.items[1].lost_count, it.items[1].open_count), (1, 2));
    assert_eq!((it.not_covered.without_amount, it.not_covered.without_rate), (1, 1));
    let names = |it: report::performance::Performance| {
        it.items.into_iter().map(|it| it.owner_name).collect::<Vec<_>>()
    };
    assert_eq!(names(performance(BOB).await), ["Bob"]);
    assert_eq!(names(performance(MEI).await), ["Amy", "Mei"]);
}

#[tokio::test]
async fn an_answer_waits_for_the_write_it_has_to_know_but_not_for_ever() {
    let mut world = told("everyone").await;
    let ask = Ask { after: Some("6:1".to_owned()), ..everything() };
    let nobody_writes = overview(&world, BOB, &ask).await;
    assert_eq!(nobody_writes.total_opportunities, 5);
    let state = world.state.clone();
    let waiting =
        tokio::spawn(async move { report::overview(&state, &caller(BOB), &ask, now()).await });
    world.tell(Deal::begin(6, AMY, Some(1), "2025-11-20T01:00:00Z").1).await;
    assert_eq!(waiting.await.unwrap().unwrap().total_opportunities, 6);
}

#[tokio::test]
async fn every_bad_field_is_named_at_once() {
    let world = World::create("everyone").await;
    let ask = Ask { pipeline_id: Some(4), after: Some("x".to_owned()), ..everything() };
    let asked = (Some("hourly"), Some(3000));
    let refused = report::trend(&world.state, &caller(BOB), &ask, asked, now()).await;
    let Err(Error::Invalid(fields)) = refused else { panic!("it is invalid") };
    let told: Vec<_> = fields.iter().map(|it| (it.field.as_str(), &*it.code)).collect();
    assert_eq!(
        told,
        [
            ("period", "unknown_value"),
            ("year", "out_of_range"),
            ("after", "invalid"),
            ("pipeline_id", "unknown_pipeline"),
        ]
    );
}
