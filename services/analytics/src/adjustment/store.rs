//! All SQL about adjustments of the forecast.

use chrono::{DateTime, NaiveDate, Utc};
use money::Money;
use sqlx::{PgConnection, PgExecutor, PgPool};

use super::model::{Adjustment, Change};
use crate::period::Calendar;
use crate::plan::Wanted;
use crate::plan::model::{Slot, Subject};
use crate::visibility::Sight;

struct Row {
    id: i64,
    unit: String,
    start_date: NaiveDate,
    owner_id: i64,
    team_id: i64,
    subject_name: Option<String>,
    amount: Money,
    note: Option<String>,
    set_by: i64,
    set_by_name: String,
    set_at: DateTime<Utc>,
    version: i64,
}

impl Row {
    fn adjustment(self, calendar: Calendar) -> sqlx::Result<Adjustment> {
        let slot = Slot::of_row(&self.unit, self.start_date);
        let slot = slot.ok_or_else(|| sqlx::Error::Decode("forecast_adjustments.unit".into()))?;
        Ok(Adjustment {
            id: self.id,
            slot,
            name: slot.name(calendar),
            subject: Subject::of_ids(self.owner_id, self.team_id),
            subject_name: self.subject_name,
            amount: self.amount,
            note: self.note,
            set_by: self.set_by,
            set_by_name: self.set_by_name,
            set_at: self.set_at,
            version: self.version,
        })
    }
}

/// Adjustments that somebody may set, the latest first.
pub(super) async fn list(
    pool: &PgPool,
    sets: &Sight,
    wanted: &Wanted,
    calendar: Calendar,
) -> sqlx::Result<Vec<Adjustment>> {
    let (sets_all, _, sets_teams) = sets.parts();
    let rows = sqlx::query_as!(
        Row,
        r#"select a.adjustment_id as id, a.unit, a.start_date, a.owner_id, a.team_id, coalesce(p.username, g.name) as subject_name,
                  a.amount as "amount!: Money", a.note, a.set_by, coalesce(by.username, '') as "set_by_name!",
                  a.set_at, a.version
           from forecast_adjustments a
           left join people p on p.user_id = a.owner_id left join teams g on g.team_id = a.team_id left join people by on by.user_id = a.set_by
           where a.amount is not null and ($1 or p.team_id = any($2) or a.team_id = any($2))
             and ($3::text is null or a.unit = $3) and ($4::date is null or a.start_date >= $4) and ($5::date is null or a.start_date <= $5)
             and ($6::bigint is null or a.owner_id = $6) and ($7::bigint is null or a.team_id = $7)
             and ($8::bigint is null or a.adjustment_id < $8)
           order by a.adjustment_id desc limit $9"#,
        sets_all,
        sets_teams,
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
    rows.into_iter().map(|row| row.adjustment(calendar)).collect()
}

/// An adjustment that somebody may set.
pub(super) async fn get(
    connection: impl PgExecutor<'_>,
    sets: &Sight,
    id: i64,
    calendar: Calendar,
) -> sqlx::Result<Option<Adjustment>> {
    let (sets_all, _, sets_teams) = sets.parts();
    let row = sqlx::query_as!(
        Row,
        r#"select a.adjustment_id as id, a.unit, a.start_date, a.owner_id, a.team_id, coalesce(p.username, g.name) as subject_name,
                  a.amount as "amount!: Money", a.note, a.set_by, coalesce(by.username, '') as "set_by_name!",
                  a.set_at, a.version
           from forecast_adjustments a
           left join people p on p.user_id = a.owner_id left join teams g on g.team_id = a.team_id left join people by on by.user_id = a.set_by
           where a.adjustment_id = $3 and a.amount is not null and ($1 or p.team_id = any($2) or a.team_id = any($2))"#,
        sets_all,
        sets_teams,
        id
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| row.adjustment(calendar)).transpose()
}

/// That of a period and a subject, where somebody may set it.
pub(super) async fn of_subject(
    pool: &PgPool,
    sets: &Sight,
    slot: Slot,
    subject: Subject,
    calendar: Calendar,
) -> sqlx::Result<Option<Adjustment>> {
    let (sets_all, _, sets_teams) = sets.parts();
    let (owner_id, team_id) = subject.ids();
    let row = sqlx::query_as!(
        Row,
        r#"select a.adjustment_id as id, a.unit, a.start_date, a.owner_id, a.team_id, coalesce(p.username, g.name) as subject_name,
                  a.amount as "amount!: Money", a.note, a.set_by, coalesce(by.username, '') as "set_by_name!",
                  a.set_at, a.version
           from forecast_adjustments a
           left join people p on p.user_id = a.owner_id left join teams g on g.team_id = a.team_id left join people by on by.user_id = a.set_by
           where a.unit = $3 and a.start_date = $4 and a.owner_id = $5 and a.team_id = $6
             and a.amount is not null and ($1 or p.team_id = any($2) or a.team_id = any($2))"#,
        sets_all,
        sets_teams,
        slot.unit.as_str(),
        slot.start,
        owner_id,
        team_id
    )
    .fetch_optional(pool)
    .await?;
    row.map(|row| row.adjustment(calendar)).transpose()
}

/// Whether somebody may set an adjustment, be it there or taken away.
pub(super) async fn is_in_sight(pool: &PgPool, sets: &Sight, id: i64) -> sqlx::Result<bool> {
    let (sets_all, _, sets_teams) = sets.parts();
    sqlx::query_scalar!(
        r#"select exists (
             select from forecast_adjustments a left join people p on p.user_id = a.owner_id
             where a.adjustment_id = $3 and a.version > 0 and ($1 or p.team_id = any($2) or a.team_id = any($2))
           ) as "is_in_sight!""#,
        sets_all,
        sets_teams,
        id
    )
    .fetch_one(pool)
    .await
}

/// The versions of an adjustment, the latest first.
pub(super) async fn changes(
    pool: &PgPool,
    id: i64,
    before: Option<i64>,
    count: i64,
) -> sqlx::Result<Vec<Change>> {
    sqlx::query_as!(
        Change,
        r#"select c.version, c.amount as "amount: Money", c.note, c.changed_by, coalesce(by.username, '') as "changed_by_name!", c.changed_at
           from forecast_adjustment_changes c left join people by on by.user_id = c.changed_by
           where c.adjustment_id = $1 and ($2::bigint is null or c.version < $2)
           order by c.version desc limit $3"#,
        id,
        before,
        count
    )
    .fetch_all(pool)
    .await
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
        "insert into forecast_adjustments (unit, start_date, owner_id, team_id, version, set_by, set_at) values ($1, $2, $3, $4, 0, $5, $6)
         on conflict on constraint forecast_adjustments_period_key do nothing",
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

/// What is kept of an adjustment, whether it is set or was taken away.
pub(super) struct Kept {
    pub(super) id: i64,
    pub(super) amount: Option<Money>,
    pub(super) note: Option<String>,
    version: i64,
}

impl Kept {
    /// Its version, where it is set.
    pub(super) fn current(&self) -> Option<i64> {
        self.amount.map(|_| self.version)
    }
}

/// An adjustment, which nobody else changes until this transaction ends.
pub(super) async fn lock(
    tx: &mut PgConnection,
    slot: Slot,
    subject: Subject,
) -> sqlx::Result<Kept> {
    let (owner_id, team_id) = subject.ids();
    sqlx::query_as!(
        Kept,
        r#"select adjustment_id as id, amount as "amount: Money", note, version from forecast_adjustments
           where unit = $1 and start_date = $2 and owner_id = $3 and team_id = $4 for update"#,
        slot.unit.as_str(),
        slot.start,
        owner_id,
        team_id
    )
    .fetch_one(tx)
    .await
}

/// Sets an adjustment, or takes it away, and writes the new version down.
pub(super) async fn update(
    tx: &mut PgConnection,
    id: i64,
    (amount, note): (Option<Money>, Option<&str>),
    by: i64,
    at: DateTime<Utc>,
) -> sqlx::Result<()> {
    sqlx::query!(
        "with changed as (
           update forecast_adjustments set amount = $2, note = $3, version = version + 1, set_by = $4, set_at = $5 where adjustment_id = $1
           returning adjustment_id, version, amount, note, set_by, set_at
         )
         insert into forecast_adjustment_changes (adjustment_id, version, amount, note, changed_by, changed_at)
         select adjustment_id, version, amount, note, set_by, set_at from changed",
        id,
        amount as _,
        note,
        by,
        at
    )
    .execute(tx)
    .await?;
    Ok(())
}
