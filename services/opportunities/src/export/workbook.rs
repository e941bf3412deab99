//! An Excel workbook (ECMA-376) that is written as it goes: nothing of it is kept but what is not yet given away.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::NaiveDate;
use rpc::Error;
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, ZipWriter};

use crate::sheet::cell::{Cell, guard};

/// The most rows of a sheet.
const MOST_ROWS: u32 = 1_048_576;
/// How many digits a number has there; one of more is a text, so that none of them is lost.
const DIGITS: usize = 15;
/// The largest sheet before it is packed: past 4 GiB the file would be one that Excel does not open.
const MOST_BYTES: u64 = 3 * 1024 * 1024 * 1024;

const SHEET_BEGINS: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><sheetData>"#;
const SHEET_ENDS: &str = "</sheetData></worksheet>";
/// Style 1 is a day.
const STYLES: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><numFmts count="1"><numFmt numFmtId="164" formatCode="yyyy\-mm\-dd"/></numFmts><fonts count="1"><font/></fonts><fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills><borders count="1"><border/></borders><cellStyleXfs count="1"><xf/></cellStyleXfs><cellXfs count="2"><xf numFmtId="0" xfId="0"/><xf numFmtId="164" xfId="0" applyNumberFormat="1"/></cellXfs></styleSheet>"#;
const RELATIONS: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#;

/// What has been packed and not given away.
#[derive(Clone, Default)]
struct Packed(Arc<Mutex<Vec<u8>>>);

impl Packed {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Packed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A workbook that is being written.
pub struct Workbook {
    zip: ZipWriter<StreamWriter<Packed>>,
    packed: Packed,
    /// Name and letters of each column.
    columns: Vec<(String, String)>,
    sheets: u32,
    /// Of the sheet that is being written.
    rows: u32,
    bytes: u64,
    xml: String,
}

impl Workbook {
    /// With a header on each sheet.
    pub fn begin(names: Vec<String>) -> Result<Self, Error> {
        let packed = Packed::default();
        let columns = names.into_iter().zip(0..).map(|(name, index)| (name, letters(index)));
        let mut book = Self {
            zip: ZipWriter::new_stream(packed.clone()),
            packed,
            columns: columns.collect(),
            sheets: 0,
            rows: 0,
            bytes: 0,
            xml: String::new(),
        };
        book.begin_sheet()?;
        Ok(book)
    }

    /// One more row.
    pub fn row(&mut self, cells: impl Iterator<Item = Cell>) -> Result<(), Error> {
        if self.rows >= MOST_ROWS || self.bytes >= MOST_BYTES {
            self.write(SHEET_ENDS)?;
            self.begin_sheet()?;
        }
        self.put(cells)
    }

    /// What can be given away since this was asked last.
    pub fn take(&mut self) -> Vec<u8> {
        self.packed.take()
    }

    /// The rest of it.
    pub fn finish(mut self) -> Result<Vec<u8>, Error> {
        self.write(SHEET_ENDS)?;
        let (mut sheets, mut relations, mut types) = (String::new(), String::new(), String::new());
        for index in 1..=self.sheets {
            let number = if index == 1 { String::new() } else { format!(" {index}") };
            let _ = write!(
                sheets,
                r#"<sheet name="Opportunities{number}" sheetId="{index}" r:id="rId{index}"/>"#
            );
            let _ = write!(
                relations,
                r#"<Relationship Id="rId{index}" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet{index}.xml"/>"#
            );
            let _ = write!(
                types,
                r#"<Override PartName="/xl/worksheets/sheet{index}.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>"#
            );
        }
        let styles = self.sheets + 1;
        let head = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#;
        self.part("xl/workbook.xml", &format!(
            r#"{head}<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>{sheets}</sheets></workbook>"#
        ))?;
        self.part("xl/_rels/workbook.xml.rels", &format!(
            r#"{head}<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{relations}<Relationship Id="rId{styles}" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles" Target="styles.xml"/></Relationships>"#
        ))?;
        self.part("xl/styles.xml", STYLES)?;
        self.part("_rels/.rels", RELATIONS)?;
        self.part("[Content_Types].xml", &format!(
            r#"{head}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/styles.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"/>{types}</Types>"#
        ))?;
        self.zip.finish().map_err(broken)?;
        Ok(self.packed.take())
    }

    fn begin_sheet(&mut self) -> Result<(), Error> {
        self.sheets += 1;
        (self.rows, self.bytes) = (0, 0);
        self.start(&format!("xl/worksheets/sheet{}.xml", self.sheets))?;
        self.write(SHEET_BEGINS)?;
        let names: Vec<_> = self.columns.iter().map(|(name, _)| Cell::from(&**name)).collect();
        self.put(names.into_iter())
    }

    fn put(&mut self, cells: impl Iterator<Item = Cell>) -> Result<(), Error> {
        self.rows += 1;
        let row = self.rows;
        let mut xml = std::mem::take(&mut self.xml);
        xml.clear();
        let _ = write!(xml, r#"<row r="{row}">"#);
        for (cell, (_, column)) in cells.zip(&self.columns) {
            let _ = put(&mut xml, column, row, &cell);
        }
        xml.push_str("</row>");
        let written = self.write(&xml);
        self.xml = xml;
        written
    }

    fn part(&mut self, name: &str, xml: &str) -> Result<(), Error> {
        self.start(name)?;
        self.write(xml)
    }

    fn start(&mut self, name: &str) -> Result<(), Error> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(1));
        self.zip.start_file(name, options).map_err(broken)
    }

    fn write(&mut self, xml: &str) -> Result<(), Error> {
        self.bytes += u64::try_from(xml.len()).unwrap_or_default();
        self.zip.write_all(xml.as_bytes()).map_err(broken)
    }
}

fn broken(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Internal(error.into())
}

/// `A`, `B`, … `Z`, `AA`, ….
fn letters(index: u32) -> String {
    let last = char::from(b'A' + u8::try_from(index % 26).unwrap_or_default());
    match index / 26 {
        0 => last.to_string(),
        before => letters(before - 1) + &last.to_string(),
    }
}

fn put(xml: &mut String, column: &str, row: u32, cell: &Cell) -> std::fmt::Result {
    match cell {
        Cell::Empty => Ok(()),
        Cell::Integer(number) => write!(xml, r#"<c r="{column}{row}"><v>{number}</v></c>"#),
        Cell::Amount(amount) => write!(xml, r#"<c r="{column}{row}"><v>{amount}</v></c>"#),
        Cell::Number(digits) if digits.bytes().filter(u8::is_ascii_digit).count() <= DIGITS => {
            write!(xml, r#"<c r="{column}{row}"><v>{digits}</v></c>"#)
        }
        Cell::Number(digits) => put_text(xml, column, row, digits),
        Cell::Flag(flag) => {
            write!(xml, r#"<c r="{column}{row}" t="b"><v>{}</v></c>"#, u8::from(*flag))
        }
        Cell::Day(day) => match serial(*day) {
            Some(serial) => write!(xml, r#"<c r="{column}{row}" s="1"><v>{serial}</v></c>"#),
            None => put(xml, column, row, &Cell::Text(day.to_string())),
        },
        Cell::Text(text) => put_text(xml, column, row, &guard(text)),
        Cell::Instant(_) => put_text(xml, column, row, &cell.text()),
    }
}

fn put_text(xml: &mut String, column: &str, row: u32, text: &str) -> std::fmt::Result {
    write!(xml, r#"<c r="{column}{row}" t="inlineStr"><is><t xml:space="preserve">"#)?;
    escape(xml, text);
    xml.write_str("</t></is></c>")
}

/// The number of a day in a workbook; none of those before March 1900, which Excel counts as nobody else does.
fn serial(day: NaiveDate) -> Option<i64> {
    let first = NaiveDate::from_ymd_opt(1899, 12, 30)?;
    let number = (day - first).num_days();
    (number > 60).then_some(number)
}

/// A text in XML. What cannot stand there is `_x000D_`, and what looks like that is not taken for it.
fn escape(xml: &mut String, text: &str) {
    for (at, letter) in text.char_indices() {
        match letter {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '_' if is_escape(&text[at..]) => xml.push_str("_x005F_"),
            '\t' | '\n' => xml.push(letter),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => {
                let _ = write!(xml, "_x{:04X}_", u32::from(letter));
            }
            letter => xml.push(letter),
        }
    }
}

fn is_escape(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 7
        && bytes[1] == b'x'
        && bytes[2..6].iter().all(u8::is_ascii_hexdigit)
        && bytes[6] == b'_'
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read as _};

    use super::*;

    fn part(bytes: &[u8], name: &str) -> String {
        let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        let mut text = String::new();
        zip.by_name(name).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn numbers_stay_numbers_and_texts_are_no_formulas() {
        let mut book =
            Workbook::begin(["a", "b", "c", "d", "e", "f"].map(str::to_owned).to_vec()).unwrap();
        let day = NaiveDate::from_ymd_opt(2026, 11, 28).unwrap();
        let cells = [
            Cell::Text("=1+1 <&>".to_owned()),
            Cell::Integer(-5),
            Cell::Day(day),
            Cell::Empty,
            Cell::Text("a\r_x000D_\u{1}".to_owned()),
        ];
        book.row(cells.into_iter()).unwrap();
        let mut bytes = book.take();
        bytes.extend(book.finish().unwrap());
        let sheet = part(&bytes, "xl/worksheets/sheet1.xml");
        let row = r#"<row r="2"><c r="A2" t="inlineStr"><is><t xml:space="preserve">'=1+1 &lt;&amp;&gt;</t></is></c><c r="B2"><v>-5</v></c><c r="C2" s="1"><v>46354</v></c><c r="E2" t="inlineStr"><is><t xml:space="preserve">a_x000D__x005F_x000D__x0001_</t></is></c></row></sheetData>"#;
        assert!(sheet.contains(row), "{sheet}");
        assert!(part(&bytes, "[Content_Types].xml").contains("sheet1.xml"));
    }

    #[test]
    fn a_sheet_that_is_full_is_followed_by_another() {
        let mut book = Workbook::begin(vec!["a".to_owned()]).unwrap();
        book.rows = MOST_ROWS;
        book.row([Cell::Integer(7)].into_iter()).unwrap();
        let bytes = book.finish().unwrap();
        let second = part(&bytes, "xl/worksheets/sheet2.xml");
        assert!(
            second.contains(r#"<c r="A1" t="inlineStr"#) && second.contains(r#"<c r="A2"><v>7"#)
        );
        assert!(part(&bytes, "xl/workbook.xml").contains(r#"name="Opportunities 2""#));
    }

    #[test]
    fn columns_have_letters() {
        assert_eq!([0, 25, 26, 51, 52, 702].map(letters), ["A", "Z", "AA", "AZ", "BA", "AAA"]);
    }
}
