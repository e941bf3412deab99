//! What a session is to the person who has it.

use chrono::{DateTime, TimeDelta, Utc};

/// How long an ended session is told to processes that start: no token lives longer than a day.
pub const TOLD_FOR: TimeDelta = TimeDelta::hours(25);

/// A sign-in and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: i64,
    /// Who signed in.
    pub user_id: i64,
    /// How they did.
    pub method: String,
    /// From where, if known.
    pub address: Option<String>,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When a token of it was last issued.
    pub refreshed_at: DateTime<Utc>,
    /// When it is over unless it is refreshed before.
    pub expires_at: DateTime<Utc>,
    /// Since when it is over.
    pub ended_at: Option<DateTime<Utc>>,
    /// Why it is.
    pub end_reason: Option<String>,
    /// 1 when it began, 2 when it ended.
    pub version: i64,
    /// The name of the program that somebody signed in for, if for one.
    pub client: Option<String>,
}

/// How somebody signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Method {
    /// With a password, at the token endpoint.
    Password,
    /// On the product's own page, for a program that got a code.
    Code,
    /// The same, with an external provider instead of a password.
    External,
}

impl Method {
    /// As it is stored and told.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Code => "code",
            Self::External => "external",
        }
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// Its owner ended it.
    SignedOut,
    /// A refresh token was used twice.
    RefreshReuse,
    /// The password is another now.
    PasswordChanged,
    /// Its owner may not sign in any more.
    UserInactive,
    /// An administrator ended it.
    EndedByAdmin,
    /// A second factor was turned on, or taken away.
    SecondFactorChanged,
    /// The code that gave it was used twice.
    CodeReuse,
    /// The program that it was for is gone.
    ClientDeleted,
}

impl EndReason {
    /// As it is stored and told.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignedOut => "signed_out",
            Self::RefreshReuse => "refresh_reuse",
            Self::PasswordChanged => "password_changed",
            Self::UserInactive => "user_inactive",
            Self::EndedByAdmin => "ended_by_admin",
            Self::SecondFactorChanged => "second_factor_changed",
            Self::CodeReuse => "code_reuse",
            Self::ClientDeleted => "client_deleted",
        }
    }
}

/// What a user may do now, for processes that verify tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    /// The user.
    pub user_id: i64,
    /// The version of these rights.
    pub rights_version: i64,
    /// Whether they may do anything at all.
    pub is_active: bool,
    /// What they may do.
    pub role: crate::user::model::Role,
    /// Their team.
    pub team_id: Option<i64>,
}
