//! Lists of customers: what may be asked, and the pages by key that answer it.

mod store;

use auth::Caller;
use rpc::{Error, Invalid, Span};

use super::Asker;
use super::model::Customer;
use crate::State;
use crate::cursor::Cursor;
use crate::opportunity::search::Query;
use crate::page::{Key, Sort};

/// What a list may be narrowed to. All that is given must hold.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// With these words in name or company.
    pub text: Option<Query>,
    /// Made from this instant until before that one.
    pub created: Span,
}

static KEYS: [Key; 3] = [
    Key::new("created_at", "c.created_at", "timestamptz"),
    Key::new("updated_at", "c.updated_at", "timestamptz"),
    // By code point.
    Key { descending: false, ..Key::new("name", "c.name collate \"C\"", "text") },
];

/// Reads `sort_by` and `order`; what is unknown is told by field.
pub fn sort(invalid: &mut Invalid, sort_by: Option<&str>, order: Option<&str>) -> Sort {
    Sort::parse(&KEYS, invalid, sort_by, order)
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
