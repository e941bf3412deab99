//! How a period stands to its target, over a real database.

use analytics::ask::Ask;
use analytics::attainment::model::{Attainments, Standing};
use analytics::period::Asked;
use analytics::target::{self, Wish};
use analytics::{attainment, forecast};
use rpc::Error;

use crate::support::{AMY, BOB, Deal, MEI, TEAM, World, at, caller, everything, money, now, on};

/// An administrator.
const ADA: i64 = 10;

/// Amy won 1000 in October and lost 1000 in May; open with her: 200 overdue, 400 for December, 600 for next year, 800 without a date. Bob won 300 before the twelve months.
async fn told(visibility: &str) -> World {
    let mut world = World::create(visibility).await;
    let mut events = Vec::new();
    for (id, owner_id, units, stage, moved_at) in [
        (1, AMY, 1000, "won", "2025-10-05T01:00:00Z"),
        (2, AMY, 1000, "lost", "2025-05-05T01:00:00Z"),
        (3, BOB, 300, "won", "2024-11-30T01:00:00Z"),
    ] {
        let (mut deal, created) = Deal::begin(id, owner_id, Some(units), "2024-07-01T01:00:00Z");
        events.extend(created);
        events.push(deal.move_to(stage, at(moved_at)));
    }
    for (id, units, day) in [
        (4, 200, Some("2025-08-15")),
        (5, 400, Some("2025-12-31")),
        (6, 600, Some("2026-02-01")),
        (7, 800, None),
    ] {
        let (mut deal, created) = Deal::begin(id, AMY, Some(units), "2025-07-01T01:00:00Z");
        events.extend(created);
        events.push(deal.change(|it| it.expected_close_date = day.map(|day| on(day).into())));
    }
    world.tell(events).await;
    for (owner_id, team_id, units) in
        [(None, None, 5000), (Some(AMY), None, 2000), (None, Some(TEAM), 900)]
    {
        let wish = Wish {
            period: Some("quarter".to_owned()),
            year: Some(2025),
            quarter: Some(4),
            owner_id,
            team_id,
            amount: Some(money(units)),
            ..Wish::default()
        };
        target::set(&world.state, &caller(ADA), wish, now()).await.unwrap();
    }
    world
}

async fn of(world: &World, by: i64, ask: &Ask, rows: Option<&str>) -> Attainments {
    let asked = Asked::default();
    let what = (&asked, rows);
    attainment::attainments(&world.state, &caller(by), ask, what, now()).await.unwrap()
}

#[tokio::test]
async fn a_quarter_under_way_says_what_is_missing_and_how_much_pipeline_that_takes() {
    let world = told("everyone").await;
    let it = of(&world, BOB, &everything(), None).await;
    // The 20th of November is the 51st of 92 days.
    assert_eq!((it.elapsed.days, it.elapsed.of, it.elapsed.share()), (51, 92, Some(0.5543)));
    let total = &it.total;
    assert_eq!((total.closed_won, total.attainment()), (money(1000), Some(0.2)));
    assert_eq!(total.pace, Some("2771.74".parse().unwrap()));
    assert_eq!(total.ahead(), Some("-1771.74".parse().unwrap()));
    assert_eq!((total.open_pipeline, total.open_count), (money(600), 2));
    assert_eq!((total.gap(), total.coverage()), (Some(money(4000)), Some(0.15)));
    // Won 1000, lost 1000: what Bob won is a year and more ago.
    assert_eq!(total.win_rate(), Some(0.5));
    assert_eq!(total.pipeline_needed(), Some(money(8000)));
    assert_eq!(total.pipeline_missing(), Some(money(7400)));
    assert_eq!(total.state(), Standing::Short { gap: money(4000), missing: money(7400) });
    assert_eq!(it.not_covered.without_date, 1);
    assert!(it.items.is_empty(), "nobody asked for people");
}

#[tokio::test]
async fn it_agrees_with_the_forecast_of_the_same_period() {
    let world = told("everyone").await;
    for (period, year, number) in
        [("quarter", 2025, 3), ("quarter", 2025, 4), ("quarter", 2026, 1), ("year", 2025, 1)]
    {
        let quarter = Some(number).filter(|_| period == "quarter");
        let asked = Asked { period: Some(period), year: Some(year), quarter, month: None };
        let (state, by) = (&world.state, caller(AMY));
        let it = attainment::attainments(state, &by, &everything(), (&asked, None), now()).await;
        let it = it.unwrap();
        let says = forecast::forecast(state, &by, &everything(), &asked, now()).await.unwrap();
        assert_eq!(it.total.closed_won, says.whole.closed_won, "{asked:?}");
        let open = says.by_stage.iter().map(|it| it.total_value).sum();
        assert_eq!(it.total.open_pipeline, open, "{asked:?}");
        assert_eq!(it.total.target, says.target, "{asked:?}");
        assert_eq!(it.not_covered, says.not_covered, "{asked:?}");
    }
}

#[tokio::test]
async fn each_person_of_a_team_is_held_against_their_own_target() {
    let world = told("everyone").await;
    let of_team = Ask { team_id: Some(TEAM), ..Ask::default() };
    let it = of(&world, MEI, &of_team, Some("owner")).await;
    assert_eq!(it.total.target.map(|it| it.amount), Some(money(900)));
    assert!(matches!(it.total.state(), Standing::Met { above } if above == money(100)));
    let rows: Vec<_> = it.items.iter().map(|it| (it.owner.clone(), it.gap())).collect();
    assert_eq!(rows, [(Some((AMY, "Amy".to_owned())), Some(money(1000)))]);
    let all = of(&world, MEI, &everything(), Some("owner")).await;
    let names: Vec<_> = all.items.iter().filter_map(|it| Some(it.owner.clone()?.1)).collect();
    assert_eq!(names, ["Amy", "Bob", "Mei"], "who sells has a row");
    let won = all.items.iter().map(|it| it.closed_won).sum();
    assert_eq!(all.total.closed_won, won);
    let asked = Asked::default();
    let by_what = (&asked, Some("team"));
    let refused =
        attainment::attainments(&world.state, &caller(MEI), &everything(), by_what, now()).await;
    assert!(matches!(refused, Err(Error::Invalid(fields)) if fields[0].field == "by"));
}

#[tokio::test]
async fn nobody_s_numbers_are_told_to_who_may_not_see_them() {
    let world = told("owner").await;
    let bob = of(&world, BOB, &everything(), Some("owner")).await;
    assert_eq!((bob.total.closed_won, bob.total.open_pipeline), (money(0), money(0)));
    assert_eq!((bob.total.target, bob.total.win_rate()), (None, None));
    assert_eq!(bob.items.len(), 1);
    let of_amy = Ask { owner_id: Some(AMY), ..Ask::default() };
    let bob = of(&world, BOB, &of_amy, Some("owner")).await;
    assert_eq!((bob.total.state(), bob.items.len()), (Standing::NoTarget, 0));
    let mei = of(&world, MEI, &everything(), Some("owner")).await;
    assert_eq!((mei.total.closed_won, mei.items.len()), (money(1000), 2));
    assert_eq!(mei.total.target.map(|it| it.amount), Some(money(900)));
}
