//! What others learn of a team.

use chrono::{DateTime, Utc};
use events::{Change, FieldChange, Record, field_change};
use proto::events::v1::TeamRecord;

use super::model::Team;
use crate::cause::{Cause, Subject};

/// A team was made.
pub fn created(team: &Team, cause: &Cause, now: DateTime<Utc>) -> Change {
    cause.change(subject(team, "team.created"), record(team), changes(None, team), now)
}

/// A team is other than it was.
pub fn updated(old: &Team, team: &Team, cause: &Cause, now: DateTime<Utc>) -> Change {
    cause.change(subject(team, "team.updated"), record(team), changes(Some(old), team), now)
}

/// A team is gone.
pub fn deleted(team: &Team, cause: &Cause, now: DateTime<Utc>) -> Change {
    cause.change(subject(team, "team.deleted"), record(team), Vec::new(), now)
}

fn subject(team: &Team, event_type: &'static str) -> Subject {
    Subject { aggregate: "team", id: team.id, version: team.version, event_type }
}

fn record(team: &Team) -> Record {
    Record::Team(TeamRecord {
        id: team.id,
        name: team.name.clone(),
        manager_id: team.manager_id,
        parent_id: team.parent_id,
        deleted_at: team.deleted_at.map(Into::into),
        version: team.version,
    })
}

fn changes(old: Option<&Team>, new: &Team) -> Vec<FieldChange> {
    [
        field_change("name", old.map(|team| &team.name), Some(&new.name)),
        field_change(
            "manager_id",
            old.and_then(|team| team.manager_id.as_ref()),
            new.manager_id.as_ref(),
        ),
        field_change(
            "parent_id",
            old.and_then(|team| team.parent_id.as_ref()),
            new.parent_id.as_ref(),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}
