//! What this service knows of the people it tells things to.

/// The language in which somebody is told things.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// Traditional Chinese, which is also what a person not yet known is told in.
    #[default]
    ZhTw,
    /// English.
    En,
}

impl Language {
    /// The language of that tag; the default where the product does not speak it.
    pub fn of(tag: &str) -> Self {
        if tag == "en" { Self::En } else { Self::ZhTw }
    }
}

/// A user as told by identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The user's id.
    pub user_id: i64,
    /// The name shown.
    pub username: String,
    /// Where mail goes.
    pub email: String,
    /// `zh-TW` or `en`.
    pub language: String,
    /// `admin`, `manager`, `rep` or `viewer`.
    pub role: String,
    /// Whether they may sign in; who may not is told nothing.
    pub is_active: bool,
    /// The record's version.
    pub version: i64,
}

impl Person {
    /// Whether they see what is their teams' whatever the organisation's setting: as a manager, or as an administrator, who sees everything.
    pub fn sees_what_they_lead(&self) -> bool {
        matches!(self.role.as_str(), "admin" | "manager")
    }
}

/// A team as told by identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Team {
    /// The team's id.
    pub team_id: i64,
    /// Who leads it, if anyone.
    pub manager_id: Option<i64>,
    /// Whether it is gone.
    pub is_deleted: bool,
    /// The record's version.
    pub version: i64,
}
