//! Opportunities as they were before they were written, where nobody has changed them since.

use std::collections::{BTreeSet, HashMap};

use chrono::TimeDelta;
use rpc::Error;
use sqlx::PgConnection;

use super::batch::Who;
use super::model::{self, Moved, Opportunity};
use super::several::{self, Steps};
use super::{event, store};
use crate::meta::Meta;
use crate::pipeline::model::{Kind, Pipelines};
use crate::{State, contact, customer, directory};

/// An opportunity that was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    pub(crate) id: i64,
    /// Its version after that.
    pub(crate) version: i64,
    /// Whether it was made then.
    pub(crate) is_new: bool,
}

/// Who takes it back.
pub(crate) enum By {
    /// Somebody, as far as they may.
    Person(Who),
    /// This service, because what somebody wanted to be written as a whole was not: what was made is deleted, even where somebody has changed it since.
    Service { instead_of: i64 },
}

/// Why an opportunity stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Somebody has changed it since.
    Changed,
    /// Who takes it back may not change it.
    NotYours,
    /// What it was is not there any more.
    NotPossible,
}

impl Kept {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Changed, Self::NotYours, Self::NotPossible];
}

/// What opportunities were before they were written, and what that speaks of, held until the end of the transaction.
struct Past {
    told: HashMap<(i64, i64), Vec<u8>>,
    old: HashMap<i64, Opportunity>,
    teams: HashMap<i64, Option<i64>>,
    customers: customer::several::Held,
    /// The customer of each contact that is there.
    contacts: HashMap<i64, i64>,
}

impl Past {
    /// People come first, then customers, then contacts, as everywhere.
    async fn hold(tx: &mut PgConnection, written: &[Written]) -> Result<Self, Error> {
        let ids: Vec<_> = written.iter().map(|it| it.id).collect();
        let changed = || written.iter().filter(|it| !it.is_new);
        let versions = written.iter().map(|it| (it.id, it.version));
        let versions: Vec<_> =
            versions.chain(changed().map(|it| (it.id, it.version - 1))).collect();
        let told = store::told(&mut *tx, &versions).await?;
        let old = changed().filter_map(|it| {
            Some((it.id, event::opportunity(told.get(&(it.id, it.version - 1))?)?))
        });
        let old: HashMap<i64, Opportunity> = old.collect();
        let mut owners = store::owners_of(&mut *tx, &ids).await?;
        owners.extend(old.values().map(|it| it.owner_id));
        let teams = directory::store::hold_teams(&mut *tx, &owners).await?.into_iter().collect();
        let customer_ids: BTreeSet<_> = old.values().map(|it| it.customer_id).collect();
        let customer_ids: Vec<_> = customer_ids.into_iter().collect();
        let customers = customer::several::hold(&mut *tx, &customer_ids).await?;
        let contact_ids: Vec<_> = old.values().filter_map(|it| it.contact_id).collect();
        let contacts = contact::store::lock(&mut *tx, &contact_ids).await?;
        let living = contacts.into_iter().filter(|it| it.deleted_at.is_none());
        let contacts = living.map(|it| (it.id, it.customer_id)).collect();
        Ok(Self { told, old, teams, customers, contacts })
    }

    fn is_as_written(&self, now: &Opportunity, it: &Written) -> bool {
        now.version == it.version
            || self.told.get(&(it.id, it.version)).is_some_and(|told| event::is_as_told(now, told))
    }

    /// What one that was changed was before, as its next version.
    fn before(
        &self,
        now: &Opportunity,
        pipelines: &Pipelines,
        moved: (i64, i64),
        meta: &Meta,
    ) -> Option<(Opportunity, Option<Moved>)> {
        let old = self.old.get(&now.id)?;
        let customer_name = self.customers.name(old.customer_id)?.to_owned();
        let contact_id = old
            .contact_id
            .filter(|id| self.contacts.get(id).is_some_and(|of| *of == old.customer_id));
        let team_id = self.teams.get(&old.owner_id).copied()?;
        let old = Opportunity { customer_name, contact_id, ..old.clone() };
        as_before(now, old, team_id, pipelines, moved, meta)
    }
}

/// Deletes those that were made, and makes those that were changed what they were before; whether each is so now, or why not. Those that somebody has changed since stay. Locked are
/// people, customers, contacts, opportunities, as everywhere.
pub(crate) async fn take_back(
    tx: &mut PgConnection,
    state: &State,
    by: &By,
    written: &[Written],
    meta: &Meta,
) -> Result<Vec<Result<(), Kept>>, Error> {
    let past = Past::hold(tx, written).await?;
    let ids: Vec<_> = written.iter().map(|it| it.id).collect();
    let locked = several::lock(tx, &ids).await?;
    let locked: HashMap<_, _> = locked.into_iter().map(|it| (it.id, it)).collect();
    let count = i64::try_from(written.len()).unwrap_or(i64::MAX);
    let history_ids = store::history_ids(&mut *tx, count).await?;
    let pipelines = state.pipelines.get()?;
    let (mut is_back, mut taken) = (Vec::with_capacity(written.len()), Vec::new());
    for (it, history_id) in written.iter().zip(history_ids) {
        let now = locked.get(&it.id).filter(|it| it.deleted_at.is_none());
        let back = match now {
            // Somebody deleted it.
            None if it.is_new => Ok(None),
            None => Err(Kept::Changed),
            Some(now) => back(by, &past, it, now, (&pipelines, history_id), meta)
                .map(|step| Some((now, step))),
        };
        is_back.push(back.as_ref().map(|_| ()).map_err(|why| *why));
        if let Ok(Some((now, step))) = back {
            taken.extend(several::Written::of(Some(now.clone()), Steps::from([step]), meta));
        }
    }
    several::write(tx, taken, Vec::new()).await?;
    Ok(is_back)
}

/// What one becomes that is taken back.
fn back(
    by: &By,
    past: &Past,
    it: &Written,
    now: &Opportunity,
    (pipelines, history_id): (&Pipelines, i64),
    meta: &Meta,
) -> Result<(Opportunity, Option<Moved>), Kept> {
    let is_as_written = past.is_as_written(now, it);
    let acts_for = match by {
        By::Person(who) if !who.may_change(now) => return Err(Kept::NotYours),
        By::Person(_) if !is_as_written => return Err(Kept::Changed),
        By::Person(who) => who.user_id(),
        By::Service { .. } if !is_as_written && !it.is_new => return Err(Kept::Changed),
        By::Service { instead_of } => *instead_of,
    };
    if it.is_new {
        return Ok((model::delete(now, meta.recorded_at), None));
    }
    let before = past.before(now, pipelines, (history_id, acts_for), meta);
    before.ok_or(Kept::NotPossible)
}

/// An opportunity as it was, as its next version; nothing where its stage is not there any more. To come back into a stage is a move.
fn as_before(
    now: &Opportunity,
    old: Opportunity,
    owners_team: Option<i64>,
    pipelines: &Pipelines,
    (history_id, by): (i64, i64),
    meta: &Meta,
) -> Option<(Opportunity, Option<Moved>)> {
    let stage = pipelines.stage(old.pipeline_id, &old.stage_key)?;
    let is_elsewhere = (now.pipeline_id, &now.stage_key) != (old.pipeline_id, &old.stage_key);
    let mut next = Opportunity {
        id: now.id,
        team_id: if old.status == Kind::Open { owners_team } else { old.team_id },
        created_by: now.created_by,
        created_at: now.created_at,
        updated_at: meta.recorded_at.max(now.updated_at),
        stage_entered_at: now.stage_entered_at,
        deleted_at: None,
        version: now.version + 1,
        ..old
    };
    if !is_elsewhere {
        return Some((next, None));
    }
    if stage.moving_to.is_some() || stage.kind != next.status {
        return None;
    }
    let at = meta.recorded_at.max(now.stage_entered_at + TimeDelta::microseconds(1));
    (next.stage_entered_at, next.updated_at) = (at, next.updated_at.max(at));
    let from_name = pipelines.stage(now.pipeline_id, &now.stage_key);
    let from_name = from_name.map_or(String::new(), |stage| stage.name.clone());
    let moved = Moved {
        id: history_id,
        from: Some((now.stage_key.clone(), from_name)),
        to: (stage.key.clone(), stage.name.clone()),
        probability: next.probability,
        notes: None,
        changed_by: by,
        changed_at: at,
        seconds_in_from_stage: Some((at - now.stage_entered_at).num_seconds()),
        stage_version: stage.version,
    };
    Some((next, Some(moved)))
}
