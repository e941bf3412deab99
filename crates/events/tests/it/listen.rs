//! What is heard in passing.

use std::pin::pin;
use std::time::Duration;

use events::listen::{Heard, fan_out};
use futures::{Stream, StreamExt as _};

use crate::broker::Broker;
use crate::consumer::publish;
use crate::world::{SOURCE, World};

async fn next(heard: &mut (impl Stream<Item = Heard> + Unpin)) -> Heard {
    tokio::time::timeout(Duration::from_secs(30), heard.next())
        .await
        .expect("something is heard")
        .unwrap()
}

fn positions(heard: Heard) -> Vec<i64> {
    match heard {
        Heard::Events(events) => events.iter().map(|event| event.position).collect(),
        Heard::Joined => panic!("nothing was missed"),
    }
}

#[tokio::test]
async fn a_listener_hears_each_event_once_and_knows_when_it_missed_some() {
    let mut broker = Broker::new();
    let mut world = World::with_broker(&broker.url()).await;
    let mut heard = pin!(fan_out(world.nats.clone(), &world.settings, SOURCE));
    broker.start();
    assert_eq!(next(&mut heard).await, Heard::Joined);
    let relay = world.spawn_relay();
    world.append_new(1, 2).await;
    assert_eq!(positions(next(&mut heard).await), [1, 2]);

    world.all_published().await;
    broker.stop().await;
    relay.cancel();
    broker.start();
    assert_eq!(next(&mut heard).await, Heard::Joined);
    world.spawn_relay();
    world.append_new(3, 1).await;
    assert_eq!(positions(next(&mut heard).await), [3]);
    world.end().await;
}

#[tokio::test]
async fn a_listener_is_told_of_a_gap_and_never_of_what_it_heard() {
    let world = World::new().await;
    let mut heard = pin!(fan_out(world.nats.clone(), &world.settings, SOURCE));
    assert_eq!(next(&mut heard).await, Heard::Joined);
    for message in [&[7, 8][..], &[7, 8], &[8, 9], &[11], &[12]] {
        publish(&world, message).await;
    }
    assert_eq!(positions(next(&mut heard).await), [7, 8]);
    assert_eq!(positions(next(&mut heard).await), [9]);
    assert_eq!(next(&mut heard).await, Heard::Joined);
    assert_eq!(positions(next(&mut heard).await), [12]);
    world.end().await;
}
