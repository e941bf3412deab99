//! All SQL of the bare program. A write is one statement, and so one durable commit in one round trip.

use chrono::{DateTime, NaiveDate, Utc};
use money::Money;
use proto::Decimal;
use proto::analytics::v1::{GetPipelineOverviewResponse, NotCovered, StageOverview};
use proto::opportunities::v1::{
    ChangeOpportunityStageRequest, CreateOpportunityRequest, ListOpportunitiesResponse,
    ListStageHistoryResponse, Opportunity, StageHistory, Status,
};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgPool, Row as _};

/// The columns of a record as [`opportunity`] reads them: of `o`, its owner `p` and its stage `s`.
const COLUMNS: &str = "o.id, o.opportunity_name, o.customer_id, o.customer_name, o.contact_id, o.pipeline_id, s.name, o.stage_key, o.status, o.amount, \
o.currency, o.probability, o.weighted_value, o.expected_close_date, o.actual_close_date, o.lost_reason, o.owner_id, p.username, o.team_id, o.products, \
o.notes, o.source, o.external_id, o.tags, o.waiting_until, o.created_at, o.updated_at, o.stage_entered_at, o.version";
/// The size of an event of the product, in bytes.
const EVENT_BYTES: usize = 420;
/// How many rows a page has.
const PAGE: usize = 50;

fn opportunity(row: &PgRow, now: DateTime<Utc>) -> sqlx::Result<Opportunity> {
    let status = match row.try_get(8)? {
        "won" => Status::Won,
        "lost" => Status::Lost,
        _ => Status::Open,
    };
    let day = |index: usize| -> sqlx::Result<Option<proto::Date>> {
        Ok(row.try_get::<Option<NaiveDate>, _>(index)?.map(Into::into))
    };
    let money = |index: usize| -> sqlx::Result<Option<Decimal>> {
        Ok(row.try_get::<Option<Money>, _>(index)?.map(Into::into))
    };
    let at = |index: usize| row.try_get::<DateTime<Utc>, _>(index);
    Ok(Opportunity {
        id: row.try_get(0)?,
        opportunity_name: row.try_get(1)?,
        customer_id: row.try_get(2)?,
        customer_name: row.try_get(3)?,
        contact_id: row.try_get(4)?,
        contact_name: None,
        contact_email: None,
        pipeline_id: row.try_get(5)?,
        stage: row.try_get(6)?,
        stage_key: row.try_get(7)?,
        status: status.into(),
        amount: money(9)?,
        currency: row.try_get(10)?,
        probability: row.try_get(11)?,
        weighted_value: money(12)?,
        expected_close_date: day(13)?,
        actual_close_date: day(14)?,
        lost_reason: row.try_get(15)?,
        owner_id: row.try_get(16)?,
        owner_name: row.try_get::<Option<String>, _>(17)?.unwrap_or_default(),
        team_id: row.try_get(18)?,
        products: row.try_get(19)?,
        notes: row.try_get(20)?,
        source: row.try_get(21)?,
        external_id: row.try_get(22)?,
        tags: row.try_get(23)?,
        waiting_until: day(24)?,
        stale: false,
        days_in_stage: i32::try_from((now - at(27)?).num_days()).unwrap_or_default(),
        created_at: Some(at(25)?.into()),
        updated_at: Some(at(26)?.into()),
        version: row.try_get(28)?,
        closed_amount: None,
        closed_rate: None,
        next_activity: None,
        line_items: Vec::new(),
        custom_fields: None,
        forecast_category: 0,
        forecast_category_is_own: false,
    })
}

/// One opportunity.
pub(crate) async fn find(
    pool: &PgPool,
    id: i64,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<Opportunity>> {
    let sql = format!(
        "select {COLUMNS} from opportunities o join stages s on s.key = o.stage_key
         left join people p on p.user_id = o.owner_id where o.id = $1"
    );
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_optional(pool).await?;
    row.as_ref().map(|row| opportunity(row, now)).transpose()
}

/// The first page of a stage, the highest amounts first.
pub(crate) async fn list(
    pool: &PgPool,
    stage: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<ListOpportunitiesResponse> {
    // As in the product: the joins see only the page's rows, the limit is a literal, and one row more tells whether there is a next page.
    let sql = format!(
        "select {COLUMNS} from (
           select * from opportunities
           where stage_key = (select key from stages where name = $1) and amount is not null
           order by amount desc, id desc limit {limit}
         ) o
         join stages s on s.key = o.stage_key
         left join people p on p.user_id = o.owner_id
         order by o.amount desc, o.id desc",
        limit = PAGE + 1
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(stage).fetch_all(pool).await?;
    let page = rows.iter().take(PAGE).map(|row| opportunity(row, now));
    let items = page.collect::<sqlx::Result<Vec<_>>>()?;
    let next_cursor = items
        .last()
        .filter(|_| rows.len() > PAGE)
        .and_then(|last| Some(format!("{}_{}", last.amount?, last.id)));
    Ok(ListOpportunitiesResponse { items, next_cursor, total_count: None })
}

/// Makes an opportunity with the first row of its history and its event.
pub(crate) async fn insert(
    pool: &PgPool,
    request: CreateOpportunityRequest,
    now: DateTime<Utc>,
) -> sqlx::Result<Opportunity> {
    let expected = request.expected_close_date.and_then(|day| NaiveDate::try_from(day).ok());
    let sql = format!(
        "with o as (
           insert into opportunities (id, opportunity_name, customer_id, customer_name, pipeline_id, stage_key, status, amount, currency, probability,
             weighted_value, expected_close_date, owner_id, products, notes, source, tags, created_at, updated_at, stage_entered_at, version)
           select nextval('opportunities_id_seq'), $1, 1, $2, 1, key, kind, $3::numeric, 'TWD', $4, round($3::numeric * $4 / 100, 2), $5, 1, $6, $7, $8, $9, $10, $10, $10, 1
           from stages where name = $11
           returning *
         ), h as (
           insert into stage_history (id, opportunity_id, to_stage_key, to_stage, probability, notes, changed_by, changed_at)
           select nextval('stage_history_id_seq'), id, stage_key, $11, probability, notes, owner_id, created_at from o
         ), e as (
           insert into outbox (recorded_at, payload) select created_at, $12 from o
         )
         select {COLUMNS} from o join stages s on s.key = o.stage_key left join people p on p.user_id = o.owner_id"
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(request.opportunity_name)
        .bind(request.customer_name)
        .bind(request.amount.map(Money::from))
        .bind(request.probability)
        .bind(expected)
        .bind(request.products)
        .bind(request.notes)
        .bind(request.source)
        .bind(request.tags)
        .bind(now)
        .bind(request.stage)
        .bind([0_u8; EVENT_BYTES].as_slice())
        .fetch_one(pool)
        .await?;
    opportunity(&row, now)
}

/// Moves an opportunity to a stage, with a row of its history and its event.
pub(crate) async fn advance(
    pool: &PgPool,
    request: ChangeOpportunityStageRequest,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<Opportunity>> {
    let sql = format!(
        "with old as (
           select o.id, o.stage_key, s.name, o.stage_entered_at
           from opportunities o join stages s on s.key = o.stage_key where o.id = $1 for update of o
         ), o as (
           update opportunities o
           set stage_key = s.key, status = s.kind, probability = s.default_probability,
               weighted_value = round(o.amount * s.default_probability / 100, 2), stage_entered_at = $3, updated_at = $3, version = o.version + 1
           from old, stages s where o.id = old.id and s.name = $2
           returning o.*
         ), h as (
           insert into stage_history (id, opportunity_id, from_stage_key, from_stage, to_stage_key, to_stage, probability, notes, changed_by, changed_at,
             seconds_in_from_stage)
           select nextval('stage_history_id_seq'), o.id, old.stage_key, old.name, o.stage_key, $2, o.probability, $4, o.owner_id, $3,
             extract(epoch from $3 - old.stage_entered_at)::bigint
           from o, old
         ), e as (
           insert into outbox (recorded_at, payload) select updated_at, $5 from o
         )
         select {COLUMNS} from o join stages s on s.key = o.stage_key left join people p on p.user_id = o.owner_id"
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(request.id)
        .bind(request.stage)
        .bind(now)
        .bind(request.notes)
        .bind([0_u8; EVENT_BYTES].as_slice())
        .fetch_optional(pool)
        .await?;
    row.as_ref().map(|row| opportunity(row, now)).transpose()
}

/// The history of one opportunity.
pub(crate) async fn history(pool: &PgPool, id: i64) -> sqlx::Result<ListStageHistoryResponse> {
    let rows = sqlx::query(
        "select h.id, h.from_stage, h.from_stage_key, h.to_stage, h.to_stage_key, h.changed_by, p.username, h.notes, h.probability, h.changed_at,
                h.seconds_in_from_stage
         from stage_history h left join people p on p.user_id = h.changed_by
         where h.opportunity_id = $1 order by h.changed_at limit 51",
    )
    .bind(id)
    .fetch_all(pool)
    .await?;
    let items = rows.iter().take(PAGE).map(|row| {
        Ok(StageHistory {
            id: row.try_get(0)?,
            from_stage: row.try_get(1)?,
            from_stage_key: row.try_get(2)?,
            to_stage: row.try_get(3)?,
            to_stage_key: row.try_get(4)?,
            changed_by: row.try_get(5)?,
            changed_by_name: row.try_get::<Option<String>, _>(6)?.unwrap_or_default(),
            notes: row.try_get(7)?,
            probability: row.try_get(8)?,
            changed_at: Some(row.try_get::<DateTime<Utc>, _>(9)?.into()),
            seconds_in_from_stage: row.try_get(10)?,
        })
    });
    Ok(ListStageHistoryResponse { items: items.collect::<sqlx::Result<_>>()?, next_cursor: None })
}

/// The funnel, from its rollup.
pub(crate) async fn overview(
    pool: &PgPool,
    now: DateTime<Utc>,
) -> sqlx::Result<GetPipelineOverviewResponse> {
    let rows = sqlx::query(
        "select s.name, s.key, s.kind, r.count, r.total_value, r.weighted_value, r.advanced, r.lost
         from stages s join standing_rollup r on r.stage_key = s.key order by s.ordinal",
    )
    .fetch_all(pool)
    .await?;
    let mut answer = GetPipelineOverviewResponse {
        not_covered: Some(NotCovered::default()),
        as_of: Some(now.into()),
        ..Default::default()
    };
    let (mut value, mut weighted) = (Money::ZERO, Money::ZERO);
    for row in &rows {
        let (kind, count): (String, i64) = (row.try_get(2)?, row.try_get(3)?);
        let (total_value, weighted_value): (Money, Money) = (row.try_get(4)?, row.try_get(5)?);
        let (advanced, lost): (i64, i64) = (row.try_get(6)?, row.try_get(7)?);
        answer.total_opportunities += count;
        let is_open = kind == "open";
        if is_open {
            answer.open_opportunities += count;
            value += total_value;
            weighted += weighted_value;
        }
        answer.stages.push(StageOverview {
            name: row.try_get(0)?,
            key: row.try_get(1)?,
            kind,
            count,
            total_value: Some(total_value.into()),
            weighted_value: Some(weighted_value.into()),
            conversion_rate: is_open.then(|| share(advanced, advanced + lost)),
        });
    }
    answer.total_pipeline_value = Some(value.into());
    answer.weighted_pipeline_value = Some(weighted.into());
    Ok(answer)
}

/// With four decimals.
#[expect(clippy::cast_precision_loss, reason = "counts of opportunities")]
fn share(part: i64, whole: i64) -> f64 {
    (part as f64 * 10_000.0 / whole.max(1) as f64).round() / 10_000.0
}
