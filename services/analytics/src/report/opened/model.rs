//! Which opportunities are behind a number: from a report's name, a term and the parameters of a row to a selection.

use chrono::{DateTime, NaiveDate, Utc};
use money::Money;
use rpc::Invalid;

use crate::activity::TYPES;
use crate::deal::Kind;
use crate::period::{Asked, Calendar, Cut, Period, Span, check_year};
use crate::range::Range;

/// A report of which the numbers can be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// How many went further.
    ConversionRate,
    /// What was won, lost and made in periods.
    SalesTrend,
    /// How salespeople did.
    SalesPerformance,
    /// Why they were lost.
    LossReasons,
    /// How much is won a day.
    Velocity,
    /// How long they are in stages.
    StageDuration,
    /// What became of them.
    Cohorts,
    /// What was done about them.
    Activities,
}

/// A report as it is called, its terms, the first of which is meant where none is named, and the parameters that not all have.
type Row = (&'static str, Report, &'static [&'static str], &'static [&'static str]);

const REPORTS: [Row; 8] = [
    (
        "conversion-rate",
        Report::ConversionRate,
        &["entered", "advanced", "lost", "in_progress"],
        &["start_date", "end_date", "stage", "stage_key"],
    ),
    (
        "sales-trend",
        Report::SalesTrend,
        &["won", "lost", "created"],
        &["start_date", "end_date", "period", "year"],
    ),
    (
        "sales-performance",
        Report::SalesPerformance,
        &["won", "lost", "open"],
        &["period", "year", "quarter", "month"],
    ),
    (
        "loss-reasons",
        Report::LossReasons,
        &["lost"],
        &["start_date", "end_date", "stage", "stage_key", "lost_reason"],
    ),
    ("velocity", Report::Velocity, &["closed", "won", "lost"], &["start_date", "end_date"]),
    (
        "stage-duration",
        Report::StageDuration,
        &["entered", "ended", "open"],
        &["start_date", "end_date", "stage", "stage_key"],
    ),
    (
        "cohorts",
        Report::Cohorts,
        &["created", "won", "lost", "open"],
        &["start_date", "end_date", "period", "until"],
    ),
    (
        "activities",
        Report::Activities,
        &["touched", "created", "completed", "overdue", "open", "untouched", "without_next"],
        &["start_date", "end_date", "activity_type"],
    ),
];

impl Report {
    /// The report of that name.
    pub fn parse(name: &str) -> Option<Self> {
        REPORTS.iter().find(|row| row.0 == name).map(|row| row.1)
    }

    fn terms(self) -> &'static [&'static str] {
        REPORTS.iter().find(|row| row.1 == self).map_or(&[], |row| row.2)
    }

    fn parameters(self) -> &'static [&'static str] {
        REPORTS.iter().find(|row| row.1 == self).map_or(&[], |row| row.3)
    }
}

/// A number as it is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// Which number of the row.
    pub term: Option<&'a str>,
    /// By what the report goes by.
    pub range: Range,
    /// The period of a row, or as the report is asked.
    pub asked: Asked<'a>,
    /// Of cohorts: as of the end of this day.
    pub until: Option<NaiveDate>,
    /// A stage, by its name or key.
    pub stage: Option<&'a str>,
    /// The same by its key.
    pub stage_key: Option<&'a str>,
    /// Why they were lost; the empty text is none.
    pub lost_reason: Option<&'a str>,
    /// Of activities: which kind.
    pub activity_type: Option<&'a str>,
}

impl Wanted<'_> {
    /// The parameters that not all reports have, and whether they are given.
    fn given(&self) -> [(&'static str, bool); 11] {
        [
            ("start_date", self.range.start.is_some()),
            ("end_date", self.range.end.is_some()),
            ("period", self.asked.period.is_some()),
            ("year", self.asked.year.is_some()),
            ("quarter", self.asked.quarter.is_some()),
            ("month", self.asked.month.is_some()),
            ("until", self.until.is_some()),
            ("stage", self.stage.is_some()),
            ("stage_key", self.stage_key.is_some()),
            ("lost_reason", self.lost_reason.is_some()),
            ("activity_type", self.activity_type.is_some()),
        ]
    }
}

/// Which opportunities, but for whose they are and where they run. All that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Made in it.
    pub(crate) created: Range,
    /// Of any of these statuses; all where there are none.
    pub(crate) statuses: Vec<Kind>,
    /// Closed in it.
    pub(crate) closed: Range,
    /// Not closed by the end of this day.
    pub(crate) undecided_at: Option<NaiveDate>,
    /// Why they were lost; the empty text is none.
    pub(crate) lost_reason: Option<String>,
    /// The key of the last open stage in which they stood; the empty text is none.
    pub(crate) last_stage: Option<String>,
    /// When they came into a stage, and what became of them since.
    pub(crate) entered: Option<Entered>,
    /// What was done about them, or was not.
    pub(crate) done: Option<Done>,
}

/// Those that came into a stage for the first time in a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entered {
    pub(crate) stage_key: String,
    pub(crate) range: Range,
    /// `entered`, `advanced`, `lost`, `in_progress`, `ended` or `open`.
    pub(crate) term: &'static str,
}

/// Those about which something was done in a range, or nothing was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Done {
    /// `touched`, `created`, `completed`, `overdue`, `untouched` or `without_next`.
    pub(crate) term: &'static str,
    /// Of this kind alone.
    pub(crate) activity_type: Option<String>,
    pub(crate) range: Range,
    /// What was to be done before this day is overdue.
    pub(crate) today: NaiveDate,
}

impl Done {
    /// Whether it is about who did it, and not about whose the opportunity is.
    pub(crate) fn is_of_person(&self) -> bool {
        !matches!(self.term, "untouched" | "without_next")
    }
}

/// An opportunity behind a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Which.
    pub opportunity_id: i64,
    /// As of this version.
    pub version: i64,
    /// Its name.
    pub opportunity_name: String,
    /// Its customer.
    pub customer_id: i64,
    /// What that is called, where it is known.
    pub customer_name: Option<String>,
    /// Its pipeline.
    pub pipeline_id: i64,
    /// The name of its stage.
    pub stage: String,
    /// The key of its stage.
    pub stage_key: String,
    /// `open`, `won` or `lost`.
    pub status: String,
    /// Whose.
    pub owner_id: i64,
    /// Their name.
    pub owner_name: String,
    /// The team it counts for.
    pub team_id: Option<i64>,
    /// In its own currency.
    pub amount: Option<Money>,
    /// ISO 4217.
    pub currency: String,
    /// What reports count for it.
    pub value: Option<Money>,
    /// Percent.
    pub probability: i32,
    /// When it is expected to close.
    pub expected_close_date: Option<NaiveDate>,
    /// When it closed.
    pub actual_close_date: Option<NaiveDate>,
    /// Why it was lost.
    pub lost_reason: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// What is selected, where the stage that is meant is known by its key. Whatever is wrong is noted.
pub(crate) fn selection(
    report: Report,
    wanted: &Wanted<'_>,
    stage_key: Option<String>,
    (calendar, today): (Calendar, NaiveDate),
    invalid: &mut Invalid,
) -> Selection {
    for (field, is_given) in wanted.given() {
        if is_given && !report.parameters().contains(&field) {
            invalid.add(field, "unknown_parameter", "this report has no such parameter");
        }
    }
    wanted.range.check(invalid);
    let term = term(report, wanted.term, invalid);
    let range = within_period(report, wanted, (calendar, today), invalid);
    let statuses = match (report, term) {
        // Of these, fates are of a stage.
        (Report::ConversionRate | Report::StageDuration, _) if stage_key.is_some() => Vec::new(),
        (_, "won" | "advanced") => vec![Kind::Won],
        (_, "lost") => vec![Kind::Lost],
        (_, "closed") => vec![Kind::Won, Kind::Lost],
        (_, "in_progress") => vec![Kind::Open],
        (_, "open") if wanted.until.is_none() => vec![Kind::Open],
        _ => Vec::new(),
    };
    let all = Selection { statuses, ..Selection::default() };
    match report {
        Report::SalesTrend if term == "created" => Selection { created: range, ..all },
        // What is open counts as it stands now, whatever the period.
        Report::SalesPerformance if term == "open" => all,
        Report::SalesTrend | Report::SalesPerformance | Report::Velocity => {
            Selection { closed: range, ..all }
        }
        Report::LossReasons => {
            let lost_reason = wanted.lost_reason.map(str::to_owned);
            Selection { closed: range, lost_reason, last_stage: stage_key, ..all }
        }
        Report::Cohorts => {
            let is_closed = matches!(term, "won" | "lost");
            let closed = Range { start: None, end: wanted.until.filter(|_| is_closed) };
            let undecided_at = wanted.until.filter(|_| term == "open");
            Selection { created: range, closed, undecided_at, ..all }
        }
        Report::Activities => {
            if let Some(kind) = wanted.activity_type {
                if !TYPES.contains(&kind) {
                    let message = format!("must be one of {}", TYPES.join(", "));
                    invalid.add("activity_type", "unknown_value", message);
                } else if !matches!(term, "created" | "completed") {
                    invalid.add("activity_type", "unknown_parameter", "this term has no kinds");
                }
            }
            let activity_type = wanted.activity_type.map(str::to_owned);
            let done = Done { term, activity_type, range, today };
            match term {
                "open" => all,
                "untouched" | "without_next" => {
                    Selection { statuses: vec![Kind::Open], done: Some(done), ..all }
                }
                _ => Selection { done: Some(done), ..all },
            }
        }
        Report::ConversionRate | Report::StageDuration => {
            if let Some(stage_key) = stage_key {
                return Selection { entered: Some(Entered { stage_key, range, term }), ..all };
            }
            let is_named = wanted.stage.is_some() || wanted.stage_key.is_some();
            if report == Report::StageDuration && !is_named {
                invalid.add("stage", "required", "name the stage");
            }
            // The pipeline as a whole, which is entered by creation.
            Selection { created: range, ..all }
        }
    }
}

fn term(report: Report, asked: Option<&str>, invalid: &mut Invalid) -> &'static str {
    let terms = report.terms();
    let found = asked.map_or(terms.first(), |asked| terms.iter().find(|it| **it == asked));
    if found.is_none() {
        invalid.add("term", "unknown_value", format!("must be one of {}", terms.join(", ")));
    }
    found.copied().unwrap_or_default()
}

/// The days that are asked for, by dates, by the period of a row, and as the report is asked.
fn within_period(
    report: Report,
    wanted: &Wanted<'_>,
    (calendar, today): (Calendar, NaiveDate),
    invalid: &mut Invalid,
) -> Range {
    let asked = wanted.asked;
    let row = asked.period.and_then(|label| calendar.labelled(label));
    let period = match (report, row) {
        (_, Some(row)) => {
            for (field, is_given) in [
                ("year", asked.year.is_some()),
                ("quarter", asked.quarter.is_some()),
                ("month", asked.month.is_some()),
            ] {
                if is_given && report.parameters().contains(&field) {
                    invalid.add(
                        field,
                        "not_for_this_period",
                        "does not go with the period of a row",
                    );
                }
            }
            Some(row.span)
        }
        (Report::SalesPerformance, None) => {
            calendar.asked(&asked, today, invalid).map(|period| period.span)
        }
        (Report::SalesTrend, None) if asked.period.is_some() || asked.year.is_some() => {
            let cut = Cut::asked(asked.period, invalid);
            let year = check_year(asked.year, invalid).unwrap_or_else(|| calendar.year_of(today));
            cut.and_then(|cut| whole(&calendar.cut(year, cut)))
        }
        (Report::Cohorts, None) => {
            if !matches!(asked.period, None | Some("monthly" | "quarterly")) {
                let message = "must be monthly, quarterly, or a period of a row such as 2025-10";
                invalid.add("period", "unknown_value", message);
            }
            None
        }
        (Report::Activities, None) => return wanted.range.begun(calendar, today),
        _ => None,
    };
    period.map_or(wanted.range, |span| wanted.range.within(span))
}

/// All the days of periods that follow each other.
fn whole(periods: &[Period]) -> Option<Span> {
    let (first, last) = periods.first().zip(periods.last())?;
    Some(Span { start: first.span.start, end: last.span.end })
}
