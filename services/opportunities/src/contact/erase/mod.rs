//! Erasing a person: everything personal is removed from a contact, from those that were merged with it, from the change log and from kept answers. Facts stay.

mod store;

use std::collections::BTreeSet;

use auth::Caller;
use chrono::{DateTime, Utc};
use idempotency::{Once, Outcome};
use rpc::Error;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};

use super::event::{self, What};
use super::model::Contact;
use super::not_found;
use crate::State;
use crate::customer;
use crate::meta::Meta;
use crate::opportunity::along;

/// The operation that an idempotency key is for.
const ERASE: &str = "EraseContact";

/// What erasing a person came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erased {
    /// The contacts that the person was, by id.
    pub ids: Vec<i64>,
    /// When they were erased.
    pub erased_at: DateTime<Utc>,
}

/// What is to become of an answer that was kept for an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It says nothing of the person.
    Stays,
    /// The same without the person.
    Without(Vec<u8>),
    /// Nobody knows what it says: its request is as good as new.
    Forgotten,
}

/// What is to become of the answer of an operation where these contacts are erased.
pub type Redact = fn(operation: &str, response: &[u8], contact_ids: &[i64]) -> Answer;

/// Removes a person's data, for administrators. Deleted contacts can be erased, too; one that is erased stays so.
pub async fn erase(
    state: &State,
    caller: &Caller,
    id: i64,
    redact: Redact,
    once: Option<Once<Erased>>,
    meta: Meta,
) -> Result<Outcome<Erased>, Error> {
    caller.require_admin()?;
    let (pool, wake, by) = (state.writes.clone(), state.wake.clone(), caller.user_id);
    rpc::write(async move {
        let operation = format!("{ERASE} {id}");
        let at = meta.recorded_at;
        let (mut tx, contacts) = lock(&pool, id).await?;
        if let Some(answer) =
            idempotency::answered(&mut tx, by, &operation, once.as_ref(), at).await?
        {
            return Ok(Outcome::Replay(answer));
        }
        let ids: Vec<_> = contacts.iter().map(|it| it.id).collect();
        let erased_at = contacts.iter().filter_map(|it| it.erased_at).min();
        let erased = Erased { ids, erased_at: erased_at.unwrap_or(at) };
        remove(&mut tx, &contacts, redact, &meta).await?;
        idempotency::keep(&mut tx, by, &operation, once.as_ref(), &erased).await?;
        tx.commit().await?;
        wake.wake();
        Ok(Outcome::New(erased))
    })
    .await
}

/// A contact and all with whom it is one, by id. Nobody else changes them, nor their customers, until the transaction ends.
async fn lock(
    pool: &PgPool,
    id: i64,
) -> Result<(Transaction<'static, Postgres>, Vec<Contact>), Error> {
    loop {
        let mut tx = pool.begin().await?;
        let seen = store::person(&mut tx, id).await?;
        let customer_ids: BTreeSet<_> = seen.iter().map(|it| it.customer_id).collect();
        customer::store::lock_only(&mut tx, &customer_ids.into_iter().collect::<Vec<_>>()).await?;
        let ids: Vec<_> = seen.iter().map(|it| it.id).collect();
        super::store::lock(&mut tx, &ids).await?;
        // While customers and contacts were waited for they may have been merged.
        let now = store::person(&mut tx, id).await?;
        let place = |it: &Contact| (it.id, it.customer_id);
        if now.iter().map(place).eq(seen.iter().map(place)) {
            return if now.is_empty() { Err(not_found(id)) } else { Ok((tx, now)) };
        }
        tx.rollback().await?;
    }
}

async fn remove(
    tx: &mut PgConnection,
    contacts: &[Contact],
    redact: Redact,
    meta: &Meta,
) -> Result<(), Error> {
    let ids: Vec<_> = contacts.iter().map(|it| it.id).collect();
    let told = store::told(tx, &ids).await?;
    let mut values: BTreeSet<String> = BTreeSet::new();
    for (_, _, payload) in &told {
        values.extend(event::personal(payload)?);
    }
    for contact in contacts {
        values.extend(contact.personal().map(str::to_owned));
    }
    values.retain(|value| !value.is_empty());

    let mut erased = Vec::new();
    let mut changes = Vec::new();
    for before in contacts.iter().filter(|it| it.erased_at.is_none()) {
        let after = before.erase(meta.recorded_at);
        changes.push(event::change(What::Erased, Some(before), &after, meta));
        erased.push(after);
    }
    super::store::update(tx, &erased).await?;
    for contact in contacts {
        along::part_from_contact(tx, contact.id, meta).await?;
    }
    for id in &ids {
        let own = told.iter().filter(|(contact_id, ..)| contact_id == id);
        let redacted = own.map(|(_, change_id, payload)| Ok((*change_id, event::redact(payload)?)));
        let redacted = redacted.collect::<Result<Vec<_>, Error>>()?;
        let written = store::redact_changes(tx, *id, &redacted).await?;
        if usize::try_from(written).ok() != Some(redacted.len()) {
            return Err(Error::internal("the change log did not let a person be erased"));
        }
    }
    events::outbox::append(tx, &changes).await?;
    for kept in store::answers(tx, &values.into_iter().collect::<Vec<_>>()).await? {
        match redact(&kept.operation, &kept.response, &ids) {
            Answer::Stays => {}
            Answer::Without(response) => store::replace_answer(tx, &kept, &response).await?,
            Answer::Forgotten => store::forget_answer(tx, &kept).await?,
        }
    }
    Ok(())
}
