//! What a user is, and what a new one must satisfy.

use chrono::{DateTime, Utc};
use process::Secret;
use rpc::Invalid;

use crate::{password, text};

/// A person who uses the product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Its id.
    pub id: i64,
    /// The address by which they sign in, as it was given.
    pub email: String,
    /// The name shown.
    pub username: String,
    /// What they may do.
    pub role: Role,
    /// Their team, if any.
    pub team_id: Option<i64>,
    /// The language in which they are told things.
    pub language: Language,
    /// IANA name.
    pub time_zone: String,
    /// Whether they may sign in.
    pub is_active: bool,
    /// Rises with every change of what they may do.
    pub rights_version: i64,
    /// Rises by one with every change.
    pub version: i64,
    /// When they were made.
    pub created_at: DateTime<Utc>,
    /// When they last changed.
    pub updated_at: DateTime<Utc>,
}

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Role {
    /// Everything.
    Admin,
    /// What concerns their teams.
    Manager,
    /// Their own opportunities.
    Rep,
    /// Reads only.
    Viewer,
}

impl Role {
    /// As it is stored and told: `admin`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Manager => "manager",
            Self::Rep => "rep",
            Self::Viewer => "viewer",
        }
    }

    /// The role of that name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Admin, Self::Manager, Self::Rep, Self::Viewer]
            .into_iter()
            .find(|role| role.as_str() == name)
    }
}

/// A language that the product speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text")]
pub enum Language {
    /// Traditional Chinese.
    #[sqlx(rename = "zh-TW")]
    ZhTw,
    /// English.
    #[sqlx(rename = "en")]
    En,
}

impl Language {
    /// As it is stored and told: `zh-TW`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ZhTw => "zh-TW",
            Self::En => "en",
        }
    }

    /// The language of that tag.
    pub fn parse(tag: &str) -> Option<Self> {
        [Self::ZhTw, Self::En].into_iter().find(|language| language.as_str() == tag)
    }
}

/// A user as somebody asks for it, unchecked.
#[derive(Clone, Debug)]
pub struct Draft {
    /// E-mail address.
    pub email: String,
    /// The name shown.
    pub username: String,
    /// `admin`, `manager`, `rep` or `viewer`; `rep` where absent.
    pub role: Option<String>,
    /// Their team.
    pub team_id: Option<i64>,
    /// `zh-TW` where absent.
    pub language: Option<String>,
    /// The organisation's where absent.
    pub time_zone: Option<String>,
    /// In clear.
    pub password: Secret,
}

/// A user that can be stored; whether the address is free and the team exists, the database says.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// E-mail address.
    pub email: String,
    /// The address in the form by which it is unique.
    pub folded_email: String,
    /// The name shown.
    pub username: String,
    /// What they may do.
    pub role: Role,
    /// Their team.
    pub team_id: Option<i64>,
    /// Their language.
    pub language: Language,
    /// IANA name.
    pub time_zone: String,
    /// In clear, to be hashed.
    pub password: Secret,
}

impl Draft {
    /// Applies the rules; what breaks one is added to `invalid`, and then there is no user.
    pub fn check(self, organisation_zone: &str, invalid: &mut Invalid) -> Option<NewUser> {
        let email = email(invalid, "email", &self.email);
        let username = text::name(invalid, "username", &self.username);
        let role = self.role.as_deref().map_or(Some(Role::Rep), Role::parse);
        if role.is_none() {
            invalid.add("role", "unknown_value", "is not `admin`, `manager`, `rep` or `viewer`");
        }
        let language = self.language.as_deref().map_or(Some(Language::ZhTw), Language::parse);
        if language.is_none() {
            invalid.add("language", "unknown_value", "is neither `zh-TW` nor `en`");
        }
        let time_zone = match &self.time_zone {
            None => Some(organisation_zone.to_owned()),
            Some(name) => text::time_zone(invalid, "time_zone", name),
        };
        password::check(invalid, "password", &self.password);
        let (email, username) = (email?, username?);
        Some(NewUser {
            folded_email: fold_email(&email),
            email,
            username,
            role: role?,
            team_id: self.team_id,
            language: language?,
            time_zone: time_zone?,
            password: self.password,
        })
    }
}

/// The form by which an address is unique: trimmed, NFKC, lower case.
pub fn fold_email(email: &str) -> String {
    text::fold(email)
}

/// An address that a mail could be sent to, without the space around it.
fn email(invalid: &mut Invalid, field: &str, value: &str) -> Option<String> {
    let email = text::line(invalid, field, value, 320)?;
    let valid = email.rsplit_once('@').is_some_and(|(mailbox, domain)| {
        let forbidden = |letter: char| letter.is_whitespace() || "<>()[],;:\\\"@".contains(letter);
        !mailbox.is_empty()
            && !mailbox.contains(forbidden)
            && !domain.contains(forbidden)
            && domain.split('.').all(|label| !label.is_empty())
    });
    if !valid {
        invalid.add(field, "invalid_email", "is no e-mail address");
        return None;
    }
    Some(email)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> Draft {
        Draft {
            email: " Amy.Chen@Example.com ".to_owned(),
            username: "  陳愛美 ".to_owned(),
            role: None,
            team_id: None,
            language: None,
            time_zone: None,
            password: Secret::from("correct horse"),
        }
    }

    fn faults(draft: Draft) -> Vec<(String, String)> {
        let mut invalid = Invalid::default();
        draft.check("Asia/Taipei", &mut invalid);
        let Err(rpc::Error::Invalid(fields)) = invalid.into_result() else { return Vec::new() };
        fields.into_iter().map(|error| (error.field, error.code.to_string())).collect()
    }

    #[test]
    fn a_user_has_the_defaults_of_the_organisation_and_no_space_around_names() {
        let mut invalid = Invalid::default();
        let user = draft().check("Asia/Taipei", &mut invalid).unwrap();
        assert_eq!(
            (user.email.as_str(), user.username.as_str()),
            ("Amy.Chen@Example.com", "陳愛美")
        );
        assert_eq!(user.folded_email, "amy.chen@example.com");
        assert_eq!((user.role, user.language), (Role::Rep, Language::ZhTw));
        assert_eq!(user.time_zone, "Asia/Taipei");
    }

    #[test]
    fn all_bad_fields_are_told_at_once() {
        let bad = Draft {
            email: "nobody".to_owned(),
            username: " \u{3000}".to_owned(),
            role: Some("owner".to_owned()),
            language: Some("fr".to_owned()),
            time_zone: Some("Mars/Olympus".to_owned()),
            password: Secret::from("short"),
            ..draft()
        };
        let expected = [
            ("email", "invalid_email"),
            ("username", "required"),
            ("role", "unknown_value"),
            ("language", "unknown_value"),
            ("time_zone", "unknown_value"),
            ("password", "too_short"),
        ];
        let expected = expected.map(|(field, code)| (field.to_owned(), code.to_owned()));
        assert_eq!(faults(bad), expected);
    }

    #[test]
    fn what_could_break_a_header_or_the_database_is_no_address() {
        for email in [
            "a@b.c\r\nBcc: d@e.f",
            "a@b.c\0",
            "a b@c.d",
            "@c.d",
            "a@",
            "a@b..c",
            "a@b@c",
            "<a@b.c>",
        ] {
            assert!(!faults(Draft { email: email.to_owned(), ..draft() }).is_empty(), "{email:?}");
        }
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        assert_eq!(faults(Draft { username: "名".repeat(255), ..draft() }), []);
        assert_eq!(faults(Draft { username: "名".repeat(256), ..draft() })[0].1, "too_long");
        assert_eq!(
            faults(Draft { password: Secret::from("密".repeat(8).as_str()), ..draft() }),
            []
        );
        assert_eq!(
            faults(Draft { password: Secret::from("x".repeat(129).as_str()), ..draft() })[0].1,
            "too_long"
        );
    }
}
