//! Customers: making, changing and deleting them, and finding one again by name in the transaction that needs it.
//!
//! What is locked comes in one order: people, customers by id, contacts by id, opportunities by id. Whoever adds something to a customer (an opportunity, a
//! contact) holds it, so that it is neither deleted nor merged nor called something else meanwhile; whoever does that locks it.

pub mod duplicates;
pub(crate) mod event;
pub mod list;
pub mod merge;
pub mod model;
pub(crate) mod several;
pub(crate) mod store;

use auth::{Caller, Role};
use chrono::{DateTime, Utc};
use events::Change;
use idempotency::{Once, Outcome};
use rpc::Error;
use sqlx::{PgConnection, PgPool};

use crate::access::{self, model::Sight};
use crate::meta::Meta;
use crate::opportunity::{along, denied};
use crate::{State, text};
use event::What;
use model::{Customer, Draft, Edit, Keys};

/// The operations that idempotency keys are for.
const CREATE: &str = "CreateCustomer";
const RESTORE: &str = "RestoreCustomer";

/// Who asks, as far as it decides what they may do with a customer.
#[derive(Clone, Debug)]
pub(crate) struct Asker {
    pub(crate) by: i64,
    pub(crate) read: Sight,
    pub(crate) write: Sight,
}

impl Asker {
    /// The caller.
    pub(crate) async fn of(state: &State, caller: &Caller) -> Result<Self, Error> {
        let visibility = state.settings.get()?.visibility;
        let rights = access::rights(&state.reads, caller, visibility).await?;
        Ok(Self { by: caller.user_id, read: rights.read, write: rights.write })
    }
}

/// A customer, and what somebody may do with it.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) customer: Customer,
    pub(crate) is_seen: bool,
    pub(crate) is_changeable: bool,
}

/// Makes a customer, always: what is likely one already is listed, not refused.
pub async fn create(
    state: &State,
    caller: &Caller,
    draft: Draft,
    once: Option<Once<Customer>>,
    meta: Meta,
) -> Result<Outcome<Customer>, Error> {
    caller.require_write()?;
    caller.require_role(&[Role::Admin, Role::Manager, Role::Rep])?;
    let draft = draft.check()?;
    let (pool, wake, by) = (state.writes.clone(), state.wake.clone(), caller.user_id);
    rpc::write(async move {
        let mut tx = pool.begin().await?;
        let at = meta.recorded_at;
        if let Some(answer) = idempotency::answered(&mut tx, by, CREATE, once.as_ref(), at).await? {
            return Ok(Outcome::Replay(answer));
        }
        let customer = store::insert(&mut tx, &draft, by, at).await?;
        let change = event::change(What::Created, None, &customer, Vec::new(), &meta);
        events::outbox::append(&mut tx, &[change]).await?;
        idempotency::keep(&mut tx, by, CREATE, once.as_ref(), &customer).await?;
        tx.commit().await?;
        wake.wake();
        Ok(Outcome::New(customer))
    })
    .await
}

/// A customer that the caller may see. One that was merged is told with where it went, to who may see it or that one.
pub async fn get(state: &State, caller: &Caller, id: i64) -> Result<Customer, Error> {
    caller.require_read()?;
    let who = Asker::of(state, caller).await?;
    let found = store::find(&state.reads, id, &who).await?.ok_or_else(|| not_found(id))?;
    let customer = found.customer;
    if customer.deleted_at.is_some() && customer.merged_into_id.is_none() {
        return Err(not_found(id));
    }
    let (mut is_seen, mut next) = (found.is_seen, customer.merged_into_id);
    while let Some(into) = next.filter(|_| !is_seen) {
        let found = store::find(&state.reads, into, &who).await?;
        (is_seen, next) =
            found.map_or((false, None), |it| (it.is_seen, it.customer.merged_into_id));
    }
    if is_seen { Ok(customer) } else { Err(not_found(id)) }
}

/// Changes what is named of a customer. Its opportunities carry its name, and go along, deleted ones too.
pub async fn update(
    state: &State,
    caller: &Caller,
    id: i64,
    expected_version: Option<i64>,
    edit: Edit,
    meta: Meta,
) -> Result<Customer, Error> {
    let who = Asker::of(state, caller).await?;
    let (pool, wake) = (state.writes.clone(), state.wake.clone());
    rpc::write(async move {
        let mut tx = pool.begin().await?;
        let old = lock(&mut tx, id, &who, expected_version).await?;
        let new = edit.apply(&old, meta.recorded_at)?;
        if new == old {
            return Ok(old);
        }
        store::update(&mut tx, &new).await?;
        let change = event::change(What::Updated, Some(&old), &new, Vec::new(), &meta);
        events::outbox::append(&mut tx, &[change]).await?;
        if new.name != old.name {
            along::rename(&mut tx, &new, &meta).await?;
        }
        tx.commit().await?;
        wake.wake();
        Ok(new)
    })
    .await
}

/// Deletes a customer without opportunities, which can be undone. Its contacts are there again with it.
pub async fn delete(
    state: &State,
    caller: &Caller,
    id: i64,
    expected_version: Option<i64>,
    meta: Meta,
) -> Result<(), Error> {
    let who = Asker::of(state, caller).await?;
    let (pool, wake) = (state.writes.clone(), state.wake.clone());
    rpc::write(async move {
        let mut tx = pool.begin().await?;
        let old = lock(&mut tx, id, &who, expected_version).await?;
        if store::has_opportunities(&mut tx, id).await? {
            let message =
                "the customer has opportunities: delete or move them, or merge the customer";
            return Err(Error::conflict("CUSTOMER_HAS_OPPORTUNITIES", message));
        }
        let new = old.delete(meta.recorded_at);
        store::update(&mut tx, &new).await?;
        let change = event::change(What::Deleted, Some(&old), &new, Vec::new(), &meta);
        events::outbox::append(&mut tx, &[change]).await?;
        tx.commit().await?;
        wake.wake();
        Ok(())
    })
    .await
}

/// Brings a deleted customer back as it was; one that is there stays as it is.
pub async fn restore(
    state: &State,
    caller: &Caller,
    id: i64,
    once: Option<Once<Customer>>,
    meta: Meta,
) -> Result<Outcome<Customer>, Error> {
    let who = Asker::of(state, caller).await?;
    let (pool, wake) = (state.writes.clone(), state.wake.clone());
    rpc::write(async move {
        let operation = format!("{RESTORE} {id}");
        let (by, at) = (who.by, meta.recorded_at);
        let mut tx = pool.begin().await?;
        if let Some(answer) =
            idempotency::answered(&mut tx, by, &operation, once.as_ref(), at).await?
        {
            return Ok(Outcome::Replay(answer));
        }
        let found = store::lock(&mut tx, &[id], &who).await?.pop();
        let old = permit(found.filter(|it| it.is_seen).ok_or_else(|| not_found(id))?)?;
        let new = old.restore(at);
        if new != old {
            store::update(&mut tx, &new).await?;
            let change = event::change(What::Restored, Some(&old), &new, Vec::new(), &meta);
            events::outbox::append(&mut tx, &[change]).await?;
        }
        idempotency::keep(&mut tx, by, &operation, once.as_ref(), &new).await?;
        tx.commit().await?;
        wake.wake();
        Ok(Outcome::New(new))
    })
    .await
}

/// A living customer that somebody may change, which nobody else changes until this transaction ends, and to which nothing is added.
pub(crate) async fn lock(
    tx: &mut PgConnection,
    id: i64,
    who: &Asker,
    expected_version: Option<i64>,
) -> Result<Customer, Error> {
    let found = store::lock(tx, &[id], who).await?.pop();
    let customer = permit(alive(found, id)?)?;
    if expected_version.is_some_and(|version| version != customer.version) {
        return Err(Error::Stale { current: Some(customer.version) });
    }
    Ok(customer)
}

/// A customer that somebody sees, and that is not deleted but at most merged.
fn alive(found: Option<Found>, id: i64) -> Result<Found, Error> {
    let is_there =
        |it: &Found| it.customer.deleted_at.is_none() || it.customer.merged_into_id.is_some();
    found.filter(|it| it.is_seen && is_there(it)).ok_or_else(|| not_found(id))
}

/// A customer that somebody may change, and that was not merged.
fn permit(found: Found) -> Result<Customer, Error> {
    if let Some(into) = found.customer.merged_into_id {
        return Err(merged(into));
    }
    if !found.is_changeable {
        return Err(denied("NOT_YOURS", "the caller may not change this customer"));
    }
    Ok(found.customer)
}

pub(crate) fn merged(into: i64) -> Error {
    let message = "the customer was merged into another";
    Error::conflict("CUSTOMER_MERGED", message).about("merged_into_id", into)
}

fn not_found(id: i64) -> Error {
    Error::not_found("customer", id)
}

/// A customer that was found before this transaction began, as it is now: it stays so until the end. Where it was merged meanwhile it is the one into which it
/// was; nothing where it was deleted.
pub(crate) async fn hold(tx: &mut PgConnection, id: i64) -> sqlx::Result<Option<Customer>> {
    let mut id = id;
    loop {
        if let Some(customer) = store::hold(tx, id).await? {
            return Ok(Some(customer));
        }
        // It is not held while another is waited for: customers are locked by id.
        match store::merged_into(tx, id).await? {
            Some(into) => id = into,
            None => return Ok(None),
        }
    }
}

/// The customer of that name among those in sight, or the one into which one of that name was merged, or a new one. Twenty at once make one: they wait for each
/// other on the folded name. It stays as it is until the end of this transaction.
pub(crate) async fn find_or_create(
    tx: &mut PgConnection,
    name: &str,
    sight: &Sight,
    by: i64,
    at: DateTime<Utc>,
    meta: &Meta,
    changes: &mut Vec<Change>,
) -> sqlx::Result<Customer> {
    let who = Asker { by, read: sight.clone(), write: Sight::Nothing };
    let folded = text::fold(name);
    store::lock_text(tx, &format!("customer {folded}")).await?;
    if let Some(customer) = store::find_by_name(tx, &folded, &who).await? {
        return Ok(customer);
    }
    if let Some(id) = store::find_by_merged_name(tx, &folded, &who).await?
        && let Some(customer) = hold(tx, id).await?
    {
        return Ok(customer);
    }
    let customer = store::insert(tx, &Draft::of(name), by, at).await?;
    changes.push(event::change(What::Created, None, &customer, Vec::new(), meta));
    Ok(customer)
}

/// The customer of that id or of that name, whichever was found before this transaction began, as it is now; by name where it is gone or called something else,
/// which may make a new one. Nothing where one that is meant by its id alone is gone.
pub(crate) async fn settle(
    tx: &mut PgConnection,
    id: Option<i64>,
    name: Option<&str>,
    sight: &Sight,
    by: i64,
    meta: &Meta,
    changes: &mut Vec<Change>,
) -> sqlx::Result<Option<Customer>> {
    if let Some(id) = id
        && let Some(customer) = hold(tx, id).await?
    {
        let is_meant = |name| customer.id != id || text::fold(&customer.name) == text::fold(name);
        if name.is_none_or(is_meant) {
            return Ok(Some(customer));
        }
    }
    match name {
        None => Ok(None),
        Some(name) => {
            find_or_create(tx, name, sight, by, meta.recorded_at, meta, changes).await.map(Some)
        }
    }
}

/// Fills in by what customers are found that were made before that was kept; how many there were.
pub async fn catch_up(pool: &PgPool) -> sqlx::Result<u64> {
    let (mut filled, mut after_id) = (0, i64::MIN);
    loop {
        let unfilled = store::unfilled(pool, after_id).await?;
        let Some(last) = unfilled.last() else { return Ok(filled) };
        after_id = last.id;
        let keyed = unfilled.into_iter().map(|it| {
            let (company, email) = (it.company.as_deref(), it.email.as_deref());
            let keys = Keys::of(&it.name, company, email, it.phone.as_deref());
            (it, keys)
        });
        filled += store::fill(pool, &keyed.collect::<Vec<_>>()).await?;
    }
}
