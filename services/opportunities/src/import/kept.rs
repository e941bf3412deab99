//! A file as it comes: looked at and kept in pieces of one size.

use chrono::TimeDelta;
use rpc::Error;
use sqlx::PgPool;
use tokio::time::Instant;

use super::file::{Flaw, LARGEST, Scan, Scanned};
use super::{PIECE_BYTES, store};
use crate::meta::Meta;

/// How a zip begins, and so a workbook.
const ZIP: &[u8] = b"PK\x03\x04";
/// How an older workbook begins, and one with a password.
const COMPOUND: &[u8] = &[0xd0, 0xcf, 0x11, 0xe0];

/// What a file is, as its first bytes say.
enum Content {
    /// Nothing has come yet.
    Unknown,
    /// Comma-separated values.
    Table(Box<Scan>),
    /// A workbook, which is looked at when it is whole.
    Workbook,
}

/// A file of which a part has come.
pub(super) struct Kept {
    pool: PgPool,
    by: i64,
    meta: Meta,
    began: Instant,
    id: Option<i64>,
    pieces: i32,
    waiting: Vec<u8>,
    bytes: u64,
    content: Content,
}

/// A table all of which has come.
pub(super) struct Table {
    pub(super) id: i64,
    pub(super) pieces: i32,
    pub(super) scanned: Scanned,
}

impl Kept {
    /// Nothing has come yet.
    pub(super) fn begin(pool: PgPool, by: i64, meta: Meta) -> Self {
        Self {
            pool,
            by,
            meta,
            began: Instant::now(),
            id: None,
            pieces: 0,
            waiting: Vec::new(),
            bytes: 0,
            content: Content::Unknown,
        }
    }

    /// Another file, of which nothing has come yet, in the place of this one.
    pub(super) fn instead(&self) -> Self {
        Self { began: self.began, ..Self::begin(self.pool.clone(), self.by, self.meta.clone()) }
    }

    /// The next bytes. They are looked at as they come, so that a file that cannot be read is refused before all of it is here.
    pub(super) async fn more(&mut self, data: &[u8]) -> Result<(), Error> {
        self.bytes += u64::try_from(data.len()).unwrap_or_default();
        if self.bytes > LARGEST {
            return Err(Flaw::TooLarge.into());
        }
        self.waiting.extend_from_slice(data);
        while self.waiting.len() >= PIECE_BYTES {
            let rest = self.waiting.split_off(PIECE_BYTES);
            let piece = std::mem::replace(&mut self.waiting, rest);
            self.keep(&piece).await?;
        }
        Ok(())
    }

    /// That was all.
    pub(super) async fn end(&mut self) -> Result<(), Error> {
        let last = std::mem::take(&mut self.waiting);
        if last.is_empty() { Ok(()) } else { self.keep(&last).await }
    }

    /// Whether it is a workbook.
    pub(super) fn is_workbook(&self) -> bool {
        matches!(self.content, Content::Workbook)
    }

    async fn keep(&mut self, piece: &[u8]) -> Result<(), Error> {
        if matches!(self.content, Content::Unknown) {
            self.content = if piece.starts_with(COMPOUND) {
                return Err(Flaw::UnknownFormat.into());
            } else if piece.starts_with(ZIP) {
                Content::Workbook
            } else {
                Content::Table(Box::default())
            };
        }
        if let Content::Table(scan) = &mut self.content {
            scan.piece(piece)?;
        }
        let id = if let Some(id) = self.id {
            id
        } else {
            let new = store::New {
                requested_by: self.by,
                request_id: &self.meta.request_id,
                traceparent: &self.meta.traceparent,
                at: self.meta.recorded_at,
            };
            *self.id.insert(store::begin(&self.pool, &new).await?)
        };
        let since = TimeDelta::from_std(self.began.elapsed()).unwrap_or_default();
        let at = self.meta.recorded_at + since;
        if !store::add_piece(&self.pool, id, self.pieces, piece, at).await? {
            return Err(gone());
        }
        self.pieces += 1;
        Ok(())
    }

    /// A piece that came.
    pub(super) async fn piece(&self, ordinal: i32) -> Result<Option<Vec<u8>>, Error> {
        let Some(id) = self.id.filter(|_| ordinal < self.pieces) else { return Ok(None) };
        store::piece(&self.pool, id, ordinal).await?.map(Some).ok_or_else(gone)
    }

    /// It as a table, all of which has come.
    pub(super) fn table(self) -> Result<Table, Error> {
        let Content::Table(scan) = self.content else { return Err(Flaw::Empty.into()) };
        let scanned = scan.end()?;
        let id = self.id.ok_or_else(|| Error::internal("a file that was not kept"))?;
        Ok(Table { id, pieces: self.pieces, scanned })
    }

    /// It is needed no more.
    pub(super) async fn forget(self) -> Result<(), Error> {
        if let Some(id) = self.id {
            let mut tx = self.pool.begin().await?;
            store::discard(&mut tx, id, None).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}

/// What is told where a file was forgotten while it came.
pub(super) fn gone() -> Error {
    Error::unavailable(anyhow::anyhow!("the file took too long to come and was forgotten"))
}
