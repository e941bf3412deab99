//! Each event is applied once and in order, whatever comes in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::anyhow;
use bytes::BytesMut;
use events::{ApplyError, ChangeSource, Event, stream, wire};
use prost::Message as _;
use tokio::sync::watch;

use crate::world::{SOURCE, World, apply, change, reaches};

/// An owner that must not be needed.
fn no_owner() -> ChangeSource {
    ChangeSource::new(async |_| Err(anyhow!("there is no owner")))
}

/// Publishes events of those positions as one message, as a relay would.
pub(crate) async fn publish(world: &World, positions: &[i64]) {
    let mut batch = BytesMut::new();
    for position in positions {
        let payload = events::change::event(&change(*position, 1)).encode_to_vec();
        wire::append_to_batch(&mut batch, &payload, *position);
    }
    let context = stream::context(&world.nats);
    stream::ensure(&context, &world.settings).await.unwrap();
    let sent = context.publish(world.settings.subject(SOURCE), batch.freeze()).await.unwrap();
    sent.await.unwrap();
}

#[tokio::test]
async fn messages_out_of_order_and_doubled_apply_once_and_in_order() {
    let mut world = World::new().await;
    for positions in [&[4, 5][..], &[1, 2], &[1, 2], &[2, 3], &[4, 5], &[1], &[6]] {
        publish(&world, positions).await;
    }
    let (consumer, mut position) = world.consumer(no_owner());
    world.spawn_consumer(consumer);
    reaches(&mut position, 6).await;
    assert_eq!(world.applied().await, [1, 2, 3, 4, 5, 6]);
    world.end().await;
}

#[tokio::test]
async fn what_was_applied_before_a_restart_is_not_applied_again() {
    let mut world = World::new().await;
    publish(&world, &[1, 2]).await;
    let (consumer, mut position) = world.consumer(no_owner());
    let running = world.spawn_consumer(consumer);
    reaches(&mut position, 2).await;
    running.cancel();

    // A new durable consumer, to which the broker tells everything.
    let context = stream::context(&world.nats);
    context.delete_stream(world.settings.name()).await.unwrap();
    publish(&world, &[1, 2, 3]).await;
    let (consumer, mut position) = world.consumer(no_owner());
    world.spawn_consumer(consumer);
    reaches(&mut position, 3).await;
    assert_eq!(world.applied().await, [1, 2, 3]);
    world.end().await;
}

#[tokio::test]
async fn a_gap_is_filled_by_the_owner() {
    let mut world = World::new().await;
    let asked = Arc::new(AtomicI64::new(-1));
    let owner = world.owner();
    let owner = ChangeSource::new({
        let asked = Arc::clone(&asked);
        move |after| {
            asked.store(after, Ordering::Relaxed);
            let owner = owner.clone();
            async move { owner.changes_after(after).await }
        }
    });
    let (consumer, mut position) = world.consumer(owner);
    world.spawn_consumer(consumer);
    publish(&world, &[1, 2]).await;
    reaches(&mut position, 2).await;
    // The owner has placed what it did not publish.
    world.append_new(1, 5).await;
    let mut connection = world.connection().await;
    let mut cursor = events::relay::start(&mut connection).await.unwrap();
    events::relay::place(&mut connection, &mut cursor).await.unwrap();
    publish(&world, &[5]).await;
    reaches(&mut position, 5).await;
    assert_eq!(world.applied().await, [1, 2, 3, 4, 5]);
    assert!(asked.load(Ordering::Relaxed) >= 2);
    world.end().await;
}

#[tokio::test]
async fn an_event_that_cannot_be_applied_is_put_aside_and_the_rest_goes_on() {
    let mut world = World::new().await;
    world.append(&[change(1, 1), change(666, 1), change(2, 1)]).await;
    world.append_new(3, 3).await;
    let (consumer, mut position) = world.consumer(world.owner());
    world.spawn_relay();
    world.spawn_consumer(consumer);
    reaches(&mut position, 6).await;
    assert_eq!(world.applied().await, [1, 3, 4, 5, 6]);
    let (position, error, attempts): (i64, String, i32) =
        sqlx::query_as("select position, error, attempts from dead_letter")
            .fetch_one(&world.pool)
            .await
            .unwrap();
    assert_eq!((position, attempts), (2, 3));
    assert!(error.contains("applied_aggregate_id_check"), "{error}");
    world.end().await;
}

#[tokio::test]
async fn what_was_put_aside_is_applied_by_the_next_process_that_can() {
    let mut world = World::new().await;
    world.append(&[change(1, 1), change(666, 1), change(2, 1)]).await;
    let (consumer, mut position) = world.consumer(world.owner());
    world.spawn_relay();
    let running = world.spawn_consumer(consumer);
    reaches(&mut position, 3).await;
    running.cancel();

    let (consumer, mut position) = world.consumer(world.owner());
    world.spawn_consumer_with(consumer, |connection, events| {
        Box::pin(async move {
            let mended = events.iter().cloned().map(|event| Event {
                aggregate_id: if event.aggregate_id == 666 { 667 } else { event.aggregate_id },
                ..event
            });
            apply(connection, &mended.collect::<Vec<_>>()).await
        })
    });
    reaches(&mut position, 3).await;
    assert_eq!(world.applied().await, [1, 3, 2]);
    assert_eq!(world.count("select count(*) from dead_letter").await, 0);
    world.end().await;
}

#[tokio::test]
async fn an_outage_puts_nothing_aside() {
    let mut world = World::new().await;
    world.append_new(1, 10).await;
    let (consumer, mut position) = world.consumer(world.owner());
    let calls = AtomicI64::new(0);
    world.spawn_relay();
    world.spawn_consumer_with(consumer, move |connection, events| {
        let out = calls.fetch_add(1, Ordering::Relaxed) < 8;
        Box::pin(async move {
            apply(connection, events).await?;
            if out { Err(ApplyError::Outage(anyhow!("out"))) } else { Ok(()) }
        })
    });
    reaches(&mut position, 10).await;
    assert_eq!(world.applied().await, (1..=10).collect::<Vec<_>>());
    assert_eq!(world.count("select count(*) from dead_letter").await, 0);
    world.end().await;
}

#[tokio::test]
async fn only_the_values_of_a_statement_are_blamed_on_the_event() {
    let world = World::new().await;
    let failing = async |sql: &'static str| {
        ApplyError::from(sqlx::query(sql).execute(&world.pool).await.unwrap_err())
    };
    let division = failing("select 1 / (select count(*) from applied)").await;
    assert!(matches!(division, ApplyError::Poison(_)), "{division:?}");
    for sql in [
        "select from nowhere",
        "delete from change",
        "select pg_terminate_backend(pg_backend_pid())",
    ] {
        let error = failing(sql).await;
        assert!(matches!(error, ApplyError::Outage(_)), "{error:?}");
    }
    world.end().await;
}

#[tokio::test]
async fn of_two_consumers_of_one_name_one_applies_and_the_other_takes_over() {
    let mut world = World::new().await;
    let (consumer, mut first) = world.consumer(world.owner());
    let running = world.spawn_consumer(consumer);
    let relay = world.spawn_relay();
    world.append_new(1, 1).await;
    reaches(&mut first, 1).await;
    let (mut consumer, mut second) = world.consumer(world.owner());
    let (applies, hears_applies) = watch::channel(false);
    consumer.applies = Some(applies);
    world.spawn_consumer(consumer);
    world.spawn_relay();
    world.append_new(2, 10).await;
    reaches(&mut first, 11).await;
    assert_eq!(*second.borrow(), 0);
    assert!(!*hears_applies.borrow());

    running.cancel();
    relay.cancel();
    world.append_new(12, 10).await;
    reaches(&mut second, 21).await;
    assert!(*hears_applies.borrow());
    assert_eq!(world.applied().await, (1..=21).collect::<Vec<_>>());
    assert_eq!(*first.borrow(), 11);
    world.end().await;
}

#[tokio::test]
async fn a_rebuild_may_move_the_position_under_a_running_consumer() {
    let mut world = World::new().await;
    let (consumer, mut position) = world.consumer(world.owner());
    world.spawn_relay();
    world.spawn_consumer(consumer);
    world.append_new(1, 3).await;
    reaches(&mut position, 3).await;

    let mut rebuild = world.pool.begin().await.unwrap();
    sqlx::query("update inbox set position = 1").execute(&mut *rebuild).await.unwrap();
    sqlx::query("delete from applied where position > 1").execute(&mut *rebuild).await.unwrap();
    rebuild.commit().await.unwrap();
    world.append_new(4, 1).await;
    reaches(&mut position, 4).await;
    assert_eq!(world.applied().await, [1, 2, 3, 4]);
    world.end().await;
}
