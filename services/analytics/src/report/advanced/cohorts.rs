//! What became of the opportunities that were made in the same month or quarter.

use chrono::{DateTime, Months, NaiveDate, Utc};
use chrono_tz::Tz;
use money::Money;

use crate::deal::Kind;
use crate::period::{Calendar, Cut, Period, Span};
use crate::range::{Range, begin};
use crate::ratio;
use crate::report::Read;
use crate::report::value::{NotCovered, Sum};
use crate::rollup::month;

/// Nobody sold anything before.
const FIRST_YEAR: i32 = 1900;

/// Those of a cohort that are open, or closed in a month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// Its place among the cohorts, from 0.
    pub(crate) cohort: usize,
    pub(crate) status: Kind,
    /// First day of the month in which they closed.
    pub(crate) closed_in: Option<NaiveDate>,
    pub(crate) sum: Sum,
}

/// What became of cohorts.
#[derive(Clone, Debug, PartialEq)]
pub struct Cohorts {
    /// By cohort, then by month.
    pub items: Vec<CohortMonth>,
    /// What the values leave out.
    pub not_covered: NotCovered,
    /// When the latest change in it was written down.
    pub as_of: DateTime<Utc>,
}

/// A cohort at the end of a month.
#[derive(Clone, Debug, PartialEq)]
pub struct CohortMonth {
    /// Which, as far as it is asked for.
    pub period: Period,
    /// How many months after it.
    pub month: u32,
    /// The last day that is counted.
    pub until: NaiveDate,
    /// How many were made, and what they are worth.
    pub created: (i64, Money),
    /// Won by then.
    pub won: (i64, Money),
    /// Lost by then.
    pub lost: (i64, Money),
}

impl CohortMonth {
    /// Not decided by then.
    pub fn open(&self) -> (i64, Money) {
        let (count, value) = self.created;
        (count - self.won.0 - self.lost.0, value - self.won.1 - self.lost.1)
    }

    /// Won ÷ made.
    pub fn won_share(&self) -> Option<f64> {
        ratio::share(self.won.0, self.created.0)
    }
}

/// Those who were made in the same period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cohort {
    /// As far as it is asked for.
    pub(crate) period: Period,
    /// The first day of the last month of the period, whatever part of it is asked for.
    last_month: NaiveDate,
}

/// The cohorts of a range, up to today.
pub(crate) fn cut(calendar: Calendar, cut: Cut, range: Range, today: NaiveDate) -> Vec<Cohort> {
    let end = range.end.map_or(today, |end| end.min(today));
    let earliest = calendar.year(FIRST_YEAR).span.start;
    let start = range.start.map_or(earliest, |start| start.max(earliest));
    let years = calendar.year_of(start)..=calendar.year_of(end);
    let all = years.flat_map(|year| calendar.cut(year, cut));
    let asked = all.filter(|period| period.span.end >= start && period.span.start <= end);
    let clipped = asked.map(|Period { label, span }| Cohort {
        last_month: month(span.end),
        period: Period {
            label,
            span: Span { start: span.start.max(start), end: span.end.min(end) },
        },
    });
    clipped.collect()
}

/// The instants at which they begin, and the one at which the last is over.
pub(crate) fn bounds(cohorts: &[Cohort], zone: Tz) -> Vec<DateTime<Utc>> {
    let over = cohorts.last().and_then(|last| last.period.span.end.succ_opt());
    let starts = cohorts.iter().map(|it| it.period.span.start);
    starts.chain(over).map(|day| begin(day, zone)).collect()
}

/// What became of cohorts: at the end of the period of each, and of so many months after it.
pub(crate) fn follow(
    cohorts: &[Cohort],
    months: i32,
    today: NaiveDate,
    read: &Read<Row>,
) -> Cohorts {
    let mut not_covered = NotCovered::default();
    let mut by_cohort = vec![Vec::new(); cohorts.len()];
    for row in &read.rows {
        not_covered += row.sum.not_covered();
        if let Some(rows) = by_cohort.get_mut(row.cohort) {
            rows.push(row);
        }
    }
    let mut items = Vec::new();
    let all = cohorts.iter().zip(&by_cohort);
    for (cohort, rows) in all.skip_while(|(_, rows)| rows.is_empty()) {
        for after in 0..=u32::try_from(months).unwrap_or_default() {
            let in_month = cohort.last_month.checked_add_months(Months::new(after));
            // The one that lasts is as of today, and so is a period of which more months are to come.
            let is_last = in_month.is_none_or(|it| it >= month(today));
            let in_month = in_month.unwrap_or(today).min(month(today));
            items.push(at(&cohort.period, (after, in_month), today, rows));
            if is_last {
                break;
            }
        }
    }
    Cohorts { items, not_covered, as_of: read.as_of }
}

fn at(
    period: &Period,
    (after, in_month): (u32, NaiveDate),
    today: NaiveDate,
    rows: &[&Row],
) -> CohortMonth {
    let next = in_month.checked_add_months(Months::new(1)).and_then(|next| next.pred_opt());
    let sum = |of: &dyn Fn(&Row) -> bool| {
        let rows = rows.iter().filter(|row| of(row));
        rows.fold((0, Money::ZERO), |(count, value), row| {
            (count + row.sum.count, value + row.sum.value)
        })
    };
    let by_then = |row: &Row| row.closed_in.is_some_and(|closed_in| closed_in <= in_month);
    CohortMonth {
        period: period.clone(),
        month: after,
        until: next.unwrap_or(in_month).min(today),
        created: sum(&|_| true),
        won: sum(&|row| row.status == Kind::Won && by_then(row)),
        lost: sum(&|row| row.status == Kind::Lost && by_then(row)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{money, on};

    const PLAIN: Calendar = Calendar { first_month: 1 };

    fn row(cohort: usize, status: Kind, closed_in: Option<&str>, count: i64, value: i128) -> Row {
        let sum = Sum { count, value_count: count, rate_missing: 0, value: money(value) };
        Row { cohort, status, closed_in: closed_in.map(on), sum }
    }

    fn of(by: Cut, range: Range, rows: Vec<Row>) -> Vec<String> {
        let today = on("2025-11-20");
        let cohorts = cut(PLAIN, by, range, today);
        let read = Read { rows, as_of: DateTime::UNIX_EPOCH };
        let tell = |it: CohortMonth| {
            format!(
                "{} +{} {}: {} won {} lost {} open {}",
                it.period.label,
                it.month,
                it.until,
                it.created.0,
                it.won.0,
                it.lost.0,
                it.open().0
            )
        };
        follow(&cohorts, 2, today, &read).items.into_iter().map(tell).collect()
    }

    fn from(start: &str) -> Range {
        Range { start: Some(on(start)), end: None }
    }

    #[test]
    fn a_cohort_is_followed_from_its_end_to_the_present_month() {
        let rows = vec![
            row(1, Kind::Won, Some("2025-09-01"), 1, 10),
            row(1, Kind::Won, Some("2025-11-01"), 2, 20),
            row(1, Kind::Lost, Some("2025-10-01"), 3, 30),
            row(1, Kind::Open, None, 4, 40),
        ];
        // August has none, and comes before the first that has.
        assert_eq!(
            of(Cut::Monthly, from("2025-08-01"), rows),
            [
                "2025-09 +0 2025-09-30: 10 won 1 lost 0 open 9",
                "2025-09 +1 2025-10-31: 10 won 1 lost 3 open 6",
                "2025-09 +2 2025-11-20: 10 won 3 lost 3 open 4",
                "2025-10 +0 2025-10-31: 0 won 0 lost 0 open 0",
                "2025-10 +1 2025-11-20: 0 won 0 lost 0 open 0",
                "2025-11 +0 2025-11-20: 0 won 0 lost 0 open 0",
            ]
        );
    }

    #[test]
    fn a_quarter_is_followed_from_its_last_month_on_though_a_part_of_it_is_asked_for() {
        let rows = vec![row(0, Kind::Won, Some("2025-08-01"), 1, 10)];
        assert_eq!(
            of(Cut::Quarterly, from("2025-06-15"), rows),
            [
                "2025-Q2 +0 2025-06-30: 1 won 0 lost 0 open 1",
                "2025-Q2 +1 2025-07-31: 1 won 0 lost 0 open 1",
                "2025-Q2 +2 2025-08-31: 1 won 1 lost 0 open 0",
                "2025-Q3 +0 2025-09-30: 0 won 0 lost 0 open 0",
                "2025-Q3 +1 2025-10-31: 0 won 0 lost 0 open 0",
                "2025-Q3 +2 2025-11-20: 0 won 0 lost 0 open 0",
                // It lasts, and ends in December.
                "2025-Q4 +0 2025-11-20: 0 won 0 lost 0 open 0",
            ]
        );
    }

    #[test]
    fn cohorts_are_as_long_as_the_days_that_are_asked_for_and_not_of_the_future() {
        let spans = |range| {
            let cohorts = cut(PLAIN, Cut::Monthly, range, on("2025-03-10"));
            let told = cohorts.iter().map(|Cohort { period: Period { span, .. }, .. }| {
                format!("{} {}", span.start, span.end)
            });
            told.collect::<Vec<_>>()
        };
        let range = Range { start: Some(on("2025-01-15")), end: Some(on("2026-01-01")) };
        assert_eq!(
            spans(range),
            ["2025-01-15 2025-01-31", "2025-02-01 2025-02-28", "2025-03-01 2025-03-10"]
        );
        assert!(spans(from("2025-04-01")).is_empty());
        let cohorts = cut(PLAIN, Cut::Monthly, range, on("2025-03-10"));
        assert_eq!(bounds(&cohorts, chrono_tz::UTC).len(), 4);
    }
}
