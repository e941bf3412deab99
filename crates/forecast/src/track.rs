//! How the forecast would have done: windows of the past, each forecast from what was known when it began. One instant serves windows of several lengths.

use serde::{Deserialize, Serialize};

use crate::history::{History, Seconds};
use crate::learned::{Learned, Voice, is_enough, open_at};
use crate::revenue::{
    LOOKS, OVERLAP, Replay, Window, bottom_up, combine, first, last, won_in, year_ago,
};

/// Between two instants: half a quarter.
const STEP: Seconds = 365 * 86_400 / 8;
/// How many steps back it is forecast again.
const STEPS: [Seconds; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16];
/// How many groups of the same size chances are told in.
const GROUPS: usize = 10;
/// The same of amounts.
const BANDS: usize = 5;

/// How long a window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Length {
    /// A twelfth of a year.
    Month,
    /// A quarter of a year.
    Quarter,
    /// A year.
    Year,
}

impl Length {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Month, Self::Quarter, Self::Year];

    /// In seconds.
    #[must_use]
    pub fn seconds(self) -> Seconds {
        match self {
            Self::Month => STEP * 2 / 3,
            Self::Quarter => STEP * 2,
            Self::Year => STEP * 8,
        }
    }

    /// That which so many seconds are nearest to.
    #[must_use]
    pub fn nearest(seconds: Seconds) -> Self {
        match () {
            () if seconds < STEP * 5 / 4 => Self::Month,
            () if seconds < STEP * 4 => Self::Quarter,
            () => Self::Year,
        }
    }

    /// How much of each window is news.
    #[must_use]
    pub fn share(self) -> f64 {
        if self == Self::Month { 1.0 } else { OVERLAP }
    }

    /// Whether such a window begins so many steps ago: it is over, and at most half of it is in the one before.
    fn begins(self, steps: Seconds) -> bool {
        match self {
            Self::Month => steps <= 10,
            Self::Quarter => (2..=10).contains(&steps),
            Self::Year => steps >= 8 && steps % 4 == 0,
        }
    }
}

/// A window of the past, forecast as it began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Try {
    /// How long it is.
    pub length: Length,
    /// What was told by each way, and what came true.
    pub replay: Replay,
    /// How far chance alone may lead away from that.
    pub spread: f64,
    /// What was told, by what was known of earlier tries then: the 10th, 50th and 90th percentile.
    pub percentiles: [f64; 3],
    /// What open deals are worth by the share won in each stage.
    pub stage_weighted: f64,
}

impl Try {
    /// Whether what came true was in the range.
    #[must_use]
    pub fn is_held(&self) -> bool {
        let [low, _, high] = self.percentiles;
        (low..=high).contains(&self.replay.actual)
    }
}

/// Chances that were told, and how many came true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The least and the most: of chances, or of amounts.
    pub between: (f64, f64),
    /// How many deals.
    pub count: usize,
    /// The mean of the chances that were told.
    pub told: f64,
    /// The share that was won.
    pub won: f64,
}

/// How it did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Track {
    /// Windows, of each length the latest first.
    pub tries: Vec<Try>,
    /// By what was told of deals.
    pub by_chance: Vec<Calibration>,
    /// By what they are worth.
    pub by_amount: Vec<Calibration>,
    /// The mean of minus the logarithm of the chance that was given to what came true.
    pub log_loss: f64,
}

/// Forecasts the past again from what was known then; what came true is known as of now.
#[must_use]
pub fn track(history: &History, ladder: &[f64], now: Seconds, voice: Voice, seed: u64) -> Track {
    let mut tries: Vec<Try> = Vec::new();
    // The chance that was told of each deal, whether it was won, and what it is worth.
    let mut told: Vec<(f64, bool, Option<f64>)> = Vec::new();
    for steps in STEPS {
        let at = now - steps * STEP;
        if !is_enough(history, at) {
            break;
        }
        let Some(first) = first(history, at) else { break };
        let learned = Learned::learn(history, ladder, at, LOOKS, seed);
        let mut stage_weighted = 0.0;
        for (snapshot, look) in open_at(history, at, now) {
            if !look.is_left_out() {
                let chance = learned.outlook(&look, Voice::ShrunkLadder).win_probability();
                stage_weighted += chance * look.amount().unwrap_or_default();
            }
            if let Some(is_won) = snapshot.fate.is_won() {
                let chance = learned.outlook(&look, voice).win_probability();
                told.push((chance, is_won, look.amount()));
            }
        }
        for length in Length::ALL.into_iter().filter(|it| it.begins(steps)) {
            let window = Window { from: at, to: at + length.seconds() };
            let Some(last) = last(history, first, (at, window)) else { continue };
            let promise = bottom_up(history, &learned, voice, window, seed);
            let replay = Replay {
                at,
                bottom_up: promise.median,
                last,
                year_ago: year_ago(history, first, (at, window)),
                actual: won_in(history, window, now),
            };
            let (spread, percentiles) = (promise.spread, [0.0; 3]);
            tries.push(Try { length, replay, spread, percentiles, stage_weighted });
        }
    }
    tell(&mut tries);
    let outcomes: Vec<(f64, bool)> = told.iter().map(|it| (it.0, it.1)).collect();
    let log_loss = crate::measure::log_loss(&outcomes);
    let by_chance = groups(&mut told, GROUPS, |it| Some(it.0));
    told.retain(|it| it.2.is_some());
    let by_amount = groups(&mut told, BANDS, |it| it.2);
    Track { tries, by_chance, by_amount, log_loss }
}

/// Says of each what would have been told: of the others those count that were over then.
fn tell(tries: &mut [Try]) {
    for index in 0..tries.len() {
        let it = &tries[index];
        let over = |other: &&Try| {
            other.length == it.length && other.replay.at + it.length.seconds() <= it.replay.at
        };
        let known: Vec<Replay> = tries.iter().filter(over).map(|other| other.replay).collect();
        let ways = [Some(it.replay.bottom_up), Some(it.replay.last), it.replay.year_ago];
        let combined = combine(ways, it.spread, &known, it.length.share());
        tries[index].percentiles = combined.percentiles();
    }
}

/// In groups of about the same size, by a number.
fn groups(
    told: &mut [(f64, bool, Option<f64>)],
    count: usize,
    by: impl Fn(&(f64, bool, Option<f64>)) -> Option<f64>,
) -> Vec<Calibration> {
    let number = |it: &(f64, bool, Option<f64>)| by(it).unwrap_or_default();
    told.sort_unstable_by(|one, other| {
        number(one).total_cmp(&number(other)).then(one.0.total_cmp(&other.0))
    });
    let group = |index: usize| &told[index * told.len() / count..(index + 1) * told.len() / count];
    let calibration = |group: &[(f64, bool, Option<f64>)]| {
        let (first, last) = (group.first()?, group.last()?);
        let size = group.len() as f64;
        Some(Calibration {
            between: (number(first), number(last)),
            count: group.len(),
            told: group.iter().map(|it| it.0).sum::<f64>() / size,
            won: group.iter().filter(|it| it.1).count() as f64 / size,
        })
    };
    (0..count).filter_map(|index| calibration(group(index))).collect()
}

impl Track {
    /// What of it was over at an instant: its windows.
    #[must_use]
    pub(crate) fn as_of(&self, now: Seconds) -> Self {
        let over = |it: &&Try| it.replay.at + it.length.seconds() <= now;
        Self { tries: self.tries.iter().filter(over).cloned().collect(), ..Self::default() }
    }

    /// How many windows of some length were forecast again, and how many of them were in their range.
    #[must_use]
    pub fn held(&self, length: Length) -> (usize, usize) {
        let of = || self.tries.iter().filter(|it| it.length == length);
        (of().count(), of().filter(|it| it.is_held()).count())
    }

    /// What counts for a window of some length: the tries of the nearest, or of the next shorter one of which there are any.
    #[must_use]
    pub fn replays(&self, length: Length) -> (Vec<Replay>, f64) {
        let of = |length: Length| -> Vec<Replay> {
            self.tries.iter().filter(|it| it.length == length).map(|it| it.replay).collect()
        };
        let shorter = Length::ALL.into_iter().rev().skip_while(|it| *it != length);
        let known = shorter.map(|it| (of(it), it.share())).find(|(replays, _)| !replays.is_empty());
        known.unwrap_or((Vec::new(), length.share()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::even_ladder;
    use crate::history::DAY;
    use crate::made_up::{Kind, make_up};

    #[test]
    fn what_is_told_of_the_past_does_not_change_with_what_came_later() {
        let history = make_up(Kind::Guided, 1_500, 900, 3);
        let now = 900 * DAY as Seconds;
        let ladder = even_ladder(history.stages.len());
        let found = track(&history, &ladder, now, Voice::Table, 1);
        let of = |length| found.tries.iter().filter(move |it| it.length == length).count();
        assert_eq!((of(Length::Month), of(Length::Quarter)), (10, 9));
        assert!(of(Length::Year) >= 1);
        let earlier = track(&history.as_of(now - STEP), &ladder, now - STEP, Voice::Table, 1);
        let both = earlier.tries.iter().filter_map(|it| {
            let same = |other: &&Try| other.length == it.length && other.replay.at == it.replay.at;
            Some((it, found.tries.iter().find(same)?))
        });
        let both: Vec<_> = both.collect();
        assert!(both.len() > 10);
        for (before, after) in both {
            assert_eq!(before.replay, after.replay);
        }
    }

    #[test]
    fn chances_are_compared_with_what_came_true_in_groups_of_one_size() {
        let history = make_up(Kind::Guided, 1_500, 900, 3);
        let now = 900 * DAY as Seconds;
        let ladder = even_ladder(history.stages.len());
        let found = track(&history, &ladder, now, Voice::Table, 1);
        assert_eq!((found.by_chance.len(), found.by_amount.len()), (GROUPS, BANDS));
        for pair in found.by_chance.windows(2) {
            assert!(pair[0].told <= pair[1].told && pair[0].between.1 <= pair[1].between.0);
        }
        let far = |it: &Calibration| (it.told - it.won).abs() * it.count as f64;
        let all: usize = found.by_chance.iter().map(|it| it.count).sum();
        let error = found.by_chance.iter().map(far).sum::<f64>() / all as f64;
        assert!(error < 0.1, "{error}");
    }
}
