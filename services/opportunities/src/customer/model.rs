//! Customers and contacts as far as an opportunity needs them.

use chrono::{DateTime, Utc};

/// A customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customer {
    /// Its id.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// Who made it.
    pub created_by: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}

/// A person at a customer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Their id.
    pub id: i64,
    /// Their name.
    pub name: String,
    /// Their e-mail address.
    pub email: Option<String>,
}

/// What is said of a contact: a name, an address, or both.
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
