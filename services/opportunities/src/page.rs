//! What lists have in common: how many rows a page has, by what they are sorted, and the places and pages of those that have an order of their own.

use std::ops::Range;

use rpc::{Error, Invalid};

use crate::cursor::{Cursor, wrong_cursor};

/// Which page of a list: how many rows at most, and the cursor after which they come.
pub type Asked<'a> = (usize, Option<&'a str>);

/// How many rows a page may have: 1 to 200, 50 by default.
pub fn limit(invalid: &mut Invalid, limit: Option<i32>) -> usize {
    let limit = limit.unwrap_or(50);
    if !(1..=200).contains(&limit) {
        invalid.add("limit", "out_of_range", "is not between 1 and 200");
    }
    usize::try_from(limit).unwrap_or(50)
}

/// How many rows a page may have; fails where that is out of range.
pub(crate) fn checked_limit(wanted: Option<i32>) -> Result<usize, Error> {
    let mut invalid = Invalid::default();
    let limit = limit(&mut invalid, wanted);
    invalid.into_result()?;
    Ok(limit)
}

/// Where a page's rows are in a list with an order of its own, which is short and read whole, and what continues after them. A page goes on after the last row of the one before,
/// wherever that is by now: what comes or goes before it neither hides a row nor shows one twice. Where that row itself is gone, it goes on at the place it had.
pub(crate) fn in_order<T>(
    rows: &[T],
    listing: &str,
    (limit, cursor): Asked<'_>,
    key: impl Fn(&T) -> String,
) -> Result<(Range<usize>, Option<String>), Error> {
    let begin = match cursor.map(|text| Cursor::parse(text, listing)).transpose()? {
        None => 0,
        Some(after) => {
            let last = after.key().ok_or_else(wrong_cursor)?;
            let had = usize::try_from(after.id()).map_err(|_| wrong_cursor())?;
            let found = rows.iter().position(|row| key(row) == last);
            found.map_or(had, |index| index + 1).min(rows.len())
        }
    };
    let end = begin.saturating_add(limit).min(rows.len());
    let last = rows[begin..end].last().filter(|_| end < rows.len());
    let place = i64::try_from(end).unwrap_or(i64::MAX) - 1;
    let next = last.map(|last| Cursor::new(listing, Some(key(last)), place).write());
    Ok((begin..end, next))
}

/// The index of a place that is counted from 1; one that there is not is noted.
pub(crate) fn place(invalid: &mut Invalid, position: i32, most: usize) -> usize {
    match usize::try_from(position) {
        Ok(position) if (1..=most).contains(&position) => position - 1,
        _ => {
            invalid.add("position", "out_of_range", format!("is not between 1 and {most}"));
            most - 1
        }
    }
}

/// By what a list is sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    pub(crate) key: &'static Key,
    pub(crate) descending: bool,
}

/// Something by which a list can be sorted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) column: &'static str,
    /// The SQL type by which a cursor's text is read back.
    pub(crate) cast: &'static str,
    pub(crate) nullable: bool,
    /// The order where none is asked for.
    pub(crate) descending: bool,
}

impl Key {
    /// One that every row has, the greatest first.
    pub(crate) const fn new(name: &'static str, column: &'static str, cast: &'static str) -> Self {
        Self { name, column, cast, nullable: false, descending: true }
    }
}

impl Sort {
    /// Reads `sort_by` and `order`; what is unknown is told by field. The first key is the one where none is named.
    pub(crate) fn parse<const N: usize>(
        keys: &'static [Key; N],
        invalid: &mut Invalid,
        sort_by: Option<&str>,
        order: Option<&str>,
    ) -> Self {
        let found = sort_by.map_or(Some(&keys[0]), |name| keys.iter().find(|it| it.name == name));
        let key = found.unwrap_or_else(|| {
            let known = keys.each_ref().map(|key| key.name).join(", ");
            invalid.add("sort_by", "unknown_value", format!("is none of {known}"));
            &keys[0]
        });
        let descending = match order {
            None => key.descending,
            Some("asc") => false,
            Some("desc") => true,
            Some(_) => {
                invalid.add("order", "unknown_value", "is neither asc nor desc");
                key.descending
            }
        };
        Self { key, descending }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(rows: &[&str], limit: usize, cursor: Option<&str>) -> (String, Option<String>) {
        let key = |row: &&str| (*row).to_owned();
        let (places, next) = in_order(rows, "list", (limit, cursor), key).unwrap();
        (rows[places].concat(), next)
    }

    #[test]
    fn a_list_in_its_own_order_is_paged_without_gap_whatever_comes_and_goes() {
        let rows = ["a", "b", "c", "d", "e"];
        assert_eq!(page(&rows, 5, None), ("abcde".to_owned(), None));
        let (first, next) = page(&rows, 2, None);
        assert_eq!(first, "ab");
        let after = next.as_deref();
        assert_eq!(page(&rows, 2, after).0, "cd");
        assert_eq!(page(&rows, 3, after), ("cde".to_owned(), None));
        assert_eq!(page(&["x", "a", "y", "b", "c", "d"], 2, after).0, "cd", "others came before");
        assert_eq!(page(&["b", "c", "d"], 2, after).0, "cd", "one before is gone");
        assert_eq!(page(&["a", "c", "d"], 2, after).0, "cd", "the last one is gone");
        assert_eq!(page(&["a"], 2, after), (String::new(), None));
        assert_eq!(page(&[], 2, None), (String::new(), None));
    }

    #[test]
    fn a_cursor_that_is_none_of_the_list_is_refused() {
        let refused = |cursor: &str| {
            let page = in_order(&["a"], "list", (1, Some(cursor)), |row| (*row).to_owned());
            page.unwrap_err().reason().to_owned()
        };
        let tampered = [
            Cursor::new("other", Some("a".to_owned()), 0),
            Cursor::new("list", None, 0),
            Cursor::new("list", Some("a".to_owned()), -1),
        ];
        for cursor in tampered.map(|cursor| cursor.write()).iter().map(|it| &**it).chain(["", "x"])
        {
            assert_eq!(refused(cursor), "CURSOR_INVALID", "{cursor}");
        }
    }
}
