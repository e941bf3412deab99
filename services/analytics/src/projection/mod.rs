//! Projection: from events to facts and rollups. Applying twice, or out of order, leaves the same tables.

pub(crate) mod fold;
pub(crate) mod kept;
pub(crate) mod rates;
pub mod record;
pub(crate) mod store;
mod sums;

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use events::{ApplyError, Event, Record};
use sqlx::PgConnection;

use crate::deal::{Deal, Move};
use crate::directory::model::Settings;
use crate::rollup::{Frame, Rollups, day};
use crate::version::{self, Version};
use crate::{activity, snapshot};

/// How many deals are folded at a time when rollups are made anew.
const CHUNK: i64 = 10_000;

/// Each deal as it was and as it is.
pub(crate) type Deals = HashMap<i64, (Deal, Deal)>;

/// What was new about a deal.
#[derive(Default)]
struct News {
    is_record: bool,
    moves: Vec<Move>,
    versions: Vec<Version>,
}

/// Applies events of the opportunities service, in order, in this transaction.
pub async fn apply(
    tx: &mut PgConnection,
    settings: &Settings,
    events: &[Event],
) -> Result<(), ApplyError> {
    let mut told: BTreeMap<i64, Vec<&Event>> = BTreeMap::new();
    let mut activities = Vec::new();
    let mut is_other = false;
    for event in events {
        match &event.record {
            Some(Record::Pipeline(pipeline)) => {
                let before = store::ladders(tx).await?;
                store::upsert_pipeline(tx, pipeline, event.version).await?;
                let after = store::ladders(tx).await?;
                let (before, after) = (before.stages(pipeline.id), after.stages(pipeline.id));
                is_other |= before != after && store::runs_any(tx, pipeline.id).await?;
            }
            Some(Record::Opportunity(_)) => {
                told.entry(event.aggregate_id).or_default().push(event);
            }
            Some(Record::Activity(_)) => activities.push(event),
            _ => {}
        }
    }
    let revalued = rates::apply(tx, settings, events).await?;
    if is_other {
        // Who went further depends on the order of the stages. Whoever reads has the former numbers until this commits.
        remake_rollups(tx, settings).await?;
    }
    if !told.is_empty() || !revalued.is_empty() {
        let frame = Frame::read(tx, settings).await?;
        if !is_other {
            rates::revalue(tx, &frame, &revalued).await?;
        }
        apply_told(tx, &frame, &told).await?;
    }
    activity::apply(tx, activities).await?;
    if let Some(last) = events.last() {
        let recorded_at = last.recorded_at.map_or(DateTime::UNIX_EPOCH, DateTime::<Utc>::from);
        store::note_progress(tx, "opportunities", last.position, recorded_at).await?;
    }
    Ok(())
}

/// Applies changes of opportunities that may have been applied before, and leaves the progress as it is.
pub(crate) async fn tell_again(
    tx: &mut PgConnection,
    settings: &Settings,
    events: &[Event],
) -> Result<(), ApplyError> {
    let mut told: BTreeMap<i64, Vec<&Event>> = BTreeMap::new();
    for event in events {
        told.entry(event.aggregate_id).or_default().push(event);
    }
    let frame = Frame::read(tx, settings).await?;
    apply_told(tx, &frame, &told).await
}

async fn apply_told(
    tx: &mut PgConnection,
    frame: &Frame,
    told: &BTreeMap<i64, Vec<&Event>>,
) -> Result<(), ApplyError> {
    if told.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = told.keys().copied().collect();
    let mut deals = store::deals(tx, &ids).await?;
    let mut news = learn(&mut deals, told)?;
    let rollups = difference(&deals, &news, frame);
    let mut facts = Vec::new();
    let mut moves = Vec::new();
    for (id, news) in &news {
        let fact = deals.get(id).and_then(|(_, deal)| deal.fact.as_ref());
        facts.extend(fact.filter(|_| news.is_record));
        moves.extend(news.moves.iter().map(|moved| (*id, moved)));
    }
    store::upsert_facts(tx, &facts).await?;
    store::insert_moves(tx, &moves).await?;
    store::add(tx, &rollups).await?;
    keep_versions(tx, &deals, &mut news, frame).await?;
    Ok(())
}

/// Keeps what was known when.
async fn keep_versions(
    tx: &mut PgConnection,
    deals: &Deals,
    news: &mut BTreeMap<i64, News>,
    frame: &Frame,
) -> sqlx::Result<()> {
    for it in news.values_mut() {
        version::settle(&mut it.versions);
    }
    let versions: Vec<_> = news.values().flat_map(|it| &it.versions).collect();
    if version::store::insert(tx, &versions).await?
        && let Some(first) = versions.iter().map(|it| it.at).min()
    {
        snapshot::store::note_late(tx, day(first, frame.zone)).await?;
    }
    // Of one that was not known before there are no others.
    let is_known = |id: &i64| deals.get(id).is_some_and(|(before, _)| before.fact.is_some());
    let joined = news.iter().filter(|(id, it)| !it.versions.is_empty() && is_known(id));
    let joined: Vec<i64> = joined.map(|(id, _)| *id).collect();
    version::store::settle(tx, &joined).await
}

fn learn(
    deals: &mut Deals,
    told: &BTreeMap<i64, Vec<&Event>>,
) -> Result<BTreeMap<i64, News>, ApplyError> {
    let mut all = BTreeMap::new();
    for (id, events) in told {
        let (_, deal) = deals.entry(*id).or_default();
        let mut news = News::default();
        for event in events {
            let (fact, moved) = record::read(event)?;
            news.versions.extend(record::version(event, &fact)?);
            news.is_record |= deal.learn(fact);
            if let Some(moved) = moved
                && deal.learn_move(moved.clone())
            {
                news.moves.push(moved);
            }
        }
        all.insert(*id, news);
    }
    Ok(all)
}

/// What the rollups gain and lose.
fn difference(deals: &Deals, news: &BTreeMap<i64, News>, frame: &Frame) -> Rollups {
    let mut rollups = Rollups::default();
    for (id, news) in news {
        let changed = news.is_record || !news.moves.is_empty();
        if let Some((before, after)) = deals.get(id).filter(|_| changed) {
            rollups.take_away(before, frame);
            rollups.add(after, frame);
        }
    }
    rollups.tidy();
    rollups
}

/// Applies events of pipelines while the rollups are made anew anyway.
pub(crate) async fn apply_pipelines(
    tx: &mut PgConnection,
    events: &[Event],
) -> Result<(), sqlx::Error> {
    for event in events {
        if let Some(Record::Pipeline(pipeline)) = &event.record {
            store::upsert_pipeline(tx, pipeline, event.version).await?;
        }
    }
    Ok(())
}

/// Makes all rollups anew from the facts, in this transaction; readers see the old ones until it commits.
pub async fn remake_rollups(tx: &mut PgConnection, settings: &Settings) -> Result<(), sqlx::Error> {
    let rollups = sum_of_facts(tx, settings).await?;
    store::clear_rollups(tx).await?;
    store::add(tx, &rollups).await
}

/// What the rollups have to be, from the facts.
pub async fn sum_of_facts(
    tx: &mut PgConnection,
    settings: &Settings,
) -> Result<Rollups, sqlx::Error> {
    let frame = Frame::read(tx, settings).await?;
    let mut rollups = Rollups::default();
    let mut after = i64::MIN;
    loop {
        let deals = store::deals_after(tx, after, CHUNK).await?;
        let Some(last) = deals.keys().max().copied() else { break };
        for (deal, _) in deals.values() {
            rollups.add(deal, &frame);
        }
        after = last;
    }
    rollups.tidy();
    Ok(rollups)
}

impl Frame {
    /// As it is in this transaction.
    pub(crate) async fn read(tx: &mut PgConnection, settings: &Settings) -> sqlx::Result<Self> {
        let ladders = store::ladders(tx).await?;
        let valuation = store::valuation(tx, settings).await?;
        Ok(Self { ladders, zone: settings.zone, valuation })
    }
}
