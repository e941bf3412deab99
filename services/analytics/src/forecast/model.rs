//! The model of the forecast: each open opportunity counts with its own probability, in a range that is wide until it can be measured.

use chrono::{DateTime, NaiveDate, Utc};
use money::Money;
use rust_decimal::Decimal;

use crate::adjustment::model::Adjustment;
use crate::category::Category;
use crate::period::{Period, Span};
use crate::pipeline::Pipeline;
use crate::report::value::{NotCovered, Sum};
use crate::target::model::Effective;

/// The 90th percentile of a log-normal with sigma 0.5 by its median: exp(1.2816 × 0.5).
const OPTIMISTIC: Decimal = Decimal::from_parts(1_898, 0, 0, false, 3);
/// The 10th: exp(−1.2816 × 0.5).
const PESSIMISTIC: Decimal = Decimal::from_parts(527, 0, 0, false, 3);

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

/// What is known of a period.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// What is won in it already.
    pub(crate) won: Sum,
    /// The open opportunities expected to close in it, and those without a date.
    pub(crate) open: Vec<Open>,
    /// Of those with a date, those that have a forecast category of their own.
    pub(crate) categorised: Vec<(Category, Open)>,
    pub(crate) as_of: DateTime<Utc>,
}

/// Open opportunities of one stage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Open {
    pub(crate) pipeline_id: i64,
    pub(crate) stage_key: String,
    /// Whether they are expected to close on a day; otherwise they are in no period.
    pub(crate) is_dated: bool,
    pub(crate) sum: Sum,
    /// The value by its probabilities.
    pub(crate) weighted: Money,
}

/// What will have been won in a period.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// Which.
    pub period: Period,
    /// The 90th percentile.
    pub optimistic: Money,
    /// The 50th.
    pub realistic: Money,
    /// The 10th.
    pub pessimistic: Money,
    /// What is won already.
    pub closed_won: Money,
    /// What the open pipeline will bring in time.
    pub from_pipeline: Money,
    /// What opportunities not made yet will bring in time.
    pub from_new_business: Money,
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
    /// When the latest change in it was written down.
    pub as_of: DateTime<Utc>,
}

impl Forecast {
    /// The mean: the sum of its three parts.
    pub fn expected(&self) -> Money {
        self.closed_won + self.from_pipeline + self.from_new_business
    }

    /// The mean and what is expected beside it; nothing where the period is over, and nothing is expected any more.
    pub fn adjusted_expected(&self) -> Option<Money> {
        let adjustment = self.adjustment.as_ref().filter(|_| self.model != CLOSED);
        adjustment.map(|it| self.expected() + it.amount)
    }
}

/// What is expected of one stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageForecast {
    /// Its name.
    pub stage: String,
    /// Its key.
    pub stage_key: String,
    /// How many opportunities.
    pub count: i64,
    /// What they are worth.
    pub total_value: Money,
    /// The same by their probabilities.
    pub weighted_value: Money,
    /// What the model expects of them: nothing of those that are left out of the forecast.
    pub predicted_value: Money,
    /// What those are worth that are not left out.
    counted_value: Money,
}

/// What is open of one forecast category.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CategoryForecast {
    /// Which.
    pub category: Category,
    /// How many opportunities.
    pub count: i64,
    /// What they are worth.
    pub total_value: Money,
    /// The same by their probabilities.
    pub weighted_value: Money,
}

/// A way to forecast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: i32,
    /// Whether it learned from the team's own history.
    pub learned: bool,
    /// What it does, for people.
    pub explanation: &'static str,
}

/// Each open opportunity counts with its own probability.
const STAGE_WEIGHTED: Model = Model {
    name: "stage_weighted",
    version: 1,
    learned: false,
    explanation: "What is won already, and every open opportunity that is expected to close in the period, counted with its own probability; \
opportunities not made yet are not foreseen. The range takes what the pipeline brings as log-normal with a sigma of 0.5, from 0.527 to 1.898 times \
the expected value and never more than everything open is worth. It is wide on purpose until past forecasts can be measured.",
};

/// The period is over.
const CLOSED: Model = Model {
    name: "closed",
    version: 1,
    learned: false,
    explanation: "The period is over: what was won in it is known, so all three values are the same.",
};

/// The forecast of a period over the stages of these pipelines, of which the default one comes first.
pub(crate) fn forecast<'a>(
    period: Period,
    phase: Phase,
    pipelines: impl Iterator<Item = &'a Pipeline>,
    known: &Known,
) -> Forecast {
    let mut stages = Stages::laid_out(pipelines);
    let mut not_covered = known.won.not_covered();
    for open in &known.open {
        if open.is_dated {
            stages.add(open);
            not_covered += open.sum.not_covered();
        } else {
            not_covered.without_date += open.sum.count;
        }
    }
    for (category, open) in &known.categorised {
        stages.own(*category, open);
    }
    let (by_stage, by_category) = (stages.rows, stages.categories);
    let closed_won = known.won.value;
    let total_value: Money = by_stage.iter().map(|stage| stage.counted_value).sum();
    let from_pipeline: Money = by_stage.iter().map(|stage| stage.predicted_value).sum();
    Forecast {
        period,
        optimistic: closed_won + total_value.min(from_pipeline.converted(OPTIMISTIC)),
        realistic: closed_won + from_pipeline,
        pessimistic: closed_won + from_pipeline.converted(PESSIMISTIC),
        closed_won,
        from_pipeline,
        from_new_business: Money::ZERO,
        target: None,
        adjustment: None,
        by_stage,
        by_category,
        not_covered,
        model: if phase == Phase::Past { CLOSED } else { STAGE_WEIGHTED },
        as_of: known.as_of,
    }
}

/// Rows of stages: those of several pipelines that have the same key and name are one.
struct Stages {
    rows: Vec<StageForecast>,
    /// Which row a stage of a pipeline is in, and the forecast category of what says nothing itself.
    places: Vec<(i64, String, usize, Category)>,
    categories: [CategoryForecast; 4],
}

impl Stages {
    fn laid_out<'a>(pipelines: impl Iterator<Item = &'a Pipeline>) -> Self {
        let categories = Category::ALL.map(|category| CategoryForecast {
            category,
            count: 0,
            total_value: Money::ZERO,
            weighted_value: Money::ZERO,
        });
        let mut stages = Self { rows: Vec::new(), places: Vec::new(), categories };
        for pipeline in pipelines {
            for stage in pipeline.open_stages() {
                stages.place(pipeline.id, (&stage.key, &stage.name), stage.category);
            }
        }
        stages
    }

    fn place(&mut self, pipeline_id: i64, (key, name): (&str, &str), of: Category) -> usize {
        let same = |row: &StageForecast| row.stage_key == key && row.stage == name;
        let place = self.rows.iter().position(same).unwrap_or_else(|| {
            self.rows.push(StageForecast {
                stage: name.to_owned(),
                stage_key: key.to_owned(),
                count: 0,
                total_value: Money::ZERO,
                weighted_value: Money::ZERO,
                predicted_value: Money::ZERO,
                counted_value: Money::ZERO,
            });
            self.rows.len() - 1
        });
        self.places.push((pipeline_id, key.to_owned(), place, of));
        place
    }

    /// The row of a stage, and its category. One that is not known, as of a pipeline that was deleted, is called by its key, so that the rows add up.
    fn of(&mut self, open: &Open) -> (usize, Category) {
        let known = self.places.iter().find(|(pipeline_id, key, _, _)| {
            *pipeline_id == open.pipeline_id && *key == open.stage_key
        });
        if let Some((_, _, place, category)) = known {
            return (*place, *category);
        }
        let called = (&*open.stage_key, &*open.stage_key);
        (self.place(open.pipeline_id, called, Category::Pipeline), Category::Pipeline)
    }

    /// Adds to a category, and to what its stage counts for unless it is left out; takes away with the sign.
    fn count(&mut self, (place, category): (usize, Category), open: &Open, sign: i64) {
        let signed = |money: Money| if sign < 0 { -money } else { money };
        if let Some(it) = self.categories.iter_mut().find(|it| it.category == category) {
            it.count += sign * open.sum.count;
            it.total_value += signed(open.sum.value);
            it.weighted_value += signed(open.weighted);
        }
        if category != Category::Omitted {
            let row = &mut self.rows[place];
            row.counted_value += signed(open.sum.value);
            row.predicted_value += signed(open.weighted);
        }
    }

    /// Of what was added to a stage, this has a category of its own.
    fn own(&mut self, category: Category, open: &Open) {
        let (place, of_stage) = self.of(open);
        self.count((place, of_stage), open, -1);
        self.count((place, category), open, 1);
    }

    fn add(&mut self, open: &Open) {
        let (place, category) = self.of(open);
        self.count((place, category), open, 1);
        let row = &mut self.rows[place];
        row.count += open.sum.count;
        row.total_value += open.sum.value;
        row.weighted_value += open.weighted;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deal::Kind;
    use crate::period::Calendar;
    use crate::pipeline::Stage;
    use crate::report::tests::{money, on, pipeline};

    fn open(stage_key: &str, count: i64, value: i128, weighted: i128) -> Open {
        let sum = Sum { count, value_count: count, rate_missing: 0, value: money(value) };
        let weighted = money(weighted);
        Open { pipeline_id: 1, stage_key: stage_key.into(), is_dated: true, sum, weighted }
    }

    fn won(count: i64, value: i128) -> Sum {
        let value = money(value);
        Sum { count, value_count: count, rate_missing: 0, value }
    }

    fn of(phase: Phase, won: Sum, open: Vec<Open>) -> Forecast {
        let period = Calendar { first_month: 1 }.quarter(2025, 4);
        let known = Known { won, open, ..Known::default() };
        forecast(period, phase, [&pipeline()].into_iter(), &known)
    }

    #[test]
    fn the_expected_value_is_the_sum_of_its_parts_to_the_cent() {
        let rows = vec![open("lead", 2, 10_001, 1_001), open("proposal", 1, 50_000, 25_000)];
        let it = of(Phase::Current, won(1, 7_777), rows);
        assert_eq!(it.expected(), money(7_777 + 26_001));
        assert_eq!(it.realistic, it.expected());
        assert_eq!(it.from_new_business, Money::ZERO);
        assert_eq!(it.pessimistic, money(7_777 + 13_703));
        assert_eq!(it.optimistic, money(7_777 + 49_350));
        assert_eq!(it.model.name, "stage_weighted");
    }

    #[test]
    fn nobody_hopes_for_more_than_everything_open_is_worth() {
        let it = of(Phase::Current, won(1, 100), vec![open("lead", 1, 1_000, 900)]);
        assert_eq!(it.optimistic, money(1_100));
        assert!(it.pessimistic <= it.realistic && it.realistic <= it.optimistic);
    }

    #[test]
    fn a_period_that_is_over_is_what_was_won_in_it() {
        let it = of(Phase::Past, won(3, 4_200), Vec::new());
        assert_eq!(
            (it.optimistic, it.realistic, it.pessimistic),
            (money(4_200), money(4_200), money(4_200))
        );
        assert_eq!((it.from_pipeline, it.model.name), (Money::ZERO, "closed"));
        assert_eq!(it.by_stage.len(), 2);
    }

    #[test]
    fn what_has_no_date_amount_or_rate_is_left_out_and_said_so() {
        let mut dateless = open("lead", 4, 900, 90);
        dateless.is_dated = false;
        let mut without_amount = open("lead", 3, 0, 0);
        without_amount.sum.value_count = 0;
        let mut without_rate = open("lead", 2, 0, 0);
        (without_rate.sum.value_count, without_rate.sum.rate_missing) = (0, 2);
        let it = of(Phase::Current, won(0, 0), vec![dateless, without_amount, without_rate]);
        assert_eq!(it.expected(), Money::ZERO);
        assert_eq!(it.by_stage[0].count, 5);
        let left_out = NotCovered { without_amount: 3, without_rate: 2, without_date: 4 };
        assert_eq!(it.not_covered, left_out);
    }

    #[test]
    fn categories_add_up_to_what_is_open_and_what_is_left_out_is_not_expected() {
        let rows = vec![open("lead", 3, 10_000, 1_000), open("proposal", 1, 50_000, 25_000)];
        let categorised = vec![
            (Category::Commit, open("lead", 1, 4_000, 400)),
            (Category::Omitted, open("lead", 1, 1_000, 100)),
        ];
        let known = Known { open: rows, categorised, ..Known::default() };
        let mut pipeline = pipeline();
        pipeline.stages[1].category = Category::BestCase;
        let period = Calendar { first_month: 1 }.quarter(2025, 4);
        let it = forecast(period, Phase::Current, [&pipeline].into_iter(), &known);
        let told = it.by_category.map(|it| (it.count, it.total_value, it.weighted_value));
        let expected = [
            (1, money(4_000), money(400)),
            (1, money(50_000), money(25_000)),
            (1, money(5_000), money(500)),
            (1, money(1_000), money(100)),
        ];
        assert_eq!(told, expected);
        assert_eq!((it.from_pipeline, it.expected()), (money(25_900), money(25_900)));
        let lead = &it.by_stage[0];
        assert_eq!((lead.count, lead.weighted_value), (3, money(1_000)));
        assert_eq!(lead.predicted_value, money(900));
        // All that may come, without what is left out.
        assert_eq!(it.optimistic, money(49_158));
        pipeline.stages[0].category = Category::Omitted;
        let period = Calendar { first_month: 1 }.quarter(2025, 4);
        let it = forecast(period, Phase::Current, [&pipeline].into_iter(), &known);
        assert_eq!(it.from_pipeline, money(25_400), "what says so itself is not left out");
    }

    #[test]
    fn stages_of_the_same_key_and_name_are_one_row_over_all_pipelines() {
        let stage = |key: &str, name: &str| Stage {
            key: key.into(),
            name: name.into(),
            kind: Kind::Open,
            category: Category::Pipeline,
        };
        let stages =
            vec![stage("lead", "潛在客戶"), stage("proposal", "Quote"), stage("trial", "Trial")];
        let other = Pipeline { id: 2, is_default: false, stages };
        let rows = vec![
            open("lead", 1, 100, 10),
            Open { pipeline_id: 2, ..open("lead", 1, 100, 20) },
            Open { pipeline_id: 3, ..open("gone", 1, 100, 30) },
        ];
        let known = Known { open: rows, ..Known::default() };
        let period = Calendar { first_month: 1 }.quarter(2025, 4);
        let it = forecast(period, Phase::Future, [&pipeline(), &other].into_iter(), &known);
        let told: Vec<_> = it.by_stage.iter().map(|it| (it.stage.as_str(), it.count)).collect();
        assert_eq!(
            told,
            [("潛在客戶", 2), ("方案提案", 0), ("Quote", 0), ("Trial", 0), ("gone", 1)]
        );
        assert_eq!(it.from_pipeline, money(60));
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
