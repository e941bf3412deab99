//! All SQL about imports.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use super::model::{Counts, Fault, Import, Kind, Outcome, Phase, Row, RowStatus, Status};

/// An import that is being received, as it is begun.
pub(super) struct New<'a> {
    pub(super) requested_by: i64,
    pub(super) request_id: &'a str,
    pub(super) traceparent: &'a str,
    pub(super) at: DateTime<Utc>,
}

/// Begins to receive one; its id.
pub(super) async fn begin(pool: &PgPool, new: &New<'_>) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        "insert into imports (status, phase, dry_run, all_or_nothing, delimiter, headers, fields, total_rows, next_byte, last_row, requested_by, request_id, traceparent, created_at, updated_at)
         values ('receiving', 'write', false, false, ',', '{}', '{}', 0, 0, 1, $1, $2, $3, $4, $4) returning id",
        new.requested_by,
        new.request_id,
        new.traceparent,
        new.at
    )
    .fetch_one(pool)
    .await
}

/// Keeps a piece of a file that is coming; false where the file is not waited for any more.
pub(super) async fn add_piece(
    pool: &PgPool,
    import_id: i64,
    ordinal: i32,
    data: &[u8],
    at: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let kept = sqlx::query!(
        "with coming as (update imports set updated_at = greatest(updated_at, $4) where id = $1 and status = 'receiving' returning id)
         insert into import_pieces (import_id, ordinal, data) select id, $2, $3 from coming",
        import_id,
        ordinal,
        data,
        at
    )
    .execute(pool)
    .await?;
    Ok(kept.rows_affected() == 1)
}

/// A piece of the file, if there is one.
pub(super) async fn piece(
    pool: &PgPool,
    import_id: i64,
    ordinal: i32,
) -> sqlx::Result<Option<Vec<u8>>> {
    sqlx::query_scalar!(
        "select data from import_pieces where import_id = $1 and ordinal = $2",
        import_id,
        ordinal
    )
    .fetch_optional(pool)
    .await
}

/// Of how many pieces the file is, where that was written down.
pub(super) async fn pieces(pool: &PgPool, import_id: i64) -> sqlx::Result<Option<i32>> {
    sqlx::query_scalar!("select pieces from imports where id = $1", import_id).fetch_one(pool).await
}

/// How a file is to be read that has come.
pub(super) struct Ready<'a> {
    pub(super) phase: Phase,
    pub(super) kind: Kind,
    pub(super) dry_run: bool,
    pub(super) all_or_nothing: bool,
    pub(super) delimiter: String,
    pub(super) headers: &'a [String],
    pub(super) fields: &'a [String],
    pub(super) total_rows: i32,
    pub(super) next_byte: i64,
    pub(super) pieces: i32,
}

/// It waits from now on to be worked off; false where its file is not there any more.
pub(super) async fn queue(
    tx: &mut PgConnection,
    id: i64,
    it: &Ready<'_>,
    at: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let queued = sqlx::query!(
        "update imports
         set status = 'queued', phase = $2, dry_run = $3, all_or_nothing = $4, delimiter = $5, headers = $6, fields = $7, total_rows = $8, next_byte = $9, updated_at = $10,
             kind = $11, pieces = $12
         where id = $1 and status = 'receiving'",
        id,
        it.phase.as_str(),
        it.dry_run,
        it.all_or_nothing,
        it.delimiter,
        it.headers,
        it.fields,
        it.total_rows,
        it.next_byte,
        at,
        it.kind.as_str(),
        it.pieces
    )
    .execute(tx)
    .await?;
    Ok(queued.rows_affected() == 1)
}

/// Forgets what is still being received, or of which nothing came since an instant.
pub(super) async fn discard(
    tx: &mut PgConnection,
    id: i64,
    silent_since: Option<DateTime<Utc>>,
) -> sqlx::Result<()> {
    // Held from here on: no piece comes, and it is not queued.
    let held = sqlx::query_scalar!(
        "select id from imports
         where id = $1 and status = 'receiving' and ($2::timestamptz is null or updated_at < $2)
         for update",
        id,
        silent_since
    );
    if held.fetch_optional(&mut *tx).await?.is_some() {
        forget_pieces(&mut *tx, id).await?;
        sqlx::query!("delete from imports where id = $1", id).execute(tx).await?;
    }
    Ok(())
}

/// Removes the file of an import.
pub(super) async fn forget_pieces(tx: &mut PgConnection, id: i64) -> sqlx::Result<()> {
    sqlx::query!("delete from import_pieces where import_id = $1", id).execute(tx).await?;
    Ok(())
}

struct ImportRow {
    id: i64,
    status: String,
    phase: String,
    kind: String,
    dry_run: bool,
    all_or_nothing: bool,
    delimiter: String,
    headers: Vec<String>,
    fields: Vec<String>,
    total_rows: i32,
    next_byte: i64,
    last_row: i32,
    attempts: i32,
    created: i32,
    updated: i32,
    skipped: i32,
    failed: i32,
    undone: i32,
    kept: i32,
    requested_by: i64,
    request_id: String,
    traceparent: String,
    undone_by: Option<i64>,
    undo_request_id: String,
    undo_traceparent: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl TryFrom<ImportRow> for Import {
    type Error = sqlx::Error;

    fn try_from(it: ImportRow) -> sqlx::Result<Self> {
        let broken = |column: &'static str| sqlx::Error::Decode(column.into());
        Ok(Self {
            id: it.id,
            status: Status::parse(&it.status).ok_or_else(|| broken("imports.status"))?,
            phase: Phase::parse(&it.phase).ok_or_else(|| broken("imports.phase"))?,
            kind: Kind::parse(&it.kind).ok_or_else(|| broken("imports.kind"))?,
            dry_run: it.dry_run,
            all_or_nothing: it.all_or_nothing,
            delimiter: it.delimiter.bytes().next().unwrap_or(b','),
            headers: it.headers,
            fields: it.fields,
            total_rows: it.total_rows,
            next_byte: it.next_byte,
            last_row: it.last_row,
            attempts: it.attempts,
            counts: Counts {
                created: it.created,
                updated: it.updated,
                skipped: it.skipped,
                failed: it.failed,
                undone: it.undone,
                kept: it.kept,
            },
            requested_by: it.requested_by,
            request_id: it.request_id,
            traceparent: it.traceparent,
            undone_by: it.undone_by,
            undo_request_id: it.undo_request_id,
            undo_traceparent: it.undo_traceparent,
            created_at: it.created_at,
            updated_at: it.updated_at,
        })
    }
}

/// An import that was received.
pub(super) async fn find(pool: &PgPool, id: i64) -> sqlx::Result<Option<Import>> {
    let row = sqlx::query_as!(
        ImportRow,
        "select id, status, phase, kind, dry_run, all_or_nothing, delimiter, headers, fields, total_rows, next_byte, last_row, attempts, created, updated, skipped, failed,
           undone, kept, requested_by, request_id, traceparent, undone_by, undo_request_id, undo_traceparent, created_at, updated_at
         from imports where id = $1 and status <> 'receiving'",
        id
    );
    row.fetch_optional(pool).await?.map(TryInto::try_into).transpose()
}

/// The same, which nobody else works on until this transaction ends.
pub(super) async fn lock(tx: &mut PgConnection, id: i64) -> sqlx::Result<Option<Import>> {
    let row = sqlx::query_as!(
        ImportRow,
        "select id, status, phase, kind, dry_run, all_or_nothing, delimiter, headers, fields, total_rows, next_byte, last_row, attempts, created, updated, skipped, failed,
           undone, kept, requested_by, request_id, traceparent, undone_by, undo_request_id, undo_traceparent, created_at, updated_at
         from imports where id = $1 and status <> 'receiving' for update",
        id
    );
    row.fetch_optional(tx).await?.map(TryInto::try_into).transpose()
}

/// The import that has waited longest and that nobody works on; nobody else does from now on until that time. The commit waits for no disk: where a crash forgets it, it is anybody's, and
/// whoever held it holds it no more.
pub(super) async fn claim(
    pool: &PgPool,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> sqlx::Result<Option<Import>> {
    let row = sqlx::query_as!(
        ImportRow,
        "update imports set claimed_until = $2
         where id = (
           select id from imports
           where status in ('queued', 'running') and (claimed_until is null or claimed_until < $1)
           order by updated_at limit 1
           for update skip locked
         ) and set_config('synchronous_commit', 'off', true) = 'off'
         returning id, status, phase, kind, dry_run, all_or_nothing, delimiter, headers, fields, total_rows, next_byte, last_row, attempts, created, updated, skipped, failed,
           undone, kept, requested_by, request_id, traceparent, undone_by, undo_request_id, undo_traceparent, created_at, updated_at",
        now,
        until
    );
    row.fetch_optional(pool).await?.map(TryInto::try_into).transpose()
}

/// Whether an import is still whose it was until that time; it stays theirs until this transaction ends.
pub(super) async fn hold(
    tx: &mut PgConnection,
    id: i64,
    until: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let held = sqlx::query_scalar!(
        "select id from imports where id = $1 and claimed_until = $2 for update",
        id,
        until
    );
    Ok(held.fetch_optional(tx).await?.is_some())
}

/// Writes down how far an import is; anybody may work on it from now on. Unless it `is_kept`, the commit waits for no disk: what a crash takes back of rows it takes back of this too, and it is
/// done again. Nobody was told of them: the relay, which commits after it, does wait.
pub(super) async fn save(tx: &mut PgConnection, it: &Import, is_kept: bool) -> sqlx::Result<()> {
    sqlx::query!(
        "update imports
         set status = $2, phase = $3, next_byte = $4, last_row = $5, attempts = $6, created = $7, updated = $8, skipped = $9, failed = $10, undone = $11, kept = $12,
             updated_at = $13, undone_by = $14, undo_request_id = $15, undo_traceparent = $16, claimed_until = null
         where id = $1 and ($17 or set_config('synchronous_commit', 'off', true) = 'off')",
        it.id,
        it.status.as_str(),
        it.phase.as_str(),
        it.next_byte,
        it.last_row,
        it.attempts,
        it.counts.created,
        it.counts.updated,
        it.counts.skipped,
        it.counts.failed,
        it.counts.undone,
        it.counts.kept,
        it.updated_at,
        it.undone_by,
        it.undo_request_id,
        it.undo_traceparent,
        is_kept
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// What began to be received before an instant and never was.
pub(super) async fn abandoned(pool: &PgPool, before: DateTime<Utc>) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar!(
        "select id from imports where status = 'receiving' and updated_at < $1",
        before
    )
    .fetch_all(pool)
    .await
}

/// Which of these ids of another system earlier rows of the file have.
pub(super) async fn external_ids(
    pool: &PgPool,
    import_id: i64,
    external_ids: &[String],
) -> sqlx::Result<Vec<String>> {
    sqlx::query_scalar!(
        // Each by itself: what PostgreSQL knows of an import that has just begun would have it read all of its rows.
        r#"select e.external_id as "external_id!" from unnest($2::text[]) as e (external_id)
           cross join lateral (select from import_rows r where r.import_id = $1 and r.external_id = e.external_id limit 1) r"#,
        import_id,
        external_ids
    )
    .fetch_all(pool)
    .await
}

/// Keeps what became of rows.
pub(super) async fn add_rows(
    tx: &mut PgConnection,
    import_id: i64,
    rows: &[Row],
) -> sqlx::Result<()> {
    let (mut numbers, mut statuses, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    let (mut external, mut versions, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for it in rows {
        numbers.push(it.row);
        statuses.push(it.outcome.status.as_str().to_owned());
        ids.push(it.outcome.opportunity_id);
        external.push(it.external_id.clone());
        versions.push(it.version);
        errors.push(serde_json::to_string(&it.outcome.errors).unwrap_or_default());
    }
    sqlx::query!(
        "insert into import_rows (import_id, row, status, opportunity_id, external_id, version, errors)
         select $1, * from unnest($2::integer[], $3::text[], $4::bigint[], $5::text[], $6::bigint[], $7::text[])",
        import_id,
        &numbers,
        &statuses,
        &ids as &[Option<i64>],
        &external as &[Option<String>],
        &versions as &[Option<i64>],
        &errors
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Forgets what became of rows.
pub(super) async fn clear_rows(tx: &mut PgConnection, import_id: i64) -> sqlx::Result<()> {
    sqlx::query!("delete from import_rows where import_id = $1", import_id).execute(tx).await?;
    Ok(())
}

/// Forgets what would have become of rows that are good.
pub(super) async fn clear_good(tx: &mut PgConnection, import_id: i64) -> sqlx::Result<()> {
    sqlx::query!("delete from import_rows where import_id = $1 and status <> 'failed'", import_id)
        .execute(tx)
        .await?;
    Ok(())
}

/// What became of rows after one, with what they wrote; of one kind where that is asked for.
pub(super) async fn rows(
    db: impl sqlx::PgExecutor<'_>,
    import_id: i64,
    after: i32,
    statuses: &[String],
    most: i64,
) -> sqlx::Result<Vec<Row>> {
    let rows = sqlx::query!(
        "select row, status, opportunity_id, external_id, version, errors from import_rows
         where import_id = $1 and row > $2 and status = any($3)
         order by row limit $4",
        import_id,
        after,
        statuses,
        most
    )
    .fetch_all(db)
    .await?;
    let read = rows.into_iter().map(|it| {
        let status = RowStatus::parse(&it.status);
        let status = status.ok_or_else(|| sqlx::Error::Decode("import_rows.status".into()))?;
        let errors = serde_json::from_str(&it.errors).unwrap_or_default();
        let opportunity_id = it.opportunity_id;
        Ok(Row {
            row: it.row,
            outcome: Outcome { status, opportunity_id, errors },
            external_id: it.external_id,
            version: it.version,
        })
    });
    read.collect()
}

/// How many imports of somebody wait to be done, or are taken back.
pub(super) async fn waiting(tx: &mut PgConnection, by: i64) -> sqlx::Result<i64> {
    sqlx::query_scalar!(
        r#"select count(*) as "count!" from imports where requested_by = $1 and status in ('queued', 'running')"#,
        by
    )
    .fetch_one(tx)
    .await
}

/// Rows are something else now, and this is why.
pub(super) async fn mark(
    tx: &mut PgConnection,
    import_id: i64,
    rows: &[i32],
    status: RowStatus,
    why: &[Fault],
) -> sqlx::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "update import_rows set status = $3, errors = $4 where import_id = $1 and row = any($2)",
        import_id,
        rows,
        status.as_str(),
        serde_json::to_string(why).unwrap_or_default()
    )
    .execute(tx)
    .await?;
    Ok(())
}
