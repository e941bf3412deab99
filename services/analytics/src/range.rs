//! Days from one to another, as they are asked for, and the instants at which they begin and end.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use rpc::Invalid;

use crate::period::{Calendar, Span};
use crate::rollup::day;

/// Days that follow each other, both ends included; without an end it goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// The first.
    pub start: Option<NaiveDate>,
    /// The last.
    pub end: Option<NaiveDate>,
}

impl Range {
    /// Notes one that ends before it starts.
    pub fn check(self, invalid: &mut Invalid) {
        if self.start.zip(self.end).is_some_and(|(start, end)| start > end) {
            invalid.add("end_date", "before_start", "must not be before start_date");
        }
    }

    /// The same, begun with the quarter in which it ends, or with the present one, where it has no first day.
    #[must_use]
    pub fn begun(self, calendar: Calendar, today: NaiveDate) -> Self {
        let last = self.end.unwrap_or(today);
        let quarter = calendar.quarter(calendar.year_of(last), calendar.quarter_of(last));
        Self { start: self.start.or(Some(quarter.span.start)), ..self }
    }

    /// The days that are in both.
    #[must_use]
    pub fn within(self, span: Span) -> Self {
        let start = self.start.map_or(span.start, |start| start.max(span.start));
        let end = self.end.map_or(span.end, |end| end.min(span.end));
        Self { start: Some(start), end: Some(end) }
    }

    /// The instant at which its first day begins, and the one at which its last day is over.
    pub fn instants(self, zone: Tz) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
        let next = |end: NaiveDate| end.succ_opt().unwrap_or(end);
        (self.start.map(|it| begin(it, zone)), self.end.map(|it| begin(next(it), zone)))
    }
}

/// The first instant of a day in a zone, where clocks may jump over midnight.
pub fn begin(date: NaiveDate, zone: Tz) -> DateTime<Utc> {
    let midnight = |date: NaiveDate| date.and_time(NaiveTime::MIN).and_utc();
    let apart = TimeDelta::days(2);
    let (mut before, mut after) = (midnight(date) - apart, midnight(date) + apart);
    // The last second of the day before, and the first of this one or of a later.
    while after - before > TimeDelta::seconds(1) {
        let middle = before + TimeDelta::seconds((after - before).num_seconds() / 2);
        if day(middle, zone) < date {
            before = middle;
        } else {
            after = middle;
        }
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn a_day_begins_at_midnight_or_where_the_clocks_jump_over_it() {
        for (date, zone, expected) in [
            ("2025-11-01", chrono_tz::Asia::Taipei, "2025-10-31T16:00:00Z"),
            ("2025-11-01", chrono_tz::UTC, "2025-11-01T00:00:00Z"),
            // Midnight is one o'clock on that day.
            ("2018-11-04", chrono_tz::America::Sao_Paulo, "2018-11-04T03:00:00Z"),
            ("2024-02-29", chrono_tz::Pacific::Kiritimati, "2024-02-28T10:00:00Z"),
            // A day that there was not begins with the next one.
            ("2011-12-30", chrono_tz::Pacific::Apia, "2011-12-30T10:00:00Z"),
        ] {
            let expected: DateTime<Utc> = expected.parse().unwrap();
            assert_eq!(begin(on(date), zone), expected, "{date} {zone}");
            assert!(day(expected - TimeDelta::seconds(1), zone) < on(date));
        }
    }

    #[test]
    fn a_range_without_a_beginning_begins_with_the_quarter_in_which_it_ends() {
        let (calendar, today) = (Calendar { first_month: 2 }, on("2025-11-20"));
        let start = |start, end| Range { start, end }.begun(calendar, today).start;
        assert_eq!(start(None, None), Some(on("2025-11-01")));
        assert_eq!(start(None, Some(on("2025-01-31"))), Some(on("2024-11-01")));
        let day = Some(on("2020-02-03"));
        assert_eq!(start(day, None), day);
    }

    #[test]
    fn a_range_within_a_span_is_what_both_have() {
        let span = Span { start: on("2025-10-01"), end: on("2025-12-31") };
        let range = Range { start: Some(on("2025-11-01")), end: None };
        let both = Range { start: Some(on("2025-11-01")), end: Some(on("2025-12-31")) };
        assert_eq!(range.within(span), both);
        assert_eq!(both.within(span), both);
    }
}
