//! Pages of a list, the newest first.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use rpc::Error;

/// Items of a page where the caller does not say.
const USUAL: i32 = 50;
/// Items of a page at most.
const MOST: i32 = 200;

/// After everything, and still an instant that the database knows: the year 10000.
const END_OF_TIME: DateTime<Utc> = match DateTime::from_timestamp(253_402_300_800, 0) {
    Some(at) => at,
    None => DateTime::UNIX_EPOCH,
};

/// Where an item stands in a list: when it was made, and its id among those that were made at once.
pub type Place = (DateTime<Utc>, i64);

/// Which page is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Items before this one in time.
    pub before: Place,
    /// So many of them.
    pub limit: usize,
}

/// A page's items and where the next one begins.
#[derive(Clone, Debug)]
pub struct Items<T> {
    /// The items.
    pub items: Vec<T>,
    /// For the next page; absent on the last.
    pub next_cursor: Option<String>,
}

impl Page {
    /// Reads what a caller asks for. Fails with a field error on `limit`, or as malformed with reason `CURSOR_INVALID`.
    pub fn parse(limit: Option<i32>, cursor: Option<&str>) -> Result<Self, Error> {
        let limit = limit.unwrap_or(USUAL);
        if !(1..=MOST).contains(&limit) {
            return Err(Error::invalid(
                "limit",
                "out_of_range",
                format!("is not from 1 to {MOST}"),
            ));
        }
        let first = Some((END_OF_TIME, i64::MAX));
        let before = cursor.map_or(first, decode).ok_or_else(|| Error::Malformed {
            reason: "CURSOR_INVALID".into(),
            message: "the cursor is not one of this list".to_owned(),
        })?;
        Ok(Self { before, limit: usize::try_from(limit).unwrap_or_default() })
    }

    /// How many rows to read: one more than are answered, which says whether there is a next page.
    pub fn count(self) -> i64 {
        i64::try_from(self.limit + 1).unwrap_or(i64::MAX)
    }

    /// The page of those rows.
    pub fn cut<T>(self, mut rows: Vec<T>, place: impl Fn(&T) -> Place) -> Items<T> {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let next_cursor = rows.last().filter(|_| more).map(|last| encode(place(last)));
        Items { items: rows, next_cursor }
    }
}

fn encode((at, id): Place) -> String {
    URL_SAFE_NO_PAD.encode([at.timestamp_micros().to_be_bytes(), id.to_be_bytes()].concat())
}

fn decode(cursor: &str) -> Option<Place> {
    let bytes: [u8; 16] = URL_SAFE_NO_PAD.decode(cursor).ok()?.try_into().ok()?;
    let (at, id) = bytes.split_first_chunk()?;
    let at = DateTime::from_timestamp_micros(i64::from_be_bytes(*at))?;
    let year = chrono::Datelike::year(&at);
    (0..10_000).contains(&year).then_some((at, i64::from_be_bytes(id.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn a_page_names_the_next_one_unless_it_is_the_last() {
        let page = Page::parse(Some(2), None).unwrap();
        let cut = page.cut(vec![8, 5, 3], |id| (at(*id), *id));
        assert_eq!(cut.items, [8, 5]);
        let next = Page::parse(Some(2), cut.next_cursor.as_deref()).unwrap();
        assert_eq!(next.before, (at(5), 5));
        assert_eq!(next.cut(vec![3, 1], |id| (at(*id), *id)).next_cursor, None);
    }

    #[test]
    fn a_limit_out_of_range_and_a_made_up_cursor_are_refused() {
        for limit in [0, -1, 201] {
            assert!(matches!(Page::parse(Some(limit), None), Err(Error::Invalid(_))), "{limit}");
        }
        let absurd = URL_SAFE_NO_PAD.encode([0x7f; 16]);
        for cursor in ["", "x", "AAAA", "!", &absurd] {
            assert_eq!(
                Page::parse(None, Some(cursor)).unwrap_err().reason(),
                "CURSOR_INVALID",
                "{cursor}"
            );
        }
    }
}
