//! Events that cannot be applied: put aside, so that the next ones are, and tried again whenever a process begins to apply.

use chrono::{DateTime, Utc};
use sqlx::{Connection as _, PgConnection};
use tracing::{error, info, warn};

use crate::consumer::Consumer;
use crate::consumer::apply::{ATTEMPTS, Applied, ApplyError, Applying};
use crate::inbox::DeadLetter;
use crate::{Event, inbox};

/// Puts an event aside and moves on.
pub(super) async fn put_aside(
    connection: &mut PgConnection,
    consumer: &Consumer,
    from: i64,
    event: &Event,
    cause: &anyhow::Error,
) -> sqlx::Result<Applied> {
    let (name, source) = (&*consumer.name, &*consumer.source);
    let now = process::now();
    let mut transaction = connection.begin().await?;
    if !inbox::advance(&mut transaction, name, source, (from, event.position), true, now).await? {
        transaction.rollback().await?;
        return Ok(Applied::Moved);
    }
    let text = format!("{cause:#}");
    inbox::dead_letter(&mut transaction, name, source, event, (&text, ATTEMPTS), now).await?;
    transaction.commit().await?;
    error!(
        name,
        source,
        event_id = event.event_id,
        position = event.position,
        error = text,
        "an event was put aside"
    );
    let labels = [("consumer", consumer.name.clone()), ("source", consumer.source.clone())];
    metrics::gauge!("dead_letters", &labels).increment(1.0);
    Ok(Applied::All)
}

/// Tries everything again that was put aside: whoever begins to apply may be a build that can. What cannot be applied even now stays.
pub(super) async fn try_again<A>(
    connection: &mut PgConnection,
    consumer: &Consumer,
    apply: &A,
    now: DateTime<Utc>,
) -> sqlx::Result<()>
where
    A: for<'a> Fn(&'a mut PgConnection, &'a [Event]) -> Applying<'a> + Send + Sync,
{
    let (name, source) = (&*consumer.name, &*consumer.source);
    let mut after = 0;
    while let Some((position, event)) =
        inbox::next_dead_letter(connection, name, source, after).await?
    {
        after = position;
        // What stays aside is in the log and in its row.
        drop(again(connection, (name, source), (position, &event), apply, now).await?);
    }
    tell_count(connection, consumer).await
}

/// Tells how many events are put aside, whoever put them there or applied them since.
pub(super) async fn tell_count(
    connection: &mut PgConnection,
    consumer: &Consumer,
) -> sqlx::Result<()> {
    let (name, source) = (&*consumer.name, &*consumer.source);
    let labels = [("consumer", consumer.name.clone()), ("source", consumer.source.clone())];
    let left = inbox::count_dead_letters(connection, name, source).await?;
    #[expect(clippy::cast_precision_loss, reason = "a gauge")]
    metrics::gauge!("dead_letters", &labels).set(left as f64);
    Ok(())
}

/// Tries an event again that was put aside. What cannot be applied even now stays; the inner error says why.
pub async fn replay<A>(
    connection: &mut PgConnection,
    letter: &DeadLetter,
    apply: &A,
    now: DateTime<Utc>,
) -> sqlx::Result<Result<(), String>>
where
    A: for<'a> Fn(&'a mut PgConnection, &'a [Event]) -> Applying<'a> + Send + Sync,
{
    let told = (letter.position, &letter.event);
    again(connection, (&letter.consumer, &letter.source), told, apply, now).await
}

async fn again<A>(
    connection: &mut PgConnection,
    (name, source): (&str, &str),
    (position, event): (i64, &Result<Event, prost::DecodeError>),
    apply: &A,
    now: DateTime<Utc>,
) -> sqlx::Result<Result<(), String>>
where
    A: for<'a> Fn(&'a mut PgConnection, &'a [Event]) -> Applying<'a> + Send + Sync,
{
    let mut transaction = connection.begin().await?;
    // Nothing is applied beside it, by a rebuild neither.
    inbox::hold(&mut transaction, name, source).await?;
    let applied = match event {
        Ok(event) => apply(&mut transaction, std::slice::from_ref(event)).await,
        Err(error) => Err(error.clone().into()),
    };
    match applied {
        Ok(()) => {
            inbox::forget_dead_letter(&mut transaction, name, source, position).await?;
            transaction.commit().await?;
            info!(name, source, position, "an event that was put aside is applied");
            Ok(Ok(()))
        }
        Err(error) => {
            transaction.rollback().await?;
            let (ApplyError::Poison(cause) | ApplyError::Outage(cause)) = &error;
            let text = format!("{cause:#}");
            warn!(name, source, position, error = text, "an event stays aside");
            if matches!(error, ApplyError::Poison(_)) {
                inbox::still_dead(connection, name, source, position, &text, now).await?;
            }
            Ok(Err(text))
        }
    }
}
