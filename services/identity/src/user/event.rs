//! What others learn of a user.

use chrono::{DateTime, Utc};
use events::{Change, FieldChange, Record, field_change};
use proto::events::v1::UserRecord;

use super::model::User;
use crate::cause::{Cause, Subject};

/// A user was made.
pub fn created(user: &User, cause: &Cause, now: DateTime<Utc>) -> Change {
    cause.change(subject(user, "user.created"), record(user), changes(None, user), now)
}

/// A user is other than they were.
pub fn updated(old: &User, user: &User, cause: &Cause, now: DateTime<Utc>) -> Change {
    cause.change(subject(user, "user.updated"), record(user), changes(Some(old), user), now)
}

/// A user has another password: nothing that is told of them changed, but when it did is.
pub fn password_changed(user: &User, cause: &Cause, now: DateTime<Utc>) -> Change {
    cause.change(subject(user, "user.password_changed"), record(user), Vec::new(), now)
}

/// A user turned a second factor on.
pub fn second_factor_enabled(old: &User, user: &User, cause: &Cause, now: DateTime<Utc>) -> Change {
    let subject = subject(user, "user.second_factor_enabled");
    cause.change(subject, record(user), changes(Some(old), user), now)
}

/// A user turned their second factor off.
pub fn second_factor_disabled(
    old: &User,
    user: &User,
    cause: &Cause,
    now: DateTime<Utc>,
) -> Change {
    let subject = subject(user, "user.second_factor_disabled");
    cause.change(subject, record(user), changes(Some(old), user), now)
}

/// An administrator took a user's second factor away.
pub fn second_factor_reset(old: &User, user: &User, cause: &Cause, now: DateTime<Utc>) -> Change {
    let subject = subject(user, "user.second_factor_reset");
    cause.change(subject, record(user), changes(Some(old), user), now)
}

/// A user has other recovery codes: nothing that is told of them changed, but when it did is.
pub fn recovery_codes_replaced(user: &User, cause: &Cause, now: DateTime<Utc>) -> Change {
    cause.change(subject(user, "user.recovery_codes_replaced"), record(user), Vec::new(), now)
}

/// Somebody at an external provider is that user from now on: nothing that is told of them changed, but who they are there is.
pub fn external_linked(
    user: &User,
    (issuer, subject): (&str, &str),
    cause: &Cause,
    now: DateTime<Utc>,
) -> Change {
    let changes = external(None, Some((issuer, subject))).collect();
    cause.change(self::subject(user, "user.external_linked"), record(user), changes, now)
}

/// A user is other than they were, and therefore no longer somebody at external providers.
pub fn unlinked(mut updated: Change, who: &[(String, String)]) -> Change {
    let gone = who.iter().flat_map(|(issuer, subject)| external(Some((issuer, subject)), None));
    updated.changes.extend(gone);
    updated
}

fn external(
    old: Option<(&str, &str)>,
    new: Option<(&str, &str)>,
) -> impl Iterator<Item = FieldChange> {
    let issuer = |it: Option<(&str, &str)>| it.map(|(issuer, _)| issuer.to_owned());
    let subject = |it: Option<(&str, &str)>| it.map(|(_, subject)| subject.to_owned());
    [
        field_change("external_issuer", issuer(old).as_ref(), issuer(new).as_ref()),
        field_change("external_subject", subject(old).as_ref(), subject(new).as_ref()),
    ]
    .into_iter()
    .flatten()
}

fn subject(user: &User, event_type: &'static str) -> Subject {
    Subject { aggregate: "user", id: user.id, version: user.version, event_type }
}

fn record(user: &User) -> Record {
    Record::User(UserRecord {
        id: user.id,
        email: user.email.clone(),
        username: user.username.clone(),
        role: user.role.as_str().to_owned(),
        team_id: user.team_id,
        language: user.language.as_str().to_owned(),
        time_zone: user.time_zone.clone(),
        is_active: user.is_active,
        rights_version: user.rights_version,
        created_at: Some(user.created_at.into()),
        version: user.version,
        has_second_factor: user.has_second_factor,
    })
}

fn changes(old: Option<&User>, new: &User) -> Vec<FieldChange> {
    [
        field_change("email", old.map(|user| &user.email), Some(&new.email)),
        field_change("username", old.map(|user| &user.username), Some(&new.username)),
        field_change("role", old.map(|user| user.role.as_str()).as_ref(), Some(&new.role.as_str())),
        field_change("team_id", old.and_then(|user| user.team_id.as_ref()), new.team_id.as_ref()),
        field_change(
            "language",
            old.map(|user| user.language.as_str()).as_ref(),
            Some(&new.language.as_str()),
        ),
        field_change("time_zone", old.map(|user| &user.time_zone), Some(&new.time_zone)),
        field_change("is_active", old.map(|user| &user.is_active), Some(&new.is_active)),
        field_change(
            "has_second_factor",
            old.map(|user| &user.has_second_factor),
            Some(&new.has_second_factor),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}
