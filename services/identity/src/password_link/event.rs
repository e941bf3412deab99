//! What others learn of a link by which a password is set: that there is one, never the link itself.

use chrono::{DateTime, Utc};
use events::{Change, FieldChange, Record, field_change};
use proto::{Timestamp, events::v1::PasswordLinkRecord};

use super::model::Link;
use crate::cause::{Cause, Subject};

/// A link was made: whoever mails it may do so.
pub fn created(link: &Link, cause: &Cause, now: DateTime<Utc>) -> Change {
    let changes = [
        field_change("user_id", None, Some(&link.user_id)),
        field_change("kind", None, Some(&link.kind.as_str())),
        field_change("expires_at", None, Some(&Timestamp::from(link.expires_at))),
    ];
    let changes = changes.into_iter().flatten().collect();
    cause.change(subject(link, "password_link.created"), record(link), changes, now)
}

/// A password was set by a link.
pub fn used(link: &Link, cause: &Cause, now: DateTime<Utc>) -> Change {
    let changes = since("used_at", link.used_at);
    cause.change(subject(link, "password_link.used"), record(link), changes, now)
}

/// A link is not needed any more.
pub fn withdrawn(link: &Link, cause: &Cause, now: DateTime<Utc>) -> Change {
    let changes = since("withdrawn_at", link.withdrawn_at);
    cause.change(subject(link, "password_link.withdrawn"), record(link), changes, now)
}

fn since(field: &str, at: Option<DateTime<Utc>>) -> Vec<FieldChange> {
    field_change(field, None, at.map(Timestamp::from).as_ref()).into_iter().collect()
}

fn subject(link: &Link, event_type: &'static str) -> Subject {
    Subject { aggregate: "password_link", id: link.id, version: link.version, event_type }
}

fn record(link: &Link) -> Record {
    Record::PasswordLink(PasswordLinkRecord {
        id: link.id,
        user_id: link.user_id,
        kind: link.kind.as_str().to_owned(),
        created_at: Some(link.created_at.into()),
        expires_at: Some(link.expires_at.into()),
        used_at: link.used_at.map(Into::into),
        withdrawn_at: link.withdrawn_at.map(Into::into),
        version: link.version,
    })
}
