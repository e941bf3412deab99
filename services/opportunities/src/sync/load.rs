//! Records as they are now, for who sees them; what is gone for who had it.

use std::collections::{HashMap, HashSet};

use rpc::Error;
use sqlx::PgPool;

use super::model::{Kind, Wanted};
use super::{Item, store};
use crate::customer::Asker;
use crate::{activity, contact, customer, opportunity, pipeline};

/// A record as it is now.
struct Now {
    /// It, unless it is deleted.
    item: Option<Item>,
    /// Whether it is seen, or would be if it were not deleted.
    is_seen: bool,
    version: i64,
}

/// What is told of records, in their order: nothing of what somebody neither sees nor had.
pub(super) async fn items(
    pool: &PgPool,
    who: &Asker,
    wanted: &[Wanted],
) -> Result<Vec<Item>, Error> {
    let ids_of =
        |kind| -> Vec<i64> { wanted.iter().filter(|it| it.kind == kind).map(|it| it.id).collect() };
    let mut found = HashMap::new();
    let ids = ids_of(Kind::Pipeline);
    if !ids.is_empty() {
        pipelines(pool, &ids, &mut found).await?;
    }
    let mut customer_ids = ids_of(Kind::Customer);
    let contacts = match ids_of(Kind::Contact) {
        ids if ids.is_empty() => Vec::new(),
        ids => contact::store::of_ids(pool, &ids).await?,
    };
    customer_ids.extend(contacts.iter().map(|it| it.customer_id));
    customer_ids.extend(wanted.iter().filter_map(|it| it.through));
    let customers = match customer_ids {
        ids if ids.is_empty() => Vec::new(),
        ids => customer::store::found_by(pool, &ids, who).await?,
    };
    let seen: HashSet<_> =
        customers.iter().filter(|it| it.is_seen).map(|it| it.customer.id).collect();
    for it in customers {
        let (id, version) = (it.customer.id, it.customer.version);
        let item = it.customer.deleted_at.is_none().then_some(Item::Customer(it.customer));
        found.insert((Kind::Customer, id), Now { item, is_seen: it.is_seen, version });
    }
    for it in contacts {
        let (id, version, is_seen) = (it.id, it.version, seen.contains(&it.customer_id));
        let item = it.deleted_at.is_none().then_some(Item::Contact(it));
        found.insert((Kind::Contact, id), Now { item, is_seen, version });
    }
    let ids = ids_of(Kind::Opportunity);
    if !ids.is_empty() {
        for it in opportunity::of_ids(pool, &ids).await? {
            let (id, version) = (it.opportunity.id, it.opportunity.version);
            let is_seen = who.read.covers(it.opportunity.owned());
            let is_living = it.opportunity.deleted_at.is_none();
            let item = is_living.then(|| Item::Opportunity(Box::new(it)));
            found.insert((Kind::Opportunity, id), Now { item, is_seen, version });
        }
    }
    let ids = ids_of(Kind::Activity);
    if !ids.is_empty() {
        for it in activity::store::of_ids(pool, &ids).await? {
            let (id, version) = (it.activity.id, it.activity.version);
            let is_seen = who.read.covers(it.owned);
            let is_living = it.activity.deleted_at.is_none();
            let item = is_living.then(|| Item::Activity(Box::new(it)));
            found.insert((Kind::Activity, id), Now { item, is_seen, version });
        }
    }
    let told = |it: &Wanted| {
        let had = it.had.or(it.through.filter(|id| seen.contains(id)).map(|_| 0));
        told(it, had, found.remove(&(it.kind, it.id))?)
    };
    Ok(wanted.iter().filter_map(told).collect())
}

/// What is told of one record.
fn told(wanted: &Wanted, had: Option<i64>, now: Now) -> Option<Item> {
    let gone = |version| Item::Gone { kind: wanted.kind, id: wanted.id, version };
    match (now.item, now.is_seen, had) {
        (Some(item), true, _) => Some(item),
        (None, true, _) | (_, false, Some(0)) => Some(gone(now.version)),
        (_, false, Some(version)) => Some(gone(version)),
        (_, false, None) => None,
    }
}

/// Everybody sees every pipeline.
async fn pipelines(
    pool: &PgPool,
    ids: &[i64],
    found: &mut HashMap<(Kind, i64), Now>,
) -> Result<(), Error> {
    let living = pipeline::all(pool).await?;
    for (id, version) in store::pipelines(pool, ids).await? {
        let item = living.get(Some(id)).cloned().map(Item::Pipeline);
        found.insert((Kind::Pipeline, id), Now { item, is_seen: true, version });
    }
    Ok(())
}
