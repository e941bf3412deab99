//! Opportunities go along with what happens to their customer and their contact: another name, another customer, no contact any more.
//!
//! Each has a change of its own, in the transaction of what it goes along with: whoever reads sees all of it or nothing. Customers and contacts are locked
//! before, so that no opportunity is made with what was true before.

mod store;

use std::collections::{BTreeMap, BTreeSet};

use sqlx::PgConnection;

use super::event;
use super::model::Opportunity;
use super::search::{self, Indexed};
use super::several;
use crate::access::model::{Owned, Sight};
use crate::customer::model::Customer;
use crate::meta::Meta;

/// Which opportunities, deleted ones too.
#[derive(Clone, Copy, Debug)]
enum Which {
    OfCustomer(i64),
    OfContact(i64),
}

/// They carry their customer's name, so that lists are sorted and searched by it.
pub(crate) async fn rename(
    tx: &mut PgConnection,
    customer: &Customer,
    meta: &Meta,
) -> sqlx::Result<()> {
    let renamed =
        |it: &Opportunity| Opportunity { customer_name: customer.name.clone(), ..it.clone() };
    all(tx, Which::OfCustomer(customer.id), meta, renamed, |_, _| {}).await
}

/// They have no contact any more, because it was deleted.
pub(crate) async fn part_from_contact(
    tx: &mut PgConnection,
    contact_id: i64,
    meta: &Meta,
) -> sqlx::Result<()> {
    let parted = |it: &Opportunity| Opportunity { contact_id: None, ..it.clone() };
    all(tx, Which::OfContact(contact_id), meta, parted, |_, _| {}).await
}

/// An opportunity that went to another customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Went {
    pub(crate) id: i64,
    /// Its version after it went.
    pub(crate) version: i64,
    /// Its contact before.
    pub(crate) contact_id: Option<i64>,
}

/// What was to go back to the customer it came from, as far as somebody sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Returned {
    /// How many are back.
    pub(crate) back: usize,
    /// Those that stay.
    pub(crate) stayed: Vec<i64>,
}

/// They go to another customer, their contacts to who these became one with there; which, and whose they are.
pub(crate) async fn move_to(
    tx: &mut PgConnection,
    from_id: i64,
    into: &Customer,
    joined: &BTreeMap<i64, i64>,
    meta: &Meta,
) -> sqlx::Result<Vec<(Went, Owned)>> {
    let mut went = Vec::new();
    let moved = |it: &Opportunity| Opportunity {
        customer_id: into.id,
        customer_name: into.name.clone(),
        contact_id: it.contact_id.map(|id| joined.get(&id).copied().unwrap_or(id)),
        ..it.clone()
    };
    let note = |before: &Opportunity, after: &Opportunity| {
        let (id, version) = (after.id, after.version);
        went.push((Went { id, version, contact_id: before.contact_id }, after.owned()));
    };
    all(tx, Which::OfCustomer(from_id), meta, moved, note).await?;
    Ok(went)
}

/// Those that are still as they were when they went to a customer go back to the one they came from, if the contact that they had is there again; told of
/// those that somebody sees.
pub(crate) async fn move_back(
    tx: &mut PgConnection,
    went: &[Went],
    into_id: i64,
    from: &Customer,
    contacts: &BTreeSet<i64>,
    sight: &Sight,
    meta: &Meta,
) -> sqlx::Result<Returned> {
    let mut returned = Returned::default();
    for chunk in went.chunks(store::CHUNK) {
        let ids: Vec<_> = chunk.iter().map(|it| it.id).collect();
        let now = several::lock(tx, &ids).await?;
        let now: BTreeMap<_, _> = now.into_iter().map(|it| (it.id, it)).collect();
        let versions: Vec<_> = chunk
            .iter()
            .filter(|it| now.get(&it.id).is_some_and(|now| now.version != it.version))
            .map(|it| (it.id, it.version))
            .collect();
        let told = super::store::told(tx, &versions).await?;
        let mut back = Vec::with_capacity(chunk.len());
        for it in chunk {
            let is_as_it_was = |now: &&Opportunity| {
                now.customer_id == into_id
                    && it.contact_id.is_none_or(|id| contacts.contains(&id))
                    && (now.version == it.version
                        || told
                            .get(&(it.id, it.version))
                            .is_some_and(|told| event::is_as_told(now, told)))
            };
            let now = now.get(&it.id);
            let is_seen = now.is_some_and(|now| sight.covers(now.owned()));
            let Some(before) = now.filter(is_as_it_was) else {
                returned.stayed.extend(is_seen.then_some(it.id));
                continue;
            };
            returned.back += usize::from(is_seen);
            let after = Opportunity {
                customer_id: from.id,
                customer_name: from.name.clone(),
                contact_id: it.contact_id,
                ..before.clone()
            };
            back.push((before.clone(), after.after(before, meta.recorded_at)));
        }
        write(tx, &back, meta).await?;
    }
    Ok(returned)
}

/// Has each of them follow, a few hundred at a time by id; `told` hears of each how it was and how it is.
async fn all(
    tx: &mut PgConnection,
    which: Which,
    meta: &Meta,
    next: impl Fn(&Opportunity) -> Opportunity,
    mut told: impl FnMut(&Opportunity, &Opportunity),
) -> sqlx::Result<()> {
    let mut after_id = i64::MIN;
    loop {
        let chunk = store::find(tx, which, after_id).await?;
        let Some(last) = chunk.last() else { return Ok(()) };
        after_id = last.id;
        let is_last = chunk.len() < store::CHUNK;
        let went: Vec<_> = chunk
            .into_iter()
            .filter_map(|before| {
                let after = next(&before);
                (after != before).then(|| {
                    let after = after.after(&before, meta.recorded_at);
                    told(&before, &after);
                    (before, after)
                })
            })
            .collect();
        write(tx, &went, meta).await?;
        if is_last {
            return Ok(());
        }
    }
}

async fn write(
    tx: &mut PgConnection,
    went: &[(Opportunity, Opportunity)],
    meta: &Meta,
) -> sqlx::Result<()> {
    let indexed = went.iter().filter_map(|(before, after)| {
        Indexed::if_other(before, after).map(|indexed| (after.id, after.created_at, indexed))
    });
    let indexed: Vec<_> = indexed.collect();
    let changes: Vec<_> =
        went.iter().map(|(before, after)| meta.moved(Some(before), after, None)).collect();
    store::update(tx, went).await?;
    search::store::keep(tx, &indexed).await?;
    events::outbox::append(tx, &changes).await
}
