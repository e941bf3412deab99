//! The child that reads a workbook: from standard input, with bounds on what it may take of the machine, and as comma-separated values on standard output.

use std::io::{self, BufWriter, Cursor, Read as _, Write};
use std::process::ExitCode;

use calamine::{DataRef, Reader as _, Sheet, SheetType, SheetVisible, Xlsx};
use rustix::process::{Resource, Rlimit, setrlimit};

use super::super::file::{Flaw, LARGEST, LONGEST_ROW, MOST_COLUMNS, MOST_ROWS};
use super::cell::{is_percent, text};
use super::package;

/// How much memory it may have beside what the program itself takes.
const MEMORY_BYTES: u64 = 224 * 1024 * 1024;
/// How many seconds of a processor.
const SECONDS: u64 = 60;
/// Exit code of a workbook that cannot be read: `EX_DATAERR`.
const FLAWED: u8 = 65;

/// Reads it; the code of what is wrong with it goes to standard error.
pub fn run() -> ExitCode {
    // Whoever began it learns of it by the exit code.
    std::panic::set_hook(Box::new(|_| {}));
    let read = confine().map_err(|_| Flaw::TooCostly).and_then(|()| {
        let mut bytes = Vec::new();
        let most = io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes);
        most.map_err(|_| Flaw::BrokenWorkbook)?;
        table(&bytes, &mut BufWriter::new(io::stdout().lock()))
    });
    match read {
        Ok(()) => ExitCode::SUCCESS,
        Err(flaw) => {
            let _ = io::stderr().write_all(flaw.code().as_bytes());
            ExitCode::from(FLAWED)
        }
    }
}

/// From here on there is only so much for it, and no file that it could write.
fn confine() -> io::Result<()> {
    let memory = mapped().saturating_add(MEMORY_BYTES);
    for (resource, most) in [
        (Resource::As, memory),
        (Resource::Cpu, SECONDS),
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nofile, 16),
    ] {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    Ok(())
}

/// How much memory the program has now, itself included.
fn mapped() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let kilobytes = size.and_then(|size| size.trim().trim_end_matches(" kB").parse::<u64>().ok());
    // Where nobody says, as much as the program is at most.
    kilobytes.unwrap_or(512 * 1024).saturating_mul(1024)
}

/// The first sheet that is seen, as a table.
fn table(bytes: &[u8], out: &mut impl Write) -> Result<(), Flaw> {
    package::check(bytes)?;
    let mut book = Xlsx::new(Cursor::new(bytes)).map_err(|_| Flaw::BrokenWorkbook)?;
    let is_seen =
        |it: &&Sheet| it.typ == SheetType::WorkSheet && it.visible == SheetVisible::Visible;
    let first = book.sheets_metadata().iter().find(is_seen).map(|it| it.name.clone());
    let first = first.ok_or(Flaw::Empty)?;
    let broken = |_| Flaw::BrokenWorkbook;
    let mut cells = book.worksheet_cells_reader(&first).map_err(broken)?;
    let formats = cells.styles().iter().map(|it| it.number_format.as_ref());
    let percents: Vec<_> =
        formats.map(|it| it.is_some_and(|format| is_percent(&format.format_code))).collect();
    let mut rows = Rows { out, number: 0, cells: Vec::new(), bytes: 0, written: 0 };
    while let Some((cell, style)) = cells.next_cell_with_style_id().map_err(broken)? {
        let (row, column) = cell.get_position();
        let is_percent = percents.get(style).copied().unwrap_or_default();
        match cell.get_value() {
            DataRef::Empty => {}
            value => rows.put(row, column, text(value, is_percent))?,
        }
    }
    rows.flush()?;
    rows.out.flush().map_err(|_| Flaw::BrokenWorkbook)
}

/// Rows that are written as they come.
struct Rows<'a, W> {
    out: &'a mut W,
    /// Of the row that is being filled.
    number: u32,
    cells: Vec<String>,
    bytes: usize,
    written: i32,
}

impl<W: Write> Rows<'_, W> {
    fn put(&mut self, row: u32, column: u32, text: String) -> Result<(), Flaw> {
        if row < self.number {
            // Rows come in order, or somebody wants to be clever.
            return Err(Flaw::BrokenWorkbook);
        }
        if row > self.number {
            self.flush()?;
            self.number = row;
        }
        let column = usize::try_from(column).unwrap_or(usize::MAX);
        if column >= MOST_COLUMNS {
            return Err(Flaw::TooManyColumns);
        }
        self.bytes += text.len();
        if self.bytes > LONGEST_ROW {
            return Err(Flaw::RowTooLong);
        }
        if self.cells.len() <= column {
            self.cells.resize(column + 1, String::new());
        }
        self.cells[column] = text;
        Ok(())
    }

    /// Writes the row, if there is anything in it.
    fn flush(&mut self) -> Result<(), Flaw> {
        let cells = std::mem::take(&mut self.cells);
        self.bytes = 0;
        if cells.iter().all(|cell| cell.trim().is_empty()) {
            return Ok(());
        }
        // One of them is the header.
        if self.written > MOST_ROWS {
            return Err(Flaw::TooManyRows);
        }
        self.written += 1;
        let mut line = String::new();
        for (index, cell) in cells.iter().enumerate() {
            if index > 0 {
                line.push(',');
            }
            if !cell.is_empty() {
                line.push('"');
                line.push_str(&cell.replace('"', "\"\""));
                line.push('"');
            }
        }
        line.push_str("\r\n");
        self.out.write_all(line.as_bytes()).map_err(|_| Flaw::BrokenWorkbook)
    }
}
