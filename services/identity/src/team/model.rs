//! What a team is, and what a new one must satisfy.

use chrono::{DateTime, Utc};
use rpc::Invalid;

use crate::text;

/// A team of users.
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
