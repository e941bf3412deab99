//! Pages of a list that is ordered by time, newest first.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use rpc::Error;

/// Items of a page where the caller does not say.
const USUAL: i32 = 50;
/// Items of a page at most.
const MOST: i32 = 200;

/// Which page is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// What comes after this place: its time and its id.
    pub before: (DateTime<Utc>, i64),
    /// So many of it.
    pub limit: usize,
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
        let before =
            cursor.map_or_else(|| Some((end_of_time(), i64::MAX)), decode).ok_or_else(|| {
                Error::Malformed {
                    reason: "CURSOR_INVALID".into(),
                    message: "the cursor is not one of this list".to_owned(),
                }
            })?;
        Ok(Self { before, limit: usize::try_from(limit).unwrap_or_default() })
    }

    /// How many rows to read: one more than are answered, which says whether there is a next page.
    pub fn count(self) -> i64 {
        i64::try_from(self.limit + 1).unwrap_or(i64::MAX)
    }

    /// The page of those rows, and the cursor of the next one unless it is the last.
    pub fn cut<T>(
        self,
        mut rows: Vec<T>,
        place: impl Fn(&T) -> (DateTime<Utc>, i64),
    ) -> (Vec<T>, Option<String>) {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let next = rows.last().filter(|_| more).map(|last| encode(place(last)));
        (rows, next)
    }
}

/// Later than anything stored, and a time that PostgreSQL knows.
fn end_of_time() -> DateTime<Utc> {
    DateTime::from_timestamp(253_402_300_799, 0).unwrap_or_default()
}

fn encode((at, id): (DateTime<Utc>, i64)) -> String {
    URL_SAFE_NO_PAD.encode([at.timestamp_micros().to_be_bytes(), id.to_be_bytes()].concat())
}

fn decode(cursor: &str) -> Option<(DateTime<Utc>, i64)> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (at, id) = bytes.split_at_checked(8)?;
    let at = DateTime::from_timestamp_micros(i64::from_be_bytes(at.try_into().ok()?))?;
    let id = i64::from_be_bytes(id.try_into().ok()?);
    (DateTime::UNIX_EPOCH..=end_of_time()).contains(&at).then_some((at, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_names_the_next_one_unless_it_is_the_last() {
        let at = |second| (DateTime::from_timestamp(second, 123_456_000).unwrap(), second);
        let page = Page::parse(Some(2), None).unwrap();
        let (items, next) = page.cut(vec![9, 5, 3], |second| at(*second));
        assert_eq!(items, [9, 5]);
        let next = Page::parse(Some(2), next.as_deref()).unwrap();
        assert_eq!(next.before, at(5));
        assert_eq!(next.cut(vec![3, 1], |second| at(*second)).1, None);
    }

    #[test]
    fn a_limit_out_of_range_and_a_made_up_cursor_are_refused() {
        for limit in [0, -1, 201] {
            assert!(matches!(Page::parse(Some(limit), None), Err(Error::Invalid(_))), "{limit}");
        }
        let beyond = URL_SAFE_NO_PAD.encode([i64::MAX.to_be_bytes(), 1_i64.to_be_bytes()].concat());
        for cursor in ["", "x", "AAAA", "!", &beyond] {
            assert_eq!(
                Page::parse(None, Some(cursor)).unwrap_err().reason(),
                "CURSOR_INVALID",
                "{cursor}"
            );
        }
    }
}
