//! Where gRPC and gRPC-web part: native requests take the short way, browsers' go through CORS and translation.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderName, Method, Request, Response, Version, header};
use tonic::{Status, body::Body};
use tonic_web::{GrpcWebLayer, GrpcWebService};
use tower::{Layer as _, Service};
use tower_http::cors::{Any, Cors, CorsLayer};

use super::edge::Edge;
use crate::context::{REQUEST_ID, TRACEPARENT};

type Web<S> = Cors<GrpcWebService<Edge<S>>>;

/// Both ways to the same methods. It is cloned for each request, so the way for browsers, which holds much, is shared.
#[derive(Debug)]
pub(crate) struct Front<S> {
    grpc: Edge<S>,
    web: Arc<Web<S>>,
}

impl<S: Clone> Front<S> {
    pub(crate) fn new(edge: Edge<S>) -> Self {
        let web = cors().layer(GrpcWebLayer::new().layer(edge.clone()));
        Self { grpc: edge, web: Arc::new(web) }
    }
}

// Derived it would ask for nothing more, but clone the pointer's content's bounds too.
impl<S: Clone> Clone for Front<S> {
    fn clone(&self) -> Self {
        Self { grpc: self.grpc.clone(), web: self.web.clone() }
    }
}

impl<S> Service<Request<Body>> for Front<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.grpc.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if is_native(&request) {
            self.grpc.call(request)
        } else {
            Box::pin(Web::clone(&self.web).call(request))
        }
    }
}

/// `application/grpc`, `application/grpc+proto`, … over HTTP/2, and not `application/grpc-web…`.
fn is_native(request: &Request<Body>) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE).map(http::HeaderValue::as_bytes);
    let rest = content_type.and_then(|it| it.strip_prefix(b"application/grpc"));
    request.version() == Version::HTTP_2 && rest.is_some_and(|it| !it.starts_with(b"-web"))
}

/// Any origin: callers show a token, and no cookie gives anything.
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::POST])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            HeaderName::from_static("x-grpc-web"),
            HeaderName::from_static("x-user-agent"),
            HeaderName::from_static("grpc-timeout"),
            HeaderName::from_static("idempotency-key"),
            REQUEST_ID,
            TRACEPARENT,
        ])
        .expose_headers([
            Status::GRPC_STATUS,
            Status::GRPC_MESSAGE,
            Status::GRPC_STATUS_DETAILS,
            REQUEST_ID,
        ])
        .max_age(Duration::from_hours(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(version: Version, content_type: &'static str) -> Request<Body> {
        let request =
            Request::post("/").version(version).header(header::CONTENT_TYPE, content_type);
        request.body(Body::empty()).unwrap()
    }

    #[test]
    fn only_grpc_over_http_2_takes_the_short_way() {
        assert!(is_native(&request(Version::HTTP_2, "application/grpc")));
        assert!(is_native(&request(Version::HTTP_2, "application/grpc+proto")));
        assert!(!is_native(&request(Version::HTTP_2, "application/grpc-web+proto")));
        assert!(!is_native(&request(Version::HTTP_11, "application/grpc-web-text")));
        assert!(!is_native(&request(Version::HTTP_2, "text/html")));
    }
}
