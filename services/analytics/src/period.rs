//! The calendar of reports: fiscal years, the periods they are cut into, and what these are called.
//!
//! With `FISCAL_YEAR_START` 1 a fiscal year is the calendar year. Otherwise fiscal year Y is the one that *starts* in that month of calendar
//! year Y: with April, year 2025 is April 2025 to March 2026, its first quarter April to June 2025. A month is called by its calendar year
//! (`2026-02`), and asked for by its number within a fiscal year (`year=2025&month=2`).

use chrono::{Datelike, Days, Months, NaiveDate, Weekday};
use rpc::Invalid;

/// How many years a yearly trend has.
const YEARS: i32 = 5;
/// The years that may be asked for.
const ASKABLE: std::ops::RangeInclusive<i32> = 1970..=2200;

/// Days that follow each other, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first.
    pub start: NaiveDate,
    /// The last.
    pub end: NaiveDate,
}

impl Span {
    pub(crate) fn of_months(start: NaiveDate, months: u32) -> Self {
        let next = start.checked_add_months(Months::new(months)).unwrap_or(NaiveDate::MAX);
        Self { start, end: next.pred_opt().unwrap_or(start) }
    }

    fn of_days(start: NaiveDate, days: u64) -> Self {
        let end = start.checked_add_days(Days::new(days.saturating_sub(1)));
        Self { start, end: end.unwrap_or(NaiveDate::MAX) }
    }

    /// Whether a day is one of them.
    pub fn contains(&self, day: NaiveDate) -> bool {
        self.start <= day && day <= self.end
    }
}

/// A period with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period {
    /// In reports: `2025`, `2025-Q4`, `2025-10`, `2025-W41`, `2025-10-31`.
    pub label: String,
    /// Its days.
    pub span: Span,
}

/// A period as a forecast calls it.
pub fn forecast_label(period: &Period) -> String {
    match period.label.split_once("-Q") {
        Some((year, quarter)) => format!("Q{quarter} {year}"),
        None => period.label.clone(),
    }
}

/// The organisation's calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calendar {
    /// The month in which fiscal years start, 1 to 12.
    pub first_month: u32,
}

impl Calendar {
    /// The fiscal year of a day.
    pub fn year_of(self, day: NaiveDate) -> i32 {
        if day.month() < self.first_month { day.year() - 1 } else { day.year() }
    }

    /// The quarter of a day within its fiscal year, 1 to 4.
    pub fn quarter_of(self, day: NaiveDate) -> u32 {
        (day.month() + 12 - self.first_month) % 12 / 3 + 1
    }

    /// A fiscal year.
    pub fn year(self, year: i32) -> Period {
        Period { label: year.to_string(), span: Span::of_months(self.start(year), 12) }
    }

    /// A quarter of a fiscal year, 1 to 4.
    pub fn quarter(self, year: i32, quarter: u32) -> Period {
        let months = Months::new(quarter.saturating_sub(1) * 3);
        let start = self.start(year).checked_add_months(months).unwrap_or(NaiveDate::MAX);
        Period { label: format!("{year}-Q{quarter}"), span: Span::of_months(start, 3) }
    }

    /// The calendar month of that number, 1 to 12, which lies in a fiscal year.
    pub fn month(self, year: i32, month: u32) -> Period {
        let year = if month < self.first_month { year + 1 } else { year };
        month_from(first_of(year, month))
    }

    fn start(self, year: i32) -> NaiveDate {
        first_of(year, self.first_month)
    }

    /// Every period of a fiscal year in order; of years, five that end with it.
    pub fn cut(self, year: i32, by: Cut) -> Vec<Period> {
        let span = self.year(year).span;
        match by {
            Cut::Daily => {
                span.start.iter_days().take_while(|day| span.contains(*day)).map(day).collect()
            }
            Cut::Weekly => weeks(span),
            Cut::Monthly => (0..12)
                .filter_map(|month| span.start.checked_add_months(Months::new(month)))
                .map(month_from)
                .collect(),
            Cut::Quarterly => (1..=4).map(|quarter| self.quarter(year, quarter)).collect(),
            Cut::Yearly => (year - YEARS + 1..=year).map(|year| self.year(year)).collect(),
        }
    }

    /// The period that a report calls so.
    pub fn labelled(self, label: &str) -> Option<Period> {
        let year = label.get(..4).and_then(|year| year.parse().ok());
        let year = year.filter(|year| ASKABLE.contains(year))?;
        let rest = label.get(5..).unwrap_or_default();
        let found = match label.len() {
            4 => Some(self.year(year)),
            7 if rest.starts_with('Q') => {
                let mut quarters = self.cut(year, Cut::Quarterly).into_iter();
                quarters.find(|quarter| quarter.label == label)
            }
            7 => {
                let month = rest.parse().ok().filter(|month| (1..=12).contains(month))?;
                Some(month_from(first_of(year, month)))
            }
            8 => {
                let week = rest.strip_prefix('W')?.parse().ok()?;
                let monday = NaiveDate::from_isoywd_opt(year, week, Weekday::Mon)?;
                Some(week_from(monday))
            }
            _ => label.parse().ok().map(day),
        };
        found.filter(|period| period.label == label)
    }

    /// The period that somebody asks for; whatever is wrong is noted. What is absent is the present; of a year that is named, the first.
    pub fn asked(
        self,
        asked: &Asked<'_>,
        today: NaiveDate,
        invalid: &mut Invalid,
    ) -> Option<Period> {
        let unit = match asked.period {
            None | Some("quarter") => Some(Unit::Quarter),
            Some("month") => Some(Unit::Month),
            Some("year") => Some(Unit::Year),
            Some(_) => {
                invalid.add("period", "unknown_value", "must be month, quarter or year");
                None
            }
        };
        let year = check_year(asked.year, invalid);
        let quarter = number(asked.quarter, "quarter", 4, invalid);
        let month = number(asked.month, "month", 12, invalid);
        let unit = unit?;
        for (field, is_given, own) in [
            ("quarter", asked.quarter.is_some(), Unit::Quarter),
            ("month", asked.month.is_some(), Unit::Month),
        ] {
            if is_given && unit != own {
                let message = format!("does not go with a period of a {}", unit.as_str());
                invalid.add(field, "not_for_this_period", message);
            }
        }
        let this_year = self.year_of(today);
        let is_this_year = year.is_none();
        let year = year.unwrap_or(this_year);
        Some(match unit {
            Unit::Year => self.year(year),
            Unit::Quarter => {
                let present = if is_this_year { self.quarter_of(today) } else { 1 };
                self.quarter(year, quarter.unwrap_or(present))
            }
            Unit::Month => {
                let present = if is_this_year { today.month() } else { self.first_month };
                self.month(year, month.unwrap_or(present))
            }
        })
    }
}

/// How long the periods of a trend are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// A day.
    Daily,
    /// An ISO week.
    Weekly,
    /// A calendar month.
    Monthly,
    /// A quarter of a fiscal year.
    Quarterly,
    /// A fiscal year.
    Yearly,
}

impl Cut {
    /// The cut of that name, monthly where none is named; an unknown name is noted.
    pub fn asked(name: Option<&str>, invalid: &mut Invalid) -> Option<Self> {
        match name {
            Some("daily") => Some(Self::Daily),
            Some("weekly") => Some(Self::Weekly),
            None | Some("monthly") => Some(Self::Monthly),
            Some("quarterly") => Some(Self::Quarterly),
            Some("yearly") => Some(Self::Yearly),
            Some(_) => {
                let message = "must be daily, weekly, monthly, quarterly or yearly";
                invalid.add("period", "unknown_value", message);
                None
            }
        }
    }

    /// Of which rows of rollups its periods can be added up: of days or of months, of each person's or of everybody's together.
    pub const fn grain(self, is_of_all: bool) -> &'static str {
        match (self, is_of_all) {
            (Self::Daily | Self::Weekly, false) => "day",
            (Self::Daily | Self::Weekly, true) => "day_of_all",
            (Self::Monthly | Self::Quarterly | Self::Yearly, false) => "month",
            (Self::Monthly | Self::Quarterly | Self::Yearly, true) => "month_of_all",
        }
    }
}

/// How long a period is that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A calendar month.
    Month,
    /// A quarter of a fiscal year.
    Quarter,
    /// A fiscal year.
    Year,
}

impl Unit {
    /// As requests name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }
}

/// A period as it is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked<'a> {
    /// `month`, `quarter` or `year`.
    pub period: Option<&'a str>,
    /// The fiscal year.
    pub year: Option<i32>,
    /// Of its quarters, 1 to 4.
    pub quarter: Option<i32>,
    /// Of its calendar months, 1 to 12.
    pub month: Option<i32>,
}

/// A year that may be asked for; another is noted.
pub fn check_year(year: Option<i32>, invalid: &mut Invalid) -> Option<i32> {
    let known = year.filter(|year| ASKABLE.contains(year));
    if year.is_some() && known.is_none() {
        let message = format!("must be from {} to {}", ASKABLE.start(), ASKABLE.end());
        invalid.add("year", "out_of_range", message);
    }
    known
}

fn number(asked: Option<i32>, field: &str, last: u32, invalid: &mut Invalid) -> Option<u32> {
    let asked = asked?;
    let number = u32::try_from(asked).ok().filter(|number| (1..=last).contains(number));
    if number.is_none() {
        invalid.add(field, "out_of_range", format!("must be from 1 to {last}"));
    }
    number
}

fn first_of(year: i32, month: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(year, month, 1).unwrap_or(NaiveDate::MAX)
}

fn month_from(start: NaiveDate) -> Period {
    Period { label: start.format("%Y-%m").to_string(), span: Span::of_months(start, 1) }
}

fn day(day: NaiveDate) -> Period {
    Period { label: day.to_string(), span: Span::of_days(day, 1) }
}

/// The ISO weeks whose Thursday is one of these days.
fn weeks(span: Span) -> Vec<Period> {
    span.start
        .iter_days()
        .take_while(|day| span.contains(*day))
        .filter(|day| day.weekday() == Weekday::Thu)
        .map(|thursday| week_from(thursday - Days::new(3)))
        .collect()
}

fn week_from(monday: NaiveDate) -> Period {
    let week = monday.iso_week();
    Period { label: format!("{}-W{:02}", week.year(), week.week()), span: Span::of_days(monday, 7) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Calendar = Calendar { first_month: 1 };
    const APRIL: Calendar = Calendar { first_month: 4 };

    fn on(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn told(period: &Period) -> (&str, String, String) {
        (&period.label, period.span.start.to_string(), period.span.end.to_string())
    }

    fn asked(calendar: Calendar, asked: Asked<'_>, today: &str) -> Result<Period, Vec<String>> {
        let mut invalid = Invalid::default();
        let period = calendar.asked(&asked, on(today), &mut invalid);
        match invalid.into_result() {
            Ok(()) => Ok(period.unwrap()),
            Err(rpc::Error::Invalid(fields)) => {
                Err(fields.into_iter().map(|it| format!("{} {}", it.field, it.code)).collect())
            }
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn a_fiscal_year_is_called_by_the_calendar_year_in_which_it_starts() {
        assert_eq!(told(&PLAIN.year(2025)), ("2025", "2025-01-01".into(), "2025-12-31".into()));
        assert_eq!(told(&APRIL.year(2025)), ("2025", "2025-04-01".into(), "2026-03-31".into()));
        assert_eq!(APRIL.year_of(on("2026-03-31")), 2025);
        assert_eq!(APRIL.year_of(on("2026-04-01")), 2026);
    }

    #[test]
    fn quarters_and_months_lie_in_their_fiscal_year() {
        let quarter = APRIL.quarter(2025, 4);
        assert_eq!(told(&quarter), ("2025-Q4", "2026-01-01".into(), "2026-03-31".into()));
        assert_eq!(APRIL.quarter_of(on("2026-02-10")), 4);
        assert_eq!(APRIL.quarter_of(on("2025-04-01")), 1);
        let month = APRIL.month(2025, 2);
        assert_eq!(told(&month), ("2026-02", "2026-02-01".into(), "2026-02-28".into()));
        assert_eq!(APRIL.month(2025, 4).label, "2025-04");
    }

    #[test]
    fn every_day_is_in_the_year_and_quarter_that_it_is_said_to_be_in() {
        for first_month in 1..=12 {
            let calendar = Calendar { first_month };
            for day in on("2023-01-01").iter_days().take(1_200) {
                let year = calendar.year_of(day);
                assert!(calendar.year(year).span.contains(day));
                assert!(calendar.quarter(year, calendar.quarter_of(day)).span.contains(day));
                assert!(calendar.month(year, day.month()).span.contains(day));
            }
        }
    }

    #[test]
    fn the_periods_of_a_year_follow_each_other_without_a_gap() {
        for (calendar, cut, count) in [
            (PLAIN, Cut::Daily, 366),
            (PLAIN, Cut::Weekly, 52),
            (APRIL, Cut::Monthly, 12),
            (APRIL, Cut::Quarterly, 4),
            (APRIL, Cut::Yearly, 5),
        ] {
            let periods = calendar.cut(2024, cut);
            assert_eq!(periods.len(), count, "{cut:?}");
            for pair in periods.windows(2) {
                assert_eq!(pair[0].span.end.succ_opt(), Some(pair[1].span.start), "{cut:?}");
            }
        }
        assert_eq!(PLAIN.cut(2024, Cut::Yearly)[0].label, "2020");
        assert_eq!(APRIL.cut(2024, Cut::Monthly)[11].label, "2025-03");
    }

    #[test]
    fn a_week_belongs_to_the_year_of_its_thursday() {
        let weeks = PLAIN.cut(2020, Cut::Weekly);
        assert_eq!(weeks.len(), 53);
        assert_eq!(told(&weeks[0]), ("2020-W01", "2019-12-30".into(), "2020-01-05".into()));
        assert_eq!(told(&weeks[52]), ("2020-W53", "2020-12-28".into(), "2021-01-03".into()));
        assert_eq!(PLAIN.cut(2021, Cut::Weekly)[0].label, "2021-W01");
    }

    #[test]
    fn nothing_asked_is_the_present_quarter_and_a_year_alone_its_first_part() {
        let today = "2026-02-10";
        assert_eq!(asked(PLAIN, Asked::default(), today).unwrap().label, "2026-Q1");
        assert_eq!(asked(APRIL, Asked::default(), today).unwrap().label, "2025-Q4");
        let month = Asked { period: Some("month"), ..Asked::default() };
        assert_eq!(asked(APRIL, month, today).unwrap().label, "2026-02");
        let of_a_year = Asked { year: Some(2024), ..month };
        assert_eq!(asked(APRIL, of_a_year, today).unwrap().label, "2024-04");
        let quarter = Asked { year: Some(2024), ..Asked::default() };
        assert_eq!(asked(PLAIN, quarter, today).unwrap().label, "2024-Q1");
        let year = Asked { period: Some("year"), ..Asked::default() };
        assert_eq!(asked(APRIL, year, today).unwrap().label, "2025");
    }

    #[test]
    fn every_part_that_makes_no_period_is_named_at_once() {
        let wrong =
            Asked { period: Some("year"), year: Some(1969), quarter: Some(5), month: Some(0) };
        assert_eq!(
            asked(PLAIN, wrong, "2026-02-10").unwrap_err(),
            [
                "year out_of_range",
                "quarter out_of_range",
                "month out_of_range",
                "quarter not_for_this_period",
                "month not_for_this_period",
            ]
        );
        let unknown = Asked { period: Some("week"), ..Asked::default() };
        assert_eq!(asked(PLAIN, unknown, "2026-02-10").unwrap_err(), ["period unknown_value"]);
        let quarter = Asked { month: Some(3), ..Asked::default() };
        assert_eq!(asked(PLAIN, quarter, "2026-02-10").unwrap_err(), ["month not_for_this_period"]);
    }

    #[test]
    fn every_period_of_a_report_is_found_by_what_it_is_called() {
        for calendar in [PLAIN, APRIL] {
            for cut in [Cut::Daily, Cut::Weekly, Cut::Monthly, Cut::Quarterly, Cut::Yearly] {
                for period in (2020..=2026).flat_map(|year| calendar.cut(year, cut)) {
                    assert_eq!(calendar.labelled(&period.label), Some(period));
                }
            }
        }
        for label in [
            "",
            "25",
            "2025-",
            "2025-Q5",
            "2025-13",
            "2025-1",
            "2025-W54",
            "2025-02-29",
            "二〇二五",
            "9999",
        ] {
            assert_eq!(PLAIN.labelled(label), None, "{label}");
        }
    }

    #[test]
    fn a_forecast_calls_a_quarter_the_other_way_round() {
        assert_eq!(forecast_label(&PLAIN.quarter(2025, 4)), "Q4 2025");
        assert_eq!(forecast_label(&PLAIN.month(2025, 10)), "2025-10");
        assert_eq!(forecast_label(&PLAIN.year(2025)), "2025");
    }
}
