//! Forecasts: what is won, what is open, and what is left out.

use analytics::forecast::{self, model::Forecast};
use analytics::period::Asked;
use events::{Event, Record};

use crate::support::{AMY, Deal, World, at, caller, everything, money, now, on, pipeline_of};

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
    assert_eq!((it.whole.closed_won, it.whole.from_pipeline), (money(1000), money(300)));
    assert_eq!(it.whole.expected(), money(1300));
    assert_eq!(
        [it.whole.range[2], it.whole.range[0]],
        ["1569.4".parse().unwrap(), "1158.1".parse().unwrap()]
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
    assert_eq!((next.whole.closed_won, next.whole.from_pipeline), (money(0), money(300)));
    assert_eq!(next.not_covered.without_date, 0);
    let past = of(&world, 2025, 3).await;
    assert_eq!((past.whole.expected(), &*past.model.name), (money(0), "closed"));
    assert_eq!(past.by_stage[1].count, 0);
}

#[tokio::test]
async fn categories_add_up_to_what_is_open_by_what_each_says_or_its_stage() {
    let mut world = World::create("everyone").await;
    let mut deals = Vec::new();
    for (id, category) in [(1, None), (2, Some("commit")), (3, Some("omitted")), (4, None)] {
        let (mut deal, mut events) = Deal::begin(id, AMY, Some(100), "2025-07-01T01:00:00Z");
        events.push(deal.change(|it| {
            it.expected_close_date = (id < 4).then(|| on("2025-12-31").into());
            it.forecast_category = category.map(str::to_owned);
        }));
        world.tell(events).await;
        deals.push(deal);
    }
    let counts = async |world: &World| {
        let it = of(world, 2025, 4).await;
        let rows = it.by_category;
        assert_eq!(
            rows.iter().map(|it| it.total_value).sum::<::money::Money>(),
            it.by_stage.iter().map(|it| it.total_value).sum()
        );
        let predicted = it.by_stage.iter().map(|it| it.predicted_value).sum();
        assert_eq!(it.whole.from_pipeline, predicted);
        let left_out = rows[3].weighted_value;
        let weighted = rows.iter().map(|it| it.weighted_value).sum::<::money::Money>();
        assert_eq!(it.whole.from_pipeline, weighted - left_out);
        rows.map(|it| it.count)
    };
    // A lead has a chance of 10 %.
    assert_eq!(counts(&world).await, [1, 0, 1, 1]);
    world.tell(vec![categorised(2, Some(70), None)]).await;
    world.state.load().await.unwrap();
    assert_eq!(counts(&world).await, [1, 1, 0, 1]);
    world.tell(vec![categorised(3, Some(70), Some("omitted"))]).await;
    world.state.load().await.unwrap();
    assert_eq!(counts(&world).await, [1, 0, 0, 2], "what says so itself is not left out");
    let back = deals[2].change(|it| it.forecast_category = Some("best_case".to_owned()));
    world.tell(vec![back]).await;
    assert_eq!(counts(&world).await, [1, 1, 0, 1]);
    let won = deals[1].move_to("won", at("2025-11-19T01:00:00Z"));
    world.tell(vec![won]).await;
    assert_eq!(counts(&world).await, [0, 1, 0, 1], "what is closed is of none of them");
    let again = deals[1].move_to("proposal", at("2025-11-20T01:00:00Z"));
    world.tell(vec![again]).await;
    assert_eq!(counts(&world).await, [1, 1, 0, 1]);
}

/// The pipeline as of a version, in which leads are as sure as that.
fn categorised(version: i64, probability: Option<i32>, category: Option<&str>) -> Event {
    let mut event = pipeline_of(version, "lead proposal won lost");
    if let Some(Record::Pipeline(it)) = &mut event.record {
        it.stages[0].default_probability = probability.unwrap_or_default();
        it.stages[0].forecast_category = category.map(str::to_owned);
        it.stages[1].default_probability = 50;
    }
    event
}
