//! Reading a range of a list. Where words are looked for it begins with the first rows, whatever is in them: frequent words are found there. What is found there also tells how many rows a
//! page is likely to take: if they are few they are looked through as well. If not, the index of words is asked, at first for the days in which they were likely made.

use chrono::{DateTime, TimeDelta, Utc};
use rpc::Error;
use sqlx::PgPool;

use super::Ask;
use super::store::{self, Place, Range, Row};
use crate::access::model::Sight;
use crate::cursor::Cursor;
use crate::opportunity::{BEGINNING, END_OF_TIME};

/// How many rows are looked through before anything is known.
const WALK: usize = 512;
/// How many are at least from then on.
const LEAST: usize = 64;
/// How many are at most, where the index tells days, and where it does not.
const FURTHEST: [usize; 2] = [2_048, 8_192];
/// How many times as many rows as are likely to hold a page are looked up.
const MARGIN: usize = 2;

/// Reads a list.
pub(super) struct Reader<'a> {
    pub(super) pool: &'a PgPool,
    pub(super) sight: &'a Sight,
    pub(super) ask: &'a Ask<'a>,
}

impl Reader<'_> {
    /// The first rows of a range.
    pub(super) async fn rows(&self, range: Range<'_>, limit: usize) -> Result<Vec<Row>, Error> {
        let Some(query) = &self.ask.filter.query else { return self.all(range, limit).await };
        let is_by_day = self.ask.sort.key.name == "created_at";
        let furthest = FURTHEST[usize::from(!is_by_day)];
        let (mut rows, mut looked, mut walk) = (Vec::new(), 0, WALK);
        let (mut newest, mut cursor) = (None, None);
        let last = loop {
            let place = cursor.as_ref().map_or(range.place, Place::After);
            let (range, missing) = (Range { place, ..range }, limit - rows.len());
            let walked =
                store::walk(self.pool, self.sight, self.ask, query, range, (walk, missing)).await?;
            rows.extend(walked.found.into_iter().take(missing));
            let Some((first, last)) = walked.ends else { return Ok(rows) };
            if rows.len() == limit {
                return Ok(rows);
            }
            let made = last.detail.opportunity.created_at;
            newest = newest.or(Some(first.detail.opportunity.created_at));
            cursor = Some(Cursor::new("", last.key, last.detail.opportunity.id));
            looked += walk;
            // Whole powers of two, so that there are few statements; a walk has two ends.
            walk = likely(looked, rows.len(), limit).next_power_of_two().max(LEAST);
            if looked + walk > furthest {
                break made;
            }
        };
        let mut place = cursor.as_ref().map_or(range.place, Place::After);
        let near = newest.filter(|_| is_by_day).and_then(|it| reach([it, last], rows.len(), limit));
        if let Some(until) = near {
            let near = Range { place, until: Some((until, last)), ..range };
            rows.extend(self.all(near, limit - rows.len()).await?);
            if rows.len() == limit {
                return Ok(rows);
            }
            place = Place::Past(until);
        }
        rows.extend(self.all(Range { place, ..range }, limit - rows.len()).await?);
        Ok(rows)
    }

    async fn all(&self, range: Range<'_>, limit: usize) -> Result<Vec<Row>, Error> {
        store::rows(self.pool, self.sight, self.ask, range, limit).await
    }
}

/// How many rows are likely to complete a page, from how many were looked through and how many of them were found.
fn likely(looked: usize, found: usize, limit: usize) -> usize {
    looked * MARGIN * (limit - found) / (found + 1)
}

/// Until when rows are likely to have been made that complete a page, from when the first and the last were that were looked through and how many of them were found; none where that
/// cannot be told.
fn reach([first, last]: [DateTime<Utc>; 2], found: usize, limit: usize) -> Option<DateTime<Utc>> {
    // In milliseconds, as a page of a hundred thousand years has more microseconds than can be counted.
    let span = usize::try_from((last - first).num_milliseconds().unsigned_abs()).ok()?;
    let further = i64::try_from(likely(span, found, limit)).ok().filter(|it| *it > 0)?;
    let further = TimeDelta::try_milliseconds(if last < first { -further } else { further })?;
    let at = last.checked_add_signed(further)?;
    // Beyond all calendars there is nothing, and PostgreSQL knows of fewer years.
    (BEGINNING..END_OF_TIME).contains(&at).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_reaches_as_far_as_what_was_found_so_far_makes_likely() {
        let first = DateTime::UNIX_EPOCH;
        let hours = |hours| first + TimeDelta::hours(hours);
        // Nine in an hour: the 41 that are missing are likely within another five, and certainly within twice as many.
        assert_eq!(reach([first, hours(-1)], 9, 50), Some(hours(-1) - TimeDelta::minutes(492)));
        assert_eq!(reach([first, hours(1)], 9, 50), Some(hours(1) + TimeDelta::minutes(492)));
        assert_eq!(reach([first, first], 9, 50), None);
        let century = TimeDelta::days(36_525);
        assert_eq!(reach([first, first - century], 0, 200), None);
        assert_eq!(reach([first, first + century], 0, 200), None);
    }
}
