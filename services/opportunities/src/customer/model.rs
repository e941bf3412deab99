//! Customers and contacts as far as an opportunity needs them.

use chrono::{DateTime, Utc};

use crate::access::model::{Owned, Sight};

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

/// Whether somebody sees a customer: who sees everything, who made it, and who sees one of its living opportunities. Two statements have it as a
/// predicate.
pub fn is_seen(created_by: i64, opportunities: &[Owned], by: i64, sight: &Sight) -> bool {
    *sight == Sight::All
        || created_by == by
        || opportunities.iter().any(|opportunity| sight.covers(*opportunity))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_is_seen_by_who_made_it_and_who_sees_one_of_its_opportunities() {
        let mine = Sight::Of { owner_id: 7, team_ids: vec![3] };
        let of = |owner_id, team_id| Owned { owner_id, team_id };
        assert!(is_seen(7, &[], 7, &mine));
        assert!(is_seen(8, &[of(8, None), of(7, None)], 7, &mine));
        assert!(is_seen(8, &[of(8, Some(3))], 7, &mine));
        assert!(!is_seen(8, &[of(8, Some(4)), of(9, None)], 7, &mine));
        assert!(!is_seen(8, &[], 7, &mine));
        assert!(is_seen(8, &[], 7, &Sight::All));
    }
}
