//! Why a deal's chances are what they are: what of it makes them better or worse than is usual in its stage, and how many deals say so.

use crate::feature::{Design, Feature, Level, looks};
use crate::history::History;
use crate::sample::Snapshot;

/// A reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Reason {
    /// What of the deal.
    pub feature: Feature,
    /// How it is.
    pub level: Level,
    /// By how much it raises the chance to be won at last, or lowers it, against what is usual in the stage.
    pub effect: f64,
    /// How many deals that have ended were like that.
    pub evidence: usize,
}

/// How many deals that have ended were in each level at a look.
#[must_use]
pub(crate) fn evidence(history: &History, snapshots: &[Snapshot], design: &Design) -> Vec<usize> {
    let mut found = vec![0; design.size()];
    // Looks at the same deal follow each other.
    let mut last = vec![usize::MAX; design.size()];
    let ended = snapshots.iter().filter(|it| it.fate.is_won().is_some());
    for (snapshot, look) in looks(history, ended) {
        for level in design.levels(&look).map(usize::from) {
            if last[level] != snapshot.deal {
                last[level] = snapshot.deal;
                found[level] += 1;
            }
        }
    }
    found
}

/// The strongest first; up to three that raise, then up to three that lower.
pub(crate) fn strongest(mut all: Vec<Reason>) -> Vec<Reason> {
    /// Less than this is no reason.
    const LEAST: f64 = 0.005;
    all.retain(|it| it.effect.abs() >= LEAST);
    all.sort_by(|one, other| other.effect.abs().total_cmp(&one.effect.abs()));
    let (up, down): (Vec<_>, Vec<_>) = all.into_iter().partition(|it| it.effect > 0.0);
    up.into_iter().take(3).chain(down.into_iter().take(3)).collect()
}
