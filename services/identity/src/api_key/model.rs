//! What an API key is, what a new one must satisfy, and which one is good.

use auth::Scope;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use chrono::{DateTime, TimeDelta, Utc};
use rpc::{Error, Invalid};

use crate::{text, token::store::Account};

/// How many keys of a person may be good at once.
pub const MOST: i64 = 50;

/// The longest that a token lives for which a key was exchanged, in seconds.
const TOKEN_LIFE_S: i64 = 60;

/// How often the last use is written down at most.
const NOTED_EVERY: TimeDelta = TimeDelta::minutes(1);

/// An API key without its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its id, among those of sessions.
    pub id: i64,
    /// Whose it is.
    pub user_id: i64,
    /// What its owner calls it.
    pub name: String,
    /// Whether it may be used to change something.
    pub can_write: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// From when on it is no longer good.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// 1 when it was made, 2 when it was revoked.
    pub version: i64,
}

impl ApiKey {
    /// What it may be used for, by name.
    pub fn scopes(&self) -> Vec<&'static str> {
        if self.can_write { vec![READ, WRITE] } else { vec![READ] }
    }
}

const READ: &str = "read";
const WRITE: &str = "write";

/// A key as somebody asks for it, unchecked.
#[derive(Clone, Debug)]
pub struct Draft {
    /// What to call it.
    pub name: String,
    /// `read`, `write`; `read` where there is none.
    pub scopes: Vec<String>,
    /// From when on it is no longer good; never where absent.
    pub expires_at: Option<DateTime<Utc>>,
}

/// A key that can be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// What to call it.
    pub name: String,
    /// Whether it may be used to change something.
    pub can_write: bool,
    /// From when on it is no longer good.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Draft {
    /// Applies the rules; what breaks one is added to `invalid`, and then there is no key.
    pub fn check(self, now: DateTime<Utc>, invalid: &mut Invalid) -> Option<NewKey> {
        let name = text::name(invalid, "name", &self.name);
        for (index, scope) in self.scopes.iter().enumerate() {
            if ![READ, WRITE].contains(&scope.as_str()) {
                let field = format!("scopes[{index}]");
                invalid.add(field, "unknown_value", "is neither `read` nor `write`");
            }
        }
        if self.expires_at.is_some_and(|at| at <= now) {
            invalid.add("expires_at", "in_the_past", "is not in the future");
        }
        let can_write = self.scopes.iter().any(|scope| scope == WRITE);
        Some(NewKey { name: name?, can_write, expires_at: self.expires_at })
    }
}

/// What has to be known of a key that somebody shows.
#[derive(Clone, Debug)]
pub struct Known {
    /// SHA-256 of the key.
    pub key_hash: Vec<u8>,
    /// Whether it may be used to change something.
    pub can_write: bool,
    /// From when on it is no longer good.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Whose it is, as they are now.
    pub owner: Account,
}

impl Known {
    /// For how many seconds a token is good that the key of this hash is exchanged for. Only who has the key learns why it is not.
    pub fn token_life_s(&self, hash: &[u8], now: DateTime<Utc>) -> Result<i64, Error> {
        if verify_slices_are_equal(&self.key_hash, hash).is_err() {
            return Err(invalid());
        }
        if self.revoked_at.is_some() {
            return Err(Error::unauthenticated("API_KEY_REVOKED", "the API key was revoked"));
        }
        if !self.owner.is_active {
            let message = "the owner of the API key is not active";
            return Err(Error::unauthenticated("API_KEY_REVOKED", message));
        }
        // In whole seconds, so that no token outlives its key.
        match self.expires_at.map_or(TOKEN_LIFE_S, |at| (at - now).num_seconds()) {
            ..=0 => Err(Error::unauthenticated("API_KEY_EXPIRED", "the API key has expired")),
            left => Ok(left.min(TOKEN_LIFE_S)),
        }
    }

    /// What it may be used for, as far as its owner may do it.
    pub fn scope(&self) -> Scope {
        if self.can_write { Scope::ALL } else { Scope::READ }
    }

    /// Whether it is time to write down that it was used.
    pub fn is_use_to_be_noted(&self, now: DateTime<Utc>) -> bool {
        self.last_used_at.is_none_or(|at| at <= noted_before(now))
    }
}

/// A use since then is written down already.
pub fn noted_before(now: DateTime<Utc>) -> DateTime<Utc> {
    now - NOTED_EVERY
}

/// There is no such key.
pub fn invalid() -> Error {
    Error::unauthenticated("API_KEY_INVALID", "the API key is not valid")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::user::model::Role;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn known() -> Known {
        Known {
            key_hash: vec![1; 32],
            can_write: false,
            expires_at: None,
            revoked_at: None,
            last_used_at: None,
            owner: Account {
                user_id: 7,
                hashed_password: None,
                role: Role::Rep,
                team_id: None,
                rights_version: 1,
                is_active: true,
            },
        }
    }

    fn draft(name: &str, scopes: &[&str], expires_at: Option<i64>) -> Draft {
        Draft {
            name: name.to_owned(),
            scopes: scopes.iter().copied().map(str::to_owned).collect(),
            expires_at: expires_at.map(at),
        }
    }

    #[test]
    fn a_key_reads_unless_it_is_to_write_which_includes_reading() {
        for (scopes, can_write) in [
            (&[][..], false),
            (&["read"], false),
            (&["write"], true),
            (&["read", "write"], true),
            (&["read", "read"], false),
        ] {
            let mut invalid = Invalid::default();
            let new = draft(" cron ", scopes, Some(11)).check(at(10), &mut invalid).unwrap();
            assert!(invalid.is_empty());
            let expected = NewKey { name: "cron".to_owned(), can_write, expires_at: Some(at(11)) };
            assert_eq!(new, expected, "{scopes:?}");
        }
    }

    #[test]
    fn all_bad_fields_are_told_at_once() {
        let mut invalid = Invalid::default();
        draft(" ", &["read", "admin"], Some(10)).check(at(10), &mut invalid);
        let Err(Error::Invalid(fields)) = invalid.into_result() else { panic!("accepted") };
        let found: Vec<_> = fields.iter().map(|it| (it.field.as_str(), it.code.as_ref())).collect();
        let expected =
            [("name", "required"), ("scopes[1]", "unknown_value"), ("expires_at", "in_the_past")];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_token_lives_a_minute_and_not_longer_than_its_key() {
        for (expires_at, life_s) in [(None, 60), (Some(1_000), 60), (Some(160), 60), (Some(101), 1)]
        {
            let known = Known { expires_at: expires_at.map(at), ..known() };
            assert_eq!(known.token_life_s(&[1; 32], at(100)).unwrap(), life_s, "{expires_at:?}");
        }
    }

    #[test]
    fn a_key_that_is_no_longer_good_says_why_to_who_has_it() {
        let inactive = Account { is_active: false, ..known().owner };
        let now = at(100);
        for (known, reason) in [
            (Known { expires_at: Some(now), ..known() }, "API_KEY_EXPIRED"),
            (Known { revoked_at: Some(now), ..known() }, "API_KEY_REVOKED"),
            (Known { owner: inactive, ..known() }, "API_KEY_REVOKED"),
        ] {
            assert_eq!(known.token_life_s(&[1; 32], now).unwrap_err().reason(), reason);
            assert_eq!(known.token_life_s(&[2; 32], now).unwrap_err().reason(), "API_KEY_INVALID");
        }
    }

    #[test]
    fn a_use_is_written_down_once_a_minute() {
        let noted =
            |last_used_at: Option<i64>| Known { last_used_at: last_used_at.map(at), ..known() };
        assert!(noted(None).is_use_to_be_noted(at(100)));
        assert!(!noted(Some(41)).is_use_to_be_noted(at(100)));
        assert!(noted(Some(40)).is_use_to_be_noted(at(100)));
    }
}
