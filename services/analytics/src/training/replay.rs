//! What the forecast would have been in weeks gone by, from what was known then, before the first day that is kept. Pure.

use chrono::{DateTime, Datelike as _, Days, NaiveDate, Utc, Weekday};
use chrono_tz::Tz;
use forecast::revenue::Window;
use forecast::trained::{Replayed, Then};

use super::history::{float, money};
use super::run::Won;
use crate::forecast::kept::Given;
use crate::forecast::part::{Part, around};
use crate::period::{Calendar, Span};
use crate::range::begin;
use crate::rollup::day;

/// How many weeks back.
const WEEKS: u64 = 26;

/// A day of the past, with the periods that are forecast again as of when it began.
#[derive(Clone, Debug)]
pub(super) struct Past {
    made_on: NaiveDate,
    /// The periods, each with the instant at which it began.
    spans: Vec<(Span, i64)>,
    pub(super) then: Then,
}

/// The Mondays of half a year that were before a day, each with the month, the quarter and the year that it is in.
pub(super) fn past(
    calendar: Calendar,
    (zone, now): (Tz, DateTime<Utc>),
    until: NaiveDate,
) -> Vec<Past> {
    let today = day(now, zone);
    let monday = today.week(Weekday::Mon).first_day();
    let mondays = (0..=WEEKS).filter_map(|weeks| monday.checked_sub_days(Days::new(7 * weeks)));
    let past = mondays.filter(|monday| *monday < until).map(|made_on| {
        let at = begin(made_on, zone).timestamp();
        let year = calendar.year_of(made_on);
        let periods = [
            calendar.month(year, made_on.month()),
            calendar.quarter(year, calendar.quarter_of(made_on)),
            calendar.year(year),
        ]
        .map(|period| period.span);
        let over = |span: Span| begin(span.end.succ_opt().unwrap_or(span.end), zone).timestamp();
        let spans = periods.map(|span| (span, begin(span.start, zone).timestamp()));
        let windows = periods.map(|span| Window { from: at, to: over(span) });
        let then = Then { at, windows: windows.into() };
        Past { made_on, spans: spans.into(), then }
    });
    past.collect()
}

/// What is kept of that.
pub(super) fn given(
    past: &[Past],
    replayed: &[Vec<Replayed>],
    won: &Won,
    ((model, model_version), made_at): ((&str, i32), DateTime<Utc>),
) -> Vec<Given> {
    let both = past.iter().zip(replayed);
    let all = both.flat_map(|(past, told)| past.spans.iter().zip(told).map(move |it| (past, it)));
    let given = all.map(|(past, ((span, began), told))| {
        let by_then = Window { from: *began, to: past.then.at };
        let closed_won = money(won.within(by_then));
        let (from_pipeline, from_new_business) =
            (money(told.pipeline), money(told.rest.new_business));
        let mean = float(from_pipeline + from_new_business);
        let range = around(mean * told.rest.middle, told.rest.sigma);
        let range = range.map(|rest| closed_won + rest);
        Given {
            span: *span,
            made_on: past.made_on,
            made_at,
            model: model.to_owned(),
            model_version,
            is_replayed: true,
            whole: Part { closed_won, from_pipeline, from_new_business, range },
            sigma: Some(told.rest.sigma),
            parts: Vec::new(),
        }
    });
    given.collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use forecast::trained::Rest;
    use money::Money;

    use super::*;

    #[test]
    fn every_week_is_told_of_the_periods_it_is_in_with_what_was_won_by_then() {
        let now: DateTime<Utc> = "2025-11-19T04:00:00Z".parse().unwrap();
        let zone = chrono_tz::Asia::Taipei;
        let past = past(Calendar { first_month: 1 }, (zone, now), "2025-11-18".parse().unwrap());
        assert_eq!(past.len(), 27);
        assert_eq!(past[0].made_on, "2025-11-17".parse().unwrap());
        let starts: Vec<String> =
            past[0].spans.iter().map(|(span, _)| span.start.to_string()).collect();
        assert_eq!(starts, ["2025-11-01", "2025-10-01", "2025-01-01"]);
        let over = |text: &str| begin(text.parse().unwrap(), zone).timestamp();
        // Days are over when the next one begins.
        let days = BTreeMap::from([
            (over("2025-01-02"), 1.0),
            (over("2025-10-01"), 2.0),
            (over("2025-10-02"), 4.0),
            (over("2025-11-17"), 8.0),
            (over("2025-11-18"), 16.0),
        ]);
        let won = Won { first: 0, days };
        let rest = Rest { new_business: 10.0, middle: 0.5, sigma: 0.0 };
        let told = vec![vec![Replayed { pipeline: 90.0, rest }; 3]];
        let given = given(&past, &told, &won, (("table", 3), now));
        let closed: Vec<Money> = given.iter().map(|it| it.whole.closed_won).collect();
        let money = |whole: i128| Money::from_hundredths(whole * 100);
        assert_eq!(closed, [money(8), money(12), money(15)]);
        assert_eq!(given[0].whole.expected(), money(108));
        assert_eq!(given[0].whole.range, [money(58); 3]);
    }
}
