//! Whom a plan is for, which period, and by what rule it is seen and set.

use chrono::{Datelike as _, NaiveDate};
use rpc::Invalid;

use crate::period::{Asked, Calendar, Period, Span, Unit};
use crate::visibility::Sight;

/// Whom a plan is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// All of it.
    Organisation,
    /// A person.
    Owner(i64),
    /// A team.
    Team(i64),
}

impl Subject {
    /// Whom somebody names; both at once is noted.
    pub fn asked(
        owner_id: Option<i64>,
        team_id: Option<i64>,
        invalid: &mut Invalid,
    ) -> Option<Self> {
        match (owner_id, team_id) {
            (None, None) => Some(Self::Organisation),
            (Some(id), None) => Some(Self::Owner(id)),
            (None, Some(id)) => Some(Self::Team(id)),
            (Some(_), Some(_)) => {
                invalid.add("team_id", "not_with_owner", "is named beside an owner_id");
                None
            }
        }
    }

    /// Of a row: 0 is none.
    pub(crate) fn of_ids(owner_id: i64, team_id: i64) -> Self {
        match (owner_id, team_id) {
            (0, 0) => Self::Organisation,
            (0, team_id) => Self::Team(team_id),
            (owner_id, _) => Self::Owner(owner_id),
        }
    }

    /// As a row has it: owner and team, 0 is none.
    pub fn ids(self) -> (i64, i64) {
        match self {
            Self::Organisation => (0, 0),
            Self::Owner(id) => (id, 0),
            Self::Team(id) => (0, id),
        }
    }

    /// The person, where it is one.
    pub fn owner_id(self) -> Option<i64> {
        if let Self::Owner(id) = self { Some(id) } else { None }
    }

    /// The team, where it is one.
    pub fn team_id(self) -> Option<i64> {
        if let Self::Team(id) = self { Some(id) } else { None }
    }
}

/// What a caller may see of plans, and whose they may set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rights {
    /// Whose numbers they see.
    pub(crate) sight: Sight,
    /// Their own team, whose plans they see in any case.
    pub(crate) own_team: Option<i64>,
    /// Whose they may set.
    pub(crate) sets: Sight,
}

impl Rights {
    /// Whether they may set a subject's plans; of a person by their present team.
    pub(crate) fn may_set(&self, subject: Subject, team_id: Option<i64>) -> bool {
        match subject {
            Subject::Organisation => self.sets == Sight::All,
            Subject::Owner(id) => self.sets.covers(id, team_id),
            Subject::Team(id) => self.sets.covers(0, Some(id)),
        }
    }

    /// What the predicate of a statement takes: whether all, whose, people of which teams, which teams themselves.
    pub(crate) fn parts(&self) -> (bool, i64, &[i64], Vec<i64>) {
        let (sees_all, owner_id, team_ids) = self.sight.parts();
        let themselves = team_ids.iter().copied().chain(self.own_team).collect();
        // 0 would be the organisation.
        (sees_all, if owner_id > 0 { owner_id } else { -1 }, team_ids, themselves)
    }
}

/// A period that something is planned for. It keeps its days whatever becomes of fiscal years.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// How long it is.
    pub unit: Unit,
    /// Its first day.
    pub start: NaiveDate,
}

impl Slot {
    /// Of a period of whole months.
    pub fn of(period: &Period) -> Self {
        let days = (period.span.end - period.span.start).num_days();
        let unit = match days {
            ..=31 => Unit::Month,
            32..=93 => Unit::Quarter,
            _ => Unit::Year,
        };
        Self { unit, start: period.span.start }
    }

    /// The one that somebody sets something for: all of it has to be named. Whatever is wrong is noted.
    pub fn asked(
        calendar: Calendar,
        asked: &Asked<'_>,
        today: NaiveDate,
        invalid: &mut Invalid,
    ) -> Option<Self> {
        let mut needed = |field: &str, is_given: bool| {
            if !is_given {
                invalid.add(field, "required", "is missing");
            }
        };
        needed("period", asked.period.is_some());
        needed("year", asked.year.is_some());
        match asked.period {
            Some("quarter") => needed("quarter", asked.quarter.is_some()),
            Some("month") => needed("month", asked.month.is_some()),
            _ => {}
        }
        // Which of the others would go with none nobody knows.
        asked.period?;
        calendar.asked(asked, today, invalid).as_ref().map(Self::of)
    }

    /// Of a row.
    pub(crate) fn of_row(unit: &str, start: NaiveDate) -> Option<Self> {
        let units = [Unit::Month, Unit::Quarter, Unit::Year];
        let unit = units.into_iter().find(|it| it.as_str() == unit)?;
        Some(Self { unit, start })
    }

    /// Its days.
    pub fn span(self) -> Span {
        let months = match self.unit {
            Unit::Month => 1,
            Unit::Quarter => 3,
            Unit::Year => 12,
        };
        Span::of_months(self.start, months)
    }

    /// What it is called now.
    pub fn name(self, calendar: Calendar) -> Name {
        let year = calendar.year_of(self.start);
        let (quarter, month) = (calendar.quarter_of(self.start), self.start.month());
        let (period, quarter, month) = match self.unit {
            Unit::Month => (calendar.month(year, month), None, Some(month)),
            Unit::Quarter => (calendar.quarter(year, quarter), Some(quarter), None),
            Unit::Year => (calendar.year(year), None, None),
        };
        if period.span == self.span() {
            return Name { label: period.label, year: Some(year), quarter, month };
        }
        let Span { start, end } = self.span();
        Name { label: format!("{start}/{end}"), year: None, quarter: None, month: None }
    }
}

/// What a period is called by a calendar: by its days where it is none of that calendar's periods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// As reports call it.
    pub label: String,
    /// The fiscal year.
    pub year: Option<i32>,
    /// The quarter.
    pub quarter: Option<u32>,
    /// The month.
    pub month: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const APRIL: Calendar = Calendar { first_month: 4 };

    fn rights(sets: Sight) -> Rights {
        let sight = Sight::Of { owner_id: 7, team_ids: vec![3] };
        Rights { sight, own_team: Some(5), sets }
    }

    #[test]
    fn a_manager_sets_what_is_within_reach_and_the_organisation_s_is_an_administrator_s() {
        let manager = rights(Sight::Of { owner_id: -1, team_ids: vec![3] });
        assert!(manager.may_set(Subject::Team(3), Some(3)));
        assert!(manager.may_set(Subject::Owner(8), Some(3)));
        assert!(manager.may_set(Subject::Owner(7), Some(3)));
        assert!(!manager.may_set(Subject::Owner(7), None));
        assert!(!manager.may_set(Subject::Owner(8), Some(5)));
        assert!(!manager.may_set(Subject::Team(5), Some(5)));
        assert!(!manager.may_set(Subject::Organisation, None));
        assert!(rights(Sight::All).may_set(Subject::Organisation, None));
        assert!(!rights(Sight::Nothing).may_set(Subject::Owner(7), Some(3)));
    }

    #[test]
    fn one_s_own_team_is_seen_itself_and_not_its_people() {
        let it = rights(Sight::Nothing);
        let (sees_all, owner_id, people_of, teams) = it.parts();
        assert_eq!((sees_all, owner_id, people_of, &*teams), (false, 7, &[3][..], &[3, 5][..]));
    }

    #[test]
    fn who_sees_nothing_does_not_see_the_organisation_for_it() {
        let it = Rights { sight: Sight::Nothing, own_team: None, sets: Sight::Nothing };
        assert_eq!(it.parts().1, -1);
    }

    #[test]
    fn a_period_keeps_its_days_and_loses_its_name_where_fiscal_years_begin_otherwise() {
        let quarter = Slot::of(&APRIL.quarter(2025, 4));
        assert_eq!(quarter.unit, Unit::Quarter);
        let name = quarter.name(APRIL);
        let told = (&*name.label, name.year, name.quarter, name.month);
        assert_eq!(told, ("2025-Q4", Some(2025), Some(4), None));
        let name = quarter.name(Calendar { first_month: 2 });
        let told = (&*name.label, name.year, name.quarter);
        assert_eq!(told, ("2026-01-01/2026-03-31", None, None));
        let month = Slot::of(&APRIL.month(2025, 2)).name(APRIL);
        assert_eq!((&*month.label, month.year, month.month), ("2026-02", Some(2025), Some(2)));
        assert_eq!(Slot::of(&APRIL.year(2025)).name(APRIL).label, "2025");
    }

    #[test]
    fn what_is_set_is_set_for_a_period_that_is_named_in_full() {
        let wrong = |asked: Asked<'_>| {
            let mut invalid = Invalid::default();
            Slot::asked(APRIL, &asked, "2025-11-20".parse().unwrap(), &mut invalid);
            match invalid.into_result() {
                Err(rpc::Error::Invalid(fields)) => {
                    fields.into_iter().map(|it| format!("{} {}", it.field, it.code)).collect()
                }
                _ => Vec::new(),
            }
        };
        assert_eq!(wrong(Asked::default()), ["period required", "year required"]);
        let quarter = Asked { period: Some("quarter"), year: Some(2025), ..Asked::default() };
        assert_eq!(wrong(quarter), ["quarter required"]);
        assert!(wrong(Asked { quarter: Some(1), ..quarter }).is_empty());
        let month = Asked { period: Some("month"), quarter: Some(1), ..quarter };
        assert_eq!(wrong(month), ["month required", "quarter not_for_this_period"]);
    }
}
