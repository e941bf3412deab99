//! Logs, traces and metrics of the process, set up once at its start.

use std::{
    io::IsTerminal as _,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::Context as _;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::{
    Context, KeyValue,
    propagation::{Extractor, Injector, TextMapPropagator as _},
    trace::{TraceContextExt as _, TracerProvider as _},
};
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tracing::level_filters::LevelFilter;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterExt as _, filter_fn},
    layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use crate::{
    TelemetrySettings,
    export::Told,
    log::JsonLines,
    settings::LogFormat,
    statement::{self, Statements},
};

/// How long the last traces may take to leave when the process ends.
const FLUSH: Duration = Duration::from_secs(3);

/// Upper bounds of histograms of seconds: from an answer out of memory to the longest deadline.
const SECONDS: [f64; 16] = [
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0,
    60.0,
];

/// Upper bounds of all other histograms, which count things.
const COUNTS: [f64; 12] =
    [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 10_000.0, 100_000.0];

static EXPORTS_TRACES: AtomicBool = AtomicBool::new(false);

/// What was set up: kept until the process ends, so that what is still to be sent can be.
#[derive(Debug)]
pub struct Telemetry {
    traces: Option<SdkTracerProvider>,
    metrics: PrometheusHandle,
}

/// Sets up logging (standard error), traces (when an endpoint is given) and metrics, and makes aws-lc the process's cryptography.
///
/// To be called once, inside a tokio runtime. Fails when a setting makes no sense, or at a second call.
pub fn init(service: &'static str, settings: &TelemetrySettings) -> anyhow::Result<Telemetry> {
    // A second one changes nothing: it is the same.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();

    let traces = match settings.otlp_endpoint.as_deref().map(str::trim) {
        None | Some("") => None,
        Some(endpoint) => Some(exporter(service, endpoint)?),
    };
    let log_filter = EnvFilter::try_new(&settings.log_level)
        .with_context(|| format!("LOG_LEVEL `{}` is no filter", settings.log_level))?;
    // Spans stay on whatever the level is: they carry the request id of a warning.
    let log_filter =
        log_filter.or(filter_fn(|about| about.is_span() && *about.level() <= LevelFilter::INFO));
    let log: Box<dyn Layer<Registry> + Send + Sync> = match settings.log_format {
        LogFormat::Json => {
            let out = || Box::new(std::io::stderr().lock()) as Box<dyn std::io::Write>;
            JsonLines::new(service, out).boxed()
        }
        LogFormat::Text => tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .boxed(),
    };
    let spans = traces.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer(service))
            // The exporter's own requests are below this level, so that it does not report itself.
            .with_filter(LevelFilter::INFO)
    });
    let tracer = traces.as_ref().map(|provider| provider.tracer(service));
    let statements = Statements::new(tracer).with_filter(statement::filter(traces.is_some()));
    tracing_subscriber::registry()
        .with(log.with_filter(log_filter))
        .with(spans)
        .with(statements)
        .try_init()
        .context("set up logging")?;
    EXPORTS_TRACES.store(traces.is_some(), Ordering::Relaxed);

    let metrics = recorder(service)?;
    tokio::spawn(keep_up(metrics.clone()));
    Ok(Telemetry { traces, metrics })
}

impl Telemetry {
    /// Where `/metrics` is rendered from.
    #[must_use]
    pub fn metrics(&self) -> PrometheusHandle {
        self.metrics.clone()
    }

    /// Sends what is still to be sent. It blocks for up to three seconds, so it belongs outside of async code; the runtime must
    /// still be there.
    pub fn shutdown(self) {
        if let Some(traces) = self.traces
            && let Err(error) = traces.shutdown_with_timeout(FLUSH)
        {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// Whether traces are exported, that is, whether it is worth reading and writing trace contexts.
pub fn exports_traces() -> bool {
    EXPORTS_TRACES.load(Ordering::Relaxed)
}

/// Makes `span` part of the trace that `carrier` (request headers, an event's traceparent) belongs to.
///
/// To be called before the span is entered the first time. Does nothing when no traces are exported.
pub fn continue_trace(span: &tracing::Span, carrier: &dyn Extractor) {
    if exports_traces() {
        let context = TraceContextPropagator::new().extract_with_context(&Context::new(), carrier);
        if context.span().span_context().is_valid()
            && let Err(error) = span.set_parent(context)
        {
            tracing::debug!(%error, "the span does not join its caller's trace");
        }
    }
}

/// The W3C `traceparent` of the current span, for a request or an event that it causes; `None` when no traces are exported.
#[must_use]
pub fn current_traceparent() -> Option<String> {
    struct Traceparent(Option<String>);

    impl Injector for Traceparent {
        fn set(&mut self, key: &str, value: String) {
            if key == "traceparent" {
                self.0 = Some(value);
            }
        }
    }

    if !exports_traces() {
        return None;
    }
    let mut found = Traceparent(None);
    TraceContextPropagator::new().inject_context(&tracing::Span::current().context(), &mut found);
    found.0
}

fn exporter(service: &'static str, endpoint: &str) -> anyhow::Result<SdkTracerProvider> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint)
        .build()
        .with_context(|| format!("export traces to `{endpoint}`"))?;
    let about = Resource::builder()
        .with_service_name(service)
        .with_attribute(KeyValue::new("service.namespace", "salespipeline"))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    let provider = SdkTracerProvider::builder().with_batch_exporter(Told::new(exporter));
    Ok(provider.with_resource(about).build())
}

fn recorder(service: &'static str) -> anyhow::Result<PrometheusHandle> {
    let recorder = PrometheusBuilder::new()
        .set_buckets(&COUNTS)?
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .add_global_label("service", service)
        .build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).context("set up metrics")?;
    Ok(handle)
}

/// Histograms collect single values until somebody folds them: nobody may ever scrape this process.
async fn keep_up(metrics: PrometheusHandle) {
    let mut tick = tokio::time::interval(Duration::from_secs(5));
    loop {
        tick.tick().await;
        metrics.run_upkeep();
    }
}
