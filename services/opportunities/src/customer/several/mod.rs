//! Several customers at once, by their names and ids, in the transaction that needs them.

mod store;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::PgConnection;

use super::Asker;
use super::event::{self, What};
use super::model::{Customer, Keys};
use crate::meta::Meta;
use crate::text::fold;
use events::Change;

/// Customers that stay as they are until a transaction ends.
#[derive(Debug, Default)]
pub(crate) struct Held {
    named: HashMap<String, i64>,
    names: HashMap<i64, String>,
}

impl Held {
    /// The id and the name of the one that a folded name means.
    pub(crate) fn named(&self, folded: &str) -> Option<(i64, String)> {
        let id = self.named.get(folded)?;
        Some((*id, self.names.get(id)?.clone()))
    }

    /// The name of the one with that id.
    pub(crate) fn name(&self, id: i64) -> Option<&str> {
        self.names.get(&id).map(String::as_str)
    }
}

/// Those of these customers that are there, which stay as they are until this transaction ends.
pub(crate) async fn hold(tx: &mut PgConnection, ids: &[i64]) -> sqlx::Result<Held> {
    let names = if ids.is_empty() { HashMap::new() } else { store::hold(tx, ids).await? };
    Ok(Held { named: HashMap::new(), names })
}

/// Those of these customers that are there.
pub(crate) async fn living(pool: &sqlx::PgPool, ids: &[i64]) -> sqlx::Result<Vec<i64>> {
    if ids.is_empty() { Ok(Vec::new()) } else { store::living(pool, ids).await }
}

/// The customers of these names, by folded name, each found or made as one alone is, and these others. Nothing where one of them was merged, deleted or called something else between being
/// found and being held. Whoever makes customers of several names waits for them in one order, and nobody who waits for a name holds a customer.
pub(crate) async fn find_or_create(
    tx: &mut PgConnection,
    names: &BTreeMap<String, String>,
    others: &BTreeSet<i64>,
    who: &Asker,
    meta: &Meta,
    changes: &mut Vec<Change>,
) -> sqlx::Result<Option<Held>> {
    let folded: Vec<_> = names.keys().cloned().collect();
    let mut named = HashMap::new();
    let mut merged = HashMap::new();
    if !folded.is_empty() {
        store::lock_names(tx, &folded).await?;
        named = store::find(tx, &folded, who).await?;
        let is_missing = |name: &&String| !named.contains_key(*name);
        let missing: Vec<_> = folded.iter().filter(is_missing).cloned().collect();
        if !missing.is_empty() {
            merged = store::find_merged(tx, &missing, who).await?;
        }
    }
    let ids: BTreeSet<i64> = named.values().chain(merged.values()).chain(others).copied().collect();
    let ids: Vec<_> = ids.into_iter().collect();
    let mut held = hold(tx, &ids).await?;
    let is_as_found =
        named.iter().all(|(folded, id)| held.name(*id).is_some_and(|name| fold(name) == *folded));
    if !is_as_found || ids.iter().any(|id| held.name(*id).is_none()) {
        return Ok(None);
    }
    named.extend(merged);
    let new: Vec<_> = names.iter().filter(|(folded, _)| !named.contains_key(*folded)).collect();
    if !new.is_empty() {
        let keys: Vec<_> = new.iter().map(|(_, name)| Keys::of(name, None, None, None)).collect();
        let ids = store::ids(tx, new.len()).await?;
        let made = new.into_iter().zip(ids).map(|((_, name), id)| begun(id, name, who.by, meta));
        let made: Vec<_> = made.collect();
        store::insert(tx, &made, &keys).await?;
        for (customer, keys) in made.into_iter().zip(keys) {
            changes.push(event::change(What::Created, None, &customer, Vec::new(), meta));
            named.insert(keys.folded_name, customer.id);
            held.names.insert(customer.id, customer.name);
        }
    }
    held.named = named;
    Ok(Some(held))
}

/// A customer of which nothing is known but its name.
fn begun(id: i64, name: &str, by: i64, meta: &Meta) -> Customer {
    Customer {
        id,
        name: name.to_owned(),
        company: None,
        industry: None,
        email: None,
        phone: None,
        created_by: by,
        created_at: meta.recorded_at,
        updated_at: meta.recorded_at,
        deleted_at: None,
        merged_into_id: None,
        version: 1,
    }
}
