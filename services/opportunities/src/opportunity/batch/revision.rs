//! Rows of what is there already: a change of it by the rules.

use std::mem;

use rpc::Error;

use super::known::Known;
use super::{Change, Faults, Plan, Who, in_any_case, leave_open};
use crate::State;
use crate::currency::model::Exchange;
use crate::directory::model::Person;
use crate::import::model::Kind;
use crate::meta::Meta;
use crate::opportunity::change::permit;
use crate::opportunity::draft::CustomerWish;
use crate::opportunity::edit::{ContactEdit, Edit, EditWish, Found, revise};
use crate::opportunity::model::{self, Moment, Moved, Opportunity};
use crate::opportunity::{Detail, EXTERNAL_ID_TAKEN};
use crate::sheet::column::Entry;
use crate::state::Rules;
use crate::text::fold;

/// A change of an opportunity that is there, or was deleted when an import was taken back, by the rules.
pub(super) fn update(
    state: &State,
    who: &Who,
    (owner, known): (Option<&Person>, &Known),
    mut entry: Entry,
    detail: &Detail,
    mut faults: Faults,
    meta: &Meta,
) -> Result<Plan, Error> {
    let before = &detail.opportunity;
    let restores = before.deleted_at.is_some();
    if faults.check(may_stand_for(who, known, before))?.is_none() {
        return in_any_case(state, entry, faults);
    }
    faults.check(permit(&who.rights, before, None))?;
    if restores
        && entry.wish.customer_name.is_none()
        && !known.customers.contains(&before.customer_id)
    {
        let message = "its customer is deleted: restore that first, or name one";
        faults.check(Err::<(), _>(Error::conflict("CUSTOMER_DELETED", message)))?;
    }
    let (Rules { pipelines, custom_fields, .. }, settings) =
        (state.rules()?, state.settings.get()?);
    if faults.are_about(&["pipeline_id"]) {
        leave_open(&mut entry, &pipelines);
    }
    let wish = match who.kind {
        Kind::Sales => entry.edit(),
        // What has its past already keeps it.
        Kind::History if !restores => return Ok(faults.or(|| Plan::Skip(before.id))),
        Kind::History => {
            let customer_name = entry.wish.customer_name.clone().map(Some);
            EditWish { customer_name, ..EditWish::default() }
        }
    };
    let successor =
        owner.filter(|owner| owner.user_id != before.owner_id && wish.owner_id.is_some());
    if let Some(successor) = successor {
        faults.check(who.may_give_to(successor))?;
    }
    let wish = if restores { wish } else { other(detail, wish) };
    let mut edit = Edit::read(wish, &settings.default_currency);
    faults.add(mem::take(&mut edit.faults));
    let base = if restores {
        model::restore(before, before.team_id, meta.recorded_at)
    } else {
        before.clone()
    };
    // Whom it names is found when it is written.
    let is_other = match &edit.customer {
        Some(CustomerWish::Name(name)) => fold(name) != fold(&before.customer_name),
        _ => false,
    };
    let found = Found {
        customer: is_other.then(|| (0, String::new())),
        contact_id: match &edit.contact {
            ContactEdit::Of { .. } => Some(Some(0)),
            // With another customer goes the contact.
            _ => is_other.then_some(None),
        },
        team_id: before.team_id,
        custom_fields,
    };
    // By them it is known whether it is known in which stage it is to be.
    edit.faults = faults.told().clone();
    let with = (0, &known.exchange);
    let revised = faults.check(revised(state, who, &base, &edit, &found, with, meta))?;
    let Some((after, _)) = revised.filter(|_| faults.is_empty()) else {
        return Ok(Plan::Fail(faults));
    };
    if after == *before {
        return Ok(Plan::Skip(before.id));
    }
    Ok(Plan::Update(Box::new(Change {
        id: before.id,
        edit,
        successor: successor.cloned(),
        restores,
        owner_id: before.owner_id,
        customer_id: before.customer_id,
        contact_id: before.contact_id,
        contact_name: detail.contact_name.clone(),
    })))
}

/// Whether a row may be about the opportunity that has its `external_id`.
fn may_stand_for(who: &Who, known: &Known, before: &Opportunity) -> Result<(), Error> {
    if !who.rights.read.covers(before.owned()) {
        let message = "an opportunity with this external_id exists";
        return Err(Error::conflict(EXTERNAL_ID_TAKEN, message));
    }
    if before.deleted_at.is_some() && !known.taken_back.contains(&before.id) {
        let id = before.id;
        let message =
            format!("opportunity {id} has this external_id and was deleted: restore it first");
        return Err(Error::conflict("OPPORTUNITY_DELETED", message).about("opportunity_id", id));
    }
    Ok(())
}

/// What of a change names others than there are: a customer or a contact who is called so already is the one that is meant.
fn other(detail: &Detail, mut wish: EditWish) -> EditWish {
    let is = |wish: &rpc::mask::Wish<String>, present: Option<&str>| match wish {
        Some(Some(named)) => present.is_some_and(|it| fold(it) == fold(named)),
        _ => true,
    };
    if is(&wish.customer_name, Some(&detail.opportunity.customer_name)) {
        wish.customer_name = None;
        let (name, email) = (detail.contact_name.as_deref(), detail.contact_email.as_deref());
        if is(&wish.contact_name, name) && is(&wish.contact_email, email) {
            (wish.contact_name, wish.contact_email) = (None, None);
        }
    }
    wish
}

/// It with its change.
pub(super) fn revised(
    state: &State,
    who: &Who,
    before: &Opportunity,
    edit: &Edit,
    found: &Found,
    (history_id, exchange): (i64, &Exchange),
    meta: &Meta,
) -> Result<(Opportunity, Option<Moved>), Error> {
    let (Rules { pipelines, lost_reasons, .. }, settings) = (state.rules()?, state.settings.get()?);
    let (at, by, zone) = (meta.recorded_at, who.caller.user_id, settings.zone);
    let moment = Moment { at, by, zone, exchange, lost_reasons: &lost_reasons };
    Ok(revise(before, edit, found, &pipelines, history_id, &moment)?)
}
