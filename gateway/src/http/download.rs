//! Files: what a service writes in pieces, given on as it comes.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use tonic::Status;
use utoipa::IntoResponses;
use utoipa::openapi::{
    ContentBuilder, HeaderBuilder, KnownFormat, ObjectBuilder, RefOr, ResponseBuilder,
    ResponsesBuilder, SchemaFormat, Type,
};

use super::Answer;

/// What kind of file it is, and how it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// For `Content-Type`.
    pub media_type: &'static str,
    /// For `Content-Disposition`; ASCII without quotation marks.
    pub name: &'static str,
}

/// Comma-separated values.
pub const CSV: &str = "text/csv; charset=utf-8; header=present";
/// An Excel workbook.
pub const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
/// JSON Lines.
pub const JSONL: &str = "application/x-ndjson";

/// 200 with a file. Where it cannot be written to its end the connection breaks, so that nobody takes a part for the whole.
pub struct Download {
    kind: Kind,
    body: Body,
}

impl Download {
    /// Of pieces. Its answer begins with the first of them: a failure before that is told as every failure is.
    pub async fn begin<P: Send + 'static>(
        kind: Kind,
        pieces: impl Stream<Item = Result<P, Status>> + Send + 'static,
        bytes: impl Fn(P) -> Vec<u8> + Send + 'static,
    ) -> Answer<Self> {
        let mut pieces = Box::pin(pieces);
        let first = pieces.next().await.transpose().map_err(rpc::Error::from)?;
        let pieces = futures::stream::iter(first.map(Ok)).chain(pieces);
        let body = pieces.map(move |piece| match piece {
            Ok(piece) => Ok(Bytes::from(bytes(piece))),
            Err(status) => {
                tracing::warn!(%status, "a file was not written to its end");
                Err(std::io::Error::other("the file was not written to its end"))
            }
        });
        Ok(Self { kind, body: Body::from_stream(body) })
    }
}

impl Download {
    /// Of a file that is there as a whole.
    pub fn whole(kind: Kind, file: String) -> Self {
        Self { kind, body: Body::from(file) }
    }
}

impl IntoResponse for Download {
    fn into_response(self) -> Response {
        let mut response = Response::new(self.body);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.kind.media_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let disposition = format!("attachment; filename=\"{}\"", self.kind.name);
        if let Ok(disposition) = HeaderValue::try_from(disposition) {
            headers.insert(CONTENT_DISPOSITION, disposition);
        }
        response
    }
}

impl IntoResponses for Download {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let content = |schema: ObjectBuilder| ContentBuilder::new().schema(Some(schema)).build();
        let binary = text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary)));
        let header = HeaderBuilder::new()
            .schema(Some(text()))
            .description(Some("`attachment`, and the name of the file."))
            .build();
        let response = ResponseBuilder::new()
            .description("The file.")
            .header("Content-Disposition", header)
            .content(CSV, content(text()))
            .content(XLSX, content(binary))
            .content(JSONL, content(text()));
        ResponsesBuilder::new().response("200", response).build().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind { media_type: CSV, name: "a.csv" };

    #[tokio::test]
    async fn a_file_is_given_on_in_pieces_under_its_name() {
        let pieces = futures::stream::iter([Ok(b"a,".to_vec()), Ok(b"b".to_vec())]);
        let response = Download::begin(KIND, pieces, |it| it).await.unwrap().into_response();
        assert_eq!(response.headers()[CONTENT_DISPOSITION], "attachment; filename=\"a.csv\"");
        assert_eq!(response.headers()[CONTENT_TYPE], CSV);
        let body = axum::body::to_bytes(response.into_body(), 100).await.unwrap();
        assert_eq!(body, "a,b");
    }

    #[tokio::test]
    async fn a_failure_before_the_first_piece_is_told_and_one_after_it_breaks_the_answer() {
        let denied = || Err(Status::from(rpc::Error::denied("no")));
        let pieces = futures::stream::iter([denied()]);
        let refused = Download::begin(KIND, pieces, |it: Vec<u8>| it).await.err().unwrap();
        assert_eq!(refused.status(), 403);
        let pieces = futures::stream::iter([Ok(b"a".to_vec()), denied()]);
        let response = Download::begin(KIND, pieces, |it| it).await.unwrap().into_response();
        assert!(axum::body::to_bytes(response.into_body(), 100).await.is_err());
    }
}
