//! Lists of activities: those of an opportunity, all that somebody may see, and what of them is to be done, a page at a time.

use auth::Caller;
use chrono::{DateTime, Datelike, NaiveDate, Utc};
use rpc::Error;
use serde::{Deserialize, Serialize};

use super::model::Due;
use super::store::{self, Filter, Seen};
use super::{Detail, Place};
use crate::cursor::{self, wrong_cursor};
use crate::opportunity::BEGINNING;

use crate::opportunity::model::day;
use crate::{State, access};

/// A page of activities.
pub struct Page {
    /// The rows.
    pub items: Vec<Detail>,
    /// Continues after the last of them.
    pub next_cursor: Option<String>,
    /// How many there are in all, if asked.
    pub total: Option<i64>,
}

/// Which activities somebody asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask<'a> {
    /// When what is to be done is due; where absent, all is asked for, done or not.
    pub due: Option<Due>,
    /// Who is to do it.
    pub owner_id: Option<i64>,
    /// How many at most.
    pub limit: usize,
    /// After which.
    pub cursor: Option<&'a str>,
    /// Whether to count them all.
    pub include_total: bool,
}

/// Where a page ended.
#[derive(Serialize, Deserialize)]
struct Cursor {
    /// Of which listing.
    l: u64,
    /// The last row's time, in microseconds since 1970.
    t: i64,
    /// Its id.
    i: i64,
    /// The day that was today when the listing began, where that matters: its number, of which 1 is the first of the year 1.
    d: Option<i32>,
}

impl Cursor {
    fn place(&self) -> Result<Place, Error> {
        let at = DateTime::from_timestamp_micros(self.t).filter(|at| *at >= BEGINNING);
        Ok((at.ok_or_else(wrong_cursor)?, self.i))
    }

    fn today(&self) -> Result<Option<NaiveDate>, Error> {
        let Some(number) = self.d else { return Ok(None) };
        let day = NaiveDate::from_num_days_from_ce_opt(number);
        day.filter(|day| (1..=9999).contains(&day.year())).map(Some).ok_or_else(wrong_cursor)
    }

    fn read(text: Option<&str>, listing: u64) -> Result<Option<Self>, Error> {
        let Some(text) = text else { return Ok(None) };
        let cursor = cursor::read::<Self>(text);
        cursor.filter(|cursor| cursor.l == listing).map(Some).ok_or_else(wrong_cursor)
    }
}

/// The page that is made of one row more than it may have, sorted by that time.
fn cut(
    mut rows: Vec<Detail>,
    limit: usize,
    listing: u64,
    today: Option<NaiveDate>,
    key: impl Fn(&Detail) -> Option<DateTime<Utc>>,
) -> Page {
    let more = rows.len() > limit;
    rows.truncate(limit);
    let last = rows.last().filter(|_| more);
    let next_cursor = last.map(|last| {
        let t = key(last).unwrap_or_default().timestamp_micros();
        let d = today.map(|day| day.num_days_from_ce());
        cursor::write(&Cursor { l: listing, t, i: last.activity.id, d })
    });
    Page { items: rows, next_cursor, total: None }
}

/// A page of the activities of an opportunity that the caller may see, newest first.
pub async fn of_opportunity(
    state: &State,
    caller: &Caller,
    opportunity_id: i64,
    filter: &Filter,
    limit: usize,
    cursor: Option<&str>,
) -> Result<Page, Error> {
    caller.require_read()?;
    let visibility = state.settings.get()?.visibility;
    let sight = access::sight(&state.reads, caller, visibility).await?;
    let opportunity = store::opportunity(&state.reads, opportunity_id).await?;
    if !opportunity.is_some_and(|owned| sight.covers(owned)) {
        return Err(Error::not_found("opportunity", opportunity_id));
    }
    let listing = cursor::hash(&format!("of {opportunity_id} {filter:?}"));
    let before = Cursor::read(cursor, listing)?.map(|it| it.place()).transpose()?;
    let rows = store::list_of(&state.reads, opportunity_id, filter, before, limit + 1).await?;
    Ok(cut(rows, limit, listing, None, |it| Some(it.activity.created_at)))
}

/// A page of the activities of all opportunities that the caller may see: what is due, the earliest first, where that is asked for, and otherwise all, newest first. Later pages of
/// what is due are of the day on which the first was asked for.
pub async fn list(
    state: &State,
    caller: &Caller,
    ask: &Ask<'_>,
    now: DateTime<Utc>,
) -> Result<Page, Error> {
    caller.require_read()?;
    let settings = state.settings.get()?;
    let sight = access::sight(&state.reads, caller, settings.visibility).await?;
    let seen = Seen { sight: &sight, owner_id: ask.owner_id };
    let Some(due) = ask.due else { return newest(state, seen, ask).await };
    let listing = cursor::hash(&format!("due {due:?} {:?}", ask.owner_id));
    let cursor = Cursor::read(ask.cursor, listing)?;
    let begun = cursor.as_ref().map(Cursor::today).transpose()?.flatten();
    let today = begun.unwrap_or_else(|| day(now, settings.zone));
    let span = due.span(today, settings.zone);
    let after = cursor.map(|it| it.place()).transpose()?;
    let rows = store::list_due(&state.reads, seen, span, after, ask.limit + 1).await?;
    let page = cut(rows, ask.limit, listing, Some(today), |it| it.activity.scheduled_at);
    let total = if ask.include_total {
        Some(store::count_due(&state.reads, seen, span).await?)
    } else {
        None
    };
    Ok(Page { total, ..page })
}

async fn newest(state: &State, seen: Seen<'_>, ask: &Ask<'_>) -> Result<Page, Error> {
    let listing = cursor::hash(&format!("newest {:?}", ask.owner_id));
    let before = Cursor::read(ask.cursor, listing)?.map(|it| it.place()).transpose()?;
    let rows = store::list_seen(&state.reads, seen, before, ask.limit + 1).await?;
    let page = cut(rows, ask.limit, listing, None, |it| Some(it.activity.created_at));
    let total =
        if ask.include_total { Some(store::count_seen(&state.reads, seen).await?) } else { None };
    Ok(Page { total, ..page })
}
