//! How long a deal is in each open stage, in whole days: of what a deal adds to the rollup of stays.

use chrono::{NaiveDate, TimeDelta};
use chrono_tz::Tz;

use crate::deal::{Deal, Fact, Kind, Ladders};
use crate::rollup::day;

/// By what stays are grouped.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StayKey {
    /// `day` or `month` of first entry, or `all`.
    pub grain: &'static str,
    /// Its first day; none of `all`.
    pub start_date: Option<NaiveDate>,
    /// The pipeline.
    pub pipeline_id: i64,
    /// The stage.
    pub stage_key: String,
    /// Whose.
    pub owner_id: i64,
    /// Of which team; 0 of none.
    pub team_id: i64,
    /// How long.
    pub length: Length,
}

/// How long a deal has been in a stage, all its stays together. A stay is as many days as there are from the day of coming in to the day of leaving.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Length {
    /// It left after so many days.
    Ended(i64),
    /// It is there: for as many days as there are since this one.
    Since(NaiveDate),
}

/// How many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stays {
    /// Opportunities.
    pub count: i64,
}

/// The open stages that a deal has entered, each once by the day of the first entry, and for how long.
pub(crate) fn stays<'a>(
    deal: &'a Deal,
    fact: &Fact,
    ladders: &'a Ladders,
    zone: Tz,
) -> impl Iterator<Item = (&'a str, NaiveDate, Length)> {
    let open = ladders.stages(fact.pipeline_id).iter().filter(|(_, kind)| *kind == Kind::Open);
    open.filter_map(move |(key, _)| {
        let moves =
            deal.moves.iter().map(|it| (it.to_stage_key.as_str(), day(it.changed_at, zone)));
        let first = moves.clone().find(|(stage, _)| stage == key)?.1;
        let pairs = moves.clone().zip(moves.clone().skip(1));
        let ended = pairs.filter(|((stage, _), _)| stage == key);
        let days: i64 = ended.map(|((_, from), (_, to))| (to - from).num_days()).sum();
        let length = match moves.clone().next_back() {
            Some((stage, since)) if stage == key => {
                let earlier = since.checked_sub_signed(TimeDelta::days(days));
                Length::Since(earlier.unwrap_or(since))
            }
            _ => Length::Ended(days),
        };
        Some((key.as_str(), first, length))
    })
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use chrono_tz::Asia::Taipei;

    use super::*;
    use crate::deal::Move;
    use crate::report::tests::on;

    fn of(moves: &[(&str, &str)]) -> Vec<(String, NaiveDate, Length)> {
        let moves = moves.iter().zip(1..).map(|((key, at), history_id)| Move {
            history_id,
            from_stage_key: None,
            to_stage_key: (*key).to_owned(),
            probability: 10,
            changed_by: 1,
            changed_at: at.parse().unwrap(),
        });
        let created_at: DateTime<Utc> = "2024-02-28T00:00:00Z".parse().unwrap();
        let fact = Fact {
            opportunity_id: 1,
            version: 1,
            opportunity_name: String::new(),
            customer_id: 1,
            customer_name: None,
            pipeline_id: 1,
            stage_key: "lead".to_owned(),
            status: Kind::Open,
            owner_id: 1,
            team_id: None,
            currency: "TWD".to_owned(),
            amount: None,
            closed_amount: None,
            probability: 10,
            forecast_category: None,
            expected_close_date: None,
            actual_close_date: None,
            lost_reason: None,
            source: None,
            created_at,
            stage_entered_at: created_at,
            is_deleted: false,
        };
        let deal = Deal { fact: Some(fact.clone()), moves: moves.collect() };
        let mut ladders = Ladders::default();
        let stage = |key: &str, kind| (key.to_owned(), kind);
        let stages = [stage("lead", Kind::Open), stage("proposal", Kind::Open)];
        ladders.set(1, [&stages[..], &[stage("won", Kind::Won)]].concat());
        let told = stays(&deal, &fact, &ladders, Taipei);
        told.map(|(key, first, length)| (key.to_owned(), first, length)).collect()
    }

    #[test]
    fn days_are_counted_where_the_organisation_is_over_a_leap_day_too() {
        // The evening of the 28th in UTC is the 29th in Taipei.
        let it = of(&[("lead", "2024-02-28T15:59:59Z"), ("won", "2024-02-29T16:00:00Z")]);
        assert_eq!(it, [("lead".to_owned(), on("2024-02-28"), Length::Ended(2))]);
    }

    #[test]
    fn one_that_came_back_has_been_there_for_all_its_stays_together() {
        let it = of(&[
            ("lead", "2024-03-01T00:00:00Z"),
            ("proposal", "2024-03-11T00:00:00Z"),
            ("lead", "2024-03-20T00:00:00Z"),
        ]);
        // Ten days before, so it is as if it had come on the 10th.
        let lead = ("lead".to_owned(), on("2024-03-01"), Length::Since(on("2024-03-10")));
        let proposal = ("proposal".to_owned(), on("2024-03-11"), Length::Ended(9));
        assert_eq!(it, [lead, proposal]);
    }
}
