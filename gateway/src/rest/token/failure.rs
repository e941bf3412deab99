//! Why there is no token, in the words of RFC 6749 section 5.2.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use rpc::Error;
use serde::Serialize;
use utoipa::openapi::RefOr;
use utoipa::{IntoResponses, ToSchema};

use super::unkept;
use crate::http::Problem;

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct TokenFailure {
    /// `invalid_request`, `invalid_client`, `invalid_grant`, `unauthorized_client`, `unsupported_grant_type`, `invalid_scope`, `unsupported_token_type`,
    /// `temporarily_unavailable` or `server_error`.
    #[schema(example = "invalid_grant")]
    pub(super) error: &'static str,
    /// The same for people.
    error_description: Cow<'static, str>,
    #[serde(skip)]
    #[schema(ignore)]
    pub(super) status: StatusCode,
    #[serde(skip)]
    #[schema(ignore)]
    retry_after: Option<Duration>,
    #[serde(skip)]
    #[schema(ignore)]
    is_challenged: bool,
}

impl TokenFailure {
    fn new(status: StatusCode, error: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        let error_description = detail.into();
        Self { error, error_description, status, retry_after: None, is_challenged: false }
    }

    pub(super) fn bad(error: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, detail)
    }

    /// What is no form, or could not be read.
    pub(super) fn unread(problem: &Problem) -> Self {
        let status = match problem.status() {
            StatusCode::UNSUPPORTED_MEDIA_TYPE => StatusCode::BAD_REQUEST,
            status => status,
        };
        Self::new(status, "invalid_request", "the form cannot be read")
    }

    /// The client did not show that it is the one that it says.
    pub(super) fn client() -> Self {
        let detail = "the client is not known, or did not show who it is";
        Self::new(StatusCode::UNAUTHORIZED, "invalid_client", detail)
    }

    /// The same to a client that tried to show who it is in `Authorization`: it is told by which scheme.
    #[must_use]
    pub(super) fn challenged(self, by_header: bool) -> Self {
        Self { is_challenged: by_header && self.status == StatusCode::UNAUTHORIZED, ..self }
    }

    /// The caller has asked too much, and may ask again after that time.
    pub fn rate_limited(after: Duration) -> Self {
        Self::later(StatusCode::TOO_MANY_REQUESTS, Some(after))
    }

    fn later(status: StatusCode, after: Option<Duration>) -> Self {
        let detail = "sign-in is not possible at present; try again";
        let failure = Self::new(status, "temporarily_unavailable", detail);
        Self { retry_after: Some(after.unwrap_or(Duration::from_secs(1))), ..failure }
    }

    fn precondition(reason: &str) -> Self {
        match reason {
            "INVALID_SCOPE" => {
                Self::bad("invalid_scope", "there is no such scope, or more than was granted")
            }
            "UNAUTHORIZED_CLIENT" => {
                Self::bad("unauthorized_client", "the client acts as no active user by itself")
            }
            "UNSUPPORTED_GRANT_TYPE" => {
                Self::bad("unsupported_grant_type", "people sign in on the sign-in page only")
            }
            "UNSUPPORTED_TOKEN_TYPE" => {
                Self::bad("unsupported_token_type", "a client's own token ends with its client")
            }
            _ => Self::bad("invalid_request", "a parameter is not valid"),
        }
    }
}

impl From<Error> for TokenFailure {
    fn from(error: Error) -> Self {
        match error {
            Error::Unauthenticated { reason, .. } if reason == "INVALID_CLIENT" => Self::client(),
            Error::Unauthenticated { reason, .. } if reason == "SECOND_FACTOR_REQUIRED" => {
                let detail = "this account needs a second factor: it signs in on the sign-in page";
                Self::bad("invalid_grant", detail)
            }
            Error::Unauthenticated { .. } => {
                Self::bad("invalid_grant", "the credentials are not valid")
            }
            Error::Precondition { reason, .. } => Self::precondition(&reason),
            Error::Invalid(_) | Error::Malformed { .. } => {
                Self::bad("invalid_request", "a parameter is not valid")
            }
            Error::Exhausted { reason, retry_after, .. } if reason == "SIGN_IN_BUSY" => {
                Self::later(StatusCode::SERVICE_UNAVAILABLE, retry_after)
            }
            Error::Exhausted { retry_after, .. } => {
                Self::later(StatusCode::TOO_MANY_REQUESTS, retry_after)
            }
            Error::Unavailable { .. } | Error::OutcomeUnknown => {
                Self::later(StatusCode::SERVICE_UNAVAILABLE, None)
            }
            error => {
                tracing::error!(error = format!("{:#}", anyhow::Error::from(error)), "no token");
                let detail = "something went wrong";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", detail)
            }
        }
    }
}

impl IntoResponse for TokenFailure {
    fn into_response(self) -> Response {
        // Plain data: nothing in it can fail.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.is_challenged {
            let challenge = HeaderValue::from_static("Basic realm=\"salespipeline\"");
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(delay) = self.retry_after {
            let seconds = u64::try_from(delay.as_millis().div_ceil(1000).max(1));
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds.unwrap_or(u64::MAX)));
        }
        unkept(response)
    }
}

impl IntoResponses for TokenFailure {
    /// None by itself: `document/refusals.rs` says which there are.
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        BTreeMap::new()
    }
}

#[cfg(test)]
mod tests {
    use http::header::CACHE_CONTROL;

    use super::*;

    #[test]
    fn a_failure_has_the_words_of_the_rfc() {
        for (error, status, word) in [
            (Error::unauthenticated("INVALID_GRANT", "no"), 400, "invalid_grant"),
            (Error::unauthenticated("SECOND_FACTOR_REQUIRED", "no"), 400, "invalid_grant"),
            (Error::unauthenticated("INVALID_CLIENT", "no"), 401, "invalid_client"),
            (Error::precondition("INVALID_SCOPE", "no"), 400, "invalid_scope"),
            (Error::precondition("UNAUTHORIZED_CLIENT", "no"), 400, "unauthorized_client"),
            (Error::precondition("UNSUPPORTED_GRANT_TYPE", "no"), 400, "unsupported_grant_type"),
            (Error::precondition("UNSUPPORTED_TOKEN_TYPE", "no"), 400, "unsupported_token_type"),
            (Error::invalid("username", "too_long", "no"), 400, "invalid_request"),
            (Error::exhausted("SIGN_IN_BUSY", "no"), 503, "temporarily_unavailable"),
            (Error::exhausted("TOO_MANY_FAILURES", "no"), 429, "temporarily_unavailable"),
            (Error::unavailable(anyhow::anyhow!("down")), 503, "temporarily_unavailable"),
            (Error::OutcomeUnknown, 503, "temporarily_unavailable"),
            (Error::internal("no"), 500, "server_error"),
        ] {
            let failure = TokenFailure::from(error);
            assert_eq!((failure.status.as_u16(), failure.error), (status, word));
            let response = failure.into_response();
            assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
            let busy = word == "temporarily_unavailable";
            assert_eq!(response.headers().contains_key(RETRY_AFTER), busy);
        }
    }

    #[test]
    fn only_who_tried_the_header_is_told_of_its_scheme() {
        let challenge = |failure: TokenFailure, by_header| {
            let response = failure.challenged(by_header).into_response();
            response.headers().get(WWW_AUTHENTICATE).cloned()
        };
        let told = challenge(TokenFailure::client(), true).unwrap();
        assert_eq!(told, "Basic realm=\"salespipeline\"");
        assert_eq!(challenge(TokenFailure::client(), false), None);
        assert_eq!(challenge(TokenFailure::bad("invalid_grant", "no"), true), None);
    }
}
