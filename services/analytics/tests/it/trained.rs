//! A forecast that has learned: what it says adds up, is seen by whom it may be, is the same everywhere, and is kept as it was given.

use analytics::ask::Ask;
use analytics::forecast::kept::{self, Kept};
use analytics::forecast::model::Forecast;
use analytics::forecast::outlook::{self, Listed};
use analytics::forecast::{self, Breakdown, accuracy};
use analytics::period::Asked;
use analytics::state::Known;
use analytics::{State, training};
use chrono::{DateTime, Days, TimeDelta, Utc};
use money::Money;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rpc::Error;

use crate::support::{AMY, BOB, Deal, MEI, TEAM, World, at, caller, everything, money, now, rate};

const ADMIN: i64 = 90;
const QUARTER: Asked<'_> =
    Asked { period: Some("quarter"), year: Some(2025), quarter: Some(4), month: None };

/// Opportunities of two years: those of Amy are won more often than those of Bob, and larger ones less often; the latest of them are open.
async fn book(world: &mut World, count: i64) -> Vec<Deal> {
    let mut random = StdRng::seed_from_u64(11);
    let mut open = Vec::new();
    let mut events = Vec::new();
    for id in 1..=count {
        let created = at("2024-01-01T02:00:00Z") + TimeDelta::hours(id * 24 * 685 / count);
        let owner = *[AMY, BOB, MEI].choose(&mut random).unwrap();
        let units = random.random_range(10..1_000) * 100;
        let (mut deal, begun) =
            Deal::begin(id, owner, Some(units), &created.format("%FT%TZ").to_string());
        events.extend(begun);
        let expected = created.date_naive() + Days::new(random.random_range(20..90));
        events.push(deal.change(|it| it.expected_close_date = Some(expected.into())));
        let mut then = created;
        let mut after = |days: std::ops::Range<i64>, random: &mut StdRng| {
            then += TimeDelta::hours(random.random_range(days.start * 24..days.end * 24));
            then
        };
        let proposed = after(3..20, &mut random);
        if proposed < now() {
            events.push(deal.move_to("proposal", proposed));
            let chance = if owner == AMY { 0.7 } else { 0.3 };
            let end = if random.random_bool(chance) { "won" } else { "lost" };
            let ended = after(5..60, &mut random);
            if ended < now() {
                events.push(deal.move_to(end, ended));
                continue;
            }
        }
        open.push(deal);
    }
    world.tell(events).await;
    open
}

async fn learned(visibility: &str) -> (World, Vec<Deal>) {
    let mut world = World::create(visibility).await;
    let open = book(&mut world, 500).await;
    assert!(open.len() > 10);
    renew(&world, now()).await;
    (world, open)
}

async fn renew(world: &World, now: DateTime<Utc>) {
    training::do_what_is_due(&world.state.writes, now, TimeDelta::minutes(15)).await.unwrap();
}

/// Another replica, which has heard of no model yet.
fn replica(world: &World) -> State {
    State { speaking: Known::default(), ..world.state.clone() }
}

async fn whole(state: &State, who: i64, ask: &Ask) -> Forecast {
    forecast::forecast(state, &caller(who), ask, &QUARTER, now()).await.unwrap()
}

async fn parts(state: &State, who: i64, ask: &Ask, by: &str) -> Breakdown {
    let asked = (&QUARTER, Some(by));
    forecast::breakdown(state, &caller(who), ask, asked, now()).await.unwrap()
}

async fn listed(state: &State, who: i64, ask: &Ask, page: (i32, Option<&str>)) -> Listed {
    let (limit, cursor) = page;
    let which = (&Asked::default(), None);
    let page = (Some(limit), cursor);
    outlook::opportunities(state, &caller(who), ask, which, page, now()).await.unwrap()
}

async fn history(state: &State, who: i64, ask: &Ask) -> Kept {
    kept::history(state, &caller(who), ask, &QUARTER, now()).await.unwrap()
}

fn of(owner_id: i64) -> Ask {
    Ask { owner_id: Some(owner_id), ..Ask::default() }
}

fn expected(breakdown: &Breakdown) -> Money {
    breakdown.items.iter().map(|(_, _, part)| part.expected()).sum()
}

#[tokio::test]
async fn parts_add_up_to_the_whole_to_the_cent_with_what_is_unassigned() {
    let (world, _) = learned("everyone").await;
    let state = &world.state;
    let it = whole(state, ADMIN, &everything()).await;
    assert!(it.model.learned, "{:?}", it.model);
    assert!(it.model.learned_from.is_some_and(|(won, lost)| won > 100 && lost > 100));
    let part = it.whole;
    assert!(part.from_new_business > Money::ZERO && part.from_pipeline > Money::ZERO);
    let [low, middle, high] = part.range;
    assert!(part.closed_won < low && low < middle && middle < high);
    let predicted: Money = it.by_stage.iter().map(|row| row.predicted_value).sum();
    assert_eq!(predicted, part.from_pipeline);
    for by in ["owner", "team"] {
        let breakdown = parts(state, ADMIN, &everything(), by).await;
        assert_eq!(breakdown.whole, part);
        assert_eq!(expected(&breakdown) + part.from_new_business, part.expected());
        for (id, _, part) in breakdown.items {
            assert_eq!(part.from_new_business, Money::ZERO);
            if let Some(id) = id.filter(|_| by == "owner") {
                assert_eq!(whole(state, ADMIN, &of(id)).await.whole, part);
            }
        }
    }
    let teams = parts(state, ADMIN, &everything(), "team").await;
    let ids: Vec<_> = teams.items.iter().map(|it| it.0).collect();
    assert_eq!(ids, [None, Some(TEAM)]);
}

#[tokio::test]
async fn what_is_won_leaves_the_pipeline_the_moment_it_is_counted_as_won() {
    let (mut world, mut open) = learned("everyone").await;
    let before = whole(&world.state, ADMIN, &everything()).await.whole;
    world.tell(vec![open[0].move_to("won", at("2025-11-20T11:00:00Z"))]).await;
    let after = whole(&world.state, ADMIN, &everything()).await.whole;
    assert!(after.closed_won > before.closed_won);
    assert!(after.from_pipeline < before.from_pipeline);
    assert_eq!(after.from_new_business, before.from_new_business);
    // One that the run knows nothing of counts as its stage does.
    let (mut new, mut events) = Deal::begin(9_000, 9, Some(70_000), "2025-11-20T11:30:00Z");
    let close = "2025-11-30".parse::<chrono::NaiveDate>().unwrap();
    events.push(new.change(|it| it.expected_close_date = Some(close.into())));
    world.tell(events).await;
    let with = whole(&world.state, ADMIN, &of(9)).await;
    let more = with.whole.from_pipeline;
    assert!(Money::ZERO < more && more < money(70_000), "{more}");
    let again = whole(&world.state, ADMIN, &everything()).await.whole;
    assert_eq!(again.from_pipeline, after.from_pipeline + more);
}

#[tokio::test]
async fn every_replica_says_the_same_and_a_model_of_the_same_facts_is_the_same() {
    let (world, _) = learned("everyone").await;
    let other = replica(&world);
    let page = (200, None);
    let listed_here = listed(&world.state, ADMIN, &everything(), page).await;
    assert_eq!(listed(&other, ADMIN, &everything(), page).await, listed_here);
    assert_eq!(
        whole(&other, ADMIN, &everything()).await,
        whole(&world.state, ADMIN, &everything()).await
    );
    // Trained again from the same facts it says the same by another version.
    let version = training::train(&world.state.writes, now()).await.unwrap();
    training::make_run(&world.state.writes, now()).await.unwrap();
    let again = listed(&other, ADMIN, &everything(), page).await;
    assert_eq!(i64::from(again.model.version), version);
    assert_eq!(again.items, listed_here.items);
    assert_eq!(again, listed(&world.state, ADMIN, &everything(), page).await);
}

#[tokio::test]
async fn open_opportunities_are_told_with_their_chances_and_why_page_by_page() {
    let (world, open) = learned("everyone").await;
    let all = listed(&world.state, ADMIN, &everything(), (200, None)).await;
    assert_eq!(all.items.len(), open.len());
    let mut paged = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = listed(&world.state, ADMIN, &everything(), (7, cursor.as_deref())).await;
        paged.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(paged, all.items);
    let mean = |owner| {
        let of = all.items.iter().filter(move |it| it.opportunity.owner_id == owner);
        let proposed = of.filter(|it| it.opportunity.stage_key == "proposal");
        let chances: Vec<f64> = proposed.map(|it| it.win_probability).collect();
        chances.iter().sum::<f64>() / f64::from(u32::try_from(chances.len()).unwrap())
    };
    assert!(mean(AMY) > mean(BOB) + 0.15, "{} {}", mean(AMY), mean(BOB));
    let reasons: Vec<_> = all.items.iter().flat_map(|it| &it.reasons).collect();
    let amy = reasons.iter().find(|it| it.en.starts_with("owned by Amy")).unwrap();
    assert!(amy.effect > 0.0 && amy.evidence > 20 && amy.zh.starts_with("負責人為Amy"), "{amy:?}");
    for it in &all.items {
        assert!((0.0..=1.0).contains(&it.win_probability));
        let [from, probable, to] = it.close_dates.unwrap();
        assert!(now().date_naive() <= from && from <= probable && probable <= to);
        assert!(it.expected_value.unwrap() <= it.opportunity.value.unwrap());
    }
    let bad = (&Asked::default(), Some("won"));
    let page = (Some(50), None);
    let refused =
        outlook::opportunities(&world.state, &caller(AMY), &everything(), bad, page, now()).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
}

#[tokio::test]
async fn those_that_a_stage_of_the_forecast_counts_can_be_listed() {
    let (world, _) = learned("everyone").await;
    let it = whole(&world.state, ADMIN, &everything()).await;
    for row in it.by_stage {
        let which = (&QUARTER, Some(&*row.stage));
        let page = (Some(200), None);
        let ask = everything();
        let found =
            outlook::opportunities(&world.state, &caller(ADMIN), &ask, which, page, now()).await;
        let items = found.unwrap().items;
        assert_eq!(i64::try_from(items.len()).unwrap(), row.count);
        let value: Money = items.iter().filter_map(|it| it.opportunity.value).sum();
        assert_eq!(value, row.total_value);
    }
}

#[tokio::test]
async fn each_is_told_of_what_they_see_and_of_nothing_else() {
    for (visibility, who, owners) in [
        ("everyone", BOB, vec![AMY, BOB, MEI]),
        ("owner", AMY, vec![AMY]),
        ("owner", BOB, vec![BOB]),
        ("team", BOB, vec![BOB]),
        ("owner", MEI, vec![AMY, MEI]),
    ] {
        let (world, _) = learned(visibility).await;
        let state = &world.state;
        let sees_all = visibility == "everyone";
        let breakdown = parts(state, who, &everything(), "owner").await;
        let seen: Vec<_> = breakdown.items.iter().filter_map(|it| it.0).collect();
        assert_eq!(seen, owners, "{visibility} {who}");
        assert_eq!(breakdown.whole.from_new_business > Money::ZERO, sees_all);
        let mine = whole(state, who, &everything()).await;
        assert_eq!(mine.whole, breakdown.whole);
        assert_eq!(mine.record.is_some(), sees_all);
        let models = [
            mine.model.clone(),
            breakdown.model,
            listed(state, who, &everything(), (1, None)).await.model,
        ];
        assert!(models.iter().all(|it| it.learned && it.learned_from.is_some() == sees_all));
        let items = listed(state, who, &everything(), (200, None)).await.items;
        assert!(items.iter().all(|it| owners.contains(&it.opportunity.owner_id)));
        let all = listed(state, ADMIN, &everything(), (200, None)).await.items;
        let visible = all.iter().filter(|it| owners.contains(&it.opportunity.owner_id));
        assert_eq!(items.len(), visible.count());
        // What is kept of the day is what is told now, for the same eyes.
        let days = history(state, who, &everything()).await.days;
        let kept = days.iter().rfind(|day| !day.is_replayed).unwrap();
        assert_eq!(kept.part, mine.whole, "{visibility} {who}");
        assert_eq!(days.iter().any(|day| day.is_replayed), sees_all);
        let told = accuracy::accuracy(state, &caller(who), None).await;
        assert_eq!(told.is_ok(), sees_all);
        assert!(sees_all || matches!(told, Err(Error::Denied { .. })));
    }
}

#[tokio::test]
async fn each_day_is_kept_as_it_was_given_last_and_weeks_before_as_they_would_have_been() {
    let (mut world, mut open) = learned("everyone").await;
    let first = history(&world.state, ADMIN, &everything()).await;
    assert_eq!(first.actual, None);
    let (replayed, kept): (Vec<_>, Vec<_>) =
        first.days.iter().cloned().partition(|day| day.is_replayed);
    // The Mondays of the quarter before this Thursday.
    let mondays: Vec<String> = replayed.iter().map(|day| day.made_on.to_string()).collect();
    assert_eq!(
        mondays,
        [
            "2025-10-06",
            "2025-10-13",
            "2025-10-20",
            "2025-10-27",
            "2025-11-03",
            "2025-11-10",
            "2025-11-17"
        ]
    );
    for pair in replayed.windows(2) {
        assert!(pair[0].part.closed_won <= pair[1].part.closed_won);
    }
    let today = whole(&world.state, ADMIN, &everything()).await;
    let last = replayed.last().unwrap().part.expected();
    let near = 10 * last.hundredths() / today.whole.expected().hundredths();
    assert!((6..16).contains(&near), "{near}");
    assert_eq!((kept.len(), kept[0].part), (1, today.whole));
    // What is told later on that day takes its place; then it stays, and the next day is kept beside it.
    world.tell(vec![open[0].move_to("won", at("2025-11-20T12:30:00Z"))]).await;
    let later = at("2025-11-20T13:00:00Z");
    renew(&world, later).await;
    let today = history(&world.state, ADMIN, &everything()).await.days.pop().unwrap();
    assert_eq!((today.made_on, today.made_at), (kept[0].made_on, later));
    assert!(today.part.closed_won > kept[0].part.closed_won);
    let tomorrow = at("2025-11-20T16:10:00Z");
    renew(&world, tomorrow).await;
    let days = history(&world.state, ADMIN, &everything()).await.days;
    let [.., before, added] = &days[..] else { panic!("{days:?}") };
    assert_eq!((days.len(), before), (first.days.len() + 1, &today));
    assert_eq!((added.made_at, added.is_replayed), (tomorrow, false));
    // A week on, what comes of the past changes nothing that was told.
    let much_later = at("2025-12-01T02:00:00Z");
    renew(&world, much_later).await;
    let after = history(&world.state, ADMIN, &everything()).await.days;
    assert_eq!(after[..days.len()], days[..]);
    let of_amy = history(&world.state, ADMIN, &of(AMY)).await.days;
    assert_eq!(of_amy.len(), 3, "nothing is told again of parts");
    let past = Asked { quarter: Some(3), ..QUARTER };
    let over = kept::history(&world.state, &caller(ADMIN), &everything(), &past, now()).await;
    let over = over.unwrap();
    let asked = Asked { quarter: Some(3), ..QUARTER };
    let closed =
        forecast::forecast(&world.state, &caller(ADMIN), &everything(), &asked, now()).await;
    assert_eq!(over.actual, Some(closed.unwrap().whole.closed_won));
    assert!(over.days.len() > 8 && over.days.iter().all(|day| day.is_replayed));
}

#[tokio::test]
async fn how_good_it_would_have_been_is_told_beside_what_anybody_could_say() {
    let (world, _) = learned("everyone").await;
    let it = accuracy::accuracy(&world.state, &caller(AMY), Some("month")).await.unwrap();
    assert!(it.tries.len() >= 8, "{}", it.tries.len());
    assert!(it.forecast.mape.unwrap() < 0.6 && it.stage_weighted.mape.is_some());
    assert!(it.last_period.pinball.is_some());
    assert_eq!(it.stage_weighted.coverage, None);
    assert!(it.forecast.coverage.unwrap() > 0.4);
    assert_eq!((it.by_chance.len(), it.by_amount.len()), (10, 5));
    assert!(it.log_loss.unwrap() < 0.69);
    assert_eq!(it.tried_at, Some(now()));
    let bad = accuracy::accuracy(&world.state, &caller(AMY), Some("week")).await;
    assert!(matches!(bad, Err(Error::Invalid(_))));
    let record = whole(&world.state, AMY, &everything()).await.record.unwrap();
    let quarters = accuracy::accuracy(&world.state, &caller(AMY), None).await.unwrap().tries;
    let held = quarters.iter().filter(|it| it.is_held()).count();
    let counts = (usize::try_from(record.tried).unwrap(), usize::try_from(record.held).unwrap());
    assert_eq!(counts, (quarters.len(), held));
}

#[tokio::test]
async fn with_little_history_each_counts_by_its_own_probability_and_it_says_so() {
    let mut world = World::create("everyone").await;
    renew(&world, now()).await;
    assert!(history(&world.state, AMY, &everything()).await.days.is_empty(), "of nothing");
    let nothing = accuracy::accuracy(&world.state, &caller(AMY), None).await.unwrap();
    assert_eq!((nothing.tries.len(), nothing.tried_at, nothing.log_loss), (0, None, None));
    let open = book(&mut world, 9).await;
    assert!(!open.is_empty());
    let before = whole(&world.state, AMY, &everything()).await;
    renew(&world, now()).await;
    let it = whole(&world.state, AMY, &everything()).await;
    assert_eq!((it.whole, &*it.model.name), (before.whole, "stage_weighted"));
    assert!(!it.model.learned);
    let weighted: Money = it.by_stage.iter().map(|row| row.weighted_value).sum();
    assert_eq!(it.whole.from_pipeline, weighted);
    for it in listed(&world.state, AMY, &everything(), (50, None)).await.items {
        let probability = f64::from(it.opportunity.probability) / 100.0;
        assert!((it.win_probability - probability).abs() < 1e-9 && it.reasons.is_empty());
    }
    let days = history(&world.state, AMY, &everything()).await.days;
    assert_eq!(days.len(), 1);
    assert_eq!((days[0].part, &*days[0].model), (it.whole, "stage_weighted"));
}

#[tokio::test]
async fn a_past_that_is_brought_in_at_once_teaches_nothing_and_promises_no_new_business() {
    let mut world = World::create("everyone").await;
    let mut events = Vec::new();
    let brought_in = "2025-11-20T02:00:00Z";
    for id in 1..=150 {
        let (mut deal, begun) = Deal::begin(id, AMY, Some(300_000), brought_in);
        events.extend(begun);
        events.push(deal.change(|it| {
            it.expected_close_date =
                Some("2025-12-10".parse::<chrono::NaiveDate>().unwrap().into());
        }));
        if id <= 120 {
            let end = if id % 2 == 0 { "won" } else { "lost" };
            events.push(deal.move_to(end, at(brought_in)));
        }
    }
    world.tell(events).await;
    renew(&world, now()).await;
    let it = whole(&world.state, ADMIN, &everything()).await;
    assert_eq!((it.model.learned, &*it.model.name), (false, "stage_weighted"));
    // Thirty leads, one in ten of which is promised.
    assert_eq!(it.whole.from_pipeline, money(30 * 30_000));
    assert_eq!(it.whole.from_new_business, Money::ZERO);
}

#[tokio::test]
async fn what_is_left_out_of_the_forecast_is_expected_by_no_model() {
    let (mut world, mut open) = learned("everyone").await;
    let before = whole(&world.state, ADMIN, &everything()).await;
    let left_out = open[0].change(|it| it.forecast_category = Some("omitted".to_owned()));
    world.tell(vec![left_out]).await;
    let after = whole(&world.state, ADMIN, &everything()).await;
    assert!(after.whole.from_pipeline < before.whole.from_pipeline);
    let predicted: Money = after.by_stage.iter().map(|row| row.predicted_value).sum();
    assert_eq!(predicted, after.whole.from_pipeline);
    let breakdown = parts(&world.state, ADMIN, &everything(), "owner").await;
    assert_eq!(expected(&breakdown) + after.whole.from_new_business, after.whole.expected());
    // A run knows of it: however much it would be, it moves nothing, the range neither.
    let (mut huge, mut events) = Deal::begin(9_000, AMY, Some(900_000_000), "2025-11-01T00:00:00Z");
    events.push(huge.change(|it| {
        it.forecast_category = Some("omitted".to_owned());
        it.expected_close_date = Some("2025-12-01".parse::<chrono::NaiveDate>().unwrap().into());
    }));
    training::make_run(&world.state.writes, now()).await.unwrap();
    let without = whole(&world.state, ADMIN, &everything()).await.whole;
    let of_amy = whole(&world.state, ADMIN, &of(AMY)).await.whole;
    world.tell(events).await;
    training::make_run(&world.state.writes, now()).await.unwrap();
    for (ask, before) in [(everything(), without), (of(AMY), of_amy)] {
        let after = whole(&world.state, ADMIN, &ask).await.whole;
        // What is taken away again is rounded once more.
        let numbers = |it: forecast::part::Part| [&[it.expected()][..], &it.range].concat();
        for (after, before) in numbers(after).into_iter().zip(numbers(before)) {
            assert!((after - before).hundredths().abs() <= 2, "{after} {before}");
        }
    }
}

#[tokio::test]
async fn a_part_is_told_in_the_same_range_in_whatever_currencies_and_beside_whatever_is_left_out() {
    let (mut world, _) = learned("everyone").await;
    let mut events = vec![rate(1, 1, ("USD", "2025-11-01"), "32")];
    let mut open = |id, owner, units, currency: &str, is_omitted| {
        let (mut deal, begun) = Deal::begin(id, owner, Some(units), "2025-11-01T00:00:00Z");
        events.extend(begun);
        events.push(deal.change(|it| {
            it.currency = currency.to_owned();
            it.forecast_category = Some("omitted".to_owned()).filter(|_| is_omitted);
            it.expected_close_date =
                Some("2025-12-01".parse::<chrono::NaiveDate>().unwrap().into());
        }));
    };
    // Two of 96,000; the same in two currencies; one of 96,000; the same beside one that is left out.
    for (owner, second) in [(71, Some(("TWD", 96_000))), (72, Some(("USD", 3_000))), (73, None)] {
        open(9_000 + 10 * owner, owner, 96_000, "TWD", false);
        if let Some((currency, units)) = second {
            open(9_001 + 10 * owner, owner, units, currency, false);
        }
    }
    open(9_740, 74, 96_000, "TWD", false);
    open(9_741, 74, 96_000, "TWD", true);
    world.tell(events).await;
    whole(&world.state, ADMIN, &everything()).await;
    training::make_run(&world.state.writes, now()).await.unwrap();
    let told = parts(&world.state, ADMIN, &everything(), "owner").await;
    let part = |owner| {
        let (_, _, part) = told.items.iter().find(|it| it.0 == Some(owner)).unwrap();
        assert!(part.from_pipeline > Money::ZERO, "{owner}");
        [&[part.from_pipeline][..], &part.range].concat()
    };
    // Each group is rounded by itself.
    let alike = |one: i64, other: i64| {
        let both = part(one).into_iter().zip(part(other));
        both.map(|(one, other)| (one - other).hundredths().abs()).all(|apart| apart <= 2)
    };
    assert!(alike(71, 72), "{:?} {:?}", part(71), part(72));
    assert!(alike(73, 74), "{:?} {:?}", part(73), part(74));
    assert!(!alike(71, 73));
}
