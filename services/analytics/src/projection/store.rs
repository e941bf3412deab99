//! All SQL about facts.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use money::Rate;
use proto::events::v1::PipelineRecord;
use sqlx::{PgConnection, PgPool, Row};

use super::Deals;
use super::record::ExchangeRate;
use crate::category::Category;
use crate::deal::{Deal, Fact, Kind, Ladders, Move};
use crate::directory::model::Settings;
use crate::form::FORM;
use crate::pipeline;
use crate::rollup::Rollups;
use crate::valuation::Valuation;

/// The stages of all pipelines in order, those that are deleted at the place that they had.
pub(crate) async fn ladders(tx: &mut PgConnection) -> sqlx::Result<Ladders> {
    let rows =
        sqlx::query!("select pipeline_id, key, kind from stages order by pipeline_id, ordinal")
            .fetch_all(tx)
            .await?;
    let mut stages: HashMap<i64, Vec<(String, Kind)>> = HashMap::new();
    for row in rows {
        let kind = Kind::parse(&row.kind).ok_or_else(|| broken("stages.kind"))?;
        stages.entry(row.pipeline_id).or_default().push((row.key, kind));
    }
    let mut ladders = Ladders::default();
    for (pipeline_id, stages) in stages {
        ladders.set(pipeline_id, stages);
    }
    Ok(ladders)
}

fn broken(column: &'static str) -> sqlx::Error {
    sqlx::Error::Decode(column.into())
}

/// Keeps a pipeline with its stages as of a version, unless a later one is known. Stages that it has no longer keep their place.
pub(crate) async fn upsert_pipeline(
    tx: &mut PgConnection,
    it: &PipelineRecord,
    version: i64,
) -> sqlx::Result<()> {
    let news = sqlx::query!(
        "insert into pipelines as p (pipeline_id, name, is_default, is_deleted, version) values ($1, $2, $3, $4, $5)
         on conflict (pipeline_id) do update
         set name = excluded.name, is_default = excluded.is_default, is_deleted = excluded.is_deleted, version = excluded.version
         where p.version < excluded.version",
        it.id,
        it.name,
        it.is_default,
        it.deleted_at.is_some(),
        version
    )
    .execute(&mut *tx)
    .await?;
    if news.rows_affected() == 0 {
        return Ok(());
    }
    let known = sqlx::query!(
        "delete from stages where pipeline_id = $1 returning key, name, kind, ordinal, default_probability, forecast_category",
        it.id
    );
    let mut known = known.fetch_all(&mut *tx).await?;
    known.sort_by_key(|stage| stage.ordinal);
    let before: Vec<_> = known.iter().map(|stage| stage.key.clone()).collect();
    let now: Vec<_> = it.stages.iter().map(|stage| stage.key.clone()).collect();
    let order = pipeline::with_deleted(&before, &now);
    for ((key, is_deleted), ordinal) in order.iter().zip(1_i32..) {
        let present = it.stages.iter().find(|stage| stage.key == *key);
        let present = present.map(|it| {
            let sure = (Some(it.default_probability), it.forecast_category.as_deref());
            (&*it.name, &*it.kind, sure)
        });
        let gone = || {
            let it = known.iter().find(|stage| stage.key == *key)?;
            let sure = (it.default_probability, it.forecast_category.as_deref());
            Some((&*it.name, &*it.kind, sure))
        };
        let Some((name, kind, (probability, category))) = present.or_else(gone) else {
            continue;
        };
        sqlx::query!(
            "insert into stages (pipeline_id, key, name, kind, ordinal, is_deleted, default_probability, forecast_category)
             values ($1, $2, $3, $4, $5, $6, $7, $8)",
            it.id,
            key,
            name,
            kind,
            ordinal,
            is_deleted,
            probability,
            category
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// Whether any opportunity is known to run through a pipeline.
pub(crate) async fn runs_any(tx: &mut PgConnection, pipeline_id: i64) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (select from opportunity_facts where pipeline_id = $1) as "runs_any!""#,
        pipeline_id
    )
    .fetch_one(tx)
    .await
}

const FACT: &str = "opportunity_id, version, opportunity_name, customer_id, pipeline_id, stage_key, status, owner_id, team_id, currency, amount, \
closed_amount, probability, expected_close_date, actual_close_date, lost_reason, source, created_at, stage_entered_at, is_deleted, forecast_category, \
customer_name";

fn fact(row: &sqlx::postgres::PgRow) -> sqlx::Result<Fact> {
    Ok(Fact {
        opportunity_id: row.try_get(0)?,
        version: row.try_get(1)?,
        opportunity_name: row.try_get(2)?,
        customer_id: row.try_get(3)?,
        customer_name: row.try_get(21)?,
        pipeline_id: row.try_get(4)?,
        stage_key: row.try_get(5)?,
        status: Kind::parse(row.try_get(6)?).ok_or_else(|| broken("opportunity_facts.status"))?,
        owner_id: row.try_get(7)?,
        team_id: row.try_get(8)?,
        currency: row.try_get(9)?,
        amount: row.try_get(10)?,
        closed_amount: row.try_get(11)?,
        probability: row.try_get(12)?,
        expected_close_date: row.try_get(13)?,
        actual_close_date: row.try_get(14)?,
        lost_reason: row.try_get(15)?,
        source: row.try_get(16)?,
        created_at: row.try_get(17)?,
        stage_entered_at: row.try_get(18)?,
        is_deleted: row.try_get(19)?,
        forecast_category: row.try_get::<Option<&str>, _>(20)?.and_then(Category::parse),
    })
}

/// These deals, each twice: as it was, and to be learned into.
pub(crate) async fn deals(tx: &mut PgConnection, ids: &[i64]) -> sqlx::Result<Deals> {
    let sql = format!("select {FACT} from opportunity_facts where opportunity_id = any($1)");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(ids).fetch_all(&mut *tx).await?;
    let facts = rows.iter().map(fact).collect::<sqlx::Result<Vec<_>>>()?;
    with_moves(tx, facts, ids).await
}

/// The next deals by id.
pub(super) async fn deals_after(
    tx: &mut PgConnection,
    after: i64,
    limit: i64,
) -> sqlx::Result<Deals> {
    let sql = format!(
        "select {FACT} from opportunity_facts where opportunity_id > $1 order by opportunity_id limit $2"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(after).bind(limit);
    let rows = query.fetch_all(&mut *tx).await?;
    let facts = rows.iter().map(fact).collect::<sqlx::Result<Vec<_>>>()?;
    let ids: Vec<i64> = facts.iter().map(|fact| fact.opportunity_id).collect();
    with_moves(tx, facts, &ids).await
}

/// The next living open ones in these currencies by id.
pub(super) async fn open_facts_after(
    tx: &mut PgConnection,
    currencies: &[String],
    after: i64,
    limit: i64,
) -> sqlx::Result<Vec<Fact>> {
    let sql = format!(
        "select {FACT} from opportunity_facts
         where opportunity_id > $1 and status = 'open' and not is_deleted and currency = any($2) order by opportunity_id limit $3"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(after).bind(currencies).bind(limit);
    query.fetch_all(tx).await?.iter().map(fact).collect()
}

async fn with_moves(tx: &mut PgConnection, facts: Vec<Fact>, ids: &[i64]) -> sqlx::Result<Deals> {
    let rows = sqlx::query!(
        "select history_id, opportunity_id, from_stage_key, to_stage_key, probability, changed_by, changed_at
         from stage_move_facts where opportunity_id = any($1) order by opportunity_id, changed_at, history_id",
        ids
    )
    .fetch_all(tx)
    .await?;
    let mut deals: HashMap<i64, Deal> = HashMap::with_capacity(ids.len());
    for fact in facts {
        let id = fact.opportunity_id;
        deals.entry(id).or_default().fact = Some(fact);
    }
    for row in rows {
        deals.entry(row.opportunity_id).or_default().moves.push(Move {
            history_id: row.history_id,
            from_stage_key: row.from_stage_key,
            to_stage_key: row.to_stage_key,
            probability: row.probability,
            changed_by: row.changed_by,
            changed_at: row.changed_at,
        });
    }
    Ok(deals.into_iter().map(|(id, deal)| (id, (deal.clone(), deal))).collect())
}

/// Writes facts, each over what was known of it.
pub(crate) async fn upsert_facts(tx: &mut PgConnection, facts: &[&Fact]) -> sqlx::Result<()> {
    fn all<'a, T>(facts: &[&'a Fact], field: impl Fn(&'a Fact) -> T) -> Vec<T> {
        facts.iter().map(|fact| field(fact)).collect()
    }
    if facts.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into opportunity_facts as f (opportunity_id, version, opportunity_name, customer_id, pipeline_id, stage_key, status, owner_id, team_id,
           currency, amount, closed_amount, probability, expected_close_date, actual_close_date, lost_reason, source, created_at, stage_entered_at, is_deleted, forecast_category,
           customer_name)
         select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::text[], $8::bigint[], $9::bigint[],
           $10::text[], $11::numeric[], $12::numeric[], $13::integer[], $14::date[], $15::date[], $16::text[], $17::text[], $18::timestamptz[],
           $19::timestamptz[], $20::boolean[], $21::text[], $22::text[])
         on conflict (opportunity_id) do update
         set version = excluded.version, opportunity_name = excluded.opportunity_name, customer_id = excluded.customer_id,
             pipeline_id = excluded.pipeline_id, stage_key = excluded.stage_key, status = excluded.status, owner_id = excluded.owner_id,
             team_id = excluded.team_id, currency = excluded.currency, amount = excluded.amount, closed_amount = excluded.closed_amount,
             probability = excluded.probability, expected_close_date = excluded.expected_close_date, actual_close_date = excluded.actual_close_date,
             lost_reason = excluded.lost_reason, source = excluded.source, created_at = excluded.created_at,
             stage_entered_at = excluded.stage_entered_at, is_deleted = excluded.is_deleted, forecast_category = excluded.forecast_category,
             customer_name = excluded.customer_name
         where f.version < excluded.version",
    )
    .bind(all(facts, |it| it.opportunity_id))
    .bind(all(facts, |it| it.version))
    .bind(all(facts, |it| it.opportunity_name.as_str()))
    .bind(all(facts, |it| it.customer_id))
    .bind(all(facts, |it| it.pipeline_id))
    .bind(all(facts, |it| it.stage_key.as_str()))
    .bind(all(facts, |it| it.status.as_str()))
    .bind(all(facts, |it| it.owner_id))
    .bind(all(facts, |it| it.team_id))
    .bind(all(facts, |it| it.currency.as_str()))
    .bind(all(facts, |it| it.amount))
    .bind(all(facts, |it| it.closed_amount))
    .bind(all(facts, |it| it.probability))
    .bind(all(facts, |it| it.expected_close_date))
    .bind(all(facts, |it| it.actual_close_date))
    .bind(all(facts, |it| it.lost_reason.as_deref()))
    .bind(all(facts, |it| it.source.as_deref()))
    .bind(all(facts, |it| it.created_at))
    .bind(all(facts, |it| it.stage_entered_at))
    .bind(all(facts, |it| it.is_deleted))
    .bind(all(facts, |it| it.forecast_category.map(Category::as_str)))
    .bind(all(facts, |it| it.customer_name.as_deref()))
    .execute(tx)
    .await?;
    Ok(())
}

/// Adds moves of opportunities; those that are known stay as they are.
pub(crate) async fn insert_moves(
    tx: &mut PgConnection,
    moves: &[(i64, &Move)],
) -> sqlx::Result<()> {
    if moves.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into stage_move_facts (history_id, opportunity_id, from_stage_key, to_stage_key, probability, changed_by, changed_at)
         select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::integer[], $6::bigint[], $7::timestamptz[])
         on conflict (history_id) do nothing",
    )
    .bind(moves.iter().map(|(_, it)| it.history_id).collect::<Vec<_>>())
    .bind(moves.iter().map(|(id, _)| *id).collect::<Vec<_>>())
    .bind(moves.iter().map(|(_, it)| it.from_stage_key.as_deref()).collect::<Vec<_>>())
    .bind(moves.iter().map(|(_, it)| it.to_stage_key.as_str()).collect::<Vec<_>>())
    .bind(moves.iter().map(|(_, it)| it.probability).collect::<Vec<_>>())
    .bind(moves.iter().map(|(_, it)| it.changed_by).collect::<Vec<_>>())
    .bind(moves.iter().map(|(_, it)| it.changed_at).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// Adds a change to the rollups; groups of which nothing is left are removed.
pub(crate) async fn add(tx: &mut PgConnection, rollups: &Rollups) -> sqlx::Result<()> {
    super::sums::standing(tx, &rollups.standing).await?;
    super::sums::category(tx, &rollups.category).await?;
    super::sums::flow(tx, &rollups.flow).await?;
    super::sums::unvalued(tx, &rollups.unvalued).await?;
    super::sums::loss(tx, &rollups.loss).await?;
    super::sums::conversion(tx, &rollups.conversion).await?;
    super::sums::stays(tx, &rollups.stays).await
}

/// Removes all rollups.
pub(crate) async fn clear_rollups(tx: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("delete from standing_rollup").execute(&mut *tx).await?;
    sqlx::query!("delete from category_rollup").execute(&mut *tx).await?;
    sqlx::query!("delete from flow_rollup").execute(&mut *tx).await?;
    sqlx::query!("delete from unvalued_rollup").execute(&mut *tx).await?;
    sqlx::query!("delete from loss_rollup").execute(&mut *tx).await?;
    sqlx::query!("delete from conversion_rollup").execute(&mut *tx).await?;
    sqlx::query!("delete from stay_rollup").execute(tx).await?;
    Ok(())
}

/// Removes what the rollups say of the values of open ones in these currencies; their counts are in the same groups.
pub(super) async fn clear_values(tx: &mut PgConnection, currencies: &[String]) -> sqlx::Result<()> {
    sqlx::query!("delete from standing_rollup where currency = any($1)", currencies)
        .execute(&mut *tx)
        .await?;
    sqlx::query!("delete from category_rollup where currency = any($1)", currencies)
        .execute(&mut *tx)
        .await?;
    sqlx::query!("delete from flow_rollup where currency = any($1)", currencies)
        .execute(tx)
        .await?;
    Ok(())
}

/// Keeps a rate as of a version, unless a later one is known; whether it was news.
pub(crate) async fn upsert_rate(tx: &mut PgConnection, it: &ExchangeRate) -> sqlx::Result<bool> {
    let kept = sqlx::query!(
        "insert into exchange_rates as r (rate_id, currency, valid_from, rate, is_deleted, version) values ($1, $2, $3, $4, $5, $6)
         on conflict (rate_id) do update set rate = excluded.rate, is_deleted = excluded.is_deleted, version = excluded.version
         where r.version < excluded.version",
        it.rate_id,
        it.currency,
        it.valid_from,
        it.rate as _,
        it.is_deleted,
        it.version
    )
    .execute(tx)
    .await?;
    Ok(kept.rows_affected() > 0)
}

/// All rates that are known, removed ones too, by id.
pub(crate) async fn rates(tx: &mut PgConnection) -> sqlx::Result<Vec<ExchangeRate>> {
    sqlx::query_as!(
        ExchangeRate,
        r#"select rate_id, currency, valid_from, rate as "rate: Rate", is_deleted, version from exchange_rates order by rate_id"#
    )
    .fetch_all(tx)
    .await
}

/// Removes all rates.
pub(crate) async fn clear_rates(tx: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("delete from exchange_rates").execute(tx).await?;
    Ok(())
}

/// By what open ones are valued in the rollups.
pub(crate) async fn valuation(
    tx: &mut PgConnection,
    settings: &Settings,
) -> sqlx::Result<Valuation> {
    let rates = sqlx::query!(
        r#"select distinct on (currency) currency, rate as "rate: Rate" from exchange_rates
           where not is_deleted and valid_from <= (select valued_on from valuation)
           order by currency, valid_from desc"#
    )
    .fetch_all(tx)
    .await?;
    let rates = rates.into_iter().map(|it| (it.currency, it.rate));
    Ok(Valuation::new(&settings.default_currency, rates))
}

/// By what open ones are valued on a day.
pub(crate) async fn valuation_on(
    tx: &mut PgConnection,
    settings: &Settings,
    day: NaiveDate,
) -> sqlx::Result<Valuation> {
    let rates = sqlx::query!(
        r#"select distinct on (currency) currency, rate as "rate: Rate" from exchange_rates
           where not is_deleted and valid_from <= $1
           order by currency, valid_from desc"#,
        day
    )
    .fetch_all(tx)
    .await?;
    let rates = rates.into_iter().map(|it| (it.currency, it.rate));
    Ok(Valuation::new(&settings.default_currency, rates))
}

/// The day of that.
pub(super) async fn valued_on(pool: &PgPool) -> sqlx::Result<NaiveDate> {
    sqlx::query_scalar!("select valued_on from valuation").fetch_one(pool).await
}

/// The day of that, which stays until this transaction ends.
pub(super) async fn lock_valued_on(tx: &mut PgConnection) -> sqlx::Result<NaiveDate> {
    sqlx::query_scalar!("select valued_on from valuation for update").fetch_one(tx).await
}

/// From now on it is by the rates of this day.
pub(crate) async fn set_valued_on(tx: &mut PgConnection, day: NaiveDate) -> sqlx::Result<()> {
    sqlx::query!("update valuation set valued_on = $1", day).execute(tx).await?;
    Ok(())
}

/// The day by which it is, and whether the rates of a day are others.
pub(super) async fn due(pool: &PgPool, day: NaiveDate) -> sqlx::Result<(NaiveDate, bool)> {
    let row = sqlx::query!(
        r#"select valued_on, exists (
             select from exchange_rates where not is_deleted and valid_from > valued_on and valid_from <= $1
           ) as "is_due!" from valuation"#,
        day
    )
    .fetch_one(pool)
    .await?;
    Ok((row.valued_on, row.is_due))
}

/// Removes all facts of opportunities.
pub(crate) async fn clear_facts(tx: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("delete from opportunity_facts").execute(&mut *tx).await?;
    sqlx::query!("delete from stage_move_facts").execute(tx).await?;
    Ok(())
}

/// Notes how far a source has been told.
pub(crate) async fn note_progress(
    tx: &mut PgConnection,
    source: &str,
    position: i64,
    recorded_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into progress as p (source, position, recorded_at, form) values ($1, $2, $3, $4)
         on conflict (source) do update set position = excluded.position, recorded_at = greatest(p.recorded_at, excluded.recorded_at),
           form = least(p.form, excluded.form)",
        source,
        position,
        recorded_at,
        FORM
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Notes that something was written in the form that this version keeps.
pub(crate) async fn note_form(tx: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("update progress set form = $1 where form > $1", FORM).execute(tx).await?;
    Ok(())
}

/// Notes that everything was made anew in the form that this version keeps.
pub(crate) async fn set_form(tx: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("update progress set form = $1", FORM).execute(tx).await?;
    Ok(())
}

/// The lowest form of what is there, if anything is.
pub(crate) async fn form(pool: &PgPool) -> sqlx::Result<Option<i32>> {
    sqlx::query_scalar!("select min(form) from progress").fetch_one(pool).await
}

/// Removes all pipelines.
pub(crate) async fn clear_pipelines(tx: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::query!("delete from stages").execute(&mut *tx).await?;
    sqlx::query!("delete from pipelines").execute(tx).await?;
    Ok(())
}

/// Lets this transaction take as long as it takes.
pub(crate) async fn take_time(tx: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::raw_sql(
        "set local statement_timeout = 0; set local lock_timeout = 0; set local idle_in_transaction_session_timeout = 0",
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Lets this transaction see the tables as they are now, for as long as it takes, whatever is written meanwhile.
pub(crate) async fn at_one_instant(tx: &mut PgConnection) -> sqlx::Result<()> {
    sqlx::raw_sql("set transaction isolation level repeatable read, read only")
        .execute(&mut *tx)
        .await?;
    take_time(tx).await
}

/// How many opportunities are known by range of ids, and the sum of their versions.
pub(crate) async fn digest(
    connection: &mut PgConnection,
    range: i64,
) -> sqlx::Result<crate::digest::Digest> {
    let rows = sqlx::query!(
        r#"select opportunity_id / $1 * $1 as "from_id!", count(*) as "count!", sum(version)::bigint as "version_sum!"
           from opportunity_facts group by 1"#,
        range
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.from_id, (row.count, row.version_sum))).collect())
}
