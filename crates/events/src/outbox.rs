//! The change log's tables as the owner writes them: appended with the change, given positions and cleared by the relay.
//!
//! A use case that already sends one statement for its record can save the second round trip by taking these rows into it. Bind
//! the fields of [`Rows`] in their order and write, after the CTE that changes the record:
//!
//! ```sql
//! appended as (
//!     insert into change (event_id, aggregate, aggregate_id, version, type, occurred_at, recorded_at, actor_user_id, actor_service, origin, request_id, payload)
//!     select event_id, aggregate, aggregate_id, version, type, occurred_at, recorded_at, actor_user_id, actor_service, origin, request_id, payload
//!     from unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::timestamptz[], $7::timestamptz[], $8::bigint[], $9::text[], $10::text[], $11::text[], $12::bytea[])
//!         with ordinality as given (event_id, aggregate, aggregate_id, version, type, occurred_at, recorded_at, actor_user_id, actor_service, origin, request_id, payload, n)
//!     order by n
//!     returning change_id
//! )
//! insert into outbox (change_id) select change_id from appended
//! ```
//!
//! The row of a record must be locked or written before its change is appended: change ids of one record then rise with its versions.

use chrono::{DateTime, Utc};
use sqlx::{Executor as _, PgConnection};
use uuid::Uuid;

use crate::change::{Change, encode};

/// Changes as arrays of their columns, in the order of the columns.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// Column `event_id`.
    pub event_ids: Vec<Uuid>,
    /// Column `aggregate`.
    pub aggregates: Vec<&'static str>,
    /// Column `aggregate_id`.
    pub aggregate_ids: Vec<i64>,
    /// Column `version`.
    pub versions: Vec<i64>,
    /// Column `type`.
    pub event_types: Vec<&'static str>,
    /// Column `occurred_at`.
    pub occurred_ats: Vec<DateTime<Utc>>,
    /// Column `recorded_at`.
    pub recorded_ats: Vec<DateTime<Utc>>,
    /// Column `actor_user_id`.
    pub actor_user_ids: Vec<Option<i64>>,
    /// Column `actor_service`.
    pub actor_services: Vec<Option<String>>,
    /// Column `origin`.
    pub origins: Vec<&'static str>,
    /// Column `request_id`.
    pub request_ids: Vec<String>,
    /// Column `payload`.
    pub payloads: Vec<Vec<u8>>,
}

impl Rows {
    /// The rows that these changes become, in their order.
    pub fn of(changes: &[Change]) -> Self {
        let mut rows = Self::default();
        for row in changes.iter().map(encode) {
            rows.event_ids.push(row.event_id);
            rows.aggregates.push(row.aggregate);
            rows.aggregate_ids.push(row.aggregate_id);
            rows.versions.push(row.version);
            rows.event_types.push(row.event_type);
            rows.occurred_ats.push(row.occurred_at);
            rows.recorded_ats.push(row.recorded_at);
            rows.actor_user_ids.push(row.actor_user_id);
            rows.actor_services.push(row.actor_service);
            rows.origins.push(row.origin);
            rows.request_ids.push(row.request_id);
            rows.payloads.push(row.payload);
        }
        rows
    }
}

/// Appends changes in their order, in the transaction that made them: one round trip for any number of them.
///
/// Fails with a violation of `change_version_key` if a version of a record was already told.
pub async fn append(transaction: &mut PgConnection, changes: &[Change]) -> sqlx::Result<()> {
    append_rows(transaction, Rows::of(changes)).await
}

/// The same, of changes whose rows are there already.
pub async fn append_rows(transaction: &mut PgConnection, rows: Rows) -> sqlx::Result<()> {
    if rows.event_ids.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "with appended as (
            insert into change (event_id, aggregate, aggregate_id, version, type, occurred_at, recorded_at, actor_user_id,
                actor_service, origin, request_id, payload)
            select event_id, aggregate, aggregate_id, version, type, occurred_at, recorded_at, actor_user_id,
                actor_service, origin, request_id, payload
            from unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::timestamptz[], $7::timestamptz[],
                    $8::bigint[], $9::text[], $10::text[], $11::text[], $12::bytea[])
                with ordinality as given (event_id, aggregate, aggregate_id, version, type, occurred_at, recorded_at,
                    actor_user_id, actor_service, origin, request_id, payload, n)
            order by n
            returning change_id
        )
        insert into outbox (change_id) select change_id from appended",
    )
    .bind(rows.event_ids)
    .bind(rows.aggregates)
    .bind(rows.aggregate_ids)
    .bind(rows.versions)
    .bind(rows.event_types)
    .bind(rows.occurred_ats)
    .bind(rows.recorded_ats)
    .bind(rows.actor_user_ids)
    .bind(rows.actor_services)
    .bind(rows.origins)
    .bind(rows.request_ids)
    .bind(rows.payloads)
    .execute(transaction)
    .await?;
    Ok(())
}

/// A change that has its position.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Placed {
    /// Its place in the source's sequence.
    pub position: i64,
    /// Its row in the change log and the outbox.
    pub change_id: i64,
    /// Its event's id.
    pub event_id: Uuid,
    /// Its event without the position.
    pub payload: Vec<u8>,
    /// The last position given so far, of any change.
    pub last_position: i64,
}

/// Has every statement of the connection go by indexes, in their order. What PostgreSQL knows of the outbox is mostly of when it was empty: left to itself it reads and sorts all that waits for
/// each of its pages, so that a relay that is behind falls behind the more. What it is not to do counts as dear where there is no other way, and what is dear it would compile.
pub async fn read_by_index(relay: &mut PgConnection) -> sqlx::Result<()> {
    relay
        .execute("set enable_seqscan = off; set enable_bitmapscan = off; set enable_sort = off; set jit = off")
        .await?;
    Ok(())
}

/// Gives positions to up to `fresh` committed changes that have none, and answers up to `limit` placed changes from position
/// `from` on, in order. One statement, so that a crash leaves no half of it; only the holder of the relay's lock may send it.
pub async fn place(
    relay: &mut PgConnection,
    from: i64,
    fresh: i64,
    limit: i64,
) -> sqlx::Result<Vec<Placed>> {
    sqlx::query_as(
        "with fresh as (
            select change_id from outbox where position is null order by change_id limit $2
        ), placed as (
            insert into change_position (position, change_id)
            select (select coalesce(max(position), 0) from change_position) + row_number() over (order by change_id), change_id
            from fresh
            returning position, change_id
        ), marked as (
            update outbox set position = placed.position from placed where outbox.change_id = placed.change_id
        ), page as (
            (select position, change_id from change_position where position >= $1 order by position limit $3)
            union all
            (select position, change_id from placed order by position limit $3)
            order by position
            limit $3
        )
        select page.position, page.change_id, change.event_id, change.payload,
            greatest((select max(position) from change_position), (select max(position) from placed)) as last_position
        from page join change on change.change_id = page.change_id
        order by page.position",
    )
    .bind(from)
    .bind(fresh)
    .bind(limit)
    .fetch_all(relay)
    .await
}

/// The first position that is not known to be published, and the last one given.
pub async fn bounds(relay: &mut PgConnection) -> sqlx::Result<(i64, i64)> {
    sqlx::query_as(
        "select coalesce((select min(position) from outbox), last.position + 1), last.position
        from (select coalesce(max(position), 0) as position from change_position) as last",
    )
    .fetch_one(relay)
    .await
}

/// Forgets changes that the broker has. The commit waits for no disk: what a crash brings back is published again, and applied once all the same.
pub async fn remove(relay: &mut PgConnection, change_ids: &[i64]) -> sqlx::Result<()> {
    sqlx::query(
        "delete from outbox where change_id = any($1) and set_config('synchronous_commit', 'off', true) = 'off'",
    )
        .bind(change_ids)
        .execute(relay)
        .await?;
    Ok(())
}
