//! Server-sent events: what a service tells message by message, given on as it comes.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{Stream, StreamExt as _};
use http::header::CACHE_CONTROL;
use http::{HeaderName, HeaderValue};
use serde::Serialize;
use tonic::Status;
use utoipa::IntoResponses;
use utoipa::openapi::schema::SchemaType;
use utoipa::openapi::{
    ContentBuilder, ObjectBuilder, RefOr, ResponseBuilder, ResponsesBuilder, Type,
};

use super::{Answer, Problem};

/// How long nothing is said before a comment says that the stream is there.
const QUIET: Duration = Duration::from_secs(15);
/// By which proxies are told to keep nothing back.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// 200 with events that come by and by, each `progress` with JSON. The last is `problem` with a problem document where the caller may hear no more.
pub struct Events(Pin<Box<dyn Stream<Item = Result<Event, axum::Error>> + Send>>);

impl Events {
    /// Of messages. Its answer begins with the first of them: a failure before that is told as every failure is.
    pub async fn begin<M, T: Serialize>(
        messages: impl Stream<Item = Result<M, Status>> + Send + 'static,
        shown: impl Fn(M) -> T + Send + 'static,
    ) -> Answer<Self>
    where
        M: Send + 'static,
    {
        let mut messages = Box::pin(messages);
        let first = messages.next().await.transpose().map_err(rpc::Error::from)?;
        let messages = futures::stream::iter(first.map(Ok)).chain(messages);
        let events = messages.filter_map(move |message| {
            std::future::ready(match message {
                Ok(message) => Some(Event::default().event("progress").json_data(shown(message))),
                Err(status) => told(status),
            })
        });
        Ok(Self(Box::pin(events)))
    }
}

/// What the caller is told of a failure; nothing where asking again may help.
fn told(status: Status) -> Option<Result<Event, axum::Error>> {
    let problem = Problem::from(rpc::Error::from(status));
    if problem.status().is_server_error() {
        return None;
    }
    Some(Event::default().event("problem").json_data(problem.document(None)))
}

impl IntoResponse for Events {
    fn into_response(self) -> Response {
        let keep_alive = KeepAlive::new().interval(QUIET).text("");
        let mut response = Sse::new(self.0).keep_alive(keep_alive).into_response();
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
        response
    }
}

impl IntoResponses for Events {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let text = || ObjectBuilder::new().schema_type(Type::String);
        // Of no type: some read it as the text that it is, others event by event.
        let schema = ObjectBuilder::new()
            .schema_type(SchemaType::AnyValue)
            .property("event", text().enum_values(Some(["progress", "problem"])))
            .property("data", text())
            .description(Some("Server-sent events: `event: progress` with JSON as `data`; `event: problem` with a problem document, where the caller may hear no more."));
        let content = ContentBuilder::new().schema(Some(schema)).build();
        let response = ResponseBuilder::new()
            .description("Events, until there will be no more.")
            .content("text/event-stream", content);
        ResponsesBuilder::new().response("200", response).build().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn text(messages: Vec<Result<u8, Status>>) -> String {
        let events = Events::begin(futures::stream::iter(messages), |it| it).await.unwrap();
        let response = events.into_response();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn messages_are_events_and_whoever_may_hear_no_more_is_told_so() {
        let said = text(vec![Ok(1), Ok(2)]).await;
        assert_eq!(said, "event: progress\ndata: 1\n\nevent: progress\ndata: 2\n\n");
        let revoked = rpc::Error::unauthenticated("TOKEN_REVOKED", "the session has ended");
        let said = text(vec![Ok(1), Err(revoked.into())]).await;
        assert!(
            said.contains("event: problem\ndata: {") && said.contains("token_revoked"),
            "{said}"
        );
        // One that may be tried again just ends.
        let said = text(vec![Ok(1), Err(Status::unavailable("gone"))]).await;
        assert_eq!(said, "event: progress\ndata: 1\n\n");
        let denied = Err(Status::from(rpc::Error::not_found("import", 5)));
        let refused = Events::begin(futures::stream::iter([denied]), |it: u8| it).await;
        assert_eq!(refused.err().unwrap().status(), 404);
    }
}
