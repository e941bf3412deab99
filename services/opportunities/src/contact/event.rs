//! What others learn of a contact.

use chrono::{DateTime, Utc};
use events::{Change, Event, field_change};
use prost::Message as _;
use proto::events::v1::{ContactRecord, FieldChange, event::Record};
use rpc::Error;

use super::model::Contact;
use crate::meta::{Meta, as_text};

/// What became of a contact, in words of the change log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Created,
    Updated,
    Deleted,
    /// It became one with another.
    Merged,
    /// It is one of its own again.
    Unmerged,
    /// Everything personal was removed from it, and from all that was told of it before.
    Erased,
}

/// The fields that say something of a person.
const PERSONAL: [&str; 4] = ["name", "email", "phone", "title"];

/// The change from one state of a contact to the next.
pub(crate) fn change(what: What, old: Option<&Contact>, new: &Contact, meta: &Meta) -> Change {
    let kind = match what {
        What::Created => "contact.created",
        What::Updated => "contact.updated",
        What::Deleted => "contact.deleted",
        What::Merged => "contact.merged",
        What::Unmerged => "contact.unmerged",
        What::Erased => "contact.erased",
    };
    let (at, mut changes) = (new.updated_at, changes(old, new));
    if what == What::Erased {
        changes.retain(|it| !PERSONAL.contains(&it.field.as_str()));
    }
    meta.change("contact", new.id, new.version, kind, at, record(new), changes)
}

/// Whether a contact is as an event told of it, whatever happened in between.
pub(crate) fn is_as_told(it: &Contact, payload: &[u8]) -> bool {
    match Event::decode(payload).map(|event| event.record) {
        Ok(Some(Record::Contact(told))) => {
            let now = contact_record(it);
            ContactRecord { version: now.version, updated_at: now.updated_at, ..told } == now
        }
        _ => false,
    }
}

fn record(it: &Contact) -> Record {
    Record::Contact(contact_record(it))
}

fn contact_record(it: &Contact) -> ContactRecord {
    ContactRecord {
        id: it.id,
        customer_id: it.customer_id,
        name: it.name.clone(),
        email: it.email.clone(),
        phone: it.phone.clone(),
        title: it.title.clone(),
        created_at: Some(it.created_at.into()),
        updated_at: Some(it.updated_at.into()),
        version: it.version,
        deleted_at: it.deleted_at.map(Into::into),
        merged_into_id: it.merged_into_id,
        erased_at: it.erased_at.map(Into::into),
    }
}

fn changes(old: Option<&Contact>, new: &Contact) -> Vec<FieldChange> {
    let text = |field, value: fn(&Contact) -> Option<&String>| {
        field_change(field, old.and_then(value), value(new))
    };
    let instant = |field, value: fn(&Contact) -> Option<DateTime<Utc>>| {
        field_change(
            field,
            old.and_then(value).map(as_text).as_ref(),
            value(new).map(as_text).as_ref(),
        )
    };
    let into = |it: &Contact| it.merged_into_id;
    [
        field_change("customer_id", old.map(|it| &it.customer_id), Some(&new.customer_id)),
        text("name", |it| Some(&it.name)),
        text("email", |it| it.email.as_ref()),
        text("phone", |it| it.phone.as_ref()),
        text("title", |it| it.title.as_ref()),
        field_change("merged_into_id", old.and_then(into).as_ref(), into(new).as_ref()),
        instant("deleted_at", |it| it.deleted_at),
        instant("erased_at", |it| it.erased_at),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What an event of a contact says of a person.
pub(crate) fn personal(payload: &[u8]) -> Result<Vec<String>, Error> {
    let event = decode(payload)?;
    let changed = event.changes.iter().filter(|it| PERSONAL.contains(&it.field.as_str()));
    let texts = changed.flat_map(|it| [&it.old, &it.new]);
    let mut values: Vec<String> =
        texts.filter_map(|text| serde_json::from_str::<String>(text).ok()).collect();
    if let Some(Record::Contact(it)) = event.record {
        values.push(it.name);
        values.extend([it.email, it.phone, it.title].into_iter().flatten());
    }
    Ok(values)
}

/// The same event without what it says of a person: that a field was changed stays, its values are empty.
pub(crate) fn redact(payload: &[u8]) -> Result<Vec<u8>, Error> {
    let mut event = decode(payload)?;
    for change in event.changes.iter_mut().filter(|it| PERSONAL.contains(&it.field.as_str())) {
        for text in [&mut change.old, &mut change.new] {
            if text != "null" {
                "\"\"".clone_into(text);
            }
        }
    }
    if let Some(Record::Contact(it)) = &mut event.record {
        it.name.clear();
        (it.email, it.phone, it.title) = (None, None, None);
    }
    Ok(event.encode_to_vec())
}

fn decode(payload: &[u8]) -> Result<Event, Error> {
    Event::decode(payload).map_err(|error| Error::Internal(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_tells_nothing_of_a_person_that_was_erased_and_is_no_longer_than_before() {
        let change = |field: &str, old: &str, new: &str| FieldChange {
            field: field.to_owned(),
            old: old.to_owned(),
            new: new.to_owned(),
        };
        let event = Event {
            event_id: "an id".to_owned(),
            aggregate_id: 7,
            version: 2,
            record: Some(Record::Contact(ContactRecord {
                id: 7,
                customer_id: 3,
                name: "陳經理".to_owned(),
                email: Some("chen@example.com".to_owned()),
                title: Some("x".to_owned()),
                ..ContactRecord::default()
            })),
            changes: vec![
                change("customer_id", "2", "3"),
                change("name", "\"Chen\"", "\"陳經理\""),
                change("phone", "\"+886 2\"", "null"),
                change("title", "null", "\"x\""),
            ],
            ..Event::default()
        };
        let payload = event.encode_to_vec();
        let mut said = personal(&payload).unwrap();
        said.sort();
        assert_eq!(said, ["+886 2", "Chen", "chen@example.com", "x", "x", "陳經理", "陳經理"]);
        let redacted = redact(&payload).unwrap();
        assert!(redacted.len() <= payload.len());
        assert!(personal(&redacted).unwrap().iter().all(String::is_empty));
        let after = Event::decode(&*redacted).unwrap();
        assert_eq!((after.event_id, after.version), (event.event_id, 2));
        assert_eq!(after.changes[0], event.changes[0]);
        assert_eq!(after.changes[2], change("phone", "\"\"", "null"));
        let Some(Record::Contact(it)) = after.record else { panic!("a contact") };
        assert_eq!((it.id, it.customer_id), (7, 3));
        assert_eq!(redact(&redacted).unwrap(), redacted);
    }
}
