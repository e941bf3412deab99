//! The broker fails in every way, and everything still arrives.

use events::stream;

use crate::broker::Broker;
use crate::world::{World, reaches};

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_although_the_broker_stops_and_starts_and_loses_its_store() {
    let mut broker = Broker::new();
    let mut world = World::with_broker(&broker.url()).await;
    let (consumer, mut position) = world.consumer(world.owner());
    world.spawn_relay();
    world.spawn_consumer(consumer);

    // There is none at the start.
    world.append_new(1, 100).await;
    reaches(&mut position, 100).await;
    broker.start();
    world.append_new(101, 100).await;
    reaches(&mut position, 200).await;

    broker.stop().await;
    world.append_new(201, 100).await;
    reaches(&mut position, 300).await;
    broker.start();
    world.append_new(301, 100).await;
    reaches(&mut position, 400).await;

    broker.stop().await;
    broker.wipe();
    world.append_new(401, 100).await;
    broker.start();
    world.append_new(501, 100).await;
    reaches(&mut position, 600).await;

    assert_eq!(world.applied().await, (1..=600).collect::<Vec<_>>());
    world.all_published().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_although_stream_and_consumer_are_deleted() {
    let mut world = World::new().await;
    let (consumer, mut position) = world.consumer(world.owner());
    let name = format!("{}-{}", consumer.name, consumer.source);
    world.spawn_relay();
    world.spawn_consumer(consumer);
    let context = stream::context(&world.nats);
    world.append_new(1, 100).await;
    reaches(&mut position, 100).await;
    world.all_published().await;

    context.delete_stream(world.settings.name()).await.unwrap();
    world.append_new(101, 100).await;
    reaches(&mut position, 200).await;

    // Either it is there again or it is just being made.
    let _ = context.delete_consumer_from_stream(&name, world.settings.name()).await;
    world.append_new(201, 100).await;
    reaches(&mut position, 300).await;
    assert_eq!(world.applied().await, (1..=300).collect::<Vec<_>>());
    world.end().await;
}
