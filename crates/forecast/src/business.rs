//! New business: deals that are not made yet, as they have come so far: how many a day, how many of them are won after how long, and for how much.

use std::collections::BTreeSet;

use rand::Rng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Gamma, Poisson};
use serde::{Deserialize, Serialize};

use crate::beginning::beginning;
use crate::brought_in::week;
use crate::history::{Deal, History, Seconds, days};
use crate::sample::median_life;

/// For how many days back it is counted how many come, at least and at most.
const LOOK_BACK: (f64, f64) = (91.0, 365.0);
/// Where the chance to be won after some days is asked for, between an arrival and the end of a window.
const STEPS: u32 = 32;
/// How many deals won fast enough have to be there for only their values to be taken.
const ENOUGH_VALUES: usize = 30;

/// How deals have come so far.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Business {
    now: Seconds,
    /// How many come a day.
    per_day: f64,
    /// How much more their number varies than by chance alone: its variance is the mean + this × the mean squared, over a month.
    dispersion: f64,
    /// The share that has been won after so many days, for every day on which one was.
    won_after: Vec<(f64, f64)>,
    /// After how many days each that was won was, and for how much.
    values: Vec<(f64, f64)>,
}

/// What comes of it in a window.
#[derive(Clone, Debug)]
pub struct Coming {
    count: f64,
    /// The chance of each to be won in the window.
    chance: f64,
    dispersion: f64,
    values: Vec<f64>,
}

impl Business {
    /// As known at an instant.
    #[must_use]
    pub fn learn(history: &History, now: Seconds) -> Self {
        let made = || history.deals.iter().filter(|deal| deal.created_at <= now);
        // Those that were brought in did not come when they were written down.
        let came = || made().filter(|deal| !deal.is_brought_in);
        let written = made().map(Deal::written).filter(|at| *at <= now);
        let seen = beginning(written).map_or(0.0, |first| days(first, now));
        let life = median_life(history, now).unwrap_or_default();
        // Of a young book as many come in a quarter as have come so far: more is not known.
        let back = (2.0 * life).clamp(LOOK_BACK.0, LOOK_BACK.1).min(seen.max(LOOK_BACK.0));
        let is_recent = |at: Seconds| at <= now && days(at, now) <= back;
        let paused = made().filter(|deal| deal.is_brought_in && is_recent(deal.written()));
        let paused: BTreeSet<i64> = paused.map(|deal| week(deal.written())).collect();
        let known = (back - 7.0 * paused.len() as f64).max(LOOK_BACK.0 / 2.0);
        let per_day = came().filter(|deal| is_recent(deal.created_at)).count() as f64 / known;
        let mut lives: Vec<(f64, Option<bool>)> = Vec::new();
        let mut values: Vec<(f64, f64)> = Vec::new();
        for deal in made() {
            let end = deal.end(now);
            if !deal.is_brought_in {
                let until = end.map_or(now, |end| end.at);
                lives.push((days(deal.created_at, until), end.map(|end| end.is_won)));
            }
            if let (Some(end), Some(value)) = (end.filter(|it| it.is_won), deal.value()) {
                values.push((days(deal.created_at, end.at), value));
            }
        }
        let dispersion = dispersion(came().map(|deal| days(deal.created_at, now)), seen);
        Self { now, per_day, dispersion, won_after: incidence(lives), values }
    }

    /// With few enough numbers to be kept: every so many of those that there are, which come to the same on average.
    #[must_use]
    pub fn thinned(mut self) -> Self {
        const MOST: usize = 2_000;
        self.won_after = every_so_many(self.won_after, MOST);
        self.values.sort_by(|one, other| one.0.total_cmp(&other.0).then(one.1.total_cmp(&other.1)));
        let mean = |values: &[(f64, f64)]| {
            values.iter().map(|it| it.1).sum::<f64>() / values.len().max(1) as f64
        };
        let before = mean(&self.values);
        self.values = every_so_many(self.values, MOST);
        let after = mean(&self.values);
        if after > 0.0 {
            for value in &mut self.values {
                value.1 *= before / after;
            }
        }
        self
    }

    /// The same at a later instant, as if what has come since had been like what came before.
    #[must_use]
    pub fn at(&self, now: Seconds) -> Self {
        Self { now, ..self.clone() }
    }

    /// What comes of it between two instants.
    #[must_use]
    pub fn within(&self, from: Seconds, to: Seconds) -> Coming {
        let (from, to) = (days(self.now, from), days(self.now, to));
        let chance: f64 = (0..STEPS)
            .map(|step| {
                let at = to * (f64::from(step) + 0.5) / f64::from(STEPS);
                self.won_after(to - at) - self.won_after(from - at)
            })
            .sum::<f64>()
            / f64::from(STEPS);
        let fast = self.values.iter().filter(|(days, _)| *days <= to).map(|it| it.1);
        let mut values: Vec<f64> = fast.collect();
        if values.len() < ENOUGH_VALUES {
            values = self.values.iter().map(|it| it.1).collect();
        }
        Coming { count: self.per_day * to, chance, dispersion: self.dispersion, values }
    }

    /// The share that is won within so many days.
    fn won_after(&self, days: f64) -> f64 {
        let index = self.won_after.partition_point(|(at, _)| *at <= days);
        index.checked_sub(1).map_or(0.0, |index| self.won_after[index].1)
    }
}

impl Coming {
    /// What is to be expected.
    #[must_use]
    pub fn mean(&self) -> f64 {
        let values = self.values.iter().sum::<f64>() / self.values.len().max(1) as f64;
        self.count * self.chance * values
    }

    /// How many are to be expected to be won.
    #[must_use]
    pub fn expected(&self) -> f64 {
        self.count * self.chance
    }

    /// The variance of that.
    #[must_use]
    pub fn variance(&self) -> f64 {
        let squares = self.values.iter().map(|it| it * it).sum::<f64>();
        let square = squares / self.values.len().max(1) as f64;
        self.expected() * square + self.mean().powi(2) * self.dispersion
    }

    /// What might come: as many as a negative binomial says, each for what one of the past was won for.
    pub fn draw(&self, rng: &mut StdRng) -> f64 {
        let mean = self.count * self.chance;
        if mean <= 0.0 || self.values.is_empty() {
            return 0.0;
        }
        // A Poisson whose mean is drawn from a gamma is a negative binomial.
        let mean = match Gamma::new(1.0 / self.dispersion, self.dispersion) {
            Ok(gamma) if self.dispersion > 1e-6 => mean * gamma.sample(rng),
            _ => mean,
        };
        let count = Poisson::new(mean).map_or(0.0, |poisson| poisson.sample(rng));
        (0..count as u64).map(|_| self.values[rng.random_range(0..self.values.len())]).sum()
    }
}

/// At most so many, evenly, the last always.
fn every_so_many<T: Copy>(all: Vec<T>, most: usize) -> Vec<T> {
    if all.len() <= most {
        return all;
    }
    (1..=most).map(|part| all[part * all.len() / most - 1]).collect()
}

/// How much more than by chance the numbers of months vary, over the last twelve.
fn dispersion(ages: impl Iterator<Item = f64>, span: f64) -> f64 {
    const MONTH: f64 = 30.0;
    let months = ((span / MONTH) as usize).min(12);
    if months < 3 {
        return 0.05;
    }
    let mut counts = vec![0.0; months];
    for age in ages {
        if let Some(count) = counts.get_mut((age / MONTH) as usize) {
            *count += 1.0;
        }
    }
    let mean = counts.iter().sum::<f64>() / months as f64;
    let squares: f64 = counts.iter().map(|it| (it - mean) * (it - mean)).sum();
    let variance = squares / (months - 1) as f64;
    if mean > 0.0 { ((variance - mean) / (mean * mean)).clamp(0.0, 1.0) } else { 0.0 }
}

/// The share that has been won after so many days, the others having been lost or not having ended yet (Aalen and Johansen's estimator).
fn incidence(mut lives: Vec<(f64, Option<bool>)>) -> Vec<(f64, f64)> {
    // What is not known any longer was there until then.
    lives.sort_unstable_by(|one, other| {
        one.0.total_cmp(&other.0).then(one.1.is_none().cmp(&other.1.is_none()))
    });
    let (mut left, mut open, mut won) = (lives.len() as f64, 1.0, 0.0);
    let mut found: Vec<(f64, f64)> = Vec::new();
    for (days, fate) in lives {
        match fate {
            Some(true) => {
                won += open / left;
                open -= open / left;
                found.push((days, won));
            }
            Some(false) => open -= open / left,
            None => {}
        }
        left -= 1.0;
    }
    found
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::history::{DAY, Move, Place};

    #[test]
    fn what_has_not_ended_counts_for_as_long_as_it_was_seen() {
        let lives = vec![
            (1.0, Some(true)),
            (2.0, None),
            (3.0, Some(false)),
            (4.0, Some(true)),
            (5.0, None),
        ];
        let found = incidence(lives);
        let expected = [(1.0, 0.2), (4.0, 0.2 + 0.8 * 2.0 / 3.0 / 2.0)];
        for (found, expected) in found.iter().zip(expected) {
            assert!((found.0 - expected.0).abs() < 1e-9 && (found.1 - expected.1).abs() < 1e-9);
        }
    }

    #[test]
    fn what_comes_is_what_has_come_and_draws_agree_with_their_mean() {
        let day = DAY as Seconds;
        let deal = |made: i64| Deal {
            created_at: made * day,
            amount: Some(100.0),
            moves: vec![Move { to: Place::Won, at: (made + 10) * day }],
            ..Deal::default()
        };
        let history = History { deals: (0..400).map(deal).collect(), ..History::default() };
        let business = Business::learn(&history, 399 * day);
        let coming = business.within(399 * day, 429 * day);
        // Twenty of the thirty that come have ten days to be won in.
        assert!((coming.mean() - 2_000.0).abs() < 150.0, "{}", coming.mean());
        let mut rng = StdRng::seed_from_u64(7);
        let drawn = (0..4_000).map(|_| coming.draw(&mut rng)).sum::<f64>() / 4_000.0;
        assert!((drawn / coming.mean() - 1.0).abs() < 0.05, "{drawn}");
    }

    const DAY_OF_IMPORT: i64 = 700;

    fn on(day: f64) -> Seconds {
        (day * DAY) as Seconds
    }

    fn deal(made: f64, end: Option<(f64, bool)>) -> Deal {
        let to = |is_won| if is_won { Place::Won } else { Place::Lost };
        let end = end.map(|(at, is_won)| Move { to: to(is_won), at: on(at) });
        let moves = [Move { to: Place::Stage(0), at: on(made) }].into_iter().chain(end);
        let (created_at, amount) = (on(made), Some(300_000.0));
        Deal { created_at, amount, moves: moves.collect(), ..Deal::default() }
    }

    /// A team that brings in 500 that have closed, half of them won, and 300 that are open and close within four months; and makes two a day from then on, of which one is won after 20
    /// days and the other is lost after 30.
    fn imported(closed: impl Fn(usize) -> Deal) -> History {
        let begin = DAY_OF_IMPORT as f64;
        let open =
            (0..300).map(|it| deal(begin, Some((begin + 5.0 + 0.4 * f64::from(it), it % 2 == 0))));
        let made = (0..300).flat_map(|day| {
            let at = begin + f64::from(day) + 0.5;
            [deal(at, Some((at + 20.0, true))), deal(at, Some((at + 30.0, false)))]
        });
        let deals = (0..500).map(closed).chain(open).chain(made).collect();
        History { deals, ..History::default() }
    }

    /// What new business is to bring in a quarter, as seen so many days after the import.
    fn after(history: &History, day: i64) -> f64 {
        let now = (DAY_OF_IMPORT + day) * DAY as Seconds;
        let history = crate::brought_in::mark(history.as_of(now), now);
        Business::learn(&history, now).within(now, now + 91 * DAY as Seconds).mean()
    }

    #[test]
    fn what_a_team_brings_in_when_it_begins_is_no_new_business() {
        let begin = DAY_OF_IMPORT as f64;
        // Without any dates all of it is of that day. With the day on which they closed, that is all that is known of them.
        let dateless = |it: usize| deal(begin, Some((begin, it.is_multiple_of(2))));
        let dated = |it: usize| {
            let closed = begin - 1.0 - it as f64 * 0.7;
            let written_at = Some(on(begin));
            Deal { written_at, ..deal(closed, Some((closed, it.is_multiple_of(2)))) }
        };
        // Of the two that come each day one is won, of those that come in the first 71 days of 91 in time.
        let steady = 71.0 * 300_000.0;
        for history in [imported(dateless), imported(dated)] {
            let [day_1, day_8, day_30, day_120] = [1, 8, 30, 120].map(|day| after(&history, day));
            // Nothing is known yet of how they come and are won.
            assert!(day_1 <= 0.0 && day_8 <= 0.0, "{day_1} {day_8}");
            // As many more in a quarter as have come by now.
            assert!((0.15..0.4).contains(&(day_30 / steady)), "{day_30}");
            assert!((day_120 / steady - 1.0).abs() < 0.1, "{day_120}");
        }
    }

    #[test]
    fn a_team_that_tried_it_out_before_it_brought_in_its_past_expects_no_more() {
        let begin = DAY_OF_IMPORT as f64;
        let mut history = imported(|it| deal(begin, Some((begin, it.is_multiple_of(2)))));
        let tried = (1..60).map(|day| deal(begin - f64::from(day), None));
        history.deals.extend(tried);
        for day in [1, 8, 30, 60, 120] {
            let told = after(&history, day);
            assert!(told < 1.3 * 71.0 * 300_000.0, "{day}: {told}");
        }
    }

    #[test]
    fn a_young_team_expects_as_much_in_a_quarter_as_has_come_so_far() {
        let made = (0..16).map(|it| {
            let at = DAY_OF_IMPORT as f64 + f64::from(it) / 8.0;
            deal(at, Some((at + 0.1, true)))
        });
        let history = History { deals: made.collect(), ..History::default() };
        let told = after(&history, 3) / (16.0 * 300_000.0);
        assert!((0.9..1.01).contains(&told), "{told}");
    }
}
