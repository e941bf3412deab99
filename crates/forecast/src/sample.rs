//! What is learned from: deals as they stood, open, at regular instants of the past, and what became of them.

use rand::Rng;
use rand::rngs::StdRng;

use crate::history::{DAY, Deal, History, Seconds, days};

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
    let mut lives: Vec<f64> = history.deals.iter().filter_map(|deal| deal.life(now)).collect();
    let middle = lives.len() / 2;
    (middle < lives.len()).then(|| *lives.select_nth_unstable_by(middle, f64::total_cmp).1)
}

/// Deals as they stood at regular instants before `now`, of which nothing later is known. Where there would be more than `most`, some of them by chance.
#[must_use]
pub fn sample(history: &History, now: Seconds, most: usize, rng: &mut StdRng) -> Vec<Snapshot> {
    let (step, looks) = instants(history, now);
    // The looks at which each deal was there and had not ended for good, by the first and the last of them.
    let spans: Vec<(usize, Seconds, Seconds)> = history
        .deals
        .iter()
        .enumerate()
        .filter_map(|(index, deal)| {
            let (first, last) = span(deal, now, (step, looks))?;
            Some((index, first, last))
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

/// The time between two of those instants, and how many there are.
fn instants(history: &History, now: Seconds) -> (Seconds, Seconds) {
    let life = median_life(history, now).unwrap_or(STEP).max(0.01);
    let step = ((life / 3.0).min(STEP) * DAY) as Seconds;
    let back = (LOOK_BACK.max(LOOK_BACK_LIVES * life) * DAY) as Seconds;
    // Where most deals end at once, the others are not looked at without end.
    let step = step.max(back / MOST_LOOKS).max(1);
    (step, back / step)
}

/// From the first to the last of them, counted back from now, a deal was there and had not ended for good.
fn span(
    deal: &Deal,
    now: Seconds,
    (step, looks): (Seconds, Seconds),
) -> Option<(Seconds, Seconds)> {
    if deal.created_at > now {
        return None;
    }
    let end = deal.end(now).map_or(now, |end| end.at);
    let first = (now - end) / step + 1;
    let last = ((now - deal.created_at) / step).min(looks);
    (first <= last).then_some((first.max(1), last))
}

/// Whether so many of the deals that have ended by an instant were open at one of those before it. What ends when it is written down says nothing of what is open.
#[must_use]
pub(crate) fn are_seen(history: &History, now: Seconds, enough: usize) -> bool {
    let instants = instants(history, now);
    let is_seen = |deal: &&Deal| {
        deal.end(now).is_some()
            && span(deal, now, instants).is_some_and(|(first, last)| {
                (first..=last).any(|look| deal.standing(now - look * instants.0).is_some())
            })
    };
    history.deals.iter().filter(is_seen).take(enough).count() == enough
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::history::{Move, Place};

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
        for (now, seen) in [(59, 0), (61, 1), (100, 1), (300, 2)] {
            assert!(are_seen(&history, now * day, seen), "{now}");
            assert!(!are_seen(&history, now * day, seen + 1), "{now}");
        }
    }
}
