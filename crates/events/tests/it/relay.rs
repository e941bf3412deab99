//! Positions and publication.

use events::relay::{self, Step};
use events::{Event, lock, outbox, stream, wire};
use futures::StreamExt as _;
use tokio::task::JoinSet;

use crate::world::{World, change, named_change};

/// Steps until there is nothing to publish.
async fn drain(world: &World, connection: &mut sqlx::PgConnection) -> Vec<usize> {
    let context = stream::context(&world.nats);
    let relay = world.relay();
    let mut cursor = relay::start(connection).await.unwrap();
    let mut published = Vec::new();
    while let Step::Published(events) =
        relay::step(connection, &context, &relay, &mut cursor).await.unwrap()
    {
        published.push(events);
    }
    published
}

/// All messages of the stream, each as its events.
async fn messages(world: &World) -> Vec<Vec<Event>> {
    let context = stream::context(&world.nats);
    let mut info = context.get_stream(world.settings.name()).await.unwrap();
    let count = usize::try_from(info.info().await.unwrap().state.messages).unwrap();
    let messages =
        stream::pull(&context, &world.settings, "reader", crate::world::SOURCE).await.unwrap();
    let messages: Vec<_> = messages.take(count).collect().await;
    messages
        .into_iter()
        .map(|message| wire::decode_batch(message.unwrap().payload.clone()).unwrap())
        .collect()
}

#[tokio::test]
async fn the_change_that_was_committed_first_comes_first() {
    let world = World::new().await;
    let mut connection = world.connection().await;
    let mut early = world.pool.begin().await.unwrap();
    outbox::append(&mut early, &[change(1, 1)]).await.unwrap();
    world.append(&[change(2, 1)]).await;
    assert_eq!(drain(&world, &mut connection).await, [1]);
    early.commit().await.unwrap();
    assert_eq!(drain(&world, &mut connection).await, [1]);

    let page = events::log::list_changes(&world.pool, 0, 0).await.unwrap();
    let told: Vec<_> =
        page.events.iter().map(|event| (event.position, event.aggregate_id)).collect();
    assert_eq!(told, [(1, 2), (2, 1)]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_eight_writers_get_every_position_once() {
    const TRANSACTIONS: i64 = 60;
    let world = World::new().await;
    let mut writers = JoinSet::new();
    for writer in 1..=8 {
        let pool = world.pool.clone();
        writers.spawn(async move {
            for version in 1..=TRANSACTIONS {
                let mut transaction = pool.begin().await.unwrap();
                outbox::append(&mut transaction, &[change(writer, version)]).await.unwrap();
                let more = change(writer + 100, version);
                outbox::append(&mut transaction, &[more, change(writer + 200, version)])
                    .await
                    .unwrap();
                transaction.commit().await.unwrap();
            }
        });
    }
    let mut connection = world.connection().await;
    while writers.try_join_next().is_some() || !writers.is_empty() {
        drain(&world, &mut connection).await;
    }
    drain(&world, &mut connection).await;

    let events: Vec<Event> = messages(&world).await.into_iter().flatten().collect();
    let total = 8 * 3 * TRANSACTIONS;
    let positions: Vec<_> = events.iter().map(|event| event.position).collect();
    assert_eq!(positions, (1..=total).collect::<Vec<_>>());
    for id in (1..=8).flat_map(|id| [id, id + 100, id + 200]) {
        let versions: Vec<_> = events
            .iter()
            .filter(|event| event.aggregate_id == id)
            .map(|event| event.version)
            .collect();
        assert_eq!(versions, (1..=TRANSACTIONS).collect::<Vec<_>>(), "record {id}");
    }
    assert_eq!(world.count("select count(*) from outbox").await, 0);
    world.end().await;
}

#[tokio::test]
async fn what_is_told_is_what_was_appended() {
    let world = World::new().await;
    let appended = [change(1, 1), change(2, 1)];
    world.append(&appended).await;
    drain(&world, &mut world.connection().await).await;
    let expected: Vec<Event> = appended
        .iter()
        .zip(1..)
        .map(|(change, position)| Event { position, ..events::change::event(change) })
        .collect();
    assert_eq!(messages(&world).await.concat(), expected);
    assert_eq!(events::log::list_changes(&world.pool, 0, 0).await.unwrap().events, expected);
    world.end().await;
}

#[tokio::test]
async fn a_relay_that_dies_before_it_clears_publishes_the_same_positions_again() {
    let world = World::new().await;
    let (context, relay) = (stream::context(&world.nats), world.relay());
    world.append_new(1, 3).await;
    let mut first = world.connection().await;
    let mut cursor = relay::start(&mut first).await.unwrap();
    let batch = relay::place(&mut first, &mut cursor).await.unwrap();
    relay::publish(&context, &relay, &batch).await.unwrap();
    drop(first);

    world.append_new(4, 2).await;
    let mut second = world.connection().await;
    assert_eq!(drain(&world, &mut second).await, [5]);
    let told: Vec<Vec<_>> = messages(&world)
        .await
        .iter()
        .map(|events| events.iter().map(|event| (event.position, event.aggregate_id)).collect())
        .collect();
    assert_eq!(told[0], [(1, 1), (2, 2), (3, 3)]);
    assert_eq!(told[1], [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]);
    assert_eq!(world.count("select count(*) from outbox").await, 0);
    world.end().await;
}

#[tokio::test]
async fn a_message_keeps_to_its_bounds() {
    let world = World::new().await;
    world.append_new(1, 501).await;
    let large: Vec<_> = (1001..=1003).map(|id| named_change(id, 1, "x".repeat(100_000))).collect();
    world.append(&large).await;
    let published = drain(&world, &mut world.connection().await).await;
    // Each of the large ones has its name twice: in the record and as a changed field.
    assert_eq!(published, [500, 3, 1]);
    assert!(messages(&world).await.iter().all(|events| {
        prost::Message::encoded_len(&events::EventBatch { events: events.clone() })
            <= wire::BATCH_BYTES
    }));
    world.end().await;
}

#[tokio::test]
async fn an_event_too_large_for_the_broker_does_not_stop_the_others() {
    let world = World::new().await;
    world.append(&[named_change(1, 1, "x".repeat(600_000)), change(2, 1)]).await;
    assert_eq!(drain(&world, &mut world.connection().await).await, [1, 1]);
    let positions: Vec<_> =
        messages(&world).await.concat().iter().map(|event| event.position).collect();
    assert_eq!(positions, [2]);
    assert_eq!(events::log::list_changes(&world.pool, 0, 0).await.unwrap().events[0].position, 1);
    world.end().await;
}

#[tokio::test]
async fn changes_have_positions_while_there_is_no_broker() {
    let world = World::with_broker(&crate::broker::Broker::new().url()).await;
    let (context, relay) = (stream::context(&world.nats), world.relay());
    let mut connection = world.connection().await;
    let mut cursor = relay::start(&mut connection).await.unwrap();
    for wave in 0..3 {
        world.append_new(1 + wave * 400, 400).await;
        let step = relay::step(&mut connection, &context, &relay, &mut cursor).await.unwrap();
        assert_eq!(step, Step::Refused);
        let last = events::log::last_position(&world.pool).await.unwrap();
        assert_eq!(last, (wave + 1) * 400);
    }
    assert_eq!(world.count("select count(*) from outbox").await, 1200);
    world.end().await;
}

#[tokio::test]
async fn a_relay_that_is_far_behind_reads_what_it_publishes_and_not_all_that_waits() {
    let world = World::new().await;
    let mut connection = world.connection().await;
    // It is empty.
    world.analyze_outbox().await;
    world.append_new(1, 10_000).await;
    relay::start(&mut connection).await.unwrap();
    let mut read = async || -> i64 {
        let placed = outbox::place(&mut connection, 1, 500, 500).await.unwrap();
        assert_eq!(placed.len(), 500);
        let flush = "select pg_stat_force_next_flush()";
        sqlx::query(flush).execute(&mut connection).await.unwrap();
        let sql = "select seq_tup_read from pg_stat_user_tables where relname = 'outbox'";
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
    };
    // Where it left off was looked for in all of it, once.
    assert_eq!(read().await, read().await);
    // Nor is any of it compiled, which takes longer than all the rest.
    let jit: String = sqlx::query_scalar("show jit").fetch_one(&mut connection).await.unwrap();
    assert_eq!(jit, "off");
    world.end().await;
}

#[tokio::test]
async fn whoever_stands_by_keeps_its_connection_and_takes_over() {
    let world = World::new().await;
    let key = lock::key("test", &world.url);
    let first = lock::try_hold(&world.url, key).await.unwrap().unwrap();
    let url = world.url.clone();
    let standing_by = tokio::spawn(async move { lock::hold(&url, key).await.unwrap() });
    // It has asked more than once.
    let asked = "select count(*) from pg_stat_activity
        where datname = current_database() and query = 'select pg_try_advisory_lock($1)'
          and query_start > backend_start + interval '1 second'";
    world.wait_for(asked, 1).await;
    let who = "select array_agg(pid order by pid) from pg_stat_activity
        where datname = current_database() and query = 'select pg_try_advisory_lock($1)'";
    let connected: Vec<i32> = sqlx::query_scalar(who).fetch_one(&world.pool).await.unwrap();
    assert_eq!(connected.len(), 2);
    assert!(!standing_by.is_finished());

    drop(first);
    let mut second = standing_by.await.unwrap();
    assert!(lock::try_hold(&world.url, key).await.unwrap().is_none());
    let pid: i32 =
        sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut second).await.unwrap();
    assert!(connected.contains(&pid));
    drop(second);
    world.end().await;
}
