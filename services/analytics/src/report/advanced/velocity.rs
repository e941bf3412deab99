//! How much is won a day.

use chrono::{DateTime, NaiveDate, Utc};
use money::Money;

use crate::range::Range;
use crate::ratio;
use crate::report::Read;
use crate::report::conversion::{self, Slice};
use crate::report::trend::Happened;
use crate::report::value::{NotCovered, Sum};

/// What was won or lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) happened: Happened,
    pub(crate) sum: Sum,
    /// Of won ones: from the day of creation to the day they closed, together.
    pub(crate) days_to_close: i64,
}

/// How much is won a day, and of what that is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Velocity {
    /// How many were won.
    pub won_count: i64,
    /// How many were lost.
    pub lost_count: i64,
    /// What was won.
    pub won_value: Money,
    /// How many of the won have a value.
    with_value: i64,
    /// Days from creation to winning, of all of them together.
    days_to_close: i64,
    /// What the values leave out.
    pub not_covered: NotCovered,
    /// When the latest change in it was written down.
    pub as_of: DateTime<Utc>,
}

impl Velocity {
    /// Won and lost.
    pub fn closed_count(&self) -> i64 {
        self.won_count + self.lost_count
    }

    /// Won ÷ closed.
    pub fn win_rate(&self) -> Option<f64> {
        ratio::share(self.won_count, self.closed_count())
    }

    /// The mean of the won that have a value.
    pub fn average_deal_size(&self) -> Option<Money> {
        self.won_value.mean(self.with_value)
    }

    /// Mean days from creation to winning.
    pub fn average_days_to_close(&self) -> Option<f64> {
        ratio::mean_days(self.days_to_close, self.won_count)
    }

    /// `closed × (won ÷ closed) × (value ÷ with value) ÷ (days ÷ won)`, rounded once; nothing where a part is nothing, and where it took no day.
    pub fn per_day(&self) -> Option<Money> {
        let won = i128::from(self.won_count);
        let whole = i128::from(self.with_value) * i128::from(self.days_to_close);
        (whole > 0).then(|| self.won_value.times(won * won, whole))
    }
}

/// The slices of the rollup that a range takes. Of everything it is all months.
pub(crate) fn slices(range: Range, today: NaiveDate) -> Vec<Slice> {
    if range == Range::default() {
        return vec![Slice { grain: "month", from: None, before: None }];
    }
    conversion::slices(range.start, range.end, today)
}

/// The velocity.
pub(crate) fn velocity(read: &Read<Row>) -> Velocity {
    let mut it = Velocity {
        won_count: 0,
        lost_count: 0,
        won_value: Money::ZERO,
        with_value: 0,
        days_to_close: 0,
        not_covered: NotCovered::default(),
        as_of: read.as_of,
    };
    for row in &read.rows {
        match row.happened {
            Happened::Won => {
                it.won_count += row.sum.count;
                it.won_value += row.sum.value;
                it.with_value += row.sum.value_count;
                it.days_to_close += row.days_to_close;
                it.not_covered += row.sum.not_covered();
            }
            Happened::Lost => it.lost_count += row.sum.count,
            Happened::Created => {}
        }
    }
    it
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::money;

    fn row(happened: Happened, count: i64, value: i128, days_to_close: i64) -> Row {
        let sum = Sum { count, value_count: count, rate_missing: 0, value: money(value) };
        Row { happened, sum, days_to_close }
    }

    fn of(rows: Vec<Row>) -> Velocity {
        velocity(&Read { rows, as_of: DateTime::UNIX_EPOCH })
    }

    #[test]
    fn it_is_the_product_of_its_parts_rounded_once() {
        let lost = row(Happened::Lost, 4, 900, 0);
        let it = of(vec![row(Happened::Won, 3, 10_000, 25), lost]);
        assert_eq!((it.closed_count(), it.win_rate()), (7, Some(0.4286)));
        assert_eq!(it.average_deal_size(), Some(money(3_333)));
        assert_eq!(it.average_days_to_close(), Some(8.3));
        // 7 × 3/7 × 100/3 ÷ 25/3 = 12 exactly; of rounded parts it would be 12.05.
        assert_eq!(it.per_day(), Some(money(1_200)));
    }

    #[test]
    fn the_size_is_of_those_that_have_a_value_and_the_days_are_of_all() {
        let mut won = row(Happened::Won, 2, 500, 10);
        won.sum.value_count = 1;
        let it = of(vec![won]);
        assert_eq!(it.not_covered.without_amount, 1);
        assert_eq!(it.per_day(), Some(money(200)));
    }

    #[test]
    fn where_a_part_is_missing_there_is_none() {
        let it = of(vec![row(Happened::Lost, 4, 900, 0)]);
        assert_eq!(
            (it.win_rate(), it.average_days_to_close(), it.per_day()),
            (Some(0.0), None, None)
        );
        assert_eq!(of(Vec::new()).win_rate(), None);
        assert_eq!(of(vec![row(Happened::Won, 1, 900, 0)]).per_day(), None);
    }
}
