//! A part of the forecast, or the whole: its three summands, which add up over parts to the cent, and its range, which does not.

use std::collections::BTreeMap;

use money::Money;
use rust_decimal::Decimal;

use super::model::{Ahead, Whose};
use super::stage::Counted;
use crate::report::value::Sum;
use crate::training::history::{float, money};

/// The 90th percentile of the standard normal distribution.
const NORMAL_90: f64 = 1.281_551_565_5;
/// The 90th percentile of a log-normal with sigma 0.5 by its median: exp(1.2816 × 0.5).
const OPTIMISTIC: Decimal = Decimal::from_parts(1_898, 0, 0, false, 3);
/// The 10th: exp(−1.2816 × 0.5).
const PESSIMISTIC: Decimal = Decimal::from_parts(527, 0, 0, false, 3);
/// No range is wider than this: the standard deviation of the logarithm.
const MOST_SIGMA: f64 = 1.5;

/// What some opportunities, and none that is not made yet unless they are all, will have brought.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Part {
    /// What is won already.
    pub closed_won: Money,
    /// What the open pipeline will bring in time.
    pub from_pipeline: Money,
    /// What opportunities not made yet will bring in time.
    pub from_new_business: Money,
    /// The 10th, 50th and 90th percentile.
    pub range: [Money; 3],
}

impl Part {
    /// The mean: the sum of its three parts.
    pub fn expected(&self) -> Money {
        self.closed_won + self.from_pipeline + self.from_new_business
    }
}

/// What a part is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Pieces {
    pub(crate) closed_won: Money,
    pub(crate) from_pipeline: Money,
    /// Of what is expected of what is open.
    pub(crate) variance: f64,
    /// What is open and has a date.
    pub(crate) open_value: Money,
    /// Of that what is expected to close in the period.
    pub(crate) dated_value: Money,
}

impl Pieces {
    /// Of what is won and what is open.
    pub(crate) fn of<'a>(
        won: impl IntoIterator<Item = &'a (Whose, Sum)>,
        open: impl IntoIterator<Item = &'a Counted>,
    ) -> Self {
        let mut it = Self::default();
        for (_, sum) in won {
            it.closed_won += sum.value;
        }
        for counted in open {
            it.add(counted);
        }
        it
    }

    fn add(&mut self, counted: &Counted) {
        self.from_pipeline += counted.predicted;
        self.variance += counted.variance;
        self.open_value += counted.value;
        if counted.is_in_period {
            self.dated_value += counted.value;
        }
    }

    /// With its range: from what a model says of the period, or without any by the usual width. What is not made yet belongs to the whole alone.
    pub(crate) fn part(self, ahead: Option<Ahead>, is_whole: bool) -> Part {
        let Self { closed_won, from_pipeline, .. } = self;
        let mut from_new_business = Money::ZERO;
        let rest = match ahead {
            None => [
                from_pipeline.converted(PESSIMISTIC),
                from_pipeline,
                self.dated_value.min(from_pipeline.converted(OPTIMISTIC)),
            ],
            Some(ahead) if is_whole => {
                from_new_business = ahead.new_business;
                let mean = float(from_pipeline + from_new_business);
                around(mean * ahead.middle, ahead.sigma)
            }
            Some(ahead) => {
                let mean = float(from_pipeline);
                let variance = self.variance.max(0.0);
                let own = if mean > 0.0 { (1.0 + variance / (mean * mean)).ln() } else { 0.0 };
                let sigma = (ahead.sigma * ahead.sigma + own).sqrt().min(MOST_SIGMA);
                // More than everything open is worth cannot be won from it.
                around(mean * (-own.min(MOST_SIGMA) / 2.0).exp(), sigma)
                    .map(|it| it.min(self.open_value))
            }
        };
        let range = rest.map(|rest| closed_won + rest);
        Part { closed_won, from_pipeline, from_new_business, range }
    }
}

/// The percentiles of a log-normal by its median.
pub(crate) fn around(middle: f64, sigma: f64) -> [Money; 3] {
    let far = (NORMAL_90 * sigma).exp();
    [middle / far, middle, middle * far].map(money)
}

/// What parts are made of, by whose or in what they are.
pub(crate) fn pieces<K: Ord>(
    won: &[(Whose, Sum)],
    open: &[Counted],
    of: impl Fn(Whose) -> K,
) -> BTreeMap<K, Pieces> {
    let mut pieces: BTreeMap<K, Pieces> = BTreeMap::new();
    for (whose, sum) in won {
        pieces.entry(of(*whose)).or_default().closed_won += sum.value;
    }
    for counted in open {
        pieces.entry(of(counted.whose)).or_default().add(counted);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::super::model::TrackRecord;
    use super::*;

    fn known() -> (Vec<(Whose, Sum)>, Vec<Counted>, Ahead) {
        let whose = |owner_id| Whose { owner_id, ..Whose::default() };
        let hundredths = Money::from_hundredths;
        let counted = |owner, is_in_period, value, predicted, variance| {
            let (value, predicted) = (hundredths(value), hundredths(predicted));
            Counted { whose: whose(owner), is_in_period, value, predicted, variance }
        };
        let won = Sum { count: 1, value_count: 1, rate_missing: 0, value: hundredths(777) };
        let open = vec![
            counted(1, true, 100_001, 33_333, 1e5),
            counted(2, false, 70_000, 6_667, 4e4),
            counted(2, true, 9_000, 900, 5.0),
            // Left out again.
            counted(2, true, -9_000, -900, -5.0),
        ];
        let record = TrackRecord::default();
        let new_business = hundredths(12_345);
        (vec![(whose(1), won)], open, Ahead { new_business, middle: 0.9, sigma: 0.3, record })
    }

    #[test]
    fn parts_add_up_to_the_whole_to_the_cent_but_for_what_is_not_made_yet() {
        let (won, open, ahead) = known();
        let whole = Pieces::of(&won, &open).part(Some(ahead), true);
        let parts = pieces(&won, &open, |whose| whose.owner_id);
        let parts = parts.into_values().map(|it| it.part(Some(ahead), false));
        let sum: Money = parts.map(|part| part.expected()).sum();
        assert_eq!(sum + whole.from_new_business, whole.expected());
        assert_eq!(whole.expected(), Money::from_hundredths(777 + 33_333 + 6_667 + 12_345));
    }

    #[test]
    fn a_part_is_told_in_a_wider_range_than_the_whole_and_never_above_what_is_open() {
        let (won, open, ahead) = known();
        let whole = Pieces::of(&won, &open).part(Some(ahead), true);
        let [low, middle, high] = whole.range;
        assert_eq!(middle, Money::from_hundredths(777 + 47_111));
        assert!(low < middle && middle < high);
        let width = |range: [Money; 3], won| (float(range[2]) - won) / (float(range[0]) - won);
        for (owner, total) in [(1, 777 + 100_001), (2, 70_000)] {
            let pieces = pieces(&won, &open, |whose| whose.owner_id)[&owner];
            let part = pieces.part(Some(ahead), false);
            let won = float(part.closed_won);
            assert!(width(part.range, won) > width(whole.range, 7.77), "{owner}");
            assert!(part.range[2] <= Money::from_hundredths(total), "{owner}");
            assert!(part.from_new_business == Money::ZERO);
        }
    }
}
