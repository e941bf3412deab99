//! How long after a write was acknowledged the read model shows it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use tokio::time::sleep;

use crate::load::percentile;
use crate::request::{Ask, Request, STAGES};
use crate::target::{Connection, Target};

/// Past this the read model has lost the write.
const PATIENCE: Duration = Duration::from_secs(10);

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

#[derive(Deserialize)]
struct Overview {
    stages: Vec<Stage>,
}

#[derive(Deserialize)]
struct Stage {
    name: String,
    count: i64,
}

/// Moves opportunities one after the other, and after each asks for the overview until it shows the move. The time is from the arrival
/// of the write's answer to the arrival of the first overview that has it, so one overview's time is part of it.
pub(crate) async fn measure(target: &Target, tries: usize) -> Result<Lag> {
    let mut connection = target.connect().await?;
    let mut took = Vec::with_capacity(tries);
    let mut counts = overview(&mut connection).await?;
    for turn in 0..tries {
        let ask = Request::Move.next(&target.book);
        connection.ask(&ask).await.context("move")?;
        let acknowledged = Instant::now();
        loop {
            let now = overview(&mut connection).await?;
            let at = Instant::now();
            // A move takes one from a stage and gives one to another.
            if now != counts {
                let changed: i64 =
                    now.iter().zip(&counts).map(|(now, then)| (now - then).abs()).sum();
                ensure!(changed == 2, "one move changed the overview by {changed}");
                counts = now;
                took.push(micros(at - acknowledged));
                break;
            }
            ensure!(at - acknowledged < PATIENCE, "try {turn}: the overview does not show it");
        }
        // A few milliseconds, never the same, so that no rhythm of the product's is kept.
        sleep(Duration::from_millis(turn as u64 * 7 % 20)).await;
    }
    took.sort_unstable();
    let within = |share| f64::from(percentile(&took, share)) / 1_000.0;
    Ok(Lag { tries, p50: within(0.5), p99: within(0.99), longest: within(1.0) })
}

/// The counts of the open stages in order.
async fn overview(connection: &mut Connection) -> Result<Vec<i64>> {
    let answer = connection.ask(&Ask::get("/api/v1/pipeline/overview")).await?;
    let Overview { stages } = serde_json::from_slice(&answer)?;
    let count = |name: &str| stages.iter().find(|stage| stage.name == name).map(|it| it.count);
    STAGES.iter().map(|name| count(name).context("a stage is missing")).collect()
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}
