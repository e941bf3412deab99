//! All SQL of opening numbers.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;
use money::Money;
use sqlx::PgPool;

use super::model::{Opened, Selection};
use crate::page::Page;
use crate::range::begin;
use crate::report::Read;
use crate::visibility::Scope;

/// Whether a stage of that key is or was there, in a pipeline or in any.
pub(super) async fn is_stage(
    pool: &PgPool,
    key: &str,
    pipeline_id: Option<i64>,
) -> sqlx::Result<bool> {
    sqlx::query_scalar!(
        r#"select exists (
             select from stages where key = $1 and ($2::bigint is null or pipeline_id = $2)
           ) as "is_stage!""#,
        key,
        pipeline_id
    )
    .fetch_one(pool)
    .await
}

/// An opportunity of a page; where none is on it there is one line without any, for `as_of`.
struct Line {
    as_of: Option<DateTime<Utc>>,
    opportunity_id: Option<i64>,
    version: Option<i64>,
    opportunity_name: Option<String>,
    customer_id: Option<i64>,
    customer_name: Option<String>,
    pipeline_id: Option<i64>,
    stage: Option<String>,
    stage_key: Option<String>,
    status: Option<String>,
    owner_id: Option<i64>,
    owner_name: Option<String>,
    team_id: Option<i64>,
    amount: Option<Money>,
    currency: Option<String>,
    value: Option<Money>,
    probability: Option<i32>,
    expected_close_date: Option<NaiveDate>,
    actual_close_date: Option<NaiveDate>,
    lost_reason: Option<String>,
    created_at: Option<DateTime<Utc>>,
}

impl Line {
    fn opened(self) -> Option<Opened> {
        Some(Opened {
            opportunity_id: self.opportunity_id?,
            version: self.version?,
            opportunity_name: self.opportunity_name?,
            customer_id: self.customer_id?,
            customer_name: self.customer_name,
            pipeline_id: self.pipeline_id?,
            stage: self.stage.unwrap_or_default(),
            stage_key: self.stage_key?,
            status: self.status?,
            owner_id: self.owner_id?,
            owner_name: self.owner_name.unwrap_or_default(),
            team_id: self.team_id,
            amount: self.amount,
            currency: self.currency?,
            value: self.value,
            probability: self.probability?,
            expected_close_date: self.expected_close_date,
            actual_close_date: self.actual_close_date,
            lost_reason: self.lost_reason,
            created_at: self.created_at?,
        })
    }
}

/// A page of those of which all holds that is selected, and one more; where something was done by a person, by that person alone. What further, out and in progress mean is as in `rollup::conversions`.
#[expect(clippy::too_many_lines, reason = "one statement for all reports")]
pub(super) async fn selected(
    pool: &PgPool,
    scope: &Scope,
    it: &Selection,
    person: Option<i64>,
    zone: Tz,
    page: Page,
) -> sqlx::Result<Read<Opened>> {
    let (sees_all, sees_owner, sees_teams) = scope.sight.parts();
    let statuses: Vec<_> = it.statuses.iter().map(|it| it.as_str().to_owned()).collect();
    let (created_from, created_before) = it.created.instants(zone);
    let entered = it.entered.as_ref();
    let (entered_from, entered_before) = entered.map_or((None, None), |it| it.range.instants(zone));
    let done = it.done.as_ref();
    let (done_from, done_before) = done.map_or((None, None), |it| it.range.instants(zone));
    let (after_at, after_id) = page.after.unzip();
    let after_at = after_at.and_then(DateTime::from_timestamp_micros);
    let lines = sqlx::query_as!(
        Line,
        r#"with page as (
             select v.*
             from valued_opportunities v
             left join lateral (
               select m.changed_at, m.history_id, s.ordinal
               from stage_move_facts m join stages s on s.pipeline_id = v.pipeline_id and s.key = m.to_stage_key
               where m.opportunity_id = v.opportunity_id and m.to_stage_key = $16 and s.kind = 'open'
               order by m.changed_at, m.history_id limit 1
             ) first on $16::text is not null
             cross join lateral (
               select v.status = 'won' or exists (
                        select from stage_move_facts m join stages s on s.pipeline_id = v.pipeline_id and s.key = m.to_stage_key
                        where m.opportunity_id = v.opportunity_id and (m.changed_at, m.history_id) >= (first.changed_at, first.history_id)
                          and s.kind = 'open' and s.ordinal > first.ordinal
                      ) as is_further,
                      $16 = (
                        select m.to_stage_key from stage_move_facts m where m.opportunity_id = v.opportunity_id
                        order by m.changed_at desc, m.history_id desc limit 1
                      ) as is_there
             ) fate
             where ($1 or v.owner_id = $2 or v.team_id = any($3)) and ($4::bigint is null or v.owner_id = $4)
               and ($5::bigint is null or v.team_id = $5) and ($6::bigint is null or v.pipeline_id = $6)
               and ($7::timestamptz is null or v.created_at >= $7) and ($8::timestamptz is null or v.created_at < $8)
               and (cardinality($9::text[]) = 0 or v.status = any($9))
               and ($10::date is null or v.actual_close_date >= $10) and ($11::date is null or v.actual_close_date <= $11)
               and ($12::date is null or v.status = 'open' or v.actual_close_date > $12)
               and ($13::text is null or coalesce(v.lost_reason, '') = $13)
               and ($14::text is null or $14 = coalesce((
                     select s.key from stage_move_facts m join stages s on s.pipeline_id = v.pipeline_id and s.key = m.to_stage_key
                     where m.opportunity_id = v.opportunity_id and s.kind = 'open'
                     order by m.changed_at desc, m.history_id desc limit 1
                   ), ''))
               and ($16::text is null or first.changed_at is not null
                     and ($17::timestamptz is null or first.changed_at >= $17) and ($18::timestamptz is null or first.changed_at < $18)
                     and case $15::text
                           when 'entered' then true
                           when 'advanced' then fate.is_further
                           when 'lost' then v.status = 'lost' and not fate.is_further
                           when 'in_progress' then v.status = 'open' and not fate.is_further
                           when 'open' then fate.is_there
                           when 'ended' then not fate.is_there
                         end)
               and ($22::text is null or $22 not in ('untouched', 'without_next') or not exists (
                     select from activity_facts a
                     where a.opportunity_id = v.opportunity_id and not a.is_deleted
                       and case $22
                             when 'untouched' then
                               a.created_at >= coalesce($25, '-infinity'::timestamptz) and a.created_at < coalesce($26, 'infinity'::timestamptz)
                               or a.completed_at >= coalesce($25, '-infinity'::timestamptz) and a.completed_at < coalesce($26, 'infinity'::timestamptz)
                             else a.completed_at is null and a.scheduled_at is not null
                           end
                   ))
               -- From what was done to the opportunities, by the indexes of who and when, and not the other way round.
               and ($22::text is null or $22 in ('untouched', 'without_next') or v.opportunity_id in (
                     select a.opportunity_id from activity_facts a
                     where $22 in ('created', 'touched') and not a.is_deleted and ($24::bigint is null or a.created_by = $24)
                       and a.created_at >= coalesce($25, '-infinity'::timestamptz) and a.created_at < coalesce($26, 'infinity'::timestamptz)
                       and ($23::text is null or a.activity_type = $23)
                     union all
                     select a.opportunity_id from activity_facts a
                     where $22 in ('completed', 'touched') and not a.is_deleted and ($24::bigint is null or a.owner_id = $24)
                       and a.completed_at >= coalesce($25, '-infinity'::timestamptz) and a.completed_at < coalesce($26, 'infinity'::timestamptz)
                       and ($23::text is null or a.activity_type = $23)
                     union all
                     select a.opportunity_id from activity_facts a
                     where $22 = 'overdue' and not a.is_deleted and ($24::bigint is null or a.owner_id = $24)
                       and a.completed_at is null and a.scheduled_at < $27::timestamptz
                   ))
               and ($19::timestamptz is null or (v.created_at, v.opportunity_id) < ($19, $20::bigint))
             order by v.created_at desc, v.opportunity_id desc
             limit $21
           )
           select (select recorded_at from progress where source = 'opportunities') as "as_of?",
                  it.opportunity_id as "opportunity_id?", it.version as "version?", it.opportunity_name as "opportunity_name?",
                  it.customer_id as "customer_id?", it.customer_name as "customer_name?", it.pipeline_id as "pipeline_id?", s.name as "stage?", it.stage_key as "stage_key?",
                  it.status as "status?", it.owner_id as "owner_id?", p.username as "owner_name?", it.team_id as "team_id?",
                  it.amount as "amount?: Money", it.currency as "currency?", it.value as "value?: Money", it.probability as "probability?",
                  it.expected_close_date as "expected_close_date?", it.actual_close_date as "actual_close_date?",
                  it.lost_reason as "lost_reason?", it.created_at as "created_at?"
           from (values (1)) as always left join page it on true
           left join stages s on s.pipeline_id = it.pipeline_id and s.key = it.stage_key left join people p on p.user_id = it.owner_id
           order by it.created_at desc, it.opportunity_id desc"#,
        sees_all,
        sees_owner,
        sees_teams,
        scope.owner_id,
        scope.team_id,
        scope.pipeline_id,
        created_from,
        created_before,
        &statuses,
        it.closed.start,
        it.closed.end,
        it.undecided_at,
        it.lost_reason,
        it.last_stage,
        entered.map(|it| it.term),
        entered.map(|it| it.stage_key.as_str()),
        entered_from,
        entered_before,
        after_at,
        after_id,
        page.count(),
        done.map(|it| it.term),
        done.and_then(|it| it.activity_type.as_deref()),
        person,
        done_from,
        done_before,
        done.map(|it| begin(it.today, zone))
    )
    .fetch_all(pool)
    .await?;
    let as_of = lines.first().and_then(|line| line.as_of).unwrap_or(DateTime::UNIX_EPOCH);
    Ok(Read { rows: lines.into_iter().filter_map(Line::opened).collect(), as_of })
}
