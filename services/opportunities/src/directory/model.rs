//! People and settings as this service needs them.

use chrono_tz::Tz;

/// A person who uses the product.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// Their id.
    pub user_id: i64,
    /// The name shown.
    pub username: String,
    /// E-mail address.
    pub email: String,
    /// `admin`, `manager`, `rep` or `viewer`.
    pub role: String,
    /// Their team.
    pub team_id: Option<i64>,
    /// Whether they may sign in.
    pub is_active: bool,
}

/// Who may read what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// All read all.
    Everyone,
    /// One's team's.
    Team,
    /// One's own.
    Owner,
}

impl Visibility {
    /// The visibility of that name.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "everyone" => Some(Self::Everyone),
            "team" => Some(Self::Team),
            "owner" => Some(Self::Owner),
            _ => None,
        }
    }
}

/// The organisation's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The zone in which days are cut.
    pub zone: Tz,
    /// ISO 4217.
    pub default_currency: String,
    /// Whether it stays what it is, because there are amounts.
    pub currency_fixed: bool,
    /// Who may read what.
    pub visibility: Visibility,
}
