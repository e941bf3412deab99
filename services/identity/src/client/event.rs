//! What others learn of a client: never its secret.

use chrono::{DateTime, Utc};
use events::{Change, FieldChange, Record, field_change};
use proto::events::v1::ClientRecord;

use super::model::Client;
use crate::cause::{Cause, Subject};

/// A client was made.
pub fn created(client: &Client, cause: &Cause, now: DateTime<Utc>) -> Change {
    cause.change(subject(client, "client.created"), record(client), changes(None, client), now)
}

/// A client is other than it was.
pub fn updated(old: &Client, client: &Client, cause: &Cause, now: DateTime<Utc>) -> Change {
    cause.change(subject(client, "client.updated"), record(client), changes(Some(old), client), now)
}

/// A client is gone: its tokens are no longer good.
pub fn deleted(client: &Client, cause: &Cause, now: DateTime<Utc>) -> Change {
    cause.change(subject(client, "client.deleted"), record(client), Vec::new(), now)
}

fn subject(client: &Client, event_type: &'static str) -> Subject {
    Subject { aggregate: "client", id: client.id, version: client.version, event_type }
}

/// The names of what its tokens may be used for.
pub(crate) fn scopes(may_write: bool) -> Vec<String> {
    let names: &[&str] = if may_write { &["read", "write"] } else { &["read"] };
    names.iter().map(|&name| name.to_owned()).collect()
}

fn record(client: &Client) -> Record {
    Record::Client(ClientRecord {
        id: client.id,
        client_id: client.client_id.clone(),
        name: client.name.clone(),
        kind: client.kind.as_str().to_owned(),
        redirect_uris: client.redirect_uris.clone(),
        scopes: scopes(client.may_write),
        user_id: client.user_id,
        created_at: Some(client.created_at.into()),
        deleted_at: client.deleted_at.map(Into::into),
        version: client.version,
    })
}

fn changes(old: Option<&Client>, new: &Client) -> Vec<FieldChange> {
    let kind = |client: &Client| client.kind.as_str();
    [
        field_change("name", old.map(|client| &client.name), Some(&new.name)),
        field_change("kind", old.map(kind).as_ref(), Some(&kind(new))),
        field_change(
            "redirect_uris",
            old.map(|client| &client.redirect_uris),
            Some(&new.redirect_uris),
        ),
        field_change(
            "scopes",
            old.map(|client| scopes(client.may_write)).as_ref(),
            Some(&scopes(new.may_write)),
        ),
        field_change(
            "user_id",
            old.and_then(|client| client.user_id.as_ref()),
            new.user_id.as_ref(),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}
