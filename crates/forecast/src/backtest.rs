//! How the forecast would have done: made again at instants of the past from what was known then, beside forecasts that anybody could make.

use crate::answer::{even_ladder, of_chosen};
use crate::brought_in;
use crate::column;
use crate::history::{History, Seconds};
use crate::learned::{Voice, ended, open_at, shares};
use crate::measure::Told;
use crate::revenue::{Window, won_in};

/// What everybody is judged by.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Who.
    pub name: &'static str,
    /// The chance that each open deal was given to be won at last, and whether it was, as far as that is known.
    pub outcomes: Vec<(f64, bool)>,
    /// And to be won in the window.
    pub in_window: Vec<(f64, bool)>,
    /// Ranges of what the windows would bring; the same three times where no range was told.
    pub revenue: Vec<Told>,
}

/// A forecast that was made again.
#[derive(Clone, Debug)]
pub struct Round {
    /// Of which window; it was made when that began.
    pub window: Window,
    /// Who was believed.
    pub voice: Voice,
    /// How many deals were open.
    pub open: usize,
    /// What was told, and what came true.
    pub revenue: Told,
}

/// How it did, and how others would have.
#[derive(Clone, Debug)]
pub struct Backtest {
    /// Each time.
    pub rounds: Vec<Round>,
    /// All times together: the forecast first.
    pub records: [Record; 5],
}

/// Makes the forecast again of each window, which begins when it is made. What became of deals is known as of `now`.
#[must_use]
pub fn backtest(history: &History, windows: &[Window], now: Seconds, seed: u64) -> Backtest {
    let history = &brought_in::mark(column::choose(history.clone(), now), now);
    let names = ["forecast", "constant", "stage rate", "stage-weighted", "last period"];
    let mut records = names.map(|name| Record { name, ..Record::default() });
    let ladder = even_ladder(history.stages.len());
    let mut rounds = Vec::new();
    for window in windows {
        let at = window.from;
        let then = history.as_of(at);
        let answer = of_chosen(&then, &ladder, at, *window, seed);
        let actual = won_in(history, *window, now);
        let simple = Simple::learn(&then, at);
        let mut weighted = 0.0;
        let open = open_at(history, at, now).zip(&answer.deals);
        for ((snapshot, look), told) in open {
            let in_window = history.deals[snapshot.deal].end(window.to);
            let in_window = in_window.is_some_and(|end| end.is_won);
            let rate = simple.of(look.standing.stage);
            let chances = [
                (told.win_probability, told.win_probability_in_window),
                (simple.constant, simple.constant),
                (rate, rate),
            ];
            for (record, (at_last, by_then)) in records.iter_mut().zip(chances) {
                if let Some(is_won) = snapshot.fate.is_won() {
                    record.outcomes.push((at_last, is_won));
                }
                record.in_window.push((by_then, in_window));
            }
            weighted += rate * look.amount().unwrap_or_default();
        }
        let length = window.to - window.from;
        let last = won_in(history, Window { from: at - length, to: at }, at);
        let revenue = Told { percentiles: answer.revenue.percentiles, actual };
        records[0].revenue.push(revenue);
        records[3].revenue.push(Told { percentiles: [weighted; 3], actual });
        records[4].revenue.push(Told { percentiles: [last; 3], actual });
        let (voice, open) = (answer.choice.voice, answer.deals.len());
        rounds.push(Round { window: *window, voice, open, revenue });
    }
    Backtest { rounds, records }
}

/// Those of some windows at whose beginning enough was known, and whose end is known.
#[must_use]
pub fn fit(history: &History, windows: &[Window], now: Seconds) -> Vec<Window> {
    const ENOUGH: usize = 20;
    let is_fit = |window: &&Window| {
        let (won, lost) = ended(history, window.from);
        window.to <= now && won > 0 && won + lost >= ENOUGH
    };
    windows.iter().filter(is_fit).copied().collect()
}

/// Shares won of the deals that have ended: of all, and of those that were ever in each stage.
struct Simple {
    constant: f64,
    /// By stage, none being the first.
    stages: Vec<f64>,
}

impl Simple {
    fn learn(history: &History, now: Seconds) -> Self {
        let (won, lost) = ended(history, now);
        let constant = won as f64 / (won + lost).max(1) as f64;
        let rate = |(ended, won, _): (f64, f64, f64)| (won + constant) / (ended + 1.0);
        let stages = shares(history, &[], now).into_iter().map(rate).collect();
        Self { constant, stages }
    }

    fn of(&self, stage: Option<u16>) -> f64 {
        stage.map_or(self.constant, |stage| self.stages[usize::from(stage) + 1])
    }
}
