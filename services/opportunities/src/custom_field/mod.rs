//! Fields of an organisation's own, which administrators manage: what there are, and what an opportunity may say in them.

pub mod draft;
pub(crate) mod event;
pub mod model;
pub(crate) mod store;

use auth::Caller;
use events::Change;
use idempotency::{Once, Outcome};
use rpc::{Error, Invalid};
use sqlx::{PgConnection, PgPool};

use crate::managed::{Managed, Turn};
use crate::meta::Meta;
use crate::{State, pipeline};
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

impl Managed for CustomFields {
    const NAME: &'static str = "custom_fields";

    fn version(&mut self) -> &mut i64 {
        &mut self.version
    }

    fn is_same(&self, other: &Self) -> bool {
        self.items == other.items
    }

    fn changed(&self, after: &Self, meta: &Meta) -> Change {
        event::changed(self, after, meta)
    }

    async fn read(tx: &mut PgConnection) -> sqlx::Result<Self> {
        store::all(tx).await
    }

    async fn write(&self, tx: &mut PgConnection) -> sqlx::Result<()> {
        store::put(tx, self).await
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
    let mut turn = Turn::<CustomFields>::take(tx, None).await?;
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
    let mut turn =
        Turn::<CustomFields>::take(state.writes.begin().await?, expected_version).await?;
    let mut list = turn.before.clone();
    let index = place(&list, &key)?;
    let mut invalid = Invalid::default();
    draft::edit(&mut list.items, index, edit, &mut invalid);
    invalid.into_result()?;
    turn.save(&mut list, &meta).await?;
    turn.commit(state).await?;
    Ok(Listed { list, key })
}

/// Removes a field that no stage asks for. What opportunities say in it is hidden, until a field of that key and type is made again.
pub async fn delete(
    state: &State,
    caller: &Caller,
    (key, expected_version): (String, Option<i64>),
    meta: Meta,
) -> Result<(), Error> {
    caller.require_admin()?;
    let mut turn =
        Turn::<CustomFields>::take(state.writes.begin().await?, expected_version).await?;
    let mut list = turn.before.clone();
    let index = place(&list, &key)?;
    pipeline::no_stage_asks_for(&mut turn.tx, &key).await?;
    draft::remove(&mut list.items, index);
    turn.save(&mut list, &meta).await?;
    turn.commit(state).await
}

fn place(list: &CustomFields, key: &str) -> Result<usize, Error> {
    let found = list.items.iter().position(|it| !it.is_deleted && it.key == key);
    found.ok_or_else(|| Error::not_found("custom_field", key))
}
