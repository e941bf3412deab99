//! All SQL of the forecast: one statement over rollups, so that all its numbers are of one moment.

use chrono::DateTime;
use sqlx::PgPool;

use super::model::{Known, Open, Phase};
use crate::category::Category;
use crate::period::Span;
use crate::report::value::Sum;
use crate::visibility::Scope;

/// What is won in a period of whole months, and what is open and expected to close in it. The current one takes what is overdue, and knows of
/// those without a date; nothing is open in one that is over.
pub(super) async fn known(
    pool: &PgPool,
    scope: &Scope,
    span: Span,
    phase: Phase,
) -> sqlx::Result<Known> {
    let (sees_all, sees_owner, sees_teams) = scope.sight.parts();
    let rows = sqlx::query!(
        r#"with told as (
             select false as is_open, '' as category, 0::bigint as pipeline_id, '' as stage_key, true as is_dated, sum(count)::bigint as count,
                    sum(value_count)::bigint as value_count, sum(rate_missing)::bigint as rate_missing, sum(value) as value, 0::numeric as weighted
             from flow_rollup
             where grain = 'month' and start_date between $1 and $2 and kind = 'won' and ($3 or owner_id = $4 or team_id = any($5))
               and ($6::bigint is null or owner_id = $6) and ($7::bigint is null or team_id = $7)
               and ($8::bigint is null or pipeline_id = $8)
             union all
             select true, '', pipeline_id, stage_key, close_month > '-infinity', sum(count)::bigint, sum(value_count)::bigint,
                    sum(rate_missing)::bigint, sum(total_value), sum(weighted_value)
             from standing_rollup
             where status = 'open' and not $9 and close_month <= $2 and ($10 or close_month >= $1) and ($3 or owner_id = $4 or team_id = any($5))
               and ($6::bigint is null or owner_id = $6) and ($7::bigint is null or team_id = $7)
               and ($8::bigint is null or pipeline_id = $8)
             group by pipeline_id, stage_key, close_month > '-infinity'
             union all
             select true, forecast_category, pipeline_id, stage_key, true, sum(count)::bigint, sum(value_count)::bigint,
                    sum(rate_missing)::bigint, sum(total_value), sum(weighted_value)
             from category_rollup
             where not $9 and close_month <= $2 and close_month > '-infinity' and ($10 or close_month >= $1)
               and ($3 or owner_id = $4 or team_id = any($5))
               and ($6::bigint is null or owner_id = $6) and ($7::bigint is null or team_id = $7)
               and ($8::bigint is null or pipeline_id = $8)
             group by pipeline_id, stage_key, forecast_category
           )
           select (select recorded_at from progress where source = 'opportunities') as as_of,
                  it.is_open as "is_open?", coalesce(it.category, '') as "category!", coalesce(it.pipeline_id, 0) as "pipeline_id!", coalesce(it.stage_key, '') as "stage_key!",
                  coalesce(it.is_dated, false) as "is_dated!", coalesce(it.count, 0) as "count!",
                  coalesce(it.value_count, 0) as "value_count!", coalesce(it.rate_missing, 0) as "rate_missing!",
                  coalesce(it.value, 0) as "value!: money::Money", coalesce(it.weighted, 0) as "weighted!: money::Money"
           from (values (1)) as always left join told it on true
           order by it.pipeline_id, it.stage_key, it.category"#,
        span.start,
        span.end,
        sees_all,
        sees_owner,
        sees_teams,
        scope.owner_id,
        scope.team_id,
        scope.pipeline_id,
        phase == Phase::Past,
        phase == Phase::Current
    )
    .fetch_all(pool)
    .await?;
    let as_of = rows.first().and_then(|row| row.as_of).unwrap_or(DateTime::UNIX_EPOCH);
    let mut known = Known { as_of, ..Known::default() };
    for row in rows {
        let Some(is_open) = row.is_open else { continue };
        let sum = Sum {
            count: row.count,
            value_count: row.value_count,
            rate_missing: row.rate_missing,
            value: row.value,
        };
        if is_open {
            let (pipeline_id, stage_key) = (row.pipeline_id, row.stage_key);
            let (is_dated, weighted) = (row.is_dated, row.weighted);
            let open = Open { pipeline_id, stage_key, is_dated, sum, weighted };
            match Category::parse(&row.category) {
                Some(category) => known.categorised.push((category, open)),
                None => known.open.push(open),
            }
        } else {
            known.won = sum;
        }
    }
    Ok(known)
}
