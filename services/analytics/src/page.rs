//! Pages of what is listed: how many a page has, and where one ended.

use events::lock;
use rpc::{Error, Invalid};

/// How many a page has where nobody says.
const USUAL: i32 = 50;
/// How many it has at most.
const MOST: i32 = 200;

/// By what a listing goes, and the id of what comes there: instants in microseconds, or 0 where it goes by id alone.
pub(crate) type Place = (i64, i64);

/// How many a caller asks for. A bad number is noted.
pub(crate) fn size(limit: Option<i32>, invalid: &mut Invalid) -> usize {
    let limit = limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        invalid.add("limit", "out_of_range", format!("is not between 1 and {MOST}"));
    }
    usize::try_from(limit).unwrap_or_default()
}

/// Where something comes that goes by its id alone.
pub(crate) fn by_id(id: i64) -> Place {
    (0, id)
}

/// Which page of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// It comes after this place.
    pub(crate) after: Option<Place>,
    /// It has so many at most.
    pub(crate) size: usize,
    /// By which its listing is known.
    mark: i64,
}

impl Page {
    /// The page of so many after a cursor, which has to be of this listing.
    pub(crate) fn parse(size: usize, cursor: Option<&str>, listing: &str) -> Result<Self, Error> {
        let page = Self { after: None, size, mark: lock::key("listing", listing) };
        let after = cursor.map(|text| {
            page.read(text).ok_or_else(|| Error::Malformed {
                reason: "CURSOR_INVALID".into(),
                message: "the cursor is not from this listing".to_owned(),
            })
        });
        Ok(Self { after: after.transpose()?, ..page })
    }

    /// The same of a listing that goes by ids alone: it comes after this one.
    pub(crate) fn after_id(self) -> Option<i64> {
        self.after.map(|(_, id)| id)
    }

    /// How many rows to read: one more than are answered, which says whether there is a next page.
    pub(crate) fn count(self) -> i64 {
        i64::try_from(self.size + 1).unwrap_or(i64::MAX)
    }

    /// The page of those rows, and the cursor of the next one unless it is the last.
    pub(crate) fn cut<T>(
        self,
        mut rows: Vec<T>,
        place: impl Fn(&T) -> Place,
    ) -> (Vec<T>, Option<String>) {
        let is_more = rows.len() > self.size;
        rows.truncate(self.size);
        let cursor = rows.last().filter(|_| is_more).map(|last| self.write(place(last)));
        (rows, cursor)
    }

    fn write(self, (at, id): Place) -> String {
        format!("{at}.{id}.{:x}", self.mark)
    }

    fn read(self, text: &str) -> Option<Place> {
        let mut parts = text.split('.');
        let place: Place = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        // No later than what PostgreSQL holds.
        Some(place).filter(|it| it.0.unsigned_abs() < 1 << 56 && self.write(*it) == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_as_many_as_are_asked_for_and_says_where_the_next_one_begins() {
        let page = Page::parse(2, None, "won").unwrap();
        let place = |it: &i64| (-*it, *it);
        assert_eq!(page.cut(vec![9, 8], place), (vec![9, 8], None));
        let (rows, cursor) = page.cut(vec![9, 8, 7], place);
        assert_eq!((rows, page.count()), (vec![9, 8], 3));
        let next = Page::parse(2, cursor.as_deref(), "won").unwrap();
        assert_eq!(next.after, Some((-8, 8)));
    }

    #[test]
    fn a_cursor_continues_its_own_listing_only() {
        let cursor = Page::parse(1, None, "won").unwrap().write((5, 1_024));
        assert!(Page::parse(1, Some(&cursor), "lost").is_err());
        for text in
            ["", "5", "5.1024", "+5.1024.1", "9223372036854775807.1", &format!("{cursor}.1")]
        {
            assert!(Page::parse(1, Some(text), "won").is_err(), "{text}");
        }
    }
}
