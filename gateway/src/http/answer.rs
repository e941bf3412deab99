//! The forms of a successful answer beside plain [`Json`].

use std::collections::BTreeMap;

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, ETAG, LOCATION};
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use utoipa::openapi::{
    HeaderBuilder, ObjectBuilder, RefOr, ResponseBuilder, ResponsesBuilder, Type,
};
use utoipa::{IntoResponses, ToSchema};

use super::body::described;
use super::{Json, Problem};

/// What a handler returns.
pub type Answer<T> = Result<T, Problem>;

/// 200 with one resource; its version is the `ETag`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource<T> {
    /// The resource.
    pub body: T,
    /// Its version.
    pub version: i64,
}

/// 201 with the resource that was made, where it is found, and its version as the `ETag`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created<T> {
    /// The resource.
    pub body: T,
    /// Its version.
    pub version: i64,
    /// Its path.
    pub location: String,
}

/// 201 with the resource that was made, or 200 with one that was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put<T> {
    /// It was made.
    Made(Created<T>),
    /// It was there.
    There(Resource<T>),
}

/// 201 with something that cannot be found again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made<T>(pub T);

/// 202: it will be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted;

/// An answer with what is shown once: nobody on the way may keep it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unkept<R>(pub R);

/// 204.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoContent;

/// 202 with what was begun and goes on by itself, and where it is seen how far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun<T> {
    /// What was begun.
    pub body: T,
    /// The path.
    pub location: String,
}

/// 204 where it is done; 202 with what is left of it where that goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done<T> {
    /// It is done.
    Now,
    /// It goes on by itself.
    Later(T),
}

/// What a service has to put into its answer. That it did not is a fault of ours.
pub fn present<T>(part: Option<T>) -> Answer<T> {
    part.ok_or_else(|| {
        tracing::error!(part = std::any::type_name::<T>(), "a service left its answer empty");
        Problem::internal()
    })
}

/// `"v12"`.
fn tag(version: i64) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("\"v{version}\"")).ok()
}

impl<T: Serialize> IntoResponse for Resource<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.body).into_response();
        if let Some(tag) = tag(self.version).filter(|_| response.status().is_success()) {
            response.headers_mut().insert(ETAG, tag);
        }
        response
    }
}

impl<T: Serialize> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        let Self { body, version, location } = self;
        let mut response = Resource { body, version }.into_response();
        if response.status().is_success() {
            *response.status_mut() = StatusCode::CREATED;
            if let Ok(location) = HeaderValue::try_from(location) {
                response.headers_mut().insert(LOCATION, location);
            }
        }
        response
    }
}

impl<T: Serialize> IntoResponse for Put<T> {
    fn into_response(self) -> Response {
        match self {
            Self::Made(created) => created.into_response(),
            Self::There(resource) => resource.into_response(),
        }
    }
}

impl<T: Serialize> IntoResponse for Made<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.0).into_response();
        if response.status().is_success() {
            *response.status_mut() = StatusCode::CREATED;
        }
        response
    }
}

impl<R: IntoResponse> IntoResponse for Unkept<R> {
    fn into_response(self) -> Response {
        let mut response = self.0.into_response();
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

impl IntoResponse for Accepted {
    fn into_response(self) -> Response {
        StatusCode::ACCEPTED.into_response()
    }
}

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

impl<T: Serialize> IntoResponse for Begun<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.body).into_response();
        if response.status().is_success() {
            *response.status_mut() = StatusCode::ACCEPTED;
            if let Ok(location) = HeaderValue::try_from(self.location) {
                response.headers_mut().insert(LOCATION, location);
            }
        }
        response
    }
}

impl<T: Serialize> IntoResponse for Done<T> {
    fn into_response(self) -> Response {
        match self {
            Self::Now => NoContent.into_response(),
            Self::Later(left) => {
                let mut response = Json(left).into_response();
                if response.status().is_success() {
                    *response.status_mut() = StatusCode::ACCEPTED;
                }
                response
            }
        }
    }
}

impl<T: ToSchema> IntoResponses for Done<T> {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let later = described::<T>("It goes on by itself: what is left. To ask again waits again.");
        ResponsesBuilder::new()
            .response("202", later.build())
            .response("204", ResponseBuilder::new().description("It is done."))
            .build()
            .into()
    }
}

impl<T: ToSchema> IntoResponses for Begun<T> {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let response = described::<T>("It was begun, and goes on by itself.")
            .header("Location", text_header("Where it is seen how far it is."));
        ResponsesBuilder::new().response("202", response).build().into()
    }
}

impl<T: ToSchema> IntoResponses for Resource<T> {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let response = described::<T>("The resource.").header("ETag", version_header());
        ResponsesBuilder::new().response("200", response).build().into()
    }
}

impl<T: ToSchema> IntoResponses for Created<T> {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let response = described::<T>("The resource that was made.")
            .header("ETag", version_header())
            .header("Location", text_header("Its path."));
        ResponsesBuilder::new().response("201", response).build().into()
    }
}

impl<T: ToSchema> IntoResponses for Put<T> {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let mut responses = Resource::<T>::responses();
        responses.extend(Created::<T>::responses());
        responses
    }
}

impl<T: ToSchema> IntoResponses for Made<T> {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let response = described::<T>("What was made; it is not shown again.");
        ResponsesBuilder::new().response("201", response).build().into()
    }
}

impl IntoResponses for Accepted {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let response = ResponseBuilder::new().description("It will be done.");
        ResponsesBuilder::new().response("202", response).build().into()
    }
}

impl<R: IntoResponses> IntoResponses for Unkept<R> {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        R::responses()
    }
}

impl IntoResponses for NoContent {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let response = ResponseBuilder::new().description("It is done.");
        ResponsesBuilder::new().response("204", response).build().into()
    }
}

fn version_header() -> utoipa::openapi::Header {
    text_header("Its version, `\"v12\"`, for `If-Match`.")
}

fn text_header(description: &str) -> utoipa::openapi::Header {
    let text = ObjectBuilder::new().schema_type(Type::String);
    HeaderBuilder::new().schema(Some(text)).description(Some(description)).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_that_was_made_says_where_it_is_and_its_version() {
        let created = Created { body: 1, version: 12, location: "/api/v1/opportunities/7".into() };
        let response = created.into_response();
        assert_eq!(response.status(), 201);
        assert_eq!(response.headers()[ETAG], "\"v12\"");
        assert_eq!(response.headers()[LOCATION], "/api/v1/opportunities/7");
    }

    #[test]
    fn a_resource_without_json_has_neither_tag_nor_place() {
        let body = proto::Date { year: 0, month: 0, day: 0 };
        let response = Created { body, version: 1, location: "/".into() }.into_response();
        assert_eq!(response.status(), 500);
        assert!(
            !response.headers().contains_key(ETAG) && !response.headers().contains_key(LOCATION)
        );
    }

    #[test]
    fn an_answer_without_its_resource_is_a_fault_of_ours() {
        assert_eq!(present(Some(1)), Ok(1));
        assert_eq!(present::<i32>(None).unwrap_err().status(), 500);
    }
}
