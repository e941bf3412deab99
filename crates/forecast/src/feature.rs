//! What is looked at of an open deal: each feature is cut into a few levels, so that what it does can be told in words.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;

use crate::history::{Deal, History, Quarters, Seconds, Standing, Value, days};
use crate::sample::{Snapshot, lives};

/// How many deals a category needs to count by itself.
const ENOUGH: usize = 20;
/// The most categories of a column that count by themselves.
const MOST_CATEGORIES: usize = 80;
/// The most stages that count by themselves, those that are rare being one.
const MOST_STAGES: usize = 30;
/// A feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Feature {
    /// Its stage.
    Stage,
    /// How long it has been there.
    TimeInStage,
    /// How long it has been open.
    Age,
    /// What it is worth.
    Amount,
    /// When somebody did something about it last.
    LastActivity,
    /// How often.
    Activities,
    /// How often it has moved.
    Moves,
    /// Which month of a quarter it is.
    MonthOfQuarter,
    /// A column, by its place.
    Column(usize),
}

/// What a level of a feature is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Level {
    /// It is not known.
    Missing,
    /// From the first until before the second.
    Between(f64, f64),
    /// A stage or a category, by number.
    One(u32),
    /// One that does not count by itself.
    Other,
    /// In its stage from the first until before the second.
    InStageBetween(f64, f64),
}

/// A feature as it is cut.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Group {
    feature: Feature,
    /// The number of its first level.
    first: usize,
    levels: Vec<Level>,
    cut: Cut,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Cut {
    /// Which level each stage is, the first being none.
    Stage(Vec<usize>),
    /// And where the levels of each of those begin.
    ByStage(Vec<usize>, Vec<(usize, Vec<f64>)>),
    /// A number, at these; level nought is missing.
    Number(Vec<f64>),
    /// Which level each category is.
    Category(Vec<usize>),
    /// The month of a quarter; level nought is missing, and nothing is.
    Month(Quarters),
}

/// How deals are looked at.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Design {
    groups: Vec<Group>,
    size: usize,
}

impl Design {
    /// Cut by what was seen, into about `most` levels. Columns share what the other features leave of them.
    #[must_use]
    pub fn learn(history: &History, snapshots: &[Snapshot], now: Seconds, most: usize) -> Self {
        let mut design = Self { groups: Vec::new(), size: 0 };
        let looks: Vec<Look<'_>> = looks(history, snapshots).map(|(_, look)| look).collect();
        design.stages(history, &looks);
        let ages = cuts(lives(history, now), &[0.1, 0.25, 0.5, 0.75, 0.9, 0.97]);
        design.number(Feature::Age, ages);
        if !history.ignores_amount {
            let amounts = looks.iter().filter_map(Look::amount).collect();
            let octiles = [0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 0.96];
            design.number(Feature::Amount, cuts(amounts, &octiles));
        }
        if history.deals.iter().any(|deal| !deal.activities.is_empty()) {
            let last = looks.iter().filter_map(Look::last_activity).collect();
            design.number(Feature::LastActivity, cuts(last, &[0.2, 0.4, 0.6, 0.8, 0.95]));
            let counts = looks.iter().map(|it| it.activities() as f64).collect();
            design.number(Feature::Activities, cuts(counts, &[0.2, 0.4, 0.6, 0.8, 0.95]));
        }
        if !history.stages.is_empty() {
            let moves = looks.iter().map(|it| it.standing.moves as f64).collect();
            design.number(Feature::Moves, cuts(moves, &[0.25, 0.5, 0.75, 0.9]));
        }
        let months = Cut::Month(history.quarters);
        design.add(Feature::MonthOfQuarter, between(&[1.0, 2.0]), months);
        let ended: Vec<&Deal> =
            history.deals.iter().filter(|deal| deal.end(now).is_some()).collect();
        for (index, column) in history.columns.iter().enumerate() {
            let share = most.saturating_sub(design.size) / (history.columns.len() - index);
            if column.categories.is_empty() {
                let numbers = looks.iter().filter_map(|it| match it.value(index)? {
                    Value::Number(number) => Some(number),
                    _ => None,
                });
                let numbers = cuts(numbers.collect(), &[0.2, 0.4, 0.6, 0.8, 0.95]);
                design.number(Feature::Column(index), numbers);
            } else {
                design.categories(index, &ended, share.max(4) - 2);
            }
        }
        design
    }

    fn add(&mut self, feature: Feature, levels: Vec<Level>, cut: Cut) {
        let first = self.size;
        self.size += levels.len();
        self.groups.push(Group { feature, first, levels, cut });
    }

    fn number(&mut self, feature: Feature, cuts: Vec<f64>) {
        self.add(feature, between(&cuts), Cut::Number(cuts));
    }

    fn stages(&mut self, history: &History, looks: &[Look<'_>]) {
        let group_of = groups(history.stages.len() + 1, looks);
        let count = group_of.iter().max().map_or(0, |most| most + 1);
        let mut levels = vec![Level::Other; count];
        for (stage, group) in group_of.iter().enumerate().rev() {
            let is_shared = group_of.iter().filter(|it| *it == group).count() > 1;
            levels[*group] = match stage.checked_sub(1) {
                _ if is_shared => Level::Other,
                None => Level::Missing,
                Some(stage) => Level::One(place(stage)),
            };
        }
        self.add(Feature::Stage, levels, Cut::Stage(group_of.clone()));
        let mut levels = Vec::new();
        let mut by_stage = Vec::new();
        for group in 0..count {
            let times = looks.iter().filter(|it| group_of[it.stage()] == group).map(Look::in_stage);
            let cuts = cuts(times.collect(), &[0.25, 0.5, 0.75, 0.92]);
            let first = levels.len();
            let ends = cuts.iter().copied().chain([f64::INFINITY]);
            let begins = [0.0].into_iter().chain(cuts.iter().copied());
            levels.extend(begins.zip(ends).map(|(one, end)| Level::InStageBetween(one, end)));
            by_stage.push((first, cuts));
        }
        self.add(Feature::TimeInStage, levels, Cut::ByStage(group_of, by_stage));
    }

    fn categories(&mut self, index: usize, ended: &[&Deal], most: usize) {
        let mut counts: HashMap<u32, usize> = HashMap::new();
        for deal in ended {
            if let Some(Value::Category(category)) = deal.values.get(index) {
                *counts.entry(*category).or_default() += 1;
            }
        }
        let mut known: Vec<(u32, usize)> =
            counts.into_iter().filter(|(_, count)| *count >= ENOUGH).collect();
        known.sort_unstable_by_key(|(category, count)| (usize::MAX - count, *category));
        known.truncate(most.min(MOST_CATEGORIES));
        if known.is_empty() {
            return;
        }
        let mut levels = vec![Level::Missing, Level::Other];
        let most = known.iter().map(|(category, _)| *category).max().unwrap_or_default() as usize;
        let mut level_of = vec![1; most + 1];
        for (category, _) in known {
            level_of[category as usize] = levels.len();
            levels.push(Level::One(category));
        }
        self.add(Feature::Column(index), levels, Cut::Category(level_of));
    }

    /// How many levels there are in all.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// How many features there are, each of which has one level of every deal.
    #[must_use]
    pub fn width(&self) -> usize {
        self.groups.len()
    }

    /// Each feature with its first level and its levels.
    pub fn features(&self) -> impl Iterator<Item = (Feature, usize, &[Level])> {
        self.groups.iter().map(|it| (it.feature, it.first, it.levels.as_slice()))
    }

    /// The first level of a feature.
    #[must_use]
    pub(crate) fn first_of(&self, feature: Feature) -> usize {
        let group = self.groups.iter().find(|group| group.feature == feature);
        group.map_or(0, |group| group.first)
    }

    /// What a level is, and of which feature.
    #[must_use]
    pub fn level(&self, level: usize) -> Option<(Feature, &Level)> {
        let group = self.groups.iter().rev().find(|group| group.first <= level)?;
        Some((group.feature, group.levels.get(level - group.first)?))
    }

    /// The levels of an open deal, one of each feature, in their order.
    pub fn levels<'a>(&'a self, look: &'a Look<'_>) -> impl Iterator<Item = u16> + 'a {
        self.groups.iter().map(|group| {
            let level = group.first + group.level(look);
            u16::try_from(level).unwrap_or(u16::MAX)
        })
    }

    /// Which stage a deal is in, stages that are rare being one, and in which of its stretches of time, over all stages.
    #[must_use]
    pub fn cell(&self, look: &Look<'_>) -> (usize, usize) {
        (self.groups[0].level(look), self.groups[1].level(look))
    }

    /// How many stages there are, none being one and those that are rare another, and how many stretches of time over all of them.
    #[must_use]
    pub fn cells(&self) -> (usize, usize) {
        (self.groups[0].levels.len(), self.groups[1].levels.len())
    }
}

impl Group {
    fn level(&self, look: &Look<'_>) -> usize {
        let value = match (&self.cut, self.feature) {
            (Cut::Stage(group_of), _) => return group_of[look.stage()],
            (Cut::Month(quarters), _) => return 1 + usize::from(quarters.month(look.at)),
            (Cut::ByStage(group_of, by_stage), _) => {
                let (first, cuts) = &by_stage[group_of[look.stage()]];
                return first + bin(cuts, look.in_stage());
            }
            (_, Feature::Column(index)) => look.value(index),
            (_, feature) => look.number(feature).map(Value::Number),
        };
        match (&self.cut, value) {
            (Cut::Number(cuts), Some(Value::Number(number))) => 1 + bin(cuts, number),
            (Cut::Category(level_of), Some(Value::Category(category))) => {
                level_of.get(category as usize).copied().unwrap_or(1)
            }
            _ => 0,
        }
    }
}

/// An open deal, looked at.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// The deal.
    pub deal: &'a Deal,
    /// When.
    pub at: Seconds,
    /// Where it stood.
    pub standing: Standing,
}

/// Deals as they are looked at in snapshots.
pub(crate) fn looks<'a>(
    history: &'a History,
    snapshots: impl IntoIterator<Item = &'a Snapshot>,
) -> impl Iterator<Item = (&'a Snapshot, Look<'a>)> {
    let look = |it: &'a Snapshot| Some((it, Look::of(&history.deals[it.deal], it.at)?));
    snapshots.into_iter().filter_map(look)
}

impl<'a> Look<'a> {
    /// A deal at an instant, if it was open then.
    #[must_use]
    pub fn of(deal: &'a Deal, at: Seconds) -> Option<Self> {
        Some(Self { deal, at, standing: deal.standing(at)? })
    }

    /// Whether no forecast counted it then.
    #[must_use]
    pub fn is_left_out(&self) -> bool {
        self.deal.is_left_out_at(self.at)
    }

    /// What it was worth then.
    #[must_use]
    pub fn amount(&self) -> Option<f64> {
        self.deal.amount_at(self.at)
    }

    fn value(&self, index: usize) -> Option<Value> {
        self.deal.values_at(self.at).get(index).copied()
    }

    fn stage(&self) -> usize {
        self.standing.stage.map_or(0, |stage| usize::from(stage) + 1)
    }

    fn in_stage(&self) -> f64 {
        days(self.standing.since, self.at)
    }

    fn activities(&self) -> usize {
        self.deal.activities.partition_point(|at| *at <= self.at)
    }

    fn last_activity(&self) -> Option<f64> {
        let last = self.activities().checked_sub(1)?;
        Some(days(self.deal.activities[last], self.at))
    }

    fn number(&self, feature: Feature) -> Option<f64> {
        match feature {
            Feature::Age => Some(days(self.deal.created_at, self.at)),
            Feature::Amount => self.amount(),
            Feature::LastActivity => self.last_activity(),
            Feature::Activities => Some(self.activities() as f64),
            Feature::Moves => Some(self.standing.moves as f64),
            Feature::Stage
            | Feature::TimeInStage
            | Feature::MonthOfQuarter
            | Feature::Column(_) => None,
        }
    }
}

/// Which of the stages that count by themselves each is; those in which deals were seen least are one.
fn groups(count: usize, looks: &[Look<'_>]) -> Vec<usize> {
    if count <= MOST_STAGES {
        return (0..count).collect();
    }
    let mut seen: Vec<(usize, usize)> = (0..count).map(|stage| (0, stage)).collect();
    for look in looks {
        seen[look.stage()].0 += 1;
    }
    seen.sort_unstable_by_key(|(seen, stage)| (usize::MAX - seen, *stage));
    let mut group_of = vec![MOST_STAGES - 1; count];
    for (group, (_, stage)) in seen.iter().take(MOST_STAGES - 1).enumerate() {
        group_of[*stage] = group;
    }
    group_of
}

/// Nothing, and what is before, between and after these numbers.
fn between(cuts: &[f64]) -> Vec<Level> {
    let ends = cuts.iter().copied().chain([f64::INFINITY]);
    let begins = [f64::NEG_INFINITY].into_iter().chain(cuts.iter().copied());
    let levels = begins.zip(ends).map(|(begin, end)| Level::Between(begin, end));
    [Level::Missing].into_iter().chain(levels).collect()
}

/// Numbers at which so many parts of them lie below, each once.
fn cuts(mut numbers: Vec<f64>, parts: &[f64]) -> Vec<f64> {
    numbers.sort_unstable_by(f64::total_cmp);
    let Some(last) = numbers.last().copied() else { return Vec::new() };
    let at = |part: &f64| numbers[((numbers.len() as f64 * part) as usize).min(numbers.len() - 1)];
    let mut cuts: Vec<f64> = parts.iter().map(at).collect();
    cuts.dedup();
    // Nothing lies below the first of them, or nothing above.
    cuts.retain(|cut| *cut > numbers[0] && *cut <= last);
    cuts
}

fn bin(cuts: &[f64], number: f64) -> usize {
    cuts.partition_point(|cut| *cut <= number)
}

fn place(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
