//! Which plans are listed, and which page of them.

use chrono::NaiveDate;
use rpc::{Error, Invalid};

use super::model::Slot;
use crate::page::{self, Page};
use crate::period::{Asked, Calendar, Span};

/// Which plans somebody asks for, and which page of them.
#[derive(Clone, Debug, Default)]
pub struct Listing<'a> {
    /// Of which period; what is absent narrows nothing.
    pub asked: Asked<'a>,
    /// Of this person.
    pub owner_id: Option<i64>,
    /// Of this team.
    pub team_id: Option<i64>,
    /// How many, 1 to 200.
    pub limit: Option<i32>,
    /// Where the page before ended.
    pub cursor: Option<&'a str>,
}

/// What a list is narrowed to, and where its page begins.
pub(crate) struct Wanted {
    pub(crate) unit: Option<&'static str>,
    pub(crate) within: Option<Span>,
    pub(crate) owner_id: Option<i64>,
    pub(crate) team_id: Option<i64>,
    pub(crate) page: Page,
}

impl Listing<'_> {
    /// What is asked for of plans of a kind. Fails with every bad field, or with a cursor that is of another listing.
    pub(crate) fn wanted(
        &self,
        kind: &str,
        calendar: Calendar,
        today: NaiveDate,
    ) -> Result<Wanted, Error> {
        let mut invalid = Invalid::default();
        let size = page::size(self.limit, &mut invalid);
        let (unit, within) = narrowed(calendar, &self.asked, today, &mut invalid);
        invalid.into_result()?;
        // A row that has no owner or no team has 0 there, and nobody asks for that.
        let nobody = |id: i64| if id > 0 { id } else { -1 };
        let (owner_id, team_id) = (self.owner_id.map(nobody), self.team_id.map(nobody));
        let listing = format!("{kind} {unit:?} {within:?} {owner_id:?} {team_id:?}");
        let page = Page::parse(size, self.cursor, &listing)?;
        Ok(Wanted { unit, within, owner_id, team_id, page })
    }
}

/// Of which length and within which days: what is not named narrows nothing.
fn narrowed(
    calendar: Calendar,
    asked: &Asked<'_>,
    today: NaiveDate,
    invalid: &mut Invalid,
) -> (Option<&'static str>, Option<Span>) {
    let named = match asked.period {
        None if asked.quarter.is_some() => Some("quarter"),
        None if asked.month.is_some() => Some("month"),
        period => period,
    };
    let period = calendar.asked(&Asked { period: named, ..*asked }, today, invalid);
    let Some(period) = period else { return (None, None) };
    let unit = named.map(|_| Slot::of(&period).unit.as_str());
    if asked.quarter.is_some() || asked.month.is_some() {
        return (unit, Some(period.span));
    }
    (unit, asked.year.map(|year| calendar.year(year).span))
}
