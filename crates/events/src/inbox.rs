//! What a consumer remembers in its own database: the last position applied of each source, and the events it could not apply.

use chrono::{DateTime, Utc};
use prost::Message as _;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use crate::Event;

/// The last position applied, 0 before the first event.
pub async fn position(
    connection: &mut PgConnection,
    consumer: &str,
    source: &str,
) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "select coalesce(max(position), 0) from inbox where consumer = $1 and source = $2",
    )
    .bind(consumer)
    .bind(source)
    .fetch_one(connection)
    .await
}

/// Makes the row of a source that was never heard of, at position 0.
pub async fn begin(
    connection: &mut PgConnection,
    consumer: &str,
    source: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into inbox (consumer, source, position, applied_at) values ($1, $2, 0, $3)
        on conflict (consumer, source) do nothing",
    )
    .bind(consumer)
    .bind(source)
    .bind(now)
    .execute(connection)
    .await?;
    Ok(())
}

/// Moves the position on, from exactly `from`; false if it stands elsewhere, because a rebuild moved it. Comes first in the transaction
/// that applies: the row stays locked until it ends. Unless `durable` its commit waits for no disk.
pub async fn advance(
    transaction: &mut PgConnection,
    consumer: &str,
    source: &str,
    (from, to): (i64, i64),
    durable: bool,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let moved = sqlx::query(
        "update inbox set position = $4, applied_at = $5
        where consumer = $1 and source = $2 and position = $3 and ($6 or set_config('synchronous_commit', 'off', true) = 'off')",
    )
    .bind(consumer)
    .bind(source)
    .bind(from)
    .bind(to)
    .bind(now)
    .bind(durable)
    .execute(transaction)
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// Keeps a source's position where it is until this transaction ends: whoever applies waits.
pub async fn hold(
    transaction: &mut PgConnection,
    consumer: &str,
    source: &str,
) -> sqlx::Result<()> {
    sqlx::query("select 1 from inbox where consumer = $1 and source = $2 for update")
        .bind(consumer)
        .bind(source)
        .execute(transaction)
        .await?;
    Ok(())
}

/// Puts a source's position somewhere else, as a rebuild does.
pub async fn set(
    transaction: &mut PgConnection,
    consumer: &str,
    source: &str,
    position: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query(
        "update inbox set position = $3, applied_at = $4 where consumer = $1 and source = $2",
    )
    .bind(consumer)
    .bind(source)
    .bind(position)
    .bind(now)
    .execute(transaction)
    .await?;
    Ok(())
}

/// Puts an event aside that could not be applied, with what was wrong and how often it was tried.
pub async fn dead_letter(
    transaction: &mut PgConnection,
    consumer: &str,
    source: &str,
    event: &Event,
    (error, attempts): (&str, i32),
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query(
        "insert into dead_letter (consumer, source, position, event_id, payload, error, attempts, failed_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        on conflict on constraint dead_letter_position_key
        do update set error = excluded.error, attempts = dead_letter.attempts + excluded.attempts, failed_at = excluded.failed_at",
    )
    .bind(consumer)
    .bind(source)
    .bind(event.position)
    .bind(Uuid::parse_str(&event.event_id).unwrap_or_default())
    .bind(event.encode_to_vec())
    .bind(error)
    .bind(attempts)
    .bind(now)
    .execute(transaction)
    .await?;
    Ok(())
}

/// An event that was put aside, and why.
#[derive(Debug)]
pub struct DeadLetter {
    /// Its id.
    pub dead_letter_id: i64,
    /// Who put it aside.
    pub consumer: String,
    /// The service whose event it is.
    pub source: String,
    /// The event's place in its source's sequence.
    pub position: i64,
    /// The event, if it can be decoded.
    pub event: Result<Event, prost::DecodeError>,
    /// What was wrong the last time.
    pub error: String,
    /// How often it was tried.
    pub attempts: i32,
    /// The last time.
    pub failed_at: DateTime<Utc>,
}

/// The events that consumers have put aside, in the order in which that happened: those after an id, so many at most.
pub async fn dead_letters(
    connection: &mut PgConnection,
    consumers: &[&str],
    after_id: i64,
    limit: i64,
) -> sqlx::Result<Vec<DeadLetter>> {
    let rows = sqlx::query(
        "select dead_letter_id, consumer, source, position, payload, error, attempts, failed_at from dead_letter
        where consumer = any($1) and dead_letter_id > $2 order by dead_letter_id limit $3",
    )
    .bind(consumers)
    .bind(after_id)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.iter().map(read).collect()
}

/// The events that consumers have put aside, those first that were tried longest ago, so many at most.
pub async fn longest_ago(
    connection: &mut PgConnection,
    consumers: &[&str],
    limit: i64,
) -> sqlx::Result<Vec<DeadLetter>> {
    let rows = sqlx::query(
        "select dead_letter_id, consumer, source, position, payload, error, attempts, failed_at from dead_letter
        where consumer = any($1) order by failed_at, dead_letter_id limit $2",
    )
    .bind(consumers)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    rows.iter().map(read).collect()
}

fn read(row: &PgRow) -> sqlx::Result<DeadLetter> {
    Ok(DeadLetter {
        dead_letter_id: row.try_get(0)?,
        consumer: row.try_get(1)?,
        source: row.try_get(2)?,
        position: row.try_get(3)?,
        event: Event::decode(row.try_get::<&[u8], _>(4)?),
        error: row.try_get(5)?,
        attempts: row.try_get(6)?,
        failed_at: row.try_get(7)?,
    })
}

/// How many events consumers have put aside.
pub async fn count(connection: &mut PgConnection, consumers: &[&str]) -> sqlx::Result<i64> {
    sqlx::query_scalar("select count(*) from dead_letter where consumer = any($1)")
        .bind(consumers)
        .fetch_one(connection)
        .await
}

/// Says of an event that is put aside what is wrong with it even now.
pub async fn still_dead(
    connection: &mut PgConnection,
    consumer: &str,
    source: &str,
    position: i64,
    error: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query(
        "update dead_letter set error = $4, attempts = attempts + 1, failed_at = $5
        where consumer = $1 and source = $2 and position = $3",
    )
    .bind(consumer)
    .bind(source)
    .bind(position)
    .bind(error)
    .bind(now)
    .execute(connection)
    .await?;
    Ok(())
}

/// The next event after a position that was put aside, if it can be decoded.
pub async fn next_dead_letter(
    connection: &mut PgConnection,
    consumer: &str,
    source: &str,
    after: i64,
) -> sqlx::Result<Option<(i64, Result<Event, prost::DecodeError>)>> {
    let row: Option<(i64, Vec<u8>)> = sqlx::query_as(
        "select position, payload from dead_letter
        where consumer = $1 and source = $2 and position > $3 order by position limit 1",
    )
    .bind(consumer)
    .bind(source)
    .bind(after)
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|(position, payload)| (position, Event::decode(&*payload))))
}

/// How many events of a source are put aside.
pub async fn count_dead_letters(
    connection: &mut PgConnection,
    consumer: &str,
    source: &str,
) -> sqlx::Result<i64> {
    sqlx::query_scalar("select count(*) from dead_letter where consumer = $1 and source = $2")
        .bind(consumer)
        .bind(source)
        .fetch_one(connection)
        .await
}

/// An event that was put aside is applied.
pub async fn forget_dead_letter(
    transaction: &mut PgConnection,
    consumer: &str,
    source: &str,
    position: i64,
) -> sqlx::Result<()> {
    sqlx::query("delete from dead_letter where consumer = $1 and source = $2 and position = $3")
        .bind(consumer)
        .bind(source)
        .bind(position)
        .execute(transaction)
        .await?;
    Ok(())
}
