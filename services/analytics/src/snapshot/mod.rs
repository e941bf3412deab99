//! Snapshots: the open pipeline at the end of every day, as sums that are kept, so that looking at a long time costs the number of its days.

pub(crate) mod store;

use std::time::Duration;

use anyhow::{Context as _, Result};
use chrono::{DateTime, NaiveDate, Utc};
use events::{inbox, lock};
use process::Secret;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::consumer::{NAME, OPPORTUNITIES};
use crate::directory;
use crate::projection::store as facts;
use crate::rollup::{Rollups, day};

/// How often it is looked whether a day is over, or has to be made anew.
const EVERY: Duration = Duration::from_mins(1);

/// Takes what is missing for ever, one replica at a time.
pub async fn run(database_url: Secret, pool: PgPool, shutdown: CancellationToken) -> Result<()> {
    let key = lock::key("snapshots", OPPORTUNITIES);
    let look = async || match lock::try_hold(database_url.expose(), key).await? {
        Some(_held) => take_missing(&pool, process::now()).await,
        None => Ok(0),
    };
    while shutdown.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        match shutdown.run_until_cancelled(look()).await {
            Some(Ok(0)) | None => {}
            Some(Ok(days)) => info!(days, "the open pipeline of days gone by is kept"),
            Some(Err(error)) => {
                warn!(error = format!("{error:#}"), "the open pipeline of a day was not kept");
            }
        }
    }
    Ok(())
}

/// Takes every day that is over and not kept, or was kept before something of it was learnt; how many. The latest come first. The days are the same whoever takes them, and when.
pub async fn take_missing(pool: &PgPool, now: DateTime<Utc>) -> Result<usize> {
    let settings = directory::store::settings(&mut *pool.acquire().await?).await?;
    let settings = settings.context("the organisation's settings are not known yet")?;
    let yesterday = day(now, settings.zone).pred_opt().context("there is no day before")?;
    let mut tx = pool.begin().await?;
    // Whatever is being applied is waited for, and what is applied after this says whether it comes late.
    inbox::hold(&mut tx, NAME, OPPORTUNITIES).await?;
    store::forget_late(&mut tx).await?;
    store::take_until(&mut tx, yesterday).await?;
    tx.commit().await?;
    let mut connection = pool.acquire().await?;
    let Some(first) = store::first_day(&mut connection, settings.zone.name()).await? else {
        return Ok(0);
    };
    let kept = store::days(&mut connection).await?;
    drop(connection);
    let missing = first.iter_days().take_while(|day| *day <= yesterday);
    let missing: Vec<_> = missing.filter(|day| !kept.contains(day)).collect();
    for day in missing.iter().rev() {
        take(pool, *day).await?;
    }
    Ok(missing.len())
}

/// Keeps one day.
async fn take(pool: &PgPool, day: NaiveDate) -> Result<()> {
    let mut tx = pool.begin().await?;
    facts::take_time(&mut tx).await?;
    // Whoever removes all days waits until this one is there, and is waited for.
    if store::hold_taking_until(&mut tx).await?.is_none_or(|until| until < day) {
        return Ok(());
    }
    let settings = directory::store::settings(&mut tx).await?;
    let settings = settings.context("the organisation's settings are not known yet")?;
    let valuation = facts::valuation_on(&mut tx, &settings, day).await?;
    let over = rpc::start_of(day.succ_opt().unwrap_or(NaiveDate::MAX), settings.zone);
    let mut rollups = Rollups::default();
    store::open_before(&mut tx, over, |version| rollups.add_open(version, &valuation)).await?;
    store::keep(&mut tx, day, &rollups.standing).await?;
    facts::note_form(&mut tx).await?;
    tx.commit().await?;
    Ok(())
}
