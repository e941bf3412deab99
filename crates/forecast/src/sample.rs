//! What is learned from: deals as they stood, open, at regular instants of the past, and what became of them.

use rand::Rng;
use rand::rngs::StdRng;

use crate::history::{DAY, History, Seconds, days};

/// How far back it is looked, in days, at least.
const LOOK_BACK: f64 = 548.0;
/// And in lives of a deal.
const LOOK_BACK_LIVES: f64 = 6.0;
/// How often a deal is looked at, at most.
const MOST_LOOKS: Seconds = 1_000;
/// Days between two looks, at most.
const STEP: f64 = 14.0;

/// A deal that was open at an instant.
#[derive(Clone, Copy, Debug)]
pub struct Snapshot {
    /// Which deal, by its place in the history.
    pub deal: usize,
    /// When.
    pub at: Seconds,
    /// What became of it.
    pub fate: Fate,
}

/// What became of an open deal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    /// It was won, so many days later.
    Won(f64),
    /// It was lost, so many days later.
    Lost(f64),
    /// It is open still, so many days later.
    Open(f64),
}

impl Fate {
    /// Whether it was won, if it ended.
    #[must_use]
    pub fn is_won(self) -> Option<bool> {
        match self {
            Self::Won(_) => Some(true),
            Self::Lost(_) => Some(false),
            Self::Open(_) => None,
        }
    }
}

/// What became of a deal that was open at an instant, as known by another; it was open then.
#[must_use]
pub fn fate(history: &History, deal: usize, at: Seconds, now: Seconds) -> Fate {
    match history.deals[deal].end(now) {
        Some(end) if end.is_won => Fate::Won(days(at, end.at)),
        Some(end) => Fate::Lost(days(at, end.at)),
        None => Fate::Open(days(at, now)),
    }
}

/// How long deals that have ended by an instant lived, in days, the shortest first; of those of which it is known.
#[must_use]
pub(crate) fn lives(history: &History, now: Seconds) -> Vec<f64> {
    let mut lives: Vec<f64> = history.deals.iter().filter_map(|deal| deal.life(now)).collect();
    lives.sort_unstable_by(f64::total_cmp);
    lives
}

/// The median of that. None while none has.
#[must_use]
pub fn median_life(history: &History, now: Seconds) -> Option<f64> {
    let lives = lives(history, now);
    lives.get(lives.len() / 2).copied()
}

/// Deals as they stood at regular instants before `now`, of which nothing later is known. Where there would be more than `most`, some of them by chance.
#[must_use]
pub fn sample(history: &History, now: Seconds, most: usize, rng: &mut StdRng) -> Vec<Snapshot> {
    let life = median_life(history, now).unwrap_or(STEP).max(0.01);
    let step = ((life / 3.0).min(STEP) * DAY) as Seconds;
    let back = (LOOK_BACK.max(LOOK_BACK_LIVES * life) * DAY) as Seconds;
    // Where most deals end at once, the others are not looked at without end.
    let step = step.max(back / MOST_LOOKS).max(1);
    let looks = back / step;
    // The looks at which each deal was there and had not ended for good, by the first and the last of them.
    let spans: Vec<(usize, Seconds, Seconds)> = history
        .deals
        .iter()
        .enumerate()
        .filter(|(_, deal)| deal.created_at <= now)
        .filter_map(|(index, deal)| {
            let end = deal.end(now).map_or(now, |end| end.at);
            let first = (now - end) / step + 1;
            let last = ((now - deal.created_at) / step).min(looks);
            (first <= last).then_some((index, first.max(1), last))
        })
        .collect();
    let count: Seconds = spans.iter().map(|(_, first, last)| last - first + 1).sum();
    let share = most as f64 / (count.max(1)) as f64;
    let mut found = Vec::with_capacity(most.min(usize::try_from(count).unwrap_or(most)));
    for (deal, first, last) in spans {
        for look in first..=last {
            let at = now - look * step;
            if (share >= 1.0 || rng.random::<f64>() < share)
                && history.deals[deal].standing(at).is_some()
            {
                found.push(Snapshot { deal, at, fate: fate(history, deal, at, now) });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::history::{Deal, Move, Place};

    #[test]
    fn a_deal_is_looked_at_while_it_was_open_and_never_after_now() {
        let day = DAY as Seconds;
        let to = |place, at| Move { to: place, at: at * day };
        let ended = Deal {
            created_at: 0,
            moves: vec![to(Place::Stage(0), 0), to(Place::Won, 60)],
            ..Deal::default()
        };
        let open = Deal {
            created_at: 30 * day,
            moves: vec![to(Place::Stage(0), 30), to(Place::Lost, 200)],
            ..Deal::default()
        };
        let history = History { deals: vec![ended, open], ..History::default() };
        let mut rng = StdRng::seed_from_u64(1);
        let found = sample(&history, 100 * day, 1_000, &mut rng);
        let of = |deal| found.iter().filter(move |it| it.deal == deal);
        assert_eq!(of(0).map(|it| it.at / day).collect::<Vec<_>>(), [58, 44, 30, 16, 2]);
        assert!(of(0).all(|it| it.fate == Fate::Won(days(it.at, 60 * day))));
        assert!(of(1).all(|it| it.fate == Fate::Open(days(it.at, 100 * day))));
        assert_eq!(sample(&history, 100 * day, 1_000, &mut rng).len(), found.len());
    }
}
