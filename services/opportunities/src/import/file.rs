//! Comma-separated values as they come: read piece by piece, with bounds on everything that a file could make large.

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};
use rpc::{Error, Invalid};

/// The largest file.
pub const LARGEST: u64 = 50 * 1024 * 1024;
/// The most columns.
pub const MOST_COLUMNS: usize = 200;
/// The most rows, the header not counted.
pub const MOST_ROWS: i32 = 100_000;
/// The longest row in bytes.
pub(super) const LONGEST_ROW: usize = 512 * 1024;

/// What may stand between the fields of a row.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

/// Why a file cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// There is nothing in it.
    Empty,
    /// There is nothing but a header.
    NoRows,
    /// It is not UTF-8.
    Encoding,
    /// It is larger than is read.
    TooLarge,
    /// It has more columns than are read.
    TooManyColumns,
    /// It has more rows than are read.
    TooManyRows,
    /// A row is longer than is read.
    RowTooLong,
    /// It ends within quotes, so that rows may be inside a field.
    UnclosedQuote,
    /// It is a workbook of another kind, or one with a password.
    UnknownFormat,
    /// It is no whole workbook.
    BrokenWorkbook,
    /// It is a workbook with programs in it.
    Macros,
    /// Unpacked it would be much larger than it is, or has more parts than workbooks have.
    TooMuchPacked,
    /// Reading it takes more memory or time than there is for one.
    TooCostly,
}

impl Flaw {
    const ALL: [Self; 13] = [
        Self::Empty,
        Self::NoRows,
        Self::Encoding,
        Self::TooLarge,
        Self::TooManyColumns,
        Self::TooManyRows,
        Self::RowTooLong,
        Self::UnclosedQuote,
        Self::UnknownFormat,
        Self::BrokenWorkbook,
        Self::Macros,
        Self::TooMuchPacked,
        Self::TooCostly,
    ];

    /// For programs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Empty => "required",
            Self::NoRows => "no_rows",
            Self::Encoding => "invalid_encoding",
            Self::TooLarge => "too_large",
            Self::TooManyColumns => "too_many_columns",
            Self::TooManyRows => "too_many_rows",
            Self::RowTooLong => "row_too_long",
            Self::UnclosedQuote => "unclosed_quote",
            Self::UnknownFormat => "unknown_format",
            Self::BrokenWorkbook => "broken_workbook",
            Self::Macros => "has_macros",
            Self::TooMuchPacked => "too_much_packed",
            Self::TooCostly => "too_costly",
        }
    }

    /// The one of that code.
    pub(super) fn of_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.code() == code)
    }

    fn message(self) -> String {
        match self {
            Self::Empty => "is empty".to_owned(),
            Self::NoRows => "has no row after its header".to_owned(),
            Self::Encoding => "is not UTF-8: save it as CSV UTF-8".to_owned(),
            Self::TooLarge => format!("is larger than {LARGEST} bytes, or is so as CSV"),
            Self::TooManyColumns => format!("has more than {MOST_COLUMNS} columns"),
            Self::TooManyRows => format!("has more than {MOST_ROWS} rows"),
            Self::RowTooLong => format!("has a row of more than {LONGEST_ROW} bytes"),
            Self::UnclosedQuote => {
                "ends within quotes: a quote that was opened has no end".to_owned()
            }
            Self::UnknownFormat => {
                "is an older workbook, or has a password: save it as .xlsx without one".to_owned()
            }
            Self::BrokenWorkbook => {
                "is no workbook that can be read: save it as .xlsx, or as CSV UTF-8".to_owned()
            }
            Self::Macros => "has macros: save it as .xlsx".to_owned(),
            Self::TooMuchPacked => {
                "is much larger unpacked than it is, or has too many parts".to_owned()
            }
            Self::TooCostly => {
                "takes more memory or time to read than there is: save it as CSV UTF-8".to_owned()
            }
        }
    }
}

impl From<Flaw> for Invalid {
    fn from(flaw: Flaw) -> Self {
        Self::default().field("file", flaw.code(), flaw.message())
    }
}

impl From<Flaw> for Error {
    fn from(flaw: Flaw) -> Self {
        Invalid::from(flaw).into()
    }
}

/// A row, and where the next begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its cells.
    pub cells: Vec<String>,
    /// The byte after it.
    pub ends_at: u64,
}

/// Reads rows out of pieces of a file.
pub struct Rows {
    reader: Reader,
    at: u64,
    text: Vec<u8>,
    text_used: usize,
    ends: Vec<usize>,
    ends_used: usize,
}

impl Rows {
    /// From a byte on at which a row begins.
    pub fn from(delimiter: u8, at: u64) -> Self {
        Self {
            reader: ReaderBuilder::new().delimiter(delimiter).build(),
            at,
            text: vec![0; 16 * 1024],
            text_used: 0,
            ends: vec![0; MOST_COLUMNS + 1],
            ends_used: 0,
        }
    }

    /// Reads on in the next piece; an empty one is the end of the file. Every row that ends in it is told, until `row` wants no more, and answers whether it did.
    pub fn read(
        &mut self,
        mut piece: &[u8],
        mut row: impl FnMut(Record) -> bool,
    ) -> Result<bool, Flaw> {
        let is_end = piece.is_empty();
        loop {
            let (text, ends) = (&mut self.text[self.text_used..], &mut self.ends[self.ends_used..]);
            let (result, read, written, ended) = self.reader.read_record(piece, text, ends);
            piece = &piece[read..];
            self.at += u64::try_from(read).unwrap_or_default();
            self.text_used += written;
            self.ends_used += ended;
            match result {
                ReadRecordResult::InputEmpty if is_end => {}
                ReadRecordResult::InputEmpty => return Ok(true),
                ReadRecordResult::OutputFull if self.text.len() >= LONGEST_ROW => {
                    return Err(Flaw::RowTooLong);
                }
                ReadRecordResult::OutputFull => {
                    let longer = (self.text.len() * 2).min(LONGEST_ROW);
                    self.text.resize(longer, 0);
                }
                ReadRecordResult::OutputEndsFull => return Err(Flaw::TooManyColumns),
                ReadRecordResult::Record => {
                    let record = self.take()?;
                    if !row(record) {
                        return Ok(false);
                    }
                }
                ReadRecordResult::End => return Ok(false),
            }
        }
    }

    fn take(&mut self) -> Result<Record, Flaw> {
        if self.ends_used > MOST_COLUMNS {
            return Err(Flaw::TooManyColumns);
        }
        let mut begins = 0;
        let mut cells = Vec::with_capacity(self.ends_used);
        for end in &self.ends[..self.ends_used] {
            let cell = std::str::from_utf8(&self.text[begins..*end]);
            cells.push(cell.map_err(|_| Flaw::Encoding)?.to_owned());
            begins = *end;
        }
        (self.text_used, self.ends_used) = (0, 0);
        Ok(Record { cells, ends_at: self.at })
    }
}

/// What is known of a file once all of it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// What stands between the fields of a row.
    pub delimiter: u8,
    /// Its header.
    pub headers: Vec<String>,
    /// Where its first row begins.
    pub first_at: u64,
    /// How many rows it has.
    pub rows: i32,
}

/// Where in a row a byte is, as far as quotes go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Quotes {
    /// Before the first byte of a field.
    #[default]
    Begin,
    /// In a field without quotes, or after them.
    Plain,
    /// Within quotes.
    Within,
    /// After a quote within quotes, which ends them unless another follows.
    Perhaps,
}

impl Quotes {
    fn after(self, byte: u8, delimiter: u8) -> Self {
        match (self, byte) {
            (Self::Within, b'"') => Self::Perhaps,
            (Self::Begin | Self::Perhaps, b'"') | (Self::Within, _) => Self::Within,
            (_, b'\n' | b'\r') => Self::Begin,
            (_, byte) if byte == delimiter => Self::Begin,
            _ => Self::Plain,
        }
    }
}

/// Looks at a file as it comes.
#[derive(Default)]
pub struct Scan {
    quotes: Quotes,
    rows: Option<(Rows, u8)>,
    found: Option<Scanned>,
}

impl Scan {
    /// The next piece. The first has to hold the header, or as much of it as is not too long.
    pub fn piece(&mut self, piece: &[u8]) -> Result<(), Flaw> {
        if piece.is_empty() {
            return Ok(());
        }
        if self.rows.is_none() {
            let delimiter = delimiter(piece);
            self.rows = Some((Rows::from(delimiter, 0), delimiter));
            // The mark at the beginning belongs to no field.
            let text = piece.strip_prefix("\u{feff}".as_bytes()).unwrap_or(piece);
            self.look(text, delimiter);
        } else if let Some((_, delimiter)) = self.rows {
            self.look(piece, delimiter);
        }
        self.read(piece)
    }

    fn look(&mut self, text: &[u8], delimiter: u8) {
        let quotes = text.iter().fold(self.quotes, |quotes, byte| quotes.after(*byte, delimiter));
        self.quotes = quotes;
    }

    fn read(&mut self, piece: &[u8]) -> Result<(), Flaw> {
        let Some((rows, delimiter)) = &mut self.rows else { return Err(Flaw::Empty) };
        let delimiter = *delimiter;
        let found = &mut self.found;
        let mut is_too_many = false;
        rows.read(piece, |record| {
            match found {
                None => {
                    let headers = record.cells;
                    let first_at = record.ends_at;
                    *found = Some(Scanned { delimiter, headers, first_at, rows: 0 });
                }
                Some(found) => found.rows += 1,
            }
            is_too_many = found.as_ref().is_some_and(|it| it.rows > MOST_ROWS);
            !is_too_many
        })?;
        if is_too_many { Err(Flaw::TooManyRows) } else { Ok(()) }
    }

    /// That was all.
    pub fn end(mut self) -> Result<Scanned, Flaw> {
        self.read(&[])?;
        if self.quotes == Quotes::Within {
            return Err(Flaw::UnclosedQuote);
        }
        let found = self.found.ok_or(Flaw::Empty)?;
        if found.rows == 0 { Err(Flaw::NoRows) } else { Ok(found) }
    }
}

/// What stands most often between the fields of the first line; a comma where nothing does.
fn delimiter(piece: &[u8]) -> u8 {
    let (mut counts, mut is_quoted) = ([0_usize; 3], false);
    for byte in piece {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\n' | b'\r' if !is_quoted => break,
            byte if !is_quoted => {
                if let Some(index) = DELIMITERS.iter().position(|it| it == byte) {
                    counts[index] += 1;
                }
            }
            _ => {}
        }
    }
    let most = counts.into_iter().max().unwrap_or_default();
    counts.iter().position(|count| *count == most).map_or(b',', |index| DELIMITERS[index])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(pieces: &[&[u8]]) -> Result<Scanned, Flaw> {
        let mut scan = Scan::default();
        for piece in pieces {
            scan.piece(piece)?;
        }
        scan.end()
    }

    #[test]
    fn a_file_is_read_alike_however_it_is_cut() {
        let file = "\u{feff}名稱;客戶\r\n\"a;\"\"b\"\"\nc\";系統\r\n\r\nx;y".as_bytes();
        let scanned = scan(&[file]).unwrap();
        assert_eq!(scanned.headers, ["名稱", "客戶"]);
        assert_eq!((scanned.delimiter, scanned.rows), (b';', 2));
        let from = usize::try_from(scanned.first_at).unwrap();
        for cut in from..file.len() {
            let mut rows = Rows::from(b';', scanned.first_at);
            let mut found = Vec::new();
            for piece in [&file[from..cut], &file[cut..]] {
                if !piece.is_empty() {
                    rows.read(piece, |record| {
                        found.push(record);
                        true
                    })
                    .unwrap();
                }
            }
            rows.read(&[], |record| {
                found.push(record);
                true
            })
            .unwrap();
            let cells: Vec<_> = found.iter().map(|it| it.cells.clone()).collect();
            assert_eq!(cells, [["a;\"b\"\nc", "系統"], ["x", "y"]], "{cut}");
            // Where a row ends another reader goes on.
            let second = usize::try_from(found[0].ends_at).unwrap();
            let mut again = Vec::new();
            let mut rows = Rows::from(b';', found[0].ends_at);
            rows.read(&file[second..], |record| {
                again.push(record.cells);
                true
            })
            .unwrap();
            rows.read(&[], |record| {
                again.push(record.cells);
                true
            })
            .unwrap();
            assert_eq!(again, [["x", "y"]]);
        }
    }

    #[test]
    fn a_flaw_is_known_by_its_code() {
        for flaw in Flaw::ALL {
            assert_eq!(Flaw::of_code(flaw.code()), Some(flaw));
        }
        assert_eq!(Flaw::of_code("fine"), None);
    }

    #[test]
    fn a_hostile_file_is_refused_before_it_costs_anything() {
        assert_eq!(scan(&[]), Err(Flaw::Empty));
        assert_eq!(scan(&[b"\n\n"]), Err(Flaw::Empty));
        assert_eq!(scan(&[b"a,b\n"]), Err(Flaw::NoRows));
        assert_eq!(scan(&[b"a\n\xff\xfe\n"]), Err(Flaw::Encoding));
        assert_eq!(scan(&["a,".repeat(1_000_000).as_bytes()]), Err(Flaw::TooManyColumns));
        let rows = "x\n".repeat(usize::try_from(MOST_ROWS).unwrap() + 2);
        assert_eq!(scan(&[rows.as_bytes()]), Err(Flaw::TooManyRows));
        // One quote too many would put all rows after it into one field.
        for file in
            ["a,b\n1,\"2\n3,4\n", "a,b\n\"1,2\n", "\u{feff}\"a,b\n1,2\n", "a,b\n1,\"2\"\"\n3,4"]
        {
            assert_eq!(scan(&[file.as_bytes()]), Err(Flaw::UnclosedQuote), "{file}");
            let (one, other) = file.as_bytes().split_at(6);
            assert_eq!(scan(&[one, other]), Err(Flaw::UnclosedQuote), "{file}");
        }
        for file in [
            "a,b\n1,2\"\n",
            "a,b\n\"1\"\"\",\"\"\n",
            "\u{feff}\"a\",b\n1,\"2\n3\"",
            "a,b\n\"1\"x,2\n",
        ] {
            assert_eq!(scan(&[file.as_bytes()]).unwrap().rows, 1, "{file}");
        }
        // A field without an end is not waited for.
        let mut scan = Scan::default();
        scan.piece(b"a\n\"").unwrap();
        let piece = vec![b'x'; 256 * 1024];
        let refused = (0..4).map(|_| scan.piece(&piece)).find(Result::is_err);
        assert_eq!(refused, Some(Err(Flaw::RowTooLong)));
    }
}
