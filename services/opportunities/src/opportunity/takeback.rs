//! Opportunities as they were before they were written, where nobody has changed them since.

use std::collections::{BTreeSet, HashMap};

use chrono::TimeDelta;
use rpc::Error;
use sqlx::PgConnection;

use super::model::{self, Moved, Opportunity};
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

/// Deletes those that were made, and makes those that were changed what they were before; whether each is so now. Those that somebody has changed since stay. Locked are
/// people, customers, contacts, opportunities, as everywhere.
pub(crate) async fn take_back(
    tx: &mut PgConnection,
    state: &State,
    by: i64,
    written: &[Written],
    meta: &Meta,
) -> Result<Vec<bool>, Error> {
    let ids: Vec<_> = written.iter().map(|it| it.id).collect();
    let changed = || written.iter().filter(|it| !it.is_new);
    let versions = written.iter().map(|it| (it.id, it.version));
    let versions: Vec<_> = versions.chain(changed().map(|it| (it.id, it.version - 1))).collect();
    let told = store::told(&mut *tx, &versions).await?;
    let old = changed()
        .filter_map(|it| Some((it.id, event::opportunity(told.get(&(it.id, it.version - 1))?)?)));
    let old: HashMap<i64, Opportunity> = old.collect();
    let mut owners = store::owners_of(&mut *tx, &ids).await?;
    owners.extend(old.values().map(|it| it.owner_id));
    let teams = directory::store::hold_teams(&mut *tx, &owners).await?;
    let teams: HashMap<i64, Option<i64>> = teams.into_iter().collect();
    let mut customers = HashMap::new();
    for id in old.values().map(|it| it.customer_id).collect::<BTreeSet<_>>() {
        if let Some(customer) = customer::hold(&mut *tx, id).await?.filter(|it| it.id == id) {
            customers.insert(id, customer.name);
        }
    }
    let contact_ids: Vec<_> = old.values().filter_map(|it| it.contact_id).collect();
    let contacts = contact::store::lock(&mut *tx, &contact_ids).await?;
    let living = contacts.into_iter().filter(|it| it.deleted_at.is_none());
    let contacts: HashMap<i64, i64> = living.map(|it| (it.id, it.customer_id)).collect();
    let locked = store::lock_all(&mut *tx, &ids).await?;
    let locked: HashMap<i64, Opportunity> =
        locked.into_iter().map(|it| (it.opportunity.id, it.opportunity)).collect();
    let count = i64::try_from(written.len()).unwrap_or(i64::MAX);
    let history_ids = store::history_ids(&state.reads, count).await?;
    let pipelines = state.pipelines.get()?;
    let mut is_back = Vec::with_capacity(written.len());
    for (it, history_id) in written.iter().zip(history_ids) {
        let Some(now) = locked.get(&it.id) else {
            // Somebody deleted it.
            is_back.push(it.is_new);
            continue;
        };
        let is_as_written = now.version == it.version
            || told.get(&(it.id, it.version)).is_some_and(|told| event::is_as_told(now, told));
        let back = if !is_as_written {
            None
        } else if it.is_new {
            Some((model::delete(now, meta.recorded_at), None))
        } else {
            old.get(&it.id).and_then(|old| {
                let customer_name = customers.get(&old.customer_id)?.clone();
                let contact_id = old
                    .contact_id
                    .filter(|id| contacts.get(id).is_some_and(|of| *of == old.customer_id));
                let team_id = teams.get(&old.owner_id).copied()?;
                let old = Opportunity { customer_name, contact_id, ..old.clone() };
                as_before(now, old, team_id, &pipelines, (history_id, by), meta)
            })
        };
        if let Some((after, moved)) = &back {
            let change = meta.moved(Some(now), after, moved.as_ref());
            let encoded = events::encode(&change);
            store::update(&mut *tx, now, after, moved.as_ref(), &encoded).await?;
        }
        is_back.push(back.is_some());
    }
    Ok(is_back)
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
