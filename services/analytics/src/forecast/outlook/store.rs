//! All SQL of listing open opportunities.

use chrono::{DateTime, NaiveDate, Utc};
use money::Money;
use sqlx::PgPool;

use super::OpenOpportunity;
use crate::forecast::model::Phase;
use crate::page::Page;
use crate::period::Span;
use crate::report::Read;
use crate::visibility::Scope;

/// Which of those in scope are wanted.
pub(super) struct Wanted {
    /// Those that are expected to close in it, as its forecast counts them.
    pub(super) span: Option<Span>,
    /// How that lies to today.
    pub(super) phase: Option<Phase>,
    /// In these stages of pipelines.
    pub(super) stages: Option<Vec<(i64, String)>>,
}

/// A line of a page; where nothing is on it there is one without any, for `as_of`.
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
    stage_probability: Option<i32>,
    owner_id: Option<i64>,
    owner_name: Option<String>,
    team_id: Option<i64>,
    amount: Option<Money>,
    currency: Option<String>,
    value: Option<Money>,
    probability: Option<i32>,
    expected_close_date: Option<NaiveDate>,
    created_at: Option<DateTime<Utc>>,
}

impl Line {
    fn open(self) -> Option<OpenOpportunity> {
        let stage_key = self.stage_key?;
        Some(OpenOpportunity {
            opportunity_id: self.opportunity_id?,
            version: self.version?,
            opportunity_name: self.opportunity_name?,
            customer_id: self.customer_id?,
            customer_name: self.customer_name,
            pipeline_id: self.pipeline_id?,
            stage: self.stage.unwrap_or_else(|| stage_key.clone()),
            stage_key,
            stage_probability: self.stage_probability,
            owner_id: self.owner_id?,
            owner_name: self.owner_name,
            team_id: self.team_id,
            amount: self.amount,
            currency: self.currency?,
            value: self.value,
            probability: self.probability?,
            expected_close_date: self.expected_close_date,
            created_at: self.created_at?,
        })
    }
}

/// A page of what is open, the newest first.
pub(super) async fn open(
    pool: &PgPool,
    scope: &Scope,
    wanted: &Wanted,
    page: Page,
) -> sqlx::Result<Read<OpenOpportunity>> {
    let (sees_all, sees_owner, sees_teams) = scope.sight.parts();
    // The first page comes after what is later than everything.
    let (after_at, after_id) = page.after.unwrap_or((i64::MAX, i64::MAX));
    let after_at = DateTime::from_timestamp_micros(after_at).unwrap_or(DateTime::<Utc>::MAX_UTC);
    let owner = scope.only_owner();
    let stages = wanted.stages.as_deref().unwrap_or_default();
    let (of, keys): (Vec<i64>, Vec<String>) = stages.iter().cloned().unzip();
    let lines = sqlx::query_as!(
        Line,
        r#"with page as (
             -- One of these two is not looked at: of one person they are found by the person.
             (select * from valued_opportunities v
              where $17 and v.owner_id = $18 and v.status = 'open' and ($1 or v.owner_id = $2 or v.team_id = any($3))
                and ($4::bigint is null or v.owner_id = $4) and ($5::bigint is null or v.team_id = $5)
                and ($6::bigint is null or v.pipeline_id = $6)
                and (not $7 or (v.pipeline_id, v.stage_key) in (select * from unnest($8::bigint[], $9::text[])))
                and ($10::date is null or v.expected_close_date <= $11 and ($12 or v.expected_close_date >= $10)) and not $13
                and (v.created_at, v.opportunity_id) < ($14, $15)
              order by v.created_at desc, v.opportunity_id desc
              limit $16)
             union all
             (select * from valued_opportunities v
              where not $17 and v.status = 'open' and ($1 or v.owner_id = $2 or v.team_id = any($3))
                and ($5::bigint is null or v.team_id = $5) and ($6::bigint is null or v.pipeline_id = $6)
                and (not $7 or (v.pipeline_id, v.stage_key) in (select * from unnest($8::bigint[], $9::text[])))
                and ($10::date is null or v.expected_close_date <= $11 and ($12 or v.expected_close_date >= $10)) and not $13
                and (v.created_at, v.opportunity_id) < ($14, $15)
              order by v.created_at desc, v.opportunity_id desc
              limit $16)
           )
           select (select recorded_at from progress where source = 'opportunities') as "as_of?",
                  it.opportunity_id as "opportunity_id?", it.version as "version?", it.opportunity_name as "opportunity_name?",
                  it.customer_id as "customer_id?", it.customer_name as "customer_name?", it.pipeline_id as "pipeline_id?", s.name as "stage?", it.stage_key as "stage_key?",
                  s.default_probability as "stage_probability?", it.owner_id as "owner_id?", p.username as "owner_name?", it.team_id as "team_id?",
                  it.amount as "amount?: Money", it.currency as "currency?", it.value as "value?: Money", it.probability as "probability?",
                  it.expected_close_date as "expected_close_date?", it.created_at as "created_at?"
           from (values (1)) as always left join page it on true
           left join stages s on s.pipeline_id = it.pipeline_id and s.key = it.stage_key left join people p on p.user_id = it.owner_id
           order by it.created_at desc, it.opportunity_id desc"#,
        sees_all,
        sees_owner,
        sees_teams,
        scope.owner_id,
        scope.team_id,
        scope.pipeline_id,
        wanted.stages.is_some(),
        &of,
        &keys,
        wanted.span.map(|span| span.start),
        wanted.span.map(|span| span.end),
        wanted.phase == Some(Phase::Current),
        wanted.phase == Some(Phase::Past),
        after_at,
        after_id,
        page.count(),
        owner.is_some(),
        owner.unwrap_or_default()
    )
    .fetch_all(pool)
    .await?;
    let as_of = lines.first().and_then(|line| line.as_of).unwrap_or(DateTime::UNIX_EPOCH);
    Ok(Read { rows: lines.into_iter().filter_map(Line::open).collect(), as_of })
}
