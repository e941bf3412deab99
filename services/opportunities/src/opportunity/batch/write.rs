//! Writing what was planned of rows: everything of a kind by one statement, whatever the number of rows.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rpc::Error;
use sqlx::PgConnection;

use super::revision::revised;
use super::{Became, Change, Done, New, Plan, Who};
use crate::access::model::Sight;
use crate::contact::model::ContactWish;
use crate::currency::{self, model::Exchange};
use crate::customer::{self, Asker, several::Held};
use crate::directory;
use crate::meta::Meta;
use crate::opportunity::change::permit;
use crate::opportunity::draft::CustomerWish;
use crate::opportunity::edit::{ContactEdit, Found};
use crate::opportunity::model::{self, Opportunity};
use crate::opportunity::several::{self, Written};
use crate::opportunity::store;
use crate::text::fold;
use crate::{State, contact};

/// Something has become other since it was planned.
fn changed() -> Error {
    Error::conflict("CHANGED_MEANWHILE", "what the rows speak of was changed meanwhile")
}

impl Plan {
    /// Whose it is to be.
    fn owner_id(&self) -> Option<i64> {
        match self {
            Self::Create(new) => Some(new.owner_id),
            Self::Update(change) => Some(change.new_owner_id()),
            Self::Skip(_) | Self::Fail(_) => None,
        }
    }

    /// The customer that it names.
    fn customer(&self) -> Option<&str> {
        match self {
            Self::Create(new) => Some(&new.customer),
            Self::Update(change) => change.customer(),
            Self::Skip(_) | Self::Fail(_) => None,
        }
    }

    /// How many rows of history it may write.
    fn moves(&self) -> usize {
        match self {
            Self::Create(new) => new.steps.len(),
            Self::Update(_) => 1,
            Self::Skip(_) | Self::Fail(_) => 0,
        }
    }
}

impl Change {
    fn new_owner_id(&self) -> i64 {
        self.successor.as_ref().map_or(self.owner_id, |it| it.user_id)
    }

    fn customer(&self) -> Option<&str> {
        match &self.edit.customer {
            Some(CustomerWish::Name(name)) => Some(name),
            _ => None,
        }
    }
}

/// What rows speak of, held until the end of the transaction that writes them.
struct Around {
    teams: HashMap<i64, Option<i64>>,
    customers: Held,
    /// By the place of the row.
    contacts: HashMap<usize, i64>,
    exchange: Exchange,
}

impl Around {
    /// The customer that a row names.
    fn named(&self, name: &str) -> Result<(i64, String), Error> {
        self.customers.named(&fold(name)).ok_or_else(changed)
    }

    fn team(&self, owner_id: i64) -> Result<Option<i64>, Error> {
        self.teams.get(&owner_id).copied().ok_or_else(changed)
    }
}

/// Writes what was planned, in a transaction. Fails where something has become other since: then it is to be planned anew. What is locked comes in one order: people, customers, contacts,
/// opportunities, stages.
pub(crate) async fn write(
    tx: &mut PgConnection,
    state: &State,
    who: &Who,
    plans: Vec<Plan>,
    meta: &Meta,
) -> Result<Vec<Became>, Error> {
    let owners: BTreeSet<i64> = plans.iter().filter_map(Plan::owner_id).collect();
    let owners: Vec<_> = owners.into_iter().collect();
    let teams = directory::store::hold_teams(&mut *tx, &owners).await?.into_iter().collect();
    let mut changes = Vec::new();
    let customers = customers(tx, who, &plans, meta, &mut changes).await?;
    let exchange = Exchange::default();
    let mut around = Around { teams, customers, contacts: HashMap::new(), exchange };
    around.contacts = contacts(tx, &plans, &around, meta, &mut changes).await?;
    let updates = || {
        plans.iter().filter_map(|plan| match plan {
            Plan::Update(change) => Some(change),
            _ => None,
        })
    };
    let ids: Vec<_> = updates().map(|change| change.id).collect();
    let locked = several::lock(tx, &ids).await?;
    let codes = locked.iter().map(|it| &*it.currency);
    let codes = codes.chain(updates().filter_map(|change| change.edit.currency()));
    let own = &state.settings.get()?.default_currency;
    around.exchange = currency::exchange(&mut *tx, own, codes).await?;
    let locked: HashMap<_, _> = locked.into_iter().map(|it| (it.id, it)).collect();
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let new = plans.iter().filter(|plan| matches!(plan, Plan::Create(_))).count();
    let moves = plans.iter().map(Plan::moves).sum();
    let mut ids = store::new_ids(&mut *tx, count(new)).await?.into_iter();
    let mut history_ids = store::history_ids(&mut *tx, count(moves)).await?.into_iter();
    let (mut became, mut written) = (Vec::with_capacity(plans.len()), Vec::new());
    for (index, plan) in plans.into_iter().enumerate() {
        let contact_id = around.contacts.get(&index).copied();
        became.push(match plan {
            Plan::Create(new) => {
                let ids = (ids.next().unwrap_or_default(), &mut history_ids);
                let made = new.made(&around, contact_id, ids, meta)?;
                let done = Done { id: made.after().id, version: made.after().version };
                written.push(made);
                Became::Created(Some(done))
            }
            Plan::Update(change) => {
                let before = locked.get(&change.id).ok_or_else(changed)?;
                let history_id = history_ids.next().unwrap_or_default();
                let with = (contact_id, history_id);
                match change.made(state, who, &around, before, with, meta)? {
                    None => Became::Skipped(change.id),
                    Some(made) => {
                        let done = Done { id: change.id, version: made.after().version };
                        written.push(made);
                        if change.restores {
                            Became::Created(Some(done))
                        } else {
                            Became::Updated(change.id, Some(done))
                        }
                    }
                }
            }
            Plan::Skip(id) => Became::Skipped(id),
            Plan::Fail(faults) => Became::Failed(faults),
        });
    }
    several::write(tx, written, changes).await?;
    Ok(became)
}

/// The customers that rows name, found or made, and those of opportunities of which more than themselves is changed.
async fn customers(
    tx: &mut PgConnection,
    who: &Who,
    plans: &[Plan],
    meta: &Meta,
    changes: &mut Vec<events::Change>,
) -> Result<Held, Error> {
    let mut names = BTreeMap::new();
    for name in plans.iter().filter_map(Plan::customer) {
        // The first spelling is the name of a new one.
        names.entry(fold(name)).or_insert_with(|| name.trim().to_owned());
    }
    let others = plans.iter().filter_map(|plan| match plan {
        Plan::Update(it) if it.customer().is_some() => None,
        Plan::Update(it) if it.restores || matches!(it.edit.contact, ContactEdit::Of { .. }) => {
            Some(it.customer_id)
        }
        _ => None,
    });
    let others = others.collect();
    let (by, read) = (who.caller.user_id, who.rights.read.clone());
    let who = Asker { by, read, write: Sight::Nothing };
    let held = customer::several::find_or_create(tx, &names, &others, &who, meta, changes);
    held.await?.ok_or_else(changed)
}

/// The contacts that rows name, by the place of the row.
async fn contacts(
    tx: &mut PgConnection,
    plans: &[Plan],
    around: &Around,
    meta: &Meta,
    changes: &mut Vec<events::Change>,
) -> Result<HashMap<usize, i64>, Error> {
    let (mut places, mut wishes) = (Vec::new(), Vec::new());
    for (index, plan) in plans.iter().enumerate() {
        let wanted: Option<(i64, ContactWish)> = match plan {
            Plan::Create(new) => match &new.contact {
                Some(wish) => Some((around.named(&new.customer)?.0, wish.clone())),
                None => None,
            },
            Plan::Update(change) => {
                let named = change.customer().map(|name| around.named(name)).transpose()?;
                let customer_id = named.map_or(change.customer_id, |(id, _)| id);
                let is_other = customer_id != change.customer_id;
                let so_far = change.contact_name.as_deref().filter(|_| !is_other);
                change.edit.contact.wish(so_far).map(|wish| (customer_id, wish))
            }
            Plan::Skip(_) | Plan::Fail(_) => None,
        };
        if let Some(wanted) = wanted {
            places.push(index);
            wishes.push(wanted);
        }
    }
    let ids = contact::several::find_or_create(tx, &wishes, meta, changes).await?;
    Ok(places.into_iter().zip(ids.ok_or_else(changed)?).collect())
}

impl New {
    /// It with all that is known only where it is written.
    fn made(
        self,
        around: &Around,
        contact_id: Option<i64>,
        (id, history_ids): (i64, &mut impl Iterator<Item = i64>),
        meta: &Meta,
    ) -> Result<Written, Error> {
        let (customer_id, customer_name) = around.named(&self.customer)?;
        let team_id = around.team(self.owner_id)?;
        let mut steps = self.steps;
        for (it, moved) in &mut steps {
            (it.id, it.contact_id, it.team_id) = (id, contact_id, team_id);
            (it.customer_id, it.customer_name) = (customer_id, customer_name.clone());
            if let Some(moved) = moved {
                moved.id = history_ids.next().unwrap_or_default();
            }
        }
        let made = Written::of(None, steps, meta);
        made.ok_or_else(|| Error::internal("an opportunity that never began"))
    }
}

impl Change {
    /// What is written of it; nothing where all is so by now.
    fn made(
        &self,
        state: &State,
        who: &Who,
        around: &Around,
        before: &Opportunity,
        (contact_id, history_id): (Option<i64>, i64),
        meta: &Meta,
    ) -> Result<Option<Written>, Error> {
        let planned = (self.owner_id, self.customer_id, self.contact_id, self.restores);
        let is_deleted = before.deleted_at.is_some();
        if planned != (before.owner_id, before.customer_id, before.contact_id, is_deleted) {
            return Err(changed());
        }
        permit(&who.rights, before, None).map_err(|_| changed())?;
        let customer = self.customer().map(|name| around.named(name)).transpose()?;
        let is_other = customer.as_ref().is_some_and(|(id, _)| *id != before.customer_id);
        let team_id = around.team(self.new_owner_id())?;
        let found = Found {
            contact_id: match contact_id {
                Some(contact_id) => Some(Some(contact_id)),
                None => is_other.then_some(None),
            },
            customer,
            team_id,
            custom_fields: state.custom_fields.get()?,
        };
        let (mut steps, mut base) = (Vec::new(), before.clone());
        if self.restores {
            base = model::restore(
                before,
                around.team(self.owner_id).unwrap_or(team_id),
                meta.recorded_at,
            );
            steps.push((base.clone(), None));
        }
        let with = (history_id, &around.exchange);
        let revised = revised(state, who, &base, &self.edit, &found, with, meta);
        let (after, moved) = revised.map_err(|_| changed())?;
        if after != base {
            steps.push((after, moved));
        }
        Ok(Written::of(Some(before.clone()), steps, meta))
    }
}
