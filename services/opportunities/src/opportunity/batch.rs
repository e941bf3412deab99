//! Rows of a file as opportunities: by the rules of one, several in a transaction.

use std::collections::{BTreeSet, HashMap};

use auth::{Caller, Role};
use rpc::{Error, Invalid};
use sqlx::PgConnection;

use super::change::permit;
use super::draft::{CustomerWish, Draft};
use super::edit::{ContactEdit, Edit, EditWish, Found, revise};
use super::model::{self, Moment, Opportunity, Step};
use super::{Detail, EXTERNAL_ID_TAKEN, blank, denied, insert, store};
use crate::access::{self, Rights, model::Owned};
use crate::currency::{self, model::Exchange};
use crate::directory::{self, model::Person};
use crate::meta::Meta;
use crate::pipeline::model::Kind;
use crate::sheet::column::Entry;
use crate::state::Rules;
use crate::text::fold;
use crate::{State, contact, customer};

/// Who brings rows in, and what they may do.
pub(crate) struct Who {
    caller: Caller,
    rights: Rights,
}

impl Who {
    /// A person as they are at present.
    pub(crate) async fn of(state: &State, caller: Caller) -> Result<Self, Error> {
        let visibility = state.settings.get()?.visibility;
        let rights = access::rights(&state.reads, &caller, visibility).await?;
        Ok(Self { caller, rights })
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
    Create(Box<Entry>, Person),
    /// A change of one that is there.
    Update(i64, Box<Edit>, Option<Person>),
    /// It is so already.
    Skip(i64),
    /// It is not good.
    Fail(Error),
}

impl Plan {
    /// The currency that it names.
    fn currency(&self) -> Option<&str> {
        match self {
            Self::Create(entry, _) => entry.wish.currency.as_deref(),
            Self::Update(_, edit, _) => edit.currency(),
            Self::Skip(_) | Self::Fail(_) => None,
        }
    }
}

/// What became of a row.
pub(crate) struct Done {
    pub(crate) id: i64,
    pub(crate) version: i64,
}

/// What rows speak of, as it is at present.
struct Known {
    people: Vec<Person>,
    exchange: Exchange,
    by_external_id: HashMap<String, Detail>,
}

/// Decides what is to become of rows, and writes nothing.
pub(crate) async fn plan(
    state: &State,
    who: &Who,
    rows: Vec<Result<Entry, Invalid>>,
    meta: &Meta,
) -> Result<Vec<Plan>, Error> {
    let good = || rows.iter().flatten();
    if good().any(|entry| entry.wish.amount.is_some()) {
        state.settings_for_amounts().await?;
    }
    let external: Vec<_> = good().filter_map(|it| it.wish.external_id.clone()).collect();
    let found = store::of_external_ids(&state.reads, &external).await?;
    let by_external_id = found
        .into_iter()
        .filter_map(|detail| Some((detail.opportunity.external_id.clone()?, detail)));
    let by_external_id: HashMap<_, _> = by_external_id.collect();
    let present = by_external_id.values().map(|it| &*it.opportunity.currency);
    let named = good().filter_map(|it| it.wish.currency.as_deref());
    let own = &state.settings.get()?.default_currency;
    let exchange = currency::exchange(&state.reads, own, present.chain(named)).await?;
    let emails: Vec<_> = good().filter_map(|it| it.owner_email.as_deref().map(fold)).collect();
    let mut people = directory::store::of_addresses(&state.reads, &emails).await?;
    let named = good().filter_map(|it| it.wish.owner_id).chain([who.caller.user_id]);
    for id in named.collect::<BTreeSet<_>>() {
        if let Some(person) = directory::person(state, id, meta).await? {
            people.push(person);
        }
    }
    let known = Known { people, exchange, by_external_id };
    let mut plans = Vec::with_capacity(rows.len());
    for row in rows {
        let planned =
            row.map_err(Error::from).and_then(|entry| one(state, who, &known, entry, meta));
        plans.push(match planned {
            Ok(plan) => plan,
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
    let owner = owner(known, &entry)?;
    entry.wish.owner_id = owner.map(|owner| owner.user_id);
    let external_id = entry.wish.external_id.as_deref();
    if let Some(detail) = external_id.and_then(|id| known.by_external_id.get(id)) {
        return update(state, who, (owner, known), &entry, detail, meta);
    }
    let own = known.people.iter().find(|it| it.user_id == who.caller.user_id);
    let owner = owner.or(own).ok_or_else(|| Error::internal("an unknown importer"))?;
    if !owner.is_active {
        return Err(inactive());
    }
    who.may_give_to(owner)?;
    let by = who.caller.user_id;
    begin(state, owner, &entry, (0, 0), (by, &known.exchange), meta)?;
    Ok(Plan::Create(Box::new(entry), owner.clone()))
}

fn inactive() -> Error {
    Invalid::default().field("owner_id", "inactive_user", "this user is not active").into()
}

/// Whom a row names as owner.
fn owner<'a>(known: &'a Known, entry: &Entry) -> Result<Option<&'a Person>, Invalid> {
    let (field, found) = match (&entry.owner_email, entry.wish.owner_id) {
        (Some(email), _) => {
            let email = fold(email);
            ("owner_email", known.people.iter().find(|it| fold(&it.email) == email))
        }
        (None, Some(id)) => ("owner_id", known.people.iter().find(|it| it.user_id == id)),
        (None, None) => return Ok(None),
    };
    let unknown = || Invalid::default().field(field, "unknown_user", "there is no such user");
    found.map(Some).ok_or_else(unknown)
}

/// A new opportunity by the rules, all but whose purchase it is.
fn begin(
    state: &State,
    owner: &Person,
    entry: &Entry,
    (id, history_id): (i64, i64),
    (by, exchange): (i64, &Exchange),
    meta: &Meta,
) -> Result<(Opportunity, model::Moved, CustomerWish, Option<contact::model::ContactWish>), Error> {
    let (Rules { pipelines, custom_fields, lost_reasons }, settings) =
        (state.rules()?, state.settings.get()?);
    let draft = Draft::parse(&entry.wish, &pipelines, &custom_fields, &settings.default_currency)?;
    let (at, zone) = (meta.recorded_at, settings.zone);
    let moment = Moment { at, by, zone, exchange, lost_reasons: &lost_reasons };
    let mut opportunity = blank(&draft, id, owner, by);
    // A day on which it closed is not before this one.
    opportunity.created_at = at;
    // What the stage asks for of the contact is met by a contact that will be made.
    opportunity.contact_id = draft.contact.as_ref().map(|_| 0);
    let step = Step { actual_close_date: entry.actual_close_date, ..draft.step() };
    let moved = model::begin(&mut opportunity, draft.stage, &step, history_id, &moment)?;
    Ok((opportunity, moved, draft.customer, draft.contact))
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
    if before.deleted_at.is_some() {
        let message = "the opportunity with this external_id was deleted";
        return Err(Error::conflict("OPPORTUNITY_DELETED", message));
    }
    permit(&who.rights, before, None)?;
    let successor = owner.filter(|owner| owner.user_id != before.owner_id);
    if let Some(successor) = successor {
        if !successor.is_active {
            return Err(inactive());
        }
        who.may_give_to(successor)?;
    }
    let settings = state.settings.get()?;
    let edit = Edit::parse(other(detail, entry.edit()), &settings.default_currency)?;
    // Whom it names is found when it is written.
    let found = Found {
        customer: edit.customer.as_ref().map(|_| (0, String::new())),
        contact_id: match (&edit.contact, &edit.customer) {
            (ContactEdit::Of { .. }, _) => Some(Some(0)),
            // With another customer goes the contact.
            (_, Some(_)) => Some(None),
            (_, None) => None,
        },
        team_id: before.team_id,
        custom_fields: state.custom_fields.get()?,
    };
    let (after, _) = revised(state, who, before, &edit, &found, (0, &known.exchange), meta)?;
    if after == *before {
        return Ok(Plan::Skip(before.id));
    }
    Ok(Plan::Update(before.id, Box::new(edit), successor.cloned()))
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
) -> Result<(Opportunity, Option<model::Moved>), Error> {
    let (Rules { pipelines, lost_reasons, .. }, settings) = (state.rules()?, state.settings.get()?);
    let (at, by, zone) = (meta.recorded_at, who.caller.user_id, settings.zone);
    let moment = Moment { at, by, zone, exchange, lost_reasons: &lost_reasons };
    Ok(revise(before, edit, found, &pipelines, history_id, &moment)?)
}

/// Writes what was planned, in a transaction; what became of each row that is not skipped and not bad. Fails where something has become other since it was planned: then it is to
/// be planned anew. What is locked comes in one order: people, customers, contacts, opportunities.
#[expect(clippy::too_many_lines, reason = "one transaction, in the order of its locks")]
pub(crate) async fn write(
    tx: &mut PgConnection,
    state: &State,
    who: &Who,
    plans: &[Plan],
    meta: &Meta,
) -> Result<Vec<Option<Done>>, Error> {
    let updated: Vec<_> = plans
        .iter()
        .filter_map(|plan| match plan {
            Plan::Update(id, ..) => Some(*id),
            _ => None,
        })
        .collect();
    let mut owners = store::owners_of(&mut *tx, &updated).await?;
    owners.extend(plans.iter().filter_map(|plan| match plan {
        Plan::Create(_, owner) | Plan::Update(_, _, Some(owner)) => Some(owner.user_id),
        _ => None,
    }));
    let teams = directory::store::hold_teams(&mut *tx, &owners).await?;
    let teams: HashMap<i64, Option<i64>> = teams.into_iter().collect();
    let count = i64::try_from(plans.len()).unwrap_or(i64::MAX);
    let history_ids = store::history_ids(&state.reads, count).await?;
    let ids = store::new_ids(&state.reads, count).await?;
    let customers = customers(tx, who, plans, meta).await?;
    let mut changes = Vec::new();
    let present = store::of_ids(&mut *tx, &updated).await?;
    let present: HashMap<i64, Detail> =
        present.into_iter().map(|detail| (detail.opportunity.id, detail)).collect();
    let mut contacts = HashMap::new();
    for (index, plan) in plans.iter().enumerate() {
        let (customer_id, wish) = match plan {
            Plan::Create(entry, _) => {
                let customer = customer_of(&customers, entry.wish.customer_name.as_deref())?;
                let name = entry.wish.contact_name.clone();
                let name = name.map(|it| it.trim().to_owned()).filter(|it| !it.is_empty());
                let email = entry.wish.contact_email.clone();
                let email = email.map(|it| it.trim().to_owned()).filter(|it| !it.is_empty());
                (customer.0, contact::model::ContactWish::new(name, email))
            }
            Plan::Update(id, edit, _) => {
                let present = present.get(id).ok_or_else(changed)?;
                let customer_id = match &edit.customer {
                    Some(CustomerWish::Name(name)) => customer_of(&customers, Some(name))?.0,
                    _ => present.opportunity.customer_id,
                };
                let is_other = customer_id != present.opportunity.customer_id;
                let so_far = present.contact_name.as_deref().filter(|_| !is_other);
                (customer_id, edit.contact.wish(so_far))
            }
            Plan::Skip(_) | Plan::Fail(_) => continue,
        };
        if let Some(wish) = wish {
            let at = meta.recorded_at;
            let contact =
                contact::find_or_create(&mut *tx, customer_id, &wish, at, meta, &mut changes);
            contacts.insert(index, contact.await?.id);
        }
    }
    events::outbox::append(&mut *tx, &changes).await?;
    let locked = store::lock_all(&mut *tx, &updated).await?;
    let locked: HashMap<i64, Detail> =
        locked.into_iter().map(|detail| (detail.opportunity.id, detail)).collect();
    let codes = locked.values().map(|it| &*it.opportunity.currency);
    let codes = codes.chain(plans.iter().filter_map(Plan::currency));
    let own = &state.settings.get()?.default_currency;
    let exchange = currency::exchange(&mut *tx, own, codes).await?;
    let mut done = Vec::with_capacity(plans.len());
    for (index, plan) in plans.iter().enumerate() {
        let (id, history_id) = (ids[index], history_ids[index]);
        let contact_id = contacts.get(&index).copied();
        done.push(match plan {
            Plan::Create(entry, owner) => {
                let customer = customer_of(&customers, entry.wish.customer_name.as_deref())?;
                let by = who.caller.user_id;
                let ids = (id, history_id);
                let begun = begin(state, owner, entry, ids, (by, &exchange), meta);
                let (mut it, moved, ..) = begun.map_err(|_| changed())?;
                (it.customer_id, it.customer_name) = customer.clone();
                it.contact_id = contact_id;
                it.team_id = teams.get(&owner.user_id).copied().ok_or_else(changed)?;
                insert(&mut *tx, &mut it, &moved, meta).await?;
                Some(Done { id, version: it.version })
            }
            Plan::Update(id, edit, successor) => {
                let before = &locked.get(id).ok_or_else(changed)?.opportunity;
                let customer = match &edit.customer {
                    Some(CustomerWish::Name(name)) => {
                        Some(customer_of(&customers, Some(name))?.clone())
                    }
                    _ => None,
                };
                let is_other = customer.as_ref().is_some_and(|(id, _)| *id != before.customer_id);
                let contact_id = match contact_id {
                    Some(contact_id) => Some(Some(contact_id)),
                    None => is_other.then_some(None),
                };
                let owner_id = successor.as_ref().map_or(before.owner_id, |it| it.user_id);
                let team = teams.get(&owner_id).copied();
                if team.is_none() && before.status != Kind::Open {
                    return Err(changed());
                }
                let custom_fields = state.custom_fields.get()?;
                let team_id = team.flatten();
                let found = Found { customer, contact_id, team_id, custom_fields };
                permit(&who.rights, before, None).map_err(|_| changed())?;
                let with = (history_id, &exchange);
                let revised = revised(state, who, before, edit, &found, with, meta);
                let (after, moved) = revised.map_err(|_| changed())?;
                if after != *before {
                    let change = meta.moved(Some(before), &after, moved.as_ref());
                    let encoded = events::encode(&change);
                    store::update(&mut *tx, before, &after, moved.as_ref(), &encoded).await?;
                }
                Some(Done { id: *id, version: after.version })
            }
            Plan::Skip(_) | Plan::Fail(_) => None,
        });
    }
    Ok(done)
}

/// Something has become other since it was planned.
fn changed() -> Error {
    Error::conflict("CHANGED_MEANWHILE", "what the rows speak of was changed meanwhile")
}

/// The customers that rows name, by folded name: found, or made.
async fn customers(
    tx: &mut PgConnection,
    who: &Who,
    plans: &[Plan],
    meta: &Meta,
) -> Result<HashMap<String, (i64, String)>, Error> {
    let named = plans.iter().filter_map(|plan| match plan {
        Plan::Create(entry, _) => entry.wish.customer_name.as_deref(),
        Plan::Update(_, edit, _) => match &edit.customer {
            Some(CustomerWish::Name(name)) => Some(&**name),
            _ => None,
        },
        Plan::Skip(_) | Plan::Fail(_) => None,
    });
    // In one order, so that two imports do not wait for each other; the first spelling is the name of a new one.
    let mut names: Vec<(String, &str)> = named.map(|name| (fold(name), name.trim())).collect();
    names.sort_by(|one, other| one.0.cmp(&other.0));
    names.dedup_by(|one, other| one.0 == other.0);
    let (mut found, mut changes) = (HashMap::with_capacity(names.len()), Vec::new());
    let (by, at, sight) = (who.caller.user_id, meta.recorded_at, &who.rights.read);
    for (folded, name) in names {
        let customer =
            customer::find_or_create(&mut *tx, name, sight, by, at, meta, &mut changes).await?;
        found.insert(folded, (customer.id, customer.name));
    }
    events::outbox::append(&mut *tx, &changes).await?;
    Ok(found)
}

fn customer_of<'a>(
    customers: &'a HashMap<String, (i64, String)>,
    name: Option<&str>,
) -> Result<&'a (i64, String), Error> {
    let found = name.and_then(|name| customers.get(&fold(name)));
    found.ok_or_else(|| Error::internal("a row whose customer was not found"))
}
