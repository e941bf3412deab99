//! What a forecast says of what is known: what is won, and what is open and expected to close in time.

use analytics::{forecast, period};
use chrono::{Datelike as _, TimeDelta};
use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use super::Asked;
use super::happened::closed;
use super::reference::{Life, sum};
use crate::changes::reference::decimal;
use crate::histories::now;
use crate::support::caller;

/// By what a stage begins, how sure a forecast may be of it.
fn category(probability: i32) -> &'static str {
    match probability {
        90.. => "commit",
        60.. => "best_case",
        1.. => "pipeline",
        _ => "omitted",
    }
}

impl Asked<'_> {
    /// How sure a forecast may be of one: what it says itself, or its stage.
    fn category(&self, it: &Life) -> String {
        let stages = &self.reference.stages[&it.record.pipeline_id];
        let stage = stages.iter().find(|stage| stage.key == it.record.stage_key).unwrap();
        let of_stage = category(stage.default_probability).to_owned();
        it.record.forecast_category.clone().unwrap_or(of_stage)
    }

    pub(super) async fn forecast(&self, random: &mut StdRng) {
        let (question, reference) = (&self.question, self.reference);
        let unit = *["month", "quarter", "year"].choose(random).unwrap();
        // Over, under way, or to come.
        let day =
            reference.today + TimeDelta::days(*[-200, -70, 0, 0, 60, 100].choose(random).unwrap());
        let (year, quarter) = reference.fiscal(day);
        let month = i32::try_from(day.month()).unwrap();
        let mut asked = period::Asked {
            period: Some(unit),
            year: Some(year),
            quarter: Some(quarter).filter(|_| unit == "quarter"),
            month: Some(month).filter(|_| unit == "month"),
        };
        if day == reference.today && random.random() {
            asked = period::Asked { period: Some(unit), ..period::Asked::default() };
        }
        let (state, by) = (&self.world.state, caller(question.by));
        let it = forecast::forecast(state, &by, &question.ask, &asked, now()).await.unwrap();
        let label = reference.label(unit, day);
        let told = format!("{label} {question:?}");
        assert_eq!(it.period.label, label);
        let is_in = |day| reference.label(unit, day) == label;
        let is_current = is_in(reference.today);
        let is_over = !is_current && day < reference.today;
        let won = sum(closed(&self.part, "won", is_in));
        assert_eq!(decimal(it.whole.closed_won), won.value, "{told}");
        // What should have closed by now counts in the current one.
        let is_due = |it: &&&Life| {
            let is_so = |day| is_in(day) || is_current && day < reference.today;
            it.is("open") && !is_over && it.expected_on.is_some_and(is_so)
        };
        let due: Vec<_> = self.part.iter().filter(is_due).copied().collect();
        let mut rows: Vec<(&str, &str)> = Vec::new();
        for (_, stage) in reference.open_stages(question.ask.pipeline_id) {
            if !rows.contains(&(&stage.key, &stage.name)) {
                rows.push((&stage.key, &stage.name));
            }
        }
        assert_eq!(it.by_stage.len(), rows.len(), "{told}");
        for (row, (key, name)) in it.by_stage.iter().zip(rows) {
            assert_eq!((row.stage_key.as_str(), row.stage.as_str()), (key, name));
            let stands = |it: &&Life| {
                let stages = &reference.stages[&it.record.pipeline_id];
                let stage = stages.iter().find(|stage| stage.key == it.record.stage_key);
                stage.is_some_and(|stage| (&*stage.key, &*stage.name) == (key, name))
            };
            let sum = sum(due.iter().copied().filter(stands));
            let found = (row.count, decimal(row.total_value), decimal(row.weighted_value));
            assert_eq!(found, (sum.count, sum.value, sum.weighted), "{key} {told}");
        }
        let categories = ["commit", "best_case", "pipeline", "omitted"];
        for (row, name) in it.by_category.iter().zip(categories) {
            assert_eq!(row.category.as_str(), name);
            let sum = sum(due.iter().copied().filter(|it| self.category(it) == name));
            let found = (row.count, decimal(row.total_value), decimal(row.weighted_value));
            assert_eq!(found, (sum.count, sum.value, sum.weighted), "{name} {told}");
        }
        let due = sum(due);
        self.seen.note("won in time", won.count);
        self.seen.note("due in time", due.count);
        let dateless = self.part.iter().filter(|it| it.is("open") && it.expected_on.is_none());
        let dateless = i64::try_from(dateless.filter(|_| is_current).count()).unwrap();
        self.seen.note("without a date", dateless);
        let left_out = it.not_covered;
        assert_eq!(left_out.without_amount, won.without_amount + due.without_amount, "{told}");
        assert_eq!(left_out.without_rate, won.without_rate + due.without_rate, "{told}");
        assert_eq!(left_out.without_date, dateless, "{told}");
    }
}
