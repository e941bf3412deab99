//! What was learned of a history as of an instant, and whom to believe about a deal.

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use crate::choose;
use crate::feature::{Design, Feature, Look};
use crate::hazard::{Hazards, between};
use crate::history::{History, Place, Seconds};
use crate::outlook::{Intervals, Outlook};
use crate::reason::{Reason, evidence, strongest};
use crate::sample::{Fate, Snapshot, are_seen, sample};
use crate::table::{Depth, Table};

/// How many deals what the stages are said to promise counts for.
const LADDER_DEALS: f64 = 20.0;
/// Into how many levels all features are cut, and where fewer looks are learned from.
const LEVELS: (usize, usize) = (800, 400);
/// From how many looks on it is the former.
const MANY_LOOKS: usize = 40_000;
/// How many deals of each outcome the features need.
const ENOUGH_OF_EACH: usize = 25;
/// How many have to have ended before a window of the past can be forecast.
const ENOUGH_TO_REPLAY: usize = 20;

/// Who speaks of a deal's chances, from the simplest to the one that looks at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Voice {
    /// What each stage is said to promise.
    Ladder,
    /// The share won of those in the stage, shrunk to what it is said to promise.
    ShrunkLadder,
    /// The share won of all deals that ended.
    Constant,
    /// What became of deals that were open.
    Open,
    /// What became of deals in this stage.
    Stage,
    /// And for as long in it.
    Table,
    /// Half way between that and all features.
    Blend,
    /// All features.
    Features,
}

impl Voice {
    /// What it is called.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ladder => "ladder",
            Self::ShrunkLadder => "shrunk_ladder",
            Self::Constant => "constant",
            Self::Open => "open",
            Self::Stage => "stage",
            Self::Table => "table",
            Self::Blend => "blend",
            Self::Features => "features",
        }
    }
}

/// What was learned.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Learned {
    /// As of when.
    pub now: Seconds,
    /// Stretches of time.
    pub intervals: Intervals,
    design: Design,
    table: Table,
    hazards: Option<Hazards>,
    /// By stage, none being the first: how many deals that ended were ever in it, how many of them were won, and what it is said to promise.
    ladder: Vec<(f64, f64, f64)>,
    /// How many deals ended won, and how many lost.
    pub ended: (usize, usize),
    /// By level of the features, how many deals that have ended were in it.
    evidence: Vec<usize>,
}

impl Learned {
    /// From what was known at an instant. `ladder` is the chance that each stage is said to promise; `most` is how many looks at deals are learned from.
    #[must_use]
    pub fn learn(history: &History, ladder: &[f64], now: Seconds, most: usize, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let snapshots = sample(history, now, most, &mut rng);
        let levels = if most >= MANY_LOOKS { LEVELS.0 } else { LEVELS.1 };
        let design = Design::learn(history, &snapshots, now, levels);
        let ends = snapshots.iter().filter_map(|it| match it.fate {
            Fate::Won(days) | Fate::Lost(days) => Some(days),
            Fate::Open(_) => None,
        });
        let intervals = Intervals::learn(ends.collect());
        let table = Table::learn(history, &snapshots, &design, &intervals);
        let ended = ended(history, now);
        let is_enough = ended.0 >= ENOUGH_OF_EACH && ended.1 >= ENOUGH_OF_EACH;
        let hazards = is_enough.then(|| Hazards::learn(history, &snapshots, &design, &intervals));
        let ladder = shares(history, ladder, now);
        let evidence = evidence(history, &snapshots, &design);
        Self { now, intervals, design, table, hazards, ladder, ended, evidence }
    }

    /// Who may speak at all, from the simplest on.
    pub fn voices(&self) -> impl Iterator<Item = Voice> + use<> {
        let has_features = self.hazards.is_some();
        let all = [
            Voice::Constant,
            Voice::Open,
            Voice::Stage,
            Voice::Table,
            Voice::Blend,
            Voice::Features,
        ];
        all.into_iter().filter(move |voice| *voice < Voice::Blend || has_features)
    }

    /// The chances of an open deal, as one of them sees them.
    #[must_use]
    pub fn outlook(&self, look: &Look<'_>, voice: Voice) -> Outlook {
        let table = |depth| self.table.outlook(&self.design, look, depth);
        // When it ends depends on how long it has been there, even where nothing says how.
        let timed = |win_probability| table(Depth::Cell).with(win_probability);
        let stage = look.standing.stage.map_or(0, |stage| usize::from(stage) + 1);
        let (ended, won, said) = self.ladder.get(stage).copied().unwrap_or((0.0, 0.0, 0.5));
        match voice {
            Voice::Ladder => timed(said),
            Voice::ShrunkLadder => timed((won + LADDER_DEALS * said) / (ended + LADDER_DEALS)),
            Voice::Constant => {
                let (won, lost) = (self.ended.0 as f64, self.ended.1 as f64);
                timed((won + 1.0) / (won + lost + 2.0))
            }
            Voice::Open => timed(table(Depth::Open).win_probability()),
            Voice::Stage => timed(table(Depth::Stage).win_probability()),
            Voice::Table => table(Depth::Cell),
            Voice::Blend | Voice::Features => {
                let table = table(Depth::Cell);
                let Some(hazards) = &self.hazards else { return table };
                let own = hazards.outlook(&self.design, &self.intervals, look, table.end_rate);
                if voice == Voice::Features { own } else { between(&own, &table) }
            }
        }
    }

    /// Why a deal's chances are what a voice says: what raises them, and what lowers them, the strongest first. A voice that looks at nothing but the stage has no reasons beside that.
    #[must_use]
    pub fn reasons(&self, look: &Look<'_>, voice: Voice) -> Vec<Reason> {
        let table = |depth| self.table.outlook(&self.design, look, depth);
        let (whole, without) = match (voice, &self.hazards) {
            (Voice::Table, _) | (Voice::Blend | Voice::Features, None) => {
                let (_, cell) = self.design.cell(look);
                let level = self.design.first_of(Feature::TimeInStage) + cell;
                let stage = table(Depth::Stage).win_probability();
                (table(Depth::Cell).win_probability(), vec![(level, stage)])
            }
            (Voice::Blend | Voice::Features, Some(hazards)) => {
                let table = table(Depth::Cell);
                let (design, intervals) = (&self.design, &self.intervals);
                let heard = |own: &Outlook| {
                    let both = (voice == Voice::Blend).then(|| between(own, &table));
                    both.as_ref().unwrap_or(own).win_probability()
                };
                let own = hazards.outlook(design, intervals, look, table.end_rate);
                let without = hazards.without_each(design, intervals, look, table.end_rate);
                let without = without.iter().map(|it| (it.level, heard(&it.outlook)));
                (heard(&own), without.collect())
            }
            _ => return Vec::new(),
        };
        let reason = |(level, without): (usize, f64)| {
            let (feature, said) = self.design.level(level)?;
            let evidence = self.evidence[level];
            Some(Reason { feature, level: said.clone(), effect: whole - without, evidence })
        };
        // The stage is what the others are compared in.
        let all = without.into_iter().filter_map(reason);
        // What no deal that has ended was like says nothing that anybody could look up.
        strongest(all.filter(|it| it.feature != Feature::Stage && it.evidence > 0).collect())
    }
}

/// How many deals ended won, and how many lost.
#[must_use]
pub fn ended(history: &History, now: Seconds) -> (usize, usize) {
    let mut ended = (0, 0);
    for end in history.deals.iter().filter_map(|deal| deal.end(now)) {
        *(if end.is_won { &mut ended.0 } else { &mut ended.1 }) += 1;
    }
    ended
}

/// Whether enough was known at an instant for a window of the past to be forecast as of then.
#[must_use]
pub(crate) fn is_enough(history: &History, at: Seconds) -> bool {
    let (won, lost) = ended(history, at);
    won > 0 && won + lost >= ENOUGH_TO_REPLAY && are_seen(history, at, choose::ENOUGH)
}

/// Of the deals that ended, how many were ever in each stage (none is the first), how many of those were won, and what the stage is said to promise.
pub(crate) fn shares(history: &History, ladder: &[f64], now: Seconds) -> Vec<(f64, f64, f64)> {
    let middle = ladder.iter().sum::<f64>() / ladder.len().max(1) as f64;
    let middle = if ladder.is_empty() { 0.5 } else { middle };
    let said = [middle].into_iter().chain(ladder.iter().copied());
    let said = said.chain(std::iter::repeat(middle)).take(history.stages.len() + 1);
    let mut shares: Vec<_> = said.map(|said| (0.0, 0.0, said)).collect();
    let mut was_in = vec![false; shares.len()];
    for deal in &history.deals {
        let Some(end) = deal.end(now) else { continue };
        was_in.fill(false);
        for it in deal.moves.iter().take_while(|it| it.at <= now) {
            if let Place::Stage(stage) = it.to {
                was_in[usize::from(stage) + 1] = true;
            }
        }
        was_in[0] = !was_in.contains(&true);
        for (share, _) in shares.iter_mut().zip(&was_in).filter(|(_, was_in)| **was_in) {
            share.0 += 1.0;
            share.1 += f64::from(u8::from(end.is_won));
        }
    }
    shares
}

/// Looks at deals that were open at an instant, with what became of them by another.
pub(crate) fn open_at(
    history: &History,
    at: Seconds,
    now: Seconds,
) -> impl Iterator<Item = (Snapshot, Look<'_>)> {
    history.deals.iter().enumerate().filter_map(move |(index, deal)| {
        let look = Look::of(deal, at)?;
        let fate = crate::sample::fate(history, index, at, now);
        Some((Snapshot { deal: index, at, fate }, look))
    })
}
