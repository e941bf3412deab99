//! The command `rebuild`: all derived tables from nothing, from the owners' change logs, while the service goes on serving the old ones.

use std::pin::pin;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use auth::ServiceToken;
use chrono::{DateTime, Utc};
use events::inbox;
use futures::TryStreamExt as _;
use process::{Work, postgres};
use rpc::{Tls, client};
use sqlx::{Connection as _, PgConnection};
use tracing::info;

use crate::config::Config;
use crate::consumer::{IDENTITY, NAME, OPPORTUNITIES};
use crate::directory::model::Settings;
use crate::owners::Owner;
use crate::projection::fold::{Fold, Life};
use crate::projection::{record, store};
use crate::rollup::{Frame, Rollups, day};
use crate::{activity, directory, projection, snapshot, version};

/// How many deals, or activities, are written at a time.
const CHUNK: usize = 10_000;

/// Rebuilds everything in one transaction: readers see the old tables until it commits, and the appliers wait.
pub fn run(config: Config) -> Work<'static> {
    Box::pin(async move {
        let tls = Tls::load(&config.tls)?;
        let identity = client::connect_lazy(&config.identity_url, &tls)?;
        let opportunities = client::connect_lazy(&config.opportunities_url, &tls)?;
        let secret = config.service_secret.clone();
        let token = Arc::new(ServiceToken::new(identity.clone(), NAME, secret));
        let mut connection = postgres::connect(&config.database.url, "analytics-rebuild").await?;
        let owners = (Owner::new(identity, Arc::clone(&token)), Owner::new(opportunities, token));
        let deals = rebuild(&mut connection, &owners.0, &owners.1, process::now()).await?;
        info!(deals, "rebuilt");
        Ok(())
    })
}

/// The same on a connection that is there; how many deals there are.
pub async fn rebuild(
    connection: &mut PgConnection,
    identity: &Owner,
    opportunities: &Owner,
    now: DateTime<Utc>,
) -> Result<usize> {
    for source in [IDENTITY, OPPORTUNITIES] {
        inbox::begin(connection, NAME, source, now).await?;
    }
    let mut tx = connection.begin().await?;
    store::take_time(&mut tx).await?;
    for source in [IDENTITY, OPPORTUNITIES] {
        inbox::hold(&mut tx, NAME, source).await?;
    }
    let settings = rebuild_directory(&mut tx, identity, now).await?;
    let (position, pipelines) = opportunities.records("pipeline").await?;
    store::clear_pipelines(&mut tx).await?;
    let mut pipelines = pin!(pipelines);
    while let Some(events) = pipelines.try_next().await? {
        projection::apply_pipelines(&mut tx, &events).await?;
    }
    rebuild_rates(&mut tx, opportunities).await?;
    store::set_valued_on(&mut tx, day(now, settings.zone)).await?;
    let frame = Frame::read(&mut tx, &settings).await?;
    store::clear_facts(&mut tx).await?;
    version::store::clear(&mut tx).await?;
    snapshot::store::clear(&mut tx).await?;
    let (_, records) = opportunities.records("opportunity").await?;
    let mut rollups = Rollups::default();
    let mut fold = Fold::new();
    let mut count = 0;
    let mut records = pin!(records);
    loop {
        let piece = records.try_next().await?;
        let is_end = piece.is_none();
        for event in piece.iter().flatten() {
            fold.tell(event)?;
        }
        if is_end || fold.len() >= CHUNK {
            let lives = if is_end { fold.finish() } else { fold.take() };
            count += lives.len();
            write(&mut tx, &lives, &mut rollups, &frame).await?;
        }
        if is_end {
            break;
        }
    }
    rollups.tidy();
    store::clear_rollups(&mut tx).await?;
    store::add(&mut tx, &rollups).await?;
    rebuild_activities(&mut tx, opportunities).await?;
    // What came between the streams is told again and changes nothing.
    inbox::set(&mut tx, NAME, OPPORTUNITIES, position, now).await?;
    store::note_progress(&mut tx, OPPORTUNITIES, position, fold.recorded_at).await?;
    store::set_form(&mut tx).await?;
    tx.commit().await?;
    Ok(count)
}

async fn rebuild_directory(
    tx: &mut PgConnection,
    identity: &Owner,
    now: DateTime<Utc>,
) -> Result<Settings> {
    directory::store::clear(tx).await?;
    let mut position = i64::MAX;
    for aggregate in ["settings", "team", "user"] {
        let (complete, records) = identity.records(aggregate).await?;
        position = position.min(complete);
        let mut records = pin!(records);
        while let Some(events) = records.try_next().await? {
            directory::apply(tx, &events).await?;
        }
    }
    inbox::set(tx, NAME, IDENTITY, position, now).await?;
    let settings = directory::store::settings(tx).await?;
    settings.context("identity has no settings")
}

async fn rebuild_rates(tx: &mut PgConnection, opportunities: &Owner) -> Result<()> {
    let (_, records) = opportunities.records("exchange_rate").await?;
    store::clear_rates(tx).await?;
    let mut records = pin!(records);
    while let Some(events) = records.try_next().await? {
        for event in &events {
            store::upsert_rate(tx, &record::rate(event)?).await?;
        }
    }
    Ok(())
}

async fn rebuild_activities(tx: &mut PgConnection, opportunities: &Owner) -> Result<()> {
    let (_, records) = opportunities.records("activity").await?;
    activity::store::clear(tx).await?;
    let mut latest = activity::Latest::default();
    let mut records = pin!(records);
    while let Some(events) = records.try_next().await? {
        for event in &events {
            latest.tell(event)?;
        }
        if latest.len() >= CHUNK {
            activity::store::upsert(tx, &latest.take()).await?;
        }
    }
    activity::store::upsert(tx, &latest.finish()).await?;
    Ok(())
}

/// Writes deals as they are after their last change and as they were before, and notes what they add to the rollups.
async fn write(
    tx: &mut PgConnection,
    lives: &[Life],
    rollups: &mut Rollups,
    frame: &Frame,
) -> Result<()> {
    for it in lives {
        rollups.add(&it.deal, frame);
    }
    let facts: Vec<_> = lives.iter().filter_map(|it| it.deal.fact.as_ref()).collect();
    store::upsert_facts(tx, &facts).await?;
    let mut moves = Vec::new();
    for it in lives {
        moves.extend(it.deal.moves.iter().map(|moved| (it.id(), moved)));
    }
    store::insert_moves(tx, &moves).await?;
    let versions: Vec<_> = lives.iter().flat_map(|it| &it.versions).collect();
    version::store::insert(tx, &versions).await?;
    Ok(())
}
