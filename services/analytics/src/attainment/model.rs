//! How a period stands to its target: what is won of it, whether that is in time, and how much open pipeline the rest needs.

use std::collections::BTreeMap;

use chrono::{DateTime, Months, NaiveDate, Utc};
use money::Money;

use super::words;
use crate::period::{Period, Span};
use crate::ratio;
use crate::report::value::{NotCovered, Sum};
use crate::rollup::month;
use crate::target::model::Effective;

/// What a sum is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// Won in the period.
    Won,
    /// Won in the last twelve months.
    WonLately,
    /// Lost in them.
    LostLately,
    /// Open, and expected to close in the period.
    Open,
    /// Open without a date on which it is expected to close.
    Dateless,
}

/// A person with one sum, or without numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) owner_id: i64,
    pub(crate) owner_name: String,
    pub(crate) team_id: Option<i64>,
    /// Whether they have a row though they have no numbers: an active rep or manager in sight.
    pub(crate) is_seller: bool,
    pub(crate) numbers: Option<(Of, Sum)>,
}

/// The twelve months by which win rates are told: this one so far, and the eleven before it.
pub(crate) fn lately(today: NaiveDate) -> Span {
    let start = month(today).checked_sub_months(Months::new(11));
    Span::of_months(start.unwrap_or(today), 12)
}

/// How much of a period has gone by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Elapsed {
    /// Its days so far, today included.
    pub days: i64,
    /// All its days.
    pub of: i64,
}

impl Elapsed {
    /// Of a period on a day.
    pub(crate) fn of(span: Span, today: NaiveDate) -> Self {
        let of = (span.end - span.start).num_days() + 1;
        let days = (today - span.start).num_days() + 1;
        Self { days: days.clamp(0, of), of }
    }

    /// As a share of 1.
    pub fn share(self) -> Option<f64> {
        ratio::share(self.days, self.of)
    }
}

/// How a period stands to its target.
#[derive(Clone, Debug, PartialEq)]
pub struct Attainments {
    /// Which.
    pub period: Period,
    /// How much of it has gone by.
    pub elapsed: Elapsed,
    /// All of what was asked for.
    pub total: Attainment,
    /// By person: every active rep and manager, and whoever has numbers in it; the highest target first.
    pub items: Vec<Attainment>,
    /// What the values leave out.
    pub not_covered: NotCovered,
    /// The organisation's currency.
    pub currency: String,
    /// When the latest change in it was written down.
    pub as_of: DateTime<Utc>,
}

/// How a person, or all that was asked for, stands to a target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attainment {
    /// Who; nobody where it is all.
    pub owner: Option<(i64, String)>,
    /// Of a person: their team at present.
    pub team_id: Option<i64>,
    /// What is to be won.
    pub target: Option<Effective>,
    /// What is won.
    pub closed_won: Money,
    /// What would be won by now if it came evenly.
    pub pace: Option<Money>,
    /// What is open and expected to close in the period.
    pub open_pipeline: Money,
    /// How many those are.
    pub open_count: i64,
    won_lately: Money,
    lost_lately: Money,
    is_over: bool,
    has_numbers: bool,
    is_seller: bool,
}

impl Attainment {
    fn add(&mut self, of: Of, sum: &Sum) {
        match of {
            Of::Won => {
                self.has_numbers = true;
                self.closed_won += sum.value;
            }
            Of::WonLately => self.won_lately += sum.value,
            Of::LostLately => self.lost_lately += sum.value,
            Of::Open => {
                self.open_pipeline += sum.value;
                self.open_count += sum.count;
                self.has_numbers = true;
            }
            Of::Dateless => {}
        }
    }

    fn against(mut self, target: Option<Effective>, elapsed: Elapsed, is_over: bool) -> Self {
        self.pace = target.map(|it| it.amount.times(elapsed.days.into(), elapsed.of.max(1).into()));
        self.target = target;
        self.is_over = is_over;
        self
    }

    fn has_row(&self) -> bool {
        self.is_seller || self.has_numbers || self.target.is_some()
    }

    fn amount(&self) -> Option<Money> {
        self.target.map(|it| it.amount)
    }

    /// Won ÷ target.
    pub fn attainment(&self) -> Option<f64> {
        self.amount().and_then(|target| ratio::of(self.closed_won, target))
    }

    /// What is won above what would be by now.
    pub fn ahead(&self) -> Option<Money> {
        self.pace.map(|pace| self.closed_won - pace)
    }

    /// What is missing; not positive where the target is met.
    pub fn gap(&self) -> Option<Money> {
        self.amount().map(|target| target - self.closed_won)
    }

    /// The gap, where there is one that can still be closed.
    fn open_gap(&self) -> Option<Money> {
        self.gap().filter(|gap| *gap > Money::ZERO && !self.is_over)
    }

    /// How many times the open pipeline is the gap.
    pub fn coverage(&self) -> Option<f64> {
        self.open_gap().and_then(|gap| ratio::of(self.open_pipeline, gap))
    }

    /// Of what was decided lately, by value, the share that was won.
    pub fn win_rate(&self) -> Option<f64> {
        ratio::of(self.won_lately, self.won_lately + self.lost_lately)
    }

    /// How much open pipeline the gap takes at that rate; nothing where the rate is not known or 0, or the period is over.
    pub fn pipeline_needed(&self) -> Option<Money> {
        let gap = self.gap().filter(|_| !self.is_over)?;
        if gap <= Money::ZERO {
            return Some(Money::ZERO);
        }
        let (won, decided) = (self.won_lately, self.won_lately + self.lost_lately);
        (won > Money::ZERO).then(|| gap.times(decided.hundredths(), won.hundredths()))
    }

    /// How much of that there is not.
    pub fn pipeline_missing(&self) -> Option<Money> {
        self.pipeline_needed().map(|needed| (needed - self.open_pipeline).max(Money::ZERO))
    }

    /// What there is to say of it, as words take it.
    pub fn state(&self) -> Standing {
        let Some(target) = self.amount() else { return Standing::NoTarget };
        let gap = target - self.closed_won;
        match self.pipeline_missing() {
            _ if gap <= Money::ZERO => Standing::Met { above: -gap },
            _ if self.is_over => Standing::Missed { gap },
            None => Standing::NoRate { gap },
            Some(Money::ZERO) => Standing::Enough { gap },
            Some(missing) => Standing::Short { gap, missing },
        }
    }

    /// In a sentence, in Traditional Chinese and in English.
    pub fn words(&self, currency: &str) -> (String, String) {
        words::attainment(&self.state(), currency)
    }
}

/// What there is to say of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// None is set.
    NoTarget,
    /// It is reached, by so much more.
    Met {
        /// How much more.
        above: Money,
    },
    /// The period is over, and so much is missing.
    Missed {
        /// What is missing.
        gap: Money,
    },
    /// Nothing was won lately, so nobody knows what the gap takes.
    NoRate {
        /// What is missing.
        gap: Money,
    },
    /// What is open is enough at the usual rate.
    Enough {
        /// What is missing.
        gap: Money,
    },
    /// It is not.
    Short {
        /// What is missing.
        gap: Money,
        /// How much more pipeline it takes.
        missing: Money,
    },
}

impl Standing {
    /// As answers name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoTarget => "no_target",
            Self::Met { .. } => "met",
            Self::Missed { .. } => "missed",
            Self::NoRate { .. } => "no_win_rate",
            Self::Enough { .. } => "enough",
            Self::Short { .. } => "short",
        }
    }
}

/// How a period stands to its target: all of it, and by person.
pub(crate) fn attainments(
    (period, today): (Period, NaiveDate),
    (rows, as_of): (&[Row], DateTime<Utc>),
    (target, targets): (Option<Effective>, &BTreeMap<i64, Effective>),
    currency: &str,
) -> Attainments {
    let elapsed = Elapsed::of(period.span, today);
    let is_over = period.span.end < today;
    let mut total = Attainment::default();
    let mut not_covered = NotCovered::default();
    let mut people: BTreeMap<i64, Attainment> = BTreeMap::new();
    for row in rows {
        let person = people.entry(row.owner_id).or_insert_with(|| Attainment {
            owner: Some((row.owner_id, row.owner_name.clone())),
            team_id: row.team_id,
            is_seller: row.is_seller,
            ..Attainment::default()
        });
        let Some((of, sum)) = &row.numbers else { continue };
        person.add(*of, sum);
        total.add(*of, sum);
        match of {
            Of::Won | Of::Open => not_covered += sum.not_covered(),
            Of::Dateless => not_covered.without_date += sum.count,
            Of::WonLately | Of::LostLately => {}
        }
    }
    let items = people.into_iter().map(|(id, it)| {
        let target = targets.get(&id).copied();
        it.against(target, elapsed, is_over)
    });
    let mut items: Vec<_> = items.filter(Attainment::has_row).collect();
    items.sort_by(|a, b| {
        let by_target = b.amount().cmp(&a.amount());
        by_target.then(b.closed_won.cmp(&a.closed_won)).then_with(|| a.owner.cmp(&b.owner))
    });
    let total = total.against(target, elapsed, is_over);
    let currency = currency.to_owned();
    Attainments { period, elapsed, total, items, not_covered, currency, as_of }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::period::Calendar;
    use crate::report::tests::{money, on};
    use crate::target::model::Source;

    fn row(owner_id: i64, of: Of, value: i128) -> Row {
        let sum = Sum { count: 1, value_count: 1, rate_missing: 0, value: money(value) };
        Row {
            owner_id,
            owner_name: String::new(),
            team_id: None,
            is_seller: false,
            numbers: Some((of, sum)),
        }
    }

    fn goal(amount: i128) -> Effective {
        Effective { amount: money(amount), source: Source::Set, is_partial: false }
    }

    fn of(today: &str, rows: &[Row], target: Option<i128>) -> Attainments {
        let period = Calendar { first_month: 1 }.quarter(2025, 4);
        let people = BTreeMap::from([(2, goal(50))]);
        let rows = (rows, DateTime::UNIX_EPOCH);
        attainments((period, on(today)), rows, (target.map(goal), &people), "TWD")
    }

    #[test]
    fn the_gap_takes_as_much_pipeline_as_was_decided_for_what_was_won() {
        let rows = [
            row(1, Of::Won, 4_000),
            row(1, Of::WonLately, 1_000),
            row(2, Of::WonLately, 2_000),
            row(2, Of::LostLately, 6_000),
            row(2, Of::Open, 5_000),
            row(2, Of::Dateless, 700),
        ];
        let it = of("2025-10-23", &rows, Some(10_000));
        assert_eq!((it.elapsed.days, it.elapsed.of, it.elapsed.share()), (23, 92, Some(0.25)));
        let total = &it.total;
        assert_eq!((total.pace, total.ahead()), (Some(money(2_500)), Some(money(1_500))));
        assert_eq!((total.attainment(), total.gap()), (Some(0.4), Some(money(6_000))));
        assert_eq!((total.win_rate(), total.coverage()), (Some(0.3333), Some(0.8333)));
        // 6,000 ÷ (3,000 / 9,000), and not ÷ the rounded rate.
        assert_eq!(total.pipeline_needed(), Some(money(18_000)));
        assert_eq!(total.pipeline_missing(), Some(money(13_000)));
        let short = Standing::Short { gap: money(6_000), missing: money(13_000) };
        assert_eq!(total.state(), short);
        assert_eq!(it.not_covered.without_date, 1);
    }

    #[test]
    fn people_are_held_against_their_own_and_add_up_to_all() {
        let rows = [
            row(1, Of::Won, 100),
            row(2, Of::Won, 30),
            row(2, Of::Open, 7),
            row(3, Of::WonLately, 0),
        ];
        let it = of("2025-12-31", &rows, None);
        let told: Vec<_> =
            it.items.iter().map(|it| (it.closed_won, it.attainment(), it.pace)).collect();
        let expected = [(money(30), Some(0.6), Some(money(50))), (money(100), None, None)];
        assert_eq!(
            told, expected,
            "who has a target comes first, and who did nothing in it has no row"
        );
        assert_eq!((it.total.closed_won, it.total.open_pipeline), (money(130), money(7)));
        assert_eq!(it.total.state(), Standing::NoTarget);
    }

    #[test]
    fn what_is_met_or_over_needs_nothing_more() {
        let rows = [row(1, Of::Won, 900), row(1, Of::WonLately, 900), row(1, Of::Open, 5)];
        let met = of("2025-11-01", &rows, Some(800)).total;
        assert_eq!((met.gap(), met.coverage()), (Some(money(-100)), None));
        assert_eq!(
            (met.pipeline_needed(), met.pipeline_missing()),
            (Some(money(0)), Some(money(0)))
        );
        assert_eq!(met.state(), Standing::Met { above: money(100) });
        let missed = of("2026-01-01", &rows, Some(1_000)).total;
        assert_eq!((missed.pipeline_needed(), missed.coverage()), (None, None));
        assert_eq!(
            (missed.pace, missed.state()),
            (Some(money(1_000)), Standing::Missed { gap: money(100) })
        );
        let to_come = of("2025-09-30", &[], Some(1_000)).total;
        assert_eq!((to_come.pace, to_come.win_rate()), (Some(money(0)), None));
        assert_eq!(to_come.state(), Standing::NoRate { gap: money(1_000) });
        let rows = [row(1, Of::WonLately, 10), row(1, Of::Open, 1_000)];
        let enough = of("2025-10-01", &rows, Some(1_000)).total;
        assert_eq!(enough.state(), Standing::Enough { gap: money(1_000) });
    }

    #[test]
    fn lately_is_this_month_and_the_eleven_before() {
        let span = lately(on("2025-11-20"));
        assert_eq!((span.start, span.end), (on("2024-12-01"), on("2025-11-30")));
    }
}
