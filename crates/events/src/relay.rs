//! The relay: one task of the owning service that gives committed changes their positions and publishes them.

use std::time::Duration;

use anyhow::Context as _;
use async_nats::Client;
use async_nats::jetstream::Context;
use async_nats::jetstream::message::PublishMessage;
use bytes::BytesMut;
use process::Secret;
use sqlx::PgConnection;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::outbox::{self, Placed};
use crate::wire::{BATCH_BYTES, BATCH_EVENTS, MESSAGE_BYTES, append_to_batch, len_in_batch};
use crate::{Wake, lock, stream};

/// How often it looks without being woken.
const POLL: Duration = Duration::from_millis(50);
/// The least time from one message to the next, so that under load a message, a transaction of each consumer and two syncs of the broker serve many
/// changes. A change that comes alone does not wait.
const PACE: Duration = Duration::from_millis(15);
/// How long it is waited before another attempt to lead.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a step may take before the connection counts as lost.
const STEP: Duration = Duration::from_secs(30);
/// Between attempts to publish: the first, and the most it doubles to.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// Most changes that are given positions at once.
const PLACE_EVENTS: i64 = 5_000;
/// While more is placed than one message takes, new changes get positions only every so many steps.
const PLACE_EVERY: u32 = 16;

/// What a relay needs.
#[derive(Clone, Debug)]
pub struct Relay {
    /// The owning service: `identity`, `opportunities`.
    pub source: String,
    /// Its database, as the role that may change rows.
    pub database_url: Secret,
    /// From [`stream::connect`].
    pub nats: Client,
    /// The stream to publish to.
    pub stream: stream::Settings,
    /// Woken after commits.
    pub wake: Wake,
}

/// Runs until `shutdown`, whatever happens to database and broker. Every replica of a service runs one; one of them works and
/// the others stand by.
pub async fn run(relay: Relay, shutdown: CancellationToken) -> anyhow::Result<()> {
    metrics::gauge!("relay_leader", "source" => relay.source.clone()).set(0.0);
    // Dropping the work at any point loses nothing: each statement is whole, and what was published twice is applied once.
    let _ = shutdown.run_until_cancelled(take_turns(&relay)).await;
    Ok(())
}

async fn take_turns(relay: &Relay) {
    let leader = metrics::gauge!("relay_leader", "source" => relay.source.clone());
    let key = lock::key("relay", &relay.source);
    loop {
        match lock::hold(relay.database_url.expose(), key).await {
            Ok(mut connection) => {
                info!(source = relay.source, "relaying");
                leader.set(1.0);
                let Err(error) = lead(&mut connection, relay).await;
                leader.set(0.0);
                warn!(source = relay.source, error = format!("{error:#}"), "no longer relaying");
            }
            Err(error) => warn!(source = relay.source, %error, "relay has no database"),
        }
        sleep(PAUSE).await;
    }
}

/// Relays until the connection fails.
async fn lead(
    connection: &mut PgConnection,
    relay: &Relay,
) -> anyhow::Result<std::convert::Infallible> {
    let context = stream::context(&relay.nats);
    if stream::is_connected(&relay.nats) {
        // Only to be quick with the first message; what goes wrong here goes wrong there again.
        let _ = stream::ensure(&context, &relay.stream).await;
    }
    let mut cursor = start(connection).await?;
    let mut backoff = BACKOFF.0;
    loop {
        let begun = Instant::now();
        let stepped = timeout(STEP, step(connection, &context, relay, &mut cursor)).await;
        match stepped.context("the database does not answer")?? {
            Step::Idle => {
                tokio::select! {
                    () = relay.wake.woken() => {}
                    () = sleep(POLL) => {}
                }
                backoff = BACKOFF.0;
            }
            Step::Published(count) => {
                backoff = BACKOFF.0;
                if count < BATCH_EVENTS {
                    sleep_until(begun + PACE).await;
                }
            }
            Step::Refused => {
                sleep(backoff).await;
                backoff = (backoff * 2).min(BACKOFF.1);
            }
        }
    }
}

/// Where a relay stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The first position not published yet.
    next: i64,
    /// The last position that is known to be given.
    last: i64,
    steps: u32,
}

impl Cursor {
    fn waiting(&self) -> i64 {
        self.last + 1 - self.next
    }
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There was nothing to publish.
    Idle,
    /// That many events are in the stream and out of the outbox.
    Published(usize),
    /// The broker did not take them; they have positions and wait.
    Refused,
}

/// Where the relay before, or this one before a crash, left off; from now on the connection is the relay's.
pub async fn start(connection: &mut PgConnection) -> sqlx::Result<Cursor> {
    outbox::read_by_index(connection).await?;
    let (next, last) = outbox::bounds(connection).await?;
    Ok(Cursor { next, last, steps: 0 })
}

/// One step: gives positions, publishes one message, waits for the broker's answer and clears the outbox. Fails only if the database does,
/// after which the connection is not to be used again.
pub async fn step(
    connection: &mut PgConnection,
    context: &Context,
    relay: &Relay,
    cursor: &mut Cursor,
) -> anyhow::Result<Step> {
    let batch = place(connection, cursor).await?;
    let pending = metrics::gauge!("outbox_pending", "source" => relay.source.clone());
    #[expect(clippy::cast_precision_loss, reason = "a gauge")]
    pending.set(cursor.waiting() as f64);
    if batch.is_empty() {
        return Ok(Step::Idle);
    }
    if let Err(error) = publish(context, relay, &batch).await {
        let waiting = cursor.waiting();
        warn!(
            source = relay.source,
            waiting,
            error = format!("{error:#}"),
            "the broker did not take changes"
        );
        // Consumers can have from the owner what has a position, so none waits for one.
        cursor.steps = 0;
        return Ok(Step::Refused);
    }
    remove(connection, &batch, cursor).await?;
    let published = metrics::counter!("events_published_total", "source" => relay.source.clone());
    published.increment(batch.len() as u64);
    Ok(Step::Published(batch.len()))
}

/// The first part of a step: gives positions to new changes and answers those to publish next, as many as make a message.
pub async fn place(
    connection: &mut PgConnection,
    cursor: &mut Cursor,
) -> sqlx::Result<Vec<Placed>> {
    let limit = i64::try_from(BATCH_EVENTS).unwrap_or(i64::MAX);
    // While positioned changes wait, the search for new ones has to pass them by; it need not do so at each step.
    let crowded = cursor.waiting() >= limit && !cursor.steps.is_multiple_of(PLACE_EVERY);
    cursor.steps = cursor.steps.wrapping_add(1);
    let fresh = if crowded { 0 } else { PLACE_EVENTS };
    let mut batch = outbox::place(connection, cursor.next, fresh, limit).await?;
    if let Some(placed) = batch.first() {
        cursor.last = placed.last_position;
    }
    let mut bytes = 0;
    let fits = batch.iter().take_while(|placed| {
        bytes += len_in_batch(&placed.payload, placed.position);
        bytes <= BATCH_BYTES
    });
    // One that is too large for a message of several goes alone.
    let fits = fits.count().max(1);
    batch.truncate(fits);
    Ok(batch)
}

/// The second part: publishes the batch as one message and waits until the stream has it. Makes the stream if there is none.
pub async fn publish(context: &Context, relay: &Relay, batch: &[Placed]) -> anyhow::Result<()> {
    let ([first, ..], [.., last]) = (batch, batch) else { return Ok(()) };
    let size = batch.iter().map(|placed| len_in_batch(&placed.payload, placed.position)).sum();
    // The headers want some room too.
    if size > MESSAGE_BYTES - 1024 {
        error!(source = relay.source, event_id = %first.event_id, size, "an event is too large for the broker, consumers must ask for it");
        return Ok(());
    }
    anyhow::ensure!(stream::is_connected(&relay.nats), "not connected");
    let mut body = BytesMut::with_capacity(size);
    for placed in batch {
        append_to_batch(&mut body, &placed.payload, placed.position);
    }
    let message = PublishMessage::build()
        .payload(body.freeze())
        .message_id(format!("{}-{}", first.event_id, last.event_id));
    let Err(error) = send(context, relay, message.clone()).await else { return Ok(()) };
    // Mostly there is no stream. Its absence has no error of its own: while anybody listens on the subject the message has a
    // receiver, only none that answers.
    debug!(source = relay.source, error = format!("{error:#}"), "making the stream");
    stream::ensure(context, &relay.stream).await?;
    send(context, relay, message).await
}

async fn send(context: &Context, relay: &Relay, message: PublishMessage) -> anyhow::Result<()> {
    context.send_publish(relay.stream.subject(&relay.source), message).await?.await?;
    Ok(())
}

/// The last part: takes what was published out of the outbox.
pub async fn remove(
    connection: &mut PgConnection,
    batch: &[Placed],
    cursor: &mut Cursor,
) -> sqlx::Result<()> {
    let change_ids: Vec<i64> = batch.iter().map(|placed| placed.change_id).collect();
    outbox::remove(connection, &change_ids).await?;
    if let Some(last) = batch.last() {
        cursor.next = last.position + 1;
    }
    Ok(())
}
