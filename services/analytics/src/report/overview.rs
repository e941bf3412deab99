//! The funnel as it stands: a row per stage.

use chrono::{DateTime, Utc};
use money::Money;

use super::Read;
use super::value::{NotCovered, Sum};
use crate::deal::Kind;
use crate::pipeline::Pipeline;
use crate::ratio;

/// What stands in a stage, or who ever entered it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) stage_key: String,
    pub(crate) sum: Sum,
    /// The value by its probabilities.
    pub(crate) weighted: Money,
    /// Of those that ever entered: who went further.
    pub(crate) advanced: i64,
    /// Who fell out.
    pub(crate) lost: i64,
}

/// The funnel.
#[derive(Clone, Debug, PartialEq)]
pub struct Overview {
    /// Every stage in order.
    pub stages: Vec<StageOverview>,
    /// How many stand in all stages.
    pub total_opportunities: i64,
    /// How many stand in open stages.
    pub open_opportunities: i64,
    /// What stands in open stages.
    pub total_pipeline_value: Money,
    /// The same by its probabilities.
    pub weighted_pipeline_value: Money,
    /// What the values leave out.
    pub not_covered: NotCovered,
    /// When the latest change in it was written down.
    pub as_of: DateTime<Utc>,
}

/// One stage of it.
#[derive(Clone, Debug, PartialEq)]
pub struct StageOverview {
    /// Its name.
    pub name: String,
    /// Its key.
    pub key: String,
    /// Its kind.
    pub kind: Kind,
    /// How many stand in it.
    pub count: i64,
    /// What they are worth.
    pub total_value: Money,
    /// The same by their probabilities.
    pub weighted_value: Money,
    /// Of an open one: the share that went further of those that entered it and whose fate is known.
    pub conversion_rate: Option<f64>,
}

/// The funnel of a pipeline.
pub(crate) fn overview(pipeline: &Pipeline, read: &Read<Row>) -> Overview {
    let mut not_covered = NotCovered::default();
    let mut stages = Vec::with_capacity(pipeline.stages.len());
    for stage in &pipeline.stages {
        let (mut count, mut total_value, mut weighted_value) = (0, Money::ZERO, Money::ZERO);
        let (mut advanced, mut lost) = (0, 0);
        for row in read.rows.iter().filter(|row| row.stage_key == stage.key) {
            count += row.sum.count;
            total_value += row.sum.value;
            weighted_value += row.weighted;
            not_covered += row.sum.not_covered();
            advanced += row.advanced;
            lost += row.lost;
        }
        let is_open = stage.kind == Kind::Open;
        stages.push(StageOverview {
            name: stage.name.clone(),
            key: stage.key.clone(),
            kind: stage.kind,
            count,
            total_value,
            weighted_value,
            conversion_rate: ratio::share(advanced, advanced + lost).filter(|_| is_open),
        });
    }
    let open = || stages.iter().filter(|stage| stage.kind == Kind::Open);
    Overview {
        total_opportunities: stages.iter().map(|stage| stage.count).sum(),
        open_opportunities: open().map(|stage| stage.count).sum(),
        total_pipeline_value: open().map(|stage| stage.total_value).sum(),
        weighted_pipeline_value: open().map(|stage| stage.weighted_value).sum(),
        not_covered,
        as_of: read.as_of,
        stages,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{money, pipeline};

    fn row(stage_key: &str, count: i64, value: i128) -> Row {
        let sum = Sum { count, value_count: count, rate_missing: 0, value: money(value) };
        Row { stage_key: stage_key.into(), sum, weighted: money(value / 2), ..Row::default() }
    }

    fn entered(stage_key: &str, advanced: i64, lost: i64) -> Row {
        Row { stage_key: stage_key.into(), advanced, lost, ..Row::default() }
    }

    fn of(rows: Vec<Row>) -> Overview {
        overview(&pipeline(), &Read { rows, as_of: DateTime::UNIX_EPOCH })
    }

    #[test]
    fn every_stage_is_there_in_order_though_nothing_stands_in_it() {
        let it = of(Vec::new());
        let keys: Vec<_> = it.stages.iter().map(|stage| stage.key.as_str()).collect();
        assert_eq!(keys, ["lead", "proposal", "won", "lost"]);
        assert_eq!((it.total_opportunities, it.total_pipeline_value), (0, Money::ZERO));
    }

    #[test]
    fn the_pipeline_values_are_over_open_stages_and_counts_over_all() {
        let it = of(vec![row("lead", 2, 300), row("proposal", 1, 50), row("won", 3, 900)]);
        assert_eq!((it.total_opportunities, it.open_opportunities), (6, 3));
        assert_eq!(it.total_pipeline_value, money(350));
        assert_eq!(it.weighted_pipeline_value, money(175));
        assert_eq!(it.stages[2].total_value, money(900));
    }

    #[test]
    fn what_has_no_amount_or_rate_is_counted_and_has_no_value() {
        let mut without_amount = row("lead", 2, 300);
        without_amount.sum.value_count = 1;
        let mut frozen_without_rate = row("lost", 2, 100);
        frozen_without_rate.sum.value_count = 1;
        frozen_without_rate.sum.rate_missing = 1;
        let mut without_rate = row("lead", 5, 0);
        (without_rate.sum.value_count, without_rate.sum.rate_missing) = (0, 5);
        let it = of(vec![without_amount, without_rate, frozen_without_rate]);
        assert_eq!((it.stages[0].count, it.stages[0].total_value), (7, money(300)));
        assert_eq!(it.weighted_pipeline_value, money(150));
        let left_out = NotCovered { without_amount: 1, without_rate: 6, without_date: 0 };
        assert_eq!(it.not_covered, left_out);
    }

    #[test]
    fn conversion_is_of_those_whose_fate_is_known_and_of_open_stages_alone() {
        let it = of(vec![entered("lead", 28, 15), entered("won", 3, 0)]);
        assert_eq!(it.stages[0].conversion_rate, Some(0.6512));
        assert_eq!(it.stages[1].conversion_rate, None);
        assert_eq!(it.stages[2].conversion_rate, None);
    }
}
