//! Changing an opportunity's fields, deleting it and bringing it back.

use std::sync::Arc;

use idempotency::{Once, Outcome};
use rpc::{Error, Invalid};

use super::draft::CustomerWish;
use super::edit::{ContactEdit, Edit, EditWish, Found, revise};
use super::model::{self, Moment, Opportunity};
use super::{Detail, EXTERNAL_ID_TAKEN, denied, name_the_taker, not_found, store, team_of};
use crate::access::{self, Rights};
use crate::contact;
use crate::currency;
use crate::customer;
use crate::directory;
use crate::meta::Meta;
use crate::pipeline::model::Kind;
use crate::{State, directory::model::Person, pipeline};

/// The operation that an idempotency key is for.
const RESTORE: &str = "RestoreOpportunity";

/// Changes what is named of an opportunity, its stage included.
pub async fn update(
    state: &State,
    caller: &auth::Caller,
    id: i64,
    expected_version: Option<i64>,
    wish: EditWish,
    meta: Meta,
) -> Result<Detail, Error> {
    let mut settings = state.settings.get()?;
    let rights = access::rights(&state.reads, caller, settings.visibility).await?;
    let seen = store::find(&state.reads, id).await?.ok_or_else(|| not_found(id))?.opportunity;
    permit(&rights, &seen, expected_version)?;
    if wish.names_amount() && !settings.currency_fixed {
        settings = state.settings_for_amounts().await?;
    }
    let mut edit = Edit::read(wish, &settings.default_currency);
    let owner = match edit.owner_id.filter(|owner_id| *owner_id != seen.owner_id) {
        Some(owner_id) => edit.faults.check(successor(state, owner_id, &meta).await)?,
        None => None,
    };
    let taken = edit.external_id().map(str::to_owned);
    let sight = rights.read.clone();
    let change = Change { state: state.clone(), by: caller.user_id, rights, edit, owner, meta };
    let change = Arc::new(change);
    let attempt = || {
        let (change, seen) = (Arc::clone(&change), seen.clone());
        rpc::write(async move { change.make(id, expected_version, seen).await })
    };
    let changed = pipeline::by_present_stages(state, attempt).await;
    match (changed, taken) {
        (Err(error), Some(taken)) if error.reason() == EXTERNAL_ID_TAKEN => {
            Err(name_the_taker(state, error, &taken, &sight).await)
        }
        (changed, _) => changed,
    }
}

/// Whoever may see it learns whether they may change it, and whether it is still what they saw.
pub(super) fn permit(
    rights: &Rights,
    opportunity: &Opportunity,
    expected_version: Option<i64>,
) -> Result<(), Error> {
    if !rights.read.covers(opportunity.owned()) {
        return Err(not_found(opportunity.id));
    }
    if !rights.write.covers(opportunity.owned()) {
        return Err(denied("NOT_YOURS", "the caller may not change this opportunity"));
    }
    if expected_version.is_some_and(|version| version != opportunity.version) {
        return Err(Error::Stale { current: Some(opportunity.version) });
    }
    Ok(())
}

/// Who is to own an opportunity that is handed over: there, and active.
async fn successor(state: &State, owner_id: i64, meta: &Meta) -> Result<Person, Error> {
    let invalid = |code, message| Invalid::default().field("owner_id", code, message);
    let owner = directory::person(state, owner_id, meta).await?;
    let owner = owner.ok_or_else(|| invalid("unknown_user", "there is no such user"))?;
    if !owner.is_active {
        return Err(invalid("inactive_user", "this user is not active").into());
    }
    Ok(owner)
}

/// A change that is asked for by who may see the opportunity and change it.
struct Change {
    state: State,
    by: i64,
    rights: Rights,
    edit: Edit,
    owner: Option<Person>,
    meta: Meta,
}

impl Change {
    /// Makes it in one transaction. What is locked comes in one order everywhere: people, customers, opportunities; whom it is about is known only from the
    /// opportunity, so that it begins anew where that has become another meanwhile.
    async fn make(
        &self,
        id: i64,
        expected_version: Option<i64>,
        mut seen: Opportunity,
    ) -> Result<Detail, Error> {
        loop {
            match self.attempt(id, expected_version, &seen).await? {
                Attempt::Done(detail) => return Ok(*detail),
                Attempt::Anew(now) => seen = *now,
            }
        }
    }

    async fn attempt(
        &self,
        id: i64,
        expected_version: Option<i64>,
        seen: &Opportunity,
    ) -> Result<Attempt, Error> {
        let Self { state, by, rights, edit, owner, meta } = self;
        let (pipelines, settings) = (state.pipelines.get()?, state.settings.get()?);
        let mut changes = Vec::new();
        let mut tx = state.writes.begin().await?;
        let owner_id = owner.as_ref().map_or(seen.owner_id, |owner| owner.user_id);
        let custom_fields = state.custom_fields.get()?;
        let mut found = Found { custom_fields, ..Found::default() };
        let holds_owner = owner.is_some() || seen.status != Kind::Open;
        if holds_owner {
            found.team_id = team_of(&mut tx, owner_id).await?;
        }
        let at = meta.recorded_at;
        found.customer = match &edit.customer {
            None => None,
            Some(CustomerWish::Id(id)) => {
                let customer = store::hold_customer(&mut tx, *id, &rights.read, *by).await?;
                let unknown = "there is no such customer";
                let unknown =
                    || Invalid::default().field("customer_id", "unknown_customer", unknown);
                Some(customer.ok_or_else(unknown)?)
            }
            Some(CustomerWish::Name(name)) => {
                let sight = &rights.read;
                let found =
                    customer::find_or_create(&mut tx, name, sight, *by, at, meta, &mut changes);
                let customer = found.await?;
                Some((customer.id, customer.name))
            }
        };
        let customer_id = found.customer.as_ref().map_or(seen.customer_id, |(id, _)| *id);
        let is_other = customer_id != seen.customer_id;
        found.contact_id = match &edit.contact {
            ContactEdit::Keep => is_other.then_some(None),
            ContactEdit::Clear => Some(None),
            ContactEdit::Of { .. } => {
                let so_far = match seen.contact_id.filter(|_| !is_other) {
                    Some(id) => store::contact_name(&mut tx, id).await?,
                    None => None,
                };
                match edit.contact.wish(so_far.as_deref()) {
                    None => Some(None),
                    Some(wish) => {
                        let contact = contact::find_or_create(
                            &mut tx,
                            customer_id,
                            &wish,
                            at,
                            meta,
                            &mut changes,
                        );
                        Some(Some(contact.await?.id))
                    }
                }
            }
        };
        let locked = store::find_for_update(&mut tx, id).await?;
        let (detail, history_id) = locked.ok_or_else(|| not_found(id))?;
        let before = detail.opportunity.clone();
        permit(rights, &before, expected_version)?;
        let is_about_another = before.customer_id != seen.customer_id
            || before.contact_id != seen.contact_id
            || before.owner_id != seen.owner_id
            || before.status != Kind::Open && !holds_owner;
        if is_about_another {
            tx.rollback().await?;
            return Ok(Attempt::Anew(Box::new(before)));
        }
        let codes = [&*before.currency].into_iter().chain(edit.currency());
        let exchange = currency::exchange(&mut *tx, &settings.default_currency, codes).await?;
        let (zone, lost_reasons) = (settings.zone, &*state.lost_reasons.get()?);
        let moment = Moment { at, by: *by, zone, exchange: &exchange, lost_reasons };
        let (after, moved) = revise(&before, edit, &found, &pipelines, history_id, &moment)?;
        if after == before {
            return Ok(Attempt::Done(Box::new(detail)));
        }
        events::outbox::append(&mut tx, &changes).await?;
        let change = meta.moved(Some(&before), &after, moved.as_ref());
        store::update(&mut tx, &before, &after, moved.as_ref(), &events::encode(&change)).await?;
        let detail = store::find(&mut *tx, id).await?.ok_or_else(|| not_found(id))?;
        tx.commit().await?;
        state.wake.wake();
        Ok(Attempt::Done(Box::new(detail)))
    }
}

enum Attempt {
    Done(Box<Detail>),
    /// It is about others than was thought: this is how it is now.
    Anew(Box<Opportunity>),
}

/// Deletes an opportunity, which can be undone. What it was stays in the change log and its history.
pub async fn delete(
    state: &State,
    caller: &auth::Caller,
    id: i64,
    expected_version: Option<i64>,
    meta: Meta,
) -> Result<(), Error> {
    let visibility = state.settings.get()?.visibility;
    let rights = access::rights(&state.reads, caller, visibility).await?;
    let (pool, wake) = (state.writes.clone(), state.wake.clone());
    rpc::write(async move {
        let mut tx = pool.begin().await?;
        let found = store::lock_any(&mut tx, id).await?;
        let before = found.map(|detail| detail.opportunity);
        let before = before.filter(|it| it.deleted_at.is_none()).ok_or_else(|| not_found(id))?;
        permit(&rights, &before, expected_version)?;
        let after = model::delete(&before, meta.recorded_at);
        let change = meta.moved(Some(&before), &after, None);
        store::update(&mut tx, &before, &after, None, &events::encode(&change)).await?;
        tx.commit().await?;
        wake.wake();
        Ok(())
    })
    .await
}

/// Brings a deleted opportunity back as it was; one that is there stays as it is.
pub async fn restore(
    state: &State,
    caller: &auth::Caller,
    id: i64,
    once: Option<Once<Detail>>,
    meta: Meta,
) -> Result<Outcome<Detail>, Error> {
    let visibility = state.settings.get()?.visibility;
    let rights = access::rights(&state.reads, caller, visibility).await?;
    let (pool, wake, by) = (state.writes.clone(), state.wake.clone(), caller.user_id);
    rpc::write(async move {
        let operation = format!("{RESTORE} {id}");
        let mut tx = pool.begin().await?;
        let at = meta.recorded_at;
        if let Some(answer) =
            idempotency::answered(&mut tx, by, &operation, once.as_ref(), at).await?
        {
            return Ok(Outcome::Replay(answer));
        }
        let seen = store::find_any(&mut *tx, id).await?.ok_or_else(|| not_found(id))?.opportunity;
        permit(&rights, &seen, None)?;
        // People come first. Nobody hands over what is deleted.
        let team_id = team_of(&mut tx, seen.owner_id).await?;
        let customer = customer::hold(&mut tx, seen.customer_id).await?;
        let mut detail = store::lock_any(&mut tx, id).await?.ok_or_else(|| not_found(id))?;
        let before = detail.opportunity;
        if before.deleted_at.is_some() {
            permit(&rights, &before, None)?;
            if customer.is_none() {
                let message = "its customer is deleted: restore that first";
                let error = Error::conflict("CUSTOMER_DELETED", message);
                return Err(error.about("customer_id", before.customer_id));
            }
            let after = model::restore(&before, team_id, at);
            let change = meta.moved(Some(&before), &after, None);
            store::update(&mut tx, &before, &after, None, &events::encode(&change)).await?;
            detail.opportunity = after;
        } else {
            detail.opportunity = before;
        }
        idempotency::keep(&mut tx, by, &operation, once.as_ref(), &detail).await?;
        tx.commit().await?;
        wake.wake();
        Ok(Outcome::New(detail))
    })
    .await
}
