//! Pages of a list that is ordered by id.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rpc::Error;

/// Items of a page where the caller does not say.
const USUAL: i32 = 50;
/// Items of a page at most.
const MOST: i32 = 200;

/// Which page is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Ids after this one.
    pub after_id: i64,
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
        let after_id = cursor.map_or(Some(0), decode).ok_or_else(|| Error::Malformed {
            reason: "CURSOR_INVALID".into(),
            message: "the cursor is not one of this list".to_owned(),
        })?;
        Ok(Self { after_id, limit: usize::try_from(limit).unwrap_or_default() })
    }

    /// How many rows to read: one more than are answered, which says whether there is a next page.
    pub fn count(self) -> i64 {
        i64::try_from(self.limit + 1).unwrap_or(i64::MAX)
    }

    /// The page of those rows.
    pub fn cut<T>(self, mut rows: Vec<T>, id: impl Fn(&T) -> i64) -> Items<T> {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        let next_cursor = rows.last().filter(|_| more).map(|last| encode(id(last)));
        Items { items: rows, next_cursor }
    }
}

fn encode(id: i64) -> String {
    URL_SAFE_NO_PAD.encode(id.to_be_bytes())
}

fn decode(cursor: &str) -> Option<i64> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    bytes.try_into().ok().map(i64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_names_the_next_one_unless_it_is_the_last() {
        let page = Page::parse(Some(2), None).unwrap();
        let cut = page.cut(vec![3, 5, 8], |id| *id);
        assert_eq!(cut.items, [3, 5]);
        let next = Page::parse(Some(2), cut.next_cursor.as_deref()).unwrap();
        assert_eq!(next.after_id, 5);
        assert_eq!(next.cut(vec![8, 9], |id| *id).next_cursor, None);
    }

    #[test]
    fn a_limit_out_of_range_and_a_made_up_cursor_are_refused() {
        for limit in [0, -1, 201] {
            assert!(matches!(Page::parse(Some(limit), None), Err(Error::Invalid(_))), "{limit}");
        }
        for cursor in ["", "x", "AAAA", "!"] {
            assert_eq!(
                Page::parse(None, Some(cursor)).unwrap_err().reason(),
                "CURSOR_INVALID",
                "{cursor}"
            );
        }
    }
}
