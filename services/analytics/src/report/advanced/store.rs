//! All SQL of the advanced reports: one statement each, so that all its numbers are of one moment. Velocity and durations read rollups; the others read what they are about.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgPool;

use super::{activities, cohorts, loss_reasons, stage_duration, velocity};
use crate::deal::Kind;
use crate::report::Read;
use crate::report::conversion::Slice;
use crate::report::trend::Happened;
use crate::report::value::Sum;
use crate::visibility::Scope;

fn broken(column: &'static str) -> sqlx::Error {
    sqlx::Error::Decode(column.into())
}

/// What was won and lost in these slices of time.
pub(super) async fn closed(
    pool: &PgPool,
    scope: &Scope,
    slices: &[Slice],
) -> sqlx::Result<Read<velocity::Row>> {
    let (sees_all, sees_owner, sees_teams) = scope.sight.parts();
    let grains: Vec<_> = slices.iter().map(|slice| slice.grain.to_owned()).collect();
    let from: Vec<_> = slices.iter().map(|slice| slice.from).collect();
    let before: Vec<_> = slices.iter().map(|slice| slice.before).collect();
    let rows = sqlx::query!(
        r#"with closed as (
             select c.kind, sum(c.count)::bigint as count, sum(c.value_count)::bigint as value_count, sum(c.rate_missing)::bigint as rate_missing,
                    sum(c.value) as value, sum(c.days_to_close)::bigint as days_to_close
             from unnest($7::text[], $8::date[], $9::date[]) as slice (grain, from_date, before_date)
             -- Summed by slice, so that each is read by the index.
             cross join lateral (
               select kind, sum(count) as count, sum(value_count) as value_count, sum(rate_missing) as rate_missing, sum(value) as value,
                      sum(days_to_close) as days_to_close
               from flow_rollup
               where grain = slice.grain and start_date >= coalesce(slice.from_date, '-infinity')
                 and start_date < coalesce(slice.before_date, 'infinity') and kind in ('won', 'lost')
                 and ($1 or owner_id = $2 or team_id = any($3)) and ($4::bigint is null or owner_id = $4)
                 and ($5::bigint is null or team_id = $5) and ($6::bigint is null or pipeline_id = $6)
               group by kind
             ) c
             group by c.kind
           )
           select (select recorded_at from progress where source = 'opportunities') as as_of,
                  it.kind as "kind?", coalesce(it.count, 0) as "count!", coalesce(it.value_count, 0) as "value_count!",
                  coalesce(it.rate_missing, 0) as "rate_missing!", coalesce(it.value, 0) as "value!: money::Money",
                  coalesce(it.days_to_close, 0) as "days_to_close!"
           from (values (1)) as always left join closed it on true"#,
        sees_all,
        sees_owner,
        sees_teams,
        scope.owner_id,
        scope.team_id,
        scope.pipeline_id,
        &grains,
        &from as &[Option<NaiveDate>],
        &before as &[Option<NaiveDate>]
    )
    .fetch_all(pool)
    .await?;
    let as_of = rows.first().and_then(|row| row.as_of).unwrap_or(DateTime::UNIX_EPOCH);
    let mut told = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(kind) = row.kind else { continue };
        let happened = Happened::parse(&kind).ok_or_else(|| broken("flow_rollup.kind"))?;
        let sum = Sum {
            count: row.count,
            value_count: row.value_count,
            rate_missing: row.rate_missing,
            value: row.value,
        };
        told.push(velocity::Row { happened, sum, days_to_close: row.days_to_close });
    }
    Ok(Read { rows: told, as_of })
}

/// What was lost in these slices of time, by reason and by the last open stage in which it stood.
pub(super) async fn lost(
    pool: &PgPool,
    scope: &Scope,
    slices: &[Slice],
) -> sqlx::Result<Read<loss_reasons::Row>> {
    let (sees_all, sees_owner, sees_teams) = scope.sight.parts();
    let grains: Vec<_> = slices.iter().map(|slice| slice.grain.to_owned()).collect();
    let from: Vec<_> = slices.iter().map(|slice| slice.from).collect();
    let before: Vec<_> = slices.iter().map(|slice| slice.before).collect();
    let rows = sqlx::query!(
        r#"with lost as (
             select l.pipeline_id, l.lost_reason, l.stage_key, sum(l.count)::bigint as count, sum(l.value_count)::bigint as value_count,
                    sum(l.rate_missing)::bigint as rate_missing, sum(l.value) as value
             from unnest($7::text[], $8::date[], $9::date[]) as slice (grain, from_date, before_date)
             -- Summed by slice, so that each is read by the index.
             cross join lateral (
               select pipeline_id, lost_reason, stage_key, sum(count) as count, sum(value_count) as value_count, sum(rate_missing) as rate_missing,
                      sum(value) as value
               from loss_rollup
               where grain = slice.grain and start_date >= coalesce(slice.from_date, '-infinity')
                 and start_date < coalesce(slice.before_date, 'infinity')
                 and ($1 or owner_id = $2 or team_id = any($3)) and ($4::bigint is null or owner_id = $4)
                 and ($5::bigint is null or team_id = $5) and ($6::bigint is null or pipeline_id = $6)
               group by pipeline_id, lost_reason, stage_key
             ) l
             group by l.pipeline_id, l.lost_reason, l.stage_key
           )
           select (select recorded_at from progress where source = 'opportunities') as as_of,
                  it.lost_reason as "lost_reason?", it.pipeline_id as "pipeline_id?", s.key as "key?", s.name as "name?",
                  s.ordinal as "ordinal?", coalesce(it.count, 0) as "count!", coalesce(it.value_count, 0) as "value_count!",
                  coalesce(it.rate_missing, 0) as "rate_missing!", coalesce(it.value, 0) as "value!: money::Money"
           from (values (1)) as always left join lost it on true left join stages s on s.pipeline_id = it.pipeline_id and s.key = it.stage_key"#,
        sees_all,
        sees_owner,
        sees_teams,
        scope.owner_id,
        scope.team_id,
        scope.pipeline_id,
        &grains,
        &from as &[Option<NaiveDate>],
        &before as &[Option<NaiveDate>]
    )
    .fetch_all(pool)
    .await?;
    let as_of = rows.first().and_then(|row| row.as_of).unwrap_or(DateTime::UNIX_EPOCH);
    let rows = rows.into_iter().filter_map(|row| {
        let pipeline_id = row.pipeline_id?;
        let stage = row.key.zip(row.name).zip(row.ordinal);
        let stage = stage.map(|((key, name), ordinal)| loss_reasons::Stage {
            pipeline_id,
            ordinal,
            key,
            name,
        });
        let sum = Sum {
            count: row.count,
            value_count: row.value_count,
            rate_missing: row.rate_missing,
            value: row.value,
        };
        Some(loss_reasons::Row { lost_reason: row.lost_reason, stage, sum })
    });
    Ok(Read { rows: rows.collect(), as_of })
}

/// How long those were in each open stage that first entered it in these slices of time, as of a day.
pub(super) async fn durations(
    pool: &PgPool,
    scope: &Scope,
    slices: &[Slice],
    today: NaiveDate,
) -> sqlx::Result<Read<stage_duration::Row>> {
    let (sees_all, sees_owner, sees_teams) = scope.sight.parts();
    let grains: Vec<_> = slices.iter().map(|slice| slice.grain.to_owned()).collect();
    let from: Vec<_> = slices.iter().map(|slice| slice.from).collect();
    let before: Vec<_> = slices.iter().map(|slice| slice.before).collect();
    let rows = sqlx::query!(
        r#"with stays as (
             select c.pipeline_id, c.stage_key, c.since > '-infinity' as is_open,
                    case when c.since > '-infinity' then greatest($10::date - c.since, 0) else c.days end as days, sum(c.count)::bigint as count
             from unnest($7::text[], $8::date[], $9::date[]) as slice (grain, from_date, before_date)
             -- Summed by slice, so that each is read by the index.
             cross join lateral (
               select pipeline_id, stage_key, since, days, sum(count) as count
               from stay_rollup
               where grain = slice.grain and start_date >= coalesce(slice.from_date, '-infinity')
                 and start_date < coalesce(slice.before_date, 'infinity')
                 and ($1 or owner_id = $2 or team_id = any($3)) and ($4::bigint is null or owner_id = $4)
                 and ($5::bigint is null or team_id = $5) and ($6::bigint is null or pipeline_id = $6)
               group by pipeline_id, stage_key, since, days
             ) c
             group by 1, 2, 3, 4
           )
           select (select recorded_at from progress where source = 'opportunities') as as_of,
                  it.pipeline_id as "pipeline_id?", coalesce(it.stage_key, '') as "stage_key!", coalesce(it.is_open, false) as "is_open!",
                  coalesce(it.days, 0) as "days!", coalesce(it.count, 0) as "count!"
           from (values (1)) as always left join stays it on true"#,
        sees_all,
        sees_owner,
        sees_teams,
        scope.owner_id,
        scope.team_id,
        scope.pipeline_id,
        &grains,
        &from as &[Option<NaiveDate>],
        &before as &[Option<NaiveDate>],
        today
    )
    .fetch_all(pool)
    .await?;
    let as_of = rows.first().and_then(|row| row.as_of).unwrap_or(DateTime::UNIX_EPOCH);
    let rows = rows.into_iter().filter_map(|row| {
        Some(stage_duration::Row {
            pipeline_id: row.pipeline_id?,
            stage_key: row.stage_key,
            is_open: row.is_open,
            days: row.days,
            count: row.count,
        })
    });
    Ok(Read { rows: rows.collect(), as_of })
}

/// What was made between each two of these instants that follow each other, by how it stands and the month in which it closed.
pub(super) async fn made(
    pool: &PgPool,
    scope: &Scope,
    bounds: &[DateTime<Utc>],
) -> sqlx::Result<Read<cohorts::Row>> {
    let (sees_all, sees_owner, sees_teams) = scope.sight.parts();
    let rows = sqlx::query!(
        r#"with made as (
             select width_bucket(v.created_at, $7::timestamptz[]) as cohort, v.status, date_trunc('month', v.actual_close_date::timestamp)::date as closed_in,
                    count(*) as count, count(v.value) as value_count, count(*) filter (where v.is_rate_missing) as rate_missing, sum(v.value) as value
             from valued_opportunities v
             where v.created_at >= ($7::timestamptz[])[1] and v.created_at < ($7::timestamptz[])[cardinality($7::timestamptz[])]
               and ($1 or v.owner_id = $2 or v.team_id = any($3)) and ($4::bigint is null or v.owner_id = $4)
               and ($5::bigint is null or v.team_id = $5) and ($6::bigint is null or v.pipeline_id = $6)
             group by cohort, v.status, closed_in
           )
           select (select recorded_at from progress where source = 'opportunities') as as_of,
                  it.cohort as "cohort?", coalesce(it.status, '') as "status!", it.closed_in as "closed_in?",
                  coalesce(it.count, 0) as "count!", coalesce(it.value_count, 0) as "value_count!",
                  coalesce(it.rate_missing, 0) as "rate_missing!", coalesce(it.value, 0) as "value!: money::Money"
           from (values (1)) as always left join made it on true"#,
        sees_all,
        sees_owner,
        sees_teams,
        scope.owner_id,
        scope.team_id,
        scope.pipeline_id,
        bounds
    )
    .fetch_all(pool)
    .await?;
    let as_of = rows.first().and_then(|row| row.as_of).unwrap_or(DateTime::UNIX_EPOCH);
    let mut told = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(cohort) = row.cohort else { continue };
        let cohort = usize::try_from(cohort - 1).map_err(|_| broken("created_at"))?;
        let status = Kind::parse(&row.status).ok_or_else(|| broken("opportunity_facts.status"))?;
        let sum = Sum {
            count: row.count,
            value_count: row.value_count,
            rate_missing: row.rate_missing,
            value: row.value,
        };
        told.push(cohorts::Row { cohort, status, closed_in: row.closed_in, sum });
    }
    Ok(Read { rows: told, as_of })
}

/// What everybody did from an instant until another, what is overdue where today begins at a third, and how their open ones stand.
pub(super) async fn done(
    pool: &PgPool,
    scope: &Scope,
    (from, before, today): (Option<DateTime<Utc>>, Option<DateTime<Utc>>, DateTime<Utc>),
) -> sqlx::Result<Read<activities::Row>> {
    let (sees_all, sees_owner, sees_teams) = scope.sight.parts();
    let rows = sqlx::query!(
        r#"with visible as not materialized (
             select opportunity_id, owner_id, status from opportunity_facts
             where not is_deleted and ($1 or owner_id = $2 or team_id = any($3)) and ($5::bigint is null or team_id = $5)
               and ($6::bigint is null or pipeline_id = $6)
           ), done as (
             select a.created_by as person, 'created' as what, a.activity_type, a.opportunity_id
             from activity_facts a join visible v using (opportunity_id)
             where not a.is_deleted and a.created_at >= coalesce($7, '-infinity'::timestamptz) and a.created_at < coalesce($8, 'infinity'::timestamptz)
             union all
             select a.owner_id, 'completed', a.activity_type, a.opportunity_id
             from activity_facts a join visible v using (opportunity_id)
             where not a.is_deleted and a.completed_at >= coalesce($7, '-infinity'::timestamptz) and a.completed_at < coalesce($8, 'infinity'::timestamptz)
           ), standing as (
             select v.owner_id, count(*) as count, count(*) filter (where touched.opportunity_id is null) as untouched,
                    count(*) filter (where next.opportunity_id is null) as without_next
             from visible v
             left join (select distinct opportunity_id from done) touched using (opportunity_id)
             left join (
               select distinct opportunity_id from activity_facts where not is_deleted and completed_at is null and scheduled_at is not null
             ) next using (opportunity_id)
             where v.status = 'open' and ($4::bigint is null or v.owner_id = $4)
             group by v.owner_id
           ), numbers as (
             select person, what, activity_type, count(*) as count from done group by person, what, activity_type
             union all
             select person, 'touched', null, count(distinct opportunity_id) from done group by person
             union all
             select a.owner_id, 'overdue', null, count(*)
             from activity_facts a join visible v using (opportunity_id)
             where not a.is_deleted and a.completed_at is null and a.scheduled_at < $9::timestamptz
             group by a.owner_id
             union all
             select s.owner_id, part.what, null, part.count
             from standing s
             cross join lateral (values ('open', s.count), ('untouched', s.untouched), ('without_next', s.without_next)) part (what, count)
           ), sellers as (
             select user_id from people
             where is_active and role in ('rep', 'manager') and ($1 or user_id = $2 or team_id = any($3))
               and ($4::bigint is null or user_id = $4) and ($5::bigint is null or team_id = $5)
           ), told as (
             select coalesce(n.person, s.user_id) as person, n.what, n.activity_type, n.count
             from (select * from numbers where $4::bigint is null or person = $4) n full join sellers s on s.user_id = n.person
           )
           select (select recorded_at from progress where source = 'opportunities') as as_of,
                  it.person as "person?", coalesce(p.username, '') as "name!", p.team_id as "team_id?", it.what as "what?",
                  it.activity_type as "activity_type?", coalesce(it.count, 0) as "count!"
           from (values (1)) as always left join told it on true left join people p on p.user_id = it.person"#,
        sees_all,
        sees_owner,
        sees_teams,
        scope.owner_id,
        scope.team_id,
        scope.pipeline_id,
        from,
        before,
        today
    )
    .fetch_all(pool)
    .await?;
    let as_of = rows.first().and_then(|row| row.as_of).unwrap_or(DateTime::UNIX_EPOCH);
    let mut told = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(owner_id) = row.person else { continue };
        let person = activities::Person { owner_id, owner_name: row.name, team_id: row.team_id };
        let of = row.what.map(|what| {
            activities::Of::parse(&what, row.activity_type.as_deref())
                .ok_or_else(|| broken("activity_facts.activity_type"))
        });
        told.push(activities::Row { person, number: of.transpose()?.map(|of| (of, row.count)) });
    }
    Ok(Read { rows: told, as_of })
}
