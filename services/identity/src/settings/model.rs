//! What the organisation's settings are, and what they must satisfy.

use rpc::{Invalid, mask::Wish};

use crate::{text, user::model::Role};

/// The settings of the one organisation that a deployment serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// IANA name of the zone in which days and report periods are cut.
    pub time_zone: String,
    /// ISO 4217.
    pub default_currency: String,
    /// Who may read what.
    pub visibility: Visibility,
    /// Month, 1 to 12, with which a fiscal year begins.
    pub fiscal_year_start: i32,
    /// The roles that must have a second factor, without repetition.
    pub second_factor_roles: Vec<Role>,
    /// Rises by one with every change.
    pub version: i64,
    /// Whether there are amounts, so that the currency stays.
    pub currency_fixed: bool,
}

/// Who may read what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Visibility {
    /// All read all.
    Everyone,
    /// One's team's.
    Team,
    /// One's own.
    Owner,
}

impl Visibility {
    /// As it is stored and told: `everyone`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Everyone => "everyone",
            Self::Team => "team",
            Self::Owner => "owner",
        }
    }
}

/// Settings as the environment names them, unchecked.
#[derive(Clone, Debug)]
pub struct Draft {
    /// IANA name.
    pub time_zone: String,
    /// ISO 4217.
    pub default_currency: String,
    /// `everyone`, `team` or `owner`.
    pub visibility: String,
    /// 1 to 12.
    pub fiscal_year_start: i32,
    /// `admin`, `manager`, `rep`, `viewer`.
    pub second_factor_roles: Vec<String>,
}

/// What is to be other about the settings, unchecked.
#[derive(Clone, Debug, Default)]
pub struct Edit {
    /// IANA name.
    pub time_zone: Wish<String>,
    /// ISO 4217.
    pub default_currency: Wish<String>,
    /// `everyone`, `team` or `owner`.
    pub visibility: Wish<String>,
    /// 1 to 12.
    pub fiscal_year_start: Wish<i32>,
    /// `admin`, `manager`, `rep`, `viewer`; nobody where cleared.
    pub second_factor_roles: Wish<Vec<String>>,
}

impl Edit {
    /// The settings as they are to be, with the next version where anything is other; what breaks a rule is added to `invalid`.
    pub fn apply(self, old: &Settings, invalid: &mut Invalid) -> Option<Settings> {
        let mut draft = Draft {
            time_zone: old.time_zone.clone(),
            default_currency: old.default_currency.clone(),
            visibility: old.visibility.as_str().to_owned(),
            fiscal_year_start: old.fiscal_year_start,
            second_factor_roles: names(&old.second_factor_roles),
        };
        // Nothing but the list can be cleared: what is empty breaks the rule of its field.
        if let Some(wanted) = self.time_zone {
            draft.time_zone = wanted.unwrap_or_default();
        }
        if let Some(wanted) = self.default_currency {
            draft.default_currency = wanted.unwrap_or_default();
        }
        if let Some(wanted) = self.visibility {
            draft.visibility = wanted.unwrap_or_default();
        }
        if let Some(wanted) = self.fiscal_year_start {
            draft.fiscal_year_start = wanted.unwrap_or_default();
        }
        if let Some(wanted) = self.second_factor_roles {
            draft.second_factor_roles = wanted.unwrap_or_default();
        }
        let new = draft.check(invalid)?;
        let new = Settings { version: old.version, currency_fixed: old.currency_fixed, ..new };
        let version = old.version + i64::from(new != *old);
        Some(Settings { version, ..new })
    }
}

/// Roles by name.
pub fn names(roles: &[Role]) -> Vec<String> {
    roles.iter().map(|role| role.as_str().to_owned()).collect()
}

impl Draft {
    /// Applies the rules; what breaks one is added to `invalid`, and then there are no settings.
    pub fn check(&self, invalid: &mut Invalid) -> Option<Settings> {
        let time_zone = text::time_zone(invalid, "time_zone", &self.time_zone);
        let currency = &self.default_currency;
        if !money::currency::is_known(currency) {
            invalid.add("default_currency", "unknown_value", "is no ISO 4217 code, such as `TWD`");
        }
        let all = [Visibility::Everyone, Visibility::Team, Visibility::Owner];
        let visibility = all.into_iter().find(|one| one.as_str() == self.visibility);
        if visibility.is_none() {
            invalid.add("visibility", "unknown_value", "is not `everyone`, `team` or `owner`");
        }
        if !(1..=12).contains(&self.fiscal_year_start) {
            invalid.add("fiscal_year_start", "out_of_range", "is no month from 1 to 12");
        }
        let mut roles: Vec<_> = self.second_factor_roles.iter().map(|it| Role::parse(it)).collect();
        if roles.contains(&None) {
            let message = "has what is not `admin`, `manager`, `rep` or `viewer`";
            invalid.add("second_factor_roles", "unknown_value", message);
        }
        roles.sort_unstable();
        roles.dedup();
        Some(Settings {
            second_factor_roles: roles.into_iter().collect::<Option<_>>()?,
            time_zone: time_zone?,
            default_currency: currency.clone(),
            visibility: visibility?,
            fiscal_year_start: self.fiscal_year_start,
            version: 1,
            currency_fixed: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_changes_what_it_names_and_nothing_can_be_cleared() {
        let draft = Draft {
            time_zone: "Asia/Taipei".to_owned(),
            default_currency: "TWD".to_owned(),
            visibility: "everyone".to_owned(),
            fiscal_year_start: 1,
            second_factor_roles: vec!["rep".to_owned()],
        };
        let old = draft.check(&mut Invalid::default()).unwrap();
        let mut invalid = Invalid::default();
        assert_eq!(Edit::default().apply(&old, &mut invalid), Some(old.clone()));
        let edit = Edit { visibility: Some(Some("team".to_owned())), ..Edit::default() };
        let new = edit.apply(&old, &mut invalid).unwrap();
        assert_eq!((new.visibility, new.version), (Visibility::Team, 2));
        let nobody = Edit { second_factor_roles: Some(None), ..Edit::default() };
        assert!(nobody.apply(&old, &mut invalid).unwrap().second_factor_roles.is_empty());
        let twice = vec!["viewer".to_owned(), "admin".to_owned(), "viewer".to_owned()];
        let twice = Edit { second_factor_roles: Some(Some(twice)), ..Edit::default() };
        let roles = twice.apply(&old, &mut invalid).unwrap().second_factor_roles;
        assert_eq!(roles, [Role::Admin, Role::Viewer]);
        assert!(invalid.is_empty());
        let cleared = Edit {
            time_zone: Some(None),
            default_currency: Some(None),
            visibility: Some(None),
            fiscal_year_start: Some(None),
            second_factor_roles: Some(None),
        };
        assert_eq!(cleared.apply(&old, &mut invalid), None);
        let Err(rpc::Error::Invalid(fields)) = invalid.into_result() else { panic!("accepted") };
        assert_eq!(fields.len(), 4);
    }

    #[test]
    fn settings_that_make_no_sense_are_refused_together() {
        let draft = Draft {
            time_zone: "Taipei".to_owned(),
            default_currency: "nt$".to_owned(),
            visibility: "all".to_owned(),
            fiscal_year_start: 13,
            second_factor_roles: vec!["rep".to_owned(), "owner".to_owned()],
        };
        let mut invalid = Invalid::default();
        assert!(draft.check(&mut invalid).is_none());
        let Err(rpc::Error::Invalid(fields)) = invalid.into_result() else { panic!("accepted") };
        let fields: Vec<_> = fields.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "time_zone",
                "default_currency",
                "visibility",
                "fiscal_year_start",
                "second_factor_roles"
            ]
        );
    }
}
