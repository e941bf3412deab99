//! All SQL about activities.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rpc::Span;
use serde::Deserialize;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, PgConnection, PgExecutor, PgPool, Postgres, QueryBuilder, Row};

use super::model::{Activity, ActivityType, Next};
use super::{Detail, Place};
use crate::access::model::{Owned, Sight};

/// The columns of a record as [`detail`] reads them.
const COLUMNS: &str = "a.id, a.opportunity_id, a.activity_type, a.subject, a.description, a.scheduled_at, a.completed_at, a.owner_id, a.created_by, \
a.mentions, a.created_at, a.updated_at, a.deleted_at, a.version, o.opportunity_name, o.customer_id, o.customer_name, o.owner_id, o.team_id, \
owner.username, maker.username, \
case when a.mentions <> '{}' then (select json_object_agg(p.user_id, p.username) from people p where p.user_id = any(a.mentions)) end";

/// Where they are found: activities of living opportunities, with the names that go with them.
const TABLES: &str = "activities a
join opportunities o on o.id = a.opportunity_id and o.deleted_at is null
left join people owner on owner.user_id = a.owner_id
left join people maker on maker.user_id = a.created_by";

/// Counts them.
const COUNT: &str = "select count(*) from activities a join opportunities o on o.id = a.opportunity_id and o.deleted_at is null where ";

/// Reads a row of [`COLUMNS`].
fn detail(row: &PgRow) -> sqlx::Result<Detail> {
    let kind: &str = row.try_get(2)?;
    let activity = Activity {
        id: row.try_get(0)?,
        opportunity_id: row.try_get(1)?,
        activity_type: ActivityType::parse(kind)
            .ok_or_else(|| sqlx::Error::Decode("activities.activity_type".into()))?,
        subject: row.try_get(3)?,
        description: row.try_get(4)?,
        scheduled_at: row.try_get(5)?,
        completed_at: row.try_get(6)?,
        owner_id: row.try_get(7)?,
        created_by: row.try_get(8)?,
        mentions: row.try_get(9)?,
        created_at: row.try_get(10)?,
        updated_at: row.try_get(11)?,
        deleted_at: row.try_get(12)?,
        version: row.try_get(13)?,
    };
    let names: Option<Json<HashMap<i64, String>>> = row.try_get(21)?;
    let mut names = names.map(|Json(names)| names).unwrap_or_default();
    let mentions = activity.mentions.iter();
    let mentions = mentions.map(|id| (*id, names.remove(id).unwrap_or_default())).collect();
    Ok(Detail {
        activity,
        opportunity_name: row.try_get(14)?,
        customer_id: row.try_get(15)?,
        customer_name: row.try_get(16)?,
        owned: Owned { owner_id: row.try_get(17)?, team_id: row.try_get(18)? },
        owner_name: row.try_get::<Option<String>, _>(19)?.unwrap_or_default(),
        created_by_name: row.try_get::<Option<String>, _>(20)?.unwrap_or_default(),
        mentions,
    })
}

/// An activity of a living opportunity, deleted or not.
pub(super) async fn find(db: impl PgExecutor<'_>, id: i64) -> sqlx::Result<Option<Detail>> {
    let sql = format!("select {COLUMNS} from {TABLES} where a.id = $1");
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_optional(db).await?;
    row.as_ref().map(detail).transpose()
}

/// Those of these ids whose opportunity lives, deleted or not.
pub(crate) async fn of_ids(pool: &PgPool, ids: &[i64]) -> sqlx::Result<Vec<Detail>> {
    let sql = format!("select {COLUMNS} from {TABLES} where a.id = any($1)");
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(ids).fetch_all(pool).await?;
    rows.iter().map(detail).collect()
}

/// An activity of a living opportunity, deleted or not. Nobody else changes either until this transaction ends.
pub(super) async fn find_for_update(
    tx: &mut PgConnection,
    id: i64,
) -> sqlx::Result<Option<Detail>> {
    let sql = format!("select {COLUMNS} from {TABLES} where a.id = $1 for no key update of o, a");
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_optional(tx).await?;
    row.as_ref().map(detail).transpose()
}

/// A living opportunity to which an activity is added.
pub(super) struct Opportunity {
    pub(super) name: String,
    pub(super) owned: Owned,
    /// An id for the activity.
    pub(super) activity_id: i64,
}

/// A living opportunity, which nobody else changes until this transaction ends, and an id for its next activity.
pub(super) async fn hold_opportunity(
    tx: &mut PgConnection,
    id: i64,
) -> sqlx::Result<Option<Opportunity>> {
    let row = sqlx::query!(
        r#"select opportunity_name, owner_id, team_id, nextval('activities_id_seq') as "activity_id!" from opportunities
           where id = $1 and deleted_at is null
           for no key update"#,
        id
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(|row| Opportunity {
        name: row.opportunity_name,
        owned: Owned { owner_id: row.owner_id, team_id: row.team_id },
        activity_id: row.activity_id,
    }))
}

/// Whose a living opportunity is.
pub(super) async fn opportunity(pool: &PgPool, id: i64) -> sqlx::Result<Option<Owned>> {
    sqlx::query_as!(
        Owned,
        "select owner_id, team_id from opportunities where id = $1 and deleted_at is null",
        id
    )
    .fetch_optional(pool)
    .await
}

/// Adds an activity.
pub(super) async fn insert(tx: &mut PgConnection, it: &Activity) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into activities (id, opportunity_id, activity_type, subject, description, scheduled_at, completed_at, owner_id, created_by, mentions,
           created_at, updated_at, version)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        it.id,
        it.opportunity_id,
        it.activity_type.as_str(),
        it.subject,
        it.description,
        it.scheduled_at,
        it.completed_at,
        it.owner_id,
        it.created_by,
        &it.mentions,
        it.created_at,
        it.updated_at,
        it.version
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Writes what a change made of an activity.
pub(super) async fn update(tx: &mut PgConnection, it: &Activity) -> sqlx::Result<()> {
    sqlx::query!(
        "update activities
         set activity_type = $2, subject = $3, description = $4, scheduled_at = $5, completed_at = $6, owner_id = $7, mentions = $8, updated_at = $9,
             deleted_at = $10, version = $11
         where id = $1",
        it.id,
        it.activity_type.as_str(),
        it.subject,
        it.description,
        it.scheduled_at,
        it.completed_at,
        it.owner_id,
        &it.mentions,
        it.updated_at,
        it.deleted_at,
        it.version
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Writes down with an opportunity, which this transaction has locked, what is to be done next.
pub(super) async fn update_next(tx: &mut PgConnection, opportunity_id: i64) -> sqlx::Result<()> {
    sqlx::query!(
        "update opportunities
         set next_activity = (
           select jsonb_build_object('id', a.id, 'activity_type', a.activity_type, 'subject', a.subject, 'scheduled_at', (extract(epoch from a.scheduled_at) * 1000000)::bigint)
           from activities a
           where a.opportunity_id = $1 and a.deleted_at is null and a.completed_at is null and a.scheduled_at is not null
           order by a.scheduled_at, a.id limit 1)
         where id = $1",
        opportunity_id
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Reads what [`update_next`] wrote, from that column of a row.
pub(crate) fn next(row: &PgRow, column: usize) -> sqlx::Result<Option<Next>> {
    #[derive(Deserialize)]
    struct Copy {
        id: i64,
        activity_type: String,
        subject: String,
        /// In microseconds since 1970.
        scheduled_at: i64,
    }
    let Some(Json(it)) = row.try_get::<Option<Json<Copy>>, _>(column)? else { return Ok(None) };
    let broken = || sqlx::Error::Decode("opportunities.next_activity".into());
    Ok(Some(Next {
        id: it.id,
        activity_type: ActivityType::parse(&it.activity_type).ok_or_else(broken)?,
        subject: it.subject,
        scheduled_at: DateTime::from_timestamp_micros(it.scheduled_at).ok_or_else(broken)?,
    }))
}

/// Which activities of an opportunity.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Any of these kinds; none means any.
    pub kinds: Vec<ActivityType>,
    /// Whether they are done.
    pub completed: Option<bool>,
}

/// Living activities of a living opportunity before a place, newest first.
pub(super) async fn list_of(
    pool: &PgPool,
    opportunity_id: i64,
    filter: &Filter,
    before: Option<Place>,
    limit: usize,
) -> sqlx::Result<Vec<Detail>> {
    let mut sql = QueryBuilder::<Postgres>::new(format!(
        "select {COLUMNS} from {TABLES} where a.deleted_at is null and a.opportunity_id = "
    ));
    sql.push_bind(opportunity_id);
    if !filter.kinds.is_empty() {
        let kinds: Vec<_> = filter.kinds.iter().map(|kind| kind.as_str()).collect();
        sql.push(" and a.activity_type = any(").push_bind(kinds).push(")");
    }
    match filter.completed {
        Some(true) => _ = sql.push(" and a.completed_at is not null"),
        Some(false) => _ = sql.push(" and a.completed_at is null"),
        None => {}
    }
    newest(pool, sql, before, limit).await
}

/// Those that a query begins to ask for, before a place, newest first.
async fn newest(
    pool: &PgPool,
    mut sql: QueryBuilder<Postgres>,
    before: Option<Place>,
    limit: usize,
) -> sqlx::Result<Vec<Detail>> {
    if let Some((at, id)) = before {
        sql.push(" and (a.created_at, a.id) < (").push_bind(at).push(", ").push_bind(id).push(")");
    }
    // A literal: as a bind parameter PostgreSQL would plan anew at every call.
    sql.push(format!(" order by a.created_at desc, a.id desc limit {limit}"));
    let rows = sql.build().fetch_all(pool).await?;
    rows.iter().map(detail).collect()
}

/// Activities of opportunities in sight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    /// Which opportunities.
    pub(super) sight: &'a Sight,
    /// Who is to do them; anybody where absent.
    pub(super) owner_id: Option<i64>,
}

impl Seen<'_> {
    fn narrow(self, sql: &mut QueryBuilder<Postgres>) {
        sql.push("a.deleted_at is null");
        match self.sight {
            Sight::All => {}
            Sight::Nothing => _ = sql.push(" and false"),
            Sight::Of { owner_id, team_ids } => {
                sql.push(" and (o.owner_id = ").push_bind(*owner_id);
                sql.push(" or o.team_id = any(").push_bind(team_ids.clone()).push("))");
            }
        }
        if let Some(owner_id) = self.owner_id {
            sql.push(" and a.owner_id = ").push_bind(owner_id);
        }
    }
}

/// Living activities before a place, newest first.
pub(super) async fn list_seen(
    pool: &PgPool,
    seen: Seen<'_>,
    before: Option<Place>,
    limit: usize,
) -> sqlx::Result<Vec<Detail>> {
    let mut sql = QueryBuilder::<Postgres>::new(format!("select {COLUMNS} from {TABLES} where "));
    seen.narrow(&mut sql);
    newest(pool, sql, before, limit).await
}

/// How many there are.
pub(super) async fn count_seen(pool: &PgPool, seen: Seen<'_>) -> sqlx::Result<i64> {
    let mut sql = QueryBuilder::<Postgres>::new(COUNT);
    seen.narrow(&mut sql);
    sql.build_query_scalar().fetch_one(pool).await
}

/// What of them is to be done in a span, after a place, the earliest first.
pub(super) async fn list_due(
    pool: &PgPool,
    seen: Seen<'_>,
    span: Span,
    after: Option<Place>,
    limit: usize,
) -> sqlx::Result<Vec<Detail>> {
    let mut sql = QueryBuilder::<Postgres>::new(format!("select {COLUMNS} from {TABLES} where "));
    seen.narrow(&mut sql);
    narrow_to_due(&mut sql, span);
    if let Some((at, id)) = after {
        sql.push(" and (a.scheduled_at, a.id) > (");
        sql.push_bind(at).push(", ").push_bind(id).push(")");
    }
    sql.push(format!(" order by a.scheduled_at, a.id limit {limit}"));
    let rows = sql.build().fetch_all(pool).await?;
    rows.iter().map(detail).collect()
}

/// How much of them is to be done in a span.
pub(super) async fn count_due(pool: &PgPool, seen: Seen<'_>, span: Span) -> sqlx::Result<i64> {
    let mut sql = QueryBuilder::<Postgres>::new(COUNT);
    seen.narrow(&mut sql);
    narrow_to_due(&mut sql, span);
    sql.build_query_scalar().fetch_one(pool).await
}

fn narrow_to_due(sql: &mut QueryBuilder<Postgres>, (from, until): Span) {
    sql.push(" and a.completed_at is null and a.scheduled_at is not null");
    let mut bound = |condition: &str, at: Option<DateTime<Utc>>| {
        if let Some(at) = at {
            sql.push(condition).push_bind(at);
        }
    };
    bound(" and a.scheduled_at >= ", from);
    bound(" and a.scheduled_at < ", until);
}
