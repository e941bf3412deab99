//! The one form of every failure: a problem document (RFC 9457).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::{IntoResponses, ToSchema};

/// A failure on its way to the caller. As a response it becomes a [`ProblemDocument`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub(super) status: StatusCode,
    pub(super) code: Cow<'static, str>,
    pub(super) detail: Cow<'static, str>,
    pub(super) errors: Vec<FieldError>,
    pub(super) about: BTreeMap<String, Value>,
    pub(super) retry_after: Option<Duration>,
    /// Whether the request may have had its effect all the same.
    pub(super) is_uncertain: bool,
}

/// What a failure looks like.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument {
    /// Always `about:blank`: `code` says more.
    #[schema(example = "about:blank")]
    r#type: &'static str,
    /// The status in words.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// What went wrong, for people.
    detail: String,
    /// What went wrong, for programs: it does not change.
    code: String,
    /// The id of the request, as in the header `X-Request-Id`.
    #[schema(required = true, example = "0199d3a8-5f2e-7a54-9d1c-2f1f4b0c7a11")]
    request_id: Option<String>,
    /// Every bad field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FieldError>,
    /// What the caller may know of what is in the way: `{"opportunity_id": 5}`, `{"current_version": 4}`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false, value_type = Object)]
    about: BTreeMap<String, Value>,
}

/// One bad field or query parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// Its path, `amount` or `tags[1]`; empty for the body as a whole.
    #[schema(example = "amount")]
    pub field: String,
    /// What is wrong, for programs.
    #[schema(example = "too_many_decimals")]
    pub code: String,
    /// What is wrong, for people.
    #[schema(example = "has more than two decimals")]
    pub message: String,
}

impl Problem {
    /// A failure with this status, code and detail.
    pub fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (code, detail) = (code.into(), detail.into());
        let (errors, about) = (Vec::new(), BTreeMap::new());
        Self { status, code, detail, errors, about, retry_after: None, is_uncertain: false }
    }

    /// 400: it cannot be parsed.
    pub fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    /// 404: there is no such thing, or none that the caller may see.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is no such resource")
    }

    /// 422: it can be parsed, and these fields are wrong.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let problem =
            Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "some fields are not valid");
        Self { errors, ..problem }
    }

    /// 429: the caller has asked too much, and may ask again after that time.
    pub fn rate_limited(after: Duration) -> Self {
        let detail = "there were too many requests; try again later";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", detail).retry_after(after)
    }

    /// 413: there is more of it than is read.
    pub fn too_large() -> Self {
        Self::of(StatusCode::PAYLOAD_TOO_LARGE)
    }

    /// 408: it took too long to arrive.
    pub fn too_slow() -> Self {
        Self::of(StatusCode::REQUEST_TIMEOUT)
    }

    /// 415: it is of a kind that is not read.
    pub fn unsupported(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    /// 500: our fault; the caller is told nothing of it.
    pub fn internal() -> Self {
        let detail = "something went wrong; it has been written down under the request id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// 503: a dependency is down, or does not answer in time.
    pub fn unavailable() -> Self {
        let detail = "a part of the system is not available; try again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
    }

    /// The same, with the time after which to try again.
    #[must_use]
    pub fn retry_after(self, delay: Duration) -> Self {
        Self { retry_after: Some(delay), ..self }
    }

    /// The same of a request that may have had its effect.
    #[must_use]
    pub fn uncertain(self) -> Self {
        Self { is_uncertain: true, ..self }
    }

    /// A failure that says no more than a status: what axum and tower answer on their own.
    pub(super) fn of(status: StatusCode) -> Self {
        let (code, detail) = match status {
            StatusCode::NOT_FOUND => return Self::not_found(),
            StatusCode::METHOD_NOT_ALLOWED => {
                ("method_not_allowed", "this resource does not have that method")
            }
            StatusCode::PAYLOAD_TOO_LARGE => ("too_large", "the body is too large"),
            StatusCode::REQUEST_TIMEOUT => ("timeout", "the request took too long to arrive"),
            StatusCode::TOO_MANY_REQUESTS => ("too_many_requests", "there are too many requests"),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                return Self::unavailable();
            }
            status if status.is_server_error() => return Self::internal(),
            _ => ("bad_request", "this is no request that can be answered"),
        };
        Self::new(status, code, detail)
    }

    /// The status it is answered with.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The code it is answered with.
    pub fn code(&self) -> &str {
        &self.code
    }

    /// The bad fields it names.
    pub fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// As it is told to who made the request of that id.
    pub(crate) fn document(&self, request_id: Option<&str>) -> ProblemDocument {
        ProblemDocument {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: self.detail.to_string(),
            code: self.code.to_string(),
            request_id: request_id.map(str::to_owned),
            errors: self.errors.clone(),
            about: self.about.clone(),
        }
    }

    /// The whole answer to the request of that id.
    pub(super) fn render(&self, request_id: Option<&str>) -> Response {
        // Plain data: nothing in it can fail.
        let body = serde_json::to_vec(&self.document(request_id)).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(self.challenge()));
        }
        let retry_after = self.retry_after.or_else(|| {
            let busy = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS];
            busy.contains(&self.status).then_some(Duration::from_secs(1))
        });
        if let Some(delay) = retry_after {
            // Rounded up: the header has whole seconds, and 0 would mean at once.
            let seconds = delay.as_millis().div_ceil(1000).max(1);
            let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    /// RFC 6750 section 3: an error is named only to who sent a token.
    fn challenge(&self) -> &'static str {
        match &*self.code {
            "token_invalid" | "token_expired" | "token_revoked" | "api_key_invalid"
            | "api_key_expired" | "api_key_revoked" => {
                "Bearer realm=\"salespipeline\", error=\"invalid_token\""
            }
            _ => "Bearer realm=\"salespipeline\"",
        }
    }
}

impl From<proto::Refusal> for Problem {
    fn from(refusal: proto::Refusal) -> Self {
        match refusal {
            proto::Refusal::Malformed(reason) => Self::malformed(reason),
            proto::Refusal::Invalid(errors) => {
                let error = |error: proto::FieldError| FieldError {
                    field: error.field,
                    code: error.code.to_string(),
                    message: error.message,
                };
                Self::invalid(errors.into_iter().map(error).collect())
            }
        }
    }
}

impl IntoResponse for Problem {
    /// Complete but for the request id: `finish` finds the problem beside the response and renders it again with the id.
    fn into_response(self) -> Response {
        let mut response = self.render(None);
        response.extensions_mut().insert(self);
        response
    }
}

impl IntoResponses for Problem {
    /// None by itself: `document/refusals.rs` says which there are of each operation.
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        BTreeMap::new()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    async fn document(response: Response) -> Value {
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    #[tokio::test]
    async fn a_problem_has_every_member_of_the_contract() {
        let error = FieldError {
            field: "amount".into(),
            code: "too_many_decimals".into(),
            message: "has more than two decimals".into(),
        };
        let response = Problem::invalid(vec![error]).render(Some("abc"));
        assert_eq!(response.status(), 422);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(
            document(response).await,
            json!({"type": "about:blank", "title": "Unprocessable Entity", "status": 422,
                "detail": "some fields are not valid", "code": "invalid", "request_id": "abc",
                "errors": [{"field": "amount", "code": "too_many_decimals",
                    "message": "has more than two decimals"}]})
        );
        let document = document(Problem::not_found().render(Some("abc"))).await;
        assert_eq!(document.get("errors"), None);
    }

    #[test]
    fn a_busy_system_says_when_to_come_back() {
        let header = |problem: &Problem| problem.render(None).headers().get(RETRY_AFTER).cloned();
        assert_eq!(header(&Problem::unavailable()).unwrap(), "1");
        let later =
            Problem::of(StatusCode::TOO_MANY_REQUESTS).retry_after(Duration::from_millis(1_001));
        assert_eq!(header(&later).unwrap(), "2");
        assert_eq!(header(&Problem::not_found()), None);
    }

    #[test]
    fn who_is_not_signed_in_is_told_how() {
        let challenge = |code: &'static str| {
            let problem = Problem::new(StatusCode::UNAUTHORIZED, code, "");
            problem.render(None).headers()[WWW_AUTHENTICATE].clone()
        };
        assert_eq!(challenge("token_missing"), "Bearer realm=\"salespipeline\"");
        assert_eq!(
            challenge("token_expired"),
            "Bearer realm=\"salespipeline\", error=\"invalid_token\""
        );
    }

    #[test]
    fn malformed_and_invalid_requests_are_told_apart() {
        let malformed = Problem::from(proto::Refusal::Malformed("not JSON".into()));
        assert_eq!((malformed.status().as_u16(), malformed.code()), (400, "malformed"));
        let invalid = Problem::from(proto::Refusal::Invalid(Vec::new()));
        assert_eq!((invalid.status().as_u16(), invalid.code()), (422, "invalid"));
    }
}
