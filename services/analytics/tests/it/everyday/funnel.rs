//! The funnel as it stands, and how many went further.

use analytics::range::Range;
use analytics::report;
use analytics::report::opened::model::Wanted;
use chrono::{NaiveDate, TimeDelta};
use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rpc::Invalid;
use rust_decimal::Decimal;

use super::Asked;
use super::reference::{Life, number, share, sum};
use crate::changes::reference::decimal;
use crate::histories::now;
use crate::support::caller;

/// What became of one since it came into a stage.
#[derive(Clone, Copy, PartialEq)]
enum Fate {
    Further,
    Out,
    Open,
}

impl Asked<'_> {
    fn told(&self) -> String {
        format!("{:?}", self.question)
    }

    fn in_pipeline(&self) -> Vec<&Life> {
        let id = self.question.pipeline_id();
        self.part.iter().copied().filter(|it| it.record.pipeline_id == id).collect()
    }

    fn fate(&self, it: &Life, stage: &str) -> Fate {
        let order = &self.reference.stages[&it.record.pipeline_id];
        let later = order.iter().skip_while(|one| one.key != stage).skip(1);
        let later: Vec<_> = later.filter(|one| one.kind == "open").map(|one| &one.key).collect();
        let mut since = it.moves.iter().skip_while(|(key, _)| key != stage);
        match () {
            () if it.is("won") || since.any(|(key, _)| later.contains(&key)) => Fate::Further,
            () if it.is("lost") => Fate::Out,
            () => Fate::Open,
        }
    }

    /// Those that came into a stage in a range, and what became of each.
    fn entered(&self, stage: &str, holds: impl Fn(NaiveDate) -> bool) -> Vec<(&Life, Fate)> {
        let all = self.in_pipeline().into_iter();
        let first = all.filter_map(|it| Some((it, it.entered(stage)?)));
        let first = first.filter(|(_, at)| holds(self.reference.day(*at)));
        first.map(|(it, _)| (it, self.fate(it, stage))).collect()
    }

    pub(super) async fn overview(&self) {
        let (question, told) = (&self.question, self.told());
        let (state, by) = (&self.world.state, caller(question.by));
        let it = report::overview(state, &by, &question.ask, now()).await.unwrap();
        let all = self.in_pipeline();
        let stages = &self.reference.stages[&question.pipeline_id()];
        assert_eq!(it.stages.len(), stages.len());
        for (row, stage) in it.stages.iter().zip(stages) {
            assert_eq!((&row.name, &row.key), (&stage.name, &stage.key));
            let sum = sum(all.iter().copied().filter(|it| it.record.stage_key == stage.key));
            let found = (row.count, decimal(row.total_value), decimal(row.weighted_value));
            assert_eq!(found, (sum.count, sum.value, sum.weighted), "{} {told}", stage.key);
            let fates = self.entered(&stage.key, |_| true);
            let count = |fate| i64::try_from(fates.iter().filter(|it| it.1 == fate).count());
            let rate = share(count(Fate::Further).unwrap(), count(Fate::Out).unwrap());
            let rate = rate.filter(|_| stage.kind == "open");
            assert_eq!(row.conversion_rate, rate, "{} {told}", stage.key);
        }
        let (whole, open) =
            (sum(all.iter().copied()), sum(all.iter().copied().filter(|it| it.is("open"))));
        assert_eq!((it.total_opportunities, it.open_opportunities), (whole.count, open.count));
        let found = (decimal(it.total_pipeline_value), decimal(it.weighted_pipeline_value));
        assert_eq!(found, (open.value, open.weighted), "{told}");
        let found = (it.not_covered.without_amount, it.not_covered.without_rate);
        assert_eq!(found, (whole.without_amount, whole.without_rate), "{told}");
        assert_eq!(it.not_covered.without_date, 0);
        self.seen.note("stands", whole.count);
        self.seen.note("lacks a rate", whole.without_rate);
        self.seen.note("lacks an amount", whole.without_amount);
    }

    pub(super) async fn conversion(&self, random: &mut StdRng) {
        // Mostly the days about which things happen, and ends of months among them.
        let mut day = |bounds: f64| {
            let some: Vec<_> = self.part.iter().map(|it| it.created_on).collect();
            let near = TimeDelta::days(random.random_range(-20..30));
            some.choose(random).map(|it| *it + near).filter(|_| random.random_bool(bounds))
        };
        let (start, end) = (day(0.6), day(0.5));
        let end = end.filter(|end| start.is_none_or(|start| start <= *end));
        let holds = |day: NaiveDate| {
            start.is_none_or(|start| start <= day) && end.is_none_or(|end| day <= end)
        };
        let (question, told) = (&self.question, format!("{start:?} {end:?} {:?}", self.question));
        let (state, by, range) = (&self.world.state, caller(question.by), Range { start, end });
        let asked = Invalid::default();
        let it = report::conversion(state, &by, &question.ask, (start, end), asked, now()).await;
        let it = it.unwrap();
        let stages = self.reference.open_stages(Some(question.pipeline_id()));
        assert_eq!(it.items.len(), stages.len());
        for (row, (_, stage)) in it.items.iter().zip(stages) {
            assert_eq!((&row.stage, &row.stage_key), (&stage.name, &stage.key));
            let fates = self.entered(&stage.key, holds);
            let of = |fate: Fate| fates.iter().filter(move |it| it.1 == fate).map(|it| it.0);
            let count = |fate| i64::try_from(of(fate).count()).unwrap();
            let (further, out) = (count(Fate::Further), count(Fate::Out));
            let found = (row.entered, row.advanced, row.lost, row.in_progress);
            let entered = i64::try_from(fates.len()).unwrap();
            assert_eq!(found, (entered, further, out, count(Fate::Open)), "{} {told}", stage.key);
            assert_eq!(row.conversion_rate, share(further, out), "{} {told}", stage.key);
            let (mut stays, mut seconds) = (0, 0);
            for (life, _) in &fates {
                for (from, to) in life.moves.iter().zip(life.moves.iter().skip(1)) {
                    if from.0 == stage.key {
                        stays += 1;
                        seconds += (to.1 - from.1).num_seconds();
                    }
                }
            }
            let days = number(Decimal::from(seconds), Decimal::from(stays * 86_400), 1);
            assert_eq!(row.average_days_in_stage, days, "{} {told}", stage.key);
            self.seen.note("stayed", stays);
            for (term, fate) in
                [("advanced", Fate::Further), ("lost", Fate::Out), ("in_progress", Fate::Open)]
            {
                self.seen.note(term, count(fate));
                let stage_key = Some(stage.key.as_str());
                let wanted = Wanted { term: Some(term), range, stage_key, ..Wanted::default() };
                self.opens_to(("conversion-rate", &wanted), None, of(fate)).await;
            }
        }
        let made: Vec<_> =
            self.in_pipeline().into_iter().filter(|it| holds(it.created_on)).collect();
        let count = |status| i64::try_from(made.iter().filter(|it| it.is(status)).count()).unwrap();
        assert_eq!(it.win_rate, share(count("won"), count("lost")), "{told}");
    }
}
