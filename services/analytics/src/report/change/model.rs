//! How the open pipeline of one instant became that of another, opportunity by opportunity: what it was then, what it is now, and which terms say the difference.

use chrono::{DateTime, NaiveDate, Utc};
use money::Money;

use crate::deal::Kind;
use crate::report::value::NotCovered;
use crate::valuation::Valuation;

/// A term of the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Term {
    /// What was open first.
    StartValue,
    /// Was not there.
    Created,
    /// Was won or lost.
    Reopened,
    /// Was deleted.
    Restored,
    /// Another amount, worth more by the first rates.
    Grown,
    /// Another amount, worth less by the first rates.
    Shrunk,
    /// What other rates make of it.
    Revalued,
    /// Was open with another owner or team.
    ReassignedIn,
    /// Is open with another owner or team.
    ReassignedOut,
    /// Was open in another pipeline.
    MovedIn,
    /// Is open in another pipeline.
    MovedOut,
    /// Was open and expected to close outside of the window.
    PulledIn,
    /// Is open and expected to close outside of the window.
    PushedOut,
    /// Is won.
    Won,
    /// Is lost.
    Lost,
    /// Is deleted.
    Deleted,
    /// What is open last.
    EndValue,
}

impl Term {
    /// Every term.
    pub const ALL: [Self; 17] = [
        Self::StartValue,
        Self::Created,
        Self::Reopened,
        Self::Restored,
        Self::Grown,
        Self::Shrunk,
        Self::Revalued,
        Self::ReassignedIn,
        Self::ReassignedOut,
        Self::MovedIn,
        Self::MovedOut,
        Self::PulledIn,
        Self::PushedOut,
        Self::Won,
        Self::Lost,
        Self::Deleted,
        Self::EndValue,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StartValue => "start_value",
            Self::Created => "created",
            Self::Reopened => "reopened",
            Self::Restored => "restored",
            Self::Grown => "grown",
            Self::Shrunk => "shrunk",
            Self::Revalued => "revalued",
            Self::ReassignedIn => "reassigned_in",
            Self::ReassignedOut => "reassigned_out",
            Self::MovedIn => "moved_in",
            Self::MovedOut => "moved_out",
            Self::PulledIn => "pulled_in",
            Self::PushedOut => "pushed_out",
            Self::Won => "won",
            Self::Lost => "lost",
            Self::Deleted => "deleted",
            Self::EndValue => "end_value",
        }
    }

    /// Whether opportunities that are the same at both ends contribute to it.
    pub const fn is_of_steady(self) -> bool {
        matches!(self, Self::StartValue | Self::Revalued | Self::EndValue)
    }

    /// The term of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
}

/// Which part of the open pipeline is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lens {
    /// Of this owner.
    pub owner_id: Option<i64>,
    /// Of this team.
    pub team_id: Option<i64>,
    /// In this pipeline.
    pub pipeline_id: Option<i64>,
    /// Expected to close on this day or later.
    pub close_from: Option<NaiveDate>,
    /// Expected to close on this day or earlier.
    pub close_to: Option<NaiveDate>,
}

/// An opportunity as it was known at an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its pipeline.
    pub pipeline_id: i64,
    /// Kind of its stage.
    pub status: Kind,
    /// Whose.
    pub owner_id: i64,
    /// Of which team.
    pub team_id: Option<i64>,
    /// ISO 4217.
    pub currency: String,
    /// In that currency.
    pub amount: Option<Money>,
    /// The day it was expected to close.
    pub expected_close_date: Option<NaiveDate>,
    /// Whether it was deleted.
    pub is_deleted: bool,
}

/// An opportunity at both instants; nothing where it was not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Which.
    pub opportunity_id: i64,
    /// At the first.
    pub start: Option<View>,
    /// At the last.
    pub end: Option<View>,
}

/// Opportunities that are the same at both ends and open, by what their values are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steady {
    /// ISO 4217.
    pub currency: String,
    /// The amount of each of them, where it has to be converted; nothing where they have none, or amounts of the organisation's currency.
    pub each: Option<Money>,
    /// Whether they have an expected close date.
    pub is_dated: bool,
    /// How many.
    pub count: i64,
    /// How many of them have an amount.
    pub amounts: i64,
    /// What the amounts add up to.
    pub total: Money,
}

/// By the rates of which day amounts are worth what: at the first instant and at the last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// At the first.
    pub start: Valuation,
    /// At the last.
    pub end: Valuation,
}

impl View {
    fn is_open(&self) -> bool {
        self.status == Kind::Open && !self.is_deleted
    }

    fn value(&self, valuation: &Valuation) -> Option<Money> {
        valuation.worth(self.amount?, &self.currency)
    }
}

impl Lens {
    /// Whether it looks at one window of expected close dates.
    pub fn has_window(&self) -> bool {
        self.close_from.is_some() || self.close_to.is_some()
    }

    fn is_of_owner(&self, view: &View) -> bool {
        self.owner_id.is_none_or(|id| view.owner_id == id)
            && self.team_id.is_none_or(|id| view.team_id == Some(id))
    }

    fn is_in_pipeline(&self, view: &View) -> bool {
        self.pipeline_id.is_none_or(|id| view.pipeline_id == id)
    }

    fn is_in_window(&self, view: &View) -> bool {
        let is_within = |day: NaiveDate| {
            self.close_from.is_none_or(|from| from <= day)
                && self.close_to.is_none_or(|to| day <= to)
        };
        !self.has_window() || view.expected_close_date.is_some_and(is_within)
    }

    fn covers(&self, view: &View) -> bool {
        view.is_open()
            && self.is_of_owner(view)
            && self.is_in_pipeline(view)
            && self.is_in_window(view)
    }

    /// Why one that is not covered is not.
    fn reason(&self, view: &View) -> Reason {
        if view.is_deleted {
            Reason::Deleted
        } else if view.status == Kind::Won {
            Reason::Won
        } else if view.status == Kind::Lost {
            Reason::Lost
        } else if !self.is_in_pipeline(view) {
            Reason::ElsewhereInPipelines
        } else if !self.is_of_owner(view) {
            Reason::WithAnother
        } else {
            Reason::OutOfWindow
        }
    }
}

enum Reason {
    Deleted,
    Won,
    Lost,
    ElsewhereInPipelines,
    WithAnother,
    OutOfWindow,
}

/// How it came in: what it was.
fn entrance(lens: &Lens, start: Option<&View>) -> Term {
    match start.map(|view| lens.reason(view)) {
        None => Term::Created,
        Some(Reason::Deleted) => Term::Restored,
        Some(Reason::Won | Reason::Lost) => Term::Reopened,
        Some(Reason::ElsewhereInPipelines) => Term::MovedIn,
        Some(Reason::WithAnother) => Term::ReassignedIn,
        Some(Reason::OutOfWindow) => Term::PulledIn,
    }
}

/// How it went out: what it is. Nothing that was there is not there any more, but for what is deleted.
fn exit(lens: &Lens, end: Option<&View>) -> Term {
    match end.map(|view| lens.reason(view)) {
        None | Some(Reason::Deleted) => Term::Deleted,
        Some(Reason::Won) => Term::Won,
        Some(Reason::Lost) => Term::Lost,
        Some(Reason::ElsewhereInPipelines) => Term::MovedOut,
        Some(Reason::WithAnother) => Term::ReassignedOut,
        Some(Reason::OutOfWindow) => Term::PushedOut,
    }
}

/// What an opportunity contributes, to which terms: all but the first and the last add up to the last less the first.
pub fn contribute(pair: &Pair, lens: &Lens, rates: &Rates, mut say: impl FnMut(Term, Money)) {
    let start = pair.start.as_ref().filter(|view| lens.covers(view));
    let end = pair.end.as_ref().filter(|view| lens.covers(view));
    let value = |view: &View, valuation| view.value(valuation).unwrap_or_default();
    let before = start.map(|view| value(view, &rates.start));
    let after = end.map(|view| value(view, &rates.end));
    if let Some(before) = before {
        say(Term::StartValue, before);
    }
    match (start, before, end, after) {
        (Some(start), Some(before), Some(end), Some(after)) => {
            let grown = growth(start, end, before, after, rates);
            if grown > Money::ZERO {
                say(Term::Grown, grown);
            } else if grown < Money::ZERO {
                say(Term::Shrunk, grown);
            }
            let revalued = after - before - grown;
            if revalued != Money::ZERO {
                say(Term::Revalued, revalued);
            }
        }
        (_, None, _, Some(after)) => say(entrance(lens, pair.start.as_ref()), after),
        (_, Some(before), _, None) => say(exit(lens, pair.end.as_ref()), -before),
        _ => {}
    }
    if let Some(after) = after {
        say(Term::EndValue, after);
    }
}

/// What another amount or currency makes, by the first rates; where these do not tell, all that is different.
fn growth(start: &View, end: &View, before: Money, after: Money, rates: &Rates) -> Money {
    if (start.amount, &start.currency) == (end.amount, &end.currency) {
        return Money::ZERO;
    }
    end.value(&rates.start).unwrap_or(after) - before
}

/// What the values leave out, of an opportunity that is open at either instant in the part that is looked at: each counts once.
pub fn not_covered(pair: &Pair, lens: &Lens, rates: &Rates) -> NotCovered {
    let ends = [(&pair.start, &rates.start), (&pair.end, &rates.end)];
    let ends = ends.into_iter().filter_map(|(view, valuation)| Some((view.as_ref()?, valuation)));
    let mut found = NotCovered::default();
    let anytime = Lens { close_from: None, close_to: None, ..*lens };
    for (view, valuation) in ends {
        if lens.covers(view) {
            if view.amount.is_none() {
                found.without_amount = 1;
            } else if view.value(valuation).is_none() {
                found.without_rate = 1;
            }
        } else if view.expected_close_date.is_none() && anytime.covers(view) {
            found.without_date = 1;
        }
    }
    if found.without_amount > 0 {
        NotCovered { without_amount: 1, ..NotCovered::default() }
    } else if found.without_rate > 0 {
        NotCovered { without_rate: 1, ..NotCovered::default() }
    } else {
        found
    }
}

/// How many, and their value with its sign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many opportunities.
    pub count: i64,
    /// What they contribute.
    pub value: Money,
}

/// The sum of what all contribute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    terms: [Sum; Term::ALL.len()],
    /// What the values leave out.
    pub not_covered: NotCovered,
}

impl Sums {
    /// Of one term.
    pub fn of(&self, term: Term) -> Sum {
        self.terms[term as usize]
    }

    /// Adds one opportunity.
    pub fn add(&mut self, pair: &Pair, lens: &Lens, rates: &Rates) {
        self.not_covered += not_covered(pair, lens, rates);
        contribute(pair, lens, rates, |term, value| self.say(term, 1, value));
    }

    /// Adds opportunities that are the same at both ends, in the part that is looked at but for its window: what each of them by itself would have added.
    pub fn add_steady(&mut self, it: &Steady, lens: &Lens, rates: &Rates) {
        if lens.has_window() && !it.is_dated {
            self.not_covered.without_date += it.count;
            return;
        }
        let value = |valuation: &Valuation| match it.each {
            Some(each) => {
                valuation.worth(each, &it.currency).map(|value| value.times(it.count.into(), 1))
            }
            None => Some(it.total),
        };
        let (before, after) = (value(&rates.start), value(&rates.end));
        if it.each.is_none() {
            self.not_covered.without_amount += it.count - it.amounts;
        } else if before.is_none() || after.is_none() {
            self.not_covered.without_rate += it.count;
        }
        let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
        self.say(Term::StartValue, it.count, before);
        if after != before {
            self.say(Term::Revalued, it.count, after - before);
        }
        self.say(Term::EndValue, it.count, after);
    }

    fn say(&mut self, term: Term, count: i64, value: Money) {
        let sum = &mut self.terms[term as usize];
        sum.count += count;
        sum.value += value;
    }
}

/// The report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PipelineChanges {
    /// The first end, as it was asked.
    pub from: String,
    /// The last end, as it was asked.
    pub to: String,
    /// What was looked at.
    pub lens: Lens,
    /// Every term.
    pub sums: Sums,
    /// When the latest change in it was written down.
    pub as_of: DateTime<Utc>,
}

/// An opportunity behind a term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behind {
    /// Which.
    pub opportunity_id: i64,
    /// What it contributes to the term.
    pub value: Money,
    /// What it is at present.
    pub present: Present,
}

/// What is shown of an opportunity beside its number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Present {
    /// Its name.
    pub opportunity_name: String,
    /// Its customer.
    pub customer_id: i64,
    /// What that is called, where it is known.
    pub customer_name: Option<String>,
    /// Its pipeline.
    pub pipeline_id: i64,
    /// Key of its stage.
    pub stage_key: String,
    /// `open`, `won` or `lost`.
    pub status: String,
    /// Whose it is.
    pub owner_id: i64,
    /// Of which team.
    pub team_id: Option<i64>,
    /// Whether it is deleted.
    pub is_deleted: bool,
}

/// Opportunities behind a term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The newest first, by id.
    pub items: Vec<Behind>,
    /// Where the next page begins.
    pub next_cursor: Option<String>,
    /// When the latest change in it was written down.
    pub as_of: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{money, on};

    /// Of Amy (1) and team 7 in pipeline 1, worth 100 cents in TWD, expected to close in June.
    fn open() -> View {
        View {
            pipeline_id: 1,
            status: Kind::Open,
            owner_id: 1,
            team_id: Some(7),
            currency: "TWD".to_owned(),
            amount: Some(money(100)),
            expected_close_date: Some(on("2025-06-15")),
            is_deleted: false,
        }
    }

    fn rates() -> Rates {
        let of = |rate: &str| {
            Valuation::new("TWD", [("USD".to_owned(), rate.parse::<money::Rate>().unwrap())])
        };
        Rates { start: of("30"), end: of("32.5") }
    }

    fn told(start: Option<View>, end: Option<View>, lens: &Lens) -> String {
        let pair = Pair { opportunity_id: 1, start, end };
        let mut told = Vec::new();
        contribute(&pair, lens, &rates(), |term, value| {
            told.push(format!("{} {}", term.as_str(), value.hundredths()));
        });
        told.join(", ")
    }

    #[test]
    fn each_way_in_and_out_has_its_term() {
        let all = Lens {
            owner_id: Some(1),
            team_id: Some(7),
            pipeline_id: Some(1),
            close_from: Some(on("2025-06-01")),
            close_to: Some(on("2025-06-30")),
        };
        let is = |change: fn(&mut View)| {
            let mut view = open();
            change(&mut view);
            Some(view)
        };
        for (other, way_in, way_out) in [
            (is(|it| it.is_deleted = true), "restored", "deleted"),
            (is(|it| it.status = Kind::Won), "reopened", "won"),
            (is(|it| it.status = Kind::Lost), "reopened", "lost"),
            (is(|it| (it.status, it.is_deleted) = (Kind::Won, true)), "restored", "deleted"),
            (is(|it| it.pipeline_id = 2), "moved_in", "moved_out"),
            (is(|it| it.owner_id = 2), "reassigned_in", "reassigned_out"),
            (is(|it| it.team_id = None), "reassigned_in", "reassigned_out"),
            (is(|it| it.expected_close_date = None), "pulled_in", "pushed_out"),
            (is(|it| it.expected_close_date = Some(on("2025-07-01"))), "pulled_in", "pushed_out"),
            (is(|it| (it.owner_id, it.pipeline_id) = (2, 2)), "moved_in", "moved_out"),
        ] {
            let came = told(other.clone(), Some(open()), &all);
            assert_eq!(came, format!("{way_in} 100, end_value 100"));
            let went = told(Some(open()), other.clone(), &all);
            assert_eq!(went, format!("start_value 100, {way_out} -100"));
            assert_eq!(told(other.clone(), other, &all), "");
        }
        assert_eq!(told(None, Some(open()), &all), "created 100, end_value 100");
        // Where nothing is asked for, whose it is makes no difference.
        let with_another = is(|it| (it.owner_id, it.pipeline_id) = (2, 2));
        let it = told(Some(open()), with_another, &Lens::default());
        assert_eq!(it, "start_value 100, end_value 100");
    }

    #[test]
    fn what_grew_is_by_the_first_rates_and_the_rest_is_what_other_rates_make() {
        let of = |hundredths: Option<i128>, currency: &str| {
            let amount = hundredths.map(money);
            Some(View { amount, currency: currency.to_owned(), ..open() })
        };
        for (start, end, expected) in [
            (
                of(Some(100), "TWD"),
                of(Some(70), "TWD"),
                "start_value 100, shrunk -30, end_value 70",
            ),
            (of(None, "TWD"), of(Some(70), "TWD"), "start_value 0, grown 70, end_value 70"),
            (of(Some(70), "TWD"), of(None, "TWD"), "start_value 70, shrunk -70, end_value 0"),
            (
                of(Some(10), "USD"),
                of(Some(10), "USD"),
                "start_value 300, revalued 25, end_value 325",
            ),
            (
                of(Some(10), "USD"),
                of(Some(20), "USD"),
                "start_value 300, grown 300, revalued 50, end_value 650",
            ),
            (
                of(Some(20), "USD"),
                of(Some(10), "TWD"),
                "start_value 600, shrunk -590, end_value 10",
            ),
            // No rate says what it would have been worth.
            (of(Some(20), "EUR"), of(Some(10), "TWD"), "start_value 0, grown 10, end_value 10"),
        ] {
            assert_eq!(told(start, end, &Lens::default()), expected);
        }
    }

    #[test]
    fn an_opportunity_that_lacks_something_is_left_out_once() {
        let lens = Lens { close_from: Some(on("2025-06-01")), ..Lens::default() };
        let found = |start: Option<View>, end: Option<View>| {
            let it = not_covered(&Pair { opportunity_id: 1, start, end }, &lens, &rates());
            (it.without_amount, it.without_rate, it.without_date)
        };
        let in_euros = View { currency: "EUR".to_owned(), ..open() };
        let without_amount = View { amount: None, ..open() };
        let undated = View { expected_close_date: None, ..open() };
        let won = View { status: Kind::Won, ..without_amount.clone() };
        assert_eq!(found(Some(open()), Some(won)), (0, 0, 0));
        assert_eq!(found(Some(in_euros.clone()), Some(in_euros.clone())), (0, 1, 0));
        assert_eq!(found(Some(in_euros), Some(without_amount)), (1, 0, 0));
        assert_eq!(found(Some(open()), Some(undated.clone())), (0, 0, 1));
        assert_eq!(found(None, Some(undated)), (0, 0, 1));
    }
}
