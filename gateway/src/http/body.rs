//! JSON bodies, in and out.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use proto::mask::Masked;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder, ResponsesBuilder};
use utoipa::{IntoResponses, ToSchema};

use super::{Faults, Problem};

/// The longest JSON body that is read: 1 MiB.
pub const BODY_LIMIT_BYTES: usize = 1024 * 1024;

/// The longest JSON body about many records that is read: 32 MiB.
const BULK_LIMIT_BYTES: usize = 32 * 1024 * 1024;

/// How long a body may take to arrive.
const ARRIVES_WITHIN: Duration = Duration::from_secs(20);

/// A message as the body of a request or, with status 200, of an answer.
///
/// As a request: 415 unless it is `application/json`, 413 beyond [`BODY_LIMIT_BYTES`], 400 where it is no JSON, 422 with every bad field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<S: Sync, T: DeserializeOwned + 'static> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        check_media_type(&parts.headers, &["application/json"])?;
        let body = read(body, BODY_LIMIT_BYTES).await?;
        let request = proto::json::decode(&body).or_else(|refusal| {
            Faults::keep(&parts.extensions, refusal, || proto::json::decode_anyway(&body))
        });
        request.map(Self)
    }
}

/// A message as the body of a request about many records: like [`Json`], up to 32 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BulkJson<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for BulkJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        check_media_type(&parts.headers, &["application/json"])?;
        let body = read(body, BULK_LIMIT_BYTES).await?;
        let request = proto::json::decode(&body).or_else(|refusal| {
            // A value that is none is one record's fault, and told with that record by the service.
            let values = refusal.values().map(|_| proto::json::decode_anyway(&body));
            values.flatten().ok_or(refusal)
        });
        Ok(Self(request?))
    }
}

/// A JSON merge patch (RFC 7396): what it names is to change, `null` clears. As a request like [`Json`], and `application/merge-patch+json` too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patch<T>(pub T);

impl<S: Sync, T: DeserializeOwned + Masked + 'static> FromRequest<S> for Patch<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        check_media_type(&parts.headers, &["application/json", "application/merge-patch+json"])?;
        let body = read(body, BODY_LIMIT_BYTES).await?;
        let request = proto::mask::decode(&body).or_else(|refusal| {
            Faults::keep(&parts.extensions, refusal, || proto::mask::decode_anyway(&body))
        });
        request.map(Self)
    }
}

fn check_media_type(headers: &HeaderMap, accepted: &[&str]) -> Result<(), Problem> {
    let refuse = |detail: &'static str| {
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    };
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?"));
    let media_type = text(CONTENT_TYPE).unwrap_or_default();
    let mut parts = media_type.split(';').map(str::trim);
    let is_json = parts
        .next()
        .is_some_and(|name| accepted.iter().any(|known| name.eq_ignore_ascii_case(known)));
    let is_utf8 = parts.all(|parameter| match parameter.split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
            value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    });
    if !(is_json && is_utf8) {
        return Err(refuse("the body has to be application/json in UTF-8"));
    }
    match text(CONTENT_ENCODING) {
        None | Some("identity") => Ok(()),
        Some(_) => Err(refuse("the body must not be compressed")),
    }
}

/// The fields of a form, in order: 415 where it is none, 413 beyond the limit.
pub(crate) async fn read_form(
    request: Request,
    limit_bytes: usize,
) -> Result<Vec<(String, String)>, Problem> {
    let (parts, body) = request.into_parts();
    let media_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = media_type.unwrap_or_default().split(';').next().unwrap_or_default();
    if !media_type.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "the body has to be application/x-www-form-urlencoded",
        ));
    }
    let body = read(body, limit_bytes).await?;
    Ok(form_urlencoded::parse(&body).into_owned().collect())
}

/// A whole body: 413 where it is too long, 408 where it takes too long.
async fn read(body: Body, limit_bytes: usize) -> Result<Bytes, Problem> {
    match timeout(ARRIVES_WITHIN, Limited::new(body, limit_bytes).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if is_too_long(&*error) => Err(Problem::of(StatusCode::PAYLOAD_TOO_LARGE)),
        Ok(Err(_)) => Err(Problem::malformed("the body broke off")),
        Err(_late) => Err(Problem::of(StatusCode::REQUEST_TIMEOUT)),
    }
}

fn is_too_long(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.is::<LengthLimitError>() {
            return true;
        }
        next = error.source();
    }
    false
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => {
                let content = HeaderValue::from_static("application/json");
                ([(CONTENT_TYPE, content)], body).into_response()
            }
            Err(error) => {
                tracing::error!(%error, "an answer has no JSON");
                Problem::internal().into_response()
            }
        }
    }
}

impl<T: ToSchema> IntoResponses for Json<T> {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let response = described::<T>("The answer.");
        ResponsesBuilder::new().response("200", response).build().into()
    }
}

/// The documentation of an answer with that body.
pub(super) fn described<T: ToSchema>(description: &str) -> ResponseBuilder {
    let schema = Ref::from_schema_name(T::name());
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new().description(description).content("application/json", content)
}

#[cfg(test)]
mod tests {
    use proto::opportunities::v1::CreateOpportunityRequest;

    use super::*;

    async fn decode(
        media_type: &str,
        body: impl Into<Body>,
    ) -> Result<CreateOpportunityRequest, (u16, String)> {
        let request = http::Request::builder().header(CONTENT_TYPE, media_type);
        let request = request.body(body.into()).unwrap();
        let result = Json::from_request(request, &()).await;
        result
            .map(|Json(message)| message)
            .map_err(|problem| (problem.status().as_u16(), problem.code().to_owned()))
    }

    #[tokio::test]
    async fn a_json_body_becomes_the_message() {
        for media_type in [
            "application/json",
            "application/json; charset=utf-8",
            "Application/JSON;charset=\"UTF-8\"",
        ] {
            let message = decode(media_type, r#"{"opportunity_name":"A"}"#).await.unwrap();
            assert_eq!(message.opportunity_name, "A");
        }
    }

    #[tokio::test]
    async fn a_body_of_another_kind_is_an_unsupported_media_type() {
        for media_type in [
            "",
            "text/plain",
            "application/jsonp",
            "application/merge-patch+json",
            "application/json; charset=big5",
            "application/x-www-form-urlencoded",
        ] {
            let refused = decode(media_type, "{}").await.unwrap_err();
            assert_eq!(refused, (415, "unsupported_media_type".into()), "{media_type}");
        }
        let request = http::Request::builder()
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_ENCODING, "gzip")
            .body(Body::from("{}"))
            .unwrap();
        let refused =
            Json::<CreateOpportunityRequest>::from_request(request, &()).await.unwrap_err();
        assert_eq!(refused.status(), 415);
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_one_mebibyte() {
        let body = |length: usize| format!("{{\"notes\":\"{}\"}}", "x".repeat(length - 12));
        assert!(decode("application/json", body(BODY_LIMIT_BYTES)).await.is_ok());
        let refused = decode("application/json", body(BODY_LIMIT_BYTES + 1)).await.unwrap_err();
        assert_eq!(refused, (413, "too_large".into()));
    }

    #[tokio::test]
    async fn broken_json_is_malformed_and_bad_fields_are_invalid() {
        let refused = decode("application/json", "{").await.unwrap_err();
        assert_eq!(refused, (400, "malformed".into()));
        let refused = decode("application/json", r#"{"amount":0.001}"#).await.unwrap_err();
        assert_eq!(refused, (422, "invalid".into()));
    }

    #[tokio::test]
    async fn an_answer_without_json_is_a_fault_of_ours() {
        let impossible = proto::Date { year: 2025, month: 2, day: 30 };
        assert_eq!(Json(impossible).into_response().status(), 500);
        let response = Json(proto::Decimal::from_hundredths(10)).into_response();
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "0.1");
    }
}
