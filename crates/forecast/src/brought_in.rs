//! What was brought in at once: when a team begins, or takes a book over, its past is written down within days. Such deals tell for how much deals are won and how many of them are, and
//! neither how many come in a week nor how fast they end.

use std::collections::BTreeSet;

use crate::beginning::beginning;
use crate::history::{DAY, History, Seconds, days};

/// A week in seconds.
const WEEK: Seconds = 7 * DAY as Seconds;
/// Something was brought in in a week if more was written down in it than otherwise in so many, and no fewer deals than that.
const WEEKS: f64 = 8.0;
const LEAST: usize = 20;
/// Of a book that is younger, in days, there is nothing to compare with.
const YOUNG: f64 = 28.0;
/// How many weeks on end may be like that. Where more are, a team has grown.
const MOST_WEEKS: usize = 4;
/// How often that may be in a year. Where it is more often, that is how deals come.
const MOST_TIMES: usize = 2;

/// Marks the deals that were brought in, by all that is known.
#[must_use]
pub fn mark(mut history: History, now: Seconds) -> History {
    let weeks = weeks(&history, now);
    for deal in &mut history.deals {
        deal.is_brought_in = weeks.contains(&week(deal.written()));
    }
    history
}

/// Which week since 1970 it is.
pub(crate) fn week(at: Seconds) -> i64 {
    at.div_euclid(WEEK)
}

/// The weeks in which something was brought in.
fn weeks(history: &History, now: Seconds) -> BTreeSet<i64> {
    let written = || history.deals.iter().map(crate::history::Deal::written);
    let age = beginning(written()).map_or(0.0, |first| days(first, now));
    let mut each: Vec<i64> = written().map(week).collect();
    each.sort_unstable();
    let counts = each.chunk_by(|one, other| one == other).map(|week| (week.len(), week[0]));
    let mut fullest: Vec<(usize, i64)> = counts.filter(|(count, _)| *count >= LEAST).collect();
    fullest.sort_unstable_by(|one, other| other.cmp(one));
    if age >= YOUNG {
        fullest.truncate(outstanding(&fullest, each.len(), age));
    }
    let mut weeks: Vec<i64> = fullest.into_iter().map(|(_, week)| week).collect();
    weeks.sort_unstable();
    let times = weeks.chunk_by(|one, next| next - one == 1);
    let times: Vec<&[i64]> =
        times.filter(|weeks| weeks.len() <= MOST_WEEKS || age < YOUNG).collect();
    let in_a_year = |them: &[&[i64]]| them[MOST_TIMES][0] - them[0][0] <= 52;
    if times.windows(MOST_TIMES + 1).any(in_a_year) {
        return BTreeSet::new();
    }
    times.concat().into_iter().collect()
}

/// How many of the fullest weeks stand out from what was in all others.
fn outstanding(fullest: &[(usize, i64)], all: usize, age: f64) -> usize {
    let (mut found, mut rest) = (0, all);
    loop {
        // Two that are alike hide each other: it is asked of some of them together.
        let mut left = rest;
        let together = fullest[found..].iter().take(MOST_WEEKS * MOST_TIMES).enumerate();
        let mut together = together.map(|(index, (count, _))| {
            left -= count;
            (found + index + 1, *count, left)
        });
        let stands_out = together.find(|(taken, count, left)| {
            let others = age / 7.0 - *taken as f64;
            others >= 1.0 && *count as f64 > WEEKS * *left as f64 / others
        });
        let Some((taken, _, left)) = stands_out else { return found };
        (found, rest) = (taken, left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Deal;

    const NOW: Seconds = 400 * DAY as Seconds;

    /// How many of the deals that were written down on these days are taken for brought in.
    fn brought_in(days: &[(i64, usize)]) -> usize {
        let made = |(day, count): &(i64, usize)| {
            vec![Deal { created_at: day * DAY as Seconds, ..Deal::default() }; *count]
        };
        let deals = days.iter().flat_map(made).collect();
        let marked = mark(History { deals, ..History::default() }, NOW);
        marked.deals.iter().filter(|deal| deal.is_brought_in).count()
    }

    fn every(days: usize, count: usize) -> Vec<(i64, usize)> {
        (1..400).step_by(days).map(|day| (day, count)).collect()
    }

    #[test]
    fn what_is_much_more_than_usual_is_brought_in_and_all_else_is_not() {
        assert_eq!(brought_in(&[]), 0);
        assert_eq!(brought_in(&every(1, 2)), 0);
        let with = |usual: Vec<(i64, usize)>, more: &[(i64, usize)]| {
            brought_in(&[&usual[..], more].concat())
        };
        // As a team begins; within two weeks; a year later, too.
        assert_eq!(with(Vec::new(), &[(0, 800)]), 800);
        let alone: Vec<(i64, usize)> =
            every(7, 5).into_iter().filter(|(day, _)| *day > 20).collect();
        assert_eq!(with(alone.clone(), &[(0, 800)]), 800);
        assert_eq!(with(alone.clone(), &[(2, 400), (9, 410)]), 810);
        assert_eq!(with(alone.clone(), &[(2, 4_000), (9, 400), (380, 300)]), 4_700 + 5);
        // A good week is not.
        assert_eq!(with(every(1, 2), &[(200, 40)]), 0);
        // Nor are few.
        assert_eq!(with(every(40, 1), &[(210, 19)]), 0);
    }

    #[test]
    fn where_much_comes_at_once_again_and_again_that_is_how_it_comes() {
        // Once a month, and once a quarter.
        assert_eq!(brought_in(&every(30, 50)), 0);
        assert_eq!(brought_in(&every(91, 150)), 0);
        // A team that has grown.
        let grown = (200..400).map(|day| (day, 10));
        assert_eq!(brought_in(&every(14, 1).into_iter().chain(grown).collect::<Vec<_>>()), 0);
    }

    #[test]
    fn of_a_young_book_what_came_at_once_may_be_the_past() {
        assert_eq!(brought_in(&[(395, 300), (399, 15)]), 300);
        assert_eq!(brought_in(&[(390, 15), (399, 15)]), 0);
    }
}
