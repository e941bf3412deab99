//! What is done around every request: a span that joins the caller's trace, counts and times, a bound on how many run, a deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{Method, StatusCode};
use tokio::time::{Instant, timeout};
use tracing::{Instrument as _, Span, field, info_span};

use crate::http::{Problem, RequestId};

/// How many requests may run at once.
const MOST_AT_ONCE: usize = 1_024;
/// The longest that a request may take, however slowly its body arrives.
const LONGEST: Duration = Duration::from_secs(30);

/// The one that a file comes with, which bounds by itself how slowly.
const UPLOAD: (&str, &str) = ("POST", "/api/v1/imports");
/// The longest that it may take, until its file has been read.
const LONGEST_UPLOAD: Duration = Duration::from_mins(13);

/// The requests that run.
#[derive(Clone, Debug, Default)]
pub struct Running(Arc<AtomicUsize>);

struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Running {
    fn take_place(&self) -> Option<Place> {
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(&self.0));
        (before < MOST_AT_ONCE).then_some(place)
    }
}

/// Middleware inside [`crate::http::finish`], which gives each request its id. Counts `http_requests_total{method,route,status}` and times
/// `http_request_duration_seconds{method,route}`. Past the bound, and past the deadline, the answer is 503.
pub async fn observe(State(running): State<Running>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = known(request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    let span = span(&request, route);
    let response = match running.take_place() {
        None => Problem::unavailable().into_response(),
        Some(_place) => {
            let longest = if (method, route) == UPLOAD { LONGEST_UPLOAD } else { LONGEST };
            let answered = timeout(longest, next.run(request)).instrument(span.clone()).await;
            answered.unwrap_or_else(|_| Problem::unavailable().uncertain().into_response())
        }
    };
    record(&span, response.status());
    let route = route.to_owned();
    let seconds = metrics::histogram!("http_request_duration_seconds", "method" => method, "route" => route.clone());
    seconds.record(begun.elapsed().as_secs_f64());
    let status = response.status().as_str().to_owned();
    metrics::counter!("http_requests_total", "method" => method, "route" => route, "status" => status)
        .increment(1);
    response
}

/// Anybody can make up methods, and each would be a series for ever.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

fn span(request: &Request, route: &str) -> Span {
    let method = known(request.method());
    let span = info_span!(
        "http",
        "otel.name" = field::Empty,
        "otel.kind" = "server",
        method,
        route,
        request_id = request.extensions().get::<RequestId>().map(RequestId::as_str),
        trace_id = field::Empty,
        user_id = field::Empty,
        "http.response.status_code" = field::Empty,
        "otel.status_code" = field::Empty,
    );
    if process::telemetry::exports_traces() {
        span.record("otel.name", format!("{method} {route}"));
        // Before the span is entered: afterwards it has a trace of its own.
        process::telemetry::continue_trace(&span, &rpc::TraceHeaders(request.headers()));
    } else if let Some((_, trace_id)) = rpc::trace(request.headers()) {
        span.record("trace_id", trace_id);
    }
    span
}

/// A trace says what was answered. Only what is the server's fault is an error of its span.
fn record(span: &Span, status: StatusCode) {
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::{Body, Bytes};
    use axum::middleware::from_fn_with_state;
    use axum::routing::post;
    use futures::StreamExt as _;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_in_is_waited_for_only_so_long() {
        let router = Router::new()
            .route("/", post(async |body: Bytes| body))
            .layer(from_fn_with_state(Running::default(), observe));
        let bytes = futures::stream::unfold((), async |()| {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((Ok::<_, std::io::Error>("x"), ()))
        });
        let request = Request::post("/").body(Body::from_stream(bytes.boxed())).unwrap();
        let begun = Instant::now();
        let answer = router.oneshot(request).await.unwrap();
        assert_eq!(answer.status(), http::StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(begun.elapsed().as_secs(), LONGEST.as_secs());
    }
}
