//! The trace of a request goes on where its events are applied.

use opentelemetry::propagation::Extractor;
use tracing::{Span, info_span};

use crate::Event;

/// A span for each of these events, part of the trace of the request that caused it, until they are dropped; none where traces are not exported.
pub(crate) fn continue_traces(consumer: &str, events: &[Event]) -> Vec<Span> {
    if !process::telemetry::exports_traces() {
        return Vec::new();
    }
    let traced = events.iter().filter(|event| !event.traceparent.is_empty());
    traced
        .map(|event| {
            let span = info_span!(
                "apply",
                "otel.name" = format!("{consumer} applies {}", event.r#type),
                "otel.kind" = "consumer",
                event_id = event.event_id,
                aggregate_id = event.aggregate_id,
                position = event.position,
            );
            continue_trace(&span, &event.traceparent);
            span
        })
        .collect()
}

/// Makes `span` part of the trace that an event brought, or that was kept of it. To be called before it is entered the first time.
pub fn continue_trace(span: &Span, traceparent: &str) {
    process::telemetry::continue_trace(span, &Traceparent(traceparent));
}

struct Traceparent<'a>(&'a str);

impl Extractor for Traceparent<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == "traceparent").then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent"]
    }
}
