//! ImportService.

use idempotency::Once;
use prost::Message;
use proto::opportunities::v1 as pb;
use proto::opportunities::v1::import_service_server::ImportService;
use rpc::{Error, Invalid};
use tonic::{Request, Response, Status, Streaming};

use super::caller_and_meta;
use super::opportunity::{read_cursor, write_cursor};
use crate::State;
use crate::cursor::wrong_cursor;
use crate::import::model::{Import, Kind, Row, RowStatus, Status as How};
use crate::import::{self, Begun, Options, Receiving};
use crate::page;

/// Serves imports.
pub struct Imports(pub State);

#[tonic::async_trait]
impl ImportService for Imports {
    async fn create_import(
        &self,
        request: Request<Streaming<pb::CreateImportRequest>>,
    ) -> Result<Response<pb::CreateImportResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let (metadata, extensions, mut stream) = request.into_parts();
        let mut receiving = Receiving::begin(&self.0, &caller, meta)?;
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
        let found = import::get(&self.0, &caller, message.id).await?;
        let (rows, more) = import::rows(&self.0, &found, after, wanted, limit).await?;
        let next_cursor = rows.last().filter(|_| more).map(|last| write_cursor(last.row.into()));
        Ok(Response::new(shown(found, rows, next_cursor)))
    }

    async fn undo_import(
        &self,
        request: Request<pb::UndoImportRequest>,
    ) -> Result<Response<pb::UndoImportResponse>, Status> {
        let (caller, meta) = caller_and_meta(&request)?;
        let once = Once::of(&request, |begun: &Begun| undone(*begun).encode_to_vec())?;
        let id = request.into_inner().id;
        let begun = import::undo(&self.0, &caller, id, once, meta).await?;
        Ok(Response::new(begun.into_message(undone)?))
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
