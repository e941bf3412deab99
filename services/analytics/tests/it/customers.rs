//! What customers are called where opportunities are listed.

use analytics::forecast::outlook;
use analytics::period::Asked;
use analytics::rebuild::rebuild;
use analytics::report::change::{self, Between};
use analytics::report::opened::{self, model::Wanted};
use rpc::Invalid;

use crate::owner;
use crate::support::{AMY, Deal, World, at, caller, everything, now};

/// What the customer of the only opportunity is called in each list.
async fn told(world: &World) -> [Option<String>; 3] {
    let (state, amy, ask) = (&world.state, caller(AMY), everything());
    let (which, page) = ((&Asked::default(), None), (Some(50), None));
    let open = outlook::opportunities(state, &amy, &ask, which, page, now()).await.unwrap();
    let wanted = Wanted { term: Some("entered"), stage_key: Some("lead"), ..Wanted::default() };
    let what = ("conversion-rate", &wanted);
    let behind = opened::opportunities(state, &amy, &ask, what, page, Invalid::default(), now());
    let behind = behind.await.unwrap();
    let between = Between { from: None, to: None, close_from: None, close_to: None };
    let wanted = change::Wanted { term: Some("created"), limit: Some(50), cursor: None };
    let what = (&between, &wanted);
    let changed = change::opportunities(state, &amy, &ask, what, Invalid::default(), now());
    let changed = changed.await.unwrap();
    [
        open.items[0].opportunity.customer_name.clone(),
        behind.items[0].customer_name.clone(),
        changed.items[0].present.customer_name.clone(),
    ]
}

fn called(name: &str) -> [Option<String>; 3] {
    [0; 3].map(|_| Some(name.to_owned()))
}

#[tokio::test]
async fn customers_are_called_as_they_are_by_now_and_as_the_log_says_after_a_rebuild() {
    let mut world = World::create("everyone").await;
    let (mut deal, mut events) = Deal::begin(1, AMY, Some(100), "2025-11-18T01:00:00Z");
    events.push(deal.change(|it| "甲公司".clone_into(&mut it.customer_name)));
    world.tell(events).await;
    assert_eq!(told(&world).await, called("甲公司"));
    let renamed = deal.change(|it| "乙公司".clone_into(&mut it.customer_name));
    world.tell(vec![renamed]).await;
    assert_eq!(told(&world).await, called("乙公司"));
    // As it is with what was told before names were kept.
    let forget = "update opportunity_facts set customer_name = null";
    sqlx::query(forget).execute(&world.state.writes).await.unwrap();
    assert_eq!(told(&world).await, [None, None, None]);
    let log = world.log.clone();
    let (people, deals) = (owner::having(log.clone()).await, owner::having(log).await);
    let mut connection = world.state.writes.acquire().await.unwrap();
    rebuild(&mut connection, &people, &deals, at("2025-11-20T12:00:00Z")).await.unwrap();
    assert_eq!(told(&world).await, called("乙公司"));
}
