//! Forecasts: what is won, what is open, and what is left out.

use analytics::forecast::{self, model::Forecast};
use analytics::period::Asked;

use crate::support::{AMY, Deal, World, at, caller, everything, money, now, on};

/// Won 1000 in October; open: 200 overdue since August, 400 for December, 600 for next February, 800 without a date.
async fn told() -> World {
    let mut world = World::create("everyone").await;
    let (mut first, mut events) = Deal::begin(1, AMY, Some(1000), "2025-07-01T01:00:00Z");
    events.push(first.move_to("won", at("2025-10-05T01:00:00Z")));
    for (id, units, day) in [
        (2, 200, Some("2025-08-15")),
        (3, 400, Some("2025-12-31")),
        (4, 600, Some("2026-02-01")),
        (5, 800, None),
    ] {
        let (mut deal, created) = Deal::begin(id, AMY, Some(units), "2025-07-01T01:00:00Z");
        events.extend(created);
        events.push(deal.move_to("proposal", at("2025-07-02T01:00:00Z")));
        events.push(deal.change(|it| it.expected_close_date = day.map(|day| on(day).into())));
    }
    world.tell(events).await;
    world
}

async fn of(world: &World, year: i32, quarter: i32) -> Forecast {
    let asked = Asked { year: Some(year), quarter: Some(quarter), ..Asked::default() };
    forecast::forecast(&world.state, &caller(AMY), &everything(), &asked, now()).await.unwrap()
}

#[tokio::test]
async fn the_present_period_takes_what_is_overdue_and_says_what_has_no_date() {
    let world = told().await;
    let it = of(&world, 2025, 4).await;
    assert_eq!((it.closed_won, it.from_pipeline), (money(1000), money(300)));
    assert_eq!(it.expected(), money(1300));
    assert_eq!(
        (it.optimistic, it.pessimistic),
        ("1569.4".parse().unwrap(), "1158.1".parse().unwrap())
    );
    assert_eq!((it.by_stage[1].count, it.by_stage[1].total_value), (2, money(600)));
    assert_eq!(it.not_covered.without_date, 1);
    let unasked = Asked::default();
    let present =
        forecast::forecast(&world.state, &caller(AMY), &everything(), &unasked, now()).await;
    assert_eq!(present.unwrap(), it);
}

#[tokio::test]
async fn a_period_to_come_takes_its_own_and_one_that_is_over_nothing() {
    let world = told().await;
    let next = of(&world, 2026, 1).await;
    assert_eq!((next.closed_won, next.from_pipeline), (money(0), money(300)));
    assert_eq!(next.not_covered.without_date, 0);
    let past = of(&world, 2025, 3).await;
    assert_eq!((past.expected(), past.model.name), (money(0), "closed"));
    assert_eq!(past.by_stage[1].count, 0);
}
