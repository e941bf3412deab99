//! Targets as they are set, and the one that holds where none is set for just that.

use std::collections::BTreeMap;

use chrono::{DateTime, Months, Utc};
use money::Money;

use crate::period::{Calendar, Period, Unit};
use crate::plan::model::{Name, Slot, Subject};

/// A target as it is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its id.
    pub id: i64,
    /// For which period.
    pub slot: Slot,
    /// What that is called now.
    pub name: Name,
    /// For whom.
    pub subject: Subject,
    /// The name of the person or the team.
    pub subject_name: Option<String>,
    /// Of a person: their present team.
    pub team_of_owner: Option<i64>,
    /// How much.
    pub amount: Money,
    /// Who set it.
    pub set_by: i64,
    /// Their name.
    pub set_by_name: String,
    /// When.
    pub set_at: DateTime<Utc>,
    /// Rises by one with every change.
    pub version: i64,
}

/// An amount that is set for a period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Set {
    pub(crate) subject: Subject,
    pub(crate) slot: Slot,
    pub(crate) amount: Money,
}

/// Where a target comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// It was set for just that.
    Set,
    /// The sum of those of the quarters, where the year has none.
    Quarters,
    /// The sum of those of the months, where the quarter has none.
    Months,
    /// The sum of those of the topmost teams, where the organisation has none.
    Teams,
}

impl Source {
    /// As answers say it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Quarters => "quarters",
            Self::Months => "months",
            Self::Teams => "teams",
        }
    }
}

/// The target that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effective {
    /// How much.
    pub amount: Money,
    /// Where it comes from.
    pub source: Source,
    /// Whether a part of the period, or a topmost team, has none, so that it is too low.
    pub is_partial: bool,
}

/// What holds for one subject in a period: what is set for it; otherwise of a year the sum of its quarters, of a quarter the sum of its months.
fn of_subject(calendar: Calendar, period: &Period, set: &[&Set]) -> Option<Effective> {
    let slot = Slot::of(period);
    if let Some(it) = set.iter().find(|it| it.slot == slot) {
        return Some(Effective { amount: it.amount, source: Source::Set, is_partial: false });
    }
    let year = calendar.year_of(slot.start);
    let (parts, source): (Vec<Period>, _) = match slot.unit {
        Unit::Month => return None,
        Unit::Quarter => {
            let starts = (0..3).filter_map(|n| slot.start.checked_add_months(Months::new(n)));
            let months = starts.map(|start| Period {
                label: String::new(),
                span: Slot { unit: Unit::Month, start }.span(),
            });
            (months.collect(), Source::Months)
        }
        Unit::Year => ((1..=4).map(|it| calendar.quarter(year, it)).collect(), Source::Quarters),
    };
    let known: Vec<_> = parts.iter().map(|part| of_subject(calendar, part, set)).collect();
    if known.iter().all(Option::is_none) {
        return None;
    }
    let amount = known.iter().flatten().map(|it| it.amount).sum();
    let is_partial = known.iter().any(|it| it.is_none_or(|it| it.is_partial));
    // A year of which no quarter is set is the sum of months.
    let is_of_months = known.iter().flatten().all(|it| it.source == Source::Months);
    let source = if is_of_months { Source::Months } else { source };
    Some(Effective { amount, source, is_partial })
}

fn by_subject(set: &[Set]) -> BTreeMap<Subject, Vec<&Set>> {
    let mut subjects: BTreeMap<Subject, Vec<&Set>> = BTreeMap::new();
    for it in set {
        subjects.entry(it.subject).or_default().push(it);
    }
    subjects
}

/// What holds for what is set: of the organisation, a person or a team its own; where that is not set for just the period and a part has none, or it is not set at all, the sum of the
/// topmost teams', where there is one.
pub(crate) fn of_scope(
    calendar: Calendar,
    period: &Period,
    set: &[Set],
    topmost: &[i64],
) -> Option<Effective> {
    let subjects = by_subject(set);
    let holds = |set: &Vec<&Set>| of_subject(calendar, period, set);
    let is_part = |it: Subject| it.team_id().is_some_and(|id| topmost.contains(&id));
    let own = subjects.iter().find(|(subject, _)| !is_part(**subject));
    let own = own.and_then(|(_, set)| holds(set));
    if own.is_some_and(|it| !it.is_partial) {
        return own;
    }
    let teams = topmost.iter().map(|id| subjects.get(&Subject::Team(*id)).and_then(holds));
    let teams: Vec<_> = teams.collect();
    if teams.iter().all(Option::is_none) {
        return own;
    }
    Some(Effective {
        amount: teams.iter().flatten().map(|it| it.amount).sum(),
        source: Source::Teams,
        is_partial: teams.iter().any(|it| it.is_none_or(|it| it.is_partial)),
    })
}

/// What holds for each person.
pub(crate) fn of_people(
    calendar: Calendar,
    period: &Period,
    set: &[Set],
) -> BTreeMap<i64, Effective> {
    let subjects = by_subject(set);
    let people = subjects.iter().filter_map(|(subject, set)| {
        Some((subject.owner_id()?, of_subject(calendar, period, set)?))
    });
    people.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::{money, on};

    const APRIL: Calendar = Calendar { first_month: 4 };

    fn set(subject: Subject, unit: Unit, start: &str, amount: i128) -> Set {
        Set { subject, slot: Slot { unit, start: on(start) }, amount: money(amount) }
    }

    fn told(it: Option<Effective>) -> Option<(i128, &'static str, bool)> {
        it.map(|it| (it.amount.hundredths(), it.source.as_str(), it.is_partial))
    }

    #[test]
    fn a_quarter_without_a_target_is_the_sum_of_its_months() {
        let all = Subject::Organisation;
        let mut rows = vec![
            set(all, Unit::Month, "2025-07-01", 100),
            set(all, Unit::Month, "2025-08-01", 200),
            set(all, Unit::Month, "2025-10-01", 7),
        ];
        let quarter = APRIL.quarter(2025, 2);
        assert_eq!(told(of_scope(APRIL, &quarter, &rows, &[])), Some((300, "months", true)));
        rows.push(set(all, Unit::Month, "2025-09-01", 50));
        assert_eq!(told(of_scope(APRIL, &quarter, &rows, &[])), Some((350, "months", false)));
        rows.push(set(all, Unit::Quarter, "2025-07-01", 900));
        assert_eq!(told(of_scope(APRIL, &quarter, &rows, &[])), Some((900, "set", false)));
        // One of another quarter, as fiscal years were before, is none of this.
        let others = [set(all, Unit::Quarter, "2025-08-01", 900)];
        assert_eq!(of_scope(APRIL, &quarter, &others, &[]), None);
    }

    #[test]
    fn a_year_is_the_sum_of_its_quarters_each_set_or_the_sum_of_its_months() {
        let amy = Subject::Owner(1);
        let mut rows = vec![set(amy, Unit::Month, "2026-03-01", 5)];
        let year = APRIL.year(2025);
        assert_eq!(told(of_scope(APRIL, &year, &rows, &[])), Some((5, "months", true)));
        rows.push(set(amy, Unit::Quarter, "2025-04-01", 1_000));
        assert_eq!(told(of_scope(APRIL, &year, &rows, &[])), Some((1_005, "quarters", true)));
        for start in ["2025-07-01", "2025-10-01", "2026-01-01"] {
            rows.push(set(amy, Unit::Quarter, start, 1_000));
        }
        assert_eq!(told(of_scope(APRIL, &year, &rows, &[])), Some((4_000, "quarters", false)));
        rows.push(set(amy, Unit::Year, "2025-04-01", 1));
        assert_eq!(told(of_scope(APRIL, &year, &rows, &[])), Some((1, "set", false)));
        // Nobody knows how a quarter's is spread.
        assert_eq!(of_scope(APRIL, &APRIL.month(2025, 4), &rows, &[]), None);
    }

    #[test]
    fn the_organisation_s_own_goes_before_the_sum_of_its_teams() {
        let quarter = APRIL.quarter(2025, 1);
        let of = |rows: &[Set], topmost| told(of_scope(APRIL, &quarter, rows, topmost));
        let mut rows = vec![set(Subject::Team(1), Unit::Quarter, "2025-04-01", 10)];
        assert_eq!(of(&rows, &[]), Some((10, "set", false)), "that team is what was asked for");
        assert_eq!(of(&rows, &[1]), Some((10, "teams", false)));
        assert_eq!(of(&rows, &[1, 2]), Some((10, "teams", true)), "the other has none");
        rows.push(set(Subject::Team(2), Unit::Month, "2025-04-01", 5));
        assert_eq!(of(&rows, &[1, 2]), Some((15, "teams", true)));
        rows.push(set(Subject::Organisation, Unit::Quarter, "2025-04-01", 99));
        assert_eq!(of(&rows, &[1, 2]), Some((99, "set", false)));
    }

    #[test]
    fn a_part_of_the_organisation_s_own_does_not_hide_what_its_teams_add_up_to() {
        let quarter = APRIL.quarter(2025, 1);
        let of = |rows: &[Set], topmost| told(of_scope(APRIL, &quarter, rows, topmost));
        let mut rows = vec![set(Subject::Organisation, Unit::Month, "2025-04-01", 3)];
        assert_eq!(of(&rows, &[1]), Some((3, "months", true)), "no team has one");
        rows.push(set(Subject::Team(1), Unit::Quarter, "2025-04-01", 10));
        assert_eq!(of(&rows, &[1]), Some((10, "teams", false)));
        // One of another length, which comes to nothing.
        rows[0] = set(Subject::Organisation, Unit::Year, "2025-04-01", 900);
        assert_eq!(of(&rows, &[1]), Some((10, "teams", false)));
        for start in ["2025-04-01", "2025-05-01", "2025-06-01"] {
            rows.push(set(Subject::Organisation, Unit::Month, start, 4));
        }
        assert_eq!(of(&rows, &[1]), Some((12, "months", false)));
    }

    #[test]
    fn each_person_has_their_own() {
        let quarter = APRIL.quarter(2025, 1);
        let rows = [
            set(Subject::Owner(1), Unit::Quarter, "2025-04-01", 10),
            set(Subject::Owner(2), Unit::Month, "2025-05-01", 20),
            set(Subject::Owner(3), Unit::Year, "2025-04-01", 30),
            set(Subject::Team(4), Unit::Quarter, "2025-04-01", 40),
        ];
        let people = of_people(APRIL, &quarter, &rows);
        let told: Vec<_> = people.iter().map(|(id, it)| (*id, it.amount)).collect();
        assert_eq!(told, [(1, money(10)), (2, money(20))]);
    }
}
