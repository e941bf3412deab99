//! What was won, lost and made in each period of a year.

use chrono::{DateTime, NaiveDate, Utc};
use money::Money;

use super::Read;
use super::value::{NotCovered, Sum};
use crate::period::Period;
use crate::ratio;

/// What can happen to an opportunity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Happened {
    Created,
    Won,
    Lost,
}

impl Happened {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "created" => Some(Self::Created),
            "won" => Some(Self::Won),
            "lost" => Some(Self::Lost),
            _ => None,
        }
    }
}

/// What happened on a day or in a month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) start_date: NaiveDate,
    pub(crate) happened: Happened,
    pub(crate) sum: Sum,
}

/// The trend.
#[derive(Clone, Debug, PartialEq)]
pub struct Trend {
    /// A row for every period.
    pub items: Vec<TrendPeriod>,
    /// What the values leave out; one made and won in the periods counts once.
    pub not_covered: NotCovered,
    /// When the latest change in it was written down.
    pub as_of: DateTime<Utc>,
}

/// One period of it.
#[derive(Clone, Debug, PartialEq)]
pub struct TrendPeriod {
    /// Which.
    pub period: Period,
    /// How many were won.
    pub won_count: i64,
    /// What they brought.
    pub won_value: Money,
    /// How many of them have a value.
    won_with_value: i64,
    /// How many were lost.
    pub lost_count: i64,
    /// How many were made.
    pub created_count: i64,
    /// What those are worth now, or were when they closed.
    pub created_value: Money,
    /// The relative change of `won_value` against the period before.
    pub won_value_change: Option<f64>,
}

impl TrendPeriod {
    fn empty(period: Period) -> Self {
        Self {
            period,
            won_count: 0,
            won_value: Money::ZERO,
            won_with_value: 0,
            lost_count: 0,
            created_count: 0,
            created_value: Money::ZERO,
            won_value_change: None,
        }
    }

    /// Won ÷ (won + lost).
    pub fn win_rate(&self) -> Option<f64> {
        ratio::share(self.won_count, self.won_count + self.lost_count)
    }

    /// The mean of the won that have a value.
    pub fn average_deal_size(&self) -> Option<Money> {
        self.won_value.mean(self.won_with_value)
    }

    fn add(&mut self, row: &Row) {
        match row.happened {
            Happened::Won => {
                self.won_count += row.sum.count;
                self.won_with_value += row.sum.value_count;
                self.won_value += row.sum.value;
            }
            Happened::Lost => self.lost_count += row.sum.count,
            Happened::Created => {
                self.created_count += row.sum.count;
                self.created_value += row.sum.value;
            }
        }
    }
}

/// The trend over periods that follow each other, where so many were won without a value that were not made in them.
pub(crate) fn trend(periods: Vec<Period>, read: &Read<Row>, earlier: NotCovered) -> Trend {
    let mut items: Vec<_> = periods.into_iter().map(TrendPeriod::empty).collect();
    let mut not_covered = earlier;
    for row in &read.rows {
        let next = items.partition_point(|item| item.period.span.start <= row.start_date);
        let item = next.checked_sub(1).and_then(|index| items.get_mut(index));
        let Some(item) = item.filter(|item| item.period.span.contains(row.start_date)) else {
            continue;
        };
        item.add(row);
        if row.happened == Happened::Created {
            not_covered += row.sum.not_covered();
        }
    }
    for index in 1..items.len() {
        let (before, after) = (items[index - 1].won_value, items[index].won_value);
        items[index].won_value_change = ratio::change(before, after);
    }
    Trend { items, not_covered, as_of: read.as_of }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::period::{Calendar, Cut};
    use crate::report::tests::{money, on};

    fn row(start_date: &str, happened: Happened, count: i64, value: i128) -> Row {
        let sum = Sum { count, value_count: count, rate_missing: 0, value: money(value) };
        Row { start_date: on(start_date), happened, sum }
    }

    fn of(cut: Cut, rows: Vec<Row>) -> Trend {
        let periods = Calendar { first_month: 1 }.cut(2025, cut);
        let earlier = NotCovered { without_amount: 2, ..NotCovered::default() };
        trend(periods, &Read { rows, as_of: DateTime::UNIX_EPOCH }, earlier)
    }

    #[test]
    fn every_period_of_the_year_has_a_row_though_nothing_happened() {
        let it = of(Cut::Monthly, Vec::new());
        assert_eq!(it.items.len(), 12);
        let empty = &it.items[11];
        assert_eq!(empty.period.label, "2025-12");
        assert_eq!((empty.win_rate(), empty.average_deal_size()), (None, None));
        assert_eq!(empty.won_value_change, None);
    }

    #[test]
    fn months_add_up_to_quarters_and_days_to_weeks() {
        let rows = vec![
            row("2025-01-01", Happened::Won, 2, 100),
            row("2025-03-01", Happened::Won, 1, 50),
            row("2025-04-01", Happened::Won, 1, 300),
            row("2025-04-01", Happened::Lost, 3, 900),
        ];
        let it = of(Cut::Quarterly, rows);
        assert_eq!((it.items[0].won_count, it.items[0].won_value), (3, money(150)));
        assert_eq!(it.items[0].average_deal_size(), Some(money(50)));
        assert_eq!(it.items[1].won_value_change, Some(1.0));
        assert_eq!(it.items[1].win_rate(), Some(0.25));
        assert_eq!(it.items[2].won_value_change, Some(-1.0));
        assert_eq!(it.items[3].won_value_change, None);
        let it = of(Cut::Weekly, vec![row("2024-12-30", Happened::Won, 1, 7)]);
        assert_eq!((it.items[0].period.label.as_str(), it.items[0].won_count), ("2025-W01", 1));
    }

    #[test]
    fn created_value_is_a_sum_and_leaves_out_what_has_no_rate() {
        let mut without_rate = row("2025-02-01", Happened::Created, 4, 0);
        (without_rate.sum.value_count, without_rate.sum.rate_missing) = (0, 4);
        let rows = vec![
            row("2025-02-01", Happened::Created, 1, 100),
            row("2025-02-01", Happened::Created, 2, 20),
            without_rate,
        ];
        let it = of(Cut::Monthly, rows);
        assert_eq!((it.items[1].created_count, it.items[1].created_value), (7, money(120)));
        assert_eq!(it.not_covered.without_rate, 4);
    }

    #[test]
    fn one_that_was_made_and_won_without_an_amount_is_left_out_once_and_beside_what_was_made_before()
     {
        let without_amount = |happened| {
            let mut row = row("2025-02-01", happened, 1, 0);
            row.sum.value_count = 0;
            row
        };
        let it = of(
            Cut::Monthly,
            vec![without_amount(Happened::Created), without_amount(Happened::Won)],
        );
        assert_eq!(it.not_covered.without_amount, 1 + 2);
        assert_eq!(it.items[1].average_deal_size(), None);
    }
}
