//! What happens to every answer last: it gets the request's id, and a failure becomes a problem document that names it.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use uuid::Uuid;

use super::Problem;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id that is taken from a request.
const LONGEST_ID_BYTES: usize = 128;

/// The id of a request, in its extensions: the caller's, or one of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    fn of(headers: &HeaderMap) -> Self {
        let given = headers.get(X_REQUEST_ID).filter(|id| {
            // It goes into logs, answers and gRPC metadata as it is.
            let bytes = id.as_bytes();
            (1..=LONGEST_ID_BYTES).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
        });
        let ours = || HeaderValue::from_str(&Uuid::now_v7().to_string());
        let id = given.cloned().or_else(|| ours().ok());
        Self(id.unwrap_or(HeaderValue::from_static("unknown")))
    }

    /// As the value of a header.
    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// The outermost middleware of the router: `router.layer(axum::middleware::from_fn(finish))`.
///
/// A failure that did not come as a [`Problem`] (no such route, wrong method, a panic) becomes one and keeps its headers,
/// `Allow` among them. JSON and HTML are left as they are: the token endpoint and pages have their own form of failure.
pub async fn finish(mut request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers());
    request.headers_mut().insert(X_REQUEST_ID, id.0.clone());
    request.extensions_mut().insert(id.clone());
    let is_write = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);

    let mut response = next.run(request).await;
    let problem = response.extensions_mut().remove::<Problem>().or_else(|| foreign(&response));
    if let Some(problem) = problem {
        let mut rendered = told(problem, is_write).render(Some(id.as_str()));
        for (name, value) in response.headers() {
            if ![CONTENT_TYPE, CONTENT_LENGTH].contains(name)
                && !rendered.headers().contains_key(name)
            {
                rendered.headers_mut().append(name, value.clone());
            }
        }
        response = rendered;
    }
    response.headers_mut().insert(X_REQUEST_ID, id.0);
    response
}

fn foreign(response: &Response) -> Option<Problem> {
    let status = response.status();
    let content = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_told = content.is_some_and(|it| it.contains("json") || it.starts_with("text/html"));
    ((status.is_client_error() || status.is_server_error()) && !is_told)
        .then(|| Problem::of(status))
}

/// Whoever wrote something has to know that it may be there.
fn told(problem: Problem, is_write: bool) -> Problem {
    if !(problem.is_uncertain && is_write) {
        return problem;
    }
    let detail = "no answer came in time and the change may have been made; try again with the same Idempotency-Key";
    Problem { code: "outcome_unknown".into(), detail: detail.into(), ..problem }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::routing::{get, post};
    use http::StatusCode;
    use serde_json::Value;
    use tower::ServiceExt as _;

    use super::*;
    use crate::http::Answer;

    async fn timeout() -> Answer<()> {
        Err(tonic::Status::deadline_exceeded("").into())
    }

    async fn own_form() -> (StatusCode, [(HeaderName, &'static str); 1], &'static str) {
        (
            StatusCode::BAD_REQUEST,
            [(CONTENT_TYPE, "application/json")],
            "{\"error\":\"invalid_grant\"}",
        )
    }

    async fn call(request: http::request::Builder) -> (http::response::Parts, Value) {
        let router = Router::new()
            .route("/timeout", get(timeout).post(timeout))
            .route("/token", post(own_form))
            .route("/page", get(|| async { (StatusCode::FORBIDDEN, axum::response::Html("null")) }))
            .route("/fine", get(|| async { "{}" }))
            .layer(axum::middleware::from_fn(finish));
        let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        (parts, serde_json::from_slice(&body).unwrap())
    }

    fn request(method: &str, path: &str) -> http::request::Builder {
        http::Request::builder().method(method).uri(path)
    }

    #[tokio::test]
    async fn every_answer_carries_the_id_of_its_request() {
        let (parts, _) = call(request("GET", "/fine").header("x-request-id", "abc-1")).await;
        assert_eq!(parts.headers["x-request-id"], "abc-1");
        let (parts, problem) =
            call(request("GET", "/nowhere").header("x-request-id", "abc-1")).await;
        assert_eq!(parts.headers["x-request-id"], "abc-1");
        assert_eq!(problem["request_id"], "abc-1");
    }

    #[tokio::test]
    async fn an_id_that_could_forge_a_log_line_is_replaced() {
        for id in ["", "a b", "é", &"x".repeat(129)] {
            let (parts, _) = call(request("GET", "/fine").header("x-request-id", id)).await;
            let found = parts.headers["x-request-id"].to_str().unwrap();
            assert!(Uuid::parse_str(found).is_ok(), "{id}: {found}");
        }
    }

    #[tokio::test]
    async fn what_the_router_refuses_is_a_problem_too() {
        let (parts, problem) = call(request("GET", "/nowhere")).await;
        assert_eq!(parts.status, 404);
        assert_eq!(parts.headers[CONTENT_TYPE], "application/problem+json");
        assert_eq!(problem["code"], "not_found");
        let (parts, problem) = call(request("DELETE", "/fine")).await;
        assert_eq!((parts.status.as_u16(), &problem["code"]), (405, &"method_not_allowed".into()));
        assert_eq!(parts.headers["allow"], "GET,HEAD");
    }

    #[tokio::test]
    async fn a_failure_with_a_form_of_its_own_is_left_as_it_is() {
        let (parts, body) = call(request("POST", "/token")).await;
        assert_eq!((parts.status.as_u16(), &body["error"]), (400, &"invalid_grant".into()));
        let (parts, body) = call(request("GET", "/page")).await;
        assert_eq!((parts.status.as_u16(), body), (403, Value::Null));
    }

    #[tokio::test]
    async fn a_write_past_its_deadline_has_an_unknown_outcome_and_a_read_has_not() {
        let (parts, problem) = call(request("POST", "/timeout")).await;
        assert_eq!((parts.status.as_u16(), &problem["code"]), (503, &"outcome_unknown".into()));
        assert!(parts.headers.contains_key("retry-after"));
        let (parts, problem) = call(request("GET", "/timeout")).await;
        assert_eq!((parts.status.as_u16(), &problem["code"]), (503, &"unavailable".into()));
    }
}
