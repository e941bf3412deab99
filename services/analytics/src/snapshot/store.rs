//! All SQL about snapshots.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, NaiveDate, Utc};
use futures::TryStreamExt as _;
use sqlx::PgConnection;

use crate::rollup::{Standing, StandingKey};
use crate::version::Version;
use crate::version::store::{COLUMNS, version};

/// Says that something of a day is learnt of that may be kept already.
pub(crate) async fn note_late(tx: &mut PgConnection, day: NaiveDate) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into snapshot_late (day) select $1 where $1 <= (select taking_until from snapshot_state) on conflict (day) do nothing",
        day
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes the days of which something was learnt late, and those after them.
pub(super) async fn forget_late(tx: &mut PgConnection) -> sqlx::Result<()> {
    let late = sqlx::query_scalar!("delete from snapshot_late returning day");
    let Some(first) = late.fetch_all(&mut *tx).await?.into_iter().min() else { return Ok(()) };
    sqlx::query!("delete from pipeline_snapshots where taken_on >= $1", first)
        .execute(&mut *tx)
        .await?;
    sqlx::query!("delete from snapshot_days where taken_on >= $1", first).execute(&mut *tx).await?;
    sqlx::query!("update snapshot_state set first_day = $1 where first_day > $1", first)
        .execute(tx)
        .await?;
    Ok(())
}

/// From now on what happens up to this day is learnt of late.
pub(super) async fn take_until(tx: &mut PgConnection, day: NaiveDate) -> sqlx::Result<()> {
    sqlx::query!(
        "update snapshot_state set taking_until = $1 where taking_until is null or taking_until < $1",
        day
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// The first day of which anything is known, which is remembered.
pub(super) async fn first_day(
    connection: &mut PgConnection,
    zone: &str,
) -> sqlx::Result<Option<NaiveDate>> {
    sqlx::query_scalar!(
        "update snapshot_state set first_day = coalesce(first_day, (select (min(at) at time zone $1)::date from opportunity_versions))
         returning first_day",
        zone
    )
    .fetch_one(connection)
    .await
}

/// The days that are kept.
pub(super) async fn days(connection: &mut PgConnection) -> sqlx::Result<BTreeSet<NaiveDate>> {
    let days = sqlx::query_scalar!("select taken_on from snapshot_days").fetch_all(connection);
    Ok(days.await?.into_iter().collect())
}

/// The last day that may be kept, which stays until this transaction ends.
pub(super) async fn hold_taking_until(tx: &mut PgConnection) -> sqlx::Result<Option<NaiveDate>> {
    sqlx::query_scalar!("select taking_until from snapshot_state for share").fetch_one(tx).await
}

/// Tells of everything that was open when nothing had happened but what happened before an instant.
pub(super) async fn open_before(
    tx: &mut PgConnection,
    instant: DateTime<Utc>,
    mut each: impl FnMut(&Version),
) -> sqlx::Result<()> {
    let sql = format!(
        "select {COLUMNS} from opportunity_versions where status = 'open' and not is_deleted and at < $1 and until >= $1"
    );
    let mut rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(instant).fetch(tx);
    while let Some(row) = rows.try_next().await? {
        each(&version(&row)?);
    }
    Ok(())
}

/// Keeps a day.
pub(super) async fn keep(
    tx: &mut PgConnection,
    day: NaiveDate,
    sums: &HashMap<StandingKey, Standing>,
) -> sqlx::Result<()> {
    fn all<'a, T>(
        sums: &'a HashMap<StandingKey, Standing>,
        field: impl Fn(&'a StandingKey, &'a Standing) -> T,
    ) -> Vec<T> {
        sums.iter().map(|(key, sum)| field(key, sum)).collect()
    }
    sqlx::query!("insert into snapshot_days (taken_on) values ($1)", day).execute(&mut *tx).await?;
    sqlx::query(
        "insert into pipeline_snapshots (taken_on, pipeline_id, stage_key, owner_id, team_id, currency, close_month, count, value_count, rate_missing,
           total_value, weighted_value)
         select $1, a, b, c, d, e, coalesce(f, '-infinity'), g, h, i, j, k
         from unnest($2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::date[], $8::bigint[], $9::bigint[], $10::bigint[],
           $11::numeric[], $12::numeric[]) as u (a, b, c, d, e, f, g, h, i, j, k)",
    )
    .bind(day)
    .bind(all(sums, |key, _| key.pipeline_id))
    .bind(all(sums, |key, _| key.stage_key.as_str()))
    .bind(all(sums, |key, _| key.owner_id))
    .bind(all(sums, |key, _| key.team_id))
    .bind(all(sums, |key, _| key.currency.as_str()))
    .bind(all(sums, |key, _| key.close_month))
    .bind(all(sums, |_, sum| sum.count))
    .bind(all(sums, |_, sum| sum.value_count))
    .bind(all(sums, |_, sum| sum.rate_missing))
    .bind(all(sums, |_, sum| sum.total_value))
    .bind(all(sums, |_, sum| sum.weighted_value))
    .execute(tx)
    .await?;
    Ok(())
}

/// Removes everything: other days, other values.
pub(crate) async fn clear(tx: &mut PgConnection) -> sqlx::Result<()> {
    // First of all: a day that is being taken is waited for.
    sqlx::query!("update snapshot_state set first_day = null, taking_until = null")
        .execute(&mut *tx)
        .await?;
    sqlx::query!("delete from pipeline_snapshots").execute(&mut *tx).await?;
    sqlx::query!("delete from snapshot_days").execute(&mut *tx).await?;
    sqlx::query!("delete from snapshot_late").execute(tx).await?;
    Ok(())
}
