//! All SQL about targets.

use chrono::{DateTime, NaiveDate, Utc};
use money::Money;
use sqlx::{PgConnection, PgExecutor, PgPool};

use super::model::{Set, Target};
use crate::period::{Calendar, Span};
use crate::plan::Wanted;
use crate::plan::model::{Rights, Slot, Subject};
use crate::visibility::{Scope, Sight};

struct Row {
    id: i64,
    unit: String,
    start_date: NaiveDate,
    owner_id: i64,
    team_id: i64,
    subject_name: Option<String>,
    team_of_owner: Option<i64>,
    amount: Money,
    set_by: i64,
    set_by_name: String,
    set_at: DateTime<Utc>,
    version: i64,
}

impl Row {
    fn target(self, calendar: Calendar) -> sqlx::Result<Target> {
        let slot = slot(&self.unit, self.start_date)?;
        Ok(Target {
            id: self.id,
            slot,
            name: slot.name(calendar),
            subject: Subject::of_ids(self.owner_id, self.team_id),
            subject_name: self.subject_name,
            team_of_owner: self.team_of_owner,
            amount: self.amount,
            set_by: self.set_by,
            set_by_name: self.set_by_name,
            set_at: self.set_at,
            version: self.version,
        })
    }
}

fn slot(unit: &str, start: NaiveDate) -> sqlx::Result<Slot> {
    Slot::of_row(unit, start).ok_or_else(|| sqlx::Error::Decode("targets.unit".into()))
}

/// Targets in sight, the latest first.
pub(super) async fn list(
    pool: &PgPool,
    rights: &Rights,
    wanted: &Wanted,
    calendar: Calendar,
) -> sqlx::Result<Vec<Target>> {
    let (sees_all, sees_owner, sees_people_of, sees_teams) = rights.parts();
    let rows = sqlx::query_as!(
        Row,
        r#"select t.target_id as id, t.unit, t.start_date, t.owner_id, t.team_id, coalesce(p.username, g.name) as subject_name,
                  p.team_id as "team_of_owner?", t.amount as "amount!: Money", t.set_by, coalesce(by.username, '') as "set_by_name!",
                  t.set_at, t.version
           from targets t
           left join people p on p.user_id = t.owner_id left join teams g on g.team_id = t.team_id left join people by on by.user_id = t.set_by
           where t.amount is not null and ($1 or t.owner_id = $2 or p.team_id = any($3) or t.team_id = any($4))
             and ($5::text is null or t.unit = $5) and ($6::date is null or t.start_date >= $6) and ($7::date is null or t.start_date <= $7)
             and ($8::bigint is null or t.owner_id = $8) and ($9::bigint is null or t.team_id = $9)
             and ($10::bigint is null or t.target_id < $10)
           order by t.target_id desc limit $11"#,
        sees_all,
        sees_owner,
        sees_people_of,
        &sees_teams,
        wanted.unit,
        wanted.within.map(|within| within.start),
        wanted.within.map(|within| within.end),
        wanted.owner_id,
        wanted.team_id,
        wanted.page.after_id(),
        wanted.page.count()
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(|row| row.target(calendar)).collect()
}

/// A target in sight.
pub(super) async fn get(
    connection: impl PgExecutor<'_>,
    rights: &Rights,
    id: i64,
    calendar: Calendar,
) -> sqlx::Result<Option<Target>> {
    let (sees_all, sees_owner, sees_people_of, sees_teams) = rights.parts();
    let row = sqlx::query_as!(
        Row,
        r#"select t.target_id as id, t.unit, t.start_date, t.owner_id, t.team_id, coalesce(p.username, g.name) as subject_name,
                  p.team_id as "team_of_owner?", t.amount as "amount!: Money", t.set_by, coalesce(by.username, '') as "set_by_name!",
                  t.set_at, t.version
           from targets t
           left join people p on p.user_id = t.owner_id left join teams g on g.team_id = t.team_id left join people by on by.user_id = t.set_by
           where t.target_id = $5 and t.amount is not null and ($1 or t.owner_id = $2 or p.team_id = any($3) or t.team_id = any($4))"#,
        sees_all,
        sees_owner,
        sees_people_of,
        &sees_teams,
        id
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| row.target(calendar)).transpose()
}

/// Of the teams in sight those that are below none of them.
pub(super) async fn topmost(pool: &PgPool, sight: &Sight) -> sqlx::Result<Vec<i64>> {
    let (sees_all, _, sees_teams) = sight.parts();
    sqlx::query_scalar!(
        "select t.team_id from teams t
         where not t.is_deleted and ($1 or t.team_id = any($2)) and not exists (
           select from teams up where up.team_id = t.parent_id and not up.is_deleted and ($1 or up.team_id = any($2))
         )",
        sees_all,
        sees_teams
    )
    .fetch_all(pool)
    .await
}

/// What is set within some days for what a scope is of.
pub(super) async fn of_scope(
    pool: &PgPool,
    (scope, topmost): (&Scope, &[i64]),
    own_team: Option<i64>,
    span: Span,
) -> sqlx::Result<Vec<Set>> {
    let (sees_all, sees_owner, sees_teams) = scope.sight.parts();
    let rows = sqlx::query!(
        r#"select t.unit, t.start_date, t.owner_id, t.team_id, t.amount as "amount!: Money"
           from targets t
           left join people p on p.user_id = t.owner_id
           where t.start_date between $1 and $2 and t.amount is not null
             and case
               when $6::bigint is not null then t.owner_id = $6 and ($3 or t.owner_id = $4 or p.team_id = any($5))
               when $7::bigint is not null then t.team_id = $7 and ($3 or t.team_id = any($5) or t.team_id = $8)
               when $3 or cardinality($5) > 0 then
                 t.owner_id = 0 and (t.team_id = 0 and $3 or t.team_id = any($9))
               else t.owner_id = $4 and $4 > 0
             end"#,
        span.start,
        span.end,
        sees_all,
        sees_owner,
        sees_teams,
        scope.owner_id,
        scope.team_id,
        own_team,
        topmost
    )
    .fetch_all(pool)
    .await?;
    let set = rows.into_iter().map(|row| {
        let subject = Subject::of_ids(row.owner_id, row.team_id);
        Ok(Set { subject, slot: slot(&row.unit, row.start_date)?, amount: row.amount })
    });
    set.collect()
}

/// What is set within some days for people in sight. Within a team that is for people in it of whom nothing counts for another: not what is open, and not what was made, won or lost in
/// these days.
pub(super) async fn of_people(pool: &PgPool, scope: &Scope, span: Span) -> sqlx::Result<Vec<Set>> {
    let (sees_all, sees_owner, sees_teams) = scope.sight.parts();
    let rows = sqlx::query!(
        r#"select t.unit, t.start_date, t.owner_id, t.amount as "amount!: Money"
           from targets t left join people p on p.user_id = t.owner_id
           where t.start_date between $1 and $2 and t.amount is not null and t.owner_id > 0
             and ($3 or t.owner_id = $4 or p.team_id = any($5)) and ($6::bigint is null or t.owner_id = $6)
             and ($7::bigint is null or p.team_id = $7
               and not exists (
                 select from flow_rollup f
                 where f.grain = 'month' and f.start_date between $1 and $2 and f.owner_id = t.owner_id and f.team_id <> $7 and f.count > 0
               )
               and not exists (
                 select from standing_rollup s where s.status = 'open' and s.owner_id = t.owner_id and s.team_id <> $7 and s.count > 0
               ))"#,
        span.start,
        span.end,
        sees_all,
        sees_owner,
        sees_teams,
        scope.owner_id,
        scope.team_id
    )
    .fetch_all(pool)
    .await?;
    let set = rows.into_iter().map(|row| {
        let subject = Subject::of_ids(row.owner_id, 0);
        Ok(Set { subject, slot: slot(&row.unit, row.start_date)?, amount: row.amount })
    });
    set.collect()
}

/// Adds a row of version 0 and without an amount where there is none: what is to be changed in the same transaction.
pub(super) async fn ensure(
    tx: &mut PgConnection,
    slot: Slot,
    subject: Subject,
    by: i64,
    at: DateTime<Utc>,
) -> sqlx::Result<()> {
    let (owner_id, team_id) = subject.ids();
    sqlx::query!(
        "insert into targets (unit, start_date, owner_id, team_id, version, set_by, set_at) values ($1, $2, $3, $4, 0, $5, $6)
         on conflict on constraint targets_period_key do nothing",
        slot.unit.as_str(),
        slot.start,
        owner_id,
        team_id,
        by,
        at
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// What is kept of a target, whether it is set or was taken away.
pub(super) struct Kept {
    pub(super) id: i64,
    pub(super) amount: Option<Money>,
    version: i64,
}

impl Kept {
    /// Its version, where it is set.
    pub(super) fn current(&self) -> Option<i64> {
        self.amount.map(|_| self.version)
    }
}

/// A target, which nobody else changes until this transaction ends.
pub(super) async fn lock(
    tx: &mut PgConnection,
    slot: Slot,
    subject: Subject,
) -> sqlx::Result<Kept> {
    let (owner_id, team_id) = subject.ids();
    sqlx::query_as!(
        Kept,
        r#"select target_id as id, amount as "amount: Money", version from targets
           where unit = $1 and start_date = $2 and owner_id = $3 and team_id = $4 for update"#,
        slot.unit.as_str(),
        slot.start,
        owner_id,
        team_id
    )
    .fetch_one(tx)
    .await
}

/// Sets an amount, or takes it away.
pub(super) async fn update(
    tx: &mut PgConnection,
    id: i64,
    amount: Option<Money>,
    by: i64,
    at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "update targets set amount = $2, version = version + 1, set_by = $3, set_at = $4 where target_id = $1",
        id,
        amount as _,
        by,
        at
    )
    .execute(tx)
    .await?;
    Ok(())
}
