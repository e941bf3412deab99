//! Why a change is made: by whom, and for which request.

use chrono::{DateTime, Utc};
use events::{Actor, Change, FieldChange, Origin, Record};

/// What the change log says of a change besides the change.
#[derive(Clone, Debug)]
pub struct Cause {
    /// Who makes it.
    pub actor: Actor,
    /// Where it comes from.
    pub origin: Origin,
    /// The request's id; empty where there is none.
    pub request_id: String,
    /// The W3C trace context of the request; empty where there is none.
    pub traceparent: String,
}

/// A request of which it is not known yet for whom it is made.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Its id.
    pub id: String,
    /// Its W3C trace context; empty where there is none.
    pub traceparent: String,
}

impl Request {
    /// A change that it makes for somebody.
    pub fn by(&self, actor: Actor) -> Cause {
        Cause {
            actor,
            origin: Origin::User,
            request_id: self.id.clone(),
            traceparent: self.traceparent.clone(),
        }
    }
}

/// Which record changed, to which version, and what happened to it.
#[derive(Clone, Copy, Debug)]
pub struct Subject {
    /// The kind of record.
    pub aggregate: &'static str,
    /// The record's id.
    pub id: i64,
    /// Its version after the change.
    pub version: i64,
    /// `user.created`, …
    pub event_type: &'static str,
}

impl Cause {
    /// The service itself, at its start or from the command line.
    pub fn service() -> Self {
        Self {
            actor: Actor::Service(crate::SERVICE.to_owned()),
            origin: Origin::System,
            request_id: String::new(),
            traceparent: String::new(),
        }
    }

    /// The change of a record for the change log.
    pub fn change(
        &self,
        subject: Subject,
        record: Record,
        changes: Vec<FieldChange>,
        now: DateTime<Utc>,
    ) -> Change {
        Change {
            event_id: events::event_id(now),
            aggregate: subject.aggregate,
            aggregate_id: subject.id,
            version: subject.version,
            event_type: subject.event_type,
            occurred_at: now,
            recorded_at: now,
            actor: self.actor.clone(),
            origin: self.origin,
            request_id: self.request_id.clone(),
            cause_id: String::new(),
            traceparent: self.traceparent.clone(),
            record,
            changes,
            stage_move: None,
        }
    }
}
