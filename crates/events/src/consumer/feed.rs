//! What is applied next: messages of the broker and pages of the owner, merged into one sequence without gaps.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::time::Duration;

use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::message::Acker;
use async_nats::jetstream::{self, Context};
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream::ReadyChunks;
use sqlx::{Executor as _, PgConnection};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{debug, error, warn};

use crate::consumer::Consumer;
use crate::consumer::apply::{Applied, Applying, apply_all};
use crate::consumer::aside;
use crate::{Event, inbox, stream, wire};

/// Most events of a transaction.
const TRANSACTION_EVENTS: usize = 2_000;
/// Most events that wait for their turn; what comes on top is left to the broker or the owner.
const WAITING_EVENTS: usize = 5_000;
/// Most messages taken at once.
const MESSAGES: usize = 64;
/// Most messages that wait for their acknowledgement; the broker sends what is forgotten here again.
const UNACKNOWLEDGED: usize = 512;
/// How long the owner may take for a page.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between questions to the owner while there is no broker, and between attempts to have one.
const WITHOUT_BROKER: Duration = Duration::from_millis(500);
/// Between questions to an owner that does not answer while events wait: the first, and the most it doubles to.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

type Messages = ReadyChunks<pull::Stream>;

/// Applies on that connection until it fails.
pub(super) async fn follow<A>(
    mut connection: PgConnection,
    consumer: &Consumer,
    apply: &A,
) -> anyhow::Result<Infallible>
where
    A: for<'a> Fn(&'a mut PgConnection, &'a [Event]) -> Applying<'a> + Send + Sync,
{
    let connection = &mut connection;
    // It works for days on tables that grow: a plan that was made while one was nearly empty, and kept, would read all of it for each event.
    connection.execute("set plan_cache_mode = force_custom_plan").await?;
    let (name, source) = (&*consumer.name, &*consumer.source);
    inbox::begin(connection, name, source, process::now()).await?;
    aside::try_again(connection, consumer, apply, process::now()).await?;
    let context = stream::context(&consumer.nats);
    let mut feed = Feed::default();
    let mut messages: Option<Messages> = None;
    // It asks the owner at once: the broker may have lost what came while nobody listened.
    let mut ask_at = Instant::now();
    let mut backoff = BACKOFF.0;
    loop {
        if messages.is_none() {
            messages = open(&context, consumer).await;
        }
        let now = Instant::now();
        let until = if messages.is_some() { ask_at } else { ask_at.min(now + WITHOUT_BROKER) };
        match receive(&mut messages, until).await {
            Received::Messages(received) => {
                for message in received {
                    feed.take(message);
                    if feed.waiting.len() >= TRANSACTION_EVENTS {
                        feed.advance(connection, consumer, apply).await?;
                    }
                }
                feed.advance(connection, consumer, apply).await?;
                let now = Instant::now();
                if feed.waiting.is_empty() {
                    ask_at = now + consumer.poll_every;
                } else if backoff == BACKOFF.0 {
                    // A gap.
                    ask_at = now;
                }
                if now < ask_at {
                    continue;
                }
            }
            Received::Nothing => {}
            Received::Broken => messages = None,
        }
        // Here it is seen that the connection is gone or the position was moved, when no message comes.
        feed.move_to(inbox::position(connection, name, source).await?);
        aside::tell_count(connection, consumer).await?;
        match feed.ask(connection, consumer, apply).await? {
            Ok(()) => {
                backoff = BACKOFF.0;
                ask_at = Instant::now() + consumer.poll_every;
            }
            Err(error) => {
                warn!(name, source, error = format!("{error:#}"), "the owner does not answer");
                backoff = (backoff * 2).min(BACKOFF.1);
                ask_at = Instant::now() + backoff;
            }
        }
    }
}

/// What was heard and not yet applied or acknowledged.
#[derive(Default)]
struct Feed {
    position: i64,
    waiting: BTreeMap<i64, Event>,
    /// With the last position of the message.
    unacknowledged: VecDeque<(i64, Acker)>,
}

impl Feed {
    fn move_to(&mut self, position: i64) {
        self.position = position;
        self.waiting = self.waiting.split_off(&(position + 1));
    }

    /// Takes the events of a message that are new.
    fn take(&mut self, message: jetstream::Message) {
        let (message, acker) = message.split();
        // What cannot be decoded is a gap like any other; the owner fills it.
        let events = wire::decode_batch(message.payload).unwrap_or_else(|error| {
            error!(%error, "a message is no batch of events");
            Vec::new()
        });
        let last = events.last().map_or(0, |event| event.position);
        self.wait_for(events);
        self.unacknowledged.push_back((last, acker));
        if self.unacknowledged.len() > UNACKNOWLEDGED {
            self.unacknowledged.pop_front();
        }
    }

    fn wait_for(&mut self, events: Vec<Event>) {
        let new = events.into_iter().filter(|event| event.position > self.position);
        self.waiting.extend(new.map(|event| (event.position, event)));
        while self.waiting.len() > WAITING_EVENTS {
            self.waiting.pop_last();
        }
    }

    /// The events that are next, without a gap.
    fn next_run(&mut self) -> Vec<Event> {
        let mut run = Vec::new();
        let mut next = self.position + 1;
        while run.len() < TRANSACTION_EVENTS
            && let Some(event) = self.waiting.remove(&next)
        {
            run.push(event);
            next += 1;
        }
        run
    }

    /// Applies what has no gap before it and acknowledges what is applied.
    async fn advance<A>(
        &mut self,
        connection: &mut PgConnection,
        consumer: &Consumer,
        apply: &A,
    ) -> sqlx::Result<()>
    where
        A: for<'a> Fn(&'a mut PgConnection, &'a [Event]) -> Applying<'a> + Send + Sync,
    {
        loop {
            let run = self.next_run();
            let Some(last) = run.last() else { break };
            match apply_all(connection, consumer, apply, self.position, &run).await? {
                Applied::All => {
                    self.move_to(last.position);
                    report(
                        consumer,
                        self.position,
                        run.len(),
                        last.recorded_at.map(DateTime::from),
                    );
                }
                Applied::Moved => {
                    self.move_to(
                        inbox::position(connection, &consumer.name, &consumer.source).await?,
                    );
                }
            }
        }
        self.acknowledge().await;
        Ok(())
    }

    /// Asks the owner until there is nothing left. The outer error is the connection's, the inner one the owner's.
    async fn ask<A>(
        &mut self,
        connection: &mut PgConnection,
        consumer: &Consumer,
        apply: &A,
    ) -> sqlx::Result<anyhow::Result<()>>
    where
        A: for<'a> Fn(&'a mut PgConnection, &'a [Event]) -> Applying<'a> + Send + Sync,
    {
        loop {
            let before = self.position;
            let asked = timeout(PATIENCE, consumer.owner.changes_after(before)).await;
            let page = match asked.map_err(anyhow::Error::from).flatten() {
                Ok(page) => page,
                Err(error) => return Ok(Err(error)),
            };
            if page.last_position < before {
                let (name, source) = (&*consumer.name, &*consumer.source);
                error!(
                    name,
                    source,
                    position = before,
                    last = page.last_position,
                    "the owner knows less than was applied: rebuild"
                );
            }
            self.wait_for(page.events);
            self.advance(connection, consumer, apply).await?;
            if self.position >= page.last_position {
                report(consumer, self.position, 0, None);
                return Ok(Ok(()));
            }
            if self.position == before {
                return Ok(Err(anyhow::anyhow!("the owner left out position {}", before + 1)));
            }
        }
    }

    /// Tells the broker which messages are done with. It hears it twice, and if it does not hear it, it sends them again, which does no harm.
    async fn acknowledge(&mut self) {
        let position = self.position;
        let (done, rest): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.unacknowledged)
            .into_iter()
            .partition(|(last, _)| *last <= position);
        self.unacknowledged = rest;
        for answer in join_all(done.iter().map(|(_, acker)| acker.double_ack())).await {
            if let Err(error) = answer {
                debug!(%error, "an acknowledgement was lost");
            }
        }
    }
}

/// Tells metrics and whoever waits how far it is; `recorded_at` is that of the last event, nothing when none is outstanding.
fn report(consumer: &Consumer, position: i64, applied: usize, recorded_at: Option<DateTime<Utc>>) {
    let labels = [("consumer", consumer.name.clone()), ("source", consumer.source.clone())];
    let lag = recorded_at.map_or(TimeDelta::zero(), |at| process::now() - at);
    metrics::counter!("events_applied_total", &labels).increment(applied as u64);
    #[expect(clippy::cast_precision_loss, reason = "a gauge")]
    metrics::gauge!("consumer_position", &labels).set(position as f64);
    metrics::gauge!("consumer_lag_seconds", &labels).set(lag.as_seconds_f64().max(0.0));
    if let Some(told) = &consumer.position {
        told.send_replace(position);
    }
}

enum Received {
    Messages(Vec<jetstream::Message>),
    Nothing,
    Broken,
}

/// What the broker has ready, or what becomes of it until then.
async fn receive(messages: &mut Option<Messages>, until: Instant) -> Received {
    let Some(stream) = messages else {
        tokio::time::sleep_until(until).await;
        return Received::Nothing;
    };
    match timeout_at(until, stream.next()).await {
        Err(_elapsed) => Received::Nothing,
        Ok(None) => Received::Broken,
        Ok(Some(received)) => {
            let good: Vec<_> = received
                .into_iter()
                .filter_map(|message| match message {
                    Ok(message) => Some(message),
                    Err(error) => {
                        debug!(%error, "the broker's messages ended");
                        None
                    }
                })
                .collect();
            if good.is_empty() { Received::Broken } else { Received::Messages(good) }
        }
    }
}

/// The messages, made anew; nothing while the broker is out.
async fn open(context: &Context, consumer: &Consumer) -> Option<Messages> {
    if !stream::is_connected(&consumer.nats) {
        return None;
    }
    let (name, source) = (&*consumer.name, &*consumer.source);
    match stream::pull(context, &consumer.stream, name, source).await {
        Ok(messages) => Some(messages.ready_chunks(MESSAGES)),
        Err(error) => {
            warn!(name, source, error = format!("{error:#}"), "the broker gives no messages");
            None
        }
    }
}
