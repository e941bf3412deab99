//! What the organisation's settings are, and what they must satisfy.

use rpc::Invalid;

use crate::text;

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
    /// Rises by one with every change.
    pub version: i64,
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
}

impl Draft {
    /// Applies the rules; what breaks one is added to `invalid`, and then there are no settings.
    pub fn check(&self, invalid: &mut Invalid) -> Option<Settings> {
        let time_zone = text::time_zone(invalid, "time_zone", &self.time_zone);
        let currency = &self.default_currency;
        if currency.len() != 3 || !currency.bytes().all(|letter| letter.is_ascii_uppercase()) {
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
        Some(Settings {
            time_zone: time_zone?,
            default_currency: currency.clone(),
            visibility: visibility?,
            fiscal_year_start: self.fiscal_year_start,
            version: 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_make_no_sense_are_refused_together() {
        let draft = Draft {
            time_zone: "Taipei".to_owned(),
            default_currency: "nt$".to_owned(),
            visibility: "all".to_owned(),
            fiscal_year_start: 13,
        };
        let mut invalid = Invalid::default();
        assert!(draft.check(&mut invalid).is_none());
        let Err(rpc::Error::Invalid(fields)) = invalid.into_result() else { panic!("accepted") };
        let fields: Vec<_> = fields.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["time_zone", "default_currency", "visibility", "fiscal_year_start"]);
    }
}
