//! Lists of customers: what may be asked, and the pages by key that answer it.

mod store;

use auth::Caller;
use rpc::{Error, Invalid, Span};

use super::Asker;
use super::model::Customer;
use crate::State;
use crate::cursor::Cursor;
use crate::opportunity::search::Query;

/// What a list may be narrowed to. All that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// With these words in name or company.
    pub text: Option<Query>,
    /// Made from this instant until before that one.
    pub created: Span,
}

/// By what a list is sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    key: &'static Key,
    descending: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Key {
    name: &'static str,
    column: &'static str,
    /// The SQL type by which a cursor's text is read back.
    cast: &'static str,
    descending: bool,
}

static KEYS: [Key; 3] = [
    Key { name: "created_at", column: "c.created_at", cast: "timestamptz", descending: true },
    Key { name: "updated_at", column: "c.updated_at", cast: "timestamptz", descending: true },
    // By code point.
    Key { name: "name", column: "c.name collate \"C\"", cast: "text", descending: false },
];

impl Sort {
    /// Reads `sort_by` and `order`; what is unknown is told by field.
    pub fn parse(invalid: &mut Invalid, sort_by: Option<&str>, order: Option<&str>) -> Self {
        let name = sort_by.unwrap_or("created_at");
        let key = KEYS.iter().find(|key| key.name == name).unwrap_or_else(|| {
            let known = KEYS.each_ref().map(|key| key.name).join(", ");
            invalid.add("sort_by", "unknown_value", format!("is none of {known}"));
            &KEYS[0]
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

/// What a caller asks of a list.
pub struct Ask<'a> {
    /// Which customers.
    pub filter: &'a Filter,
    /// In which order.
    pub sort: Sort,
    /// How many.
    pub limit: usize,
    /// After which.
    pub cursor: Option<&'a str>,
}

/// A page of the customers that the caller may see, and what continues after it.
pub async fn page(
    state: &State,
    caller: &Caller,
    ask: &Ask<'_>,
) -> Result<(Vec<Customer>, Option<String>), Error> {
    caller.require_read()?;
    let who = Asker::of(state, caller).await?;
    let listing =
        format!("customers {:?} {} {}", ask.filter, ask.sort.key.name, ask.sort.descending);
    let after = ask.cursor.map(|text| Cursor::parse(text, &listing)).transpose()?;
    let mut rows = store::page(&state.reads, &who, ask, after.as_ref()).await?;
    let more = rows.len() > ask.limit;
    rows.truncate(ask.limit);
    let last = rows.last().filter(|_| more);
    let next = last.map(|(last, key)| Cursor::new(&listing, Some(key.clone()), last.id).write());
    Ok((rows.into_iter().map(|(customer, _)| customer).collect(), next))
}
