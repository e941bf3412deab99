//! All SQL of the forecast: one statement over rollups and the latest run, so that all its numbers are of one moment.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use money::Money;
use sqlx::PgPool;

use super::model::{Ahead, Known, Open, Phase, Place, Speaker, TrackRecord, Whose};
use crate::category::Category;
use crate::period::Span;
use crate::report::value::Sum;
use crate::visibility::Scope;

/// What is won in a period of whole months, and what is open: what counts in it by its date, what is expected to close in another, and, in the current one, what has no date. The
/// current one takes what is overdue; nothing is open in one that is over. Of what has a date the latest run says which share will be won in the period, each group's share, or that of
/// its stage if the group is newer; where it says nothing each counts by its own probability in the period of its date. `in_parts` has a row for each owner, team and pipeline.
pub(super) async fn known(
    pool: &PgPool,
    scope: &Scope,
    (span, phase): (Span, Phase),
    in_parts: bool,
) -> sqlx::Result<Known> {
    let (sees_all, sees_owner, sees_teams) = scope.sight.parts();
    let lines = sqlx::query_as!(
        Line,
        r#"with run as (
             select r.run_id, r.model_version, r.voice, r.won, r.lost,
                    -- The places of the month before the period, unless it has begun, and of its last one.
                    case when $10 then 0 else ahead.first end as before, ahead.last,
                    -- Of a period that is over there is nothing to say, nor of one that is of another calendar.
                    r.is_learned and not $9 and exists (
                      select from forecast_periods p where p.run_id = r.run_id and p.start_date = $1 and p.end_date = $2
                    ) as speaks
             from forecast_runs r,
             lateral (
               select ((date_part('year', $1::date) - date_part('year', r.made_on)) * 12 + date_part('month', $1::date)
                       - date_part('month', r.made_on))::integer as first,
                      ((date_part('year', $2::date) - date_part('year', r.made_on)) * 12 + date_part('month', $2::date)
                       - date_part('month', r.made_on))::integer + 1 as last
             ) ahead
             order by r.run_id desc limit 1
           ), standing as (
             select '' as category, pipeline_id, stage_key, owner_id, team_id, close_month, count, value_count, rate_missing, total_value, weighted_value
             from standing_rollup
             where status = 'open' and not $9 and ($3 or owner_id = $4 or team_id = any($5))
               and ($6::bigint is null or owner_id = $6) and ($7::bigint is null or team_id = $7)
               and ($8::bigint is null or pipeline_id = $8)
             union all
             select forecast_category, pipeline_id, stage_key, owner_id, team_id, close_month, count, value_count, rate_missing, total_value, weighted_value
             from category_rollup
             where not $9 and close_month > '-infinity' and ($3 or owner_id = $4 or team_id = any($5))
               and ($6::bigint is null or owner_id = $6) and ($7::bigint is null or team_id = $7)
               and ($8::bigint is null or pipeline_id = $8)
           ), grouped as (
             select category, pipeline_id, stage_key, owner_id, team_id,
                    case when close_month = '-infinity' then 2 when close_month <= $2 and ($10 or close_month >= $1) then 0 else 1 end as place,
                    sum(count) as count, sum(value_count) as value_count, sum(rate_missing) as rate_missing, sum(total_value) as total_value,
                    sum(weighted_value) as weighted_value
             from standing group by 1, 2, 3, 4, 5, 6
           ), told as (
             select false as is_open, '' as category, case when $11 then pipeline_id else 0 end as pipeline_id, '' as stage_key,
                    case when $11 then owner_id else 0 end as owner_id, case when $11 then team_id else 0 end as team_id, 0 as place,
                    sum(count)::bigint as count, sum(value_count)::bigint as value_count, sum(rate_missing)::bigint as rate_missing,
                    sum(value) as value, 0::numeric as weighted, 0::numeric as predicted, 0::double precision as variance
             from flow_rollup
             where grain = 'month' and start_date between $1 and $2 and kind = 'won' and ($3 or owner_id = $4 or team_id = any($5))
               and ($6::bigint is null or owner_id = $6) and ($7::bigint is null or team_id = $7)
               and ($8::bigint is null or pipeline_id = $8)
             group by 3, 5, 6
             union all
             select true, s.category, s.pipeline_id, s.stage_key, case when $11 then s.owner_id else 0 end, case when $11 then s.team_id else 0 end,
                    s.place, sum(s.count)::bigint, sum(s.value_count)::bigint, sum(s.rate_missing)::bigint, sum(s.total_value), sum(s.weighted_value),
                    sum(case when share.won is not null then round(s.total_value * share.won * 0.000000001, 2)
                             when s.place = 0 then s.weighted_value else 0 end),
                    coalesce(sum(s.total_value::double precision * share.typical_value * share.won * 1e-9 * greatest(1 - share.won * 1e-9, 0)), 0)
             from grouped s
             left join run on run.speaks and s.place < 2
             left join forecast_shares own on own.run_id = run.run_id and own.pipeline_id = s.pipeline_id and own.stage_key = s.stage_key
               and own.owner_id = s.owner_id and own.team_id = s.team_id and own.close_month = '-infinity'
             left join forecast_shares whole on own.run_id is null and whole.run_id = run.run_id and whole.pipeline_id = s.pipeline_id
               and whole.stage_key = s.stage_key and whole.owner_id = 0 and whole.team_id = 0 and whole.close_month = '-infinity'
             left join lateral (
               select greatest(coalesce(own.won_by[run.last], whole.won_by[run.last])
                               - coalesce(own.won_by[run.before], whole.won_by[run.before], 0), 0) as won,
                      coalesce(own.typical_value, whole.typical_value) as typical_value
               where coalesce(own.run_id, whole.run_id) is not null
             ) share on true
             group by 2, 3, 4, 5, 6, 7
           )
           select (select recorded_at from progress where source = 'opportunities') as as_of,
                  run.model_version as "model_version?", run.voice as "voice?", run.won as "learned_won?", run.lost as "learned_lost?",
                  ahead.new_business as "new_business?: Money", ahead.middle as "middle?", ahead.sigma as "sigma?", ahead.tried as "tried?",
                  ahead.held as "held?", it.is_open as "is_open?", coalesce(it.category, '') as "category!",
                  coalesce(it.pipeline_id, 0) as "pipeline_id!", coalesce(it.stage_key, '') as "stage_key!",
                  coalesce(it.owner_id, 0) as "owner_id!", coalesce(it.team_id, 0) as "team_id!",
                  coalesce(it.place, 0) as "place!", coalesce(it.count, 0) as "count!",
                  coalesce(it.value_count, 0) as "value_count!", coalesce(it.rate_missing, 0) as "rate_missing!",
                  coalesce(it.value, 0) as "value!: Money", coalesce(it.weighted, 0) as "weighted!: Money",
                  coalesce(it.predicted, 0) as "predicted!: Money", coalesce(it.variance, 0) as "variance!"
           from (values (1)) as always left join run on true
           left join forecast_periods ahead on ahead.run_id = run.run_id and run.speaks and ahead.start_date = $1 and ahead.end_date = $2
           left join told it on true
           order by it.pipeline_id, it.stage_key, it.category, it.owner_id, it.team_id, it.place"#,
        span.start,
        span.end,
        sees_all,
        sees_owner,
        sees_teams,
        scope.owner_id,
        scope.team_id,
        scope.pipeline_id,
        phase == Phase::Past,
        phase == Phase::Current,
        in_parts
    )
    .fetch_all(pool)
    .await?;
    Ok(read(lines))
}

/// A line of what is known; where nothing is won or open there is one without any, for `as_of` and the run.
struct Line {
    as_of: Option<DateTime<Utc>>,
    model_version: Option<i64>,
    voice: Option<String>,
    learned_won: Option<i64>,
    learned_lost: Option<i64>,
    new_business: Option<Money>,
    middle: Option<f64>,
    sigma: Option<f64>,
    tried: Option<i32>,
    held: Option<i32>,
    is_open: Option<bool>,
    category: String,
    pipeline_id: i64,
    stage_key: String,
    owner_id: i64,
    team_id: i64,
    place: i32,
    count: i64,
    value_count: i64,
    rate_missing: i64,
    value: Money,
    weighted: Money,
    predicted: Money,
    variance: f64,
}

fn read(lines: Vec<Line>) -> Known {
    let as_of = lines.first().and_then(|line| line.as_of).unwrap_or(DateTime::UNIX_EPOCH);
    let mut known = Known { as_of, ..Known::default() };
    for row in lines {
        if let (None, Some(version), Some(voice)) = (&known.speaker, row.model_version, row.voice) {
            let (won, lost) =
                (row.learned_won.unwrap_or_default(), row.learned_lost.unwrap_or_default());
            known.speaker = Some(Speaker { version, voice, won, lost });
            let (tried, held) = (row.tried.unwrap_or_default(), row.held.unwrap_or_default());
            let record = TrackRecord { tried, held };
            known.ahead = row.new_business.zip(row.middle).zip(row.sigma).map(
                |((new_business, middle), sigma)| Ahead { new_business, middle, sigma, record },
            );
        }
        let Some(is_open) = row.is_open else { continue };
        let sum = Sum {
            count: row.count,
            value_count: row.value_count,
            rate_missing: row.rate_missing,
            value: row.value,
        };
        let (owner_id, team_id, pipeline_id) = (row.owner_id, row.team_id, row.pipeline_id);
        let whose = Whose { owner_id, team_id, pipeline_id };
        if !is_open {
            known.won.push((whose, sum));
            continue;
        }
        let open = Open {
            stage_key: row.stage_key,
            whose,
            place: match row.place {
                0 => Place::InPeriod,
                1 => Place::Elsewhere,
                _ => Place::Undated,
            },
            sum,
            weighted: row.weighted,
            predicted: row.predicted,
            variance: row.variance,
        };
        match Category::parse(&row.category) {
            Some(category) => known.categorised.push((category, open)),
            None => known.open.push(open),
        }
    }
    known
}

/// What people or teams are called.
pub(super) async fn names(pool: &PgPool, of_teams: bool) -> sqlx::Result<HashMap<i64, String>> {
    let rows = sqlx::query!(
        r#"select user_id as "id!", username as "name!" from people where not $1
           union all select team_id, name from teams where $1"#,
        of_teams
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.name)).collect())
}
