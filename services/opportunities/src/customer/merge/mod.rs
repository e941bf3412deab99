//! Merging a customer into another, and undoing it.
//!
//! One transaction each. What was moved, and at which version, is written down: undoing gives back what is still as the merge left it, and tells of the rest.

pub mod model;
pub(crate) mod store;

use std::collections::{BTreeMap, BTreeSet};

use auth::Caller;
use events::Change;
use idempotency::{Once, Outcome};
use rpc::Error;
use sqlx::{PgConnection, Postgres, Transaction};

use super::event::{self, What};
use super::model::Customer;
use super::{Asker, alive, denied, permit};
use crate::State;
use crate::contact::{self, model::Contact};
use crate::meta::Meta;
use crate::opportunity::along::{self, Went};
use store::{Kind, Record};

/// The operations that idempotency keys are for.
const MERGE: &str = "MergeCustomers";
const UNMERGE: &str = "UnmergeCustomers";

/// How many of what was left are told.
const TOLD: usize = 1_000;

/// What a merge came to.
#[derive(Clone, Debug)]
pub struct Merged {
    /// The customer that stays.
    pub customer: Customer,
    /// How many opportunities it has from the other that the caller may see, deleted ones too.
    pub opportunities: i64,
    /// How many contacts.
    pub contacts: i64,
    /// How many contacts became one with somebody there.
    pub joined_contacts: i64,
}

/// What undoing one came to.
#[derive(Clone, Debug)]
pub struct Unmerged {
    /// The customer that stayed.
    pub customer: Customer,
    /// The one that is there again.
    pub from: Customer,
    /// How many opportunities it has back that the caller may see, deleted ones too.
    pub opportunities: i64,
    /// How many contacts.
    pub contacts: i64,
    /// What has been changed since and was left where it is, as far as the caller may see it, a thousand at most.
    pub left: Vec<Left>,
    /// How many those are in all.
    pub left_count: i64,
}

/// What was left where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// An opportunity that is not as the merge left it, or whose contact is not.
    Opportunity(i64),
    /// A contact that is not as the merge left it.
    Contact(i64),
    /// A field that the customer had from the other, and that is something else by now.
    Field(String),
}

/// Merges one customer into another: its opportunities with their activities, its contacts, and what the other has not.
pub async fn merge(
    state: &State,
    caller: &Caller,
    id: i64,
    from_id: i64,
    once: Option<Once<Merged>>,
    meta: Meta,
) -> Result<Outcome<Merged>, Error> {
    let who = Asker::of(state, caller).await?;
    let (pool, wake) = (state.writes.clone(), state.wake.clone());
    rpc::write(async move {
        let operation = format!("{MERGE} {id}");
        let (by, at) = (who.by, meta.recorded_at);
        let mut tx = pool.begin().await?;
        if let Some(answer) =
            idempotency::answered(&mut tx, by, &operation, once.as_ref(), at).await?
        {
            return Ok(Outcome::Replay(answer));
        }
        let (into, from) = lock_both(&mut tx, id, from_id, &who).await?;
        let merged = Merging { into, from, who: &who, meta: &meta }.run(&mut tx).await?;
        idempotency::keep(&mut tx, by, &operation, once.as_ref(), &merged).await?;
        tx.commit().await?;
        wake.wake();
        Ok(Outcome::New(merged))
    })
    .await
}

/// Both customers, by id: of two merges of the same two one comes first, and the other finds that one of them is merged.
async fn lock_both(
    tx: &mut Transaction<'static, Postgres>,
    id: i64,
    from_id: i64,
    who: &Asker,
) -> Result<(Customer, Customer), Error> {
    let mut found: BTreeMap<_, _> = super::store::lock(tx, &[id, from_id], who)
        .await?
        .into_iter()
        .map(|it| (it.customer.id, it))
        .collect();
    let into = permit(alive(found.get(&id).cloned(), id)?)?;
    named(from_id)?;
    if id == from_id {
        return Err(Error::invalid("from_id", "same_customer", "is the customer itself"));
    }
    let unknown = |_| Error::invalid("from_id", "unknown_customer", "there is no such customer");
    let from = permit(alive(found.remove(&from_id), from_id).map_err(unknown)?)?;
    Ok((into, from))
}

/// That the other customer is named at all.
fn named(from_id: i64) -> Result<(), Error> {
    if from_id == 0 { Err(Error::invalid("from_id", "required", "is required")) } else { Ok(()) }
}

/// A merge of two customers that are locked.
struct Merging<'a> {
    into: Customer,
    from: Customer,
    who: &'a Asker,
    meta: &'a Meta,
}

impl Merging<'_> {
    async fn run(self, tx: &mut PgConnection) -> Result<Merged, Error> {
        let Self { into, from, who, meta } = self;
        let at = meta.recorded_at;
        let contacts = contact::store::lock_of(tx, &[into.id, from.id]).await?;
        let (there, coming): (Vec<_>, Vec<_>) =
            contacts.into_iter().partition(|it| it.customer_id == into.id);
        let people = model::join_contacts(into.id, &there, &coming, at);
        let joined = model::join(&into, &from, at);
        let merge_id =
            store::insert(tx, into.id, from.id, who.by, at, &names(&joined.filled)).await?;

        let mut changes = vec![
            told(What::Merged, &from, &joined.from, None, meta),
            told(What::Updated, &into, &joined.into, Some((None, Some(from.id))), meta),
        ];
        let (mut records, mut written) = (Vec::new(), Vec::new());
        for (kind, what, (before, after), filled) in contacts_of(&people) {
            changes.push(contact::event::change(what, Some(before), after, meta));
            let (id, version) = (after.id, after.version);
            records.push(Record { kind, id, version, contact_id: None, filled });
            written.push(after.clone());
        }
        super::store::update(tx, &joined.from).await?;
        super::store::update(tx, &joined.into).await?;
        contact::store::update(tx, &written).await?;
        events::outbox::append(tx, &changes).await?;

        let same: BTreeMap<_, _> = people
            .joined
            .iter()
            .filter_map(|(before, after)| Some((before.id, after.merged_into_id?)))
            .collect();
        let went = along::move_to(tx, from.id, &joined.into, &same, meta).await?;
        records.extend(went.iter().map(|(it, _)| Record {
            kind: Kind::Opportunity,
            id: it.id,
            version: it.version,
            contact_id: it.contact_id,
            filled: Vec::new(),
        }));
        store::insert_records(tx, merge_id, &records).await?;
        Ok(Merged {
            customer: joined.into,
            opportunities: count(went.iter().filter(|(_, it)| who.read.covers(*it)).count()),
            contacts: count(people.moved.len()),
            joined_contacts: count(people.joined.len()),
        })
    }
}

/// What becomes of contacts, one after the other.
fn contacts_of(
    people: &model::People,
) -> impl Iterator<Item = (Kind, contact::event::What, &model::Change, Vec<String>)> {
    use contact::event::What;
    let moved = people.moved.iter().map(|it| (Kind::Moved, What::Updated, it, Vec::new()));
    let joined = people.joined.iter().map(|it| (Kind::Joined, What::Merged, it, Vec::new()));
    let filled =
        people.filled.iter().map(|(it, fields)| (Kind::Filled, What::Updated, it, names(fields)));
    moved.chain(joined).chain(filled)
}

fn names(fields: &[&str]) -> Vec<String> {
    fields.iter().map(|name| (*name).to_owned()).collect()
}

/// The change of a customer that one went into or came out of.
fn told(
    what: What,
    old: &Customer,
    new: &Customer,
    with: Option<(Option<i64>, Option<i64>)>,
    meta: &Meta,
) -> Change {
    let with = with.and_then(|(before, after)| {
        events::field_change("merged_customer_id", before.as_ref(), after.as_ref())
    });
    event::change(what, Some(old), new, with.into_iter().collect(), meta)
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Undoes the merge of one customer into another: whatever is still as it left it goes back.
pub async fn unmerge(
    state: &State,
    caller: &Caller,
    id: i64,
    from_id: i64,
    once: Option<Once<Unmerged>>,
    meta: Meta,
) -> Result<Outcome<Unmerged>, Error> {
    let who = Asker::of(state, caller).await?;
    let (pool, wake) = (state.writes.clone(), state.wake.clone());
    rpc::write(async move {
        let operation = format!("{UNMERGE} {id}");
        let (by, at) = (who.by, meta.recorded_at);
        let mut tx = pool.begin().await?;
        if let Some(answer) =
            idempotency::answered(&mut tx, by, &operation, once.as_ref(), at).await?
        {
            return Ok(Outcome::Replay(answer));
        }
        let mut found: BTreeMap<_, _> = super::store::lock(&mut tx, &[id, from_id], &who)
            .await?
            .into_iter()
            .map(|it| (it.customer.id, it))
            .collect();
        let into = permit(alive(found.get(&id).cloned(), id)?)?;
        named(from_id)?;
        let from = found.remove(&from_id);
        let not_merged =
            || Error::invalid("from_id", "not_merged", "was not merged into this customer");
        let from = from.filter(|it| it.customer.merged_into_id == Some(id));
        let from = from.ok_or_else(not_merged)?;
        let merge = store::find(&mut tx, id, from_id).await?.ok_or_else(not_merged)?;
        if !from.is_changeable && !store::brought_theirs(&mut tx, merge.id, &who).await? {
            return Err(denied("NOT_YOURS", "the caller may not change the customer it was"));
        }
        let from = from.customer;
        store::undo(&mut tx, merge.id, at).await?;
        let unmerged = Unmerging { into, from, merge, who: &who, meta: &meta }.run(&mut tx).await?;
        idempotency::keep(&mut tx, by, &operation, once.as_ref(), &unmerged).await?;
        tx.commit().await?;
        wake.wake();
        Ok(Outcome::New(unmerged))
    })
    .await
}

/// The undoing of a merge of two customers that are locked.
struct Unmerging<'a> {
    into: Customer,
    from: Customer,
    merge: store::Merge,
    who: &'a Asker,
    meta: &'a Meta,
}

impl Unmerging<'_> {
    async fn run(self, tx: &mut PgConnection) -> Result<Unmerged, Error> {
        let Self { into, from, merge, who, meta } = self;
        let (parted, restored, left) = model::part(&into, &from, &merge.filled, meta.recorded_at);
        let mut left: Vec<_> = left.into_iter().map(Left::Field).collect();
        super::store::update(tx, &restored).await?;
        super::store::update(tx, &parted).await?;
        let changes = [
            told(What::Unmerged, &from, &restored, None, meta),
            told(What::Updated, &into, &parted, Some((Some(from.id), None)), meta),
        ];
        events::outbox::append(tx, &changes).await?;

        let records = store::records(tx, merge.id).await?;
        let (opportunities, people): (Vec<_>, Vec<_>) =
            records.into_iter().partition(|it| it.kind == Kind::Opportunity);
        let back = people_back(tx, &people, from.id, meta, &mut left).await?;
        let went: Vec<_> = opportunities
            .into_iter()
            .map(|it| Went { id: it.id, version: it.version, contact_id: it.contact_id })
            .collect();
        let sight = &who.read;
        let returned = along::move_back(tx, &went, into.id, &restored, &back, sight, meta).await?;
        left.extend(returned.stayed.into_iter().map(Left::Opportunity));
        let left_count = count(left.len());
        left.truncate(TOLD);
        Ok(Unmerged {
            customer: parted,
            from: restored,
            opportunities: count(returned.back),
            contacts: count(back.len()),
            left,
            left_count,
        })
    }
}

/// Gives contacts back that are as the merge left them; who they are.
async fn people_back(
    tx: &mut PgConnection,
    records: &[Record],
    from_id: i64,
    meta: &Meta,
    left: &mut Vec<Left>,
) -> Result<BTreeSet<i64>, Error> {
    use contact::event::What;
    let ids: Vec<_> = records.iter().map(|it| it.id).collect();
    let now = contact::store::lock(tx, &ids).await?;
    let now: BTreeMap<_, _> = now.into_iter().map(|it| (it.id, it)).collect();
    let versions: Vec<_> = records.iter().map(|it| (it.id, it.version)).collect();
    let as_left = store::told(tx, "contact", &versions).await?;
    let (mut back, mut changes, mut written) = (BTreeSet::new(), Vec::new(), Vec::new());
    for record in records {
        let is_as_left = |it: &&Contact| {
            it.version == record.version
                || as_left.get(&it.id).is_some_and(|told| contact::event::is_as_told(it, told))
        };
        let Some(before) = now.get(&record.id).filter(is_as_left) else {
            left.push(Left::Contact(record.id));
            continue;
        };
        let at = meta.recorded_at;
        let (what, after) = match record.kind {
            Kind::Joined => {
                back.insert(before.id);
                let after = Contact { merged_into_id: None, deleted_at: None, ..before.clone() };
                (What::Unmerged, after.after(before, at))
            }
            Kind::Moved => {
                back.insert(before.id);
                let after = Contact { customer_id: from_id, ..before.clone() };
                (What::Updated, after.after(before, at))
            }
            Kind::Filled => (What::Updated, model::empty(before, &record.filled, at)),
            Kind::Opportunity => continue,
        };
        changes.push(contact::event::change(what, Some(before), &after, meta));
        written.push(after);
    }
    contact::store::update(tx, &written).await?;
    events::outbox::append(tx, &changes).await?;
    Ok(back)
}
