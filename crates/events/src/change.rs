//! What a use case says about a change it made, and the row of the change log that this becomes.

use chrono::{DateTime, Utc};
use prost::Message as _;
use proto::events::v1 as wire;
use serde::Serialize;
use uuid::{NoContext, Timestamp, Uuid};

use crate::{Event, FieldChange, Origin, Record, StageMove};

/// The shape of records that this build writes; see `Event.schema_version`.
pub const SCHEMA_VERSION: i32 = 1;

/// Who made a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A user, or a program that acts for one.
    User(i64),
    /// A service on its own.
    Service(String),
}

/// One change of one record, as the use case that made it appends it.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// From [`event_id`].
    pub event_id: Uuid,
    /// The kind of record, as in `Event.aggregate`.
    pub aggregate: &'static str,
    /// The record's id.
    pub aggregate_id: i64,
    /// The record's version after the change: 1, 2, 3, … without gap.
    pub version: i64,
    /// `opportunity.created`, `user.updated`, …
    pub event_type: &'static str,
    /// When it happened in the world.
    pub occurred_at: DateTime<Utc>,
    /// When it was written down.
    pub recorded_at: DateTime<Utc>,
    /// Who made it.
    pub actor: Actor,
    /// Where it came from.
    pub origin: Origin,
    /// The request's id; empty where there was none.
    pub request_id: String,
    /// The event or request that caused it; empty where there is none.
    pub cause_id: String,
    /// The W3C trace context of the request; empty where there is none.
    pub traceparent: String,
    /// The record after the change.
    pub record: Record,
    /// What changed in it; of a new record every field that has a value. See [`field_change`].
    pub changes: Vec<FieldChange>,
    /// The row of the stage history that the change wrote, if it wrote one.
    pub stage_move: Option<StageMove>,
}

/// The columns of a row of `change`, all but the generated `change_id`.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoded {
    /// Column `event_id`.
    pub event_id: Uuid,
    /// Column `aggregate`.
    pub aggregate: &'static str,
    /// Column `aggregate_id`.
    pub aggregate_id: i64,
    /// Column `version`.
    pub version: i64,
    /// Column `type`.
    pub event_type: &'static str,
    /// Column `occurred_at`.
    pub occurred_at: DateTime<Utc>,
    /// Column `recorded_at`.
    pub recorded_at: DateTime<Utc>,
    /// Column `actor_user_id`.
    pub actor_user_id: Option<i64>,
    /// Column `actor_service`; present exactly when `actor_user_id` is not.
    pub actor_service: Option<String>,
    /// Column `origin`.
    pub origin: &'static str,
    /// Column `request_id`.
    pub request_id: String,
    /// Column `payload`: the event without its position.
    pub payload: Vec<u8>,
}

/// A new event's id: a version 7 UUID of that time, so that ids sort nearly as the changes were made.
pub fn event_id(at: DateTime<Utc>) -> Uuid {
    let seconds = u64::try_from(at.timestamp()).unwrap_or_default();
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, at.timestamp_subsec_nanos()))
}

/// What became of one field, as JSON texts; nothing if it stayed what it was.
pub fn field_change<T: Serialize + PartialEq>(
    field: &str,
    old: Option<&T>,
    new: Option<&T>,
) -> Option<FieldChange> {
    if old == new {
        return None;
    }
    // A value that has no JSON form is told as null: the record itself is told in full anyway.
    let text =
        |value: Option<&T>| serde_json::to_string(&value).unwrap_or_else(|_| "null".to_owned());
    Some(FieldChange { field: field.to_owned(), old: text(old), new: text(new) })
}

/// The row that a change becomes.
pub fn encode(change: &Change) -> Encoded {
    let (actor_user_id, actor_service) = match &change.actor {
        Actor::User(id) => (Some(*id), None),
        Actor::Service(name) => (None, Some(name.clone())),
    };
    Encoded {
        event_id: change.event_id,
        aggregate: change.aggregate,
        aggregate_id: change.aggregate_id,
        version: change.version,
        event_type: change.event_type,
        occurred_at: change.occurred_at,
        recorded_at: change.recorded_at,
        actor_user_id,
        actor_service,
        origin: origin_name(change.origin),
        request_id: change.request_id.clone(),
        payload: event(change).encode_to_vec(),
    }
}

/// The change as an event that has no position yet.
pub fn event(change: &Change) -> Event {
    let actor = match &change.actor {
        Actor::User(id) => wire::Actor { user_id: Some(*id), service: String::new() },
        Actor::Service(name) => wire::Actor { user_id: None, service: name.clone() },
    };
    Event {
        event_id: change.event_id.to_string(),
        r#type: change.event_type.to_owned(),
        schema_version: SCHEMA_VERSION,
        aggregate: change.aggregate.to_owned(),
        aggregate_id: change.aggregate_id,
        version: change.version,
        position: 0,
        occurred_at: Some(change.occurred_at.into()),
        recorded_at: Some(change.recorded_at.into()),
        actor: Some(actor),
        origin: change.origin.into(),
        cause_id: change.cause_id.clone(),
        request_id: change.request_id.clone(),
        traceparent: change.traceparent.clone(),
        changes: change.changes.clone(),
        stage_move: change.stage_move.clone(),
        record: Some(change.record.clone()),
    }
}

/// The origin as it stands in the column: `user`, `bulk`, `import`, `seed` or `system`.
pub fn origin_name(origin: Origin) -> &'static str {
    match origin {
        Origin::User => "user",
        Origin::Bulk => "bulk",
        Origin::Import => "import",
        Origin::Seed => "seed",
        Origin::System | Origin::Unspecified => "system",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_id_carries_its_time() {
        let at = DateTime::from_timestamp_millis(1_730_000_000_123).unwrap();
        let id = event_id(at);
        assert_eq!(id.get_version_num(), 7);
        assert_eq!(
            id.get_timestamp().map(|stamp| stamp.to_unix()),
            Some((1_730_000_000, 123_000_000))
        );
        assert_ne!(id, event_id(at));
    }

    #[test]
    fn a_field_that_stayed_the_same_is_no_change() {
        assert_eq!(field_change("notes", Some(&"a"), Some(&"a")), None);
        assert_eq!(field_change::<i64>("team_id", None, None), None);
    }

    #[test]
    fn a_field_change_tells_both_values_as_json() {
        let change = field_change("notes", None, Some(&"say \"hi\"")).unwrap();
        assert_eq!((&*change.old, &*change.new), ("null", r#""say \"hi\"""#));
        let change = field_change("probability", Some(&10), None).unwrap();
        assert_eq!((&*change.old, &*change.new), ("10", "null"));
    }
}
