//! Taking back what an import did, a few hundred rows in a transaction.

use rpc::Error;
use sqlx::PgConnection;

use super::model::{Import, RowStatus, Status};
use super::store;
use crate::State;
use crate::meta::Meta;
use crate::opportunity::takeback::{self, Written};

/// The import after its next rows were taken back.
pub(super) async fn next(
    state: &State,
    tx: &mut PgConnection,
    import: Import,
    meta: &Meta,
) -> Result<Import, Error> {
    let written = [RowStatus::Created, RowStatus::Updated].map(|it| it.as_str().to_owned());
    let rows = store::rows(&mut *tx, import.id, import.last_row, &written).await?;
    let Some(last) = rows.last() else {
        let is_refused = import.all_or_nothing && import.counts.failed > 0;
        let status = if is_refused { Status::Failed } else { Status::Undone };
        return Ok(Import { status, ..import });
    };
    let mut import = Import { last_row: last.row, ..import };
    let records = rows.iter().filter_map(|it| {
        let is_new = it.outcome.status == RowStatus::Created;
        Some((it.row, Written { id: it.outcome.opportunity_id?, version: it.version?, is_new }))
    });
    let (numbers, records): (Vec<i32>, Vec<Written>) = records.unzip();
    let by = import.requested_by;
    let is_back = takeback::take_back(tx, state, by, &records, meta).await?;
    let of = |wanted: bool| {
        let rows = numbers.iter().zip(&is_back).filter(move |(_, back)| **back == wanted);
        rows.map(|(row, _)| *row).collect::<Vec<_>>()
    };
    let (back, kept) = (of(true), of(false));
    store::mark(tx, import.id, &back, RowStatus::Undone).await?;
    store::mark(tx, import.id, &kept, RowStatus::Kept).await?;
    import.counts.undone += i32::try_from(back.len()).unwrap_or_default();
    import.counts.kept += i32::try_from(kept.len()).unwrap_or_default();
    Ok(import)
}
