//! Looking on a schedule whether the facts and the activities are those of the owner, and telling again what differs: nothing depends on no event ever being lost.

use std::time::Duration;

use anyhow::{Context as _, Result};
use events::lock;
use futures::TryStreamExt as _;
use process::Secret;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::consumer::OPPORTUNITIES;
use crate::digest::Kind;
use crate::owners::Owner;
use crate::projection::store;
use crate::{activity, digest, directory, form, projection};

/// How often.
const EVERY: Duration = Duration::from_hours(1);
/// How soon again while ranges differ, and fewer of them than before: what is left is told again then.
const SOON: Duration = Duration::from_mins(1);
/// How many ranges of each kind are told again in one go.
const MOST_RANGES: usize = 100;

/// Looks for ever, one replica at a time.
pub async fn run(
    database_url: Secret,
    pool: PgPool,
    owner: Owner,
    shutdown: CancellationToken,
) -> Result<()> {
    let key = lock::key("reconcile", OPPORTUNITIES);
    let look = async || match lock::try_hold(database_url.expose(), key).await? {
        Some(_held) => reconcile(&pool, &owner).await,
        None => Ok(Looked::default()),
    };
    let mut pause = EVERY;
    while shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        let looked = shutdown.run_until_cancelled(look()).await;
        pause = match looked {
            Some(Ok(looked)) => looked.pause(),
            Some(Err(error)) => {
                warn!(error = format!("{error:#}"), "facts were not compared with their owner");
                EVERY
            }
            None => EVERY,
        };
    }
    Ok(())
}

/// How many ranges differed, and how many do even now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Looked {
    /// Before.
    pub before: usize,
    /// After what differed was told again.
    pub left: usize,
}

impl Looked {
    /// How long to wait for the next look. Where telling again made nothing better, looking more often does not either.
    fn pause(self) -> Duration {
        if self.left > 0 && self.left < self.before { SOON } else { EVERY }
    }
}

/// Of the ranges that differ those that are told again in one go: so many of each kind, so that none waits for another.
fn turn(suspect: &[(Kind, i64)]) -> impl Iterator<Item = (Kind, i64)> {
    let of = |kind| suspect.iter().copied().filter(move |it| it.0 == kind).take(MOST_RANGES);
    Kind::ALL.into_iter().flat_map(of)
}

/// Compares once, and tells again what differs.
pub async fn reconcile(pool: &PgPool, owner: &Owner) -> Result<Looked> {
    // What takes longer than that is waited for differs, too: telling it twice does no harm.
    retell_rates(pool, owner).await?;
    let suspect = differing(pool, owner).await?;
    for (kind, from_id) in turn(&suspect) {
        retell(pool, owner, kind, from_id).await?;
    }
    let left = if suspect.is_empty() { 0 } else { differing(pool, owner).await?.len() };
    #[expect(clippy::cast_precision_loss, reason = "a gauge")]
    metrics::gauge!("digest_differences", "source" => OPPORTUNITIES).set(left as f64);
    let looked = Looked { before: suspect.len(), left };
    if left >= suspect.len() && left > 0 {
        error!(
            ranges = left,
            "facts differ from their owner's although they were told again: rebuild"
        );
    } else if !suspect.is_empty() {
        info!(
            ranges = suspect.len() - left,
            left, "facts that differed from their owner's were told again"
        );
    }
    Ok(looked)
}

/// The ranges that differ, of opportunities first.
async fn differing(pool: &PgPool, owner: &Owner) -> Result<Vec<(Kind, i64)>> {
    let mut connection = pool.acquire().await?;
    let mut all = Vec::new();
    for kind in Kind::ALL {
        let compared = digest::compare(&mut connection, owner, kind).await?;
        all.extend(compared.differing.into_keys().map(|from_id| (kind, from_id)));
    }
    Ok(all)
}

/// Applies every rate again, if one differs: they are few.
async fn retell_rates(pool: &PgPool, owner: &Owner) -> Result<()> {
    let theirs = owner.rates().await?;
    let ours = store::rates(&mut *pool.acquire().await?).await?;
    if theirs.values().eq(&ours) {
        return Ok(());
    }
    let mut tx = pool.begin().await?;
    store::take_time(&mut tx).await?;
    form::hold(&mut tx).await?;
    let settings = directory::store::settings(&mut tx).await?;
    let settings = settings.context("the organisation's settings are not known yet")?;
    projection::rates::tell_again(&mut tx, &settings, theirs.into_values().collect()).await?;
    tx.commit().await?;
    Ok(())
}

/// Applies every change of a range of ids again, in one transaction beside which nothing is applied.
async fn retell(pool: &PgPool, owner: &Owner, kind: Kind, from_id: i64) -> Result<()> {
    let range = (from_id.max(1), from_id + digest::RANGE - 1);
    let (_, records) = owner.records_of(kind.aggregate(), range.0, range.1).await?;
    // All of it before the transaction: appliers wait for that.
    let told: Vec<_> = records.try_collect().await?;
    let mut tx = pool.begin().await?;
    store::take_time(&mut tx).await?;
    form::hold(&mut tx).await?;
    let settings = directory::store::settings(&mut tx).await?;
    let settings = settings.context("the organisation's settings are not known yet")?;
    for events in &told {
        match kind {
            Kind::Opportunities => projection::tell_again(&mut tx, &settings, events).await?,
            Kind::Activities => activity::apply(&mut tx, events).await?,
        }
    }
    tx.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activities_do_not_wait_until_all_opportunities_were_told_again() {
        let ids = (0..150).map(|it| it * digest::RANGE);
        let of = |kind| ids.clone().map(move |id| (kind, id));
        let suspect: Vec<_> = of(Kind::Opportunities).chain(of(Kind::Activities)).collect();
        let count = |kind| turn(&suspect).filter(|it| it.0 == kind).count();
        assert_eq!((count(Kind::Opportunities), count(Kind::Activities)), (100, 100));
    }

    #[test]
    fn what_is_left_is_looked_at_soon_unless_telling_again_does_not_help() {
        let pause = |before, left| Looked { before, left }.pause();
        assert_eq!(pause(300, 100), SOON);
        assert_eq!(pause(100, 0), EVERY);
        assert_eq!(pause(0, 0), EVERY);
        assert_eq!(pause(2, 2), EVERY, "that wants a rebuild");
    }
}
