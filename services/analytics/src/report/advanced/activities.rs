//! What each person did about opportunities, and how the open ones stand that they own.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::activity::TYPES;
use crate::range::Range;
use crate::report::Read;

/// What a number is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// Activities of a kind, by its place in [`TYPES`], that were written down.
    Created(usize),
    /// Those that were done.
    Completed(usize),
    Overdue,
    Touched,
    Open,
    Untouched,
    WithoutNext,
}

impl Of {
    /// As a statement tells it.
    pub(crate) fn parse(what: &str, activity_type: Option<&str>) -> Option<Self> {
        let kind = || TYPES.iter().position(|it| Some(*it) == activity_type);
        Some(match what {
            "created" => Self::Created(kind()?),
            "completed" => Self::Completed(kind()?),
            "overdue" => Self::Overdue,
            "touched" => Self::Touched,
            "open" => Self::Open,
            "untouched" => Self::Untouched,
            "without_next" => Self::WithoutNext,
            _ => return None,
        })
    }
}

/// Whose row it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// Who.
    pub owner_id: i64,
    /// Their name.
    pub owner_name: String,
    /// Their team at present.
    pub team_id: Option<i64>,
}

/// A person with one number, or without any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) person: Person,
    pub(crate) number: Option<(Of, i64)>,
}

/// How many activities, by kind in the order of [`TYPES`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts(pub [i64; 5]);

impl Counts {
    /// All kinds together.
    pub fn total(self) -> i64 {
        self.0.iter().sum()
    }

    fn add(&mut self, kind: usize, count: i64) {
        if let Some(of_kind) = self.0.get_mut(kind) {
            *of_kind += count;
        }
    }
}

/// What everybody did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activities {
    /// The days that are looked at.
    pub range: Range,
    /// Who did the most first.
    pub items: Vec<Did>,
    /// When the latest change in it was written down.
    pub as_of: DateTime<Utc>,
}

/// What one person did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Did {
    /// Who.
    pub person: Person,
    /// Activities that they wrote down.
    pub created: Counts,
    /// Activities of theirs that were done.
    pub completed: Counts,
    /// Activities of theirs that are overdue now.
    pub overdue_count: i64,
    /// Opportunities about which they wrote something down or did something.
    pub touched_count: i64,
    /// Open opportunities of theirs.
    pub open_count: i64,
    /// Of these: about which nobody wrote anything down or did anything.
    pub untouched_count: i64,
    /// Of the open ones: about which nothing is to be done.
    pub without_next_count: i64,
}

impl Did {
    fn add(&mut self, of: Of, count: i64) {
        match of {
            Of::Created(kind) => self.created.add(kind, count),
            Of::Completed(kind) => self.completed.add(kind, count),
            Of::Overdue => self.overdue_count += count,
            Of::Touched => self.touched_count += count,
            Of::Open => self.open_count += count,
            Of::Untouched => self.untouched_count += count,
            Of::WithoutNext => self.without_next_count += count,
        }
    }
}

/// A row for everyone who is told of.
pub(crate) fn activities(range: Range, read: Read<Row>) -> Activities {
    let mut people: BTreeMap<i64, Did> = BTreeMap::new();
    for Row { person, number } in read.rows {
        let id = person.owner_id;
        let did = people.entry(id).or_insert_with(|| Did { person, ..Did::default() });
        if let Some((of, count)) = number {
            did.add(of, count);
        }
    }
    let mut items: Vec<_> = people.into_values().collect();
    items.sort_by(|a, b| {
        let most = |it: &Did| (Reverse(it.completed.total()), Reverse(it.created.total()));
        let name = |it: &Did| it.person.owner_name.clone();
        most(a).cmp(&most(b)).then_with(|| name(a).cmp(&name(b)))
    });
    Activities { range, items, as_of: read.as_of }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(owner_id: i64, owner_name: &str, number: Option<(Of, i64)>) -> Row {
        let person = Person { owner_id, owner_name: owner_name.to_owned(), team_id: None };
        Row { person, number }
    }

    #[test]
    fn who_did_the_most_comes_first_and_who_did_nothing_has_a_row_all_the_same() {
        let of = |what, kind| Of::parse(what, kind).unwrap();
        let rows = vec![
            row(1, "Cai", None),
            row(2, "Bo", Some((of("created", Some("note")), 3))),
            row(3, "An", Some((of("completed", Some("call")), 1))),
            row(3, "An", Some((of("completed", Some("task")), 2))),
            row(3, "An", Some((of("overdue", None), 4))),
            row(4, "Al", None),
        ];
        let it = activities(Range::default(), Read { rows, as_of: DateTime::UNIX_EPOCH });
        let told: Vec<_> = it.items.iter().map(|it| it.person.owner_name.as_str()).collect();
        assert_eq!(told, ["An", "Bo", "Al", "Cai"]);
        assert_eq!((it.items[0].completed.0, it.items[0].overdue_count), ([1, 0, 0, 2, 0], 4));
        assert_eq!((it.items[1].created.total(), it.items[1].completed.total()), (3, 0));
    }

    #[test]
    fn what_is_no_number_or_no_kind_is_not_taken_for_one() {
        assert_eq!(Of::parse("created", Some("fax")), None);
        assert_eq!(Of::parse("created", None), None);
        assert_eq!(Of::parse("done", Some("call")), None);
    }
}
