//! Taking back what an import did, a few hundred rows in a transaction.

use events::{Actor, Origin};
use rpc::Error;
use sqlx::PgConnection;

use super::model::{Fault, Import, RowStatus, Status, faults, not_written};
use super::{store, work};
use crate::State;
use crate::meta::Meta;
use crate::opportunity::batch::Who;
use crate::opportunity::takeback::{self, By, Kept, Written};

/// How many rows are taken back at once.
const AT_ONCE: i64 = 201;

/// Who takes an import back: whoever asked for it, with what they may do at present, or this service where the import could not be ended. Nothing where who asked may do nothing any more.
pub(super) async fn by(
    state: &State,
    import: &Import,
    meta: &Meta,
) -> Result<Option<(By, Meta)>, Error> {
    let Some(user_id) = import.undone_by else {
        let meta = Meta::following(meta.recorded_at, &import.request_id, &import.traceparent);
        let by = By::Service { instead_of: import.requested_by };
        return Ok(Some((by, Meta { origin: Origin::Import, ..meta })));
    };
    let meta = Meta {
        actor: Actor::User(user_id),
        request_id: import.undo_request_id.clone(),
        traceparent: import.undo_traceparent.clone(),
        ..meta.clone()
    };
    let Some(caller) = work::caller(state, user_id, &meta).await? else { return Ok(None) };
    let who = Who::of(state, caller, import.kind).await?;
    Ok(Some((By::Person(who), meta)))
}

/// The import after its next rows were taken back, `most` of them at most.
pub(super) async fn next(
    state: &State,
    tx: &mut PgConnection,
    import: Import,
    (by, meta): &(By, Meta),
    most: usize,
) -> Result<Import, Error> {
    let mut rows = written(tx, &import).await?;
    rows.truncate(most);
    let Some(last) = rows.last() else {
        let status = if import.undone_by.is_some() { Status::Undone } else { Status::Failed };
        return Ok(Import { status, ..import });
    };
    let mut import = Import { last_row: last.0, ..import };
    let (numbers, records): (Vec<i32>, Vec<Written>) = rows.into_iter().unzip();
    let is_back = takeback::take_back(tx, state, by, &records, meta).await?;
    let of = |wanted: Option<Kept>| {
        let rows = numbers.iter().zip(&is_back);
        let rows = rows.filter(move |(_, it)| it.err() == wanted);
        rows.map(|(row, _)| *row).collect::<Vec<_>>()
    };
    let back = of(None);
    store::mark(tx, import.id, &back, RowStatus::Undone, &[]).await?;
    for why in Kept::ALL {
        store::mark(tx, import.id, &of(Some(why)), RowStatus::Kept, &[fault(why)]).await?;
    }
    import.counts.undone += i32::try_from(back.len()).unwrap_or_default();
    import.counts.kept += i32::try_from(numbers.len() - back.len()).unwrap_or_default();
    Ok(import)
}

/// The import after its next row was given up, which could not be taken back however often it was tried.
pub(super) async fn give_up(tx: &mut PgConnection, mut import: Import) -> Result<Import, Error> {
    if let Some((row, _)) = written(tx, &import).await?.first() {
        store::mark(tx, import.id, &[*row], RowStatus::Kept, &faults(&not_written())).await?;
        import.last_row = *row;
        import.counts.kept += 1;
    }
    Ok(import)
}

/// The next rows that wrote something, with what they wrote.
async fn written(tx: &mut PgConnection, import: &Import) -> Result<Vec<(i32, Written)>, Error> {
    let written = [RowStatus::Created, RowStatus::Updated].map(|it| it.as_str().to_owned());
    let rows = store::rows(&mut *tx, import.id, import.last_row, &written, AT_ONCE).await?;
    let records = rows.iter().filter_map(|it| {
        let is_new = it.outcome.status == RowStatus::Created;
        Some((it.row, Written { id: it.outcome.opportunity_id?, version: it.version?, is_new }))
    });
    Ok(records.collect())
}

fn fault(why: Kept) -> Fault {
    let (code, message) = match why {
        Kept::Changed => ("changed_since", "somebody has changed it since"),
        Kept::NotYours => ("not_yours", "who takes the import back may not change it now"),
        Kept::NotPossible => (
            "not_possible",
            "what it was before is not there any more: its stage, customer or owner",
        ),
    };
    Fault { field: String::new(), code: code.to_owned(), message: message.to_owned() }
}
