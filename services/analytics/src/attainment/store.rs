//! All SQL about how a period stands to its target: one statement over rollups, so that all its numbers are of one moment.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::model::{Of, Row};
use crate::forecast::model::Phase;
use crate::period::Span;
use crate::report::value::Sum;
use crate::visibility::Scope;

/// By person: what was won in a period of whole months, what is open and expected to close in it as the forecast takes it, and what was won and lost lately; and everybody else who
/// sells. With it, when the latest change was written down.
pub(super) async fn numbers(
    pool: &PgPool,
    scope: &Scope,
    (span, lately): (Span, Span),
    phase: Phase,
) -> sqlx::Result<(Vec<Row>, DateTime<Utc>)> {
    let (sees_all, sees_owner, sees_teams) = scope.sight.parts();
    let rows = sqlx::query!(
        r#"with numbers as (
             select owner_id, kind, sum(count)::bigint as count, sum(value_count)::bigint as value_count,
                    sum(rate_missing)::bigint as rate_missing, sum(value) as value
             from flow_rollup
             where grain = 'month' and start_date between $1 and $2 and kind = 'won' and ($3 or owner_id = $4 or team_id = any($5))
               and ($6::bigint is null or owner_id = $6) and ($7::bigint is null or team_id = $7)
             group by owner_id, kind
             union all
             select owner_id, kind || '_lately', sum(count)::bigint, sum(value_count)::bigint, sum(rate_missing)::bigint, sum(value)
             from flow_rollup
             where grain = 'month' and start_date between $8 and $9 and kind in ('won', 'lost') and ($3 or owner_id = $4 or team_id = any($5))
               and ($6::bigint is null or owner_id = $6) and ($7::bigint is null or team_id = $7)
             group by owner_id, kind
             union all
             select owner_id, case when close_month > '-infinity' then 'open' else 'dateless' end, sum(count)::bigint,
                    sum(value_count)::bigint, sum(rate_missing)::bigint, sum(total_value)
             from standing_rollup
             where status = 'open' and not $10 and close_month <= $2 and ($11 or close_month >= $1) and ($3 or owner_id = $4 or team_id = any($5))
               and ($6::bigint is null or owner_id = $6) and ($7::bigint is null or team_id = $7)
             group by owner_id, close_month > '-infinity'
           ), sellers as (
             select user_id from people
             where is_active and role in ('rep', 'manager') and ($3 or user_id = $4 or team_id = any($5))
               and ($6::bigint is null or user_id = $6) and ($7::bigint is null or team_id = $7)
           ), told as (
             select coalesce(n.owner_id, s.user_id) as owner_id, s.user_id is not null as is_seller, n.kind, n.count, n.value_count,
                    n.rate_missing, n.value
             from numbers n full join sellers s on s.user_id = n.owner_id
           )
           select (select recorded_at from progress where source = 'opportunities') as as_of,
                  it.owner_id as "owner_id?", coalesce(p.username, '') as "owner_name!", p.team_id as "team_id?",
                  coalesce(it.is_seller, false) as "is_seller!", it.kind as "kind?", coalesce(it.count, 0) as "count!",
                  coalesce(it.value_count, 0) as "value_count!", coalesce(it.rate_missing, 0) as "rate_missing!",
                  coalesce(it.value, 0) as "value!: money::Money"
           from (values (1)) as always left join told it on true left join people p on p.user_id = it.owner_id"#,
        span.start,
        span.end,
        sees_all,
        sees_owner,
        sees_teams,
        scope.owner_id,
        scope.team_id,
        lately.start,
        lately.end,
        phase == Phase::Past,
        phase == Phase::Current
    )
    .fetch_all(pool)
    .await?;
    let as_of = rows.first().and_then(|row| row.as_of).unwrap_or(DateTime::UNIX_EPOCH);
    let mut told = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(owner_id) = row.owner_id else { continue };
        let of = match row.kind.as_deref() {
            None => None,
            Some("won") => Some(Of::Won),
            Some("won_lately") => Some(Of::WonLately),
            Some("lost_lately") => Some(Of::LostLately),
            Some("open") => Some(Of::Open),
            Some("dateless") => Some(Of::Dateless),
            Some(_) => return Err(sqlx::Error::Decode("flow_rollup.kind".into())),
        };
        let sum = Sum {
            count: row.count,
            value_count: row.value_count,
            rate_missing: row.rate_missing,
            value: row.value,
        };
        told.push(Row {
            owner_id,
            owner_name: row.owner_name,
            team_id: row.team_id,
            is_seller: row.is_seller,
            numbers: of.map(|of| (of, sum)),
        });
    }
    Ok((told, as_of))
}
