//! What others learn of a customer.

use chrono::{DateTime, Utc};
use events::{Change, field_change};
use proto::events::v1::{CustomerRecord, FieldChange, event::Record};

use super::model::Customer;
use crate::meta::{Meta, as_text};

/// What became of a customer, in words of the change log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Created,
    Updated,
    Deleted,
    Restored,
    /// It went into another.
    Merged,
    /// It came out of another again.
    Unmerged,
}

/// The change from one state of a customer to the next.
pub(crate) fn change(
    what: What,
    old: Option<&Customer>,
    new: &Customer,
    also: Vec<FieldChange>,
    meta: &Meta,
) -> Change {
    let kind = match what {
        What::Created => "customer.created",
        What::Updated => "customer.updated",
        What::Deleted => "customer.deleted",
        What::Restored => "customer.restored",
        What::Merged => "customer.merged",
        What::Unmerged => "customer.unmerged",
    };
    let mut changes = changes(old, new);
    changes.extend(also);
    meta.change("customer", new.id, new.version, kind, new.updated_at, record(new), changes)
}

fn record(it: &Customer) -> Record {
    Record::Customer(CustomerRecord {
        id: it.id,
        name: it.name.clone(),
        company: it.company.clone(),
        industry: it.industry.clone(),
        email: it.email.clone(),
        phone: it.phone.clone(),
        created_by: it.created_by,
        created_at: Some(it.created_at.into()),
        updated_at: Some(it.updated_at.into()),
        deleted_at: it.deleted_at.map(Into::into),
        version: it.version,
        merged_into_id: it.merged_into_id,
    })
}

fn changes(old: Option<&Customer>, new: &Customer) -> Vec<FieldChange> {
    let text = |field, value: fn(&Customer) -> Option<&String>| {
        field_change(field, old.and_then(value), value(new))
    };
    let instant = |field, value: fn(&Customer) -> Option<DateTime<Utc>>| {
        field_change(
            field,
            old.and_then(value).map(as_text).as_ref(),
            value(new).map(as_text).as_ref(),
        )
    };
    let into = |it: &Customer| it.merged_into_id;
    [
        text("name", |it| Some(&it.name)),
        text("company", |it| it.company.as_ref()),
        text("industry", |it| it.industry.as_ref()),
        text("email", |it| it.email.as_ref()),
        text("phone", |it| it.phone.as_ref()),
        field_change("merged_into_id", old.and_then(into).as_ref(), into(new).as_ref()),
        instant("deleted_at", |it| it.deleted_at),
    ]
    .into_iter()
    .flatten()
    .collect()
}
