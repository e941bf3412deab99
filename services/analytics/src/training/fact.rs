//! What is learned from: opportunities with all that is known of them, as facts tell it.

use std::cmp::Ordering;

use chrono::{DateTime, NaiveDate, Utc};
use money::Money;

use crate::category::Category;
use crate::deal::Kind;

/// An opportunity, as far as it is learned from.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) opportunity_id: i64,
    pub(crate) pipeline_id: i64,
    pub(crate) stage_key: String,
    pub(crate) status: String,
    pub(crate) owner_id: i64,
    pub(crate) team_id: Option<i64>,
    pub(crate) source: Option<String>,
    /// Its own.
    pub(crate) forecast_category: Option<String>,
    pub(crate) currency: String,
    pub(crate) amount: Option<Money>,
    /// In the organisation's currency: of a closed one as it was frozen, of an open one by the rates of today.
    pub(crate) value: Option<Money>,
    pub(crate) expected_close_date: Option<NaiveDate>,
    pub(crate) actual_close_date: Option<NaiveDate>,
    pub(crate) created_at: DateTime<Utc>,
}

/// A move of one.
#[derive(Clone, Debug)]
pub(crate) struct Moved {
    pub(crate) opportunity_id: i64,
    pub(crate) to_stage_key: String,
    pub(crate) probability: i32,
    pub(crate) changed_at: DateTime<Utc>,
}

/// A change of one: what was known of it before, and when it is expected to close since.
#[derive(Clone, Debug)]
pub(crate) struct Changed {
    pub(crate) opportunity_id: i64,
    pub(crate) at: DateTime<Utc>,
    pub(crate) owner_id: i64,
    pub(crate) currency: String,
    pub(crate) amount: Option<Money>,
    pub(crate) expected_close_date: Option<NaiveDate>,
    pub(crate) expected_since: Option<NaiveDate>,
}

/// When something was done about one.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub(crate) opportunity_id: i64,
    pub(crate) at: DateTime<Utc>,
}

/// All that is known of one, each kind in the order of time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) told: &'a Told,
    pub(crate) moves: &'a [Moved],
    pub(crate) changes: &'a [Changed],
    pub(crate) done: &'a [Done],
}

/// Some, by id, with all that is known of them.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) told: Vec<Told>,
    pub(crate) moves: Vec<Moved>,
    pub(crate) changes: Vec<Changed>,
    pub(crate) done: Vec<Done>,
}

impl Chunk {
    /// Each of them. What is known of one that is not among them, because it was deleted between two looks, is nobody's.
    pub(crate) fn each(&self) -> impl Iterator<Item = Facts<'_>> {
        let (mut moves, mut changes, mut done) = (&*self.moves, &*self.changes, &*self.done);
        self.told.iter().map(move |told| {
            let id = told.opportunity_id;
            Facts {
                told,
                moves: own(&mut moves, |it| it.opportunity_id.cmp(&id)),
                changes: own(&mut changes, |it| it.opportunity_id.cmp(&id)),
                done: own(&mut done, |it| it.opportunity_id.cmp(&id)),
            }
        })
    }
}

/// Takes away those up to an id, which they are in the order of; those of that id itself.
fn own<'a, T>(all: &mut &'a [T], by_id: impl Fn(&T) -> Ordering) -> &'a [T] {
    let begun = |all: &[T], how| all.iter().take_while(|it| by_id(it) == how).count();
    let (_, rest) = all.split_at(begun(all, Ordering::Less));
    let (own, others) = rest.split_at(begun(rest, Ordering::Equal));
    *all = others;
    own
}

/// A stage of a pipeline.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) pipeline_id: i64,
    pub(crate) key: String,
    pub(crate) kind: Kind,
    /// In parts of a hundred, where it was told.
    pub(crate) default_probability: Option<i32>,
    /// Of what in it says nothing itself.
    pub(crate) category: Category,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_a_chunk_has_what_is_its_own() {
        let at = DateTime::UNIX_EPOCH;
        let of = |opportunity_id| Told {
            opportunity_id,
            pipeline_id: 1,
            stage_key: "lead".into(),
            status: "open".into(),
            owner_id: 7,
            team_id: None,
            source: None,
            forecast_category: None,
            currency: "TWD".into(),
            amount: None,
            value: None,
            expected_close_date: None,
            actual_close_date: None,
            created_at: at,
        };
        let to = |opportunity_id| {
            let to_stage_key = "lead".to_owned();
            Moved { opportunity_id, to_stage_key, probability: 10, changed_at: at }
        };
        let chunk = Chunk {
            told: vec![of(1), of(2), of(4)],
            // 3 was deleted after its moves were looked up.
            moves: vec![to(1), to(1), to(3), to(4), to(5)],
            changes: Vec::new(),
            done: vec![Done { opportunity_id: 0, at }, Done { opportunity_id: 2, at }],
        };
        let counts: Vec<_> = chunk.each().map(|it| (it.moves.len(), it.done.len())).collect();
        assert_eq!(counts, [(2, 0), (0, 1), (1, 0)]);
    }
}
