//! Creations, closings and changes of team at the same time.

use std::sync::Arc;
use std::time::Duration;

use auth::{Caller, Role};
use opportunities::consumer;
use sqlx::PgPool;
use tokio::time::{Instant, sleep};

use crate::support::{World, caller, event, now, person};

const AMY: i64 = 1;
const NORTH: i64 = 7;
const SOUTH: i64 = 8;

async fn world() -> Arc<World> {
    let world = World::create("everyone").await;
    world.tell(&[event(1, person(AMY, "rep", Some(NORTH)))]).await;
    Arc::new(world)
}

fn amy() -> Caller {
    caller(AMY, Role::Rep, Some(NORTH))
}

/// Returns when that many connections to this database wait for a lock.
pub(crate) async fn waiting(pool: &PgPool, wanted: i64) {
    let asked = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let deadline = Instant::now() + Duration::from_secs(4);
    loop {
        let waiting: i64 = sqlx::query_scalar(asked).fetch_one(pool).await.unwrap();
        if waiting == wanted {
            return;
        }
        assert!(Instant::now() < deadline, "{waiting} wait, not {wanted}");
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_creation_that_comes_while_its_owner_moves_waits_and_is_made_for_the_new_team() {
    let world = world().await;
    let mut moving = world.state.writes.begin().await.unwrap();
    let goes = event(2, person(AMY, "rep", Some(SOUTH)));
    consumer::apply(&mut moving, &[goes], now()).await.unwrap();
    let creation = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.sale(&amy()).await.opportunity }
    });
    waiting(&world.state.reads, 1).await;
    moving.commit().await.unwrap();
    let made = creation.await.unwrap();
    assert_eq!((made.team_id, made.version), (Some(SOUTH), 1));
    assert_eq!(world.find(made.id).await, made);
    let changes: i64 =
        sqlx::query_scalar("select count(*) from change where aggregate = 'opportunity'")
            .fetch_one(&world.state.reads)
            .await
            .unwrap();
    assert_eq!(changes, 1, "what was not made is not told of");
}

#[tokio::test]
async fn a_change_of_team_waits_for_a_creation_that_began_before_and_takes_it_along() {
    let world = world().await;
    // The creation comes as far as its stage, which somebody holds.
    let mut holding = world.state.writes.begin().await.unwrap();
    sqlx::query("select from stages where key = 'lead' for update")
        .execute(&mut *holding)
        .await
        .unwrap();
    let creation = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.sale(&amy()).await.opportunity }
    });
    waiting(&world.state.reads, 1).await;
    let moving = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.tell(&[event(2, person(AMY, "rep", Some(SOUTH)))]).await }
    });
    waiting(&world.state.reads, 2).await;
    holding.rollback().await.unwrap();
    let made = creation.await.unwrap();
    moving.await.unwrap();
    assert_eq!((made.team_id, made.version), (Some(NORTH), 1));
    let now = world.find(made.id).await;
    assert_eq!((now.team_id, now.version), (Some(SOUTH), 2));
}

#[tokio::test]
async fn one_that_closes_while_its_owner_moves_stays_where_it_closed() {
    let world = world().await;
    let id = world.sale(&amy()).await.opportunity.id;
    // The closing has the opportunity and comes as far as its stage, which somebody holds.
    let mut holding = world.state.writes.begin().await.unwrap();
    sqlx::query("select from stages where key = 'won' for update")
        .execute(&mut *holding)
        .await
        .unwrap();
    let closing = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.advance(&amy(), id, "won").await.unwrap().opportunity }
    });
    waiting(&world.state.reads, 1).await;
    let moving = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.tell(&[event(2, person(AMY, "rep", Some(SOUTH)))]).await }
    });
    waiting(&world.state.reads, 2).await;
    holding.rollback().await.unwrap();
    let closed = closing.await.unwrap();
    moving.await.unwrap();
    assert_eq!((closed.team_id, closed.version), (Some(NORTH), 2));
    assert_eq!(world.find(id).await, closed);
}

#[tokio::test]
async fn however_it_falls_together_what_is_open_is_with_its_owner_in_the_end() {
    let world = world().await;
    let creations = (0..4).map(|_| {
        let world = Arc::clone(&world);
        tokio::spawn(async move {
            for number in 0..12 {
                let id = world.sale(&amy()).await.opportunity.id;
                if number % 3 == 0 {
                    for stage in ["lost", "proposal"] {
                        world.advance(&amy(), id, stage).await.unwrap();
                    }
                }
            }
        })
    });
    let creations: Vec<_> = creations.collect();
    let mut version = 1;
    while creations.iter().any(|it| !it.is_finished()) {
        version += 1;
        let team = if version % 2 == 0 { SOUTH } else { NORTH };
        world.tell(&[event(version, person(AMY, "rep", Some(team)))]).await;
    }
    for creation in creations {
        creation.await.unwrap();
    }
    assert!(version > 5, "{version}");
    let elsewhere: i64 = sqlx::query_scalar(
        "select count(*) from opportunities o join people p on p.user_id = o.owner_id where o.team_id is distinct from p.team_id",
    )
    .fetch_one(&world.state.reads)
    .await
    .unwrap();
    assert_eq!(elsewhere, 0);
    // And the change log has every version of each.
    let untold: i64 = sqlx::query_scalar(
        "select count(*) from opportunities o
         where version <> (select count(*) from change where aggregate = 'opportunity' and aggregate_id = o.id)",
    )
    .fetch_one(&world.state.reads)
    .await
    .unwrap();
    assert_eq!(untold, 0);
}
