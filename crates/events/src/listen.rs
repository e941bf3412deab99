//! A listener of the fan-out kind: every process hears the changes of a source as they happen, for caches and live streams.
//!
//! It hears what is published and keeps no place: a plain subscription, not a consumer of the stream, so that a wiped or refusing store
//! takes nothing away and a thousand listeners cost the broker no state. Positions have no gaps, so it knows when it missed something.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::{Client, Subscriber};
use futures::StreamExt as _;
use futures::stream::{self, Stream};
use tokio::time::{sleep, timeout};
use tracing::{error, warn};

use crate::stream::{Settings, is_connected};
use crate::{Event, wire};

/// How often it looks whether the connection was lost in between.
const LOOK: Duration = Duration::from_secs(1);

/// What a listener is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// It is listening, and may have missed something before: now is the time to load the present state from the owner. The
    /// first thing to be heard, and again after each loss.
    Joined,
    /// What was published: events in order that were not heard before.
    Events(Vec<Event>),
}

/// Hears the changes of a source from now on, for ever.
pub fn fan_out(
    nats: Client,
    settings: &Settings,
    source: &str,
) -> impl Stream<Item = Heard> + Send + use<> {
    let ear = Ear {
        subject: settings.subject(source),
        nats,
        subscriber: None,
        connects: 0,
        position: None,
    };
    stream::unfold(ear, async |mut ear| Some((ear.hear().await, ear)))
}

struct Ear {
    nats: Client,
    subject: String,
    subscriber: Option<Subscriber>,
    connects: u64,
    /// Of the last event heard; nothing before the first.
    position: Option<i64>,
}

impl Ear {
    async fn hear(&mut self) -> Heard {
        loop {
            let Some(subscriber) = &mut self.subscriber else {
                self.join().await;
                return Heard::Joined;
            };
            match timeout(LOOK, subscriber.next()).await {
                Ok(Some(message)) => match wire::decode_batch(message.payload) {
                    Ok(events) => {
                        if let Some(heard) = self.sort_out(events) {
                            return heard;
                        }
                    }
                    Err(error) => error!(%error, "a message is no batch of events"),
                },
                Ok(None) => self.subscriber = None,
                Err(_elapsed) if is_connected(&self.nats) && self.connects() != self.connects => {
                    self.connects = self.connects();
                    self.position = None;
                    return Heard::Joined;
                }
                Err(_elapsed) => {}
            }
        }
    }

    /// Leaves out what was heard before, and says so if something is missing.
    fn sort_out(&mut self, mut events: Vec<Event>) -> Option<Heard> {
        let known = self.position.unwrap_or(0);
        events.retain(|event| event.position > known);
        let (first, last) = (events.first()?.position, events.last()?.position);
        let missed = self.position.is_some_and(|known| first > known + 1);
        self.position = Some(last);
        // What came with it needs no telling: the present state has it.
        Some(if missed { Heard::Joined } else { Heard::Events(events) })
    }

    async fn join(&mut self) {
        loop {
            if is_connected(&self.nats) {
                self.connects = self.connects();
                match self.subscribe().await {
                    Ok(subscriber) => {
                        self.subscriber = Some(subscriber);
                        self.position = None;
                        return;
                    }
                    Err(error) => warn!(error = format!("{error:#}"), "not listening"),
                }
            }
            sleep(LOOK).await;
        }
    }

    async fn subscribe(&self) -> anyhow::Result<Subscriber> {
        let subscriber = self.nats.subscribe(self.subject.clone()).await?;
        // So that the broker knows of it before the present state is loaded.
        self.nats.flush().await?;
        Ok(subscriber)
    }

    fn connects(&self) -> u64 {
        self.nats.statistics().connects.load(Ordering::Relaxed)
    }
}
