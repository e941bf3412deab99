//! Why opportunities were lost, and from which stages.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use money::Money;

use crate::ratio;
use crate::report::Read;
use crate::report::value::{NotCovered, Sum};

/// Those that were lost for a reason from a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) lost_reason: Option<String>,
    pub(crate) stage: Option<Stage>,
    pub(crate) sum: Sum,
}

/// The last open stage in which some stood, in order of pipelines and stages.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stage {
    /// Its pipeline.
    pub pipeline_id: i64,
    /// Its place in it.
    pub ordinal: i32,
    /// Its key.
    pub key: String,
    /// Its name.
    pub name: String,
}

/// Why opportunities were lost.
#[derive(Clone, Debug, PartialEq)]
pub struct LossReasons {
    /// The reason with the most first.
    pub items: Vec<LossReason>,
    /// How many were lost.
    pub count: i64,
    /// What they would have brought.
    pub value: Money,
    /// What the values leave out.
    pub not_covered: NotCovered,
    /// When the latest change in it was written down.
    pub as_of: DateTime<Utc>,
}

/// One reason.
#[derive(Clone, Debug, PartialEq)]
pub struct LossReason {
    /// As it is written; none of those without.
    pub lost_reason: Option<String>,
    /// How many were lost for it.
    pub count: i64,
    /// What they would have brought.
    pub value: Money,
    /// Of all that were lost.
    pub share: Option<f64>,
    /// From which stages, in order; none comes last.
    pub by_stage: Vec<LossStage>,
}

/// A stage from which some were lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LossStage {
    /// Which; none of what never stood in one.
    pub stage: Option<Stage>,
    /// How many.
    pub count: i64,
    /// What they would have brought.
    pub value: Money,
}

/// The reasons, from rows that are each of another reason and stage.
pub(crate) fn loss_reasons(read: Read<Row>) -> LossReasons {
    let (mut count, mut value) = (0, Money::ZERO);
    let mut not_covered = NotCovered::default();
    let mut reasons: BTreeMap<Option<String>, Vec<LossStage>> = BTreeMap::new();
    for row in read.rows {
        count += row.sum.count;
        value += row.sum.value;
        not_covered += row.sum.not_covered();
        let stage = LossStage { stage: row.stage, count: row.sum.count, value: row.sum.value };
        reasons.entry(row.lost_reason).or_default().push(stage);
    }
    let mut items: Vec<_> =
        reasons.into_iter().map(|(reason, by_stage)| one(reason, by_stage, count)).collect();
    items.sort_by_key(|it| {
        let text = it.lost_reason.clone();
        (Reverse(it.count), Reverse(it.value), text.is_none(), text)
    });
    LossReasons { items, count, value, not_covered, as_of: read.as_of }
}

fn one(lost_reason: Option<String>, mut by_stage: Vec<LossStage>, all: i64) -> LossReason {
    by_stage.sort_by_key(|it| (it.stage.is_none(), it.stage.clone()));
    // What never stood in a stage is of no pipeline here: one row, whichever they are in.
    by_stage.dedup_by(|later, kept| {
        let is_same = later.stage == kept.stage;
        if is_same {
            kept.count += later.count;
            kept.value += later.value;
        }
        is_same
    });
    let count = by_stage.iter().map(|it| it.count).sum();
    let value = by_stage.iter().fold(Money::ZERO, |sum, it| sum + it.value);
    LossReason { lost_reason, count, value, share: ratio::share(count, all), by_stage }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::money;

    fn row(reason: Option<&str>, stage: Option<(i64, i32)>, count: i64, value: i128) -> Row {
        let stage = stage.map(|(pipeline_id, ordinal)| Stage {
            pipeline_id,
            ordinal,
            key: format!("s{ordinal}"),
            name: format!("S{ordinal}"),
        });
        let sum = Sum { count, value_count: count, rate_missing: 0, value: money(value) };
        Row { lost_reason: reason.map(str::to_owned), stage, sum }
    }

    #[test]
    fn the_reason_with_the_most_comes_first_and_its_stages_are_in_order() {
        let rows = vec![
            row(None, None, 2, 10),
            row(Some("price"), Some((2, 1)), 1, 5),
            row(Some("time"), Some((1, 1)), 2, 10),
            row(Some("price"), None, 1, 1),
            // Of another pipeline, and in no stage either.
            row(Some("price"), None, 2, 3),
            row(Some("price"), Some((1, 2)), 1, 7),
            row(Some("fit"), Some((1, 1)), 2, 11),
        ];
        let it = loss_reasons(Read { rows, as_of: DateTime::UNIX_EPOCH });
        let told: Vec<_> =
            it.items.iter().map(|it| (it.lost_reason.as_deref(), it.count, it.share)).collect();
        assert_eq!(
            told,
            [
                (Some("price"), 5, Some(0.4545)),
                (Some("fit"), 2, Some(0.1818)),
                (Some("time"), 2, Some(0.1818)),
                (None, 2, Some(0.1818)),
            ]
        );
        assert_eq!((it.count, it.value), (11, money(47)));
        let stages: Vec<_> = it.items[0]
            .by_stage
            .iter()
            .map(|it| (it.stage.as_ref().map(|it| (it.pipeline_id, it.ordinal)), it.value))
            .collect();
        assert_eq!(stages, [(Some((1, 2)), money(7)), (Some((2, 1)), money(5)), (None, money(4))]);
    }

    #[test]
    fn what_has_no_value_is_counted_and_told() {
        let mut some = row(Some("price"), None, 3, 100);
        (some.sum.value_count, some.sum.rate_missing) = (1, 1);
        let it = loss_reasons(Read { rows: vec![some], as_of: DateTime::UNIX_EPOCH });
        assert_eq!(
            (it.count, it.not_covered.without_amount, it.not_covered.without_rate),
            (3, 1, 1)
        );
        let nothing = loss_reasons(Read { rows: Vec::new(), as_of: DateTime::UNIX_EPOCH });
        assert_eq!((nothing.items.len(), nothing.count), (0, 0));
    }
}
