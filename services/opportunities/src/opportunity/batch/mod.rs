//! Rows of a file as opportunities: by the rules of one, several in a transaction.

mod history;
mod write;

use std::collections::{BTreeSet, HashMap, HashSet};

use auth::{Caller, Role};
use rpc::{Error, Invalid};

use super::change::permit;
use super::draft::{CustomerWish, Draft};
use super::edit::{ContactEdit, Edit, EditWish, Found, revise};
use super::model::{self, Moment, Moved, Opportunity, Step};
use super::several::Steps;
use super::{Detail, EXTERNAL_ID_TAKEN, blank, denied, store};
use crate::access::{self, Rights, model::Owned};
use crate::contact::model::ContactWish;
use crate::currency::{self, model::Exchange};
use crate::directory::{self, model::Person};
use crate::import::model::Kind;
use crate::meta::Meta;
use crate::sheet::column::Entry;
use crate::state::Rules;
use crate::text::fold;
use crate::{State, customer};

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
    Fail(Error),
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
    Failed(Error),
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
            Plan::Fail(error) => Self::Failed(error),
        }
    }
}

/// What rows speak of, as it is at present.
struct Known {
    people: HashMap<i64, Person>,
    /// By folded address.
    ids: HashMap<String, i64>,
    exchange: Exchange,
    by_external_id: HashMap<String, Detail>,
    /// Which of those were deleted when an import was taken back.
    taken_back: HashSet<i64>,
    /// Which customers of those are there.
    customers: HashSet<i64>,
}

impl Known {
    async fn of(state: &State, who: &Who, entries: &[&Entry], meta: &Meta) -> Result<Self, Error> {
        let entries = || entries.iter().copied();
        let external: Vec<_> = entries().filter_map(|it| it.wish.external_id.clone()).collect();
        let found = store::of_external_ids(&state.reads, &external).await?;
        let deleted = found.iter().map(|it| &it.opportunity);
        let deleted: Vec<_> = deleted.filter(|it| it.deleted_at.is_some()).collect();
        let (ids, customer_ids): (Vec<_>, Vec<_>) =
            deleted.into_iter().map(|it| (it.id, it.customer_id)).unzip();
        let (mut taken_back, mut customers) = (Vec::new(), Vec::new());
        if !ids.is_empty() {
            taken_back = store::taken_back(&state.reads, &ids).await?;
            customers = customer::several::living(&state.reads, &customer_ids).await?;
        }
        let by_external_id = found
            .into_iter()
            .filter_map(|detail| Some((detail.opportunity.external_id.clone()?, detail)));
        let by_external_id: HashMap<_, _> = by_external_id.collect();
        let present = by_external_id.values().map(|it| &*it.opportunity.currency);
        // The others are the fault of their rows.
        let named = entries().filter_map(|it| it.wish.currency.as_deref());
        let named = named.filter(|code| currency::code::is_known(code));
        let own = &state.settings.get()?.default_currency;
        let exchange = currency::exchange(&state.reads, own, present.chain(named)).await?;
        let emails: BTreeSet<_> =
            entries().filter_map(|it| it.owner_email.as_deref().map(fold)).collect();
        let emails: Vec<_> = emails.into_iter().collect();
        let mut people = HashMap::new();
        if !emails.is_empty() {
            people.extend(directory::store::of_addresses(&state.reads, &emails).await?);
        }
        let ids = people.values().map(|it: &Person| (fold(&it.email), it.user_id)).collect();
        let named = entries().filter_map(|it| it.wish.owner_id).chain([who.caller.user_id]);
        let named: BTreeSet<_> = named.filter(|id| !people.contains_key(id)).collect();
        people.extend(directory::people(state, &named, meta).await?);
        let (taken_back, customers) =
            (taken_back.into_iter().collect(), customers.into_iter().collect());
        Ok(Self { people, ids, exchange, by_external_id, taken_back, customers })
    }

    /// Whom a row names as owner.
    fn owner(&self, entry: &Entry) -> Result<Option<&Person>, Invalid> {
        let (field, id) = match (&entry.owner_email, entry.wish.owner_id) {
            (Some(email), _) => ("owner_email", self.ids.get(&fold(email)).copied()),
            (None, Some(id)) => ("owner_id", Some(id)),
            (None, None) => return Ok(None),
        };
        let unknown = || Invalid::default().field(field, "unknown_user", "there is no such user");
        id.and_then(|id| self.people.get(&id)).map(Some).ok_or_else(unknown)
    }
}

/// Decides what is to become of rows, and writes nothing. Which ids of another system earlier rows of the file have is `seen`; the ones of good rows are added to it.
pub(crate) async fn plan(
    state: &State,
    who: &Who,
    rows: Vec<Result<Entry, Invalid>>,
    seen: &mut HashSet<String>,
    meta: &Meta,
) -> Result<Vec<Plan>, Error> {
    let entries: Vec<_> = rows.iter().flatten().collect();
    // Lines come to an amount.
    let has_amount =
        |entry: &&Entry| entry.wish.amount.is_some() || !entry.wish.line_items.is_empty();
    if entries.iter().any(has_amount) {
        state.settings_for_amounts().await?;
    }
    let known = Known::of(state, who, &entries, meta).await?;
    let mut plans = Vec::with_capacity(rows.len());
    for row in rows {
        let external_id = row.as_ref().ok().and_then(|entry| entry.wish.external_id.clone());
        let planned = match row {
            Ok(_) if external_id.as_ref().is_some_and(|id| seen.contains(id)) => {
                let message = "an earlier row of the file has it";
                Err(Error::invalid("external_id", "duplicate", message))
            }
            Ok(entry) => one(state, who, &known, entry, meta),
            Err(invalid) => Err(invalid.into()),
        };
        plans.push(match planned {
            Ok(plan) => {
                seen.extend(external_id);
                plan
            }
            Err(error @ (Error::Internal(_) | Error::Unavailable { .. })) => return Err(error),
            Err(error) => Plan::Fail(error),
        });
    }
    Ok(plans)
}

fn one(
    state: &State,
    who: &Who,
    known: &Known,
    mut entry: Entry,
    meta: &Meta,
) -> Result<Plan, Error> {
    let owner = known.owner(&entry)?;
    entry.wish.owner_id = owner.map(|owner| owner.user_id);
    let external_id = entry.wish.external_id.as_deref();
    if let Some(detail) = external_id.and_then(|id| known.by_external_id.get(id)) {
        return update(state, who, (owner, known), &entry, detail, meta);
    }
    let own = known.people.get(&who.caller.user_id);
    let owner = owner.or(own).ok_or_else(|| Error::internal("an unknown importer"))?;
    who.may_give_to(owner)?;
    let begun = match who.kind {
        Kind::Sales if !owner.is_active => return Err(inactive()),
        Kind::Sales => begin(state, who, owner, &entry, &known.exchange, meta)?,
        Kind::History => history::begin(state, owner, &entry, &known.exchange, meta)?,
    };
    Ok(Plan::Create(Box::new(begun)))
}

fn inactive() -> Error {
    Invalid::default().field("owner_id", "inactive_user", "this user is not active").into()
}

/// A new opportunity by the rules.
fn begin(
    state: &State,
    who: &Who,
    owner: &Person,
    entry: &Entry,
    exchange: &Exchange,
    meta: &Meta,
) -> Result<New, Error> {
    let (Rules { pipelines, custom_fields, lost_reasons }, settings) =
        (state.rules()?, state.settings.get()?);
    let draft = Draft::parse(&entry.wish, &pipelines, &custom_fields, &settings.default_currency)?;
    let (at, by, zone) = (meta.recorded_at, who.caller.user_id, settings.zone);
    let moment = Moment { at, by, zone, exchange, lost_reasons: &lost_reasons };
    let mut opportunity = blank(&draft, 0, owner, by);
    // A day on which it closed is not before this one.
    opportunity.created_at = at;
    // What the stage asks for of the contact is met by a contact that will be made.
    opportunity.contact_id = draft.contact.as_ref().map(|_| 0);
    let step = Step { actual_close_date: entry.actual_close_date, ..draft.step() };
    let moved = model::begin(&mut opportunity, draft.stage, &step, 0, &moment)?;
    New::of(draft, vec![(opportunity, Some(moved))], owner)
}

impl New {
    fn of(draft: Draft<'_>, steps: Steps, owner: &Person) -> Result<Self, Error> {
        let CustomerWish::Name(customer) = draft.customer else {
            return Err(Error::internal("a row that names a customer by id"));
        };
        Ok(Self { steps, customer, contact: draft.contact, owner_id: owner.user_id })
    }
}

fn update(
    state: &State,
    who: &Who,
    (owner, known): (Option<&Person>, &Known),
    entry: &Entry,
    detail: &Detail,
    meta: &Meta,
) -> Result<Plan, Error> {
    let before = &detail.opportunity;
    if !who.rights.read.covers(before.owned()) {
        let message = "an opportunity with this external_id exists";
        return Err(Error::conflict(EXTERNAL_ID_TAKEN, message));
    }
    let restores = before.deleted_at.is_some();
    if restores && !known.taken_back.contains(&before.id) {
        let message = format!(
            "opportunity {} has this external_id and was deleted: restore it first",
            before.id
        );
        let error = Error::conflict("OPPORTUNITY_DELETED", message);
        return Err(error.about("opportunity_id", before.id));
    }
    permit(&who.rights, before, None)?;
    if restores
        && entry.wish.customer_name.is_none()
        && !known.customers.contains(&before.customer_id)
    {
        let message = "its customer is deleted: restore that first, or name one";
        return Err(Error::conflict("CUSTOMER_DELETED", message));
    }
    let wish = match who.kind {
        Kind::Sales => entry.edit(),
        // What has its past already keeps it.
        Kind::History if !restores => return Ok(Plan::Skip(before.id)),
        Kind::History => {
            let customer_name = entry.wish.customer_name.clone().map(Some);
            EditWish { customer_name, ..EditWish::default() }
        }
    };
    let successor =
        owner.filter(|owner| owner.user_id != before.owner_id && wish.owner_id.is_some());
    if let Some(successor) = successor {
        if !successor.is_active {
            return Err(inactive());
        }
        who.may_give_to(successor)?;
    }
    let wish = if restores { wish } else { other(detail, wish) };
    let edit = Edit::parse(wish, &state.settings.get()?.default_currency)?;
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
        custom_fields: state.custom_fields.get()?,
    };
    let (after, _) = revised(state, who, &base, &edit, &found, (0, &known.exchange), meta)?;
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

fn revised(
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
