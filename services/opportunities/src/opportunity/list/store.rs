//! The SQL of a list: put together from its filters, its order and where it goes on.

use chrono::{DateTime, Utc};
use rpc::Error;
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Postgres, QueryBuilder};

use super::{Ask, Categorized, Detail, Filter, Staleness};
use crate::access::model::Sight;
use crate::cursor::{Cursor, wrong_key};
use crate::opportunity::search::{self, Query};
use crate::opportunity::store::{COLUMNS, WIDTH, detail};
use crate::page::{Key, Sort};

/// A row of a list.
pub(super) struct Row {
    pub(super) detail: Detail,
    /// Its sort key as text; none where it has none.
    pub(super) key: Option<String>,
}

/// Where a range begins.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// With the first row.
    Start,
    /// After a row.
    After(&'a Cursor),
    /// After all rows that were made until then, in a list by `created_at`.
    Past(DateTime<Utc>),
}

/// Rows that follow each other in a list.
#[derive(Clone, Copy)]
pub(super) struct Range<'a> {
    /// Where they begin.
    pub(super) place: Place<'a>,
    /// Those with a sort key, or those without.
    pub(super) is_keyed: bool,
    /// No further than what was made then, in a list by `created_at`, of which those before were made after the second.
    pub(super) until: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

impl<'a> Range<'a> {
    /// All rows from there on; without a key unless that is said.
    pub(super) fn from(place: Place<'a>) -> Self {
        Self { place, is_keyed: false, until: None }
    }
}

/// What is shown of a row beside its own columns. The joins see only the page's rows.
const JOINS: &str =
    " left join contacts c on c.id = o.contact_id left join people p on p.user_id = o.owner_id";

/// The first rows of a range.
pub(super) async fn rows(
    pool: &PgPool,
    sight: &Sight,
    ask: &Ask<'_>,
    range: Range<'_>,
    limit: usize,
) -> Result<Vec<Row>, Error> {
    let order = order(ask.sort);
    let mut sql = QueryBuilder::<Postgres>::new(format!(
        "select {COLUMNS}, {}::text from (select * from opportunities o where o.deleted_at is null",
        ask.sort.key.column
    ));
    within(&mut sql, sight, ask, range);
    match (&ask.filter.query, range.until) {
        (None, _) => {}
        (Some(query), None) => search::store::narrow_first(&mut sql, query),
        (Some(query), Some((until, from))) => {
            search::store::narrow_within(&mut sql, query, (until.min(from), until.max(from)));
        }
    }
    // A literal: as a bind parameter PostgreSQL would plan anew at every call.
    sql.push(format!(" order by {order} limit {limit}) o{JOINS} order by {order}"));
    let rows = fetch(pool, sql, range.place).await?;
    rows.iter().map(row).collect()
}

/// What is at the beginning of a range.
pub(super) struct Walked {
    /// The rows that have the words.
    pub(super) found: Vec<Row>,
    /// The first row at all, and the last, if there are as many as were looked at.
    pub(super) ends: Option<(Row, Row)>,
}

/// Looks through the first rows of a range, `walk` of them, for words, until enough were found.
pub(super) async fn walk(
    pool: &PgPool,
    sight: &Sight,
    ask: &Ask<'_>,
    query: &Query,
    range: Range<'_>,
    (walk, limit): (usize, usize),
) -> Result<Walked, Error> {
    let (order, column) = (order(ask.sort), ask.sort.key.column);
    let mut sql = QueryBuilder::<Postgres>::new(format!(
        "select {COLUMNS}, {column}::text, w.place, w.is_found from (select o.id, row_number() over (order by {order}) as place, ",
    ));
    search::store::has(&mut sql, query);
    // All of a row is read only where it is shown.
    sql.push(format!(
        " as is_found from (select o.id, {column} from opportunities o where o.deleted_at is null"
    ));
    within(&mut sql, sight, ask, range);
    sql.push(format!(
        " order by {order} limit {walk}) o) w join opportunities o on o.id = w.id{JOINS} where w.is_found or w.place in (1, {walk}) order by w.place limit {}",
        limit + 1
    ));
    let rows = fetch(pool, sql, range.place).await?;
    let (mut found, mut ends) = (Vec::new(), Vec::new());
    for it in &rows {
        let place: i64 = sqlx::Row::try_get(it, WIDTH + 1)?;
        if place == 1 || usize::try_from(place).is_ok_and(|place| place == walk) {
            ends.push(row(it)?);
        }
        if sqlx::Row::try_get(it, WIDTH + 2)? {
            found.push(row(it)?);
        }
    }
    let ends = <[Row; 2]>::try_from(ends).ok().map(|[first, last]| (first, last));
    Ok(Walked { found, ends })
}

/// The order of a range; where all have no key it says that too, as an index has them in this order.
fn order(Sort { key, descending }: Sort) -> String {
    let direction = if descending { "desc" } else { "asc" };
    // Text is compared by code point: the columns are collate "C".
    format!("{} {direction}, o.id {direction}", key.column)
}

/// What is in a range, by all of the filter but its words.
fn within(sql: &mut QueryBuilder<Postgres>, sight: &Sight, ask: &Ask<'_>, range: Range<'_>) {
    let Sort { key: Key { column, cast, nullable, .. }, descending } = ask.sort;
    let beyond = if descending { "<" } else { ">" };
    narrow(sql, sight, ask.filter);
    if *nullable {
        sql.push(format!(" and {column} is {}", if range.is_keyed { "not null" } else { "null" }));
    }
    match range.place {
        Place::Start => {}
        Place::After(after) if range.is_keyed => {
            sql.push(format!(" and ({column}, o.id) {beyond} ("));
            sql.push_bind(after.key()).push(format!("::{cast}, ")).push_bind(after.id()).push(")");
        }
        Place::After(after) => {
            sql.push(format!(" and o.id {beyond} ")).push_bind(after.id());
        }
        Place::Past(at) => {
            sql.push(format!(" and o.created_at {beyond} ")).push_bind(at);
        }
    }
    if let Some((until, _)) = range.until {
        let not_beyond = if descending { ">=" } else { "<=" };
        sql.push(format!(" and o.created_at {not_beyond} ")).push_bind(until);
    }
}

async fn fetch(
    pool: &PgPool,
    mut sql: QueryBuilder<Postgres>,
    place: Place<'_>,
) -> Result<Vec<PgRow>, Error> {
    let after = match place {
        Place::After(after) => Some(after),
        Place::Start | Place::Past(_) => None,
    };
    sql.build().fetch_all(pool).await.map_err(|error| wrong_key(error, after))
}

fn row(row: &PgRow) -> Result<Row, Error> {
    Ok(Row { detail: detail(row)?, key: sqlx::Row::try_get(row, WIDTH)? })
}

/// How many rows are in sight.
pub(super) async fn count(pool: &PgPool, sight: &Sight, filter: &Filter) -> Result<i64, Error> {
    let mut sql = QueryBuilder::<Postgres>::new(
        "select count(*) from opportunities o where o.deleted_at is null",
    );
    narrow(&mut sql, sight, filter);
    if let Some(query) = &filter.query {
        search::store::narrow(&mut sql, query);
    }
    Ok(sql.build_query_scalar().fetch_one(pool).await?)
}

/// All of a filter but its words.
fn narrow(sql: &mut QueryBuilder<Postgres>, sight: &Sight, it: &Filter) {
    match sight {
        Sight::All => {}
        Sight::Nothing => {
            sql.push(" and false");
        }
        Sight::Of { owner_id, team_ids } => {
            sql.push(" and (o.owner_id = ").push_bind(*owner_id);
            sql.push(" or o.team_id = any(").push_bind(team_ids.clone()).push("))");
        }
    }
    match it.stages.as_deref() {
        None => {}
        Some([]) => {
            sql.push(" and false");
        }
        Some([(pipeline_id, key)]) => {
            sql.push(" and o.stage_key = ").push_bind(key.clone());
            sql.push(" and o.pipeline_id = ").push_bind(*pipeline_id);
        }
        Some(stages) => {
            let (pipelines, keys): (Vec<i64>, Vec<String>) = stages.iter().cloned().unzip();
            sql.push(" and (o.pipeline_id, o.stage_key) in (select * from unnest(");
            sql.push_bind(pipelines).push(", ").push_bind(keys).push("::text[]))");
        }
    }
    if !it.statuses.is_empty() {
        let statuses: Vec<_> = it.statuses.iter().map(|status| status.as_str()).collect();
        sql.push(" and o.status = any(").push_bind(statuses).push(")");
    }
    if let Some(category) = &it.category {
        only_categorized(sql, category);
    }
    if let Some(stale) = &it.stale {
        only_stale(sql, stale);
    }
    if let Some((keys, (from, to))) = &it.entered {
        sql.push(" and exists (select from stage_history h where h.opportunity_id = o.id and h.to_stage_key = any(");
        sql.push_bind(keys.clone()).push(")");
        compare(sql, "h.changed_at >= ", *from);
        compare(sql, "h.changed_at < ", *to);
        sql.push(")");
    }
    equal(sql, "o.owner_id", it.owner_id);
    equal(sql, "o.team_id", it.team_id);
    equal(sql, "o.customer_id", it.customer_id);
    equal(sql, "o.pipeline_id", it.pipeline_id);
    equal(sql, "o.source", it.source.clone());
    equal(sql, "o.lost_reason", it.lost_reason.clone());
    contains(sql, "o.products", it.product.clone());
    contains(sql, "o.tags", it.tag.clone());
    for said in &it.custom_fields {
        sql.push(" and o.custom_fields @> ").push_bind(said.clone()).push("::jsonb");
    }
    compare(sql, "o.amount >= ", it.min_amount);
    compare(sql, "o.amount <= ", it.max_amount);
    compare(sql, "o.expected_close_date >= ", it.expected_close.0);
    compare(sql, "o.expected_close_date <= ", it.expected_close.1);
    compare(sql, "o.actual_close_date >= ", it.closed.0);
    compare(sql, "o.actual_close_date <= ", it.closed.1);
    compare(sql, "o.created_at >= ", it.created.0);
    compare(sql, "o.created_at < ", it.created.1);
    compare(sql, "o.updated_at >= ", it.updated.0);
    compare(sql, "o.updated_at < ", it.updated.1);
}

fn only_categorized(sql: &mut QueryBuilder<Postgres>, it: &Categorized) {
    match it {
        Categorized::Closed => {
            sql.push(" and o.status <> 'open'");
        }
        Categorized::Open { category, stages } => {
            let (pipelines, keys): (Vec<i64>, Vec<String>) = stages.iter().cloned().unzip();
            sql.push(" and o.status = 'open' and (o.forecast_category = ");
            sql.push_bind(category.as_str());
            sql.push(" or o.forecast_category is null and (o.pipeline_id, o.stage_key) in (select * from unnest(");
            sql.push_bind(pipelines).push(", ").push_bind(keys).push("::text[])))");
        }
    }
}

fn only_stale(sql: &mut QueryBuilder<Postgres>, it: &Staleness) {
    let pipelines: Vec<_> = it.limits.iter().map(|(pipeline, _, _)| *pipeline).collect();
    let keys: Vec<_> = it.limits.iter().map(|(_, key, _)| key.clone()).collect();
    let limits: Vec<_> = it.limits.iter().map(|(_, _, limit)| *limit).collect();
    sql.push(if it.is_wanted { " and (" } else { " and not (" });
    sql.push("o.status = 'open' and (o.waiting_until is null or o.waiting_until <= ");
    sql.push_bind(it.today).push(") and exists (select from unnest(");
    sql.push_bind(pipelines).push(", ").push_bind(keys).push("::text[], ").push_bind(limits);
    sql.push(") as l (pipeline_id, key, before) where l.pipeline_id = o.pipeline_id and l.key = o.stage_key and o.stage_entered_at < l.before))");
}

fn compare<T>(sql: &mut QueryBuilder<Postgres>, condition: &str, value: Option<T>)
where
    T: 'static + Send + sqlx::Encode<'static, Postgres> + sqlx::Type<Postgres>,
{
    if let Some(value) = value {
        sql.push(" and ").push(condition).push_bind(value);
    }
}

fn equal<T>(sql: &mut QueryBuilder<Postgres>, column: &str, value: Option<T>)
where
    T: 'static + Send + sqlx::Encode<'static, Postgres> + sqlx::Type<Postgres>,
{
    compare(sql, &format!("{column} = "), value);
}

fn contains(sql: &mut QueryBuilder<Postgres>, column: &str, value: Option<String>) {
    if let Some(value) = value {
        sql.push(format!(" and {column} @> array[")).push_bind(value).push("]");
    }
}
