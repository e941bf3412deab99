//! Fields of an organisation's own, which administrators manage: what there are, and what an opportunity may say in them.

pub mod draft;
pub(crate) mod event;
pub mod model;
pub(crate) mod store;

use auth::Caller;
use idempotency::{Once, Outcome};
use rpc::{Error, Invalid};
use sqlx::{PgPool, Postgres, Transaction};

use crate::State;
use crate::meta::Meta;
use draft::{Edit, MOST, New};
use model::CustomFields;

/// The operation that an idempotency key is for.
const CREATE: &str = "CreateCustomField";

/// A field in its list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The list.
    pub list: CustomFields,
    /// The key of the field.
    pub key: String,
}

/// All fields as they are stored.
pub async fn all(pool: &PgPool) -> Result<CustomFields, Error> {
    Ok(store::all(pool).await?)
}

/// A transaction beside which nobody changes the list, and the list as it is in it.
struct Turn {
    tx: Transaction<'static, Postgres>,
    before: CustomFields,
}

impl Turn {
    async fn take(
        mut tx: Transaction<'static, Postgres>,
        expected_version: Option<i64>,
    ) -> Result<Self, Error> {
        store::take_turn(&mut tx).await?;
        let before = store::all(&mut *tx).await?;
        if expected_version.is_some_and(|version| version != before.version) {
            return Err(Error::Stale { current: Some(before.version) });
        }
        Ok(Self { tx, before })
    }

    /// Writes the list as its next version, where anything is other, and what is to be told of it.
    async fn save(&mut self, after: &mut CustomFields, meta: &Meta) -> Result<(), Error> {
        if after.items == self.before.items {
            return Ok(());
        }
        after.version = self.before.version + 1;
        store::put(&mut self.tx, after).await?;
        let change = event::changed(&self.before, after, meta);
        events::outbox::append(&mut self.tx, &[change]).await?;
        Ok(())
    }

    /// Ends it. From now on this process remembers the list as it is.
    async fn commit(self, state: &State) -> Result<(), Error> {
        self.tx.commit().await?;
        state.wake.wake();
        // Where it fails, it is done within a second anyway.
        let _ = state.refresh_rules().await;
        Ok(())
    }
}

/// Makes a field, or has one that is gone come back.
pub async fn create(
    state: &State,
    caller: &Caller,
    new: New,
    once: Option<Once<Listed>>,
    meta: Meta,
) -> Result<Outcome<Listed>, Error> {
    caller.require_admin()?;
    let (by, at) = (caller.user_id, meta.recorded_at);
    let mut tx = state.writes.begin().await?;
    if let Some(answer) = idempotency::answered(&mut tx, by, CREATE, once.as_ref(), at).await? {
        return Ok(Outcome::Replay(answer));
    }
    let mut turn = Turn::take(tx, None).await?;
    if turn.before.living().count() >= MOST {
        let message = format!("there are {MOST} custom fields, which is the most");
        return Err(Error::conflict("TOO_MANY_CUSTOM_FIELDS", message));
    }
    let mut list = turn.before.clone();
    let (key, mut invalid) = (new.key.clone(), Invalid::default());
    draft::add(&mut list.items, &new, &mut invalid);
    invalid.into_result()?;
    turn.save(&mut list, &meta).await?;
    let listed = Listed { list, key };
    idempotency::keep(&mut turn.tx, by, CREATE, once.as_ref(), &listed).await?;
    turn.commit(state).await?;
    Ok(Outcome::New(listed))
}

/// Changes what is named of a field. What opportunities say in it stays.
pub async fn update(
    state: &State,
    caller: &Caller,
    (key, expected_version): (String, Option<i64>),
    edit: Edit,
    meta: Meta,
) -> Result<Listed, Error> {
    caller.require_admin()?;
    let mut turn = Turn::take(state.writes.begin().await?, expected_version).await?;
    let mut list = turn.before.clone();
    let index = place(&list, &key)?;
    let mut invalid = Invalid::default();
    draft::edit(&mut list.items, index, edit, &mut invalid);
    invalid.into_result()?;
    turn.save(&mut list, &meta).await?;
    turn.commit(state).await?;
    Ok(Listed { list, key })
}

/// Removes a field. What opportunities say in it is hidden, until a field of that key and type is made again.
pub async fn delete(
    state: &State,
    caller: &Caller,
    (key, expected_version): (String, Option<i64>),
    meta: Meta,
) -> Result<(), Error> {
    caller.require_admin()?;
    let mut turn = Turn::take(state.writes.begin().await?, expected_version).await?;
    let mut list = turn.before.clone();
    let index = place(&list, &key)?;
    draft::remove(&mut list.items, index);
    turn.save(&mut list, &meta).await?;
    turn.commit(state).await
}

fn place(list: &CustomFields, key: &str) -> Result<usize, Error> {
    let found = list.items.iter().position(|it| !it.is_deleted && it.key == key);
    found.ok_or_else(|| Error::not_found("custom_field", key))
}
