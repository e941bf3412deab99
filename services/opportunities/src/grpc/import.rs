//! ImportService.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use auth::Verifier;
use futures::Stream;
use idempotency::Once;
use prost::Message;
use proto::opportunities::v1 as pb;
use proto::opportunities::v1::import_service_server::ImportService;
use rpc::{Error, Invalid};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::opportunity::{read_cursor, write_cursor};
use super::{asking, caller_and_meta, tell};
use crate::State;
use crate::access::Asking;
use crate::cursor::wrong_cursor;
use crate::import::model::{Import, Kind, Row, RowStatus, Status as How};
use crate::import::{self, Begun, Options, Receiving};
use crate::page;
use crate::places::{Places, Seat};

/// How often a stream looks how far an import is.
const LOOK: Duration = Duration::from_millis(500);
/// How long a stream lasts.
const LASTS: Duration = Duration::from_mins(30);
/// How many files may come from one caller at a time to this process.
const FILES_EACH: usize = 4;
/// How many in all.
const FILES: usize = 64;

/// Serves imports.
pub struct Imports {
    state: State,
    verifier: Arc<Verifier>,
    shutdown: CancellationToken,
    streams: Places,
    files: Places,
}

impl Imports {
    /// Streams end with the token of their caller, as the verifier says, and at the shutdown.
    pub fn new(state: State, verifier: Arc<Verifier>, shutdown: CancellationToken) -> Self {
        let streams = Places::for_streams();
        let files = Places::new("files", FILES_EACH, FILES);
        Self { state, verifier, shutdown, streams, files }
    }
}

#[tonic::async_trait]
impl ImportService for Imports {
    async fn create_import(
        &self,
        request: Request<Streaming<pb::CreateImportRequest>>,
    ) -> Result<Response<pb::CreateImportResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let (metadata, extensions, mut stream) = request.into_parts();
        let _seat = self.files.take(caller.user_id)?;
        let mut receiving = Receiving::begin(&self.state, &caller, meta)?;
        let mut options = None;
        while let Some(part) = stream.message().await? {
            receiving.more(&part.data).await?;
            options = part.options.or(options);
        }
        let Some(options) = options else {
            let message = "the file broke off: what says how it is to be read did not come";
            let reason = rpc::reason::MALFORMED.into();
            return Err(Error::Malformed { reason, message: message.to_owned() }.into());
        };
        // What stands for the whole of it.
        let asked =
            pb::CreateImportRequest { data: receiving.hash(), options: Some(options.clone()) };
        let asked = Request::from_parts(metadata, extensions, asked);
        let once = Once::of(&asked, |begun: &Begun| created(*begun).encode_to_vec())?;
        let options = Options {
            dry_run: options.dry_run,
            all_or_nothing: options.mode() == pb::ImportMode::AllOrNothing,
            kind: match options.kind() {
                pb::ImportKind::Unspecified | pb::ImportKind::Sales => Kind::Sales,
                pb::ImportKind::History => Kind::History,
            },
            mapping: options.mapping,
        };
        let begun = receiving.end(options, once).await?;
        Ok(Response::new(begun.into_message(created)?))
    }

    async fn get_import(
        &self,
        request: Request<pb::GetImportRequest>,
    ) -> Result<Response<pb::GetImportResponse>, Status> {
        let caller = auth::caller(&request)?;
        let message = request.into_inner();
        let mut invalid = Invalid::default();
        let limit = page::limit(&mut invalid, message.limit);
        invalid.into_result()?;
        let after = message.cursor.as_deref().map_or(Ok(0), read_cursor)?;
        let after = i32::try_from(after).map_err(|_| wrong_cursor())?;
        let wanted = match message.row_status() {
            pb::ImportRowStatus::Unspecified => None,
            pb::ImportRowStatus::Created => Some(RowStatus::Created),
            pb::ImportRowStatus::Updated => Some(RowStatus::Updated),
            pb::ImportRowStatus::Skipped => Some(RowStatus::Skipped),
            pb::ImportRowStatus::Failed => Some(RowStatus::Failed),
            pb::ImportRowStatus::Undone => Some(RowStatus::Undone),
            pb::ImportRowStatus::Kept => Some(RowStatus::Kept),
        };
        let found = import::get(&self.state, &caller, message.id).await?;
        let (rows, more) = import::rows(&self.state, &found, after, wanted, limit).await?;
        let next_cursor = rows.last().filter(|_| more).map(|last| write_cursor(last.row.into()));
        Ok(Response::new(shown(found, rows, next_cursor)))
    }

    type WatchImportStream =
        Pin<Box<dyn Stream<Item = Result<pb::WatchImportResponse, Status>> + Send>>;

    async fn watch_import(
        &self,
        request: Request<pb::WatchImportRequest>,
    ) -> Result<Response<Self::WatchImportStream>, Status> {
        let caller = auth::caller(&request)?;
        let asking = asking(&request, &self.verifier)?;
        let id = request.into_inner().id;
        // Whoever may not see it is told so at once.
        let first = import::get(&self.state, &caller, id).await?;
        let seat = self.streams.take(caller.user_id)?;
        let state = self.state.clone();
        let told = tell(self.shutdown.clone(), |tell| {
            Watching { state, asking, tell, _seat: seat }.run(first)
        });
        Ok(Response::new(Box::pin(told)))
    }

    async fn undo_import(
        &self,
        request: Request<pb::UndoImportRequest>,
    ) -> Result<Response<pb::UndoImportResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let once = Once::of(&request, |begun: &Begun| undone(*begun).encode_to_vec())?;
        let id = request.into_inner().id;
        let begun = import::undo(&self.state, &caller, id, once, meta).await?;
        Ok(Response::new(begun.into_message(undone)?))
    }
}

/// One caller's stream.
struct Watching {
    state: State,
    asking: Asking,
    tell: mpsc::Sender<Result<pb::WatchImportResponse, Status>>,
    _seat: Seat,
}

impl Watching {
    /// Tells how far it is until it is at its end, or nobody listens any more.
    async fn run(self, first: Import) -> Result<(), Error> {
        let ends_at = Instant::now() + LASTS;
        let (id, mut now) = (first.id, first);
        loop {
            let is_over = now.is_over();
            let told = (now.status, now.counts, now.updated_at);
            let message = pb::WatchImportResponse { import: Some(shown(now, Vec::new(), None)) };
            // Whoever takes nothing for so long is not waited for any longer.
            match timeout_at(ends_at, self.tell.send(Ok(message))).await {
                Ok(Ok(())) if !is_over => {}
                _ => return Ok(()),
            }
            now = loop {
                tokio::select! {
                    () = self.tell.closed() => return Ok(()),
                    () = sleep(LOOK) => {}
                }
                if Instant::now() > ends_at {
                    return Ok(());
                }
                // By whoever the caller is by now.
                let caller = (self.asking)().await?;
                let next = import::get(&self.state, &caller, id).await?;
                if (next.status, next.counts, next.updated_at) != told {
                    break next;
                }
            };
        }
    }
}

fn created(Begun { id, status }: Begun) -> pb::CreateImportResponse {
    pb::CreateImportResponse { id, status: how(status).into() }
}

fn undone(Begun { id, status }: Begun) -> pb::UndoImportResponse {
    pb::UndoImportResponse { id, status: how(status).into() }
}

fn how(status: How) -> pb::ImportStatus {
    match status {
        How::Receiving | How::Queued => pb::ImportStatus::Queued,
        How::Running => pb::ImportStatus::Running,
        How::Done => pb::ImportStatus::Done,
        How::Failed => pb::ImportStatus::Failed,
        How::Undone => pb::ImportStatus::Undone,
    }
}

fn shown(it: Import, rows: Vec<Row>, next_cursor: Option<String>) -> pb::GetImportResponse {
    let mode =
        if it.all_or_nothing { pb::ImportMode::AllOrNothing } else { pb::ImportMode::EachRow };
    let is_unmapped = |(header, field): &(&String, &String)| !header.is_empty() && field.is_empty();
    let unmapped = it.headers.iter().zip(&it.fields).filter(is_unmapped);
    let unmapped_columns = unmapped.map(|(header, _)| header.clone()).collect();
    let columns = it.headers.into_iter().zip(it.fields).map(|(header, field)| pb::ImportColumn {
        header,
        field: Some(field).filter(|field| !field.is_empty()),
    });
    pb::GetImportResponse {
        id: it.id,
        status: how(it.status).into(),
        dry_run: it.dry_run,
        mode: mode.into(),
        columns: columns.collect(),
        total_rows: it.total_rows,
        created: it.counts.created,
        updated: it.counts.updated,
        skipped: it.counts.skipped,
        failed: it.counts.failed,
        undone: it.counts.undone,
        kept: it.counts.kept,
        requested_by: it.requested_by,
        created_at: Some(it.created_at.into()),
        updated_at: Some(it.updated_at.into()),
        rows: rows.into_iter().map(row).collect(),
        next_cursor,
        kind: match it.kind {
            Kind::Sales => pb::ImportKind::Sales.into(),
            Kind::History => pb::ImportKind::History.into(),
        },
        undone_by: it.undone_by,
        unmapped_columns,
    }
}

fn row(it: Row) -> pb::ImportRow {
    let status = match it.outcome.status {
        RowStatus::Created => pb::ImportRowStatus::Created,
        RowStatus::Updated => pb::ImportRowStatus::Updated,
        RowStatus::Skipped => pb::ImportRowStatus::Skipped,
        RowStatus::Failed => pb::ImportRowStatus::Failed,
        RowStatus::Undone => pb::ImportRowStatus::Undone,
        RowStatus::Kept => pb::ImportRowStatus::Kept,
    };
    let errors = it.outcome.errors.into_iter();
    let errors =
        errors.map(|it| pb::ImportFault { field: it.field, code: it.code, message: it.message });
    pb::ImportRow {
        row: it.row,
        status: status.into(),
        opportunity_id: it.outcome.opportunity_id,
        errors: errors.collect(),
    }
}
