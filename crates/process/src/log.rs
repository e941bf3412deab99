//! Log lines as JSON objects, one a line, with the request and the trace they belong to.
//!
//! A line has `timestamp`, `level`, `service`, `target`, `message`, the event's own fields, the fields of the spans around it (so
//! `request_id`), and `trace_id`. The inner one wins where a name occurs twice.

use std::{
    fmt::{Debug, Write as _},
    io::Write as _,
    sync::OnceLock,
};

use opentelemetry::trace::TraceContextExt as _;
use serde_json::Value;
use tracing::{
    Dispatch, Event, Subscriber,
    dispatcher::WeakDispatch,
    field::{Field, Visit},
    span,
};
use tracing_subscriber::{
    layer::{Context, Layer},
    registry::{LookupSpan, SpanRef},
};

/// Writes each event to `out` as one JSON line.
pub(crate) struct JsonLines<W> {
    service: &'static str,
    out: W,
    dispatch: OnceLock<WeakDispatch>,
}

/// What a span or an event says, in the order in which it says it.
#[derive(Default)]
struct Fields(Vec<(&'static str, Value)>);

impl<W> JsonLines<W> {
    pub(crate) fn new(service: &'static str, out: W) -> Self {
        Self { service, out, dispatch: OnceLock::new() }
    }

    /// The trace that is being exported for this span, if one is.
    fn trace_id<S: for<'a> LookupSpan<'a>>(&self, span: &SpanRef<'_, S>) -> Option<String> {
        let dispatch = self.dispatch.get()?.upgrade()?;
        let context = tracing_opentelemetry::get_otel_context(&span.id(), &dispatch)?;
        let span = context.span();
        span.span_context().is_valid().then(|| span.span_context().trace_id().to_string())
    }
}

impl<S, W> Layer<S> for JsonLines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: Fn() -> Box<dyn std::io::Write> + 'static,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        // Registered once for a process; a second subscriber has a layer of its own.
        let _ = self.dispatch.set(dispatch.downgrade());
    }

    fn on_new_span(
        &self,
        attributes: &span::Attributes<'_>,
        id: &span::Id,
        context: Context<'_, S>,
    ) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields(Vec::with_capacity(attributes.fields().len()));
            attributes.record(&mut fields);
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let span = context.event_span(event);
        // Before any span's extensions are borrowed: asking for the trace borrows them too.
        let trace_id = span.as_ref().and_then(|span| self.trace_id(span));

        let mut line = Line::begin(self.service, event);
        let mut fields = Fields::default();
        event.record(&mut fields);
        line.add(&fields);
        if let Some(trace_id) = trace_id {
            line.add(&Fields(vec![("trace_id", Value::String(trace_id))]));
        }
        for span in span.iter().flat_map(SpanRef::scope) {
            if let Some(fields) = span.extensions().get::<Fields>() {
                line.add(fields);
            }
        }
        // Where logs cannot be written there is nowhere to say so.
        let _ = (self.out)().write_all(line.end().as_bytes());
    }
}

/// A JSON object being written.
struct Line {
    text: String,
    names: Vec<&'static str>,
}

impl Line {
    fn begin(service: &str, event: &Event<'_>) -> Self {
        let about = event.metadata();
        let timestamp = crate::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let text = format!(
            r#"{{"timestamp":"{timestamp}","level":"{level}","service":{service},"target":{target}"#,
            level = about.level(),
            service = Value::from(service),
            target = Value::from(about.target()),
        );
        Self { text, names: vec!["timestamp", "level", "service", "target"] }
    }

    fn add(&mut self, fields: &Fields) {
        for (name, value) in &fields.0 {
            if !self.names.contains(name) {
                self.names.push(name);
                // Names come from source code: identifiers and dots, nothing to escape. A String takes any write.
                let _ = write!(self.text, r#","{name}":{value}"#);
            }
        }
    }

    fn end(mut self) -> String {
        self.text.push_str("}\n");
        self.text
    }
}

impl Fields {
    fn set(&mut self, field: &Field, value: Value) {
        let name = field.name();
        // Addressed to the exporter of traces, not to readers of logs.
        if name.starts_with("otel.") {
            return;
        }
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.set(field, format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::layer::SubscriberExt as _;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn lines_of(log: impl FnOnce()) -> Vec<Value> {
        let written = Written::default();
        let out = written.clone();
        let layer =
            JsonLines::new("identity", move || Box::new(out.clone()) as Box<dyn std::io::Write>);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn a_line_names_the_service_and_the_request_it_belongs_to() {
        let lines = lines_of(|| {
            let span = tracing::info_span!(
                "rpc",
                request_id = "r-1",
                trace_id = "0af7",
                user_id = tracing::field::Empty
            );
            span.record("user_id", 7);
            let _entered = span.enter();
            tracing::warn!(attempt = 2, "slow \"peer\"\n");
        });
        let line = &lines[0];
        assert_eq!(line["service"], "identity");
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["message"], "slow \"peer\"\n");
        assert_eq!(line["attempt"], 2);
        assert_eq!(line["request_id"], "r-1");
        assert_eq!(line["trace_id"], "0af7");
        assert_eq!(line["user_id"], 7);
    }

    #[test]
    fn the_inner_field_wins_over_one_of_the_same_name_outside() {
        let lines = lines_of(|| {
            tracing::info_span!("outer", id = 1, service = "other").in_scope(|| {
                tracing::info_span!("inner", id = 2).in_scope(|| tracing::info!("here"));
            });
        });
        assert_eq!(lines[0]["id"], 2);
        assert_eq!(lines[0]["service"], "identity");
    }
}
