//! Why opportunities are lost: the list of reasons that administrators manage, and what it means for a move to a lost stage.

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

/// A transaction beside which nobody changes the list, and the list as it is in it.
struct Turn {
    tx: Transaction<'static, Postgres>,
    before: LostReasons,
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
    async fn save(&mut self, after: &mut LostReasons, meta: &Meta) -> Result<(), Error> {
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
    let mut turn = Turn::take(tx, None).await?;
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
    let mut turn = Turn::take(state.writes.begin().await?, expected_version).await?;
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
    let mut turn = Turn::take(state.writes.begin().await?, expected_version).await?;
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
