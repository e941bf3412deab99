//! The chances of a deal by everything that is known of it: for every stretch of time after a look, log-odds to be won and to be lost in it against staying open, which add up over its
//! features (a discrete-time competing-risks model; the two causes are fitted one by one against staying open, after Begg and Gray, Biometrika 71 (1984) 11 to 18).

use serde::{Deserialize, Serialize};

use crate::feature::{Design, Look, looks};
use crate::history::History;
use crate::logistic::{Rows, fit, logit, sigmoid};
use crate::outlook::{Intervals, Outlook};
use crate::sample::Snapshot;
use crate::table::{per_deal, stretches};

/// How much a coefficient of one is held against it, in deals.
const PENALTY: f64 = 2.0;
/// Of the level that every row is in.
const NO_PENALTY: f64 = 1e-3;

/// Log-odds by level.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hazards {
    won: Vec<f64>,
    lost: Vec<f64>,
    /// Where the levels of stretch and stage begin.
    first: usize,
    stages: usize,
    /// By stage and feature, what a deal in the stage usually has by it: log-odds to be won and to be lost.
    usual: Vec<(f64, f64)>,
}

/// What a deal's chances would be if one thing about it were as usual in its stage.
#[derive(Clone, Debug, PartialEq)]
pub struct Without {
    /// Which feature, by its place.
    pub feature: usize,
    /// Which level of all the deal has.
    pub level: usize,
    /// The chances.
    pub outlook: Outlook,
}

impl Hazards {
    /// As fitted.
    #[must_use]
    pub fn learn(
        history: &History,
        snapshots: &[Snapshot],
        design: &Design,
        intervals: &Intervals,
    ) -> Self {
        let (stages, _) = design.cells();
        // After the features: the stretch, and the stretch by stage.
        let first = design.size();
        let size = first + intervals.len() * (1 + stages);
        let (mut won, mut lost) = (Rows::new(design.width() + 2), Rows::new(design.width() + 2));
        let mut levels: Vec<u16> = Vec::with_capacity(design.width() + 2);
        let last = intervals.len() - 1;
        let every = every(design.width(), snapshots.len());
        for (snapshot, look) in looks(history, snapshots.iter().step_by(every)) {
            levels.clear();
            levels.extend(design.levels(&look));
            let (stage, _) = design.cell(&look);
            for (interval, share, fate) in stretches(snapshot.fate, intervals) {
                let stretch =
                    [first + interval, first + intervals.len() + interval * stages + stage];
                let stretch = stretch.map(|it| u16::try_from(it).unwrap_or(u16::MAX));
                let row = || levels.iter().copied().chain(stretch);
                // In the last stretch those won stand against those lost.
                if fate != Some(false) || interval == last {
                    won.push(row(), f64::from(u8::from(fate == Some(true))), share);
                }
                if fate != Some(true) && interval != last {
                    lost.push(row(), f64::from(u8::from(fate == Some(false))), share);
                }
            }
        }
        let penalty = PENALTY * (per_deal(snapshots) / every as f64).max(1.0);
        let mut penalties = vec![penalty; size];
        penalties[first..first + intervals.len()].fill(NO_PENALTY);
        let won = fit(&won, &penalties);
        let lost = fit(&lost, &penalties);
        let usual = Vec::new();
        let mut hazards = Self { won, lost, first, stages, usual };
        hazards.usual = hazards.usual(history, snapshots, design);
        hazards
    }

    fn usual(&self, history: &History, snapshots: &[Snapshot], design: &Design) -> Vec<(f64, f64)> {
        let width = design.width();
        let mut sums = vec![(0.0, 0.0); self.stages * width];
        let mut counts = vec![0.0; self.stages];
        for (_, look) in looks(history, snapshots) {
            let (stage, _) = design.cell(&look);
            counts[stage] += 1.0;
            let sums = &mut sums[stage * width..(stage + 1) * width];
            for (sum, level) in sums.iter_mut().zip(design.levels(&look)) {
                sum.0 += self.won[usize::from(level)];
                sum.1 += self.lost[usize::from(level)];
            }
        }
        let count = |place: usize| f64::max(counts[place / width.max(1)], 1.0);
        let means = sums.into_iter().enumerate();
        means.map(|(place, (won, lost))| (won / count(place), lost / count(place))).collect()
    }

    /// The chances of a deal; what share ends every day in the last stretch is told.
    #[must_use]
    pub fn outlook(
        &self,
        design: &Design,
        intervals: &Intervals,
        look: &Look<'_>,
        end_rate: f64,
    ) -> Outlook {
        let (stage, _) = design.cell(look);
        self.of(self.scores(design, look), stage, intervals, end_rate)
    }

    /// What the chances of a deal would be if one thing about it were as usual in its stage, for each thing.
    #[must_use]
    pub fn without_each(
        &self,
        design: &Design,
        intervals: &Intervals,
        look: &Look<'_>,
        end_rate: f64,
    ) -> Vec<Without> {
        let (won, lost) = self.scores(design, look);
        let (stage, _) = design.cell(look);
        let usual = &self.usual[stage * design.width()..(stage + 1) * design.width()];
        let each = design.levels(look).zip(usual).enumerate();
        let without = each.map(|(feature, (level, usual))| {
            let level = usize::from(level);
            let scores = (won - self.won[level] + usual.0, lost - self.lost[level] + usual.1);
            Without { feature, level, outlook: self.of(scores, stage, intervals, end_rate) }
        });
        without.collect()
    }

    fn scores(&self, design: &Design, look: &Look<'_>) -> (f64, f64) {
        let levels = design.levels(look).map(usize::from);
        levels
            .fold((0.0, 0.0), |(won, lost), level| (won + self.won[level], lost + self.lost[level]))
    }

    fn of(
        &self,
        (won, lost): (f64, f64),
        stage: usize,
        intervals: &Intervals,
        end_rate: f64,
    ) -> Outlook {
        let last = intervals.len() - 1;
        let hazards = (0..=last).map(|interval| {
            let stretch = self.first + interval;
            let by_stage = self.first + intervals.len() + interval * self.stages + stage;
            let win = won + self.won[stretch] + self.won[by_stage];
            if interval == last {
                let win = sigmoid(win);
                return (win, 1.0 - win);
            }
            let win = win.min(30.0).exp();
            let lose = (lost + self.lost[stretch] + self.lost[by_stage]).min(30.0).exp();
            (win / (1.0 + win + lose), lose / (1.0 + win + lose))
        });
        Outlook::of(hazards, end_rate)
    }
}

/// Every how many looks one is taken: what a row costs grows with the square of its features.
fn every(width: usize, looks: usize) -> usize {
    const WIDTH: usize = 18;
    const ENOUGH: usize = 8_000;
    let most = looks * WIDTH * WIDTH / (width * width).max(1);
    looks.div_ceil(most.max(ENOUGH)).max(1)
}

/// Two opinions of the same deal as one: half way between them in log-odds.
#[must_use]
pub fn between(one: &Outlook, other: &Outlook) -> Outlook {
    let middle = |one: f64, other: f64| sigmoid(f64::midpoint(logit(one), logit(other)));
    let target = middle(one.win_probability(), other.win_probability());
    let won = one.won.iter().zip(&other.won).map(|(one, other)| f64::midpoint(*one, *other));
    let lost = one.lost.iter().zip(&other.lost).map(|(one, other)| f64::midpoint(*one, *other));
    let (won, lost) = (won.collect(), lost.collect());
    Outlook { won, lost, end_rate: other.end_rate }.with(target)
}
