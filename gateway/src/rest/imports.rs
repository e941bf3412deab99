//! Files of opportunities that are brought in.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest as _, Request};
use http::StatusCode;
use proto::opportunities::v1::{
    CreateImportRequest, CreateImportResponse, GetImportRequest, GetImportResponse, ImportKind,
    ImportMode, ImportOptions, UndoImportRequest, UndoImportResponse, WatchImportRequest,
};
use serde::de::IgnoredAny;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use utoipa::ToSchema;

use crate::call::{Call, IdempotencyKey};
use crate::http::{Answer, Begun, Events, FieldError, Json, NoQuery, Path, Problem, Query};
use crate::router::BASE;

/// The largest file: 50 MiB.
const LARGEST: usize = 50 * 1024 * 1024;
/// The longest form: the file, the other fields, and what stands between them.
const LONGEST_FORM: usize = LARGEST + 1024 * 1024;
/// The longest of the other fields.
const LONGEST_FIELD: usize = 256 * 1024;
/// How long the next part of a form may take to arrive.
const NEXT_WITHIN: Duration = Duration::from_secs(20);
/// How long all of it may.
const ARRIVES_WITHIN: Duration = Duration::from_mins(10);
/// How files begin that are neither text nor a workbook that is read, and what is said of them.
const OTHERS: [(&[u8], &str); 3] = [
    (
        &[0xd0, 0xcf, 0x11, 0xe0],
        "this is an older workbook, or one with a password: save it as .xlsx without a password, or as CSV UTF-8",
    ),
    (&[0x1f, 0x8b], "this is packed: send the file itself"),
    (b"%PDF", "this is a PDF: send a workbook (.xlsx) or CSV UTF-8"),
];

/// What is sent to begin an import.
#[derive(ToSchema)]
#[schema(as = ImportForm)]
#[expect(dead_code, reason = "it is read field by field as it comes; this describes it")]
pub struct ImportForm {
    /// Comma-separated values in UTF-8, or an Excel workbook (.xlsx) whose first sheet is read, with a header, up to 50 MiB and 100,000 rows. Which of them it is, is seen by its first bytes.
    #[schema(format = Binary)]
    file: String,
    /// A JSON object: the field that each column is, by the column's header. Without it columns are known by their headers. One of the organisation's own fields is
    /// `custom_fields.<key>`.
    #[schema(example = "{\"Deal\":\"opportunity_name\",\"Account\":\"customer_name\"}")]
    mapping: Option<String>,
    /// Whether to say what would become of each row, and to write nothing.
    dry_run: Option<bool>,
    /// `each_row` (the default: good rows are written) or `all_or_nothing`.
    mode: Option<String>,
    /// `sales` (the default) or `history`: opportunities with their past, in the columns `created_at` and `stage_history` (`lead@2025-01-03T09:00:00+08:00; won@2025-03-05`); for admins.
    kind: Option<String>,
}

/// Import opportunities
///
/// From a CSV file or an Excel workbook (.xlsx); the answer is its id, under which it is seen how far it is. A row whose `external_id` is known changes that opportunity where
/// something is other; all others are made, and what an undone import had made is there again. An empty cell says nothing; a cell with the error of a formula (`#N/A`) is the fault of its
/// row. `line_items` is one cell of JSON. Older workbooks, those with a password and other kinds of files are 415; what cannot be read, has macros or is much larger unpacked is 422 with a
/// code of `file`.
#[utoipa::path(
    post,
    path = "/imports",
    tag = "imports",
    request_body(content = ImportForm, content_type = "multipart/form-data"),
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key and body give the first answer again, for 24 hours."))
)]
pub async fn create_import(
    call: Call,
    _query: NoQuery,
    key: IdempotencyKey,
    mut request: Request,
) -> Answer<Begun<CreateImportResponse>> {
    let call = call.once(key);
    DefaultBodyLimit::max(LONGEST_FORM).apply(&mut request);
    let form = Multipart::from_request(request, &()).await;
    let form = form.map_err(|_| Problem::unsupported("the body has to be multipart/form-data"));
    let (parts, asked) = mpsc::channel(4);
    let mut service = call.imports();
    let sent = async move {
        let options = match form {
            Ok(form) => send(form, &parts).await,
            Err(problem) => Err(problem),
        };
        if let Ok(options) = &options {
            let options = Some(options.clone());
            // Where the service takes no more, its answer says why.
            let _ = parts.send(CreateImportRequest { data: Vec::new(), options }).await;
        }
        // Without the last part nothing comes of it.
        drop(parts);
        options.map(|_| ())
    };
    let answer = call.upload(ReceiverStream::new(asked), |request| async move {
        service.create_import(request).await
    });
    tokio::pin!(answer, sent);
    let body = tokio::select! {
        biased;
        answered = &mut answer => answered?,
        sent = &mut sent => match (sent, answer.await) {
            (Ok(()), answered) => answered?,
            // Who may not is told no more than that.
            (Err(_), Err(refused)) if [401, 403].contains(&refused.status().as_u16()) => {
                return Err(refused);
            }
            (Err(problem), _) => return Err(problem),
        },
    };
    let location = format!("{BASE}/imports/{}", body.id);
    Ok(Begun { body, location })
}

/// Sends the file as it comes, which takes only so long; how it is to be read.
async fn send(
    form: Multipart,
    parts: &mpsc::Sender<CreateImportRequest>,
) -> Result<ImportOptions, Problem> {
    let sent = timeout(ARRIVES_WITHIN, send_fields(form, parts)).await;
    sent.unwrap_or_else(|_late| Err(Problem::too_slow()))
}

async fn send_fields(
    mut form: Multipart,
    parts: &mpsc::Sender<CreateImportRequest>,
) -> Result<ImportOptions, Problem> {
    let mut options = ImportOptions::default();
    let mut seen: Vec<String> = Vec::new();
    let mut errors = Vec::new();
    while let Some(field) = arrives(form.next_field()).await? {
        let name = field.name().unwrap_or_default().to_owned();
        if seen.contains(&name) {
            return Err(Problem::invalid(vec![wrong(&name, "duplicate_field", "is named twice")]));
        }
        seen.push(name.clone());
        match &*name {
            "file" => send_file(field, parts).await?,
            "mapping" => match mapping(&text(field).await?)? {
                Some(mapping) => options.mapping = mapping,
                None => errors.push(wrong(&name, "wrong_type", "is no JSON object of texts")),
            },
            "dry_run" => match &*text(field).await? {
                "true" => options.dry_run = true,
                "false" => {}
                _ => errors.push(wrong(&name, "wrong_type", "is neither true nor false")),
            },
            "mode" => match &*text(field).await? {
                "each_row" => options.mode = ImportMode::EachRow.into(),
                "all_or_nothing" => options.mode = ImportMode::AllOrNothing.into(),
                _ => errors.push(wrong(
                    &name,
                    "unknown_value",
                    "is neither each_row nor all_or_nothing",
                )),
            },
            "kind" => match &*text(field).await? {
                "sales" => options.kind = ImportKind::Sales.into(),
                "history" => options.kind = ImportKind::History.into(),
                _ => errors.push(wrong(&name, "unknown_value", "is neither sales nor history")),
            },
            // It is not read: who knows how long it is.
            _ => {
                let unknown = wrong(&name, "unknown_field", "there is no such field");
                return Err(Problem::invalid(vec![unknown]));
            }
        }
    }
    if !seen.iter().any(|name| name == "file") {
        errors.push(wrong("file", "required", "is required"));
    }
    if errors.is_empty() { Ok(options) } else { Err(Problem::invalid(errors)) }
}

/// Which field each column is; none where that is JSON of another shape. Fails where it is no JSON.
fn mapping(text: &str) -> Result<Option<BTreeMap<String, String>>, Problem> {
    let malformed = || Problem::malformed("mapping is not JSON");
    match serde_json::from_str(text) {
        Ok(mapping) => Ok(Some(mapping)),
        // It is told where the shape is wrong first: what comes after may be no JSON at all.
        Err(error) if error.is_data() => {
            serde_json::from_str::<IgnoredAny>(text).map_err(|_| malformed())?;
            Ok(None)
        }
        Err(_) => Err(malformed()),
    }
}

async fn send_file(
    mut field: Field<'_>,
    parts: &mpsc::Sender<CreateImportRequest>,
) -> Result<(), Problem> {
    let mut length = 0;
    while let Some(data) = arrives(field.chunk()).await? {
        let other = OTHERS.iter().find(|(begin, _)| length == 0 && data.starts_with(begin));
        if let Some((_, detail)) = other {
            return Err(Problem::unsupported(*detail));
        }
        length += data.len();
        if length > LARGEST {
            return Err(Problem::too_large());
        }
        let part = CreateImportRequest { data: data.to_vec(), options: None };
        if parts.send(part).await.is_err() {
            // Its answer says why it takes no more.
            std::future::pending::<()>().await;
        }
    }
    Ok(())
}

async fn text(mut field: Field<'_>) -> Result<String, Problem> {
    let mut text = Vec::new();
    while let Some(data) = arrives(field.chunk()).await? {
        text.extend_from_slice(&data);
        if text.len() > LONGEST_FIELD {
            return Err(Problem::too_large());
        }
    }
    String::from_utf8(text).map_err(|_| Problem::malformed("a field is not UTF-8"))
}

/// The next part of a form, once it is here.
async fn arrives<T>(part: impl Future<Output = Result<T, MultipartError>>) -> Result<T, Problem> {
    match timeout(NEXT_WITHIN, part).await {
        Ok(Ok(part)) => Ok(part),
        Ok(Err(error)) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Err(Problem::too_large())
        }
        Ok(Err(_)) => Err(Problem::malformed("the form broke off, or is none")),
        Err(_late) => Err(Problem::too_slow()),
    }
}

fn wrong(field: &str, code: &str, message: &str) -> FieldError {
    let field = field.chars().take(100).collect();
    FieldError { field, code: code.to_owned(), message: message.to_owned() }
}

/// Get an import
///
/// How far it is, and what became of its rows, a page at a time. Imports are seen by who began them, and by admins.
#[utoipa::path(get, path = "/imports/{id}", tag = "imports", params(("id" = i64, Path, description = "The import."), GetImportRequest))]
pub async fn get_import(
    call: Call,
    Path(id): Path<i64>,
    Query(request): Query<GetImportRequest>,
) -> Answer<Json<GetImportResponse>> {
    let request = GetImportRequest { id, ..request };
    let answer = call.read(call.imports(), request, |mut it, request| async move {
        it.get_import(request).await
    });
    Ok(Json(answer.await?))
}

/// Watch an import
///
/// Server-sent events: how far it is, at once and whenever that changes, as `event: progress` whose data is the import without rows, and nothing after the one that is `done`, `failed`
/// or `undone`. It is seen by whom the import is seen; comment lines say that it is there. After 30 minutes it ends, and may be asked for again; where the token ends, the last event
/// is a `problem`.
#[utoipa::path(get, path = "/imports/{id}/stream", tag = "imports", params(("id" = i64, Path, description = "The import.")))]
pub async fn watch_import(call: Call, Path(id): Path<i64>, _query: NoQuery) -> Answer<Events> {
    let request = WatchImportRequest { id };
    let messages = call.stream(call.imports(), request, |mut it, request| async move {
        it.watch_import(request).await
    });
    Events::begin(messages.await?, |message| message.import).await
}

/// Undo an import
///
/// What it made is deleted, what it changed is as before, by what the caller may change now. Rows that somebody has changed since, or that the caller may not change, are told as `kept`. It goes on by itself.
#[utoipa::path(
    post,
    path = "/imports/{id}/undo",
    tag = "imports",
    params(
        ("id" = i64, Path, description = "The import."),
        ("Idempotency-Key" = Option<String>, Header, description = "The same key gives the first answer again, for 24 hours.")
    )
)]
pub async fn undo_import(
    call: Call,
    Path(id): Path<i64>,
    _query: NoQuery,
    key: IdempotencyKey,
) -> Answer<Begun<UndoImportResponse>> {
    let call = call.once(key);
    let mut service = call.imports();
    let request = UndoImportRequest { id };
    let answer = call.write(request, |request| async move { service.undo_import(request).await });
    let body = answer.await?;
    let location = format!("{BASE}/imports/{id}");
    Ok(Begun { body, location })
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use bytes::Bytes;
    use futures::{Stream, StreamExt as _};
    use http::header::CONTENT_TYPE;

    use super::*;

    const BEGIN: &[u8] =
        b"--x\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.csv\"\r\n\r\n";

    /// What becomes of a form that begins with a file and goes on so.
    async fn status(rest: impl Stream<Item = Bytes> + Send + 'static) -> u16 {
        let begin = futures::stream::iter([Bytes::from_static(BEGIN)]);
        let body = begin.chain(rest).map(Ok::<_, std::io::Error>);
        let request = Request::post("/").header(CONTENT_TYPE, "multipart/form-data; boundary=x");
        let mut request = request.body(Body::from_stream(body)).unwrap();
        DefaultBodyLimit::max(LONGEST_FORM).apply(&mut request);
        let form = Multipart::from_request(request, &()).await.unwrap();
        let (parts, mut asked) = mpsc::channel(4);
        tokio::spawn(async move { while asked.recv().await.is_some() {} });
        send(form, &parts).await.map_or_else(|problem| problem.status().as_u16(), |_| 200)
    }

    #[test]
    fn a_mapping_that_is_no_json_is_malformed_and_one_of_another_shape_is_wrong() {
        let known = BTreeMap::from([("客戶".to_owned(), "customer_name".to_owned())]);
        assert_eq!(mapping(r#" {"客戶": "customer_name"} "#), Ok(Some(known)));
        for other in ["[]", "null", "1", "\"a\"", r#"{"a": 1}"#, r#"{"a": ["b"]}"#] {
            assert_eq!(mapping(other), Ok(None), "{other}");
        }
        for broken in ["", "{", "a=b", "{'a':'b'}", r#"{"a":"b"} x"#, "[1, oops", r#"{"a": 1, x}"#]
        {
            let refused = mapping(broken).unwrap_err();
            assert_eq!((refused.status().as_u16(), refused.code()), (400, "malformed"), "{broken}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_form_that_stops_or_trickles_in_is_waited_for_only_so_long() {
        let begun = tokio::time::Instant::now();
        assert_eq!(status(futures::stream::pending()).await, 408);
        assert_eq!(begun.elapsed(), NEXT_WITHIN);
        let trickle = futures::stream::unfold((), async |()| {
            tokio::time::sleep(NEXT_WITHIN / 2).await;
            Some((Bytes::from_static(b"a,b\n"), ()))
        });
        let begun = tokio::time::Instant::now();
        assert_eq!(status(trickle.boxed()).await, 408);
        assert_eq!(begun.elapsed(), ARRIVES_WITHIN);
        assert_eq!(status(futures::stream::iter([Bytes::from_static(b"a,b\n")])).await, 400);
        let end = Bytes::from_static(b"a,b\n\r\n--x--\r\n");
        assert_eq!(status(futures::stream::iter([end])).await, 200);
    }

    #[tokio::test]
    async fn a_form_is_read_only_so_far_whichever_part_of_it_is_long() {
        let piece = Bytes::from(vec![b'a'; 1024 * 1024]);
        let file = futures::stream::iter(std::iter::repeat_n(piece.clone(), 51));
        assert_eq!(status(file).await, 413);
        let empty = b"\r\n--x\r\ncontent-disposition: form-data; name=\"mode\"\r\n\r\n";
        let begin = futures::stream::iter([Bytes::from_static(empty)]);
        let end = Bytes::from_static(b"\r\n--x--\r\n");
        assert_eq!(status(begin.chain(futures::stream::iter([piece, end]))).await, 413);
        // Headers of a part count, too.
        let header = b"\r\n--x\r\ncontent-disposition: ";
        let begin = futures::stream::iter([Bytes::from_static(header)]);
        let endless = futures::stream::repeat(Bytes::from(vec![b'a'; 1024 * 1024]));
        assert_eq!(status(begin.chain(endless)).await, 413);
    }
}
