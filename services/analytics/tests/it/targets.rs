//! Targets: who sets and sees them, what holds for whom, and what is won of them.

use analytics::ask::Ask;
use analytics::period::Asked;
use analytics::plan::Listing;
use analytics::state::Known;
use analytics::target::model::Target;
use analytics::target::{self, Wish};
use analytics::{State, forecast, report};
use events::Record;
use proto::events::v1::TeamRecord;
use rpc::Error;

use crate::support::{AMY, BOB, Deal, MEI, TEAM, World, at, caller, everything, money, now, told};

/// An administrator.
const ADA: i64 = 10;
/// A team of nobody, above Amy's.
const ABOVE: i64 = 6;

fn quarter(owner_id: Option<i64>, team_id: Option<i64>, units: i128) -> Wish {
    Wish {
        period: Some("quarter".to_owned()),
        year: Some(2025),
        quarter: Some(4),
        owner_id,
        team_id,
        amount: Some(money(units)),
        ..Wish::default()
    }
}

async fn set(world: &World, by: i64, wish: Wish) -> Result<Target, Error> {
    target::set(&world.state, &caller(by), wish, now()).await
}

/// What the forecast of the present quarter says is to be won, from where.
async fn goal(world: &World, by: i64, ask: &Ask) -> Option<(i128, &'static str)> {
    let asked = Asked { period: Some("quarter"), ..Asked::default() };
    let it = forecast::forecast(&world.state, &caller(by), ask, &asked, now()).await.unwrap();
    it.target.map(|it| (it.amount.hundredths() / 100, it.source.as_str()))
}

async fn seen(world: &World, by: i64) -> Vec<i128> {
    let listed = target::list(&world.state, &caller(by), &Listing::default(), now()).await;
    listed.unwrap().0.into_iter().map(|it| it.amount.hundredths() / 100).collect()
}

#[tokio::test]
async fn an_administrator_sets_all_a_manager_what_is_within_reach_and_a_rep_none() {
    let world = World::create("everyone").await;
    for (by, owner_id, team_id, may) in [
        (ADA, None, None, true),
        (ADA, Some(BOB), None, true),
        (MEI, Some(AMY), None, true),
        (MEI, None, Some(TEAM), true),
        (MEI, Some(BOB), None, false),
        (MEI, Some(MEI), None, false),
        (MEI, None, None, false),
        (AMY, Some(AMY), None, false),
    ] {
        let answer = set(&world, by, quarter(owner_id, team_id, 1)).await;
        let told = format!("{by} {owner_id:?} {team_id:?} {answer:?}");
        if may {
            assert!(answer.is_ok(), "{told}");
        } else {
            assert!(matches!(answer, Err(Error::Denied { .. })), "{told}");
        }
    }
    let amy = set(&world, ADA, quarter(Some(BOB), None, 2)).await.unwrap();
    let refused = target::remove(&world.state, &caller(MEI), amy.id, None, now()).await;
    assert!(matches!(refused, Err(Error::Denied { .. })), "seen, and out of reach");
}

#[tokio::test]
async fn a_target_is_one_for_its_period_and_every_change_is_a_version() {
    let world = World::create("everyone").await;
    let first = set(&world, ADA, quarter(Some(AMY), None, 300)).await.unwrap();
    assert_eq!((first.version, &*first.name.label), (1, "2025-Q4"));
    assert_eq!(first.subject_name.as_deref(), Some("Amy"));
    let same = set(&world, MEI, quarter(Some(AMY), None, 300)).await.unwrap();
    assert_eq!(same, first, "to set what is so already changes nothing");
    let stale = Wish { expected_version: Some(2), ..quarter(Some(AMY), None, 5) };
    let stale = set(&world, MEI, stale).await;
    assert!(matches!(stale, Err(Error::Stale { current: Some(1) })), "{stale:?}");
    let next = Wish { expected_version: Some(1), ..quarter(Some(AMY), None, 400) };
    let next = set(&world, MEI, next).await.unwrap();
    assert_eq!((next.id, next.version, next.set_by, &*next.set_by_name), (first.id, 2, MEI, "Mei"));
    let remove = async |expected| {
        target::remove(&world.state, &caller(MEI), first.id, expected, now()).await
    };
    assert!(matches!(remove(Some(1)).await, Err(Error::Stale { current: Some(2) })));
    remove(Some(2)).await.unwrap();
    assert!(matches!(remove(None).await, Err(Error::NotFound { .. })));
    let got = target::get(&world.state, &caller(ADA), first.id, now()).await;
    assert!(matches!(got, Err(Error::NotFound { .. })));
    for expected in [Some(3), Some(0)] {
        let absent = Wish { expected_version: expected, ..quarter(Some(AMY), None, 1) };
        assert!(matches!(set(&world, ADA, absent).await, Err(Error::Stale { current: None })));
    }
    let again = set(&world, ADA, quarter(Some(AMY), None, 1)).await.unwrap();
    assert_eq!(again.version, 4, "a version is never given twice");
    let whichever = Wish { expected_version: Some(0), ..quarter(Some(AMY), None, 2) };
    assert_eq!(set(&world, ADA, whichever).await.unwrap().version, 5);
}

#[tokio::test]
async fn every_bad_field_is_told_at_once() {
    let mut world = World::create("everyone").await;
    let gone = TeamRecord { id: 8, deleted_at: Some(now().into()), ..TeamRecord::default() };
    world.learn(&[told(2, Record::Team(gone))]).await;
    let codes = async |wish: Wish| match set(&world, ADA, wish).await {
        Err(Error::Invalid(fields)) => {
            fields.into_iter().map(|it| format!("{} {}", it.field, it.code)).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    let all = ["period required", "year required", "amount required"];
    assert_eq!(codes(Wish::default()).await, all);
    let both = quarter(Some(AMY), Some(TEAM), -1);
    assert_eq!(codes(both).await, ["team_id not_with_owner", "amount out_of_range"]);
    let wrong = Wish { quarter: Some(5), ..quarter(None, Some(8), 1) };
    assert_eq!(codes(wrong).await, ["quarter out_of_range", "team_id not_found"]);
}

#[tokio::test]
async fn a_forecast_is_held_against_the_target_of_what_it_is_of() {
    let mut world = World::create("everyone").await;
    let above = TeamRecord { id: ABOVE, ..TeamRecord::default() };
    let below = TeamRecord {
        id: TEAM,
        parent_id: Some(ABOVE),
        manager_id: Some(MEI),
        ..TeamRecord::default()
    };
    world.learn(&[told(2, Record::Team(above)), told(2, Record::Team(below))]).await;
    let of = |owner_id, team_id| Ask { owner_id, team_id, ..Ask::default() };
    assert_eq!(goal(&world, ADA, &everything()).await, None);
    set(&world, ADA, quarter(None, Some(TEAM), 70)).await.unwrap();
    assert_eq!(goal(&world, ADA, &everything()).await, None, "it is of a team below another");
    set(&world, ADA, quarter(None, Some(ABOVE), 60)).await.unwrap();
    set(&world, ADA, quarter(Some(AMY), None, 10)).await.unwrap();
    assert_eq!(goal(&world, ADA, &everything()).await, Some((60, "teams")));
    assert_eq!(goal(&world, ADA, &of(None, Some(TEAM))).await, Some((70, "set")));
    assert_eq!(goal(&world, ADA, &of(Some(AMY), None)).await, Some((10, "set")));
    assert_eq!(goal(&world, ADA, &of(Some(AMY), Some(TEAM))).await, None, "hers is of all she has");
    assert_eq!(goal(&world, ADA, &of(Some(BOB), None)).await, None);
    set(&world, ADA, quarter(None, None, 500)).await.unwrap();
    assert_eq!(goal(&world, ADA, &everything()).await, Some((500, "set")));
    let one_pipeline = Ask { pipeline_id: Some(1), ..Ask::default() };
    assert_eq!(goal(&world, ADA, &one_pipeline).await, None, "targets are for all pipelines");
}

#[tokio::test]
async fn who_sees_a_part_is_held_against_the_target_of_that_part() {
    let mut world = World::create("owner").await;
    for (owner_id, team_id, units) in
        [(None, None, 500), (Some(AMY), None, 10), (Some(BOB), None, 20), (None, Some(TEAM), 70)]
    {
        set(&world, ADA, quarter(owner_id, team_id, units)).await.unwrap();
    }
    assert_eq!(seen(&world, ADA).await, [70, 20, 10, 500]);
    assert_eq!(seen(&world, AMY).await, [70, 10], "her own, and her team's");
    assert_eq!(seen(&world, BOB).await, [20]);
    assert_eq!(seen(&world, MEI).await, [70, 10]);
    assert_eq!(goal(&world, AMY, &everything()).await, Some((10, "set")));
    assert_eq!(goal(&world, MEI, &everything()).await, Some((70, "teams")));
    let of_bob = Ask { owner_id: Some(BOB), ..Ask::default() };
    assert_eq!(goal(&world, AMY, &of_bob).await, None);
    world.set_visibility("team", 2).await;
    assert_eq!(goal(&world, AMY, &everything()).await, Some((70, "teams")));
    assert_eq!(seen(&world, BOB).await, [20]);
}

#[tokio::test]
async fn attainment_is_what_was_won_of_one_s_target() {
    let mut world = World::create("everyone").await;
    let mut events = Vec::new();
    for (id, owner_id, units) in [(1, AMY, 100), (2, AMY, 50), (3, BOB, 20)] {
        let (mut deal, created) = Deal::begin(id, owner_id, Some(units), "2025-07-01T01:00:00Z");
        events.extend(created);
        events.push(deal.move_to("won", at("2025-10-05T01:00:00Z")));
    }
    world.tell(events).await;
    for month in [10, 11] {
        let wish = Wish {
            period: Some("month".to_owned()),
            year: Some(2025),
            month: Some(month),
            owner_id: Some(AMY),
            amount: Some(money(112)),
            ..Wish::default()
        };
        set(&world, ADA, wish).await.unwrap();
    }
    // Of nothing everything is won, and no share of it.
    set(&world, ADA, quarter(Some(MEI), None, 0)).await.unwrap();
    let asked = Asked { period: Some("quarter"), ..Asked::default() };
    let it = report::performance(&world.state, &caller(BOB), &everything(), &asked, now()).await;
    let it = it.unwrap();
    let rows: Vec<_> =
        it.items.iter().map(|it| (it.owner_id, it.target, it.attainment())).collect();
    let expected =
        [(AMY, Some(money(224)), Some(0.6696)), (BOB, None, None), (MEI, Some(money(0)), None)];
    assert_eq!(rows, expected);
}

#[tokio::test]
async fn a_list_is_narrowed_and_paged_by_key() {
    let world = World::create("everyone").await;
    for month in 1..=12 {
        let wish = Wish {
            period: Some("month".to_owned()),
            year: Some(2025),
            month: Some(month),
            amount: Some(money(month.into())),
            ..Wish::default()
        };
        set(&world, ADA, wish).await.unwrap();
    }
    set(&world, ADA, quarter(None, None, 100)).await.unwrap();
    set(&world, ADA, Wish { year: Some(2026), ..quarter(Some(AMY), None, 200) }).await.unwrap();
    let page = async |listing: Listing<'_>| {
        let (items, next) =
            target::list(&world.state, &caller(BOB), &listing, now()).await.unwrap();
        let units: Vec<_> = items.iter().map(|it| it.amount.hundredths() / 100).collect();
        (units, next)
    };
    let asked = |period, year, quarter, month| Listing {
        asked: Asked { period, year, quarter, month },
        ..Listing::default()
    };
    let only = async |listing| page(listing).await.0;
    assert_eq!(only(asked(Some("quarter"), None, None, None)).await, [200, 100]);
    assert_eq!(only(asked(Some("quarter"), Some(2025), Some(4), None)).await, [100]);
    assert_eq!(only(asked(None, None, Some(4), None)).await, [100]);
    assert_eq!(only(asked(None, None, None, Some(3))).await, [3]);
    assert_eq!(only(asked(None, Some(2026), None, None)).await, [200]);
    let amy = Listing { owner_id: Some(AMY), ..Listing::default() };
    assert_eq!(only(amy).await, [200]);
    let of_months =
        |cursor| Listing { limit: Some(5), cursor, ..asked(Some("month"), None, None, None) };
    let (first, next) = page(of_months(None)).await;
    let (second, next) = page(of_months(next.as_deref())).await;
    let (third, end) = page(of_months(next.as_deref())).await;
    let months: Vec<_> = [first, second, third].concat();
    assert_eq!(months, (1..=12).rev().collect::<Vec<i128>>());
    assert_eq!(end, None);
    for (owner_id, team_id) in [(Some(0), None), (None, Some(0)), (Some(-3), None)] {
        let nobody_s = Listing { owner_id, team_id, ..Listing::default() };
        assert!(only(nobody_s).await.is_empty(), "{owner_id:?} {team_id:?}");
    }
    let foreign = Listing { cursor: next.as_deref(), ..Listing::default() };
    let refused = target::list(&world.state, &caller(BOB), &foreign, now()).await;
    assert!(matches!(refused, Err(Error::Malformed { .. })));
}

#[tokio::test]
async fn a_sum_over_teams_is_partial_while_a_topmost_one_has_no_target() {
    let mut world = World::create("everyone").await;
    let other = TeamRecord { id: ABOVE, ..TeamRecord::default() };
    world.learn(&[told(1, Record::Team(other))]).await;
    let is_partial = async || {
        let asked = Asked::default();
        let it = forecast::forecast(&world.state, &caller(ADA), &everything(), &asked, now()).await;
        it.unwrap().target.map(|it| (it.source.as_str(), it.is_partial))
    };
    set(&world, ADA, quarter(None, Some(TEAM), 70)).await.unwrap();
    assert_eq!(is_partial().await, Some(("teams", true)));
    set(&world, ADA, quarter(None, Some(ABOVE), 30)).await.unwrap();
    assert_eq!(is_partial().await, Some(("teams", false)));
    // One month of it is less than what the teams have.
    let month = Wish {
        period: Some("month".to_owned()),
        quarter: None,
        month: Some(10),
        ..quarter(None, None, 1)
    };
    set(&world, ADA, month).await.unwrap();
    assert_eq!(goal(&world, ADA, &everything()).await, Some((100, "teams")));
}

#[tokio::test]
async fn within_a_team_nobody_is_held_against_a_target_of_more_than_they_have_there() {
    let mut world = World::create("everyone").await;
    set(&world, ADA, quarter(Some(AMY), None, 10)).await.unwrap();
    set(&world, ADA, quarter(Some(BOB), None, 20)).await.unwrap();
    let of_team = Ask { team_id: Some(TEAM), ..Ask::default() };
    let (mut deal, mut events) = Deal::begin(1, AMY, Some(5), "2025-07-01T01:00:00Z");
    let (mut bobs, created) = Deal::begin(2, BOB, Some(5), "2025-07-01T01:00:00Z");
    events.extend(created);
    events.push(deal.move_to("won", at("2025-10-05T01:00:00Z")));
    events.push(bobs.change(|it| it.team_id = Some(TEAM)));
    world.tell(events).await;
    let targets = async |world: &World| {
        let (caller, asked) = (caller(ADA), Asked::default());
        let it = report::performance(&world.state, &caller, &of_team, &asked, now()).await;
        let rows = it.unwrap().items.into_iter().map(|it| (it.owner_id, it.target));
        rows.collect::<Vec<_>>()
    };
    // Bob's one deal counts for the team, which he is not in.
    let expected = [(AMY, Some(money(10))), (BOB, None)];
    assert_eq!(targets(&world).await[..1], expected[..1]);
    assert!(!targets(&world).await.contains(&(BOB, Some(money(20)))));
    let (mut elsewhere, mut events) = Deal::begin(3, AMY, Some(9), "2025-07-01T01:00:00Z");
    events.push(elsewhere.change(|it| it.team_id = None));
    world.tell(events).await;
    assert_eq!(targets(&world).await[0], (AMY, None), "she has one open elsewhere");
    let closed = elsewhere.move_to("lost", at("2025-08-05T01:00:00Z"));
    world.tell(vec![closed]).await;
    assert_eq!(targets(&world).await[0], (AMY, Some(money(10))), "it was lost before this quarter");
}

#[tokio::test]
async fn what_is_answered_is_what_was_set_and_not_what_somebody_set_after_it() {
    let world = World::create("everyone").await;
    let mut all = tokio::task::JoinSet::new();
    for units in 1..=40 {
        let state = world.state.clone();
        all.spawn(async move {
            let wish = quarter(Some(AMY), None, units);
            let it = target::set(&state, &caller(ADA), wish, now()).await.unwrap();
            (money(units), it.amount, it.version)
        });
    }
    let told = all.join_all().await;
    for (asked, answered, _) in &told {
        assert_eq!(asked, answered);
    }
    let mut versions: Vec<_> = told.iter().map(|it| it.2).collect();
    versions.sort_unstable();
    assert_eq!(versions, (1..=40).collect::<Vec<_>>());
}

#[tokio::test]
async fn no_amount_is_kept_before_identity_keeps_the_currency_as_it_is() {
    let world = World::create("everyone").await;
    let state = State { currency_fixed: Known::default(), ..world.state.clone() };
    let refused = target::set(&state, &caller(ADA), quarter(None, None, 1), now()).await;
    assert!(matches!(refused, Err(Error::Unavailable { .. })), "{refused:?}");
    assert!(seen(&world, ADA).await.is_empty());
    let denied = target::set(&state, &caller(AMY), quarter(None, None, 1), now()).await;
    assert!(matches!(denied, Err(Error::Denied { .. })), "for nobody else identity is asked");
}
