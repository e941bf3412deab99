//! Contacts, who go with their customer: making, changing and deleting them, and finding one again in the transaction that needs it.

pub mod erase;
pub(crate) mod event;
pub mod model;
pub(crate) mod several;
pub(crate) mod store;

use auth::Caller;
use chrono::{DateTime, Utc};
use events::Change;
use idempotency::{Once, Outcome};
use rpc::Error;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};

use crate::State;
use crate::customer::{self, Asker};
use crate::meta::Meta;
use crate::opportunity::along;
use event::What;
use model::{Contact, ContactWish, Draft, Edit};

/// The operation that an idempotency key is for.
const CREATE: &str = "CreateContact";

/// Where a page ends: when its last contact was made, and that one's id.
pub type Place = (DateTime<Utc>, i64);

/// A page of the contacts of a customer that the caller may see, the newest first, and whether there are more.
pub async fn list(
    state: &State,
    caller: &Caller,
    customer_id: i64,
    before: Place,
    limit: usize,
) -> Result<(Vec<Contact>, bool), Error> {
    let customer = customer::get(state, caller, customer_id).await?;
    if let Some(into) = customer.merged_into_id {
        return Err(customer::merged(into));
    }
    let mut contacts = store::list(&state.reads, customer_id, before).await?;
    let more = contacts.len() > limit;
    contacts.truncate(limit);
    Ok((contacts, more))
}

/// A contact of a customer that the caller may see.
pub async fn get(state: &State, caller: &Caller, id: i64) -> Result<Contact, Error> {
    caller.require_read()?;
    let contact = store::find(&state.reads, id).await?;
    let contact = contact.filter(|it| it.deleted_at.is_none()).ok_or_else(|| not_found(id))?;
    match customer::get(state, caller, contact.customer_id).await {
        Err(Error::NotFound { .. }) => Err(not_found(id)),
        Err(error) => Err(error),
        Ok(_) => Ok(contact),
    }
}

/// Adds a contact to a customer that the caller may change. An address is one person's within a customer.
pub async fn create(
    state: &State,
    caller: &Caller,
    customer_id: i64,
    draft: Draft,
    once: Option<Once<Contact>>,
    meta: Meta,
) -> Result<Outcome<Contact>, Error> {
    let who = Asker::of(state, caller).await?;
    let (pool, wake) = (state.writes.clone(), state.wake.clone());
    rpc::write(async move {
        let operation = format!("{CREATE} {customer_id}");
        let (by, at) = (who.by, meta.recorded_at);
        let mut tx = pool.begin().await?;
        if let Some(answer) =
            idempotency::answered(&mut tx, by, &operation, once.as_ref(), at).await?
        {
            return Ok(Outcome::Replay(answer));
        }
        customer::lock(&mut tx, customer_id, &who, None).await?;
        let draft = draft.check()?;
        refuse_taken(&mut tx, customer_id, draft.email.as_deref(), 0).await?;
        let contact = store::insert(&mut tx, customer_id, &draft, at).await?;
        let change = event::change(What::Created, None, &contact, &meta);
        events::outbox::append(&mut tx, &[change]).await?;
        idempotency::keep(&mut tx, by, &operation, once.as_ref(), &contact).await?;
        tx.commit().await?;
        wake.wake();
        Ok(Outcome::New(contact))
    })
    .await
}

/// Changes what is named of a contact.
pub async fn update(
    state: &State,
    caller: &Caller,
    id: i64,
    expected_version: Option<i64>,
    edit: Edit,
    meta: Meta,
) -> Result<Contact, Error> {
    let who = Asker::of(state, caller).await?;
    let (pool, wake) = (state.writes.clone(), state.wake.clone());
    rpc::write(async move {
        let (mut tx, old) = lock(&pool, id, &who, expected_version).await?;
        let new = edit.apply(&old, meta.recorded_at)?;
        if new == old {
            return Ok(old);
        }
        if new.email != old.email {
            refuse_taken(&mut tx, new.customer_id, new.email.as_deref(), id).await?;
        }
        store::update(&mut tx, std::slice::from_ref(&new)).await?;
        let change = event::change(What::Updated, Some(&old), &new, &meta);
        events::outbox::append(&mut tx, &[change]).await?;
        tx.commit().await?;
        wake.wake();
        Ok(new)
    })
    .await
}

/// Deletes a contact. The opportunities that name it have none afterwards.
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
        let (mut tx, old) = lock(&pool, id, &who, expected_version).await?;
        let new = old.delete(meta.recorded_at);
        store::update(&mut tx, std::slice::from_ref(&new)).await?;
        let change = event::change(What::Deleted, Some(&old), &new, &meta);
        events::outbox::append(&mut tx, &[change]).await?;
        along::part_from_contact(&mut tx, id, &meta).await?;
        tx.commit().await?;
        wake.wake();
        Ok(())
    })
    .await
}

/// A living contact of a customer that somebody may change; customer and contact are not changed by anybody else until the transaction ends. Customers come
/// first, and where a contact is one is known from the contact alone: it begins anew where they have gone elsewhere meanwhile.
async fn lock(
    pool: &PgPool,
    id: i64,
    who: &Asker,
    expected_version: Option<i64>,
) -> Result<(Transaction<'static, Postgres>, Contact), Error> {
    loop {
        let mut tx = pool.begin().await?;
        let seen = store::find(&mut *tx, id).await?;
        let seen = seen.filter(|it| it.deleted_at.is_none()).ok_or_else(|| not_found(id))?;
        let customer = customer::lock(&mut tx, seen.customer_id, who, None).await;
        let contact = store::lock(&mut tx, &[id]).await?.pop().ok_or_else(|| not_found(id))?;
        if contact.customer_id != seen.customer_id {
            tx.rollback().await?;
            continue;
        }
        if contact.deleted_at.is_some() {
            return Err(not_found(id));
        }
        match customer {
            Err(Error::NotFound { .. }) => return Err(not_found(id)),
            Err(error) => return Err(error),
            Ok(_) => {}
        }
        if expected_version.is_some_and(|version| version != contact.version) {
            return Err(Error::Stale { current: Some(contact.version) });
        }
        return Ok((tx, contact));
    }
}

/// Within a customer an address is one person's: the customer is locked, so that it stays so.
async fn refuse_taken(
    tx: &mut PgConnection,
    customer_id: i64,
    email: Option<&str>,
    but: i64,
) -> Result<(), Error> {
    let Some(email) = email else { return Ok(()) };
    match store::of_address(tx, customer_id, email, but).await? {
        None => Ok(()),
        Some(taken) => {
            let message = "another contact of this customer has this address";
            Err(Error::conflict("CONTACT_EXISTS", message).about("contact_id", taken))
        }
    }
}

fn not_found(id: i64) -> Error {
    Error::not_found("contact", id)
}

/// The customer's contact of that e-mail address (or of that name, where no address is given), or a new one. It stays as it is until the end of this transaction.
pub(crate) async fn find_or_create(
    tx: &mut PgConnection,
    customer_id: i64,
    wish: &ContactWish,
    at: DateTime<Utc>,
    meta: &Meta,
    changes: &mut Vec<Change>,
) -> sqlx::Result<Contact> {
    customer::store::lock_text(tx, &format!("contacts {customer_id}")).await?;
    if let Some(contact) = store::find_like(tx, customer_id, wish).await? {
        return Ok(contact);
    }
    let contact = store::insert(tx, customer_id, &Draft::from(wish), at).await?;
    changes.push(event::change(What::Created, None, &contact, meta));
    Ok(contact)
}
