//! What was known of an opportunity when: its versions, each from the instant when it happened until that of the next.

pub(crate) mod store;

use chrono::{DateTime, NaiveDate, Utc};
use money::Money;

use crate::deal::{Fact, Kind};

/// An opportunity as of a version, as far as views of the past need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Which opportunity.
    pub opportunity_id: i64,
    /// Which version.
    pub version: i64,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// When the first of the later ones happened; nothing while it is the last.
    pub until: Option<DateTime<Utc>>,
    /// The pipeline it ran through.
    pub pipeline_id: i64,
    /// Key of its stage.
    pub stage_key: String,
    /// Kind of its stage.
    pub status: Kind,
    /// Whose it was.
    pub owner_id: i64,
    /// The team it counted for.
    pub team_id: Option<i64>,
    /// ISO 4217.
    pub currency: String,
    /// In that currency.
    pub amount: Option<Money>,
    /// In the organisation's currency, where it was closed.
    pub closed_amount: Option<Money>,
    /// Percent.
    pub probability: i32,
    /// The day it was expected to close.
    pub expected_close_date: Option<NaiveDate>,
    /// Whether it was deleted.
    pub is_deleted: bool,
}

impl Version {
    /// The record as of a version, which happened at an instant.
    pub fn of(fact: &Fact, at: DateTime<Utc>) -> Self {
        Self {
            opportunity_id: fact.opportunity_id,
            version: fact.version,
            at,
            until: None,
            pipeline_id: fact.pipeline_id,
            stage_key: fact.stage_key.clone(),
            status: fact.status,
            owner_id: fact.owner_id,
            team_id: fact.team_id,
            currency: fact.currency.clone(),
            amount: fact.amount,
            closed_amount: fact.closed_amount,
            probability: fact.probability,
            expected_close_date: fact.expected_close_date,
            is_deleted: fact.is_deleted,
        }
    }
}

/// Puts the versions of one opportunity in order, each once, and ends each when the first of the later ones happened: at an instant the latest version is
/// known of those that had happened, whatever their clocks said.
pub fn settle(versions: &mut Vec<Version>) {
    versions.sort_by_key(|it| it.version);
    versions.dedup_by_key(|it| it.version);
    let mut next: Option<DateTime<Utc>> = None;
    for it in versions.iter_mut().rev() {
        it.until = next;
        next = Some(next.map_or(it.at, |next| next.min(it.at)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(version: i64, second: i64) -> Version {
        let at = DateTime::from_timestamp(second, 0).unwrap();
        Version {
            opportunity_id: 1,
            version,
            at,
            until: None,
            pipeline_id: 1,
            stage_key: "lead".to_owned(),
            status: Kind::Open,
            owner_id: 1,
            team_id: None,
            currency: "TWD".to_owned(),
            amount: None,
            closed_amount: None,
            probability: 10,
            expected_close_date: None,
            is_deleted: false,
        }
    }

    #[test]
    fn at_every_instant_the_latest_version_that_had_happened_is_known_and_no_other() {
        // As it comes: version and second. The clock of the fourth was slow, and the fifth happened at the same time as the sixth.
        let told = [(2, 20), (1, 10), (4, 15), (2, 20), (6, 40), (5, 40), (3, 30)];
        let mut versions: Vec<_> = told.map(|(it, second)| version(it, second)).to_vec();
        settle(&mut versions);
        assert!(versions.iter().map(|it| it.version).eq(1..=6));
        for second in 0..50 {
            let now = DateTime::from_timestamp(second, 0).unwrap();
            let is_known = |it: &&Version| it.at <= now && it.until.is_none_or(|until| now < until);
            let known: Vec<_> = versions.iter().filter(is_known).map(|it| it.version).collect();
            let happened = told.iter().filter(|(_, at)| *at <= second).map(|(it, _)| *it);
            assert_eq!(known, happened.max().into_iter().collect::<Vec<i64>>(), "{second}");
        }
    }
}
