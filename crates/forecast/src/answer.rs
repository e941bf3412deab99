//! A forecast as it is given: the chances of every open deal, and what a window of time will bring.

use crate::brought_in;
use crate::choose::{Choice, choose};
use crate::column;
use crate::history::{History, Seconds, days};
use crate::learned::{Learned, open_at};
use crate::revenue::{Revenue, Window, revenue};

/// From how many looks at deals is learned.
const LOOKS: usize = 60_000;

/// A forecast.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What was learned.
    pub learned: Learned,
    /// Whom to believe.
    pub choice: Choice,
    /// Each open deal.
    pub deals: Vec<Chances>,
    /// What will be won in the window.
    pub revenue: Revenue,
}

/// The chances of an open deal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chances {
    /// Which, by its place in the history.
    pub deal: usize,
    /// To be won at last.
    pub win_probability: f64,
    /// To be won in the window.
    pub win_probability_in_window: f64,
}

/// Forecasts from what is known as of an instant: nothing later may be in the history. The same history and seed give the same answer.
#[must_use]
pub fn answer(history: History, ladder: &[f64], now: Seconds, window: Window, seed: u64) -> Answer {
    let history = brought_in::mark(column::choose(history, now), now);
    of_chosen(&history, ladder, now, window, seed)
}

/// The same from a history whose columns were chosen, and in which it is marked what was brought in.
#[must_use]
pub(crate) fn of_chosen(
    history: &History,
    ladder: &[f64],
    now: Seconds,
    window: Window,
    seed: u64,
) -> Answer {
    let choice = choose(history, ladder, now, seed);
    let learned = Learned::learn(history, ladder, now, LOOKS, seed);
    let (from, to) = (days(now, window.from), days(now, window.to));
    let deals = open_at(history, now, now).map(|(snapshot, look)| {
        let outlook = learned.outlook(&look, choice.voice);
        let within = |days: f64| {
            if days > 0.0 { outlook.won_within(&learned.intervals, days) } else { 0.0 }
        };
        Chances {
            deal: snapshot.deal,
            win_probability: outlook.win_probability(),
            win_probability_in_window: (within(to) - within(from)).max(0.0),
        }
    });
    let deals = deals.collect();
    let revenue = revenue(history, ladder, &learned, &choice, window, seed);
    Answer { learned, choice, deals, revenue }
}

/// What stages promise where nobody has said it: each a step more than the one before.
#[must_use]
pub fn even_ladder(stages: usize) -> Vec<f64> {
    (1..=stages).map(|stage| stage as f64 / (stages + 1) as f64).collect()
}
