//! What lists have in common: how many rows a page has, by what they are sorted, and the places in those that have an order of their own.

use rpc::Invalid;

/// How many rows a page may have: 1 to 200, 50 by default.
pub fn limit(invalid: &mut Invalid, limit: Option<i32>) -> usize {
    let limit = limit.unwrap_or(50);
    if !(1..=200).contains(&limit) {
        invalid.add("limit", "out_of_range", "is not between 1 and 200");
    }
    usize::try_from(limit).unwrap_or(50)
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
