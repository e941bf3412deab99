//! All SQL about what a text search looks through, but for what is written with an opportunity and what a list is narrowed by.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{PgConnection, PgPool, Postgres, QueryBuilder};

use super::{Indexed, Query};
use crate::array::array;

/// How far what is kept of when an opportunity was made may be off.
const OFF: TimeDelta = TimeDelta::hours(1);
/// How many days, or stretches of eight or of sixty-four, are looked through at most.
const MOST_DAYS: i32 = 16;

/// An opportunity that cannot be found by its text.
pub(super) struct Missing {
    pub(super) id: i64,
    pub(super) opportunity_name: String,
    pub(super) customer_name: String,
    pub(super) notes: Option<String>,
    pub(super) created_at: DateTime<Utc>,
}

/// A few hundred of them by id, after one.
pub(super) async fn missing(pool: &PgPool, after_id: i64) -> sqlx::Result<Vec<Missing>> {
    sqlx::query_as!(
        Missing,
        "select id, opportunity_name, customer_name, notes, created_at from opportunities o
         where id > $1 and not exists (select from opportunity_search s where s.opportunity_id = o.id)
         order by id limit 500",
        after_id
    )
    .fetch_all(pool)
    .await
}

/// Adds what is kept of them, unless something is by now.
pub(super) async fn add(
    pool: &PgPool,
    indexed: &[(i64, DateTime<Utc>, Indexed)],
) -> sqlx::Result<u64> {
    let mut sql = QueryBuilder::<Postgres>::new(
        "insert into opportunity_search (opportunity_id, folded, grams, created_at) ",
    );
    sql.push_values(indexed, |mut row, (id, created_at, it)| {
        row.push_bind(id).push_bind(&it.folded).push_bind(&it.grams).push_bind(created_at);
    });
    sql.push(" on conflict (opportunity_id) do nothing");
    Ok(sql.build().execute(pool).await?.rows_affected())
}

/// Keeps what opportunities are found by, in place of what was kept of them before; each with its id and when it was made.
pub(in crate::opportunity) async fn keep(
    tx: &mut PgConnection,
    indexed: &[(i64, DateTime<Utc>, Indexed)],
) -> sqlx::Result<()> {
    if indexed.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = indexed.iter().map(|(id, ..)| *id).collect();
    let made: Vec<_> = indexed.iter().map(|(_, created_at, _)| *created_at).collect();
    let folded: Vec<_> = indexed.iter().map(|(.., it)| it.folded.clone()).collect();
    let grams: Vec<_> = indexed.iter().map(|(.., it)| array(&it.grams)).collect();
    sqlx::query!(
        "insert into opportunity_search (opportunity_id, folded, grams, created_at)
         select id, folded, grams::text[], created_at
         from unnest($1::bigint[], $2::text[], $3::text[], $4::timestamptz[]) as n (id, folded, grams, created_at)
         on conflict (opportunity_id) do update set folded = excluded.folded, grams = excluded.grams",
        &ids,
        &folded,
        &grams,
        &made
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Narrows a list of opportunities `o` to what is looked for.
pub(in crate::opportunity) fn narrow(sql: &mut QueryBuilder<Postgres>, query: &Query) {
    sql.push(" and exists (select from opportunity_search s where s.opportunity_id = o.id and ");
    by_grams(sql, query);
    sql.push(")");
}

/// The same, for the first of many: what has the words is found first. PostgreSQL takes frequent words for ones that are soon met in any order, and would look through all there are where
/// they are not.
pub(in crate::opportunity) fn narrow_first(sql: &mut QueryBuilder<Postgres>, query: &Query) {
    sql.push(" and o.id in (with found as materialized (select s.opportunity_id from opportunity_search s where ");
    by_grams(sql, query);
    sql.push(") select opportunity_id from found)");
}

/// The same, of what was made in some days; all of what was made between two instants, and more.
pub(in crate::opportunity) fn narrow_within(
    sql: &mut QueryBuilder<Postgres>,
    query: &Query,
    (from, until): (DateTime<Utc>, DateTime<Utc>),
) {
    sql.push(" and exists (select from opportunity_search s where s.opportunity_id = o.id and ");
    if let Some(days) = days(from - OFF, until + OFF) {
        sql.push("opportunity_search_days(s.created_at) && ").push_bind(days).push(" and ");
    }
    by_grams(sql, query);
    sql.push(")");
}

fn by_grams(sql: &mut QueryBuilder<Postgres>, query: &Query) {
    sql.push("s.grams @> ").push_bind(query.grams.clone());
    sql.push(" and s.folded like all (").push_bind(query.patterns.clone()).push(")");
}

/// Whether an opportunity `o` is what is looked for, without asking the index of words. A value and not an `exists`, for which PostgreSQL may look through all there are.
pub(in crate::opportunity) fn has(sql: &mut QueryBuilder<Postgres>, query: &Query) {
    sql.push("coalesce((select s.folded like all (").push_bind(query.patterns.clone());
    sql.push(") from opportunity_search s where s.opportunity_id = o.id), false)");
}

/// All days between two instants, as the index has them, or stretches of eight or sixty-four where there are many; none where there are more than many.
fn days(from: DateTime<Utc>, until: DateTime<Utc>) -> Option<Vec<i32>> {
    let day = |at: DateTime<Utc>| i32::try_from(at.timestamp().div_euclid(86_400)).ok();
    let (first, last) = (day(from)?, day(until)?);
    (0..3).find_map(|kind| {
        let (first, last) = (first >> (3 * kind), last >> (3 * kind));
        (last - first < MOST_DAYS).then(|| (first..=last).map(|it| it << 3 | kind).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_of_time_is_a_few_days_or_as_many_stretches_of_days() {
        let day = |day| DateTime::UNIX_EPOCH + TimeDelta::days(day);
        assert_eq!(days(day(-1), day(1)).unwrap(), [-8, 0, 8]);
        assert_eq!(days(day(100), day(115)).unwrap().len(), 16);
        assert_eq!(days(day(100), day(116)).unwrap(), [12 << 3 | 1, 13 << 3 | 1, 14 << 3 | 1]);
        assert_eq!(days(day(0), day(1000)).unwrap().last(), Some(&(15 << 3 | 2)));
        assert_eq!(days(day(0), day(1024)), None);
    }
}
