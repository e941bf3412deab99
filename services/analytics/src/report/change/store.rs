//! All SQL of the report: what the open pipeline was at two instants is one statement, so that all its numbers are of one moment.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, NaiveDate, Utc};
use futures::TryStreamExt as _;
use money::Rate;
use sqlx::postgres::{PgArguments, PgRow, Postgres};
use sqlx::{PgPool, Row as _};

use super::model::{Lens, Pair, Present, Rates, Steady, Sums, View};
use crate::valuation::Valuation;
use crate::version::store::status;
use crate::visibility::Sight;

/// What is compared.
pub(super) struct Question<'a> {
    pub(super) sight: &'a Sight,
    pub(super) lens: &'a Lens,
    /// What happened before it is known at the first end.
    pub(super) start: DateTime<Utc>,
    /// Likewise at the last.
    pub(super) end: DateTime<Utc>,
    /// Only those with a lower id.
    pub(super) before_id: Option<i64>,
}

/// What was known of an opportunity between two instants and was open, in the part that is looked at: where that is a window of close dates, what has none is in it, too.
macro_rules! open_versions {
    ($when:literal) => {
        concat!(
            "select opportunity_id, status, pipeline_id, owner_id, team_id, currency, amount, expected_close_date, is_deleted
             from opportunity_versions
             where status = 'open' and not is_deleted and ",
            $when,
            " and ($3::bigint is null or owner_id = $3) and ($4::bigint is null or team_id = $4) and ($5::bigint is null or pipeline_id = $5)
              and (($6::date is null and $7::date is null) or expected_close_date is null
                or (expected_close_date >= coalesce($6, '-infinity') and expected_close_date <= coalesce($7, 'infinity')))
              and ($8::bigint is null or opportunity_id < $8)
              and ($9 or exists (
                select from opportunity_facts f
                where f.opportunity_id = opportunity_versions.opportunity_id and (f.owner_id = $10 or f.team_id = any($11))
              ))"
        )
    };
}

/// What one that is not open at this instant was then, if it is open at the other. By its key for each: they are few.
macro_rules! known_at {
    ($instant:literal, $missing:literal, $other:literal) => {
        concat!(
            " left join lateral (
                select status, pipeline_id, owner_id, team_id, currency, amount, expected_close_date, is_deleted from opportunity_versions
                where ", $missing, ".opportunity_id is null and opportunity_id = ", $other, ".opportunity_id and at < ", $instant, " and until >= ", $instant, "
                limit 1
              )"
        )
    };
}

/// `s` is what ended between the ends, `e` what began there and is known at the last, `steady` what is known at both; `pairs` are those that are not the same at both.
macro_rules! compared {
    ($rest:literal) => {
        concat!(
            "with s as (",
            open_versions!("at < $1 and until >= $1 and until < $2"),
            "), e as (",
            open_versions!("at >= $1 and at < $2 and until >= $2"),
            "), steady as (",
            open_versions!("at < $1 and until >= $2"),
            "), pairs as (
               select coalesce(s.opportunity_id, e.opportunity_id) as opportunity_id,
                      coalesce(s.status, t.status) as s1, coalesce(s.pipeline_id, t.pipeline_id) as s2, coalesce(s.owner_id, t.owner_id) as s3,
                      coalesce(s.team_id, t.team_id) as s4, coalesce(s.currency, t.currency) as s5, coalesce(s.amount, t.amount) as s6,
                      coalesce(s.expected_close_date, t.expected_close_date) as s7, coalesce(s.is_deleted, t.is_deleted) as s8,
                      coalesce(e.status, f.status) as e1, coalesce(e.pipeline_id, f.pipeline_id) as e2, coalesce(e.owner_id, f.owner_id) as e3,
                      coalesce(e.team_id, f.team_id) as e4, coalesce(e.currency, f.currency) as e5, coalesce(e.amount, f.amount) as e6,
                      coalesce(e.expected_close_date, f.expected_close_date) as e7, coalesce(e.is_deleted, f.is_deleted) as e8
               from s full join e on e.opportunity_id = s.opportunity_id",
            known_at!("$1", "s", "e"),
            " t on true",
            known_at!("$2", "e", "s"),
            " f on true
             ) ",
            $rest
        )
    };
}

/// Those that are not the same at both ends one by one, the others summed up by what their values are made of: of each amount in a currency that has to be converted, and of all
/// amounts in the organisation's own.
const SUMS: &str = compared!(
    "select (select recorded_at from progress where source = 'opportunities'), it.*
     from (values (1)) as always left join (
       select pairs.*, null::boolean, null::bigint, null::bigint, null::numeric from pairs
       union all
       select null, null, null, null, null, currency, each, null, null, null, null, null, null, null, null, null, null,
              is_dated, count(*), count(amount), coalesce(sum(amount), 0)
       from (
         select currency, amount, case when currency <> $12 then amount end as each, expected_close_date is not null as is_dated from steady
       ) it
       group by currency, each, is_dated
     ) it on true"
);

/// All of them one by one, those that are the same only where they are asked for, the newest first by id.
const EACH: &str = compared!(
    "select (select recorded_at from progress where source = 'opportunities'), it.*
     from (values (1)) as always left join (
       select * from pairs
       union all
       select opportunity_id, status, pipeline_id, owner_id, team_id, currency, amount, expected_close_date, is_deleted,
              status, pipeline_id, owner_id, team_id, currency, amount, expected_close_date, is_deleted
       from steady where $12
     ) it on true
     order by opportunity_id desc"
);

/// Adds up every opportunity that is open at either end in the part that is looked at, and that the caller may see by whose it is at present. When the latest change in it was
/// written down.
pub(super) async fn sums(
    pool: &PgPool,
    question: &Question<'_>,
    default_currency: &str,
    rates: &Rates,
) -> sqlx::Result<(Sums, DateTime<Utc>)> {
    let mut rows = question.bound(SUMS).bind(default_currency).fetch(pool);
    let (mut sums, mut as_of) = (Sums::default(), None);
    while let Some(row) = rows.try_next().await? {
        as_of = row.try_get(0)?;
        if let Some(pair) = pair(&row)? {
            sums.add(&pair, question.lens, rates);
        } else if let Some(count) = row.try_get(19)? {
            let steady = Steady {
                currency: row.try_get(6)?,
                each: row.try_get(7)?,
                is_dated: row.try_get(18)?,
                count,
                amounts: row.try_get(20)?,
                total: row.try_get(21)?,
            };
            sums.add_steady(&steady, question.lens, rates);
        }
    }
    Ok((sums, as_of.unwrap_or(DateTime::UNIX_EPOCH)))
}

/// Tells of the same opportunities one by one, the newest first by id, until it is told enough; of those that are the same at both ends only where they are wanted.
pub(super) async fn each(
    pool: &PgPool,
    question: &Question<'_>,
    with_steady: bool,
    mut tell: impl FnMut(Pair) -> bool,
) -> sqlx::Result<DateTime<Utc>> {
    let mut rows = question.bound(EACH).bind(with_steady).fetch(pool);
    let mut as_of = None;
    while let Some(row) = rows.try_next().await? {
        as_of = row.try_get(0)?;
        if !pair(&row)?.is_some_and(&mut tell) {
            break;
        }
    }
    Ok(as_of.unwrap_or(DateTime::UNIX_EPOCH))
}

impl<'a> Question<'a> {
    fn bound(&self, sql: &'static str) -> sqlx::query::Query<'a, Postgres, PgArguments> {
        let (sees_all, sees_owner, sees_teams) = self.sight.parts();
        sqlx::query(sql)
            .bind(self.start)
            .bind(self.end)
            .bind(self.lens.owner_id)
            .bind(self.lens.team_id)
            .bind(self.lens.pipeline_id)
            .bind(self.lens.close_from)
            .bind(self.lens.close_to)
            .bind(self.before_id)
            .bind(sees_all)
            .bind(sees_owner)
            .bind(sees_teams)
    }
}

/// A row of its own; nothing where the row is of none.
fn pair(row: &PgRow) -> sqlx::Result<Option<Pair>> {
    let Some(opportunity_id) = row.try_get(1)? else { return Ok(None) };
    Ok(Some(Pair { opportunity_id, start: view(row, 2)?, end: view(row, 10)? }))
}

fn view(row: &PgRow, first: usize) -> sqlx::Result<Option<View>> {
    let Some(kind) = row.try_get::<Option<&str>, _>(first)? else { return Ok(None) };
    Ok(Some(View {
        status: status(kind)?,
        pipeline_id: row.try_get(first + 1)?,
        owner_id: row.try_get(first + 2)?,
        team_id: row.try_get(first + 3)?,
        currency: row.try_get(first + 4)?,
        amount: row.try_get(first + 5)?,
        expected_close_date: row.try_get(first + 6)?,
        is_deleted: row.try_get(first + 7)?,
    }))
}

/// By what amounts are valued on two days: by the rates for these days, as they are known at present.
pub(super) async fn rates(
    pool: &PgPool,
    default_currency: &str,
    start: NaiveDate,
    end: NaiveDate,
) -> sqlx::Result<Rates> {
    let rows = sqlx::query!(
        r#"select d.day as "day!", r.currency as "currency!", r.rate as "rate!: Rate"
           from unnest($1::date[]) as d (day)
           cross join lateral (
             select distinct on (currency) currency, rate from exchange_rates
             where not is_deleted and valid_from <= d.day
             order by currency, valid_from desc
           ) r"#,
        &[start, end]
    )
    .fetch_all(pool)
    .await?;
    let mut by_day: BTreeMap<NaiveDate, Vec<(String, Rate)>> = BTreeMap::new();
    for row in rows {
        by_day.entry(row.day).or_default().push((row.currency, row.rate));
    }
    let of = |day| Valuation::new(default_currency, by_day.get(&day).cloned().unwrap_or_default());
    Ok(Rates { start: of(start), end: of(end) })
}

/// What these opportunities are at present.
pub(super) async fn present(pool: &PgPool, ids: &[i64]) -> sqlx::Result<HashMap<i64, Present>> {
    let rows = sqlx::query!(
        "select opportunity_id, opportunity_name, customer_id, customer_name, pipeline_id, stage_key, status, owner_id, team_id, is_deleted
         from opportunity_facts where opportunity_id = any($1)",
        ids
    )
    .fetch_all(pool)
    .await?;
    let present = rows.into_iter().map(|row| {
        let present = Present {
            opportunity_name: row.opportunity_name,
            customer_id: row.customer_id,
            customer_name: row.customer_name,
            pipeline_id: row.pipeline_id,
            stage_key: row.stage_key,
            status: row.status,
            owner_id: row.owner_id,
            team_id: row.team_id,
            is_deleted: row.is_deleted,
        };
        (row.opportunity_id, present)
    });
    Ok(present.collect())
}
