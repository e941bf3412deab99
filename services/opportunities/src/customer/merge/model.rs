//! The rules of merging: what becomes of two customers and of the people at both.

use chrono::{DateTime, Utc};

use crate::contact::model::Contact;
use crate::customer::model::Customer;
use crate::text::fold;

/// Two customers after one went into the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The one that stays.
    pub into: Customer,
    /// The one that went.
    pub from: Customer,
    /// What the one that stays has from the other, because it had nothing there.
    pub filled: Vec<&'static str>,
}

/// One customer goes into another, and fills in what that has not.
pub fn join(into: &Customer, from: &Customer, at: DateTime<Utc>) -> Joined {
    let mut joined = Joined {
        into: changed(into, at),
        from: Customer { merged_into_id: Some(into.id), deleted_at: Some(at), ..changed(from, at) },
        filled: Vec::new(),
    };
    for (field, place, value) in [
        ("company", &mut joined.into.company, &from.company),
        ("industry", &mut joined.into.industry, &from.industry),
        ("email", &mut joined.into.email, &from.email),
        ("phone", &mut joined.into.phone, &from.phone),
    ] {
        if place.is_none() && value.is_some() {
            place.clone_from(value);
            joined.filled.push(field);
        }
    }
    joined
}

/// The customers after that was undone. What was filled in and is still so is taken away again; the fields that are something else by now are told.
pub fn part(
    into: &Customer,
    from: &Customer,
    filled: &[String],
    at: DateTime<Utc>,
) -> (Customer, Customer, Vec<String>) {
    let mut parted = changed(into, at);
    let mut left = Vec::new();
    for (field, place, value) in [
        ("company", &mut parted.company, &from.company),
        ("industry", &mut parted.industry, &from.industry),
        ("email", &mut parted.email, &from.email),
        ("phone", &mut parted.phone, &from.phone),
    ] {
        if !filled.iter().any(|name| name == field) {
            continue;
        }
        if place == value {
            *place = None;
        } else {
            left.push(field.to_owned());
        }
    }
    let from = Customer { merged_into_id: None, deleted_at: None, ..changed(from, at) };
    (parted, from, left)
}

fn changed(it: &Customer, at: DateTime<Utc>) -> Customer {
    Customer { version: it.version + 1, updated_at: at.max(it.updated_at), ..it.clone() }
}

/// A contact before and after.
pub type Change = (Contact, Contact);

/// What becomes of the people at a customer that goes into another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct People {
    /// They go along.
    pub moved: Vec<Change>,
    /// They are one with somebody there already.
    pub joined: Vec<Change>,
    /// Those there who have something from somebody who is one with them, and what.
    pub filled: Vec<(Change, Vec<&'static str>)>,
}

/// People are the same who have one address; of who has none, those of one name.
pub fn are_same(one: &Contact, other: &Contact) -> bool {
    match (&one.email, &other.email) {
        (Some(one), Some(other)) => fold(one) == fold(other),
        _ => fold(&one.name) == fold(&other.name),
    }
}

/// The people at a customer go to another, where they become one with who is the same.
pub fn join_contacts(
    into_id: i64,
    there: &[Contact],
    coming: &[Contact],
    at: DateTime<Utc>,
) -> People {
    let mut people = People::default();
    let mut standing: Vec<(&Contact, Contact, Vec<&'static str>)> =
        there.iter().map(|it| (it, it.clone(), Vec::new())).collect();
    for contact in coming {
        let by_address = standing.iter().position(|(_, it, _)| {
            it.email.is_some() && contact.email.is_some() && are_same(it, contact)
        });
        let place =
            by_address.or_else(|| standing.iter().position(|(_, it, _)| are_same(it, contact)));
        let Some(place) = place else {
            let moved = Contact { customer_id: into_id, ..contact.clone() }.after(contact, at);
            people.moved.push((contact.clone(), moved));
            continue;
        };
        let (_, same, filled) = &mut standing[place];
        let (merged_into_id, deleted_at) = (Some(same.id), Some(at));
        let joined = Contact { deleted_at, merged_into_id, ..contact.clone() }.after(contact, at);
        people.joined.push((contact.clone(), joined));
        for (field, place, value) in [
            ("email", &mut same.email, &contact.email),
            ("phone", &mut same.phone, &contact.phone),
            ("title", &mut same.title, &contact.title),
        ] {
            if place.is_none() && value.is_some() {
                place.clone_from(value);
                filled.push(field);
            }
        }
    }
    people.filled = standing
        .into_iter()
        .filter(|(_, _, filled)| !filled.is_empty())
        .map(|(before, after, filled)| ((before.clone(), after.after(before, at)), filled))
        .collect();
    people
}

/// A contact without what was filled in.
pub fn empty(contact: &Contact, filled: &[String], at: DateTime<Utc>) -> Contact {
    let mut after = contact.clone();
    for (field, place) in
        [("email", &mut after.email), ("phone", &mut after.phone), ("title", &mut after.title)]
    {
        if filled.iter().any(|name| name == field) {
            *place = None;
        }
    }
    after.after(contact, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn customer(id: i64, company: Option<&str>, email: Option<&str>) -> Customer {
        Customer {
            id,
            name: format!("Customer {id}"),
            company: company.map(str::to_owned),
            industry: None,
            email: email.map(str::to_owned),
            phone: None,
            created_by: 1,
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
            deleted_at: None,
            merged_into_id: None,
            version: 1,
        }
    }

    fn contact(id: i64, customer_id: i64, name: &str, email: Option<&str>) -> Contact {
        Contact {
            id,
            customer_id,
            name: name.to_owned(),
            email: email.map(str::to_owned),
            phone: None,
            title: None,
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
            deleted_at: None,
            merged_into_id: None,
            erased_at: None,
            version: 1,
        }
    }

    fn at() -> DateTime<Utc> {
        DateTime::from_timestamp(9, 0).unwrap()
    }

    #[test]
    fn what_is_empty_is_filled_in_and_emptied_again_unless_it_is_something_else_by_now() {
        let (into, from) = (customer(1, None, None), customer(2, Some("XYZ"), Some("a@b.tw")));
        let joined = join(&into, &from, at());
        assert_eq!(joined.filled, ["company", "email"]);
        assert_eq!((joined.into.company.as_deref(), joined.into.version), (Some("XYZ"), 2));
        assert_eq!((joined.from.merged_into_id, joined.from.deleted_at), (Some(1), Some(at())));

        let filled = ["company".to_owned(), "email".to_owned()];
        let since = Customer { company: Some("ABC".to_owned()), ..joined.into };
        let (parted, restored, left) = part(&since, &joined.from, &filled, at());
        assert_eq!((parted.company.as_deref(), parted.email), (Some("ABC"), None));
        assert_eq!(left, ["company"]);
        assert_eq!(
            (restored.deleted_at, restored.merged_into_id, restored.version),
            (None, None, 3)
        );
        let had = customer(3, Some("had"), None);
        assert_eq!(join(&had, &from, at()).into.company.as_deref(), Some("had"));
    }

    #[test]
    fn people_of_one_address_or_without_one_of_one_name_become_one() {
        let there = [
            contact(1, 1, "Chen", None),
            contact(2, 1, "Lin", Some("lin@xyz.tw")),
            contact(3, 1, "Wang", Some("wang@xyz.tw")),
        ];
        let coming = [
            contact(4, 2, "林小姐", Some("LIN@xyz.tw")),
            contact(5, 2, "ＣＨＥＮ", Some("chen@xyz.tw")),
            contact(6, 2, "Chen", Some("other@xyz.tw")),
            contact(7, 2, "Wang", None),
            contact(8, 2, "Huang", None),
        ];
        let people = join_contacts(1, &there, &coming, at());
        let joined: Vec<_> =
            people.joined.iter().map(|(it, now)| (it.id, now.merged_into_id.unwrap())).collect();
        assert_eq!(joined, [(4, 2), (5, 1), (7, 3)]);
        let moved: Vec<_> =
            people.moved.iter().map(|(_, now)| (now.id, now.customer_id, now.version)).collect();
        assert_eq!(moved, [(6, 1, 2), (8, 1, 2)], "Chen has an address by then, and it is another");
        let [((before, after), filled)] = &people.filled[..] else { panic!("one was filled in") };
        assert_eq!(
            (before.id, after.email.as_deref(), &filled[..]),
            (1, Some("chen@xyz.tw"), &["email"][..])
        );
        assert_eq!(empty(after, &["email".to_owned()], at()).email, None);
    }
}
