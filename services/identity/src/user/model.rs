//! What a user is, and what a new one must satisfy.

use chrono::{DateTime, Utc};
use process::Secret;
use rpc::{Invalid, mask::Wish};

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
    /// Whether their sign-in needs more than a password.
    pub has_second_factor: bool,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, sqlx::Type)]
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

impl User {
    /// The same with the next version.
    #[must_use]
    pub fn next(&self, now: DateTime<Utc>) -> Self {
        let updated_at = now.max(self.updated_at);
        Self { version: self.version + 1, updated_at, ..self.clone() }
    }

    /// In that team, or none.
    #[must_use]
    pub fn in_team(&self, team_id: Option<i64>, now: DateTime<Utc>) -> Self {
        Self { team_id, rights_version: self.rights_version + 1, ..self.next(now) }
    }
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

impl From<Role> for auth::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Admin => Self::Admin,
            Role::Manager => Self::Manager,
            Role::Rep => Self::Rep,
            Role::Viewer => Self::Viewer,
        }
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
    /// In clear; none for an invitation.
    pub password: Option<Secret>,
    /// Whether they may sign in; yes where absent.
    pub is_active: Option<bool>,
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
    /// In clear, to be hashed; none where they set one themselves.
    pub password: Option<Secret>,
    /// Whether they may sign in.
    pub is_active: bool,
}

impl NewUser {
    /// Whether they are to be invited: who has no password sets one, and nobody is invited who may not sign in.
    pub fn is_invited(&self) -> bool {
        self.password.is_none() && self.is_active
    }
}

impl Draft {
    /// Applies the rules; what breaks one is added to `invalid`, and then there is no user.
    pub fn check(self, organisation_zone: &str, invalid: &mut Invalid) -> Option<NewUser> {
        let email = email(invalid, "email", &self.email);
        let username = text::name(invalid, "username", &self.username);
        let role = self.role.as_deref().map_or(Some(Role::Rep), |name| role(invalid, name));
        let language =
            self.language.as_deref().map_or(Some(Language::ZhTw), |tag| language(invalid, tag));
        let time_zone = match &self.time_zone {
            None => Some(organisation_zone.to_owned()),
            Some(name) => text::time_zone(invalid, "time_zone", name),
        };
        if let Some(password) = &self.password {
            password::check(invalid, "password", password);
        }
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
            is_active: self.is_active.unwrap_or(true),
        })
    }
}

/// What is to be other about a user, unchecked.
#[derive(Clone, Debug, Default)]
pub struct Edit {
    /// E-mail address.
    pub email: Wish<String>,
    /// The name shown.
    pub username: Wish<String>,
    /// `admin`, `manager`, `rep` or `viewer`.
    pub role: Wish<String>,
    /// Their team.
    pub team_id: Wish<i64>,
    /// `zh-TW` where cleared.
    pub language: Wish<String>,
    /// The organisation's where cleared.
    pub time_zone: Wish<String>,
    /// Whether they may sign in.
    pub is_active: Wish<bool>,
}

impl Edit {
    /// The user as it is to be, with the next versions where anything is other; what breaks a rule is added to `invalid`. Whether the
    /// address is free and the team exists, the database says.
    pub fn apply(self, old: &User, organisation_zone: &str, invalid: &mut Invalid) -> User {
        let mut new = old.clone();
        if let Some(wanted) = self.email {
            set(&mut new.email, email(invalid, "email", &wanted.unwrap_or_default()));
        }
        if let Some(wanted) = self.username {
            let wanted = wanted.unwrap_or_default();
            set(&mut new.username, text::name(invalid, "username", &wanted));
        }
        if let Some(wanted) = self.role {
            set(&mut new.role, role(invalid, &wanted.unwrap_or_default()));
        }
        if let Some(wanted) = self.team_id {
            new.team_id = wanted;
        }
        if let Some(wanted) = self.language {
            let wanted = wanted.map_or(Some(Language::ZhTw), |tag| language(invalid, &tag));
            set(&mut new.language, wanted);
        }
        if let Some(wanted) = self.time_zone {
            let zone = wanted.unwrap_or_else(|| organisation_zone.to_owned());
            set(&mut new.time_zone, text::time_zone(invalid, "time_zone", &zone));
        }
        match self.is_active {
            None => {}
            Some(Some(wanted)) => new.is_active = wanted,
            Some(None) => invalid.add("is_active", "required", "is missing"),
        }
        if rights(&new) != rights(old) {
            new.rights_version += 1;
        }
        if new != *old {
            new.version += 1;
        }
        new
    }
}

/// What tokens say of a user.
pub fn rights(user: &User) -> (Role, Option<i64>, bool) {
    (user.role, user.team_id, user.is_active)
}

/// Whether the change is one that a person may make of themselves.
pub fn is_own_business(old: &User, new: &User) -> bool {
    rights(old) == rights(new) && old.email == new.email
}

fn set<T>(field: &mut T, wanted: Option<T>) {
    if let Some(wanted) = wanted {
        *field = wanted;
    }
}

fn role(invalid: &mut Invalid, name: &str) -> Option<Role> {
    let role = Role::parse(name);
    if role.is_none() {
        invalid.add("role", "unknown_value", "is not `admin`, `manager`, `rep` or `viewer`");
    }
    role
}

fn language(invalid: &mut Invalid, tag: &str) -> Option<Language> {
    let language = Language::parse(tag);
    if language.is_none() {
        invalid.add("language", "unknown_value", "is neither `zh-TW` nor `en`");
    }
    language
}

/// The form by which an address is unique: trimmed, NFKC, lower case.
pub fn fold_email(email: &str) -> String {
    text::fold(email)
}

/// An address that a mail could be sent to, without the space around it.
fn email(invalid: &mut Invalid, field: &str, value: &str) -> Option<String> {
    let email = text::line(invalid, field, value, text::LONGEST_EMAIL)?;
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
            password: Some(Secret::from("correct horse")),
            is_active: None,
        }
    }

    fn user() -> User {
        User {
            id: 7,
            email: "amy@example.com".to_owned(),
            username: "Amy".to_owned(),
            role: Role::Rep,
            team_id: Some(1),
            language: Language::En,
            time_zone: "Europe/Paris".to_owned(),
            is_active: true,
            has_second_factor: false,
            rights_version: 3,
            version: 5,
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
        }
    }

    fn edited(edit: Edit) -> User {
        let mut invalid = Invalid::default();
        let new = edit.apply(&user(), "Asia/Taipei", &mut invalid);
        assert!(invalid.is_empty());
        new
    }

    #[test]
    fn an_edit_changes_what_it_names_and_rights_have_a_version_of_their_own() {
        assert_eq!(edited(Edit::default()), user());
        let renamed = edited(Edit { username: Some(Some(" Ann ".to_owned())), ..Edit::default() });
        assert_eq!(
            (renamed.username.as_str(), renamed.version, renamed.rights_version),
            ("Ann", 6, 3)
        );
        assert!(is_own_business(&user(), &renamed));
        let without = edited(Edit { team_id: Some(None), ..Edit::default() });
        assert_eq!((without.team_id, without.version, without.rights_version), (None, 6, 4));
        assert!(!is_own_business(&user(), &without));
        let cleared =
            edited(Edit { time_zone: Some(None), language: Some(None), ..Edit::default() });
        assert_eq!((cleared.time_zone.as_str(), cleared.language), ("Asia/Taipei", Language::ZhTw));
    }

    #[test]
    fn what_a_user_must_have_cannot_be_cleared() {
        let edit = Edit {
            email: Some(None),
            username: Some(None),
            role: Some(None),
            is_active: Some(None),
            ..Edit::default()
        };
        let mut invalid = Invalid::default();
        assert_eq!(edit.apply(&user(), "Asia/Taipei", &mut invalid), user());
        let Err(rpc::Error::Invalid(fields)) = invalid.into_result() else { panic!("accepted") };
        assert_eq!(fields.len(), 4);
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
            password: Some(Secret::from("short")),
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
        assert_eq!(faults(Draft { username: format!("名{:255}", ""), ..draft() })[0].1, "too_long");
        assert_eq!(
            faults(Draft { password: Some(Secret::from("密".repeat(8).as_str())), ..draft() }),
            []
        );
        assert_eq!(
            faults(Draft { password: Some(Secret::from("x".repeat(129).as_str())), ..draft() })[0]
                .1,
            "too_long"
        );
    }
}
