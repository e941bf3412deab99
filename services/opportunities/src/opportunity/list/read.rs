//! Reading a range of a list. Where words are looked for it begins with the first rows, whatever is in them: frequent words are found there. What is found there also tells how far the
//! rows of a page may reach, so that rare words are looked up among those rows alone, and among all only where that was not enough.

use chrono::{DateTime, Utc};
use rpc::Error;
use sqlx::PgPool;

use super::Ask;
use super::store::{self, Place, Range, Row};
use crate::access::model::Sight;
use crate::cursor::Cursor;
use crate::opportunity::{BEGINNING, END_OF_TIME};

/// How many rows are looked through before the index of words is asked.
const WALK: u16 = 500;
/// How many times as many rows as are likely to hold a page are looked up.
const MARGIN: f64 = 2.0;

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
        let (pool, sight, ask) = (self.pool, self.sight, self.ask);
        let walked = store::walk(pool, sight, ask, query, range, (i64::from(WALK), limit)).await?;
        let mut rows = walked.found;
        rows.truncate(limit);
        let Some((first, last)) = walked.ends else { return Ok(rows) };
        if rows.len() == limit {
            return Ok(rows);
        }
        let ends = [&first, &last].map(|it| it.detail.opportunity.created_at);
        let cursor = Cursor::new("", last.key, last.detail.opportunity.id);
        let mut rest = Range { place: Place::After(&cursor), ..range };
        let near = (ask.sort.key.name == "created_at").then(|| reach(ends, rows.len(), limit));
        if let Some(until) = near.flatten() {
            let near = Range { until: Some((until, ends[1])), ..rest };
            rows.extend(self.all(near, limit - rows.len()).await?);
            if rows.len() == limit {
                return Ok(rows);
            }
            rest.place = Place::Past(until);
        }
        rows.extend(self.all(rest, limit - rows.len()).await?);
        Ok(rows)
    }

    async fn all(&self, range: Range<'_>, limit: usize) -> Result<Vec<Row>, Error> {
        store::rows(self.pool, self.sight, self.ask, range, limit).await
    }
}

/// Until when rows are likely to have been made that complete a page, from when the first and the last were that were looked through and how many of them were found; none where that
/// cannot be told.
fn reach([first, last]: [DateTime<Utc>; 2], found: usize, limit: usize) -> Option<DateTime<Utc>> {
    let missing = f64::from(u32::try_from(limit - found).ok()?);
    let found = f64::from(u32::try_from(found).ok()?);
    let walks = MARGIN * missing / (found + 1.0);
    let microseconds = (last - first).num_microseconds()?;
    if microseconds == 0 {
        return None;
    }
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "an estimate")]
    let further = (microseconds as f64 * walks).round() as i64;
    let at = last.checked_add_signed(chrono::TimeDelta::microseconds(further))?;
    // Beyond all calendars there is nothing, and PostgreSQL knows of fewer years.
    (BEGINNING..END_OF_TIME).contains(&at).then_some(at)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

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
