//! What may become of an open deal, and when.

use serde::{Deserialize, Serialize};

/// Stretches of the time after a look at a deal, in days: each begins where the one before ends, and the last has no end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intervals {
    /// Where each but the last ends.
    ends: Vec<f64>,
}

impl Intervals {
    /// That have about as many ends of deals each, of so many days after a look.
    #[must_use]
    pub fn learn(mut ends: Vec<f64>) -> Self {
        ends.sort_unstable_by(f64::total_cmp);
        let at = |part: f64| ends.get((ends.len() as f64 * part) as usize).copied();
        let mut found: Vec<f64> =
            [0.15, 0.3, 0.45, 0.6, 0.75, 0.9].into_iter().filter_map(at).collect();
        found.retain(|end| *end > 0.0);
        found.dedup();
        Self { ends: found }
    }

    /// How many there are, the last being the one without an end.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len() + 1
    }

    /// There is always one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Which of them a day is in.
    #[must_use]
    pub fn of(&self, day: f64) -> usize {
        self.ends.partition_point(|end| *end <= day)
    }

    /// Where one begins, and where it ends, if it does.
    #[must_use]
    pub fn span(&self, index: usize) -> (f64, Option<f64>) {
        let begin = index.checked_sub(1).map_or(0.0, |before| self.ends[before]);
        (begin, self.ends.get(index).copied())
    }
}

/// What the chances of an open deal are: by the end of each stretch to have been won or lost, and in the end.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    /// To have been won by the end of each stretch; by the end of the last it is won for good.
    pub won: Vec<f64>,
    /// To have been lost by then.
    pub lost: Vec<f64>,
    /// What share of those that are open still in the last stretch, which has no end, ends in it every day.
    pub end_rate: f64,
}

impl Outlook {
    /// From the chances in each stretch to be won or lost in it if it is open still; in the last one of them is sure.
    #[must_use]
    pub fn of(hazards: impl Iterator<Item = (f64, f64)>, end_rate: f64) -> Self {
        let (mut won, mut lost) = (Vec::new(), Vec::new());
        let (mut by_won, mut by_lost) = (0.0, 0.0);
        for (win, lose) in hazards {
            let open = 1.0 - by_won - by_lost;
            by_won += open * win;
            by_lost += open * lose;
            won.push(by_won);
            lost.push(by_lost);
        }
        Self { won, lost, end_rate }
    }

    /// To be won at last.
    #[must_use]
    pub fn win_probability(&self) -> f64 {
        let won = self.won.last().copied().unwrap_or_default();
        let lost = self.lost.last().copied().unwrap_or_default();
        if won + lost > 0.0 { won / (won + lost) } else { 0.0 }
    }

    /// To have been won after so many days.
    #[must_use]
    pub fn won_within(&self, intervals: &Intervals, days: f64) -> f64 {
        let index = intervals.of(days);
        let (begin, end) = intervals.span(index);
        let before = index.checked_sub(1).map_or(0.0, |before| self.won[before]);
        let gained = self.won[index] - before;
        let part = match end {
            Some(end) => (days - begin) / (end - begin),
            None => 1.0 - (-(days - begin) * self.end_rate).exp(),
        };
        (before + gained * part).min(self.win_probability())
    }

    /// The same chances of time, but to be won at last by another one.
    #[must_use]
    pub fn with(mut self, win_probability: f64) -> Self {
        let present = self.win_probability();
        let (won, lost) = (
            if present > 0.0 { win_probability / present } else { 1.0 },
            if present < 1.0 { (1.0 - win_probability) / (1.0 - present) } else { 1.0 },
        );
        for it in &mut self.won {
            *it *= won;
        }
        for it in &mut self.lost {
            *it *= lost;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chances_add_up_over_the_stretches() {
        let outlook = Outlook::of([(0.2, 0.3), (0.5, 0.1), (0.25, 0.75)].into_iter(), 0.1);
        let expected = [0.2, 0.45, 0.5];
        for (found, expected) in outlook.won.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12);
        }
        assert!((outlook.win_probability() - 0.5).abs() < 1e-12);
        let intervals = Intervals { ends: vec![10.0, 20.0] };
        for (days, expected) in [(0.0, 0.0), (5.0, 0.1), (10.0, 0.2), (20.0, 0.45), (1e9, 0.5)] {
            assert!((outlook.won_within(&intervals, days) - expected).abs() < 1e-9, "{days}");
        }
        let other = outlook.with(0.25);
        assert!((other.win_probability() - 0.25).abs() < 1e-12);
        assert!((other.won[0] - 0.1).abs() < 1e-12);
    }
}
