//! What became of deals like this one: counted by stage and by time in it, each cell shrunk to its stage, and each stage to all.

use serde::{Deserialize, Serialize};

use crate::feature::{Design, Look, looks};
use crate::history::History;
use crate::outlook::{Intervals, Outlook};
use crate::sample::{Fate, Snapshot};

/// As many deals as what is more general counts for.
const PSEUDO_DEALS: f64 = 25.0;
/// For how many days one is open while none is known to have ended.
const UNKNOWN_LIFE: f64 = 90.0;

/// What was counted of a stretch of time.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    open: f64,
    won: f64,
    lost: f64,
    /// For how many days they were seen in it.
    days: f64,
}

impl Count {
    /// The chances to be won and lost, those of something more general counting for some deals.
    fn chances(self, general: (f64, f64), pseudo: f64) -> (f64, f64) {
        let all = self.open + self.won + self.lost + pseudo;
        ((self.won + pseudo * general.0) / all, (self.lost + pseudo * general.1) / all)
    }

    /// What share of those that are open ends every day, something more general counting for some ends.
    fn end_rate(self, general: f64, pseudo: f64) -> f64 {
        (self.won + self.lost + pseudo * general) / (self.days + pseudo)
    }
}

/// Chances by stretch of time, by how much is looked at of a deal.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Table {
    overall: Chances,
    stages: Vec<Chances>,
    cells: Vec<Chances>,
}

/// The chances to be won and lost in each stretch of time.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Chances {
    stretches: Vec<(f64, f64)>,
    /// What share ends every day in the last of them.
    end_rate: f64,
}

impl Chances {
    /// As counted, what is more general counting for some deals.
    fn of(counts: &[Count], general: &Self) -> Self {
        let both = counts.iter().zip(&general.stretches);
        let stretches = both.map(|(count, general)| count.chances(*general, PSEUDO_DEALS));
        let last = counts.last().copied().unwrap_or_default();
        // As many deals as are seen for as long as one lasts.
        let pseudo = PSEUDO_DEALS / general.end_rate;
        Self { stretches: stretches.collect(), end_rate: last.end_rate(general.end_rate, pseudo) }
    }
}

/// How much is looked at of a deal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Nothing.
    Open,
    /// Its stage.
    Stage,
    /// And for how long it has been there.
    Cell,
}

impl Table {
    /// As counted.
    #[must_use]
    pub fn learn(
        history: &History,
        snapshots: &[Snapshot],
        design: &Design,
        intervals: &Intervals,
    ) -> Self {
        let (stages, cells) = design.cells();
        let none = vec![Count::default(); intervals.len()];
        let mut overall = none.clone();
        let mut by_stage = vec![none.clone(); stages];
        let mut by_cell = vec![none; cells];
        let mut stage_of = vec![0; cells];
        // A deal that is seen often says no more than one that is seen once.
        let per_deal = per_deal(snapshots);
        for (snapshot, look) in looks(history, snapshots) {
            let (stage, cell) = design.cell(&look);
            stage_of[cell] = stage;
            let (Fate::Won(days) | Fate::Lost(days) | Fate::Open(days)) = snapshot.fate;
            let beyond = days - intervals.span(intervals.len() - 1).0;
            for counts in [&mut overall, &mut by_stage[stage], &mut by_cell[cell]] {
                for (interval, share, fate) in stretches(snapshot.fate, intervals) {
                    let weight = share / per_deal;
                    let count = &mut counts[interval];
                    *(match fate {
                        None => &mut count.open,
                        Some(true) => &mut count.won,
                        Some(false) => &mut count.lost,
                    }) += weight;
                }
                if let Some(last) = counts.last_mut() {
                    last.days += beyond.max(0.0) / per_deal;
                }
            }
        }
        let last = intervals.len() - 1;
        let (begin, _) = intervals.span(last);
        let wait = if last == 0 { UNKNOWN_LIFE } else { begin.max(1.0) };
        let prior = |index| if index == last { (0.5, 0.5) } else { (0.05, 0.05) };
        let stretches = overall.iter().enumerate();
        let overall = Chances {
            stretches: stretches.map(|(index, it)| it.chances(prior(index), 2.0)).collect(),
            // Before anything was seen: who has waited as long as nine in ten did waits about as long again.
            end_rate: overall[last].end_rate(1.0 / wait, wait),
        };
        let stages: Vec<_> = by_stage.iter().map(|it| Chances::of(it, &overall)).collect();
        let cells = by_cell.iter().zip(stage_of);
        let cells = cells.map(|(counts, stage)| Chances::of(counts, &stages[stage])).collect();
        Self { overall, stages, cells }
    }

    /// The chances of a deal.
    #[must_use]
    pub fn outlook(&self, design: &Design, look: &Look<'_>, depth: Depth) -> Outlook {
        let (stage, cell) = design.cell(look);
        let chances = match depth {
            Depth::Open => &self.overall,
            Depth::Stage => &self.stages[stage],
            Depth::Cell => &self.cells[cell],
        };
        Outlook::of(chances.stretches.iter().copied(), chances.end_rate)
    }
}

/// How often a deal was looked at, on average.
pub(crate) fn per_deal(snapshots: &[Snapshot]) -> f64 {
    let mut deals = 0.0;
    let mut last = usize::MAX;
    for snapshot in snapshots {
        deals += f64::from(u8::from(snapshot.deal != last));
        last = snapshot.deal;
    }
    if deals > 0.0 { snapshots.len() as f64 / deals } else { 1.0 }
}

/// What was seen of a deal in each stretch after a look at it, as far as it was seen: which, for what share of it, and whether it was won or lost in it. Of the last, which has
/// no end, only how it ended counts.
pub(crate) fn stretches(
    fate: Fate,
    intervals: &Intervals,
) -> impl Iterator<Item = (usize, f64, Option<bool>)> + '_ {
    let (Fate::Won(days) | Fate::Lost(days) | Fate::Open(days)) = fate;
    let reached = intervals.of(days);
    (0..=reached).filter_map(move |index| {
        let (begin, end) = intervals.span(index);
        match (fate.is_won(), end) {
            (won @ Some(_), _) if index == reached => Some((index, 1.0, won)),
            (None, Some(end)) if index == reached => {
                Some((index, (days - begin) / (end - begin), None)).filter(|it| it.1 > 0.0)
            }
            (_, Some(_)) => Some((index, 1.0, None)),
            (_, None) => None,
        }
    })
}
