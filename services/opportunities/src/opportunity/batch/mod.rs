//! Rows of a file as opportunities: by the rules of one, several in a transaction.

mod faults;
mod history;
mod known;
mod revision;
mod write;

use std::collections::HashSet;

use auth::{Caller, Role};
use rpc::{Error, Invalid};

use super::change::permit;
use super::draft::{CustomerWish, Draft};
use super::edit::Edit;
use super::model::{self, Moment, Opportunity, Step};
use super::several::Steps;
use super::{blank, denied};
use crate::State;
use crate::access::{self, Rights, model::Owned};
use crate::contact::model::ContactWish;
use crate::currency::model::Exchange;
use crate::custom_field::model::CustomFields;
use crate::directory::model::Person;
use crate::import::model::Kind;
use crate::meta::Meta;
use crate::pipeline::model::Pipelines;
use crate::sheet::column::Entry;
use crate::state::Rules;

pub(crate) use faults::Faults;
use known::Known;
use revision::update;
pub(crate) use write::write;

/// Who brings rows in, what they may do, and what kind of rows those are.
#[derive(PartialEq)]
pub(crate) struct Who {
    caller: Caller,
    rights: Rights,
    kind: Kind,
}

impl Who {
    /// A person as they are at present.
    pub(crate) async fn of(state: &State, caller: Caller, kind: Kind) -> Result<Self, Error> {
        let visibility = state.settings.get()?.visibility;
        let rights = access::rights(&state.reads, &caller, visibility).await?;
        Ok(Self { caller, rights, kind })
    }

    /// Who they are.
    pub(crate) fn user_id(&self) -> i64 {
        self.caller.user_id
    }

    /// Whether they may change an opportunity.
    pub(crate) fn may_change(&self, opportunity: &Opportunity) -> bool {
        permit(&self.rights, opportunity, None).is_ok()
    }

    /// Whether an opportunity may be made for that person, or given to them.
    fn may_give_to(&self, owner: &Person) -> Result<(), Error> {
        if owner.user_id == self.caller.user_id {
            return Ok(());
        }
        if self.caller.role == Role::Rep {
            return Err(denied("OWNER_NOT_SELF", "a rep brings in for themselves only"));
        }
        let theirs = Owned { owner_id: owner.user_id, team_id: owner.team_id };
        if !self.rights.write.covers(theirs) {
            return Err(denied("OWNER_OUT_OF_REACH", "this user is not in the caller's teams"));
        }
        // Of the past somebody may be who is not there any more.
        if self.kind == Kind::Sales && !owner.is_active {
            let message = "this user is not active";
            return Err(Error::invalid("owner_id", "inactive_user", message));
        }
        Ok(())
    }
}

/// What is to become of a row.
pub(crate) enum Plan {
    /// A new opportunity.
    Create(Box<New>),
    /// A change of one that is there, or was deleted when an import was taken back.
    Update(Box<Change>),
    /// It is so already.
    Skip(i64),
    /// It is not good.
    Fail(Faults),
}

/// A new opportunity that follows the rules, all but whose purchase it is and its ids.
pub(crate) struct New {
    steps: Steps,
    customer: String,
    contact: Option<ContactWish>,
    owner_id: i64,
}

/// A change that followed the rules when it was planned.
pub(crate) struct Change {
    id: i64,
    edit: Edit,
    successor: Option<Person>,
    /// Whether it is deleted, and there again afterwards.
    restores: bool,
    /// Whose it was, whose purchase, and who was asked, by id and by name.
    owner_id: i64,
    customer_id: i64,
    contact_id: Option<i64>,
    contact_name: Option<String>,
}

/// What became of a row; in a dry run, what would.
pub(crate) enum Became {
    /// Its opportunity was made.
    Created(Option<Done>),
    /// Its opportunity was changed.
    Updated(i64, Option<Done>),
    /// Its opportunity is so already.
    Skipped(i64),
    /// It is not good.
    Failed(Faults),
}

/// An opportunity as it was written.
#[derive(Clone, Copy)]
pub(crate) struct Done {
    pub(crate) id: i64,
    pub(crate) version: i64,
}

impl From<Plan> for Became {
    /// What would become of it.
    fn from(plan: Plan) -> Self {
        match plan {
            Plan::Create(_) => Self::Created(None),
            Plan::Update(change) if change.restores => Self::Created(None),
            Plan::Update(change) => Self::Updated(change.id, None),
            Plan::Skip(id) => Self::Skipped(id),
            Plan::Fail(faults) => Self::Failed(faults),
        }
    }
}

/// Decides what is to become of rows, of which some may be read only in part, and writes nothing. Which ids of another system earlier rows of the file have is `seen`; the ones of good rows are
/// added to it.
pub(crate) async fn plan(
    state: &State,
    who: &Who,
    rows: Vec<(Entry, Invalid)>,
    seen: &mut HashSet<String>,
    meta: &Meta,
) -> Result<Vec<Plan>, Error> {
    // Lines come to an amount.
    let has_amount = |(entry, unread): &(Entry, Invalid)| {
        let is_named = entry.wish.amount.is_some() || !entry.wish.line_items.is_empty();
        is_named && unread.is_empty()
    };
    if rows.iter().any(has_amount) {
        state.settings_for_amounts().await?;
    }
    let entries: Vec<_> = rows.iter().map(|(entry, _)| entry).collect();
    let known = Known::of(state, who, &entries, meta).await?;
    let mut plans = Vec::with_capacity(rows.len());
    for (entry, unread) in rows {
        let external_id = entry.wish.external_id.clone();
        let is_taken = external_id.as_ref().is_some_and(|id| seen.contains(id));
        let plan = one(state, who, &known, (entry, unread, is_taken), meta)?;
        if !matches!(plan, Plan::Fail(_)) {
            seen.extend(external_id);
        }
        plans.push(plan);
    }
    Ok(plans)
}

fn one(
    state: &State,
    who: &Who,
    known: &Known,
    (mut entry, unread, is_taken): (Entry, Invalid, bool),
    meta: &Meta,
) -> Result<Plan, Error> {
    let mut faults = Faults::of(unread);
    if faults.are_about(&[""]) {
        // Its cells may stand under the headers of others.
        return Ok(Plan::Fail(faults));
    }
    if is_taken {
        let message = "an earlier row of the file has it";
        faults.add(Invalid::default().field("external_id", "duplicate", message));
    }
    let owner = faults.check(known.owner(&entry))?.flatten();
    entry.wish.owner_id = owner.map(|owner| owner.user_id);
    if faults.are_about(&["external_id"]) {
        return in_any_case(state, entry, faults);
    }
    let external_id = entry.wish.external_id.as_deref();
    if let Some(detail) = external_id.and_then(|id| known.by_external_id.get(id)) {
        return update(state, who, (owner, known), entry, detail, faults, meta);
    }
    let own = known.people.get(&who.caller.user_id);
    let owner = owner.or(own).ok_or_else(|| Error::internal("an unknown importer"))?;
    faults.check(who.may_give_to(owner))?;
    match who.kind {
        Kind::Sales => begin(state, who, owner, entry, &known.exchange, faults, meta),
        Kind::History => history::begin(state, owner, entry, &known.exchange, faults, meta),
    }
}

/// A row of which it is not known what it is about: what is wrong with it in any case.
fn in_any_case(state: &State, mut entry: Entry, mut faults: Faults) -> Result<Plan, Error> {
    let Rules { pipelines, custom_fields, .. } = state.rules()?;
    let currency = &state.settings.get()?.default_currency;
    leave_open(&mut entry, &pipelines);
    let read = Draft::read(&entry.wish, &pipelines, &custom_fields, currency);
    let (Ok((_, wrong)) | Err(wrong)) = read;
    faults.add(wrong);
    Ok(Plan::Fail(faults))
}

/// Where it is not known which pipeline is meant, the stage of any may be, and what is in none of them is wrong in any case.
fn leave_open(entry: &mut Entry, pipelines: &Pipelines) {
    if entry.wish.pipeline_id.is_none() {
        entry.wish.stage.take_if(|it| pipelines.iter().any(|one| one.find(it).is_some()));
    }
}

/// A new opportunity by the rules.
fn begin(
    state: &State,
    who: &Who,
    owner: &Person,
    mut entry: Entry,
    exchange: &Exchange,
    mut faults: Faults,
    meta: &Meta,
) -> Result<Plan, Error> {
    let (Rules { pipelines, custom_fields, lost_reasons }, settings) =
        (state.rules()?, state.settings.get()?);
    let currency = &settings.default_currency;
    let Some(draft) = draft(&mut entry, &pipelines, &custom_fields, currency, &mut faults) else {
        return Ok(Plan::Fail(faults));
    };
    let (at, by, zone) = (meta.recorded_at, who.caller.user_id, settings.zone);
    let moment = Moment { at, by, zone, exchange, lost_reasons: &lost_reasons };
    let mut opportunity = blank(&draft, 0, owner, by);
    // A day on which it closed is not before this one.
    opportunity.created_at = at;
    // What the stage asks for of the contact is met by a contact that will be made.
    opportunity.contact_id = draft.contact.as_ref().map(|_| 0);
    let step = Step { actual_close_date: entry.actual_close_date, ..draft.step() };
    let begun = faults.check(model::begin(&mut opportunity, draft.stage, &step, 0, &moment))?;
    match begun.filter(|_| faults.is_empty()) {
        Some(moved) => New::of(draft, vec![(opportunity, Some(moved))], owner),
        None => Ok(Plan::Fail(faults)),
    }
}

/// What a row says of a new opportunity, as far as it is good; nothing where it is not known in which stage it is to be.
fn draft<'a>(
    entry: &mut Entry,
    pipelines: &'a Pipelines,
    custom_fields: &CustomFields,
    default_currency: &str,
    faults: &mut Faults,
) -> Option<Draft<'a>> {
    if faults.are_about(&["pipeline_id"]) {
        leave_open(entry, pipelines);
    }
    let read = Draft::read(&entry.wish, pipelines, custom_fields, default_currency);
    let (draft, wrong) = match read {
        Ok((draft, wrong)) => (Some(draft), wrong),
        Err(wrong) => (None, wrong),
    };
    faults.add(wrong);
    draft.filter(|_| !faults.are_about(&["pipeline_id", "stage"]))
}

impl New {
    fn of(draft: Draft<'_>, steps: Steps, owner: &Person) -> Result<Plan, Error> {
        let CustomerWish::Name(customer) = draft.customer else {
            return Err(Error::internal("a row that names a customer by id"));
        };
        let new = Self { steps, customer, contact: draft.contact, owner_id: owner.user_id };
        Ok(Plan::Create(Box::new(new)))
    }
}
