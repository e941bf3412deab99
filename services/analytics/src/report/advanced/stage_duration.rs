//! How long opportunities are in each open stage.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::pipeline::Pipeline;
use crate::report::Read;

/// So many days some were in a stage, all their stays together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) pipeline_id: i64,
    pub(crate) stage_key: String,
    /// Whether they are there now.
    pub(crate) is_open: bool,
    pub(crate) days: i64,
    pub(crate) count: i64,
}

/// How long opportunities are in each open stage.
#[derive(Clone, Debug, PartialEq)]
pub struct StageDurations {
    /// A row per open stage of each pipeline in order.
    pub items: Vec<StageDuration>,
    /// When the latest change in it was written down.
    pub as_of: DateTime<Utc>,
}

/// How long they are in one.
#[derive(Clone, Debug, PartialEq)]
pub struct StageDuration {
    /// The pipeline.
    pub pipeline_id: i64,
    /// The stage's name.
    pub stage: String,
    /// Its key.
    pub stage_key: String,
    /// How many have left it.
    pub ended: i64,
    /// How many are there now.
    pub open: i64,
    /// Within how many days a quarter, a half, three quarters and nine of ten leave; nothing where the curve does not come down so far.
    pub percentiles: [Option<f64>; 4],
}

/// What is asked of the curve, in percent.
const PERCENTS: [u8; 4] = [25, 50, 75, 90];

/// The durations in the open stages of pipelines.
pub(crate) fn stage_durations<'a>(
    pipelines: impl Iterator<Item = &'a Pipeline>,
    read: &Read<Row>,
) -> StageDurations {
    let stages = pipelines.flat_map(|it| it.open_stages().map(|stage| (it.id, stage)));
    let items = stages.map(|(pipeline_id, stage)| {
        let rows = read.rows.iter();
        let rows = rows.filter(|row| row.pipeline_id == pipeline_id && row.stage_key == stage.key);
        let curve = Curve::of(rows);
        StageDuration {
            pipeline_id,
            stage: stage.name.clone(),
            stage_key: stage.key.clone(),
            ended: curve.0.values().map(|at| at.ended).sum(),
            open: curve.0.values().map(|at| at.open).sum(),
            percentiles: curve.percentiles(),
        }
    });
    StageDurations { items: items.collect(), as_of: read.as_of }
}

/// How many ended, and how many are open, after each number of days.
struct Curve(BTreeMap<i64, At>);

#[derive(Clone, Copy, Default)]
struct At {
    ended: i64,
    open: i64,
}

impl Curve {
    fn of<'a>(rows: impl Iterator<Item = &'a Row>) -> Self {
        let mut curve = BTreeMap::<i64, At>::new();
        for row in rows {
            let at = curve.entry(row.days).or_default();
            *(if row.is_open { &mut at.open } else { &mut at.ended }) += row.count;
        }
        Self(curve)
    }

    /// The Kaplan-Meier estimate (Kaplan & Meier 1958): at each time at which some leave, the share still there falls by theirs of those who were there until then. Whoever is open
    /// at such a time was there until then.
    fn percentiles(&self) -> [Option<f64>; 4] {
        let mut at_risk: i64 = self.0.values().map(|at| at.ended + at.open).sum();
        let mut there = 1.0;
        let mut found = [None; 4];
        for (days, at) in &self.0 {
            if at.ended > 0 {
                there *= 1.0 - exact(at.ended) / exact(at_risk);
            }
            for (place, percent) in found.iter_mut().zip(PERCENTS) {
                // Products of fractions are not exact: one that comes down to the mark has reached it.
                let has_reached = there <= 1.0 - f64::from(percent) / 100.0 + 1e-9;
                if place.is_none() && at.ended > 0 && has_reached {
                    *place = Some(exact(*days));
                }
            }
            at_risk -= at.ended + at.open;
        }
        found
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts and days are far below 2^53")]
fn exact(number: i64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::pipeline;

    fn of(rows: &[(bool, i64, i64)]) -> StageDuration {
        let row = |(is_open, days, count): &(bool, i64, i64)| Row {
            pipeline_id: 1,
            stage_key: "lead".into(),
            is_open: *is_open,
            days: *days,
            count: *count,
        };
        let read = Read { rows: rows.iter().map(row).collect(), as_of: DateTime::UNIX_EPOCH };
        stage_durations([pipeline()].iter(), &read).items.swap_remove(0)
    }

    #[test]
    fn without_open_ones_the_percentiles_are_those_of_what_ended() {
        let it = of(&[(false, 10, 1), (false, 20, 1), (false, 30, 1), (false, 40, 1)]);
        assert_eq!((it.ended, it.open), (4, 0));
        assert_eq!(it.percentiles, [Some(10.0), Some(20.0), Some(30.0), Some(40.0)]);
    }

    #[test]
    fn those_still_there_make_it_longer() {
        // 6 of the textbook: 1 ends of 5, then one is open, then 1 of 3: 4/5, 4/5 × 2/3 = 8/15; 1 of 2: 4/15; the last is open.
        let it = of(&[(false, 5, 1), (true, 7, 1), (false, 9, 1), (false, 12, 1), (true, 30, 1)]);
        assert_eq!((it.ended, it.open), (3, 2));
        assert_eq!(it.percentiles, [Some(9.0), Some(12.0), None, None]);
    }

    #[test]
    fn at_one_time_those_leave_first_who_leave() {
        let it = of(&[(true, 10, 2), (false, 10, 2)]);
        assert_eq!(it.percentiles, [Some(10.0), Some(10.0), None, None]);
    }

    #[test]
    fn where_nobody_left_nothing_is_known() {
        assert_eq!(of(&[(true, 10, 5)]).percentiles, [None; 4]);
        assert_eq!(of(&[]).percentiles, [None; 4]);
    }
}
