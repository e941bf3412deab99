//! Targets: looking them up, setting them, and taking them away.

pub mod model;
mod store;

use std::collections::BTreeMap;

use auth::Caller;
use chrono::{DateTime, Utc};
use money::Money;
use rpc::{Error, Invalid};
use sqlx::PgExecutor;

use crate::State;
use crate::ask::{Ask, calendar};
use crate::page;
use crate::period::{Asked, Calendar, Period};
use crate::plan::model::{Rights, Slot, Subject};
use crate::plan::{self, Listing, require_planner};
use crate::visibility::Scope;
use model::{Effective, Target};

/// A target as somebody wants it.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// `month`, `quarter` or `year`.
    pub period: Option<String>,
    /// The fiscal year.
    pub year: Option<i32>,
    /// The quarter.
    pub quarter: Option<i32>,
    /// The month.
    pub month: Option<i32>,
    /// Whose.
    pub owner_id: Option<i64>,
    /// Which team's.
    pub team_id: Option<i64>,
    /// How much.
    pub amount: Option<Money>,
    /// Only if it has this version; 0 for whichever it has.
    pub expected_version: Option<i64>,
}

/// A page of the targets that the caller may see, the latest first, and where it ended if there are more.
pub async fn list(
    state: &State,
    caller: &Caller,
    listing: &Listing<'_>,
    now: DateTime<Utc>,
) -> Result<(Vec<Target>, Option<String>), Error> {
    let (calendar, today) = calendar(state, now)?;
    let wanted = listing.wanted("targets", calendar, today)?;
    let rights = plan::rights(state, caller).await?;
    let targets = store::list(&state.reads, &rights, &wanted, calendar).await?;
    Ok(wanted.page.cut(targets, |it| page::by_id(it.id)))
}

/// The target of that id, if the caller may see it.
pub async fn get(
    state: &State,
    caller: &Caller,
    id: i64,
    now: DateTime<Utc>,
) -> Result<Target, Error> {
    let (calendar, _) = calendar(state, now)?;
    let rights = plan::rights(state, caller).await?;
    seen(&state.reads, &rights, id, calendar).await
}

async fn seen(
    connection: impl PgExecutor<'_>,
    rights: &Rights,
    id: i64,
    calendar: Calendar,
) -> Result<Target, Error> {
    let target = store::get(connection, rights, id, calendar).await?;
    target.ok_or_else(|| Error::not_found("target", id))
}

/// Sets the target of a period.
pub async fn set(
    state: &State,
    caller: &Caller,
    wish: Wish,
    now: DateTime<Utc>,
) -> Result<Target, Error> {
    require_planner(caller)?;
    let (calendar, today) = calendar(state, now)?;
    let mut invalid = Invalid::default();
    let asked = Asked {
        period: wish.period.as_deref(),
        year: wish.year,
        quarter: wish.quarter,
        month: wish.month,
    };
    let slot = Slot::asked(calendar, &asked, today, &mut invalid);
    let subject = Subject::asked(wish.owner_id, wish.team_id, &mut invalid);
    match wish.amount {
        None => invalid.add("amount", "required", "is missing"),
        Some(amount) if amount < Money::ZERO || amount > Money::MAX_AMOUNT => {
            invalid.add("amount", "out_of_range", "is not between 0 and 9999999999999.99");
        }
        Some(_) => {}
    }
    let team_id = match subject {
        Some(subject) => plan::team_of(state, subject, &mut invalid).await?,
        None => None,
    };
    invalid.into_result()?;
    let (Some(slot), Some(subject), Some(amount)) = (slot, subject, wish.amount) else {
        return Err(Error::internal("a target was refused without a reason"));
    };
    let rights = plan::rights(state, caller).await?;
    if !rights.may_set(subject, team_id) {
        return Err(plan::beyond_reach());
    }
    state.fix_currency().await?;
    let mut tx = state.writes.begin().await?;
    store::ensure(&mut tx, slot, subject, caller.user_id, now).await?;
    let kept = store::lock(&mut tx, slot, subject).await?;
    if plan::is_stale(wish.expected_version, kept.current()) {
        return Err(Error::Stale { current: kept.current() });
    }
    if kept.amount != Some(amount) {
        store::update(&mut tx, kept.id, Some(amount), caller.user_id, now).await?;
    }
    // A manager sees what is within reach, so it is seen; as it is now, before somebody else sets it again.
    let target = seen(&mut *tx, &rights, kept.id, calendar).await?;
    tx.commit().await?;
    Ok(target)
}

/// Takes a target away.
pub async fn remove(
    state: &State,
    caller: &Caller,
    id: i64,
    expected_version: Option<i64>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    require_planner(caller)?;
    let (calendar, _) = calendar(state, now)?;
    let rights = plan::rights(state, caller).await?;
    let target = seen(&state.reads, &rights, id, calendar).await?;
    if !rights.may_set(target.subject, target.team_of_owner.or(target.subject.team_id())) {
        return Err(plan::beyond_reach());
    }
    let mut tx = state.writes.begin().await?;
    let kept = store::lock(&mut tx, target.slot, target.subject).await?;
    let current = kept.current().ok_or_else(|| Error::not_found("target", id))?;
    if expected_version.is_some_and(|expected| expected != current) {
        return Err(Error::Stale { current: Some(current) });
    }
    store::update(&mut tx, id, None, caller.user_id, now).await?;
    tx.commit().await?;
    Ok(())
}

/// The target of what a forecast is of. Without an owner or a team it is the organisation's, and where none is set the sum of the topmost teams'; for who does not see everything the
/// sum of those of the topmost teams in sight, or their own. Of one pipeline, or of what an owner has in one team, there is none.
pub(crate) async fn of_scope(
    state: &State,
    caller: &Caller,
    ask: &Ask,
    scope: &Scope,
    (calendar, period): (Calendar, &Period),
) -> Result<Option<Effective>, Error> {
    if ask.pipeline_id.is_some() || ask.owner_id.is_some() && ask.team_id.is_some() {
        return Ok(None);
    }
    let is_whole = ask.owner_id.is_none() && ask.team_id.is_none();
    let topmost =
        if is_whole { store::topmost(&state.reads, &scope.sight).await? } else { Vec::new() };
    let of = (scope, &*topmost);
    let set = store::of_scope(&state.reads, of, caller.team_id, period.span).await?;
    Ok(model::of_scope(calendar, period, &set, &topmost))
}

/// The targets of all people whose targets are in sight; within a team of those alone who are in it and have nothing in another.
pub(crate) async fn of_people(
    state: &State,
    ask: &Ask,
    scope: &Scope,
    (calendar, period): (Calendar, &Period),
) -> Result<BTreeMap<i64, Effective>, Error> {
    if ask.pipeline_id.is_some() {
        return Ok(BTreeMap::new());
    }
    let set = store::of_people(&state.reads, scope, period.span).await?;
    Ok(model::of_people(calendar, period, &set))
}
