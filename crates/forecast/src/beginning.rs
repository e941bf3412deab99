//! When a book of deals began: what is far before nearly all of it is an old deal that was written down later, and not a time of which anything is known.

use crate::history::{Seconds, days};

/// No longer gap is near the beginning of a book, in days.
const GAP: f64 = 90.0;
/// One in so many may be before such a gap.
const SHARE: u64 = 20;

/// Of what happened at these instants, in any order.
#[must_use]
pub(crate) fn beginning(times: impl Iterator<Item = Seconds>) -> Option<Seconds> {
    let mut times: Vec<Seconds> = times.collect();
    let all = times.len() as u64;
    // Later than that it did not begin.
    let latest = (most(all) as usize).min(times.len().checked_sub(1)?);
    times.select_nth_unstable(latest);
    times.truncate(latest + 1);
    times.sort_unstable();
    begun(times.into_iter().map(|at| (at, 1)), all)
}

/// Of so many things in all that happened, some at each of these instants, the first of them first.
#[must_use]
pub fn begun(counts: impl IntoIterator<Item = (Seconds, u64)>, all: u64) -> Option<Seconds> {
    let mut begun = None;
    let (mut before, mut last) = (0, None);
    for (at, count) in counts {
        if before > most(all) {
            break;
        }
        if last.is_none_or(|last| days(last, at) >= GAP) {
            begun = Some(at);
        }
        (before, last) = (before + count, Some(at));
    }
    begun
}

fn most(all: u64) -> u64 {
    (all / SHARE).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::DAY;

    #[test]
    fn a_book_begins_with_the_first_deal_that_is_not_far_before_all_others() {
        let day = DAY as Seconds;
        let of = |days: &[i64]| beginning(days.iter().map(|it| it * day)).map(|it| it / day);
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[7]), Some(7));
        let daily: Vec<i64> = (0..180).rev().collect();
        assert_eq!(of(&daily), Some(0));
        let with = |old: &[i64]| of(&[&daily, old].concat());
        // Fifteen years ago, two within a month, and one four years later.
        assert_eq!(with(&[-5_400, -5_370, -4_000]), Some(0));
        // A hundred days before the others, and not one in twenty.
        assert_eq!(with(&[-100; 3]), Some(0));
        // Those are no exceptions.
        assert_eq!(with(&[-100; 20]), Some(-100));
        assert_eq!(with(&[-80]), Some(-80));
        let counts = [(-900 * day, 2), (0, 30), (200 * day, 30)];
        assert_eq!(begun(counts, 62), Some(0));
        assert_eq!(begun(counts, 30), Some(-900 * day));
    }
}
