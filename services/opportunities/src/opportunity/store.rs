//! All SQL about opportunities and their history, but for lists.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use events::Encoded;
use rpc::{Error, OnConstraint};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, PgExecutor, PgPool, Row};

use super::line_item;
use super::model::{Moved, Opportunity};
use super::search::Indexed;
use super::{Detail, HistoryRow};
use crate::access::model::{Owned, Sight};
use crate::activity;
use crate::custom_field;
use crate::directory::model::Person;
use crate::pipeline::category::{self, Category};
use crate::pipeline::{self, model::Kind};

/// The columns of a record as [`detail`] reads them, of `o`, with its contact `c` and its owner `p`.
pub(super) const COLUMNS: &str = "o.id, o.opportunity_name, o.customer_id, o.customer_name, o.contact_id, o.pipeline_id, o.stage_key, o.status, \
o.amount, o.currency, o.closed_amount, o.probability, o.expected_close_date, o.actual_close_date, o.lost_reason, o.owner_id, o.team_id, \
o.products, o.notes, o.source, o.external_id, o.tags, o.waiting_until, o.created_by, o.created_at, o.updated_at, o.stage_entered_at, \
o.deleted_at, o.version, c.name, c.email, p.username, o.next_activity, o.closed_rate, o.line_items, \
o.custom_fields, o.forecast_category";

/// How many columns those are: the place of what is selected after them.
pub(super) const WIDTH: usize = 37;

/// Reads a row of [`COLUMNS`].
pub(super) fn detail(row: &PgRow) -> sqlx::Result<Detail> {
    let status: &str = row.try_get(7)?;
    let opportunity = Opportunity {
        id: row.try_get(0)?,
        opportunity_name: row.try_get(1)?,
        customer_id: row.try_get(2)?,
        customer_name: row.try_get(3)?,
        contact_id: row.try_get(4)?,
        pipeline_id: row.try_get(5)?,
        stage_key: row.try_get(6)?,
        status: Kind::parse(status)
            .ok_or_else(|| sqlx::Error::Decode("opportunities.status".into()))?,
        amount: row.try_get(8)?,
        currency: row.try_get(9)?,
        closed_amount: row.try_get(10)?,
        closed_rate: row.try_get(33)?,
        probability: row.try_get(11)?,
        expected_close_date: row.try_get(12)?,
        actual_close_date: row.try_get(13)?,
        lost_reason: row.try_get(14)?,
        owner_id: row.try_get(15)?,
        team_id: row.try_get(16)?,
        products: row.try_get(17)?,
        notes: row.try_get(18)?,
        source: row.try_get(19)?,
        external_id: row.try_get(20)?,
        tags: row.try_get(21)?,
        waiting_until: row.try_get(22)?,
        forecast_category: category::of_column(row.try_get(36)?)?,
        line_items: line_item::store::read(row, 34)?,
        custom_fields: custom_field::store::read(row, 35)?,
        created_by: row.try_get(23)?,
        created_at: row.try_get(24)?,
        updated_at: row.try_get(25)?,
        stage_entered_at: row.try_get(26)?,
        deleted_at: row.try_get(27)?,
        version: row.try_get(28)?,
    };
    Ok(Detail {
        opportunity,
        contact_name: row.try_get(29)?,
        contact_email: row.try_get(30)?,
        owner_name: row.try_get::<Option<String>, _>(31)?.unwrap_or_default(),
        next_activity: activity::store::next(row, 32)?,
    })
}

/// A living opportunity.
pub(super) async fn find(db: impl PgExecutor<'_>, id: i64) -> sqlx::Result<Option<Detail>> {
    let sql = format!(
        "select {COLUMNS} from opportunities o
         left join contacts c on c.id = o.contact_id
         left join people p on p.user_id = o.owner_id
         where o.id = $1 and o.deleted_at is null"
    );
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_optional(db).await?;
    row.as_ref().map(detail).transpose()
}

/// An opportunity, deleted or not.
pub(super) async fn find_any(db: impl PgExecutor<'_>, id: i64) -> sqlx::Result<Option<Detail>> {
    let sql = format!(
        "select {COLUMNS} from opportunities o
         left join contacts c on c.id = o.contact_id
         left join people p on p.user_id = o.owner_id
         where o.id = $1"
    );
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_optional(db).await?;
    row.as_ref().map(detail).transpose()
}

/// Those of these ids, deleted or not.
pub(super) async fn of_ids(db: impl PgExecutor<'_>, ids: &[i64]) -> sqlx::Result<Vec<Detail>> {
    let sql = format!(
        "select {COLUMNS} from opportunities o
         left join contacts c on c.id = o.contact_id
         left join people p on p.user_id = o.owner_id
         where o.id = any($1)"
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(ids).fetch_all(db).await?;
    rows.iter().map(detail).collect()
}

/// An opportunity, deleted or not, which nobody else changes until this transaction ends.
pub(super) async fn lock_any(tx: &mut PgConnection, id: i64) -> sqlx::Result<Option<Detail>> {
    let sql = format!(
        "select {COLUMNS} from opportunities o
         left join contacts c on c.id = o.contact_id
         left join people p on p.user_id = o.owner_id
         where o.id = $1
         for update of o"
    );
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_optional(tx).await?;
    row.as_ref().map(detail).transpose()
}

/// A living opportunity, which nobody else changes until this transaction ends, and an id for its next history row.
pub(super) async fn find_for_update(
    tx: &mut PgConnection,
    id: i64,
) -> sqlx::Result<Option<(Detail, i64)>> {
    let sql = format!(
        "select {COLUMNS}, nextval('stage_history_id_seq') from opportunities o
         left join contacts c on c.id = o.contact_id
         left join people p on p.user_id = o.owner_id
         where o.id = $1 and o.deleted_at is null
         for update of o"
    );
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id).fetch_optional(tx).await?;
    row.as_ref().map(|row| Ok((detail(row)?, row.try_get(WIDTH)?))).transpose()
}

/// What a creation needs to know before its transaction begins, in one look.
pub(super) struct Prepared {
    pub(super) opportunity_id: i64,
    pub(super) history_id: i64,
    pub(super) owner: Option<Person>,
    /// The customer of that id, or the oldest of that name, among those in sight.
    pub(super) customer: Option<(i64, String)>,
}

/// Ids for a new opportunity and its first history row, its owner, and its customer by id or folded name.
pub(super) async fn prepare(
    pool: &PgPool,
    owner_id: i64,
    customer_id: Option<i64>,
    folded_name: Option<&str>,
    sight: &Sight,
    by: i64,
) -> sqlx::Result<Prepared> {
    let (all, sight_owner, sight_teams) = sight.parts();
    let row = sqlx::query!(
        r#"select nextval('opportunities_id_seq') as "opportunity_id!", nextval('stage_history_id_seq') as "history_id!",
                  p.user_id as "user_id?", p.username as "username?", p.email as "email?", p.role as "role?", p.team_id, p.is_active as "is_active?",
                  c.id as "customer_id?", c.name as "customer_name?"
           from (select 1) as one
           left join people p on p.user_id = $1
           left join lateral (
             select c.id, c.name from customers c
             where (c.id = $2 or c.folded_name = $3) and c.deleted_at is null
               and ($4 or c.created_by = $5 or exists (
                 select 1 from opportunities o
                 where o.customer_id = c.id and o.deleted_at is null and (o.owner_id = $6 or o.team_id = any($7))))
             order by c.id limit 1
           ) c on true"#,
        owner_id,
        customer_id,
        folded_name,
        all,
        by,
        sight_owner,
        sight_teams
    )
    .fetch_one(pool)
    .await?;
    let owner = (|| {
        Some(Person {
            user_id: row.user_id?,
            username: row.username?,
            email: row.email?,
            role: row.role?,
            team_id: row.team_id,
            is_active: row.is_active?,
        })
    })();
    Ok(Prepared {
        opportunity_id: row.opportunity_id,
        history_id: row.history_id,
        owner,
        customer: row.customer_id.zip(row.customer_name),
    })
}

/// Adds an opportunity with its first history row, its change and what the broker is to be told, in one statement. Adds nothing and answers false
/// where its team is not its owner's any more; otherwise the owner stays in it until the end of this transaction, and so does what its stage was when it was decided:
/// fails where that is another by now.
pub(super) async fn insert(
    tx: &mut PgConnection,
    it: &Opportunity,
    moved: &Moved,
    change: &Encoded,
) -> Result<bool, Error> {
    let search = Indexed::of(it);
    let done = sqlx::query!(
        r#"with p as (
           select from people where user_id = $17 and team_id is not distinct from $18 for share
         ), gate as materialized (
           select pg_advisory_xact_lock_shared($50) as it
         ), held as (
           select from stages s, gate where s.pipeline_id = $6 and s.key = $7 and s.version = $49 for key share of s
         ), o as (
           insert into opportunities (id, opportunity_name, customer_id, customer_name, contact_id, pipeline_id, stage_key, status, amount, currency,
             closed_amount, probability, weighted_value, expected_close_date, actual_close_date, lost_reason, owner_id, team_id, products, notes, source,
             external_id, tags, waiting_until, created_by, created_at, updated_at, stage_entered_at, version, closed_rate, line_items, custom_fields, forecast_category)
           select $1, $2, $3, $4, $5, $6, $7, $8, $9::numeric, $10, $11::numeric, $12, $13::numeric, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $51::numeric, $52::text::jsonb, $53::text::jsonb, $54
           from p, held
         ), h as (
           insert into stage_history (id, opportunity_id, to_stage_key, to_stage, probability, notes, changed_by, changed_at)
           select $30, $1, $31, $32, $33, $34, $35, $36 from p, held
         ), s as (
           insert into opportunity_search (opportunity_id, folded, grams, created_at) select $1, $47, $48, $26 from p, held
         ), c as (
           insert into change (event_id, aggregate, aggregate_id, version, type, occurred_at, recorded_at, actor_user_id, actor_service, origin, request_id, payload)
           select $37, 'opportunity', $1, $46, $38, $39, $40, $41, $42, $43, $44, $45 from p, held returning change_id
         ), w as (
           insert into outbox (change_id) select change_id from c
         )
         select exists (select from p) as "is_team!", exists (select from held) as "is_stage!""#,
        it.id, it.opportunity_name, it.customer_id, it.customer_name, it.contact_id, it.pipeline_id, it.stage_key, it.status.as_str(),
        it.amount as _, it.currency, it.closed_amount as _, it.probability, it.weighted_value() as _, it.expected_close_date,
        it.actual_close_date, it.lost_reason, it.owner_id, it.team_id, &it.products, it.notes, it.source, it.external_id, &it.tags,
        it.waiting_until, it.created_by, it.created_at, it.updated_at, it.stage_entered_at, it.version,
        moved.id, moved.to.0, moved.to.1, moved.probability, moved.notes, moved.changed_by, moved.changed_at,
        change.event_id, change.event_type, change.occurred_at, change.recorded_at, change.actor_user_id, change.actor_service, change.origin,
        change.request_id, change.payload, change.version, search.folded, &search.grams, moved.stage_version, pipeline::gate(),
        it.closed_rate as _, line_item::json(&it.line_items), custom_field::model::json(&it.custom_fields),
        it.forecast_category.map(Category::as_str)
    )
    .fetch_one(tx)
    .await
    .on_constraint("opportunities_external_id_key", || {
        Error::conflict(super::EXTERNAL_ID_TAKEN, "an opportunity with this external_id exists")
    })?;
    if done.is_team && !done.is_stage {
        return Err(pipeline::stages_changed());
    }
    Ok(done.is_team)
}

/// Writes what a change made of an opportunity, its history row where it came into another stage, its change and what the broker is to be told, in one statement.
/// Fails where that stage is another by now than it was when the move was decided.
pub(super) async fn update(
    tx: &mut PgConnection,
    before: &Opportunity,
    it: &Opportunity,
    moved: Option<&Moved>,
    change: &Encoded,
) -> Result<(), Error> {
    let search = Indexed::if_other(before, it);
    let (folded, grams) = search.map(|it| (it.folded, it.grams)).unzip();
    let done = sqlx::query!(
        "with gate as materialized (
           select pg_advisory_xact_lock_shared($51) as it where $50::bigint is not null
         ), held as (
           select from stages s, gate where s.pipeline_id = $6 and s.key = $7 and s.version = $50 for key share of s
         ), o as (
           update opportunities
           set opportunity_name = $2, customer_id = $3, customer_name = $4, contact_id = $5, pipeline_id = $6, stage_key = $7, status = $8, amount = $9::numeric,
               currency = $10, closed_amount = $11::numeric, probability = $12, weighted_value = $13::numeric, expected_close_date = $14, actual_close_date = $15,
               lost_reason = $16, owner_id = $17, team_id = $18, products = $19, notes = $20, source = $21, external_id = $22, tags = $23, waiting_until = $24,
               updated_at = $25, stage_entered_at = $26, deleted_at = $27, version = $28, closed_rate = $52::numeric, line_items = $53::text::jsonb,
               custom_fields = $54::text::jsonb, forecast_category = $55
           where id = $1 and ($50::bigint is null or exists (select from held))
           returning id, created_at
         ), h as (
           insert into stage_history (id, opportunity_id, from_stage_key, from_stage, to_stage_key, to_stage, probability, notes, changed_by, changed_at, seconds_in_from_stage)
           select $29, $1, $30, $31, $32, $33, $34, $35, $36, $37, $38 from o where $29::bigint is not null
         ), s as (
           insert into opportunity_search (opportunity_id, folded, grams, created_at) select $1, $48, $49, o.created_at from o where $48::text is not null
           on conflict (opportunity_id) do update set folded = excluded.folded, grams = excluded.grams
         ), c as (
           insert into change (event_id, aggregate, aggregate_id, version, type, occurred_at, recorded_at, actor_user_id, actor_service, origin, request_id, payload)
           select $39, 'opportunity', $1, $28, $40, $41, $42, $43, $44, $45, $46, $47 from o returning change_id
         )
         insert into outbox (change_id) select change_id from c",
        it.id, it.opportunity_name, it.customer_id, it.customer_name, it.contact_id, it.pipeline_id, it.stage_key, it.status.as_str(),
        it.amount as _, it.currency, it.closed_amount as _, it.probability, it.weighted_value() as _, it.expected_close_date,
        it.actual_close_date, it.lost_reason, it.owner_id, it.team_id, &it.products, it.notes, it.source, it.external_id, &it.tags,
        it.waiting_until, it.updated_at, it.stage_entered_at, it.deleted_at, it.version,
        moved.map(|it| it.id),
        moved.and_then(|it| it.from.as_ref()).map(|from| &*from.0),
        moved.and_then(|it| it.from.as_ref()).map(|from| &*from.1),
        moved.map(|it| &*it.to.0),
        moved.map(|it| &*it.to.1),
        moved.map(|it| it.probability),
        moved.and_then(|it| it.notes.as_deref()),
        moved.map(|it| it.changed_by),
        moved.map(|it| it.changed_at),
        moved.and_then(|it| it.seconds_in_from_stage),
        change.event_id, change.event_type, change.occurred_at, change.recorded_at, change.actor_user_id, change.actor_service, change.origin,
        change.request_id, change.payload, folded, grams.as_deref(), moved.map(|it| it.stage_version), pipeline::gate(),
        it.closed_rate as _, line_item::json(&it.line_items), custom_field::model::json(&it.custom_fields),
        it.forecast_category.map(Category::as_str)
    )
    .execute(tx)
    .await
    .on_constraint("opportunities_external_id_key", || {
        Error::conflict(super::EXTERNAL_ID_TAKEN, "an opportunity with this external_id exists")
    })?;
    if done.rows_affected() == 0 {
        return Err(pipeline::stages_changed());
    }
    Ok(())
}

/// Whose a living opportunity is, and a part of its history.
pub(super) struct History {
    pub(super) owned: Owned,
    pub(super) rows: Vec<HistoryRow>,
}

/// The longest page of a living opportunity's history, and one row more, oldest first, after an instant. The limit is a literal: for one that is
/// bound PostgreSQL plans anew each time.
pub(super) async fn history(
    pool: &PgPool,
    opportunity_id: i64,
    after: DateTime<Utc>,
) -> sqlx::Result<Option<History>> {
    let found = sqlx::query!(
        r#"select o.owner_id, o.team_id, h.id as "id?", h.from_stage, h.from_stage_key, h.to_stage as "to_stage?", h.to_stage_key as "to_stage_key?",
                  h.changed_by as "changed_by?", p.username as "username?", h.notes, h.probability as "probability?", h.changed_at as "changed_at?",
                  h.seconds_in_from_stage
           from opportunities o
           left join stage_history h on h.opportunity_id = o.id and h.changed_at > $2
           left join people p on p.user_id = h.changed_by
           where o.id = $1 and o.deleted_at is null
           order by h.changed_at limit 201"#,
        opportunity_id,
        after
    )
    .fetch_all(pool)
    .await?;
    let Some(first) = found.first() else { return Ok(None) };
    let owned = Owned { owner_id: first.owner_id, team_id: first.team_id };
    let rows = found.into_iter().filter_map(|row| {
        Some(HistoryRow {
            id: row.id?,
            from_stage: row.from_stage,
            from_stage_key: row.from_stage_key,
            to_stage: row.to_stage?,
            to_stage_key: row.to_stage_key?,
            changed_by: row.changed_by?,
            changed_by_name: row.username.unwrap_or_default(),
            notes: row.notes,
            probability: row.probability?,
            changed_at: row.changed_at?,
            seconds_in_from_stage: row.seconds_in_from_stage,
        })
    });
    Ok(Some(History { owned, rows: rows.collect() }))
}

/// Living opportunities of these ids, which nobody else changes until this transaction ends; locked in the order of their ids.
pub(super) async fn lock_all(tx: &mut PgConnection, ids: &[i64]) -> sqlx::Result<Vec<Detail>> {
    let sql = format!(
        "select {COLUMNS} from opportunities o
         left join contacts c on c.id = o.contact_id
         left join people p on p.user_id = o.owner_id
         where o.id = any($1) and o.deleted_at is null
         order by o.id
         for update of o"
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(ids).fetch_all(tx).await?;
    rows.iter().map(detail).collect()
}

/// Whose these opportunities are.
pub(super) async fn owners_of(tx: &mut PgConnection, ids: &[i64]) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        "select distinct owner_id from opportunities where id = any($1) and deleted_at is null",
        ids
    )
    .fetch_all(tx)
    .await
}

/// The living customer of that id, if somebody may see it: who made it, or sees one of its opportunities. It stays as it is until this transaction ends.
pub(super) async fn hold_customer(
    tx: &mut PgConnection,
    id: i64,
    sight: &Sight,
    by: i64,
) -> sqlx::Result<Option<(i64, String)>> {
    let (all, owner_id, team_ids) = sight.parts();
    let row = sqlx::query!(
        "select c.id, c.name from customers c
         where c.id = $1 and c.deleted_at is null
           and ($2 or c.created_by = $3 or exists (
             select 1 from opportunities o
             where o.customer_id = c.id and o.deleted_at is null and (o.owner_id = $4 or o.team_id = any($5))))
         for share of c",
        id,
        all,
        by,
        owner_id,
        team_ids
    )
    .fetch_optional(tx)
    .await?;
    Ok(row.map(|row| (row.id, row.name)))
}

/// The name of a contact.
pub(super) async fn contact_name(tx: &mut PgConnection, id: i64) -> sqlx::Result<Option<String>> {
    sqlx::query_scalar!("select name from contacts where id = $1", id).fetch_optional(tx).await
}

/// The opportunity with an id of another system, deleted ones too: its id, and whose it is.
pub(super) async fn find_external(
    pool: &PgPool,
    external_id: &str,
) -> sqlx::Result<Option<(i64, Owned)>> {
    let row = sqlx::query!(
        "select id, owner_id, team_id from opportunities where external_id = $1",
        external_id
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| (row.id, Owned { owner_id: row.owner_id, team_id: row.team_id })))
}

/// That many ids for history rows, rising.
pub(super) async fn history_ids(
    executor: impl PgExecutor<'_>,
    count: i64,
) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"select nextval('stage_history_id_seq') as "id!" from generate_series(1, $1::bigint)"#,
        count
    )
    .fetch_all(executor)
    .await
}

/// That many ids for new opportunities, rising.
pub(super) async fn new_ids(executor: impl PgExecutor<'_>, count: i64) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"select nextval('opportunities_id_seq') as "id!" from generate_series(1, $1::bigint)"#,
        count
    )
    .fetch_all(executor)
    .await
}

/// The opportunities with these ids of another system, deleted ones too.
pub(super) async fn of_external_ids(
    pool: &PgPool,
    external_ids: &[String],
) -> sqlx::Result<Vec<Detail>> {
    let sql = format!(
        "select {COLUMNS} from opportunities o
         left join contacts c on c.id = o.contact_id
         left join people p on p.user_id = o.owner_id
         where o.external_id = any($1)"
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(external_ids).fetch_all(pool).await?;
    rows.iter().map(detail).collect()
}

/// What was told of opportunities at some of their versions, by id and version.
pub(super) async fn told(
    tx: &mut PgConnection,
    versions: &[(i64, i64)],
) -> sqlx::Result<HashMap<(i64, i64), Vec<u8>>> {
    let (ids, versions): (Vec<i64>, Vec<i64>) = versions.iter().copied().unzip();
    let rows = sqlx::query!(
        "select c.aggregate_id, c.version, c.payload
         from unnest($1::bigint[], $2::bigint[]) as w (id, version)
         join change c on c.aggregate = 'opportunity' and c.aggregate_id = w.id and c.version = w.version",
        &ids,
        &versions
    )
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|row| ((row.aggregate_id, row.version), row.payload)).collect())
}

/// Whether any opportunity has an amount.
pub(super) async fn are_amounts(pool: &PgPool) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from opportunities where amount is not null) as "is!""#
    )
    .fetch_one(pool)
    .await
}

/// Those of these deleted opportunities that were deleted when an import was taken back.
pub(super) async fn taken_back(pool: &PgPool, ids: &[i64]) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        r#"select w.id as "id!"
           from unnest($1::bigint[]) as w (id)
           cross join lateral (
             select c.origin from change c
             where c.aggregate = 'opportunity' and c.aggregate_id = w.id and c.type = 'opportunity.deleted'
             order by c.version desc limit 1
           ) as last
           where last.origin = 'import'"#,
        ids
    )
    .fetch_all(pool)
    .await
}
