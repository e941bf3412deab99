//! Applying: events and the position they lead to, in one transaction; an event that cannot be applied is put aside.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::BoxFuture;
use sqlx::{Connection as _, PgConnection};
use tokio::time::sleep;
use tracing::warn;

use crate::consumer::Consumer;
use crate::consumer::aside::put_aside;
use crate::{Event, inbox, trace};

/// How often the events of a transaction are tried together before they are tried one by one.
pub(super) const ATTEMPTS: i32 = 3;
/// Before the second attempt, and before each attempt while the database is out.
const BACKOFF: Duration = Duration::from_millis(100);

/// What an applying function returns.
pub type Applying<'a> = BoxFuture<'a, Result<(), ApplyError>>;

/// Why events were not applied. The question is only whether it would help to wait.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The event is to blame: it will fail again. After some attempts it is put aside and the next ones are applied.
    #[error("the event cannot be applied")]
    Poison(#[source] anyhow::Error),
    /// Something else is to blame, such as the database: tried again until it works.
    #[error("nothing can be applied at present")]
    Outage(#[source] anyhow::Error),
}

impl From<sqlx::Error> for ApplyError {
    fn from(error: sqlx::Error) -> Self {
        if blames_the_event(&error) {
            Self::Poison(error.into())
        } else {
            Self::Outage(error.into())
        }
    }
}

impl From<prost::DecodeError> for ApplyError {
    fn from(error: prost::DecodeError) -> Self {
        Self::Poison(error.into())
    }
}

/// Whether the values of the statement made it fail. A missing table or right, a conflict with another transaction, a lost connection or
/// a full disk are nobody's fault among the events.
fn blames_the_event(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::RowNotFound
        | sqlx::Error::Encode(_)
        | sqlx::Error::Decode(_)
        | sqlx::Error::ColumnDecode { .. } => true,
        sqlx::Error::Database(error) => {
            let class = error.code().unwrap_or_default();
            // Cardinality, data, integrity, raised, program limits.
            ["21", "22", "23", "P0", "54"].iter().any(|blamed| class.starts_with(blamed))
        }
        _ => false,
    }
}

/// What became of a run of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Applied {
    /// They are applied or put aside; the position is that of the last one.
    All,
    /// The position is not where it was thought to be.
    Moved,
}

/// Applies events that follow `from` without gap. Returns when they are applied or put aside, and fails only if the connection is of no
/// more use.
pub(super) async fn apply_all<A>(
    connection: &mut PgConnection,
    consumer: &Consumer,
    apply: &A,
    from: i64,
    events: &[Event],
) -> sqlx::Result<Applied>
where
    A: for<'a> Fn(&'a mut PgConnection, &'a [Event]) -> Applying<'a> + Send + Sync,
{
    let (name, source) = (&*consumer.name, &*consumer.source);
    let mut failures = 0;
    while failures < ATTEMPTS {
        match attempt(connection, consumer, apply, from, events, process::now()).await? {
            Ok(applied) => return Ok(applied),
            Err(ApplyError::Outage(error)) => {
                warn!(name, source, error = format!("{error:#}"), "events wait");
                connection.ping().await?;
            }
            Err(ApplyError::Poison(error)) => {
                failures += 1;
                warn!(
                    name,
                    source,
                    failures,
                    error = format!("{error:#}"),
                    "events were not applied"
                );
                if let ([event], ATTEMPTS) = (events, failures) {
                    return put_aside(connection, consumer, from, event, &error).await;
                }
            }
        }
        sleep(BACKOFF).await;
    }
    let mut from = from;
    for event in events {
        let one = std::slice::from_ref(event);
        if Box::pin(apply_all(connection, consumer, apply, from, one)).await? == Applied::Moved {
            return Ok(Applied::Moved);
        }
        from = event.position;
    }
    Ok(Applied::All)
}

/// One transaction. The outer error is the connection's, the inner one the applying function's.
async fn attempt<A>(
    connection: &mut PgConnection,
    consumer: &Consumer,
    apply: &A,
    from: i64,
    events: &[Event],
    now: DateTime<Utc>,
) -> sqlx::Result<Result<Applied, ApplyError>>
where
    A: for<'a> Fn(&'a mut PgConnection, &'a [Event]) -> Applying<'a> + Send + Sync,
{
    let to = events.last().map_or(from, |event| event.position);
    let mut transaction = connection.begin().await?;
    let (name, source, durable) = (&consumer.name, &consumer.source, consumer.durable);
    if !inbox::advance(&mut transaction, name, source, (from, to), durable, now).await? {
        transaction.rollback().await?;
        return Ok(Ok(Applied::Moved));
    }
    let _traces = trace::continue_traces(&consumer.name, events);
    if let Err(error) = apply(&mut transaction, events).await {
        transaction.rollback().await?;
        return Ok(Err(error));
    }
    match transaction.commit().await {
        Ok(()) => Ok(Ok(Applied::All)),
        // A deferred constraint speaks at the commit.
        Err(error) if error.as_database_error().is_some() => Ok(Err(error.into())),
        Err(error) => Err(error),
    }
}
