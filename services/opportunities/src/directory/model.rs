//! People and settings as this service needs them, and who may see or change a record.

use chrono_tz::Tz;

/// A person who uses the product.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// Who may read what.
    pub visibility: Visibility,
}

/// A set of records by their owner and team. The rule is here; `opportunity::store` has it as a predicate, and a test holds the two together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// None.
    Nothing,
    /// One person's, and those of some teams.
    Of {
        /// The person.
        owner_id: i64,
        /// The teams.
        team_ids: Vec<i64>,
    },
    /// All.
    All,
}

impl Sight {
    /// Whether a record of that owner and team is in the set.
    pub fn covers(&self, owner: i64, team: Option<i64>) -> bool {
        match self {
            Self::Nothing => false,
            Self::All => true,
            Self::Of { owner_id, team_ids } => {
                owner == *owner_id || team.is_some_and(|team| team_ids.contains(&team))
            }
        }
    }

    /// The set as what the SQL predicate takes: whether all, whose, of which teams.
    pub fn parts(&self) -> (bool, i64, &[i64]) {
        match self {
            Self::All => (true, 0, &[]),
            Self::Nothing => (false, 0, &[]),
            Self::Of { owner_id, team_ids } => (false, *owner_id, team_ids),
        }
    }
}
