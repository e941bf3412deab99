//! Why opportunities are lost: the list of reasons that administrators manage, and what it means for a move to a lost stage.

pub mod draft;
pub(crate) mod event;
pub mod model;
pub(crate) mod store;

use auth::Caller;
use events::Change;
use idempotency::{Once, Outcome};
use rpc::{Error, Invalid};
use sqlx::{PgConnection, PgPool};

use crate::State;
use crate::managed::{Managed, Turn};
use crate::meta::Meta;
use draft::{Edit, MOST, New};
use model::LostReasons;

/// The operation that an idempotency key is for.
const CREATE: &str = "CreateLostReason";

/// A reason in its list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The list.
    pub list: LostReasons,
    /// The id of the reason.
    pub id: i64,
}

/// All reasons as they are stored.
pub async fn all(pool: &PgPool) -> Result<LostReasons, Error> {
    Ok(store::all(pool).await?)
}

impl Managed for LostReasons {
    const NAME: &'static str = "lost_reasons";

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

/// Adds a reason.
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
    let mut turn = Turn::<LostReasons>::take(tx, None).await?;
    if turn.before.items.len() >= MOST {
        let message = format!("there are {MOST} reasons, which is the most");
        return Err(Error::conflict("TOO_MANY_LOST_REASONS", message));
    }
    let mut list = turn.before.clone();
    let mut invalid = Invalid::default();
    draft::add(&mut list.items, &new, &mut invalid);
    invalid.into_result()?;
    let id = store::next_id(&mut turn.tx).await?;
    draft::number(&mut list.items, id);
    turn.save(&mut list, &meta).await?;
    let listed = Listed { list, id };
    idempotency::keep(&mut turn.tx, by, CREATE, once.as_ref(), &listed).await?;
    turn.commit(state).await?;
    Ok(Outcome::New(listed))
}

/// Changes what is named of a reason.
pub async fn update(
    state: &State,
    caller: &Caller,
    (id, expected_version): (i64, Option<i64>),
    edit: Edit,
    meta: Meta,
) -> Result<Listed, Error> {
    caller.require_admin()?;
    let mut turn = Turn::<LostReasons>::take(state.writes.begin().await?, expected_version).await?;
    let mut list = turn.before.clone();
    let index = place(&list, id)?;
    let mut invalid = Invalid::default();
    draft::edit(&mut list.items, index, edit, &mut invalid);
    invalid.into_result()?;
    turn.save(&mut list, &meta).await?;
    turn.commit(state).await?;
    Ok(Listed { list, id })
}

/// Removes a reason from the list. Opportunities that were lost for it say so still.
pub async fn delete(
    state: &State,
    caller: &Caller,
    (id, expected_version): (i64, Option<i64>),
    meta: Meta,
) -> Result<(), Error> {
    caller.require_admin()?;
    let mut turn = Turn::<LostReasons>::take(state.writes.begin().await?, expected_version).await?;
    let mut list = turn.before.clone();
    let index = place(&list, id)?;
    list.items.remove(index);
    turn.save(&mut list, &meta).await?;
    turn.commit(state).await
}

fn place(list: &LostReasons, id: i64) -> Result<usize, Error> {
    let found = list.items.iter().position(|it| it.id == id);
    found.ok_or_else(|| Error::not_found("lost_reason", id))
}
