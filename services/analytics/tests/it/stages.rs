//! Numbers by stages that are made, renamed, brought into another order and deleted.

use analytics::report;
use rpc::Invalid;

use crate::support::{AMY, Deal, World, at, caller, everything, now, pipeline_of};

/// Name, count and conversion of every stage of the overview; the rates are those of the report on conversion too.
async fn funnel(world: &World) -> Vec<(String, i64, Option<f64>)> {
    world.state.load().await.unwrap();
    let (by, ask) = (caller(AMY), everything());
    let overview = report::overview(&world.state, &by, &ask, now()).await.unwrap();
    let rates = (None, None);
    let report = report::conversion(&world.state, &by, &ask, rates, Invalid::default(), now());
    let rates: Vec<_> =
        report.await.unwrap().items.into_iter().map(|it| (it.stage, it.conversion_rate)).collect();
    let all = overview.stages.into_iter().map(|it| (it.name, it.count, it.conversion_rate));
    let all: Vec<_> = all.collect();
    let open =
        all.iter().filter(|(name, _, _)| !name.starts_with("WON") && !name.starts_with("LOST"));
    let open: Vec<_> = open.map(|(name, _, rate)| (name.clone(), *rate)).collect();
    assert_eq!(open, rates);
    all
}

fn row(name: &str, count: i64, rate: Option<f64>) -> (String, i64, Option<f64>) {
    (name.to_owned(), count, rate)
}

/// What is kept is what the facts add up to by the stages that there are and were.
async fn is_sum_of_facts(world: &World) {
    let before = funnel(world).await;
    let mut tx = world.state.writes.begin().await.unwrap();
    analytics::projection::remake_rollups(&mut tx, &world.state.settings.get().unwrap())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(funnel(world).await, before);
}

#[tokio::test]
async fn the_funnel_follows_the_stages_and_what_went_further_went_further_though_the_stage_is_gone()
{
    let mut world = World::create("everyone").await;
    let mut events = Vec::new();
    let mut open = None;
    for (id, ways) in [
        (1, &["proposal", "won"][..]),
        (2, &["demo", "lost"]),
        (3, &["lost"]),
        (4, &["proposal", "lost"]),
        (5, &["demo"]),
    ] {
        let (mut deal, begun) = Deal::begin(id, AMY, Some(100), "2025-10-01T01:00:00Z");
        events.extend(begun);
        for (day, stage) in ways.iter().enumerate() {
            events.push(deal.move_to(stage, at(&format!("2025-10-0{}T01:00:00Z", day + 2))));
        }
        open = Some(deal);
    }
    // The stage and what came into it in one go, and the stage after what came into it.
    let mut all = vec![pipeline_of(2, "lead demo proposal won lost")];
    all.extend(events);
    all.push(pipeline_of(3, "lead demo proposal won lost"));
    world.tell(all).await;
    assert_eq!(
        funnel(&world).await,
        [
            row("LEAD 3", 0, Some(0.8)),
            row("DEMO 3", 1, Some(0.0)),
            row("PROPOSAL 3", 0, Some(0.5)),
            row("WON 3", 1, None),
            row("LOST 3", 3, None),
        ]
    );
    is_sum_of_facts(&world).await;
    // In another order another stage is the later one, for what was before, too.
    world.tell(vec![pipeline_of(4, "proposal lead demo won lost")]).await;
    assert_eq!(
        funnel(&world).await[..3],
        [row("PROPOSAL 4", 0, Some(0.5)), row("LEAD 4", 0, Some(0.6)), row("DEMO 4", 1, Some(0.0))]
    );
    is_sum_of_facts(&world).await;
    // A stage is deleted: what stood in it has gone elsewhere before.
    let gone = open.unwrap().move_to("proposal", at("2025-11-01T01:00:00Z"));
    world.tell(vec![gone, pipeline_of(5, "proposal lead won lost")]).await;
    assert_eq!(
        funnel(&world).await,
        [
            row("PROPOSAL 5", 1, Some(0.5)),
            row("LEAD 5", 0, Some(0.6)),
            row("WON 5", 1, None),
            row("LOST 5", 3, None),
        ]
    );
    is_sum_of_facts(&world).await;
}
