//! What happens to every request before and after its method.

use std::{
    convert::Infallible,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use anyhow::anyhow;
use futures::FutureExt as _;
use http::{HeaderMap, Request, Response};
use tokio::time::Instant;
use tonic::{Code, Status, body::Body};
use tower::Service;
use tracing::{Instrument as _, Span, field, info_span};

use super::{
    connection::Client,
    methods::{Methods, name_of},
};
use crate::{
    Error, RequestContext, TraceHeaders,
    context::REQUEST_ID,
    deadline::{self, Deadline},
    reason,
};

/// The service inside, with a request's context, span, deadline, bound, count, and safety from panics around it.
///
/// It is cloned for each request, so that is cheap.
#[derive(Debug, Clone)]
pub(crate) struct Edge<S> {
    inner: S,
    methods: Arc<Methods>,
    in_flight: Arc<AtomicUsize>,
    most: usize,
    longest: Duration,
}

impl<S> Edge<S> {
    pub(crate) fn new(inner: S, methods: Arc<Methods>, longest: Duration, most: usize) -> Self {
        Self { inner, methods, in_flight: Arc::default(), most, longest }
    }

    /// One of the places at this server, until it is dropped.
    fn take_place(&self) -> Option<Place> {
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let place = Place(self.in_flight.clone());
        (before < self.most).then_some(place)
    }
}

struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<S> Service<Request<Body>> for Edge<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let arrived = Instant::now();
        let client = request.extensions_mut().remove::<Client>();
        let is_stranger = client.as_ref().is_some_and(|it| it.is_stranger);
        if let Some(client) = client {
            // Where `tonic::Request::remote_addr` looks for it.
            request.extensions_mut().insert(client.at);
        }
        let path = request.uri().path();
        let Some(place) = self.take_place() else {
            self.methods.at(path).answered(Code::Unavailable, Duration::ZERO);
            return Box::pin(std::future::ready(Ok(overloaded(self.most))));
        };
        if is_stranger {
            self.methods.at(path).answered(Code::PermissionDenied, Duration::ZERO);
            let error = Error::denied("a client with this certificate is not served here");
            return Box::pin(std::future::ready(Ok(Status::from(error).into_http())));
        }
        let is_stream = self.methods.at(path).is_stream;
        let deadline = deadline_of(request.headers(), is_stream, self.longest)
            .map(|it| Deadline::after(arrived, it));
        let context = RequestContext::of(request.headers(), deadline.map(|it| it.soft));
        let span = span(&request, &context);
        // The id is sent back only to who does not know it.
        let new_id =
            (!request.headers().contains_key(REQUEST_ID)).then(|| context.request_id.clone());
        let path = request.uri().clone();
        request.extensions_mut().insert(context);

        let methods = self.methods.clone();
        let work = span.in_scope(|| self.inner.call(request));
        let answer = async move {
            let mut response = within(deadline, work).await;
            drop(place);
            if let Some(id) = new_id {
                response.headers_mut().insert(REQUEST_ID, id);
            }
            let code = code_of(&response);
            record(&Span::current(), code);
            methods.at(path.path()).answered(code, arrived.elapsed());
            Ok(response)
        };
        Box::pin(answer.instrument(span))
    }
}

/// What a request may take: what its caller allows, and no more than `longest` unless it is a stream.
fn deadline_of(headers: &HeaderMap, is_stream: bool, longest: Duration) -> Option<Duration> {
    match deadline::allowed(headers) {
        allowed if is_stream => allowed,
        Some(allowed) => Some(allowed.min(longest)),
        None => Some(longest),
    }
}

async fn within<F>(deadline: Option<Deadline>, work: F) -> Response<Body>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    let work = AssertUnwindSafe(work).catch_unwind();
    let ended = match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline.hard, deadline.scope(work)).await,
        None => Ok(work.await),
    };
    match ended {
        Ok(Ok(Ok(response))) => response,
        Ok(Err(_panic)) => Status::from(Error::internal("a method panicked")).into_http(),
        Err(_late) => {
            let error = Error::Unavailable {
                reason: reason::DEADLINE_EXCEEDED.into(),
                source: anyhow!("the method did not answer in time"),
            };
            Status::from(error).into_http()
        }
    }
}

fn overloaded(most: usize) -> Response<Body> {
    let error = Error::Unavailable {
        reason: reason::OVERLOADED.into(),
        source: anyhow!("{most} requests run already"),
    };
    Status::from(error).into_http()
}

fn span(request: &Request<Body>, context: &RequestContext) -> Span {
    let path = request.uri().path();
    let span = info_span!(
        "rpc",
        "otel.name" = path.trim_start_matches('/'),
        "otel.kind" = "server",
        method = path,
        request_id = context.request_id(),
        trace_id = field::Empty,
        user_id = field::Empty,
        "rpc.response.status_code" = field::Empty,
        "otel.status_code" = field::Empty,
    );
    if process::telemetry::exports_traces() {
        // Before the span is entered: afterwards it has a trace of its own.
        process::telemetry::continue_trace(&span, &TraceHeaders(request.headers()));
    } else if let Some(trace_id) = context.trace_id() {
        span.record("trace_id", trace_id);
    }
    span
}

/// Refusals come in the headers; what begins to answer is OK as far as it is known here.
fn code_of(response: &Response<Body>) -> Code {
    response
        .headers()
        .get(Status::GRPC_STATUS)
        .map_or(Code::Ok, |it| Code::from_bytes(it.as_bytes()))
}

/// A trace says what was answered. Only what is the server's fault is an error of its span.
fn record(span: &Span, code: Code) {
    span.record("rpc.response.status_code", name_of(code));
    let is_fault = matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    );
    if is_fault {
        span.record("otel.status_code", "ERROR");
    }
}
