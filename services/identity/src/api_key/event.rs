//! What others learn of an API key: never the key, nor what is kept of it.

use chrono::{DateTime, Utc};
use events::{Change, Record, field_change};
use proto::{Timestamp, events::v1::ApiKeyRecord};

use super::model::ApiKey;
use crate::cause::{Cause, Subject};

/// A key was made.
pub fn created(key: &ApiKey, cause: &Cause, now: DateTime<Utc>) -> Change {
    let changes = [
        field_change("user_id", None, Some(&key.user_id)),
        field_change("name", None, Some(&key.name)),
        field_change("scopes", None, Some(&key.scopes())),
        field_change("expires_at", None, key.expires_at.map(Timestamp::from).as_ref()),
    ];
    let changes = changes.into_iter().flatten().collect();
    cause.change(subject(key, "api_key.created"), record(key), changes, now)
}

/// A key was revoked: its tokens are no longer good.
pub fn revoked(key: &ApiKey, cause: &Cause, now: DateTime<Utc>) -> Change {
    let revoked_at = key.revoked_at.map(Timestamp::from);
    let changes = field_change("revoked_at", None, revoked_at.as_ref()).into_iter().collect();
    cause.change(subject(key, "api_key.revoked"), record(key), changes, now)
}

fn subject(key: &ApiKey, event_type: &'static str) -> Subject {
    Subject { aggregate: "api_key", id: key.id, version: key.version, event_type }
}

fn record(key: &ApiKey) -> Record {
    Record::ApiKey(ApiKeyRecord {
        id: key.id,
        user_id: key.user_id,
        name: key.name.clone(),
        scopes: key.scopes().into_iter().map(str::to_owned).collect(),
        expires_at: key.expires_at.map(Into::into),
        created_at: Some(key.created_at.into()),
        revoked_at: key.revoked_at.map(Into::into),
        version: key.version,
    })
}
