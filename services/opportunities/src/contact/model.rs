//! Contacts: the people at a customer's, and what one must satisfy.

use chrono::{DateTime, Utc};
use rpc::{Invalid, mask::Wish};

use crate::text;

/// A person at a customer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Their id.
    pub id: i64,
    /// At which customer's.
    pub customer_id: i64,
    /// Their name; empty of one that was erased.
    pub name: String,
    /// Their e-mail address.
    pub email: Option<String>,
    /// Telephone.
    pub phone: Option<String>,
    /// Position.
    pub title: Option<String>,
    /// When they were written down.
    pub created_at: DateTime<Utc>,
    /// When they last changed.
    pub updated_at: DateTime<Utc>,
    /// When they were deleted; what was merged into another or erased is deleted, too.
    pub deleted_at: Option<DateTime<Utc>>,
    /// Into which contact this one was merged.
    pub merged_into_id: Option<i64>,
    /// When everything personal was removed.
    pub erased_at: Option<DateTime<Utc>>,
    /// Rises by one with every change.
    pub version: i64,
}

/// What an opportunity says of a contact: a name, an address, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactWish {
    /// The name; the address where none is given.
    pub name: String,
    /// The address.
    pub email: Option<String>,
}

impl ContactWish {
    /// From what was given, if anything was.
    pub fn new(name: Option<String>, email: Option<String>) -> Option<Self> {
        let name = name.or_else(|| email.clone())?;
        Some(Self { name, email })
    }
}

/// A contact as somebody asks for it, unchecked.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// The name.
    pub name: String,
    /// E-mail address.
    pub email: Option<String>,
    /// Telephone.
    pub phone: Option<String>,
    /// Position.
    pub title: Option<String>,
}

impl Draft {
    /// The same with texts that fit. Whatever is wrong is told at once.
    pub fn check(self) -> Result<Self, Invalid> {
        let mut invalid = Invalid::default();
        let it = &mut invalid;
        let checked = Self {
            name: text::needed_name(it, "name", Some(&self.name)).unwrap_or_default(),
            email: text::email(it, "email", self.email.as_deref()),
            phone: text::name(it, "phone", self.phone.as_deref(), 255),
            title: text::name(it, "title", self.title.as_deref(), 255),
        };
        if invalid.is_empty() { Ok(checked) } else { Err(invalid) }
    }
}

impl From<&ContactWish> for Draft {
    fn from(wish: &ContactWish) -> Self {
        Self { name: wish.name.clone(), email: wish.email.clone(), ..Self::default() }
    }
}

/// What is to be other about a contact, unchecked.
#[derive(Clone, Debug, Default)]
pub struct Edit {
    /// The name.
    pub name: Wish<String>,
    /// E-mail address.
    pub email: Wish<String>,
    /// Telephone.
    pub phone: Wish<String>,
    /// Position.
    pub title: Wish<String>,
}

impl Edit {
    /// The contact as it is to be: the same where nothing is other. Whatever is wrong is told at once.
    pub fn apply(self, old: &Contact, at: DateTime<Utc>) -> Result<Contact, Invalid> {
        let mut invalid = Invalid::default();
        let it = &mut invalid;
        let mut new = old.clone();
        if let Some(name) = self.name
            && let Some(name) = text::needed_name(it, "name", name.as_deref())
        {
            new.name = name;
        }
        if let Some(email) = self.email {
            new.email = text::email(it, "email", email.as_deref());
        }
        if let Some(phone) = self.phone {
            new.phone = text::name(it, "phone", phone.as_deref(), 255);
        }
        if let Some(title) = self.title {
            new.title = text::name(it, "title", title.as_deref(), 255);
        }
        if invalid.is_empty() { Ok(new.after(old, at)) } else { Err(invalid) }
    }
}

impl Contact {
    /// It as the change that follows `old`: with its version, unless they are the same.
    pub(crate) fn after(self, old: &Self, at: DateTime<Utc>) -> Self {
        if self == *old {
            return self;
        }
        Self { version: old.version + 1, updated_at: at.max(old.updated_at), ..self }
    }

    /// What it says of a person.
    pub fn personal(&self) -> impl Iterator<Item = &str> {
        let rest = [&self.email, &self.phone, &self.title];
        std::iter::once(&*self.name).chain(rest.into_iter().filter_map(|it| it.as_deref()))
    }

    /// It is deleted, and says nothing of a person any more.
    #[must_use]
    pub fn erase(&self, at: DateTime<Utc>) -> Self {
        Self {
            name: String::new(),
            email: None,
            phone: None,
            title: None,
            deleted_at: self.deleted_at.or(Some(at)),
            erased_at: Some(at),
            ..self.clone()
        }
        .after(self, at)
    }

    /// It is deleted.
    #[must_use]
    pub fn delete(&self, at: DateTime<Utc>) -> Self {
        Self { deleted_at: Some(at), ..self.clone() }.after(self, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(invalid: Invalid) -> Vec<String> {
        let rpc::Error::Invalid(fields) = invalid.into() else { panic!("it is invalid") };
        fields.into_iter().map(|it| format!("{} {}", it.field, it.code)).collect()
    }

    #[test]
    fn every_bad_field_of_a_contact_is_told_at_once_and_null_clears() {
        let draft = Draft {
            name: String::new(),
            email: Some("a b@c".to_owned()),
            phone: Some("1\0".to_owned()),
            title: Some("x".repeat(256)),
        };
        let wrong = faults(draft.check().unwrap_err());
        let expected =
            ["name required", "email invalid_email", "phone invalid_character", "title too_long"];
        assert_eq!(wrong, expected);

        let at = DateTime::from_timestamp(9, 0).unwrap();
        let old = Contact {
            id: 1,
            customer_id: 2,
            name: "陳經理".to_owned(),
            email: Some("chen@example.com".to_owned()),
            phone: None,
            title: None,
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
            deleted_at: None,
            merged_into_id: None,
            erased_at: None,
            version: 1,
        };
        let edit =
            Edit { email: Some(None), title: Some(Some(" 採購 ".to_owned())), ..Edit::default() };
        let title = Some("採購".to_owned());
        let expected = Contact { email: None, title, version: 2, updated_at: at, ..old.clone() };
        assert_eq!(edit.apply(&old, at).unwrap(), expected);
        assert_eq!(Edit::default().apply(&old, at).unwrap(), old);
        let edit = Edit { name: Some(None), email: Some(Some("x".into())), ..Edit::default() };
        assert_eq!(
            faults(edit.apply(&old, at).unwrap_err()),
            ["name required", "email invalid_email"]
        );
    }
}
