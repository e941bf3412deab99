//! Whom to believe: each voice is heard as it would have spoken at several instants of the past. The best of them is believed, unless one that looks at nothing of a deal did not do
//! clearly worse.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::history::{DAY, History, Seconds};
use crate::learned::{Learned, Voice, ended, open_at};
use crate::sample::{are_seen, lives};

/// At how many instants of the past they are heard.
const FOLDS: usize = 5;
/// From how many looks at deals they learn for that.
const LOOKS: usize = 12_000;
/// How many deals have to have been seen open, and have ended, before it is learned from more than what the stages are said to promise.
pub(crate) const ENOUGH: usize = 10;
/// How many have to have ended before it is learned from more than the share won by stage, half of them having been seen open.
const ENOUGH_TO_COUNT: usize = 100;
/// How many ends of deals have to have been foreseen for a voice to be chosen by that.
const ENOUGH_TO_JUDGE: usize = 40;

/// How a voice did.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Which.
    pub voice: Voice,
    /// The mean of minus the logarithm of the chance that it gave to what came true.
    pub log_loss: f64,
    /// How much of its distance to the best may be chance: the standard error of that.
    pub error: f64,
    /// Over so many ends of deals.
    pub count: usize,
}

/// Who is believed, and how each did; none is tried where there is too little to try them on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// Whom to believe.
    pub voice: Voice,
    /// How they did.
    pub trials: Vec<Trial>,
}

/// Chooses from what was known at an instant.
#[must_use]
pub fn choose(history: &History, ladder: &[f64], now: Seconds, seed: u64) -> Choice {
    let (won, lost) = ended(history, now);
    let none = |voice| Choice { voice, trials: Vec::new() };
    if !are_seen(history, now, ENOUGH) {
        return none(Voice::Ladder);
    }
    if won + lost < ENOUGH_TO_COUNT || !are_seen(history, now, ENOUGH_TO_COUNT / 2) {
        return none(Voice::ShrunkLadder);
    }
    if won.min(lost) == 0 {
        // Losses are not written down, or nothing was ever won: only when is left to tell.
        return none(Voice::Constant);
    }
    // By voice, what each deal's end cost it.
    let mut costs: BTreeMap<Voice, BTreeMap<usize, (f64, f64)>> = BTreeMap::new();
    let mut count = 0;
    for at in folds(history, now) {
        let learned = Learned::learn(history, ladder, at, LOOKS, seed);
        for (snapshot, look) in open_at(history, at, now) {
            let Some(is_won) = snapshot.fate.is_won() else { continue };
            count += 1;
            for voice in learned.voices() {
                let chance = learned.outlook(&look, voice).win_probability().clamp(0.002, 0.998);
                let cost = -(if is_won { chance } else { 1.0 - chance }).ln();
                let of_deal = costs.entry(voice).or_default().entry(snapshot.deal).or_default();
                of_deal.0 += cost;
                of_deal.1 += 1.0;
            }
        }
    }
    if count < ENOUGH_TO_JUDGE {
        return none(Voice::Table);
    }
    let trials = trials(&costs, count);
    let best = trials.iter().map(|it| it.log_loss).fold(f64::INFINITY, f64::min);
    let is_best = |it: &&Trial| it.log_loss <= best;
    // Where nothing that is known of deals helps, nothing is made of it; where something does, the best is the best.
    let blind = trials.iter().find(|it| it.voice <= Voice::Open && it.log_loss - best <= it.error);
    let chosen = blind.or_else(|| trials.iter().find(is_best));
    Choice { voice: chosen.map_or(Voice::Table, |it| it.voice), trials }
}

/// How each did, from the simplest on; of those that could speak every time.
fn trials(costs: &BTreeMap<Voice, BTreeMap<usize, (f64, f64)>>, count: usize) -> Vec<Trial> {
    let total = |voice: &Voice| costs[voice].values().map(|it| it.0).sum::<f64>();
    let seen = |voice: &Voice| costs[voice].values().map(|it| it.1).sum::<f64>();
    let whole: Vec<Voice> = costs.keys().copied().filter(|it| seen(it) as usize == count).collect();
    let best = whole.iter().copied().min_by(|one, other| total(one).total_cmp(&total(other)));
    let Some(best) = best else { return Vec::new() };
    let mut found: Vec<Trial> = whole
        .into_iter()
        .map(|voice| {
            // Looks at the same deal are no news of it, so that the error is that of deals.
            let differences = costs[&voice].iter().map(|(deal, it)| it.0 - costs[&best][deal].0);
            let differences: Vec<f64> = differences.collect();
            let deals = differences.len() as f64;
            let mean = differences.iter().sum::<f64>() / deals;
            let squares: f64 = differences.iter().map(|it| (it - mean) * (it - mean)).sum();
            let error = squares.sqrt() / count as f64;
            Trial { voice, log_loss: total(&voice) / count as f64, error, count }
        })
        .collect();
    found.sort_by_key(|it| it.voice);
    found
}

/// Instants of the past at which enough was known and after which most of what was open has ended.
fn folds(history: &History, now: Seconds) -> Vec<Seconds> {
    let first = history.deals.iter().map(|it| it.created_at).min().unwrap_or(now);
    let lives = lives(history, now);
    let Some(long) = lives.get(lives.len() * 3 / 4).copied() else { return Vec::new() };
    let mut found = Vec::new();
    for fold in 0..FOLDS {
        let back = long.max(1.0 / 24.0) * (0.8 + 0.6 * fold as f64);
        let at = now - (back * DAY) as Seconds;
        let (won, lost) = ended(history, at);
        let is_enough = won + lost >= ENOUGH_TO_COUNT / 2 && won.min(lost) > 0;
        if at > first && is_enough && are_seen(history, at, ENOUGH) {
            found.push(at);
        }
    }
    found
}
