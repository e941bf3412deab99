//! What managers and administrators expect beside the model: looking it up, setting it, and taking it away. It is seen by who may set it.

pub mod model;
mod store;

use auth::{Caller, Role};
use chrono::{DateTime, Utc};
use money::Money;
use rpc::{Error, Invalid};
use sqlx::PgExecutor;

use crate::State;
use crate::ask::{Ask, calendar};
use crate::page::{self, Page};
use crate::period::{Asked, Calendar, Period};
use crate::plan::model::{Slot, Subject};
use crate::plan::{self, Listing, require_planner};
use crate::visibility::Sight;
use model::{Adjustment, Change};

/// An adjustment as somebody wants it.
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
    /// Why.
    pub note: Option<String>,
    /// Only if it has this version; 0 for whichever it has.
    pub expected_version: Option<i64>,
}

fn require_reader(caller: &Caller) -> Result<(), Error> {
    caller.require_read()?;
    caller.require_role(&[Role::Admin, Role::Manager])
}

/// A page of the adjustments that the caller may see, the latest first, and where it ended if there are more.
pub async fn list(
    state: &State,
    caller: &Caller,
    listing: &Listing<'_>,
    now: DateTime<Utc>,
) -> Result<(Vec<Adjustment>, Option<String>), Error> {
    require_reader(caller)?;
    let (calendar, today) = calendar(state, now)?;
    let wanted = listing.wanted("adjustments", calendar, today)?;
    let sets = plan::rights(state, caller).await?.sets;
    let rows = store::list(&state.reads, &sets, &wanted, calendar).await?;
    Ok(wanted.page.cut(rows, |it| page::by_id(it.id)))
}

/// The adjustment of that id, if the caller may see it.
pub async fn get(
    state: &State,
    caller: &Caller,
    id: i64,
    now: DateTime<Utc>,
) -> Result<Adjustment, Error> {
    require_reader(caller)?;
    let (calendar, _) = calendar(state, now)?;
    let sets = plan::rights(state, caller).await?.sets;
    seen(&state.reads, &sets, id, calendar).await
}

async fn seen(
    connection: impl PgExecutor<'_>,
    sets: &Sight,
    id: i64,
    calendar: Calendar,
) -> Result<Adjustment, Error> {
    let it = store::get(connection, sets, id, calendar).await?;
    it.ok_or_else(|| not_found(id))
}

fn not_found(id: i64) -> Error {
    Error::not_found("forecast adjustment", id)
}

/// A page of the versions of an adjustment, the latest first; of one that was taken away too.
pub async fn changes(
    state: &State,
    caller: &Caller,
    id: i64,
    (limit, cursor): (Option<i32>, Option<&str>),
) -> Result<(Vec<Change>, Option<String>), Error> {
    require_reader(caller)?;
    let mut invalid = Invalid::default();
    let size = page::size(limit, &mut invalid);
    invalid.into_result()?;
    let listing = format!("changes of adjustment {id}");
    let page = Page::parse(size, cursor, &listing)?;
    let sets = plan::rights(state, caller).await?.sets;
    if !store::is_in_sight(&state.reads, &sets, id).await? {
        return Err(not_found(id));
    }
    let rows = store::changes(&state.reads, id, page.after_id(), page.count()).await?;
    Ok(page.cut(rows, |it| page::by_id(it.version)))
}

/// Sets the adjustment of a period.
pub async fn set(
    state: &State,
    caller: &Caller,
    wish: Wish,
    now: DateTime<Utc>,
) -> Result<Adjustment, Error> {
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
    model::amount(wish.amount, &mut invalid);
    let note = model::note(wish.note, &mut invalid);
    let team_id = match subject {
        Some(subject) => plan::team_of(state, subject, &mut invalid).await?,
        None => None,
    };
    invalid.into_result()?;
    let (Some(slot), Some(subject), Some(amount)) = (slot, subject, wish.amount) else {
        return Err(Error::internal("an adjustment was refused without a reason"));
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
    if kept.amount != Some(amount) || kept.note != note {
        let what = (Some(amount), note.as_deref());
        store::update(&mut tx, kept.id, what, caller.user_id, now).await?;
    }
    // As it is now, before somebody else sets it again.
    let it = seen(&mut *tx, &rights.sets, kept.id, calendar).await?;
    tx.commit().await?;
    Ok(it)
}

/// Takes an adjustment away.
pub async fn remove(
    state: &State,
    caller: &Caller,
    id: i64,
    expected_version: Option<i64>,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    require_planner(caller)?;
    let (calendar, _) = calendar(state, now)?;
    // Who sees it may set it.
    let sets = plan::rights(state, caller).await?.sets;
    let it = seen(&state.reads, &sets, id, calendar).await?;
    let mut tx = state.writes.begin().await?;
    let kept = store::lock(&mut tx, it.slot, it.subject).await?;
    let current = kept.current().ok_or_else(|| not_found(id))?;
    if expected_version.is_some_and(|expected| expected != current) {
        return Err(Error::Stale { current: Some(current) });
    }
    store::update(&mut tx, id, (None, None), caller.user_id, now).await?;
    tx.commit().await?;
    Ok(())
}

/// The adjustment of what a forecast is of, where the caller may see it: the owner's, the team's, or, without both, the organisation's. Of one pipeline, or of what an owner
/// has in one team, there is none.
pub(crate) async fn of_scope(
    state: &State,
    caller: &Caller,
    ask: &Ask,
    (calendar, period): (Calendar, &Period),
) -> Result<Option<Adjustment>, Error> {
    if ask.pipeline_id.is_some() || !matches!(caller.role, Role::Admin | Role::Manager) {
        return Ok(None);
    }
    let subject = match (ask.owner_id, ask.team_id) {
        (Some(_), Some(_)) => return Ok(None),
        (Some(owner_id), None) => Subject::Owner(owner_id),
        (None, Some(team_id)) => Subject::Team(team_id),
        (None, None) => Subject::Organisation,
    };
    let sets = plan::rights(state, caller).await?.sets;
    let it = store::of_subject(&state.reads, &sets, Slot::of(period), subject, calendar).await?;
    Ok(it)
}
