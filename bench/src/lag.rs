//! How long after a write was acknowledged the read model shows it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use tokio::task::AbortHandle;
use tokio::time::{interval, sleep};

use crate::load::percentile;
use crate::request::{Ask, Request, STAGES};
use crate::target::{Connection, Target};

/// Past this the read model has lost the write.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between the writes of others, where there are any: 100 a second.
const PACE: Duration = Duration::from_millis(10);

/// What was found, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lag {
    /// How often it was tried.
    pub(crate) tries: usize,
    /// Half of the tries took no longer.
    pub(crate) p50: f64,
    /// 99 of 100 took no longer.
    pub(crate) p99: f64,
    /// The longest.
    pub(crate) longest: f64,
}

#[derive(PartialEq, Eq, Deserialize)]
struct Overview {
    stages: Vec<Stage>,
    total_opportunities: i64,
}

#[derive(PartialEq, Eq, Deserialize)]
struct Stage {
    name: String,
    count: i64,
}

/// On the idle product: moves opportunities one after the other, and after each asks for the overview until it shows the move. The time
/// is from the arrival of the write's answer to the arrival of the first overview that has it, so one overview's time is part of it.
pub(crate) async fn idle(target: &Target, tries: usize) -> Result<Lag> {
    measure(target, tries, Request::Move, |then, now| {
        // A move takes one from a stage and gives one to another; nothing else happens.
        let counts = |it: &Overview| STAGES.map(|name| it.count(name));
        let differences = counts(then).into_iter().zip(counts(now)).map(|(a, b)| (a - b).abs());
        match differences.sum::<i64>() {
            0 => Ok(false),
            2 => Ok(true),
            other => anyhow::bail!("one move changed the overview by {other}"),
        }
    })
    .await
}

/// The same by creating, which the overview tells from the 100 moves a second that somebody else makes meanwhile.
pub(crate) async fn busy(target: &Arc<Target>, tries: usize) -> Result<Lag> {
    let writer = tokio::spawn(write_at_pace(Arc::clone(target)));
    let _ends_with_us = Abort(writer.abort_handle());
    let lag = measure(target, tries, Request::Create, |then, now| {
        Ok(now.total_opportunities > then.total_opportunities)
    });
    tokio::select! {
        lag = lag => lag,
        ended = writer => match ended? {
            Err(error) => Err(error.context("write at pace")),
            Ok(()) => anyhow::bail!("the writer ended"),
        },
    }
}

/// Ends a task when dropped.
struct Abort(AbortHandle);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn write_at_pace(target: Arc<Target>) -> Result<()> {
    let mut connection = target.connect().await?;
    // What came late is made up for, so that the pace holds.
    let mut pace = interval(PACE);
    loop {
        pace.tick().await;
        connection.ask(&Request::Move.next(&target.book)).await?;
    }
}

async fn measure(
    target: &Target,
    tries: usize,
    write: Request,
    shows: impl Fn(&Overview, &Overview) -> Result<bool>,
) -> Result<Lag> {
    let mut connection = target.connect().await?;
    let mut took = Vec::with_capacity(tries);
    let mut then = overview(&mut connection).await?;
    for turn in 0..tries {
        connection.ask(&write.next(&target.book)).await?;
        let acknowledged = Instant::now();
        loop {
            let now = overview(&mut connection).await?;
            let lag = acknowledged.elapsed();
            if shows(&then, &now)? {
                then = now;
                took.push(u32::try_from(lag.as_micros()).unwrap_or(u32::MAX));
                break;
            }
            ensure!(lag < PATIENCE, "try {turn}: the overview does not show the write");
        }
        // A few milliseconds, never the same, so that no rhythm of the product's is kept.
        sleep(Duration::from_millis(turn as u64 * 7 % 20)).await;
    }
    took.sort_unstable();
    let within = |share| f64::from(percentile(&took, share)) / 1_000.0;
    Ok(Lag { tries, p50: within(0.5), p99: within(0.99), longest: within(1.0) })
}

async fn overview(connection: &mut Connection) -> Result<Overview> {
    let answer = connection.ask(&Ask::get("/api/v1/pipeline/overview")).await?;
    serde_json::from_slice(&answer).context("read the overview")
}

impl Overview {
    fn count(&self, name: &str) -> i64 {
        self.stages.iter().find(|stage| stage.name == name).map_or(0, |stage| stage.count)
    }
}
