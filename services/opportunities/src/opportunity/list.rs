//! Lists of opportunities: what may be asked, and the pages by key that answer it.

use chrono::{DateTime, Days, NaiveDate, Utc};
use chrono_tz::Tz;
use money::Money;
use rpc::{Error, Invalid, Span, start_of};
use sqlx::{PgPool, Postgres, QueryBuilder};

use super::Detail;
use super::search::{self, Query};
use super::store::{COLUMNS, WIDTH, detail};
use crate::access::model::Sight;
use crate::cursor::{Cursor, wrong_key};
use crate::page::{Key, Sort};
use crate::pipeline::model::{Kind, Pipelines, Stage};

/// What a list may be narrowed to. All that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// In any of these stages, as pipeline id and key; none means any.
    pub stages: Option<Vec<(i64, String)>>,
    /// Any of these.
    pub statuses: Vec<Kind>,
    /// Of this owner.
    pub owner_id: Option<i64>,
    /// Of this team.
    pub team_id: Option<i64>,
    /// Of this customer.
    pub customer_id: Option<i64>,
    /// In this pipeline.
    pub pipeline_id: Option<i64>,
    /// With this product.
    pub product: Option<String>,
    /// With this label.
    pub tag: Option<String>,
    /// From this source.
    pub source: Option<String>,
    /// Lost for this reason.
    pub lost_reason: Option<String>,
    /// At least this.
    pub min_amount: Option<Money>,
    /// At most this.
    pub max_amount: Option<Money>,
    /// Expected to close on these days.
    pub expected_close: (Option<NaiveDate>, Option<NaiveDate>),
    /// Closed on these days.
    pub closed: (Option<NaiveDate>, Option<NaiveDate>),
    /// With these words.
    pub query: Option<Query>,
    /// Whether it has stood in its stage for longer than the stage allows.
    pub stale: Option<Staleness>,
    /// Has come into a stage of one of these keys, within that time.
    pub entered: Option<(Vec<String>, Span)>,
    /// Made from this instant until before that one.
    pub created: Span,
    /// Saying this in the organisation's own fields, each as JSON that a row's contain.
    pub custom_fields: Vec<String>,
    /// Last changed from this instant until before that one.
    pub updated: Span,
}

/// Which opportunities are stale, as of a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Staleness {
    /// Whether these are wanted, or all others.
    pub is_wanted: bool,
    /// The day it is.
    pub today: NaiveDate,
    /// Each stage that has a limit, as pipeline id and key, and before when what is stale in it has come into it.
    pub limits: Vec<(i64, String, DateTime<Utc>)>,
}

impl Staleness {
    /// As the stages say on that day.
    pub fn new(is_wanted: bool, pipelines: &Pipelines, today: NaiveDate, zone: Tz) -> Self {
        let limits = pipelines.iter().flat_map(|pipeline| {
            let limited = |stage: &Stage| {
                let first =
                    today.checked_sub_days(Days::new(u64::try_from(stage.rotting_days?).ok()?))?;
                (stage.kind == Kind::Open)
                    .then(|| (pipeline.id, stage.key.clone(), start_of(first, zone)))
            };
            pipeline.stages.iter().filter_map(limited).collect::<Vec<_>>()
        });
        Self { is_wanted, today, limits: limits.collect() }
    }
}

static KEYS: [Key; 8] = [
    Key::new("created_at", "o.created_at", "timestamptz"),
    Key { nullable: true, ..Key::new("amount", "o.amount", "numeric") },
    Key::new("probability", "o.probability", "integer"),
    Key { nullable: true, ..Key::new("weighted_value", "o.weighted_value", "numeric") },
    Key { nullable: true, ..Key::new("expected_close_date", "o.expected_close_date", "date") },
    Key::new("updated_at", "o.updated_at", "timestamptz"),
    Key { descending: false, ..Key::new("opportunity_name", "o.opportunity_name", "text") },
    Key { descending: false, ..Key::new("customer_name", "o.customer_name", "text") },
];

/// Reads `sort_by` and `order`; what is unknown is told by field.
pub fn sort(invalid: &mut Invalid, sort_by: Option<&str>, order: Option<&str>) -> Sort {
    Sort::parse(&KEYS, invalid, sort_by, order)
}

/// A page of a list.
pub struct Page {
    /// The rows.
    pub items: Vec<Detail>,
    /// Continues after the last of them.
    pub next_cursor: Option<String>,
    /// How many there are in all, if asked.
    pub total: Option<i64>,
}

/// What a caller asks of a list.
pub struct Ask<'a> {
    /// Which rows.
    pub filter: &'a Filter,
    /// In which order.
    pub sort: Sort,
    /// How many.
    pub limit: usize,
    /// After which.
    pub cursor: Option<&'a str>,
    /// Whether to count them all.
    pub include_total: bool,
}

/// A page of the rows in sight.
pub(super) async fn page(pool: &PgPool, sight: &Sight, ask: &Ask<'_>) -> Result<Page, Error> {
    let listing = listing(ask);
    let cursor = ask.cursor.map(|text| Cursor::parse(text, &listing)).transpose()?;
    // Those with a key come first in both orders; those without are a range of their own.
    let in_keys = cursor.as_ref().is_none_or(|cursor| cursor.key().is_some());
    let wanted = ask.limit + 1;
    let mut rows: Vec<(Detail, Option<String>)> = Vec::with_capacity(wanted);
    if in_keys {
        rows = range(pool, sight, ask, cursor.as_ref(), true, wanted).await?;
    }
    if ask.sort.key.nullable && rows.len() < wanted {
        let after = if in_keys { None } else { cursor.as_ref() };
        let missing = wanted - rows.len();
        rows.extend(range(pool, sight, ask, after, false, missing).await?);
    }
    let next_cursor = (rows.len() > ask.limit).then(|| {
        rows.truncate(ask.limit);
        let (last, key) = &rows[ask.limit - 1];
        Cursor::new(&listing, key.clone(), last.opportunity.id).write()
    });
    let total = if ask.include_total { Some(count(pool, sight, ask.filter).await?) } else { None };
    Ok(Page { items: rows.into_iter().map(|(row, _)| row).collect(), next_cursor, total })
}

async fn range(
    pool: &PgPool,
    sight: &Sight,
    ask: &Ask<'_>,
    after: Option<&Cursor>,
    keyed: bool,
    limit: usize,
) -> Result<Vec<(Detail, Option<String>)>, Error> {
    let Sort { key, descending } = ask.sort;
    let Key { column, cast, .. } = key;
    let (direction, beyond) = if descending { ("desc", "<") } else { ("asc", ">") };
    let order = if keyed {
        format!("{column} {direction}, o.id {direction}")
    } else {
        format!("o.id {direction}")
    };
    // The joins see only the page's rows. Text is compared by code point: the columns are collate "C".
    let mut sql = QueryBuilder::<Postgres>::new(format!(
        "select {COLUMNS}, {column}::text from (select * from opportunities o where o.deleted_at is null"
    ));
    narrow(&mut sql, sight, ask.filter);
    if key.nullable {
        sql.push(format!(" and {column} is {}", if keyed { "not null" } else { "null" }));
    }
    if let Some(after) = after {
        if keyed {
            sql.push(format!(" and ({column}, o.id) {beyond} ("));
            sql.push_bind(after.key()).push(format!("::{cast}, ")).push_bind(after.id()).push(")");
        } else {
            sql.push(format!(" and o.id {beyond} ")).push_bind(after.id());
        }
    }
    // A literal: as a bind parameter PostgreSQL would plan anew at every call.
    sql.push(format!(
        " order by {order} limit {limit}) o
         left join contacts c on c.id = o.contact_id
         left join people p on p.user_id = o.owner_id
         order by {order}"
    ));
    let rows = sql.build().fetch_all(pool).await.map_err(|error| wrong_key(error, after))?;
    let mut page = Vec::with_capacity(rows.len());
    for row in &rows {
        page.push((detail(row)?, sqlx::Row::try_get(row, WIDTH)?));
    }
    Ok(page)
}

/// How many rows are in sight.
async fn count(pool: &PgPool, sight: &Sight, filter: &Filter) -> Result<i64, Error> {
    let mut sql = QueryBuilder::<Postgres>::new(
        "select count(*) from opportunities o where o.deleted_at is null",
    );
    narrow(&mut sql, sight, filter);
    Ok(sql.build_query_scalar().fetch_one(pool).await?)
}

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
    if let Some(query) = &it.query {
        search::store::narrow(sql, query);
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

/// Its filters and its order in words, which stay the same in every replica and version of the product.
fn listing(ask: &Ask<'_>) -> String {
    // The same tomorrow, too.
    let undated = |it: &Staleness| Staleness { today: NaiveDate::MIN, limits: Vec::new(), ..*it };
    let filter = Filter { stale: ask.filter.stale.as_ref().map(undated), ..ask.filter.clone() };
    format!("{filter:?} {} {}", ask.sort.key.name, ask.sort.descending)
}
