//! What is open by stage and by forecast category, and what of it counts.

use money::Money;

use super::model::{Known, Open, Place, Whose};
use crate::category::Category;
use crate::pipeline::Pipeline;

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
    /// What the model expects in the period of all that is open in it and has a date, whatever that is: nothing of those that are left out of the forecast.
    pub predicted_value: Money,
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

/// What counts in the forecast, with the sign: what is left out is taken away again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Counted {
    pub(crate) whose: Whose,
    /// Whether it is expected to close in the period.
    pub(crate) is_in_period: bool,
    pub(crate) value: Money,
    pub(crate) predicted: Money,
    pub(crate) variance: f64,
}

/// Rows of stages: those of several pipelines that have the same key and name are one.
pub(crate) struct Stages {
    pub(crate) rows: Vec<StageForecast>,
    pub(crate) categories: [CategoryForecast; 4],
    pub(crate) counted: Vec<Counted>,
    /// Which row a stage of a pipeline is in, and the forecast category of what says nothing itself.
    places: Vec<(i64, String, usize, Category)>,
}

impl Stages {
    /// What is known, over the stages of these pipelines.
    pub(crate) fn of<'a>(pipelines: impl Iterator<Item = &'a Pipeline>, known: &Known) -> Self {
        let categories = Category::ALL.map(|category| CategoryForecast {
            category,
            count: 0,
            total_value: Money::ZERO,
            weighted_value: Money::ZERO,
        });
        let (rows, counted, places) = (Vec::new(), Vec::new(), Vec::new());
        let mut stages = Self { rows, categories, counted, places };
        for pipeline in pipelines {
            for stage in pipeline.open_stages() {
                stages.lay(pipeline.id, (&stage.key, &stage.name), stage.category);
            }
        }
        for open in known.open.iter().filter(|open| open.place != Place::Undated) {
            stages.add(open);
        }
        for (category, open) in &known.categorised {
            stages.own(*category, open);
        }
        stages
    }

    fn lay(&mut self, pipeline_id: i64, (key, name): (&str, &str), of: Category) -> usize {
        let same = |row: &StageForecast| row.stage_key == key && row.stage == name;
        let place = self.rows.iter().position(same).unwrap_or_else(|| {
            self.rows.push(StageForecast {
                stage: name.to_owned(),
                stage_key: key.to_owned(),
                count: 0,
                total_value: Money::ZERO,
                weighted_value: Money::ZERO,
                predicted_value: Money::ZERO,
            });
            self.rows.len() - 1
        });
        self.places.push((pipeline_id, key.to_owned(), place, of));
        place
    }

    /// The row of a stage, and its category. One that is not known, as of a pipeline that was deleted, is called by its key, so that the rows add up.
    fn row(&mut self, open: &Open) -> (usize, Category) {
        let known = self.places.iter().find(|(pipeline_id, key, _, _)| {
            *pipeline_id == open.whose.pipeline_id && *key == open.stage_key
        });
        if let Some((_, _, place, category)) = known {
            return (*place, *category);
        }
        let called = (&*open.stage_key, &*open.stage_key);
        (self.lay(open.whose.pipeline_id, called, Category::Pipeline), Category::Pipeline)
    }

    /// Adds to a category, and to what counts unless that is left out; takes away with the sign.
    fn count(&mut self, (place, category): (usize, Category), open: &Open, sign: i64) {
        let signed = |money: Money| if sign < 0 { -money } else { money };
        let is_in_period = open.place == Place::InPeriod;
        let of_category = self.categories.iter_mut().find(|it| it.category == category);
        if let Some(it) = of_category.filter(|_| is_in_period) {
            it.count += sign * open.sum.count;
            it.total_value += signed(open.sum.value);
            it.weighted_value += signed(open.weighted);
        }
        if category != Category::Omitted {
            let (whose, predicted) = (open.whose, signed(open.predicted));
            let variance = if sign < 0 { -open.variance } else { open.variance };
            self.rows[place].predicted_value += predicted;
            let value = signed(open.sum.value);
            self.counted.push(Counted { whose, is_in_period, value, predicted, variance });
        }
    }

    fn add(&mut self, open: &Open) {
        let (place, category) = self.row(open);
        self.count((place, category), open, 1);
        if open.place == Place::InPeriod {
            let row = &mut self.rows[place];
            row.count += open.sum.count;
            row.total_value += open.sum.value;
            row.weighted_value += open.weighted;
        }
    }

    /// Of what was added to a stage, this has a category of its own.
    fn own(&mut self, category: Category, open: &Open) {
        let (place, of_stage) = self.row(open);
        self.count((place, of_stage), open, -1);
        self.count((place, category), open, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::tests::open;
    use super::super::model::{Forecast, Phase, forecast};
    use super::*;
    use crate::deal::Kind;
    use crate::period::Calendar;
    use crate::pipeline::Stage;
    use crate::report::tests::{money, pipeline};

    fn told(known: &Known, pipelines: &[&Pipeline]) -> Forecast {
        let period = Calendar { first_month: 1 }.quarter(2025, 4);
        forecast(period, Phase::Current, pipelines.iter().copied(), known, true)
    }

    #[test]
    fn categories_add_up_to_what_is_open_and_what_is_left_out_is_not_expected() {
        let rows = vec![open("lead", 3, 10_000, 1_000), open("proposal", 1, 50_000, 25_000)];
        let elsewhere = Open { place: Place::Elsewhere, ..open("lead", 1, 2_000, 200) };
        let categorised = vec![
            (Category::Commit, open("lead", 1, 4_000, 400)),
            (Category::Omitted, open("lead", 1, 1_000, 100)),
            (Category::Omitted, elsewhere.clone()),
        ];
        let open = rows.into_iter().chain([elsewhere]).collect();
        let known = Known { open, categorised, ..Known::default() };
        let mut pipeline = pipeline();
        pipeline.stages[1].category = Category::BestCase;
        let it = told(&known, &[&pipeline]);
        let by_category = it.by_category.map(|it| (it.count, it.total_value, it.weighted_value));
        let expected = [
            (1, money(4_000), money(400)),
            (1, money(50_000), money(25_000)),
            (1, money(5_000), money(500)),
            (1, money(1_000), money(100)),
        ];
        assert_eq!(by_category, expected);
        assert_eq!(it.whole.from_pipeline, money(25_900));
        assert_eq!(it.whole.expected(), money(25_900));
        let lead = &it.by_stage[0];
        assert_eq!((lead.count, lead.weighted_value), (3, money(1_000)));
        assert_eq!(lead.predicted_value, money(900));
        // All that may come, without what is left out.
        assert_eq!(it.whole.range[2], money(49_158));
        pipeline.stages[0].category = Category::Omitted;
        let it = told(&known, &[&pipeline]);
        assert_eq!(it.whole.from_pipeline, money(25_400), "what says so itself is not left out");
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
        let of = |pipeline_id, open: Open| Open {
            whose: Whose { pipeline_id, ..Whose::default() },
            ..open
        };
        let rows = vec![
            open("lead", 1, 100, 10),
            of(2, open("lead", 1, 100, 20)),
            of(3, open("gone", 1, 100, 30)),
        ];
        let known = Known { open: rows, ..Known::default() };
        let it = told(&known, &[&pipeline(), &other]);
        let told: Vec<_> = it.by_stage.iter().map(|it| (it.stage.as_str(), it.count)).collect();
        assert_eq!(
            told,
            [("潛在客戶", 2), ("方案提案", 0), ("Quote", 0), ("Trial", 0), ("gone", 1)]
        );
        assert_eq!(it.whole.from_pipeline, money(60));
    }
}
