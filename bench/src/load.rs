//! Connections in closed loops: each asks as soon as it is answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;

use crate::request::Request;
use crate::target::{Connection, Target};

/// What came of it.
#[derive(Debug)]
pub(crate) struct Load {
    /// How long each answer took in microseconds, rising; without the warming up.
    latencies: Vec<u32>,
    /// How long the measuring took.
    span: Duration,
    /// How many answers there were, the warming up included.
    pub(crate) answers: u64,
    bytes: u64,
}

impl Load {
    /// Answers a second.
    #[expect(clippy::cast_precision_loss, reason = "counts of answers")]
    pub(crate) fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.span.as_secs_f64()
    }

    /// Milliseconds within which this share of the answers came.
    pub(crate) fn within(&self, share: f64) -> f64 {
        f64::from(percentile(&self.latencies, share)) / 1_000.0
    }

    /// Bytes of an answer's body, on average.
    #[expect(clippy::cast_precision_loss, reason = "counts of bytes")]
    pub(crate) fn answer_bytes(&self) -> f64 {
        self.bytes as f64 / self.answers.max(1) as f64
    }
}

/// The value of rising ones that this share of them does not exceed.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a count is a count"
)]
pub(crate) fn percentile(rising: &[u32], share: f64) -> u32 {
    let rank = (rising.len() as f64 * share).ceil() as usize;
    rising.get(rank.max(1) - 1).copied().unwrap_or_default()
}

/// Loads a target, a fifth longer than the span: that is to warm up.
pub(crate) async fn run(
    target: &Arc<Target>,
    request: Request,
    connections: usize,
    span: Duration,
) -> Result<Load> {
    let mut ready = Vec::with_capacity(connections);
    for _ in 0..connections {
        ready.push(target.connect().await?);
    }
    let begin = Instant::now() + span / 5;
    let mut loops = JoinSet::new();
    for connection in ready {
        loops.spawn(ask_until(Arc::clone(target), connection, request, begin, begin + span));
    }
    let mut load = Load { latencies: Vec::new(), span, answers: 0, bytes: 0 };
    while let Some(part) = loops.join_next().await {
        let part = part??;
        load.latencies.extend(part.latencies);
        load.answers += part.answers;
        load.bytes += part.bytes;
    }
    load.latencies.sort_unstable();
    Ok(load)
}

async fn ask_until(
    target: Arc<Target>,
    mut connection: Connection,
    request: Request,
    begin: Instant,
    end: Instant,
) -> Result<Load> {
    let mut load =
        Load { latencies: Vec::with_capacity(1 << 14), span: end - begin, answers: 0, bytes: 0 };
    let mut now = Instant::now();
    while now < end {
        let ask = request.next(&target.book);
        let asked = Instant::now();
        let answer = connection.ask(&ask).await?;
        now = Instant::now();
        if load.answers == 0 {
            request.check(&answer)?;
        }
        load.answers += 1;
        load.bytes += answer.len() as u64;
        // By when it ended, so that the rate is of this span and of no other.
        if now >= begin && now < end {
            load.latencies.push(u32::try_from((now - asked).as_micros()).unwrap_or(u32::MAX));
        }
    }
    Ok(load)
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let rising: Vec<u32> = (1..=1_000).collect();
        assert_eq!(percentile(&rising, 0.5), 500);
        assert_eq!(percentile(&rising, 0.99), 990);
        assert_eq!(percentile(&rising, 1.0), 1_000);
        assert_eq!(percentile(&rising[..1], 0.01), 1);
        assert_eq!(percentile(&[], 0.5), 0);
    }
}
