//! What others learn of customers and contacts.

use chrono::{DateTime, Utc};
use proto::events::v1::{ContactRecord, CustomerRecord, FieldChange, event::Record};
use serde_json::json;

use super::model::{Contact, Customer};

/// A customer's record.
pub(super) fn customer(customer: &Customer) -> Record {
    Record::Customer(CustomerRecord {
        id: customer.id,
        name: customer.name.clone(),
        created_by: customer.created_by,
        created_at: Some(customer.created_at.into()),
        updated_at: Some(customer.created_at.into()),
        version: 1,
        ..CustomerRecord::default()
    })
}

/// What a new customer has.
pub(super) fn customer_changes(customer: &Customer) -> Vec<FieldChange> {
    vec![new("name", &json!(customer.name))]
}

/// A contact's record.
pub(super) fn contact(contact: &Contact, customer_id: i64, at: DateTime<Utc>) -> Record {
    Record::Contact(ContactRecord {
        id: contact.id,
        customer_id,
        name: contact.name.clone(),
        email: contact.email.clone(),
        created_at: Some(at.into()),
        updated_at: Some(at.into()),
        version: 1,
        ..ContactRecord::default()
    })
}

/// What a new contact has.
pub(super) fn contact_changes(contact: &Contact, customer_id: i64) -> Vec<FieldChange> {
    let mut changes =
        vec![new("customer_id", &json!(customer_id)), new("name", &json!(contact.name))];
    changes.extend(contact.email.iter().map(|email| new("email", &json!(email))));
    changes
}

fn new(field: &str, value: &serde_json::Value) -> FieldChange {
    FieldChange { field: field.to_owned(), old: "null".to_owned(), new: value.to_string() }
}
