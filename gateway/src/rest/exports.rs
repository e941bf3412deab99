//! Opportunities as files.

use proto::opportunities::v1::{ExportFormat, ExportOpportunitiesRequest};

use crate::call::Call;
use crate::http::download::{CSV, Download, JSONL, Kind, XLSX};
use crate::http::{Answer, Query};

/// Export opportunities
///
/// Those of the list with these filters in that order, all of them, as one file: `format=csv` (the default), `xlsx` or `jsonl`. A text that a program could take for a
/// formula is written after an apostrophe in CSV and XLSX; an import takes that away again. There, lines are one cell of JSON, and each of the organisation's own fields is a column
/// `custom_fields.<key>`; what is taken out comes in again as it was. Two files at a time for a caller.
#[utoipa::path(
    get,
    path = "/opportunities/export",
    tag = "opportunities",
    params(ExportOpportunitiesRequest)
)]
pub async fn export_opportunities(
    call: Call,
    Query(request): Query<ExportOpportunitiesRequest>,
) -> Answer<Download> {
    let kind = match request.format() {
        ExportFormat::Csv | ExportFormat::Unspecified => {
            Kind { media_type: CSV, name: "opportunities.csv" }
        }
        ExportFormat::Xlsx => Kind { media_type: XLSX, name: "opportunities.xlsx" },
        ExportFormat::Jsonl => Kind { media_type: JSONL, name: "opportunities.jsonl" },
    };
    let pieces = call.stream(call.exports(), request, |mut it, request| async move {
        it.export_opportunities(request).await
    });
    Download::begin(kind, pieces.await?, |piece| piece.data).await
}
