//! Pages of plans by their ids, the latest first.

use events::lock;
use rpc::{Error, Invalid};

/// How many rows a page may have: 1 to 200, 50 by default.
pub(crate) fn limit(limit: Option<i32>, invalid: &mut Invalid) -> usize {
    let limit = limit.unwrap_or(50);
    if !(1..=200).contains(&limit) {
        invalid.add("limit", "out_of_range", "is not between 1 and 200");
    }
    usize::try_from(limit).unwrap_or(50)
}

/// How many rows to read to know whether there is a next page.
pub(crate) fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}

/// Cuts what was read to a page; where it ended, if there is more.
pub(crate) fn cut<T>(
    rows: &mut Vec<T>,
    limit: usize,
    listing: &str,
    id: impl Fn(&T) -> i64,
) -> Option<String> {
    let has_more = rows.len() > limit;
    rows.truncate(limit);
    rows.last().filter(|_| has_more).map(|last| write(id(last), listing))
}

fn write(id: i64, listing: &str) -> String {
    format!("{id:x}-{:x}", lock::key("plans", listing))
}

/// Where the page before ended; it has to be of this listing.
pub(crate) fn place(cursor: Option<&str>, listing: &str) -> Result<Option<i64>, Error> {
    let Some(cursor) = cursor else { return Ok(None) };
    let id = cursor.split_once('-').and_then(|(id, _)| i64::from_str_radix(id, 16).ok());
    let id = id.filter(|id| write(*id, listing) == cursor);
    id.map(Some).ok_or_else(|| Error::Malformed {
        reason: "CURSOR_INVALID".into(),
        message: "the cursor is not from this listing".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_where_it_ended_to_its_own_listing_only() {
        let mut rows = vec![9, 8, 7];
        let end = cut(&mut rows, 2, "targets", |id| *id);
        assert_eq!(rows, [9, 8]);
        assert_eq!(place(end.as_deref(), "targets").unwrap(), Some(8));
        assert!(place(end.as_deref(), "others").is_err());
        assert!(place(Some("8"), "targets").is_err());
        assert_eq!(cut(&mut rows, 2, "targets", |id| *id), None);
    }
}
