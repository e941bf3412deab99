//! The forecast of a period: what is won, what is expected of what is open and of what is not made yet, and in which range.

use chrono::{DateTime, NaiveDate, Utc};
use money::Money;

use super::part::{Part, Pieces};
use super::speaker::Model;
use super::stage::{CategoryForecast, StageForecast, Stages};
use crate::adjustment::model::Adjustment;
use crate::category::Category;
use crate::period::{Period, Span};
use crate::pipeline::Pipeline;
use crate::report::value::{NotCovered, Sum};
use crate::target::model::Effective;

/// How a period lies to today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Over.
    Past,
    /// Under way.
    Current,
    /// To come.
    Future,
}

impl Phase {
    /// Of a period on a day.
    pub fn of(span: Span, today: NaiveDate) -> Self {
        match () {
            () if span.contains(today) => Self::Current,
            () if span.end < today => Self::Past,
            () => Self::Future,
        }
    }
}

/// Whose, of which team, and in which pipeline; 0 where it is not told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::struct_field_names, reason = "that is what they are called everywhere")]
pub(crate) struct Whose {
    pub(crate) owner_id: i64,
    pub(crate) team_id: i64,
    pub(crate) pipeline_id: i64,
}

/// What is known of a period.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Known {
    /// What is won in it already.
    pub(crate) won: Vec<(Whose, Sum)>,
    /// What is open.
    pub(crate) open: Vec<Open>,
    /// Of that with a date, what has a forecast category of its own.
    pub(crate) categorised: Vec<(Category, Open)>,
    /// Which model made the latest run, if there was one.
    pub(crate) speaker: Option<Speaker>,
    /// What that says of the period as a whole, if it has learned something and looks as far ahead.
    pub(crate) ahead: Option<Ahead>,
    pub(crate) as_of: DateTime<Utc>,
}

/// A model that was run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Speaker {
    pub(crate) version: i64,
    pub(crate) voice: String,
    pub(crate) won: i64,
    pub(crate) lost: i64,
}

/// What a period will bring beside what is won, over everything there is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Ahead {
    pub(crate) new_business: Money,
    /// The middle as a share of what is to be expected.
    pub(crate) middle: f64,
    pub(crate) sigma: f64,
    pub(crate) record: TrackRecord,
}

/// How often ranges held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackRecord {
    /// How many windows of the past were forecast again.
    pub tried: i32,
    /// How many of them were in their range.
    pub held: i32,
}

/// In which period an open opportunity counts by its date.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Place {
    /// In this one.
    #[default]
    InPeriod,
    /// In another one.
    Elsewhere,
    /// In none: it has no date.
    Undated,
}

/// Open opportunities of one stage.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Open {
    pub(crate) stage_key: String,
    pub(crate) whose: Whose,
    pub(crate) place: Place,
    pub(crate) sum: Sum,
    /// The value by its probabilities.
    pub(crate) weighted: Money,
    /// What is expected of it in the period.
    pub(crate) predicted: Money,
    /// The variance of that.
    pub(crate) variance: f64,
}

/// What will have been won in a period.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// Which.
    pub period: Period,
    /// How that lies to today.
    pub phase: Phase,
    /// What is expected, and in which range.
    pub whole: Part,
    /// What is to be won in it, where a target is set.
    pub target: Option<Effective>,
    /// What somebody expects beside the model, where the caller may know.
    pub adjustment: Option<Adjustment>,
    /// The open opportunities expected to close in the period, a row for every open stage.
    pub by_stage: Vec<StageForecast>,
    /// The same by forecast category, the surest first.
    pub by_category: [CategoryForecast; 4],
    /// What the values leave out.
    pub not_covered: NotCovered,
    /// Which model spoke.
    pub model: Model,
    /// How often ranges like this one held, where that is known.
    pub record: Option<TrackRecord>,
    /// When the latest change in it was written down.
    pub as_of: DateTime<Utc>,
}

impl Forecast {
    /// The mean and what is expected beside it; nothing where the period is over, and nothing is expected any more.
    pub fn adjusted_expected(&self) -> Option<Money> {
        let adjustment = self.adjustment.as_ref().filter(|_| self.phase != Phase::Past);
        adjustment.map(|it| self.whole.expected() + it.amount)
    }
}

/// The forecast of a period over the stages of these pipelines, of which the default one comes first. What comes from opportunities not made yet belongs to the whole: `is_whole`.
pub(crate) fn forecast<'a>(
    period: Period,
    phase: Phase,
    pipelines: impl Iterator<Item = &'a Pipeline>,
    known: &Known,
    is_whole: bool,
) -> Forecast {
    let stages = Stages::of(pipelines, known);
    let mut not_covered = NotCovered::default();
    for (_, won) in &known.won {
        not_covered += won.not_covered();
    }
    for open in &known.open {
        match open.place {
            Place::InPeriod => not_covered += open.sum.not_covered(),
            Place::Undated if phase == Phase::Current => not_covered.without_date += open.sum.count,
            Place::Undated | Place::Elsewhere => {}
        }
    }
    let whole = Pieces::of(&known.won, &stages.counted).part(known.ahead, is_whole);
    let record = known.ahead.map(|ahead| ahead.record);
    Forecast {
        period,
        phase,
        whole,
        target: None,
        adjustment: None,
        by_stage: stages.rows,
        by_category: stages.categories,
        not_covered,
        model: Model::of(phase, known),
        record: record.filter(|record| is_whole && record.tried > 0),
        as_of: known.as_of,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::period::Calendar;
    use crate::report::tests::{money, on, pipeline};

    pub(crate) fn open(stage_key: &str, count: i64, value: i128, weighted: i128) -> Open {
        let sum = Sum { count, value_count: count, rate_missing: 0, value: money(value) };
        let whose = Whose { pipeline_id: 1, ..Whose::default() };
        let (weighted, predicted) = (money(weighted), money(weighted));
        Open { stage_key: stage_key.into(), whose, sum, weighted, predicted, ..Open::default() }
    }

    pub(crate) fn won(count: i64, value: i128) -> (Whose, Sum) {
        let value = money(value);
        (Whose::default(), Sum { count, value_count: count, rate_missing: 0, value })
    }

    fn of(phase: Phase, won: (Whose, Sum), open: Vec<Open>) -> Forecast {
        let period = Calendar { first_month: 1 }.quarter(2025, 4);
        let known = Known { won: vec![won], open, ..Known::default() };
        forecast(period, phase, [&pipeline()].into_iter(), &known, true)
    }

    #[test]
    fn the_expected_value_is_the_sum_of_its_parts_to_the_cent() {
        let rows = vec![open("lead", 2, 10_001, 1_001), open("proposal", 1, 50_000, 25_000)];
        let it = of(Phase::Current, won(1, 7_777), rows);
        assert_eq!(it.whole.expected(), money(7_777 + 26_001));
        assert_eq!(it.whole.from_new_business, Money::ZERO);
        assert_eq!(it.whole.range, [7_777 + 13_703, 7_777 + 26_001, 7_777 + 49_350].map(money));
        assert_eq!((&*it.model.name, it.record), ("stage_weighted", None));
    }

    #[test]
    fn nobody_hopes_for_more_than_everything_open_is_worth() {
        let it = of(Phase::Current, won(1, 100), vec![open("lead", 1, 1_000, 900)]);
        let [pessimistic, realistic, optimistic] = it.whole.range;
        assert_eq!(optimistic, money(1_100));
        assert!(pessimistic <= realistic && realistic <= optimistic);
    }

    #[test]
    fn a_period_that_is_over_is_what_was_won_in_it() {
        let it = of(Phase::Past, won(3, 4_200), Vec::new());
        assert_eq!(it.whole.range, [money(4_200); 3]);
        assert_eq!((it.whole.from_pipeline, &*it.model.name), (Money::ZERO, "closed"));
        assert_eq!(it.by_stage.len(), 2);
    }

    #[test]
    fn what_has_no_date_amount_or_rate_is_left_out_and_said_so() {
        let mut dateless = open("lead", 4, 900, 90);
        (dateless.place, dateless.predicted) = (Place::Undated, Money::ZERO);
        let mut without_amount = open("lead", 3, 0, 0);
        without_amount.sum.value_count = 0;
        let mut without_rate = open("lead", 2, 0, 0);
        (without_rate.sum.value_count, without_rate.sum.rate_missing) = (0, 2);
        let rows = vec![dateless, without_amount, without_rate];
        let it = of(Phase::Current, won(0, 0), rows.clone());
        assert_eq!(it.whole.expected(), Money::ZERO);
        assert_eq!(it.by_stage[0].count, 5);
        let left_out = NotCovered { without_amount: 3, without_rate: 2, without_date: 4 };
        assert_eq!(it.not_covered, left_out);
        // In periods to come they are not missed.
        let left_out = NotCovered { without_date: 0, ..left_out };
        assert_eq!(of(Phase::Future, won(0, 0), rows).not_covered, left_out);
    }

    #[test]
    fn a_model_expects_in_the_period_what_is_dated_elsewhere_too() {
        let mut elsewhere = open("lead", 2, 10_000, 1_000);
        (elsewhere.place, elsewhere.predicted) = (Place::Elsewhere, money(700));
        let mut here = open("lead", 1, 5_000, 500);
        here.predicted = money(300);
        let speaker = Speaker { version: 3, voice: "table".into(), won: 20, lost: 30 };
        let record = TrackRecord { tried: 9, held: 7 };
        let ahead = Ahead { new_business: money(4_000), middle: 0.9, sigma: 0.25, record };
        let known = Known {
            open: vec![elsewhere, here],
            speaker: Some(speaker),
            ahead: Some(ahead),
            ..Known::default()
        };
        let period = Calendar { first_month: 1 }.quarter(2025, 4);
        let it = forecast(period, Phase::Current, [&pipeline()].into_iter(), &known, true);
        assert_eq!((it.whole.from_pipeline, it.whole.expected()), (money(1_000), money(5_000)));
        assert_eq!(it.whole.range[1], money(4_500));
        let lead = &it.by_stage[0];
        assert_eq!((lead.count, lead.total_value), (1, money(5_000)));
        assert_eq!(lead.predicted_value, money(1_000));
        assert_eq!((it.model.version, it.model.learned, it.record), (3, true, Some(record)));
    }

    #[test]
    fn a_period_is_under_way_from_its_first_day_to_its_last() {
        let span = Calendar { first_month: 1 }.quarter(2025, 4).span;
        for (today, phase) in [
            ("2025-09-30", Phase::Future),
            ("2025-10-01", Phase::Current),
            ("2025-12-31", Phase::Current),
            ("2026-01-01", Phase::Past),
        ] {
            assert_eq!(Phase::of(span, on(today)), phase, "{today}");
        }
    }
}
