//! Customers that are likely the same: listed for people to merge, never refused.

mod store;

use std::collections::BTreeMap;

use auth::Caller;
use rpc::Error;

use super::Asker;
use super::model::{Customer, Likeness, reasons};
use crate::State;
use crate::cursor::Cursor;

/// Customers that are likely the same.
#[derive(Clone, Debug)]
pub struct Group {
    /// Why.
    pub reasons: Vec<Likeness>,
    /// How many they are.
    pub count: i64,
    /// The oldest fifty of them.
    pub customers: Vec<Customer>,
}

/// A page of groups of customers that the caller may see, by their oldest customer, and what continues after it. A customer may be in several groups: those of
/// one name are one, those of one address another, unless they are the very same customers.
pub async fn page(
    state: &State,
    caller: &Caller,
    limit: usize,
    cursor: Option<&str>,
) -> Result<(Vec<Group>, Option<String>), Error> {
    caller.require_read()?;
    let who = Asker::of(state, caller).await?;
    let listing = "duplicates";
    let after = cursor.map(|text| Cursor::parse(text, listing)).transpose()?;
    let after = after.map_or((0, String::new()), |it| (it.id(), it.key().unwrap_or_default()));
    let mut alike = store::alike(&state.reads, &who, &after).await?;
    let more = alike.len() > limit;
    alike.truncate(limit);
    let last = alike.last().filter(|_| more);
    let next =
        last.map(|last| Cursor::new(listing, Some(last.digest.clone()), last.first_id).write());
    let ids: Vec<_> = alike.iter().flat_map(|it| it.ids.iter().copied()).collect();
    let customers = super::store::of_ids(&state.reads, &ids).await?;
    let customers: BTreeMap<_, _> = customers.into_iter().map(|it| (it.id, it)).collect();
    let groups = alike.into_iter().map(|it| Group {
        reasons: reasons(it.likenesses.iter().filter_map(|name| Likeness::parse(name))),
        count: it.count,
        customers: it.ids.iter().filter_map(|id| customers.get(id).cloned()).collect(),
    });
    Ok((groups.collect(), next))
}
