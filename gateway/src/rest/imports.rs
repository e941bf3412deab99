//! Files of opportunities that are brought in.

use std::collections::BTreeMap;

use axum::extract::multipart::{Field, Multipart};
use axum::extract::{DefaultBodyLimit, FromRequest as _, Request};
use http::StatusCode;
use proto::opportunities::v1::{
    CreateImportRequest, CreateImportResponse, GetImportRequest, GetImportResponse, ImportKind,
    ImportMode, ImportOptions, UndoImportRequest, UndoImportResponse,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use utoipa::ToSchema;

use crate::call::{Call, IdempotencyKey};
use crate::http::{Answer, Begun, FieldError, Json, NoQuery, Path, Problem, Query};
use crate::router::BASE;

/// The largest file: 50 MiB.
const LARGEST: usize = 50 * 1024 * 1024;
/// The longest of the other fields.
const LONGEST_FIELD: usize = 256 * 1024;

/// What is sent to begin an import.
#[derive(ToSchema)]
#[schema(as = ImportForm)]
#[expect(dead_code, reason = "it is read field by field as it comes; this describes it")]
pub struct ImportForm {
    /// Comma-separated values in UTF-8 with a header, up to 50 MiB and 100,000 rows.
    #[schema(format = Binary, content_media_type = "text/csv")]
    file: String,
    /// A JSON object: the field that each column is, by the column's header. Without it columns are known by their headers.
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
/// From a CSV file; the answer is its id, under which it is seen how far it is. A row whose `external_id` is known changes that opportunity where something is other; all others
/// are made, and what an undone import had made is there again. An empty cell says nothing.
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
    DefaultBodyLimit::disable().apply(&mut request);
    let form = Multipart::from_request(request, &()).await.map_err(|_| {
        let detail = "the body has to be multipart/form-data";
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    });
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

/// Sends the file as it comes; how it is to be read.
async fn send(
    mut form: Multipart,
    parts: &mpsc::Sender<CreateImportRequest>,
) -> Result<ImportOptions, Problem> {
    let mut options = ImportOptions::default();
    let mut seen: Vec<String> = Vec::new();
    let mut errors = Vec::new();
    while let Some(field) = form.next_field().await.map_err(broken)? {
        let name = field.name().unwrap_or_default().to_owned();
        if seen.contains(&name) {
            return Err(Problem::invalid(vec![wrong(&name, "duplicate_field", "is named twice")]));
        }
        seen.push(name.clone());
        match &*name {
            "file" => send_file(field, parts).await?,
            "mapping" => {
                match serde_json::from_str::<BTreeMap<String, String>>(&text(field).await?) {
                    Ok(mapping) => options.mapping = mapping,
                    Err(_) => errors.push(wrong(&name, "wrong_type", "is no JSON object of texts")),
                }
            }
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

async fn send_file(
    mut field: Field<'_>,
    parts: &mpsc::Sender<CreateImportRequest>,
) -> Result<(), Problem> {
    let mut length = 0;
    while let Some(data) = field.chunk().await.map_err(broken)? {
        if length == 0 && data.starts_with(b"PK") {
            let detail = "workbooks are not read: save the file as CSV UTF-8";
            let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return Err(Problem::new(status, "unsupported_media_type", detail));
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
    while let Some(data) = field.chunk().await.map_err(broken)? {
        text.extend_from_slice(&data);
        if text.len() > LONGEST_FIELD {
            return Err(Problem::too_large());
        }
    }
    String::from_utf8(text).map_err(|_| Problem::malformed("a field is not UTF-8"))
}

fn broken(_: axum::extract::multipart::MultipartError) -> Problem {
    Problem::malformed("the form broke off, or is none")
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
