//! What will be won in a window of time: from the deals that are open, from those that are not made yet, and from how such windows went before, in a range that is as wide as past
//! forecasts were wrong.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::beginning::beginning;
use crate::business::Business;
use crate::choose::Choice;
use crate::history::{History, Seconds, days};
use crate::learned::{Learned, Voice, is_enough, open_at};

/// The 90th percentile of the standard normal distribution.
const NORMAL_90: f64 = 1.281_551_565_5;
/// How wrong a forecast is taken to be before any was tried: the standard deviation of its logarithm.
const PRIOR_ERROR: f64 = 0.15;
/// The same while there were fewer than so many tries.
const UNTRIED_ERROR: f64 = 0.5;
const FEW_REPLAYS: usize = 2;
/// And how many tries that counts for.
const PRIOR_COUNT: f64 = 3.0;
/// How wrong each way is taken to be by itself before it was tried, for as many tries: deals, the window before, the same window a year ago. The longer ago, the more has changed.
const PRIOR_OF_WAYS: [f64; 3] = [PRIOR_ERROR, PRIOR_ERROR, 2.0 * PRIOR_ERROR];
/// No more of an error than this is taken for chance: where more is, it hangs on few deals, and then deals promise little that is sure.
const MOST_CHANCE: f64 = 0.3;
/// How many windows of the past are forecast again, at most; each begins half a window before the one after it.
const REPLAYS: i32 = 10;
/// How much of each is news where they overlap by half.
pub(crate) const OVERLAP: f64 = 0.5;
/// From how many looks at deals it is learned for that.
pub(crate) const LOOKS: usize = 12_000;
/// How often the future is drawn, at most, and how many deals are drawn in all.
const DRAWS: (usize, usize) = (2_000, 20_000_000);
/// For how much of its amount a deal is won, at least and at most: people say what they know, more or less.
const SHARE: (f64, f64) = (0.5, 2.0);
/// An amount that is less than this part of what the deal is won for only stands where one is to be.
const NO_AMOUNT: f64 = 0.01;
/// A deal that is larger than so many times the middle one tells as much as one of that size of the share that deals are won for: otherwise a single absurd amount would tell it for all.
const MOST_TIMES: f64 = 10.0;
/// A year in seconds.
const YEAR: Seconds = 365 * 86_400;

/// After one instant, until another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// It begins after this.
    pub from: Seconds,
    /// It ends with this.
    pub to: Seconds,
}

impl Window {
    fn contains(self, at: Seconds) -> bool {
        self.from < at && at <= self.to
    }

    pub(crate) fn before(self, by: Seconds) -> Self {
        Self { from: self.from - by, to: self.to - by }
    }

    pub(crate) fn length(self) -> Seconds {
        self.to - self.from
    }
}

/// What open deals and new ones bring in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BottomUp {
    /// What is to be expected of the open ones.
    pub pipeline: f64,
    /// And of those not made yet.
    pub new_business: f64,
    /// The middle of what both might bring.
    pub median: f64,
    /// The standard deviation of the logarithm of that, as far as it is chance alone.
    pub spread: f64,
}

/// A window of the past, forecast as it would have been then.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    /// When the forecast would have been made.
    pub at: Seconds,
    /// What deals would have promised.
    pub bottom_up: f64,
    /// What a window of the same length before had brought.
    pub last: f64,
    /// What the same window a year before had brought, if that is known.
    pub year_ago: Option<f64>,
    /// What came true.
    pub actual: f64,
}

/// What will be won in a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Revenue {
    /// The 10th, 50th and 90th percentile.
    pub percentiles: [f64; 3],
    /// What deals promise.
    pub bottom_up: BottomUp,
    /// How much each of the ways counts: deals, the window before, the same window a year ago.
    pub weights: [f64; 3],
    /// How wide the range is, as the standard deviation of the logarithm.
    pub sigma: f64,
    /// Windows of the past.
    pub replays: Vec<Replay>,
}

/// Forecasts a window that begins now or later.
#[must_use]
pub fn revenue(
    history: &History,
    ladder: &[f64],
    learned: &Learned,
    choice: &Choice,
    window: Window,
    seed: u64,
) -> Revenue {
    let now = learned.now;
    let bottom_up = bottom_up(history, learned, choice.voice, window, seed);
    let replays = replay(history, ladder, now, choice.voice, window, seed);
    let first = first(history, now).unwrap_or(now);
    let now = (now, window);
    let ways = [Some(bottom_up.median), last(history, first, now), year_ago(history, first, now)];
    let combined = combine(ways, bottom_up.spread, &replays, OVERLAP);
    let (percentiles, sigma, weights) = (combined.percentiles(), combined.sigma, combined.weights);
    Revenue { percentiles, bottom_up, weights, sigma, replays }
}

/// A middle, and how wrong it may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Combined {
    /// The middle.
    pub middle: f64,
    /// The standard deviation of the logarithm, wider by what is not known of it itself: the percentiles are those of a normal distribution with it.
    pub sigma: f64,
    /// How much each of the ways counts.
    pub weights: [f64; 3],
}

impl Combined {
    /// The 10th, 50th and 90th percentile.
    #[must_use]
    pub fn percentiles(&self) -> [f64; 3] {
        let far = (NORMAL_90 * self.sigma).exp();
        [self.middle / far, self.middle, self.middle * far]
    }
}

/// Combines what deals promise, what the window before brought and what the same a year ago did, by how wrong each was in replays, of each of which `share` is news. `spread` is how far
/// chance alone may lead away from what deals promise.
#[must_use]
pub fn combine(ways: [Option<f64>; 3], spread: f64, replays: &[Replay], share: f64) -> Combined {
    // Nothing has no logarithm: next to nothing stands for it.
    let all = replays.iter().map(|it| it.actual).chain(ways.into_iter().flatten());
    let (sum, count) = all.fold((0.0, 0.0), |(sum, count), it| (sum + it, count + 1.0));
    let least = (sum / f64::max(count, 1.0) * 0.02).max(1e-9);
    let log = |it: f64| it.max(least).ln();
    let weights = weights(replays, ways, spread, share, log);
    let mean_of = |ways: [Option<f64>; 3]| -> f64 {
        let known =
            ways.iter().zip(weights).filter_map(|(way, weight)| Some((log((*way)?), weight)));
        let (sum, all) =
            known.fold((0.0, 0.0), |(sum, all), (way, weight)| (sum + way * weight, all + weight));
        if all > 0.0 { sum / all } else { log(0.0) }
    };
    let middle = mean_of(ways);
    let errors = replays.iter().map(|it| {
        let told = mean_of([Some(it.bottom_up), Some(it.last), it.year_ago]);
        (told - log(it.actual)).powi(2)
    });
    let count = replays.len() as f64 * share;
    let mean = errors.sum::<f64>() / replays.len().max(1) as f64;
    let is_tried = replays.len() >= FEW_REPLAYS;
    let prior = if is_tried { PRIOR_ERROR } else { UNTRIED_ERROR };
    let prior = prior.max(spread).powi(2);
    let sigma = ((PRIOR_COUNT * prior + count * mean) / (PRIOR_COUNT + count)).sqrt();
    // While nothing was tried it is wide enough as it is.
    let sigma = if is_tried { sigma * wider(PRIOR_COUNT + count) } else { sigma };
    let middle = if ways.into_iter().flatten().all(|it| it <= 0.0) { 0.0 } else { middle.exp() };
    Combined { middle, sigma, weights }
}

/// What deals promise.
#[must_use]
pub fn bottom_up(
    history: &History,
    learned: &Learned,
    voice: Voice,
    window: Window,
    seed: u64,
) -> BottomUp {
    let now = learned.now;
    let (from, to) = (days(now, window.from), days(now, window.to));
    let worth = Worth::learn(history, now);
    let mut open: Vec<(f32, f32)> = Vec::new();
    let mut pipeline = 0.0;
    for (_, look) in open_at(history, now, now).filter(|(_, look)| !look.is_left_out()) {
        let outlook = learned.outlook(&look, voice);
        let within = |days| outlook.won_within(&learned.intervals, days);
        let chance = within(to) - if from > 0.0 { within(from) } else { 0.0 };
        let value = worth.of(look.amount());
        pipeline += chance * value;
        open.push((chance as f32, value as f32));
    }
    let coming = Business::learn(history, now).within(window.from, window.to);
    let mut rng = StdRng::seed_from_u64(seed ^ 0x5EED);
    let drawn = open.len() + coming.expected() as usize;
    let draws = (DRAWS.1 / drawn.max(1)).clamp(DRAWS.0 / 100, DRAWS.0);
    let mut drawn: Vec<f64> = (0..draws)
        .map(|_| {
            let won = open.iter().filter(|(chance, _)| rng.random::<f32>() < *chance);
            let won: f64 = won.map(|(_, value)| f64::from(*value)).sum();
            won + coming.draw(&mut rng)
        })
        .collect();
    drawn.sort_unstable_by(f64::total_cmp);
    let at = |part: f64| drawn[((draws as f64 * part) as usize).min(draws - 1)];
    let (low, median, high) = (at(0.1), at(0.5), at(0.9));
    let spread = if low > 0.0 { (high / low).ln() / (2.0 * NORMAL_90) } else { 1.0 };
    BottomUp { pipeline, new_business: coming.mean(), median, spread: spread.min(1.0) }
}

/// What an open deal would be won for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Worth {
    /// For how much of its amount deals were won.
    share: f64,
    /// What is taken where the amount is not known.
    unknown: f64,
}

impl Worth {
    /// Of deals that were won by an instant.
    #[must_use]
    pub fn learn(history: &History, now: Seconds) -> Self {
        let (mut values, mut count) = (0.0, 0.0);
        let mut said: Vec<(f64, f64)> = Vec::new();
        for deal in &history.deals {
            let Some(end) = deal.end(now).filter(|end| end.is_won) else { continue };
            if let Some(value) = deal.value() {
                values += value;
                count += 1.0;
                // As it was half way, as open ones are on average.
                let amount = deal.amount_at(i64::midpoint(deal.created_at, end.at));
                let is_said = |amount: &f64| value > 0.0 && *amount > value * NO_AMOUNT;
                said.extend(amount.filter(is_said).map(|amount| (amount, value)));
            }
        }
        Self { share: share(said), unknown: if count > 0.0 { values / count } else { 0.0 } }
    }

    /// Of one with an amount, or without.
    #[must_use]
    pub fn of(&self, amount: Option<f64>) -> f64 {
        amount.map_or(self.unknown, |amount| amount * self.share)
    }
}

/// For how much of their amounts deals were won: of each, what was said of it and what it was won for.
fn share(mut said: Vec<(f64, f64)>) -> f64 {
    said.sort_by(|one, other| one.0.total_cmp(&other.0));
    let Some((middle, _)) = said.get(said.len().saturating_sub(1) / 2) else { return 1.0 };
    let most = middle * MOST_TIMES;
    let (won, asked) = said.iter().fold((0.0, 0.0), |(won, asked), (amount, value)| {
        let counts = (most / amount.max(*value)).min(1.0);
        (won + value * counts, asked + amount * counts)
    });
    (won / asked).clamp(SHARE.0, SHARE.1)
}

/// What was won in a window.
#[must_use]
pub fn won_in(history: &History, window: Window, now: Seconds) -> f64 {
    let won = history.deals.iter().filter_map(|deal| {
        let end = deal.end(now.min(window.to)).filter(|end| end.is_won)?;
        if window.contains(end.at) { deal.value() } else { None }
    });
    won.sum()
}

/// When the book began, as known at an instant.
#[must_use]
pub fn first(history: &History, now: Seconds) -> Option<Seconds> {
    beginning(history.deals.iter().map(|deal| deal.created_at).filter(|at| *at <= now))
}

/// What a window of the same length before now has brought, of a book that began then.
pub(crate) fn last(
    history: &History,
    first: Seconds,
    (now, window): (Seconds, Window),
) -> Option<f64> {
    Some(won_in(history, before(now, window, first)?, now))
}

/// The window of the same length before now, if something was known when it began.
#[must_use]
pub fn before(now: Seconds, window: Window, first: Seconds) -> Option<Window> {
    let before = Window { from: now - window.length(), to: now };
    Some(before).filter(|before| first <= before.from)
}

/// What the same window a year ago has brought, where there was enough before it.
pub(crate) fn year_ago(
    history: &History,
    first: Seconds,
    (now, window): (Seconds, Window),
) -> Option<f64> {
    Some(won_in(history, a_year_before(now, window, first)?, now))
}

/// The same window a year ago, or so many that it was over by now, if something was known long enough before it.
#[must_use]
pub fn a_year_before(now: Seconds, window: Window, first: Seconds) -> Option<Window> {
    let mut before = window.before(YEAR);
    while before.to > now {
        before = before.before(YEAR);
    }
    Some(before).filter(|before| first <= before.from - window.length())
}

/// Windows of the past, the latest first.
fn replay(
    history: &History,
    ladder: &[f64],
    now: Seconds,
    voice: Voice,
    window: Window,
    seed: u64,
) -> Vec<Replay> {
    let lead = window.from - now;
    let half = (window.length() / 2).max(1);
    let mut found = Vec::new();
    for index in 0..REPLAYS {
        let at = now - lead - window.length() - Seconds::from(index) * half;
        let then = Window { from: at + lead, to: at + lead + window.length() };
        let Some(first) = first(history, at) else { break };
        let Some(last) = last(history, first, (at, then)) else { break };
        if !is_enough(history, at) {
            break;
        }
        let learned = Learned::learn(history, ladder, at, LOOKS, seed);
        found.push(Replay {
            at,
            bottom_up: bottom_up(history, &learned, voice, then, seed).median,
            last,
            year_ago: year_ago(history, first, (at, then)),
            actual: won_in(history, then, now),
        });
    }
    found
}

/// How much each way counts: the less, the more it was wrong by itself. That what came true was chance makes all of them wrong alike, and says nothing for or against any; what a window
/// of the past brought was as much chance.
fn weights(
    replays: &[Replay],
    ways: [Option<f64>; 3],
    spread: f64,
    share: f64,
    log: impl Fn(f64) -> f64,
) -> [f64; 3] {
    let chance = spread.min(MOST_CHANCE).powi(2);
    let of = |way: &dyn Fn(&Replay) -> Option<f64>, before: f64| -> f64 {
        let errors = replays.iter().filter_map(|it| Some((log(way(it)?) - log(it.actual)).powi(2)));
        let (sum, count) = errors.fold((0.0, 0.0), |(sum, count), it| (sum + it, count + 1.0));
        let own = (sum / f64::max(count, 1.0) - chance).max(0.0);
        let count = count * share;
        (PRIOR_COUNT + count) / (PRIOR_COUNT * before + count * own)
    };
    let [deals, last, year_ago] = PRIOR_OF_WAYS.map(|it| it * it);
    let mut weights = [
        of(&|it| Some(it.bottom_up), deals),
        of(&|it| Some(it.last), last + chance),
        of(&|it| it.year_ago, year_ago + chance),
    ];
    for (weight, way) in weights.iter_mut().zip(ways) {
        if way.is_none() {
            *weight = 0.0;
        }
    }
    let sum: f64 = weights.iter().sum();
    weights.map(|it| if sum > 0.0 { it / sum } else { 0.0 })
}

/// How much further away the 90th percentile is where the standard deviation is itself known from so many tries only: that of Student's distribution over the normal one's (expanded after
/// Fisher and Cornish; Abramowitz and Stegun, 26.7.5).
fn wider(tries: f64) -> f64 {
    let square = NORMAL_90 * NORMAL_90;
    let first = (square + 1.0) / 4.0;
    let second = (5.0 * square * square + 16.0 * square + 3.0) / 96.0;
    1.0 + first / tries + second / (tries * tries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Before, DAY, Deal, Move, Place};

    /// Deals that were won after 20 days, each for so much, and what was said of each until a day before that.
    fn worth(deals: &[(Option<f64>, f64)]) -> Worth {
        let day = DAY as Seconds;
        let won = |(said, value): &(Option<f64>, f64)| Deal {
            amount: Some(*value),
            before: vec![Before { until: 19 * day, amount: *said, ..Before::default() }],
            moves: vec![Move { to: Place::Won, at: 20 * day }],
            ..Deal::default()
        };
        let deals = deals.iter().map(won).collect();
        Worth::learn(&History { deals, ..History::default() }, 30 * day)
    }

    #[test]
    fn what_only_stands_where_an_amount_is_to_be_tells_not_for_how_much_of_it_deals_are_won() {
        let share = |deals: &[(Option<f64>, f64)]| worth(deals).of(Some(1.0));
        let honest = [(Some(100_000.0), 90_000.0); 10];
        let blank = [(Some(0.0), 200_000.0), (Some(1.0), 100_000.0), (None, 70_000.0)];
        assert!((share(&honest) - 0.9).abs() < 1e-9);
        assert!((share(&[&honest[..], &blank].concat()) - 0.9).abs() < 1e-9);
        assert!((share(&[&honest[..], &[(Some(50_000.0), 0.0)]].concat()) - 0.9).abs() < 1e-9);
        assert!((share(&blank) - 1.0).abs() < 1e-9);
        // Nobody is off by that much for ever.
        assert!((share(&[(Some(10_000.0), 100_000.0)]) - 2.0).abs() < 1e-9);
        assert!((share(&[(Some(100_000.0), 10_000.0)]) - 0.5).abs() < 1e-9);
    }

    /// Ten windows that brought 100 each, by turns more and less than each way had said: the logarithms of how much.
    fn replays(deals: f64, last: f64, year_ago: Option<f64>) -> Vec<Replay> {
        let replay = |index: i32| {
            let said = |by: f64| 100.0 * (if index % 2 == 0 { by } else { -by }).exp();
            let (bottom_up, last, year_ago) = (said(deals), said(last), year_ago.map(said));
            Replay { at: 0, bottom_up, last, year_ago, actual: 100.0 }
        };
        (0..10).map(replay).collect()
    }

    #[test]
    fn what_is_chance_for_every_way_counts_against_none() {
        let replays = replays(0.2, 0.2_f64.hypot(0.2), None);
        let deals = |spread| {
            combine([Some(100.0), Some(100.0), None], spread, &replays, OVERLAP).weights[0]
        };
        // Twice the squared error, half the weight, nearly.
        assert!((0.6..0.7).contains(&deals(0.0)), "{}", deals(0.0));
        // All that deals were wrong by was chance; the window before was wrong by itself as well.
        assert!(deals(0.2) > 0.8, "{}", deals(0.2));
        // Where it hangs on few deals it is not taken for sure that they were right.
        assert!((deals(0.9) - deals(MOST_CHANCE)).abs() < 1e-12);
    }

    #[test]
    fn the_way_that_was_right_counts_most_whichever_it_is() {
        let most = |deals, last, year_ago| {
            let ways = [Some(100.0); 3];
            let weights =
                combine(ways, 0.1, &replays(deals, last, Some(year_ago)), OVERLAP).weights;
            assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
            (0..3).max_by(|one, other| weights[*one].total_cmp(&weights[*other])).unwrap()
        };
        assert_eq!(most(0.1, 0.5, 0.5), 0);
        assert_eq!(most(0.5, 0.1, 0.5), 1);
        assert_eq!(most(0.5, 0.5, 0.1), 2);
        // What is not known does not count, and before anything was tried what is open now does most.
        let weights = combine([Some(100.0), Some(100.0), None], 0.1, &[], OVERLAP).weights;
        assert!(weights[0] > weights[1] && weights[1] > 0.0 && weights[2] <= 0.0, "{weights:?}");
    }

    #[test]
    fn the_fewer_tries_a_width_is_known_from_the_wider_the_range_is() {
        // Student's 90th percentiles, from tables.
        for (tries, percentile) in [(3.0, 1.638), (4.0, 1.533), (8.0, 1.397), (13.0, 1.350)] {
            let told = wider(tries) * NORMAL_90;
            assert!((told / percentile - 1.0).abs() < 0.008, "{tries}: {told}");
        }
        let sigma = |tries: usize| {
            let replays = &replays(0.3, 0.3, None)[..tries];
            combine([Some(100.0), Some(100.0), None], 0.3, replays, OVERLAP).sigma
        };
        // Chance alone is as wide as what was seen: only how well that is known tells.
        assert!((sigma(2) / 0.3 - wider(4.0)).abs() < 1e-9, "{}", sigma(2));
        assert!((sigma(10) / 0.3 - wider(8.0)).abs() < 1e-9, "{}", sigma(10));
        assert!((sigma(0) - UNTRIED_ERROR).abs() < 1e-9);
    }

    #[test]
    fn one_absurd_deal_does_not_tell_for_how_much_all_others_are_won() {
        let share = |deals: &[(Option<f64>, f64)]| worth(deals).of(Some(1.0));
        let honest = [(Some(100_000.0), 90_000.0); 300];
        for absurd in [(Some(1e12), 1.9e12), (Some(1e12), 5e11), (Some(9e12), 1e11)] {
            let told = share(&[&honest[..], &[absurd]].concat());
            assert!((told - 0.9).abs() < 0.04, "{absurd:?} {told}");
        }
        // A larger one still tells more than one that is smaller.
        let two = share(&[(Some(1.0), 1.0), (Some(9.0), 4.5)]);
        assert!((two - 0.55).abs() < 1e-9, "{two}");
    }

    #[test]
    fn one_old_deal_does_not_make_a_year_known_in_which_there_was_no_book() {
        let day = DAY as Seconds;
        let made = |at: i64| Deal { created_at: at * day, ..Deal::default() };
        let mut history =
            History { deals: (5_000..5_180).map(made).collect(), ..History::default() };
        let now = 5_180 * day;
        let window = Window { from: now, to: now + 91 * day };
        let known = |history: &History| {
            let first = first(history, now).unwrap();
            (before(now, window, first).is_some(), a_year_before(now, window, first).is_some())
        };
        assert_eq!(known(&history), (true, false));
        history.deals.push(made(0));
        assert_eq!(known(&history), (true, false));
        history.deals.extend((4_000..5_000).map(made));
        assert_eq!(known(&history), (true, true));
    }

    #[test]
    fn one_without_an_amount_is_worth_what_others_were_won_for() {
        let worth = worth(&[(Some(0.0), 300.0), (None, 100.0)]);
        assert!((worth.of(None) - 200.0).abs() < 1e-9 && worth.of(Some(0.0)) <= 0.0);
    }
}
