//! What an import is, and what became of its rows.

use chrono::{DateTime, Utc};
use rpc::{FieldError, Invalid};
use serde::{Deserialize, Serialize};

/// How far an import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Its file is coming.
    Receiving,
    /// It waits.
    Queued,
    /// It is worked off, or taken back.
    Running,
    /// Every row was worked off.
    Done,
    /// It was not written, or not to its end.
    Failed,
    /// It was taken back.
    Undone,
}

impl Status {
    const ALL: [Self; 6] =
        [Self::Receiving, Self::Queued, Self::Running, Self::Done, Self::Failed, Self::Undone];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Receiving => "receiving",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Undone => "undone",
        }
    }

    /// The one of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
}

/// What is done with the rows at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// They are looked at.
    Check,
    /// They are written.
    Write,
    /// They are taken back.
    Undo,
}

impl Phase {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Write => "write",
            Self::Undo => "undo",
        }
    }

    /// The one of that name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Check, Self::Write, Self::Undo].into_iter().find(|it| it.as_str() == text)
    }
}

/// What a file's rows are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Opportunities as of now.
    #[default]
    Sales,
    /// Opportunities with their past.
    History,
}

impl Kind {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sales => "sales",
            Self::History => "history",
        }
    }

    /// The one of that name.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Sales, Self::History].into_iter().find(|it| it.as_str() == text)
    }
}

/// How many rows became what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Made.
    pub created: i32,
    /// Changed.
    pub updated: i32,
    /// So already.
    pub skipped: i32,
    /// Not good.
    pub failed: i32,
    /// Taken back.
    pub undone: i32,
    /// Not taken back.
    pub kept: i32,
}

/// An import.
#[derive(Clone, Debug)]
pub struct Import {
    /// Its id.
    pub id: i64,
    /// How far it is.
    pub status: Status,
    /// What is done at present.
    pub phase: Phase,
    /// What its rows are.
    pub kind: Kind,
    /// Whether nothing is written.
    pub dry_run: bool,
    /// Whether nothing is written where a row is not good.
    pub all_or_nothing: bool,
    /// What stands between fields.
    pub delimiter: u8,
    /// The file's header.
    pub headers: Vec<String>,
    /// The field that each column is; empty where it is none.
    pub fields: Vec<String>,
    /// How many rows there are.
    pub total_rows: i32,
    /// Where the next row begins.
    pub next_byte: i64,
    /// The number of the row before it.
    pub last_row: i32,
    /// How often the next rows could not be worked off.
    pub attempts: i32,
    /// How many rows became what.
    pub counts: Counts,
    /// Who began it.
    pub requested_by: i64,
    /// By which request.
    pub request_id: String,
    /// As a part of which trace.
    pub traceparent: String,
    /// Who takes it back; nobody where it is taken back because it could not be ended.
    pub undone_by: Option<i64>,
    /// By which request.
    pub undo_request_id: String,
    /// As a part of which trace.
    pub undo_traceparent: String,
    /// When it was begun.
    pub created_at: DateTime<Utc>,
    /// When it last went on.
    pub updated_at: DateTime<Utc>,
}

impl Import {
    /// As one that cannot be ended: what it wrote is taken back where it was to be all or nothing. Nothing was made by one whose rows were only looked at.
    #[must_use]
    pub fn give_up(self) -> Self {
        let wrote = self.counts.created + self.counts.updated > 0;
        match self.phase {
            Phase::Write if self.all_or_nothing && wrote => self.taken_back(),
            Phase::Check if !self.dry_run => {
                let counts = Counts { failed: self.counts.failed, ..Counts::default() };
                Self { status: Status::Failed, counts, ..self }
            }
            _ => Self { status: Status::Failed, ..self },
        }
    }

    /// As one that this service takes back.
    #[must_use]
    pub fn taken_back(self) -> Self {
        Self { phase: Phase::Undo, last_row: 1, attempts: 0, undone_by: None, ..self }
    }

    /// Whether nothing more becomes of it by itself.
    pub fn is_over(&self) -> bool {
        matches!(self.status, Status::Done | Status::Failed | Status::Undone)
    }
}

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowStatus {
    /// Its opportunity was made.
    Created,
    /// Its opportunity was changed.
    Updated,
    /// Its opportunity is so already.
    Skipped,
    /// It is not good.
    Failed,
    /// It was taken back.
    Undone,
    /// It was not.
    Kept,
}

impl RowStatus {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Created, Self::Updated, Self::Skipped, Self::Failed, Self::Undone, Self::Kept];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Undone => "undone",
            Self::Kept => "kept",
        }
    }

    /// The one of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == text)
    }
}

/// What is not good about a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The field; empty where it is about the row.
    pub field: String,
    /// For programs.
    pub code: String,
    /// For people.
    pub message: String,
}

/// What is wrong with a row that was tried and tried.
pub fn not_written() -> Invalid {
    let message = "it could not be written, however often it was tried";
    Invalid::default().field("", "not_written", message)
}

/// Faults as they are kept.
pub fn faults(invalid: &Invalid) -> Vec<Fault> {
    /// How many are kept of a row, and how much of the words of each: a row of half a megabyte is not kept again in them.
    const MOST: usize = 50;
    const LONGEST: usize = 300;
    let short = |text: &str| text.chars().take(LONGEST).collect();
    let fault = |it: &FieldError| Fault {
        field: short(&it.field),
        code: it.code.to_string(),
        message: short(&it.message),
    };
    invalid.fields().iter().take(MOST).map(fault).collect()
}

/// What became of a row, as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What.
    pub status: RowStatus,
    /// Its opportunity.
    pub opportunity_id: Option<i64>,
    /// What is not good about it.
    pub errors: Vec<Fault>,
}

/// A row that was worked off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its number; the header is 1.
    pub row: i32,
    /// What became of it.
    pub outcome: Outcome,
    /// Its id in another system.
    pub external_id: Option<String>,
    /// Its opportunity's version after it was written.
    pub version: Option<i64>,
}
