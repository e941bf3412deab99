//! What a team is, and what one must satisfy.

use chrono::{DateTime, Utc};
use rpc::{Invalid, mask::Wish};

use crate::text;

/// People who sell together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Team {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Who leads it, if anyone.
    pub manager_id: Option<i64>,
    /// The team above it, if any.
    pub parent_id: Option<i64>,
    /// Rises by one with every change.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was deleted.
    pub deleted_at: Option<DateTime<Utc>>,
}

/// A team as somebody asks for it, unchecked.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Its name.
    pub name: String,
    /// Who is to lead it.
    pub manager_id: Option<i64>,
    /// The team above it.
    pub parent_id: Option<i64>,
}

/// A team that can be stored; whether the manager and the team above exist, the database says.
#[derive(Clone, Debug)]
pub struct NewTeam {
    /// Its name.
    pub name: String,
    /// Who is to lead it.
    pub manager_id: Option<i64>,
    /// The team above it.
    pub parent_id: Option<i64>,
}

impl Draft {
    /// Applies the rules; what breaks one is added to `invalid`, and then there is no team.
    pub fn check(self, invalid: &mut Invalid) -> Option<NewTeam> {
        let name = text::name(invalid, "name", &self.name)?;
        Some(NewTeam { name, manager_id: self.manager_id, parent_id: self.parent_id })
    }
}

/// What is to be other about a team, unchecked.
#[derive(Clone, Debug, Default)]
pub struct Edit {
    /// Its name.
    pub name: Wish<String>,
    /// Who is to lead it.
    pub manager_id: Wish<i64>,
    /// The team above it.
    pub parent_id: Wish<i64>,
}

impl Edit {
    /// The team as it is to be, with the next version where anything is other; what breaks a rule is added to `invalid`. Whether manager and
    /// team above exist, and that no team is below itself, is for the database to say.
    pub fn apply(self, old: &Team, invalid: &mut Invalid) -> Team {
        let mut new = old.clone();
        if let Some(wanted) = self.name
            && let Some(name) = text::name(invalid, "name", &wanted.unwrap_or_default())
        {
            new.name = name;
        }
        if let Some(wanted) = self.manager_id {
            new.manager_id = wanted;
        }
        if let Some(wanted) = self.parent_id {
            new.parent_id = wanted;
        }
        if new != *old {
            new.version += 1;
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_changes_what_it_names_and_a_name_cannot_be_cleared() {
        let team = Team {
            id: 1,
            name: "North".to_owned(),
            manager_id: Some(2),
            parent_id: None,
            version: 3,
            created_at: DateTime::UNIX_EPOCH,
            deleted_at: None,
        };
        let mut invalid = Invalid::default();
        assert_eq!(Edit::default().apply(&team, &mut invalid), team);
        let edit = Edit { manager_id: Some(None), ..Edit::default() };
        let led_by_nobody = Team { manager_id: None, version: 4, ..team.clone() };
        assert_eq!(edit.apply(&team, &mut invalid), led_by_nobody);
        assert!(invalid.is_empty());
        let edit = Edit { name: Some(None), ..Edit::default() };
        assert_eq!(edit.apply(&team, &mut invalid), team);
        assert!(!invalid.is_empty());
    }
}
