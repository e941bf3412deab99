//! What others learn of a session.

use chrono::{DateTime, Utc};
use events::{Change, Record, field_change};
use proto::events::v1::SessionRecord;

use super::model::Session;
use crate::cause::{Cause, Subject};

/// Somebody signed in.
pub fn started(session: &Session, cause: &Cause, now: DateTime<Utc>) -> Change {
    let changes = [
        field_change("user_id", None, Some(&session.user_id)),
        field_change("method", None, Some(&session.method)),
        field_change("address", None, session.address.as_ref()),
    ];
    let changes = changes.into_iter().flatten().collect();
    cause.change(subject(session, "session.started"), record(session), changes, now)
}

/// A session is over: its tokens are no longer good.
pub fn ended(session: &Session, cause: &Cause, now: DateTime<Utc>) -> Change {
    let changes = field_change("end_reason", None, session.end_reason.as_ref());
    let changes = changes.into_iter().collect();
    cause.change(subject(session, "session.ended"), record(session), changes, now)
}

fn subject(session: &Session, event_type: &'static str) -> Subject {
    Subject { aggregate: "session", id: session.id, version: session.version, event_type }
}

fn record(session: &Session) -> Record {
    Record::Session(SessionRecord {
        id: session.id,
        user_id: session.user_id,
        method: session.method.clone(),
        address: session.address.clone(),
        created_at: Some(session.created_at.into()),
        ended_at: session.ended_at.map(Into::into),
        end_reason: session.end_reason.clone(),
        version: session.version,
    })
}
