//! PostgreSQL's COPY formats, as far as the generator needs them.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use money::Money;
use std::fmt::Write as _;

use crate::array::array;

/// Rows in the text format.
#[derive(Default)]
pub(super) struct Text(String);

/// One row being written.
pub(super) struct TextRow<'a> {
    out: &'a mut String,
    first: bool,
}

impl Text {
    /// Begins a row; its end is written when `fill` is done.
    pub(super) fn row(&mut self, fill: impl FnOnce(&mut TextRow<'_>)) {
        fill(&mut TextRow { out: &mut self.0, first: true });
        self.0.push('\n');
    }

    /// All rows.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}

impl TextRow<'_> {
    fn next(&mut self) -> &mut String {
        if !self.first {
            self.out.push('\t');
        }
        self.first = false;
        self.out
    }

    pub(super) fn null(&mut self) {
        self.next().push_str("\\N");
    }

    pub(super) fn int(&mut self, value: impl Into<i64>) {
        let value: i64 = value.into();
        let _ = write!(self.next(), "{value}");
    }

    pub(super) fn int_or_null(&mut self, value: Option<i64>) {
        match value {
            Some(value) => self.int(value),
            None => self.null(),
        }
    }

    pub(super) fn text(&mut self, value: &str) {
        let out = self.next();
        for it in value.chars() {
            match it {
                '\\' => out.push_str("\\\\"),
                '\t' => out.push_str("\\t"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                it => out.push(it),
            }
        }
    }

    pub(super) fn text_or_null(&mut self, value: Option<&str>) {
        match value {
            Some(value) => self.text(value),
            None => self.null(),
        }
    }

    pub(super) fn money(&mut self, value: Option<Money>) {
        match value {
            Some(value) => {
                let _ = write!(self.next(), "{value}");
            }
            None => self.null(),
        }
    }

    pub(super) fn day(&mut self, value: Option<NaiveDate>) {
        match value {
            Some(value) => {
                let _ = write!(self.next(), "{value}");
            }
            None => self.null(),
        }
    }

    pub(super) fn at(&mut self, value: DateTime<Utc>) {
        self.next().push_str(&value.to_rfc3339_opts(SecondsFormat::Micros, true));
    }

    /// An array of texts.
    pub(super) fn list(&mut self, values: &[String]) {
        self.text(&array(values));
    }
}

/// Rows in the binary format.
pub(super) struct Binary(Vec<u8>);

impl Binary {
    /// No rows yet.
    pub(super) fn new() -> Self {
        let mut out = b"PGCOPY\n\xff\r\n\0".to_vec();
        out.extend([0; 8]);
        Self(out)
    }

    /// Begins a row of that many columns.
    pub(super) fn row(&mut self, columns: i16) {
        self.0.extend(columns.to_be_bytes());
    }

    pub(super) fn bytes(&mut self, value: &[u8]) {
        let length = i32::try_from(value.len()).unwrap_or(i32::MAX);
        self.0.extend(length.to_be_bytes());
        self.0.extend(value);
    }

    pub(super) fn int(&mut self, value: i64) {
        self.bytes(&value.to_be_bytes());
    }

    pub(super) fn null(&mut self) {
        self.0.extend((-1_i32).to_be_bytes());
    }

    /// Microseconds since the year 2000.
    pub(super) fn at(&mut self, value: DateTime<Utc>) {
        self.int(value.timestamp_micros() - 946_684_800_000_000);
    }

    /// All rows.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.0.extend((-1_i16).to_be_bytes());
        self.0
    }
}
