//! All SQL of reports: each is one statement over rollups, so that all its numbers are of one moment.

use chrono::{DateTime, Datelike as _, NaiveDate};
use chrono_tz::Tz;
use sqlx::PgPool;

use super::conversion::Slice;
use super::performance::Of;
use super::trend::Happened;
use super::value::{NotCovered, Sum};
use super::{Read, conversion, overview, performance, trend};
use crate::period::{Period, Span};
use crate::range::Range;
use crate::visibility::Scope;

fn broken(column: &'static str) -> sqlx::Error {
    sqlx::Error::Decode(column.into())
}

/// What stands in each stage of a pipeline, and who ever entered it.
pub(super) async fn funnel(
    pool: &PgPool,
    pipeline_id: i64,
    scope: &Scope,
) -> sqlx::Result<Read<overview::Row>> {
    let (sees_all, sees_owner, sees_teams) = scope.sight.parts();
    let rows = sqlx::query!(
        r#"with standing as (
             select stage_key, sum(count)::bigint as count, sum(value_count)::bigint as value_count,
                    sum(rate_missing)::bigint as rate_missing, sum(total_value) as value, sum(weighted_value) as weighted,
                    0::bigint as advanced, 0::bigint as lost
             from standing_rollup
             where pipeline_id = $1 and ($2 or owner_id = $3 or team_id = any($4))
               and ($5::bigint is null or owner_id = $5) and ($6::bigint is null or team_id = $6)
             group by stage_key
           ), entered as (
             select stage_key, 0::bigint, 0::bigint, 0::bigint, 0::numeric, 0::numeric, sum(advanced)::bigint, sum(lost)::bigint
             from conversion_rollup
             where grain = 'all' and start_date = '-infinity' and pipeline_id = $1 and ($2 or owner_id = $3 or team_id = any($4))
               and ($5::bigint is null or owner_id = $5) and ($6::bigint is null or team_id = $6)
             group by stage_key
           )
           select (select recorded_at from progress where source = 'opportunities') as as_of,
                  it.stage_key as "stage_key?", coalesce(it.count, 0) as "count!",
                  coalesce(it.value_count, 0) as "value_count!", coalesce(it.rate_missing, 0) as "rate_missing!",
                  coalesce(it.value, 0) as "value!: money::Money", coalesce(it.weighted, 0) as "weighted!: money::Money",
                  coalesce(it.advanced, 0) as "advanced!", coalesce(it.lost, 0) as "lost!"
           from (values (1)) as always left join (select * from standing union all select * from entered) it on true"#,
        pipeline_id,
        sees_all,
        sees_owner,
        sees_teams,
        scope.owner_id,
        scope.team_id
    )
    .fetch_all(pool)
    .await?;
    let as_of = rows.first().and_then(|row| row.as_of).unwrap_or(DateTime::UNIX_EPOCH);
    let rows = rows.into_iter().filter_map(|row| {
        let sum = Sum {
            count: row.count,
            value_count: row.value_count,
            rate_missing: row.rate_missing,
            value: row.value,
        };
        let (weighted, advanced, lost) = (row.weighted, row.advanced, row.lost);
        Some(overview::Row { stage_key: row.stage_key?, sum, weighted, advanced, lost })
    });
    Ok(Read { rows: rows.collect(), as_of })
}

/// Who first entered each stage of a pipeline in these slices of time.
pub(super) async fn entries(
    pool: &PgPool,
    pipeline_id: i64,
    scope: &Scope,
    slices: &[Slice],
) -> sqlx::Result<Read<conversion::Row>> {
    let (sees_all, sees_owner, sees_teams) = scope.sight.parts();
    let grains: Vec<_> = slices.iter().map(|slice| slice.grain.to_owned()).collect();
    let from: Vec<_> = slices.iter().map(|slice| slice.from).collect();
    let before: Vec<_> = slices.iter().map(|slice| slice.before).collect();
    let rows = sqlx::query!(
        r#"with entered as (
             select c.stage_key, sum(c.entered)::bigint as entered, sum(c.advanced)::bigint as advanced, sum(c.lost)::bigint as lost,
                    sum(c.stays)::bigint as stays, sum(c.stay_seconds)::bigint as stay_seconds
             from unnest($7::text[], $8::date[], $9::date[]) as slice (grain, from_date, before_date)
             -- Summed by slice, so that each is read by the index.
             cross join lateral (
               select stage_key, sum(entered) as entered, sum(advanced) as advanced, sum(lost) as lost,
                      sum(stays) as stays, sum(stay_seconds) as stay_seconds
               from conversion_rollup
               where grain = slice.grain and start_date >= coalesce(slice.from_date, '-infinity')
                 and start_date < coalesce(slice.before_date, 'infinity')
                 and pipeline_id = $1 and ($2 or owner_id = $3 or team_id = any($4))
                 and ($5::bigint is null or owner_id = $5) and ($6::bigint is null or team_id = $6)
               group by stage_key
             ) c
             group by c.stage_key
           )
           select (select recorded_at from progress where source = 'opportunities') as as_of,
                  it.stage_key as "stage_key?", coalesce(it.entered, 0) as "entered!", coalesce(it.advanced, 0) as "advanced!",
                  coalesce(it.lost, 0) as "lost!", coalesce(it.stays, 0) as "stays!", coalesce(it.stay_seconds, 0) as "stay_seconds!"
           from (values (1)) as always left join entered it on true"#,
        pipeline_id,
        sees_all,
        sees_owner,
        sees_teams,
        scope.owner_id,
        scope.team_id,
        &grains,
        &from as &[Option<chrono::NaiveDate>],
        &before as &[Option<chrono::NaiveDate>]
    )
    .fetch_all(pool)
    .await?;
    let as_of = rows.first().and_then(|row| row.as_of).unwrap_or(DateTime::UNIX_EPOCH);
    let rows = rows.into_iter().filter_map(|row| {
        Some(conversion::Row {
            stage_key: row.stage_key?,
            entered: row.entered,
            advanced: row.advanced,
            lost: row.lost,
            stays: row.stays,
            stay_seconds: row.stay_seconds,
        })
    });
    Ok(Read { rows: rows.collect(), as_of })
}

/// What happened in these periods, by day or by month, and what was won in them without a value and not made in them: by a rollup where they are of whole months together.
pub(super) async fn flow(
    pool: &PgPool,
    scope: &Scope,
    grain: &str,
    periods: &[Period],
    zone: Tz,
) -> sqlx::Result<(Read<trend::Row>, NotCovered)> {
    let (sees_all, sees_owner, sees_teams) = scope.sight.parts();
    let (start, end) = periods.first().zip(periods.last()).unzip();
    let days = Range { start: start.map(|it| it.span.start), end: end.map(|it| it.span.end) };
    let (from, before) = days.instants(zone);
    let begins_a_month = |day: Option<NaiveDate>| day.is_none_or(|day| day.day() == 1);
    let is_of_months =
        begins_a_month(days.start) && begins_a_month(days.end.and_then(|end| end.succ_opt()));
    let rows = sqlx::query!(
        r#"with happened as (
             select start_date, kind, sum(count)::bigint as count, sum(value_count)::bigint as value_count,
                    sum(rate_missing)::bigint as rate_missing, sum(value) as value
             from flow_rollup
             where grain = $1 and start_date between $2 and $3 and ($4 or owner_id = $5 or team_id = any($6))
               and ($7::bigint is null or owner_id = $7) and ($8::bigint is null or team_id = $8)
               and ($9::bigint is null or pipeline_id = $9)
             group by start_date, kind
           ), earlier as (
             select coalesce(sum(without_amount), 0)::bigint as without_amount, coalesce(sum(without_rate), 0)::bigint as without_rate
             from (
               select without_amount, without_rate
               from unvalued_rollup
               where $12 and won_month between $2 and $3 and created_month not between $2 and $3 and ($4 or owner_id = $5 or team_id = any($6))
                 and ($7::bigint is null or owner_id = $7) and ($8::bigint is null or team_id = $8)
                 and ($9::bigint is null or pipeline_id = $9)
               union all
               select (amount is null)::integer, (amount is not null)::integer
               from opportunity_facts
               where not $12 and not is_deleted and status = 'won' and closed_amount is null and actual_close_date between $2 and $3
                 and (created_at < $10 or created_at >= $11) and ($4 or owner_id = $5 or team_id = any($6))
                 and ($7::bigint is null or owner_id = $7) and ($8::bigint is null or team_id = $8)
                 and ($9::bigint is null or pipeline_id = $9)
             ) them
           )
           select (select recorded_at from progress where source = 'opportunities') as as_of,
                  earlier.without_amount as "without_amount!", earlier.without_rate as "without_rate!",
                  it.start_date as "start_date?", coalesce(it.kind, '') as "kind!",
                  coalesce(it.count, 0) as "count!", coalesce(it.value_count, 0) as "value_count!",
                  coalesce(it.rate_missing, 0) as "rate_missing!", coalesce(it.value, 0) as "value!: money::Money"
           from earlier left join happened it on true"#,
        grain,
        days.start,
        days.end,
        sees_all,
        sees_owner,
        sees_teams,
        scope.owner_id,
        scope.team_id,
        scope.pipeline_id,
        from,
        before,
        is_of_months
    )
    .fetch_all(pool)
    .await?;
    let as_of = rows.first().and_then(|row| row.as_of).unwrap_or(DateTime::UNIX_EPOCH);
    let earlier = rows.first().map(|row| NotCovered {
        without_amount: row.without_amount,
        without_rate: row.without_rate,
        without_date: 0,
    });
    let mut told = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(start_date) = row.start_date else { continue };
        let happened = Happened::parse(&row.kind).ok_or_else(|| broken("flow_rollup.kind"))?;
        let sum = Sum {
            count: row.count,
            value_count: row.value_count,
            rate_missing: row.rate_missing,
            value: row.value,
        };
        told.push(trend::Row { start_date, happened, sum });
    }
    Ok((Read { rows: told, as_of }, earlier.unwrap_or_default()))
}

/// What happened in a period of whole months and what stands open now, by owner; and everybody else who sells.
pub(super) async fn sellers(
    pool: &PgPool,
    scope: &Scope,
    span: Span,
) -> sqlx::Result<Read<performance::Row>> {
    let (sees_all, sees_owner, sees_teams) = scope.sight.parts();
    let rows = sqlx::query!(
        r#"with numbers as (
             select owner_id, kind, sum(count)::bigint as count, sum(value_count)::bigint as value_count,
                    sum(rate_missing)::bigint as rate_missing, sum(value) as value, sum(days_to_close)::bigint as days_to_close
             from flow_rollup
             where grain = 'month' and start_date between $1 and $2 and ($3 or owner_id = $4 or team_id = any($5))
               and ($6::bigint is null or owner_id = $6) and ($7::bigint is null or team_id = $7)
               and ($8::bigint is null or pipeline_id = $8)
             group by owner_id, kind
             union all
             select owner_id, 'open', sum(count)::bigint, sum(value_count)::bigint, sum(rate_missing)::bigint, sum(total_value), 0
             from standing_rollup
             where status = 'open' and ($3 or owner_id = $4 or team_id = any($5))
               and ($6::bigint is null or owner_id = $6) and ($7::bigint is null or team_id = $7)
               and ($8::bigint is null or pipeline_id = $8)
             group by owner_id
           ), sellers as (
             select user_id from people
             where is_active and role in ('rep', 'manager') and ($3 or user_id = $4 or team_id = any($5))
               and ($6::bigint is null or user_id = $6) and ($7::bigint is null or team_id = $7)
           ), told as (
             select coalesce(n.owner_id, s.user_id) as owner_id, s.user_id is not null as is_seller, n.kind, n.count, n.value_count,
                    n.rate_missing, n.value, n.days_to_close
             from numbers n full join sellers s on s.user_id = n.owner_id
           )
           select (select recorded_at from progress where source = 'opportunities') as as_of,
                  it.owner_id as "owner_id?", coalesce(p.username, '') as "owner_name!", p.team_id as "team_id?",
                  coalesce(it.is_seller, false) as "is_seller!", it.kind as "kind?",
                  coalesce(it.count, 0) as "count!", coalesce(it.value_count, 0) as "value_count!",
                  coalesce(it.rate_missing, 0) as "rate_missing!", coalesce(it.value, 0) as "value!: money::Money",
                  coalesce(it.days_to_close, 0) as "days_to_close!"
           from (values (1)) as always left join told it on true left join people p on p.user_id = it.owner_id"#,
        span.start,
        span.end,
        sees_all,
        sees_owner,
        sees_teams,
        scope.owner_id,
        scope.team_id,
        scope.pipeline_id
    )
    .fetch_all(pool)
    .await?;
    let as_of = rows.first().and_then(|row| row.as_of).unwrap_or(DateTime::UNIX_EPOCH);
    let mut told = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(owner_id) = row.owner_id else { continue };
        let of = match row.kind.as_deref() {
            None => None,
            Some("open") => Some(Of::Open),
            Some(kind) => {
                let happened = Happened::parse(kind).ok_or_else(|| broken("flow_rollup.kind"))?;
                Some(Of::Happened(happened))
            }
        };
        let sum = Sum {
            count: row.count,
            value_count: row.value_count,
            rate_missing: row.rate_missing,
            value: row.value,
        };
        told.push(performance::Row {
            owner_id,
            owner_name: row.owner_name,
            team_id: row.team_id,
            is_seller: row.is_seller,
            numbers: of.map(|of| (of, sum)),
            days_to_close: row.days_to_close,
        });
    }
    Ok(Read { rows: told, as_of })
}
