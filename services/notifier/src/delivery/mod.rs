//! Deliveries: from the queue to the other side, tried again for a day.

pub mod mail;
pub mod model;
pub mod store;

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::join_all;
use metrics::Counter;
use sqlx::PgPool;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span, error, field, info, info_span, warn};

use self::{
    mail::Mailer,
    model::{Content, Due, Failure, LEASE, Letter, Outcome},
};
use crate::{identity::Identity, password_link};

/// How many are sent at once.
const AT_ONCE: i64 = 8;
/// How often the worker looks without being woken.
const POLL: Duration = Duration::from_secs(1);

/// How long identity may take to tell a link. With what the mail server may take for its commands it is within [`LEASE`].
const PATIENCE: Duration = Duration::from_secs(30);

/// What a worker sends with.
#[derive(Clone, Debug)]
pub struct Post {
    /// Sends mails.
    pub mailer: Mailer,
    /// Asked for links that are to be mailed.
    pub identity: Identity,
}

/// Sends what is due until `shutdown`, woken after every event that was applied, of whichever service. Every replica runs one; they share the work.
pub async fn run(
    pool: PgPool,
    post: Post,
    mut applied: watch::Receiver<i64>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    // What is counted from its first time on rises from nothing then, which no query sees.
    for state in ["delivered", "retry", "exhausted", "cancelled"] {
        let _ = counter(state);
    }
    while !shutdown.is_cancelled() {
        match step(&pool, &post, process::now()).await {
            Ok(0) => {}
            Ok(_) => continue,
            Err(error) => warn!(%error, "deliveries wait for the database"),
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(POLL) => {}
            changed = applied.changed() => if changed.is_err() {
                // Nobody applies any more: the process is about to end.
                shutdown.cancelled().await;
            },
        }
    }
    Ok(())
}

/// Takes on what is due now, sends it and keeps what became of it. Answers how many there were.
pub async fn step(pool: &PgPool, post: &Post, now: DateTime<Utc>) -> sqlx::Result<usize> {
    let mut tx = pool.begin().await?;
    let due = store::lease(&mut tx, now, now + LEASE, AT_ONCE).await?;
    tx.commit().await?;
    if due.is_empty() {
        return Ok(0);
    }
    let results = join_all(due.iter().map(|one| traced(post, one, now))).await;
    let mut tx = pool.begin().await?;
    for (one, (address, result)) in due.iter().zip(results) {
        let outcome = one.settle(result, now);
        tell(one, &outcome);
        store::settle(&mut tx, one, address.as_deref(), &outcome, now).await?;
    }
    tx.commit().await?;
    Ok(due.len())
}

/// An attempt as a span of the trace of the request that caused the mail, if it has one.
async fn traced(
    post: &Post,
    due: &Due,
    now: DateTime<Utc>,
) -> (Option<String>, Result<(), Failure>) {
    let span = due.traceparent.as_deref().map_or_else(Span::none, |traceparent| {
        let span = info_span!(
            "mail",
            "otel.name" = "notifier sends a mail",
            "otel.kind" = "client",
            delivery_id = due.id,
            attempts = due.attempts,
            "otel.status_code" = field::Empty,
        );
        events::continue_trace(&span, traceparent);
        span
    });
    let (address, result) = attempt(post, due, now).instrument(span.clone()).await;
    // Why stays in the logs: a mail server says it with addresses.
    if let Err(Failure::Passing(_) | Failure::Permanent(_)) = result {
        span.record("otel.status_code", "ERROR");
    }
    (address, result)
}

/// Where it went, if that is known, and how.
async fn attempt(
    post: &Post,
    due: &Due,
    now: DateTime<Utc>,
) -> (Option<String>, Result<(), Failure>) {
    let letter = match letter(post, due).await {
        Ok(letter) => letter,
        Err(failure) => return (None, Err(failure)),
    };
    let sent = if letter.recipient.is_active {
        post.mailer.send(&letter, &due.message_id, now).await
    } else {
        Err(Failure::Permanent("the recipient is no longer active".to_owned()))
    };
    (Some(letter.recipient.email), sent)
}

async fn letter(post: &Post, due: &Due) -> Result<Letter, Failure> {
    match &due.content {
        Content::Notification { title, body, recipient } => {
            let recipient = recipient
                .clone()
                .ok_or_else(|| Failure::Passing("the recipient is not known yet".to_owned()))?;
            Ok(Letter { recipient, title: title.clone(), body: body.clone() })
        }
        Content::PasswordLink(id) => {
            let link = timeout(PATIENCE, post.identity.password_link(*id)).await;
            let link = link.map_err(|_| Failure::Passing("identity is silent".to_owned()))??;
            Ok(password_link::model::letter(&link))
        }
    }
}

fn tell(due: &Due, outcome: &Outcome) {
    let state = match outcome {
        Outcome::Delivered => {
            info!(delivery_id = due.id, attempts = due.attempts, "mail delivered");
            "delivered"
        }
        Outcome::Retry { at, error } => {
            warn!(delivery_id = due.id, attempts = due.attempts, error, next_attempt_at = %at, "mail not delivered yet");
            "retry"
        }
        Outcome::Exhausted { error } => {
            error!(delivery_id = due.id, attempts = due.attempts, error, "mail given up");
            "exhausted"
        }
        Outcome::Cancelled { reason } => {
            info!(
                delivery_id = due.id,
                attempts = due.attempts,
                reason,
                "mail not needed any more"
            );
            "cancelled"
        }
    };
    counter(state).increment(1);
}

fn counter(state: &'static str) -> Counter {
    metrics::counter!("deliveries_total", "channel" => "email", "state" => state)
}
