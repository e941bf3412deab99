//! Which columns are looked at: not those that tell how a deal ended because they are filled in when it does, and of many the ones that tell the ends apart best.

use std::collections::BTreeMap;

use crate::history::{Deal, History, Seconds, Value};

/// How much more often a column may be blank of won or of lost deals than of open ones, or the other way round, before it is taken for something that is filled in at the end.
const MOST_BLANK: f64 = 0.25;
/// How much more often open deals may be of kinds that ended ones hardly are.
const MOST_UNSEEN: f64 = 0.5;
/// How many deals of a kind have to have ended for it to be known.
const ENOUGH: usize = 20;
/// How many open and ended deals have to be there to say so.
const ENOUGH_TO_TELL: usize = 10;
/// The most columns.
const MOST: usize = 30;
/// A few kinds of a column are weighed by themselves.
const KINDS: usize = 40;

/// The history with the columns that are looked at, and whether amounts are. What is known of deals is as of now for all of them, however they ended, so that this is asked once, of all
/// that is known, and not again of the past.
#[must_use]
pub fn choose(mut history: History, now: Seconds) -> History {
    let ends = Ends::of(&history, now);
    let mut kept: Vec<(usize, f64)> = (0..history.columns.len())
        .filter(|index| !ends.tell(|deal| kind(deal, *index)))
        .map(|index| (index, ends.apart(|deal| kind(deal, index))))
        .collect();
    // The best come first, and of equals the first; then all in their order again.
    kept.sort_by(|one, other| other.1.total_cmp(&one.1));
    kept.truncate(MOST);
    kept.sort_by_key(|(index, _)| *index);
    let ignores_amount = ends.tell(|deal| Kind::of_number(deal.amount));
    history.ignores_amount = ignores_amount;
    if kept.len() == history.columns.len() {
        return history;
    }
    history.columns = kept.iter().map(|(index, _)| history.columns[*index].clone()).collect();
    for deal in &mut history.deals {
        let value = |(index, _): &(usize, f64)| deal.values.get(*index).copied();
        deal.values = kept.iter().map(|it| value(it).unwrap_or_default()).collect();
        for before in &mut deal.before {
            let value = |(index, _): &(usize, f64)| before.values.get(*index).copied();
            before.values = kept.iter().map(|it| value(it).unwrap_or_default()).collect();
        }
    }
    history
}

/// What a column says, as far as it is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Blank,
    Category(u32),
    /// A number, by its bits.
    Number(u64),
}

impl Kind {
    fn of_number(number: Option<f64>) -> Self {
        number.map_or(Self::Blank, |number| Self::Number(number.to_bits()))
    }
}

fn kind(deal: &Deal, index: usize) -> Kind {
    match deal.values.get(index).copied().unwrap_or_default() {
        Value::Missing => Kind::Blank,
        Value::Category(category) => Kind::Category(category),
        Value::Number(number) => Kind::Number(number.to_bits()),
    }
}

/// Deals by how they ended.
struct Ends<'a> {
    open: Vec<&'a Deal>,
    won: Vec<&'a Deal>,
    lost: Vec<&'a Deal>,
}

impl<'a> Ends<'a> {
    fn of(history: &'a History, now: Seconds) -> Self {
        let mut ends = Self { open: Vec::new(), won: Vec::new(), lost: Vec::new() };
        for deal in &history.deals {
            match deal.end(now) {
                Some(end) if end.is_won => ends.won.push(deal),
                Some(_) => ends.lost.push(deal),
                None if deal.standing(now).is_some() => ends.open.push(deal),
                None => {}
            }
        }
        ends
    }

    /// Whether what is said depends on whether the deal has ended, so that it says nothing of those that have not.
    fn tell(&self, kind: impl Fn(&Deal) -> Kind) -> bool {
        let blank = |deals: &[&Deal]| share(deals, |deal| kind(deal) == Kind::Blank);
        let differs = |ended: &[&Deal]| {
            let least = self.open.len().min(ended.len());
            // Of a few it is chance more often.
            let most = MOST_BLANK + 1.0 / (least.max(1) as f64).sqrt();
            least >= ENOUGH_TO_TELL && (blank(&self.open) - blank(ended)).abs() > most
        };
        if differs(&self.won) || differs(&self.lost) {
            return true;
        }
        let mut ended: BTreeMap<Kind, usize> = BTreeMap::new();
        for deal in self.won.iter().chain(&self.lost) {
            *ended.entry(kind(deal)).or_default() += 1;
        }
        let mut open: BTreeMap<Kind, usize> = BTreeMap::new();
        for deal in &self.open {
            *open.entry(kind(deal)).or_default() += 1;
        }
        // One thing is said of most that are open, and hardly ever of what has ended.
        let count = self.won.len() + self.lost.len();
        let is_rare =
            |kind: &Kind| ended.get(kind).copied().unwrap_or_default() < ENOUGH.min(count / 20);
        let unseen = open.iter().filter(|(kind, _)| is_rare(kind)).map(|(_, open)| *open).max();
        let (unseen, open) = (unseen.unwrap_or_default(), self.open.len());
        open >= ENOUGH_TO_TELL && unseen as f64 > MOST_UNSEEN * open as f64
    }

    /// How well what is said tells won from lost: chi-square over its most frequent kinds, one number counting as any.
    fn apart(&self, kind: impl Fn(&Deal) -> Kind) -> f64 {
        let mut counts: BTreeMap<Kind, (f64, f64)> = BTreeMap::new();
        for (deals, is_won) in [(&self.won, true), (&self.lost, false)] {
            for deal in deals {
                let count = counts.entry(kind(deal)).or_default();
                *(if is_won { &mut count.0 } else { &mut count.1 }) += 1.0;
            }
        }
        let (won, lost) = (self.won.len() as f64, self.lost.len() as f64);
        let rate = won / (won + lost).max(1.0);
        let mut counts: Vec<(f64, f64)> = counts.into_values().collect();
        counts.sort_by(|one, other| (other.0 + other.1).total_cmp(&(one.0 + one.1)));
        let parts = counts.into_iter().take(KINDS).map(|(won, lost)| {
            let (all, variance) = (won + lost, rate * (1.0 - rate));
            if variance > 0.0 { (won - all * rate).powi(2) / (all * variance) } else { 0.0 }
        });
        parts.sum()
    }
}

fn share(deals: &[&Deal], is: impl Fn(&Deal) -> bool) -> f64 {
    deals.iter().filter(|deal| is(deal)).count() as f64 / deals.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Column, DAY, Move, Place};

    /// Three hundred deals, of which the last fifty are open; what the columns say of each.
    fn history(columns: usize, said: impl Fn(usize, Option<bool>) -> Vec<Value>) -> History {
        let deal = |it: usize| {
            let made = Seconds::try_from(it).unwrap() * DAY as Seconds;
            let end = (it < 250).then_some(it.is_multiple_of(4));
            let to = |is_won| if is_won { Place::Won } else { Place::Lost };
            let moves = end.map(|is_won| Move { to: to(is_won), at: made + DAY as Seconds });
            Deal {
                created_at: made,
                amount: Some(1.0),
                values: said(it, end),
                moves: moves.into_iter().collect(),
                ..Deal::default()
            }
        };
        let column =
            |it: usize| Column { name: it.to_string(), categories: vec![String::new(); 9] };
        let deals = (0..300).map(deal).collect();
        History { columns: (0..columns).map(column).collect(), deals, ..History::default() }
    }

    fn names(history: History) -> Vec<String> {
        let now = 400 * DAY as Seconds;
        choose(history, now).columns.into_iter().map(|it| it.name).collect()
    }

    #[test]
    fn what_is_filled_in_at_the_end_is_not_looked_at() {
        let said = |it: usize, end: Option<bool>| {
            let category = |number: usize| Value::Category(number as u32);
            let if_some = |is: bool| if is { category(1) } else { Value::Missing };
            vec![
                // Blank of some, whatever became of them.
                if_some(it.is_multiple_of(3)),
                // Why it was lost, of the lost; what it was won for, of the won.
                if_some(end == Some(false)),
                if_some(end == Some(true)),
                // How it stands, in words and as a number that is nought until it ends.
                category(end.map_or(0, |is_won| 1 + usize::from(is_won))),
                Value::Number(if end.is_some() { 5.0 + it as f64 } else { 0.0 }),
                category(it % 5),
            ]
        };
        assert_eq!(names(history(6, said)), ["0", "5"]);
    }

    #[test]
    fn of_many_columns_those_are_looked_at_that_tell_the_ends_apart() {
        let said = |it: usize, _| {
            (0..200).map(|column| {
                let is_told = column == 150 || column == 180;
                Value::Category(if is_told { it % 4 } else { (it / 7 + it * column) % 3 } as u32)
            })
            .collect()
        };
        let names = names(history(200, said));
        assert_eq!(names.len(), MOST);
        assert!(names.contains(&"150".to_owned()) && names.contains(&"180".to_owned()));
    }
}
