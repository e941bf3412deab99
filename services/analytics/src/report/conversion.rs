//! How many of the opportunities that entered each open stage in a range of days went further.

use chrono::{DateTime, Months, NaiveDate, Utc};

use super::Read;
use crate::pipeline::Pipeline;
use crate::ratio;
use crate::rollup::month;

/// Those who first entered a stage in the range; stage "" is the pipeline as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) stage_key: String,
    pub(crate) entered: i64,
    pub(crate) advanced: i64,
    pub(crate) lost: i64,
    pub(crate) stays: i64,
    pub(crate) stay_seconds: i64,
}

/// A part of the range that the rollup keeps in one grain: from a day until before another. What is absent does not bound it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) grain: &'static str,
    pub(crate) from: Option<NaiveDate>,
    pub(crate) before: Option<NaiveDate>,
}

/// Conversion by stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Conversion {
    /// A row per open stage in order.
    pub items: Vec<StageConversion>,
    /// Of those made in the range and closed, the share that was won.
    pub win_rate: Option<f64>,
    /// When the latest change in it was written down.
    pub as_of: DateTime<Utc>,
}

/// Conversion of one stage.
#[derive(Clone, Debug, PartialEq)]
pub struct StageConversion {
    /// Its name.
    pub stage: String,
    /// Its key.
    pub stage_key: String,
    /// How many entered it.
    pub entered: i64,
    /// Who went further.
    pub advanced: i64,
    /// Who fell out.
    pub lost: i64,
    /// The rest.
    pub in_progress: i64,
    /// The share that went further of those whose fate is known.
    pub conversion_rate: Option<f64>,
    /// Mean of the stays that have ended.
    pub average_days_in_stage: Option<f64>,
}

/// The range cut into whole months and the days at its edges, so that it costs the number of its months. Everything is one slice.
pub(crate) fn slices(
    start: Option<NaiveDate>,
    end: Option<NaiveDate>,
    today: NaiveDate,
) -> Vec<Slice> {
    if start.is_none() && end.is_none() {
        return vec![Slice { grain: "all", from: None, before: None }];
    }
    let before = end.unwrap_or(today).succ_opt().unwrap_or(NaiveDate::MAX);
    // The months that lie in it as a whole.
    let first = start.map(|start| match month(start) {
        first if first == start => first,
        first => first.checked_add_months(Months::new(1)).unwrap_or(NaiveDate::MAX),
    });
    let last = month(before);
    if first.is_some_and(|first| first >= last) {
        return vec![Slice { grain: "day", from: start, before: Some(before) }];
    }
    let mut slices = vec![Slice { grain: "month", from: first, before: Some(last) }];
    if start != first {
        slices.push(Slice { grain: "day", from: start, before: first });
    }
    if last != before {
        slices.push(Slice { grain: "day", from: Some(last), before: Some(before) });
    }
    slices
}

/// Conversion of a pipeline's open stages.
pub(crate) fn conversion(pipeline: &Pipeline, read: &Read<Row>) -> Conversion {
    let row = |key: &str| read.rows.iter().find(|row| row.stage_key == key).cloned();
    let items = pipeline.open_stages().map(|stage| {
        let it = row(&stage.key).unwrap_or_default();
        StageConversion {
            stage: stage.name.clone(),
            stage_key: stage.key.clone(),
            entered: it.entered,
            advanced: it.advanced,
            lost: it.lost,
            in_progress: it.entered - it.advanced - it.lost,
            conversion_rate: ratio::share(it.advanced, it.advanced + it.lost),
            average_days_in_stage: ratio::mean_days_of_seconds(it.stay_seconds, it.stays),
        }
    });
    let whole = row("").unwrap_or_default();
    Conversion {
        items: items.collect(),
        win_rate: ratio::share(whole.advanced, whole.advanced + whole.lost),
        as_of: read.as_of,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{on, pipeline};

    fn told(start: Option<&str>, end: Option<&str>) -> Vec<String> {
        let slices = slices(start.map(on), end.map(on), on("2026-02-10"));
        let day = |day: Option<NaiveDate>| day.map_or("..".to_owned(), |day| day.to_string());
        slices
            .iter()
            .map(|it| format!("{} {} {}", it.grain, day(it.from), day(it.before)))
            .collect()
    }

    #[test]
    fn a_range_is_whole_months_and_the_days_at_its_edges() {
        assert_eq!(told(None, None), ["all .. .."]);
        assert_eq!(
            told(Some("2025-01-15"), Some("2025-04-10")),
            [
                "month 2025-02-01 2025-04-01",
                "day 2025-01-15 2025-02-01",
                "day 2025-04-01 2025-04-11"
            ]
        );
        assert_eq!(told(Some("2025-01-01"), Some("2025-12-31")), ["month 2025-01-01 2026-01-01"]);
        assert_eq!(told(Some("2025-01-02"), Some("2025-02-27")), ["day 2025-01-02 2025-02-28"]);
        assert_eq!(told(Some("2025-01-02"), Some("2025-01-31")), ["day 2025-01-02 2025-02-01"]);
        assert_eq!(told(None, Some("2025-03-31")), ["month .. 2025-04-01"]);
        assert_eq!(
            told(Some("2026-01-01"), None),
            ["month 2026-01-01 2026-02-01", "day 2026-02-01 2026-02-11"]
        );
    }

    #[test]
    fn every_day_of_a_range_is_in_one_slice_and_no_other_day_is_in_any() {
        let start = on("2024-01-20");
        for length in 0..120 {
            let end = start + chrono::Days::new(length);
            for day in on("2024-01-01").iter_days().take(200) {
                let covering = slices(Some(start), Some(end), end).into_iter().filter(|slice| {
                    let key = if slice.grain == "month" { month(day) } else { day };
                    slice.from.is_none_or(|from| from <= key)
                        && slice.before.is_none_or(|before| key < before)
                });
                let is_in_range = start <= day && day <= end;
                assert_eq!(covering.count(), usize::from(is_in_range), "{day} of {start} to {end}");
            }
        }
    }

    #[test]
    fn what_is_neither_further_nor_out_is_in_progress() {
        let row = Row {
            stage_key: "lead".into(),
            entered: 50,
            advanced: 28,
            lost: 15,
            stays: 2,
            stay_seconds: 86_400 * 25,
        };
        let whole = Row { entered: 50, advanced: 7, lost: 15, ..Row::default() };
        let read = Read { rows: vec![whole, row], as_of: DateTime::UNIX_EPOCH };
        let it = conversion(&pipeline(), &read);
        assert_eq!(it.win_rate, Some(0.3182));
        assert_eq!(it.items.len(), 2);
        assert_eq!(it.items[0].in_progress, 7);
        assert_eq!(it.items[0].conversion_rate, Some(0.6512));
        assert_eq!(it.items[0].average_days_in_stage, Some(12.5));
        assert_eq!(it.items[1].entered, 0);
        assert_eq!(it.items[1].conversion_rate, None);
        assert_eq!(it.items[1].average_days_in_stage, None);
    }
}
