//! Activities: what was done, is to be done and was said about an opportunity. Who may see the opportunity sees them.

mod event;
pub mod list;
pub mod model;
pub(crate) mod store;

use auth::Caller;
use chrono::{DateTime, Utc};
use idempotency::{Once, Outcome};
use rpc::{Error, Invalid};
use sqlx::{PgConnection, Postgres, Transaction};

use crate::access::model::Owned;
use crate::access::{self, Rights};
use crate::meta::Meta;
use crate::opportunity::denied;
use crate::{State, directory};
use model::{Activity, Edit, may_change};

pub use store::Filter;

/// An activity with what goes with it.
#[derive(Clone, Debug)]
pub struct Detail {
    /// The record.
    pub activity: Activity,
    /// What its opportunity is called.
    pub opportunity_name: String,
    /// Whose purchase that is.
    pub customer_id: i64,
    /// That customer's name.
    pub customer_name: String,
    /// Whose the opportunity is.
    pub owned: Owned,
    /// Its owner's name.
    pub owner_name: String,
    /// The name of who made it.
    pub created_by_name: String,
    /// Who is mentioned, with their names.
    pub mentions: Vec<(i64, String)>,
}

/// Where a page ends: the time that it is sorted by, and the id.
pub(crate) type Place = (DateTime<Utc>, i64);

/// The operations that an idempotency key is for, each of one record.
const CREATE: &str = "CreateActivity";
const RESTORE: &str = "RestoreActivity";

/// An activity that the caller may see.
pub async fn get(state: &State, caller: &Caller, id: i64) -> Result<Detail, Error> {
    caller.require_read()?;
    let visibility = state.settings.get()?.visibility;
    let sight = access::sight(&state.reads, caller, visibility).await?;
    let detail = store::find(&state.reads, id).await?;
    detail
        .filter(|it| it.activity.deleted_at.is_none() && sight.covers(it.owned))
        .ok_or_else(|| not_found(id))
}

/// Adds an activity to an opportunity that the caller may change.
pub async fn create(
    state: &State,
    caller: &Caller,
    opportunity_id: i64,
    wish: Edit,
    once: Option<Once<Detail>>,
    meta: Meta,
) -> Result<Outcome<Detail>, Error> {
    let asking = Asking::of(state, caller, meta).await?;
    rpc::write(async move {
        loop {
            let mut tx = asking.state.writes.begin().await?;
            match asking.create(&mut tx, opportunity_id, wish.clone(), once.as_ref()).await? {
                Attempt::Done(made) => return asking.commit(tx, made).await,
                Attempt::Unknown(named) => asking.look_up(tx, named).await?,
            }
        }
    })
    .await
}

/// Changes what is named of an activity.
pub async fn update(
    state: &State,
    caller: &Caller,
    id: i64,
    expected_version: Option<i64>,
    edit: Edit,
    meta: Meta,
) -> Result<Detail, Error> {
    let asking = Asking::of(state, caller, meta).await?;
    rpc::write(async move {
        loop {
            let mut tx = asking.state.writes.begin().await?;
            match asking.update(&mut tx, id, expected_version, edit.clone()).await? {
                Attempt::Done(detail) => return asking.commit(tx, detail).await,
                Attempt::Unknown(named) => asking.look_up(tx, named).await?,
            }
        }
    })
    .await
}

/// Deletes an activity, which can be undone.
pub async fn delete(
    state: &State,
    caller: &Caller,
    id: i64,
    expected_version: Option<i64>,
    meta: Meta,
) -> Result<(), Error> {
    let asking = Asking::of(state, caller, meta).await?;
    rpc::write(async move {
        let mut tx = asking.state.writes.begin().await?;
        let detail = asking.lock(&mut tx, id).await?;
        let before = detail.activity;
        current(&before, expected_version)?;
        let after = before.deleted(asking.meta.recorded_at);
        store::update(&mut tx, &after).await?;
        let (name, both) = (&detail.opportunity_name, (Some(&before), &after));
        record(&mut tx, &asking.meta, both, name, Vec::new()).await?;
        asking.commit(tx, ()).await
    })
    .await
}

/// Brings a deleted activity back as it was; one that is there stays as it is. Nobody is told of a mention once more.
pub async fn restore(
    state: &State,
    caller: &Caller,
    id: i64,
    once: Option<Once<Detail>>,
    meta: Meta,
) -> Result<Outcome<Detail>, Error> {
    let asking = Asking::of(state, caller, meta).await?;
    rpc::write(async move {
        let Asking { state, by, meta, .. } = &asking;
        let operation = format!("{RESTORE} {id}");
        let mut tx = state.writes.begin().await?;
        let at = meta.recorded_at;
        let answered = idempotency::answered(&mut tx, *by, &operation, once.as_ref(), at).await?;
        if let Some(answer) = answered {
            return Ok(Outcome::Replay(answer));
        }
        let mut detail = asking.lock_any(&mut tx, id).await?;
        if detail.activity.deleted_at.is_some() {
            let before = detail.activity;
            let after = before.restored(at);
            store::update(&mut tx, &after).await?;
            let (name, both) = (&detail.opportunity_name, (Some(&before), &after));
            record(&mut tx, meta, both, name, Vec::new()).await?;
            detail.activity = after;
        }
        idempotency::keep(&mut tx, *by, &operation, once.as_ref(), &detail).await?;
        asking.commit(tx, Outcome::New(detail)).await
    })
    .await
}

/// Appends the change of an activity that was written, and where that may have changed what is to be done next, notes that with the opportunity.
async fn record(
    tx: &mut PgConnection,
    meta: &Meta,
    (before, after): (Option<&Activity>, &Activity),
    opportunity_name: &str,
    told: Vec<i64>,
) -> Result<(), Error> {
    if after.is_to_be_done() || before.is_some_and(Activity::is_to_be_done) {
        store::update_next(tx, after.opportunity_id).await?;
    }
    let change = event::change(meta, before, after, opportunity_name, told);
    events::outbox::append(tx, &[change]).await?;
    Ok(())
}

/// Somebody who wants to change something.
struct Asking {
    state: State,
    by: i64,
    rights: Rights,
    meta: Meta,
}

/// What a transaction came to.
enum Attempt<T> {
    /// It is to be committed.
    Done(T),
    /// It names people of whom nothing was told yet, each in a field.
    Unknown(Vec<(&'static str, i64)>),
}

/// What is known of those whom an activity names first.
enum Named {
    /// All of them are there, and may see it where they must. To be told are those who are mentioned, may see it, and did not do it themselves.
    Known { told: Vec<i64> },
    /// Of these nothing is known, whom a field names.
    Unknown(Vec<(&'static str, i64)>),
}

impl Asking {
    async fn of(state: &State, caller: &Caller, meta: Meta) -> Result<Self, Error> {
        let visibility = state.settings.get()?.visibility;
        let rights = access::rights(&state.reads, caller, visibility).await?;
        Ok(Self { state: state.clone(), by: caller.user_id, rights, meta })
    }

    async fn create(
        &self,
        tx: &mut PgConnection,
        opportunity_id: i64,
        wish: Edit,
        once: Option<&Once<Detail>>,
    ) -> Result<Attempt<Outcome<Detail>>, Error> {
        let Self { by, rights, meta, .. } = self;
        let (operation, at) = (format!("{CREATE} {opportunity_id}"), meta.recorded_at);
        if let Some(answer) = idempotency::answered(tx, *by, &operation, once, at).await? {
            return Ok(Attempt::Done(Outcome::Replay(answer)));
        }
        let held = store::hold_opportunity(tx, opportunity_id).await?;
        let opportunity = held
            .filter(|it| rights.read.covers(it.owned))
            .ok_or_else(|| Error::not_found("opportunity", opportunity_id))?;
        if !rights.write.covers(opportunity.owned) {
            return Err(denied("NOT_YOURS", "the caller may not change this opportunity"));
        }
        let activity = wish.begin(opportunity.activity_id, opportunity_id, *by, at)?;
        let told = match self.named(tx, None, &activity, opportunity.owned).await? {
            Named::Known { told } => told,
            Named::Unknown(named) => return Ok(Attempt::Unknown(named)),
        };
        store::insert(tx, &activity).await?;
        record(tx, meta, (None, &activity), &opportunity.name, told).await?;
        let made = store::find(&mut *tx, activity.id).await?;
        let made = made.ok_or_else(|| not_found(activity.id))?;
        idempotency::keep(tx, *by, &operation, once, &made).await?;
        Ok(Attempt::Done(Outcome::New(made)))
    }

    async fn update(
        &self,
        tx: &mut PgConnection,
        id: i64,
        expected_version: Option<i64>,
        edit: Edit,
    ) -> Result<Attempt<Detail>, Error> {
        let detail = self.lock(tx, id).await?;
        let before = &detail.activity;
        current(before, expected_version)?;
        let after = edit.apply(before, self.meta.recorded_at)?;
        if after == *before {
            return Ok(Attempt::Done(detail));
        }
        let told = match self.named(tx, Some(before), &after, detail.owned).await? {
            Named::Known { told } => told,
            Named::Unknown(named) => return Ok(Attempt::Unknown(named)),
        };
        store::update(tx, &after).await?;
        let both = (Some(before), &after);
        record(tx, &self.meta, both, &detail.opportunity_name, told).await?;
        let changed = store::find(&mut *tx, id).await?;
        Ok(Attempt::Done(changed.ok_or_else(|| not_found(id))?))
    }

    async fn commit<T>(&self, tx: Transaction<'_, Postgres>, done: T) -> Result<T, Error> {
        tx.commit().await?;
        self.state.wake.wake();
        Ok(done)
    }

    /// Gives a transaction up, and asks identity for people of whom nothing was told yet: with those it can be tried again. Whoever is not there is a bad field.
    async fn look_up(
        &self,
        tx: Transaction<'_, Postgres>,
        named: Vec<(&'static str, i64)>,
    ) -> Result<(), Error> {
        tx.rollback().await?;
        let mut invalid = Invalid::default();
        for (field, user_id) in named {
            if directory::person(&self.state, user_id, &self.meta).await?.is_none() {
                invalid.add(field, "unknown_user", format!("there is no user {user_id}"));
            }
        }
        invalid.into_result()
    }

    /// A living activity that the caller may change.
    async fn lock(&self, tx: &mut PgConnection, id: i64) -> Result<Detail, Error> {
        let detail = self.lock_any(tx, id).await?;
        if detail.activity.deleted_at.is_some() { Err(not_found(id)) } else { Ok(detail) }
    }

    /// An activity that the caller may change, deleted or not.
    async fn lock_any(&self, tx: &mut PgConnection, id: i64) -> Result<Detail, Error> {
        let found = store::find_for_update(tx, id).await?;
        let detail = found.filter(|it| self.rights.read.covers(it.owned));
        let detail = detail.ok_or_else(|| not_found(id))?;
        if may_change(&self.rights, self.by, &detail.activity, detail.owned) {
            return Ok(detail);
        }
        Err(denied("NOT_YOURS", "the caller may not change this activity"))
    }

    /// What is known of those whom an activity names and did not name before. Who acts is there, and sees it.
    async fn named(
        &self,
        tx: &mut PgConnection,
        before: Option<&Activity>,
        after: &Activity,
        owned: Owned,
    ) -> Result<Named, Error> {
        let mut user_ids = after.newly_named(before);
        user_ids.retain(|id| *id != self.by);
        if user_ids.is_empty() {
            return Ok(Named::Known { told: Vec::new() });
        }
        let visibility = self.state.settings.get()?.visibility;
        let readers = access::readers(tx, visibility, owned, &user_ids).await?;
        let unknown = user_ids.iter().filter(|id| !readers.contains_key(id));
        let unknown: Vec<_> = unknown.map(|id| (after.field_naming(*id), *id)).collect();
        if !unknown.is_empty() {
            return Ok(Named::Unknown(unknown));
        }
        let is_other = before.is_none_or(|before| before.owner_id != after.owner_id);
        if let Some(owner) = readers.get(&after.owner_id).filter(|_| is_other) {
            let invalid = |code, message| Invalid::default().field("owner_id", code, message);
            if !owner.is_active {
                return Err(invalid("inactive_user", "this user is not active").into());
            }
            if !owner.reads {
                let message = "this user may not see the opportunity";
                return Err(invalid("may_not_see", message).into());
            }
        }
        let is_told = |id: &i64| readers.get(id).is_some_and(|it| it.is_active && it.reads);
        let told = after.newly_mentioned(before).into_iter().filter(is_told).collect();
        Ok(Named::Known { told })
    }
}

fn current(activity: &Activity, expected_version: Option<i64>) -> Result<(), Error> {
    if expected_version.is_some_and(|version| version != activity.version) {
        return Err(Error::Stale { current: Some(activity.version) });
    }
    Ok(())
}

fn not_found(id: i64) -> Error {
    Error::not_found("activity", id)
}
