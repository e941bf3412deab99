//! The tower layer that finds out who calls before a method is reached.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use chrono::{DateTime, Utc};
use futures::future::{BoxFuture, Either, Ready, ready};
use http::{HeaderMap, Request, Response, header};
use rpc::{Error, reason};
use tonic::{Status, body::Body};
use tower::Service;

use crate::{Caller, Verifier};

/// Lets a request through with the [`Caller`] that its token tells of, or answers for it: `UNAUTHENTICATED` with reason
/// `TOKEN_MISSING`, `TOKEN_INVALID`, `TOKEN_EXPIRED` or `TOKEN_REVOKED`.
///
/// Methods that need no token are told the caller too if a good one came, and let through whatever came.
#[derive(Debug, Clone)]
pub struct Layer {
    verifier: Arc<Verifier>,
    open: Arc<[&'static str]>,
}

impl Layer {
    /// `open` are the methods that need no token, as paths (`/salespipeline.identity.v1.KeyService/ListKeys`), or as the beginning of
    /// several, up to a slash (`/salespipeline.identity.v1.TokenService/`). Health and reflection are always open.
    pub fn new(verifier: Arc<Verifier>, open: &[&'static str]) -> Self {
        Self { verifier, open: open.iter().chain(&rpc::server::OPEN_TO_ALL).copied().collect() }
    }

    fn is_open(&self, path: &str) -> bool {
        self.open
            .iter()
            .any(|open| if open.ends_with('/') { path.starts_with(open) } else { path == *open })
    }
}

impl<S> tower::Layer<S> for Layer {
    type Service = Authenticated<S>;

    fn layer(&self, inner: S) -> Authenticated<S> {
        Authenticated { inner, layer: self.clone() }
    }
}

/// The methods behind a [`Layer`].
#[derive(Debug, Clone)]
pub struct Authenticated<S> {
    inner: S,
    layer: Layer,
}

type Answer = Result<Response<Body>, Infallible>;

impl<S> Service<Request<Body>> for Authenticated<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    /// Of a token that is remembered, of one that is refused, of one to be verified.
    type Future = Either<S::Future, Either<Ready<Answer>, BoxFuture<'static, Answer>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let now = process::now();
        let known = match bearer(request.headers()) {
            Ok(token) => self.layer.verifier.remembered(token, now).ok_or_else(|| token.to_owned()),
            Err(error) => Ok(Err(error)),
        };
        match known {
            Ok(Ok(caller)) => admit(&mut request, caller),
            Ok(Err(_)) if self.layer.is_open(request.uri().path()) => {}
            Ok(Err(error)) => return Either::Right(Either::Left(ready(Ok(refusal(error))))),
            Err(unknown) => {
                return Either::Right(Either::Right(self.call_verified(request, unknown, now)));
            }
        }
        Either::Left(self.inner.call(request))
    }
}

impl<S> Authenticated<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send + 'static,
{
    /// The slow way: verifies the token, and goes on if it is good.
    fn call_verified(
        &self,
        mut request: Request<Body>,
        token: String,
        now: DateTime<Utc>,
    ) -> BoxFuture<'static, Answer> {
        let Self { mut inner, layer } = self.clone();
        Box::pin(async move {
            match layer.verifier.verify(&token, now).await {
                Ok(caller) => admit(&mut request, caller),
                Err(_) if layer.is_open(request.uri().path()) => {}
                Err(error) => return Ok(refusal(error)),
            }
            inner.call(request).await
        })
    }
}

fn admit(request: &mut Request<Body>, caller: Caller) {
    if let Some(user_id) = caller.user() {
        tracing::Span::current().record("user_id", user_id);
    }
    request.extensions_mut().insert(caller);
}

fn refusal(error: Error) -> Response<Body> {
    Status::from(error).into_http()
}

/// The access token that a request came with, for who has to look at it again: a stream ends when [`Verifier::verify`] no longer
/// lets its caller in.
pub fn bearer_token<T>(request: &tonic::Request<T>) -> Result<&str, Error> {
    bearer(request.metadata().as_ref())
}

/// The token in `Authorization: Bearer <token>`; `UNAUTHENTICATED`, reason `TOKEN_MISSING` or `TOKEN_INVALID`, where there is none.
pub fn bearer(headers: &HeaderMap) -> Result<&str, Error> {
    let missing = || Error::unauthenticated(reason::TOKEN_MISSING, "an access token is needed");
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or_else(missing)?;
    // Of two, somebody on the way may have looked at the other one.
    let is_only = values.next().is_none();
    let token = value.to_str().ok().filter(|_| is_only).and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    });
    token.ok_or_else(|| {
        Error::unauthenticated(reason::TOKEN_INVALID, "authorization is not `Bearer <token>`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn of(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))])
    }

    #[test]
    fn the_token_follows_the_word_bearer() {
        assert_eq!(bearer(&of("Bearer a.b.c")).unwrap(), "a.b.c");
        assert_eq!(bearer(&of("bearer a.b.c")).unwrap(), "a.b.c");
        assert_eq!(bearer(&of("Basic eDp5")).unwrap_err().reason(), reason::TOKEN_INVALID);
        assert_eq!(bearer(&of("a.b.c")).unwrap_err().reason(), reason::TOKEN_INVALID);
        let mut two = of("Bearer a.b.c");
        two.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer a.b.c"));
        assert_eq!(bearer(&two).unwrap_err().reason(), reason::TOKEN_INVALID);
        assert_eq!(bearer(&HeaderMap::new()).unwrap_err().reason(), reason::TOKEN_MISSING);
    }
}
