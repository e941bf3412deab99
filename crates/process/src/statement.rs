//! SQL statements as spans of the request that they ran for. sqlx makes none, but tells of each statement when it has ended.

use std::{
    fmt::Debug,
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    KeyValue,
    trace::{Span as _, SpanKind, TraceContextExt as _, Tracer as _},
};
use opentelemetry_sdk::trace::SdkTracer;
use tracing::{
    Dispatch, Event, Subscriber,
    dispatcher::WeakDispatch,
    field::{Field, Visit},
    level_filters::LevelFilter,
};
use tracing_subscriber::{
    filter::filter_fn,
    layer::{Context, Filter, Layer},
    registry::LookupSpan,
};

/// The target under which sqlx tells of statements.
const TARGET: &str = "sqlx::query";

/// What [`Statements`] is to hear, if traces are exported: statements, and the spans that they are part of.
pub(crate) fn filter<S>(exports: bool) -> impl Filter<S> {
    let wanted = filter_fn(move |about| {
        let is_outer = about.is_span() && *about.level() <= LevelFilter::INFO;
        exports && (is_outer || about.target() == TARGET)
    });
    wanted.with_max_level_hint(if exports { LevelFilter::DEBUG } else { LevelFilter::OFF })
}

/// Makes a span of each statement that ran in a span; those in none belong to no request. None at all without a tracer: an absent layer
/// would not be told the dispatcher.
pub(crate) struct Statements {
    tracer: Option<SdkTracer>,
    dispatch: OnceLock<WeakDispatch>,
}

/// What sqlx tells: the text with `$1` where there are values, never a value.
#[derive(Default)]
struct Told {
    summary: String,
    text: String,
    rows: Option<u64>,
    took: Duration,
}

impl Statements {
    pub(crate) fn new(tracer: Option<SdkTracer>) -> Self {
        Self { tracer, dispatch: OnceLock::new() }
    }
}

impl<S> Layer<S> for Statements
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        // Registered once for a process.
        let _ = self.dispatch.set(dispatch.downgrade());
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let ended = SystemTime::now();
        let Some(tracer) = &self.tracer else { return };
        let Some(span) = context.event_span(event) else { return };
        let Some(dispatch) = self.dispatch.get().and_then(WeakDispatch::upgrade) else { return };
        let Some(around) = tracing_opentelemetry::get_otel_context(&span.id(), &dispatch) else {
            return;
        };
        if !around.span().span_context().is_sampled() {
            return;
        }
        let mut told = Told::default();
        event.record(&mut told);
        let mut attributes = vec![KeyValue::new("db.system.name", "postgresql")];
        if !told.text.is_empty() {
            attributes.push(KeyValue::new("db.query.text", told.text));
        }
        if let Some(rows) = told.rows {
            attributes.push(KeyValue::new(
                "db.response.returned_rows",
                i64::try_from(rows).unwrap_or(i64::MAX),
            ));
        }
        let builder = tracer.span_builder(told.summary);
        builder
            .with_kind(SpanKind::Client)
            .with_start_time(ended.checked_sub(told.took).unwrap_or(ended))
            .with_attributes(attributes)
            .start_with_context(tracer, &around)
            .end_with_timestamp(ended);
    }
}

impl Visit for Told {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => value.clone_into(&mut self.summary),
            // Empty where the summary is all of it.
            "db.statement" => value.trim().clone_into(&mut self.text),
            _ => {}
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "rows_returned" {
            self.rows = Some(value);
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if field.name() == "elapsed_secs" {
            self.took = Duration::try_from_secs_f64(value).unwrap_or_default();
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::{
        error::OTelSdkResult,
        trace::{SdkTracerProvider, SpanData, SpanExporter},
    };
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    #[derive(Clone, Debug, Default)]
    struct Kept(Arc<Mutex<Vec<SpanData>>>);

    impl SpanExporter for Kept {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().unwrap().extend(batch);
            Ok(())
        }
    }

    fn tell(text: &str) {
        tracing::debug!(
            target: "sqlx::query",
            summary = "select a from b …",
            db.statement = text,
            rows_affected = 0_u64,
            rows_returned = 2_u64,
            elapsed_secs = 0.25,
        );
    }

    #[test]
    fn a_statement_is_a_span_of_the_request_that_it_ran_for() {
        let kept = Kept::default();
        let provider = SdkTracerProvider::builder().with_simple_exporter(kept.clone()).build();
        let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let spans = Some(spans.with_filter(LevelFilter::INFO));
        let statements = Statements::new(Some(provider.tracer("test"))).with_filter(filter(true));
        let log = tracing_subscriber::registry().with(spans).with(statements);
        tracing::subscriber::with_default(log, || {
            tell("select nobody asked");
            tracing::info_span!("request").in_scope(|| tell("\n\nselect a\nfrom b\n"));
        });
        let kept = kept.0.lock().unwrap();
        let [statement, request] = &kept[..] else { panic!("{kept:?}") };
        assert_eq!((&*statement.name, &*request.name), ("select a from b …", "request"));
        assert_eq!(statement.parent_span_id, request.span_context.span_id());
        let took = statement.end_time.duration_since(statement.start_time).unwrap();
        assert_eq!(took, Duration::from_millis(250));
        let said = format!("{:?}", statement.attributes);
        assert!(said.contains("select a\\nfrom b") && said.contains("I64(2)"), "{said}");
        // The log's own line of it is no event of the request's span.
        assert!(request.events.is_empty(), "{:?}", request.events);
    }
}
