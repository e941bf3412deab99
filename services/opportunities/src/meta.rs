//! What the change log keeps of a request besides what it changed.

use chrono::{DateTime, SecondsFormat, Utc};
use events::{Actor, Change, Origin};
use proto::events::v1::{FieldChange, event::Record};

use crate::opportunity::event;
use crate::opportunity::model::{Moved, Opportunity};

/// An instant as the change log tells it among what changed.
pub(crate) fn as_text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// Who, from where, when, by which request.
#[derive(Clone, Debug)]
pub struct Meta {
    /// Who acts.
    pub actor: Actor,
    /// Where the change comes from.
    pub origin: Origin,
    /// When it is written down; also when it happens, unless it is brought from the past.
    pub recorded_at: DateTime<Utc>,
    /// As in logs and answers.
    pub request_id: String,
    /// W3C trace context.
    pub traceparent: String,
}

impl Meta {
    /// Of what this service does by itself, as a part of the request and trace from which it follows.
    pub(crate) fn following(at: DateTime<Utc>, request_id: &str, traceparent: &str) -> Self {
        Self {
            actor: Actor::Service("opportunities".to_owned()),
            origin: Origin::System,
            recorded_at: at,
            request_id: request_id.to_owned(),
            traceparent: traceparent.to_owned(),
        }
    }

    /// A change of a record.
    #[expect(clippy::too_many_arguments, reason = "each is a column of the change log")]
    pub(crate) fn change(
        &self,
        aggregate: &'static str,
        aggregate_id: i64,
        version: i64,
        event_type: &'static str,
        occurred_at: DateTime<Utc>,
        record: Record,
        changes: Vec<FieldChange>,
    ) -> Change {
        Change {
            event_id: events::event_id(self.recorded_at),
            aggregate,
            aggregate_id,
            version,
            event_type,
            occurred_at,
            recorded_at: self.recorded_at,
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

    /// The change from one state of an opportunity to the next, with its history row where it came into another stage.
    pub(crate) fn moved(
        &self,
        before: Option<&Opportunity>,
        after: &Opportunity,
        moved: Option<&Moved>,
    ) -> Change {
        let change = self.change(
            "opportunity",
            after.id,
            after.version,
            event::kind(before, after),
            after.updated_at,
            event::record(after),
            event::changes(before, after),
        );
        Change { stage_move: moved.map(event::stage_move), ..change }
    }
}
