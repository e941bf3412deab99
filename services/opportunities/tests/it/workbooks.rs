//! Workbooks that are brought in: what a person sees in them, and what somebody makes who means no good.

use std::io::{Cursor, Read as _, Write as _};

use auth::Role;
use chrono::NaiveDate;
use money::{Money, Number};
use opportunities::custom_field;
use opportunities::custom_field::draft::New;
use opportunities::custom_field::model::{Type, Value};
use opportunities::export::Form;
use opportunities::import::{Options, work};
use opportunities::opportunity::draft::Wish;
use opportunities::opportunity::line_item::LineWish;
use opportunities::opportunity::list::Filter;
use opportunities::opportunity::model::Opportunity;
use rpc::Error;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::exports;
use crate::imports::{bring, came_as_they_were, count, opportunities, words, work_off};
use crate::support::{ADMIN, World, caller, meta, now, wish};

const TYPES: &str = r#"<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>"#;
const RELATIONS: &str = r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>"#;
const SHEETS: &str = r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet2.xml"/></Relationships>"#;
/// Styles: 1 is a day, 2 a percent.
const STYLES: &str = r#"<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><cellXfs count="3"><xf numFmtId="0"/><xf numFmtId="14" applyNumberFormat="1"/><xf numFmtId="9" applyNumberFormat="1"/></cellXfs></styleSheet>"#;

/// The workbook part with a hidden sheet before the one that is seen.
fn workbook(is_1904: bool) -> String {
    format!(
        r#"<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><workbookPr date1904="{is_1904}"/><sheets><sheet name="Hidden" sheetId="2" state="hidden" r:id="rId2"/><sheet name="Deals" sheetId="1" r:id="rId1"/></sheets></workbook>"#
    )
}

fn sheet(rows: &str) -> String {
    format!(
        r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{rows}</sheetData></worksheet>"#
    )
}

/// A zip of parts.
fn zip(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, data) in parts {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(data).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A workbook with that sheet, and more parts.
fn book(sheet: &[u8], more: &[(&str, &[u8])]) -> Vec<u8> {
    let workbook = workbook(false);
    let empty = self::sheet("");
    let mut parts: Vec<(&str, &[u8])> = vec![
        ("[Content_Types].xml", TYPES.as_bytes()),
        ("_rels/.rels", RELATIONS.as_bytes()),
        ("xl/workbook.xml", workbook.as_bytes()),
        ("xl/_rels/workbook.xml.rels", SHEETS.as_bytes()),
        ("xl/styles.xml", STYLES.as_bytes()),
        ("xl/worksheets/sheet1.xml", sheet),
        ("xl/worksheets/sheet2.xml", empty.as_bytes()),
    ];
    for (name, data) in more {
        parts.retain(|(taken, _)| taken != name);
        parts.push((name, data));
    }
    zip(&parts)
}

/// A row of inline texts.
fn texts(number: usize, cells: &[&str]) -> String {
    let cells = cells.iter().map(|cell| format!(r#"<c t="inlineStr"><is><t>{cell}</t></is></c>"#));
    format!(r#"<row r="{number}">{}</row>"#, cells.collect::<String>())
}

/// A workbook of rows of texts, and of formulas without a value.
pub(crate) fn table(rows: &[Vec<&str>]) -> Vec<u8> {
    let (text, error) =
        (r#"<c t="inlineStr"><is><t>#N/A</t></is></c>"#, r#"<c t="e"><v>#N/A</v></c>"#);
    let rows = rows.iter().zip(1..).map(|(cells, number)| texts(number, cells));
    let rows = rows.map(|row| row.replace(text, error));
    book(sheet(&rows.collect::<String>()).as_bytes(), &[])
}

#[tokio::test]
async fn a_workbook_says_what_a_person_sees_in_it() {
    let world = World::create("everyone").await;
    let admin = caller(ADMIN, Role::Admin, None);
    let shared = r#"<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" count="2" uniqueCount="2"><si><t>甲公司</t></si><si><r><t>Rich</t></r><r><t xml:space="preserve"> text</t></r><rPh sb="0" eb="1"><t>reading</t></rPh></si></sst>"#;
    let header = texts(
        3,
        &[
            "opportunity_name",
            "customer_name",
            "amount",
            "expected_close_date",
            "probability",
            "notes",
            "external_id",
        ],
    );
    // A line without anything, merged cells, and formulas whose values were kept.
    let rows = r#"<row r="1"><c r="A1" s="1"/></row>HEADER
        <row r="4"><c r="A4" t="s"><v>1</v></c><c r="B4" t="s"><v>0</v></c><c r="C4"><f>0.1+0.2</f><v>0.30000000000000004</v></c><c r="D4" s="1"><v>46354</v></c><c r="E4" s="2"><v>0.3</v></c><c r="F4" t="b"><v>1</v></c><c r="G4"><v>7</v></c></row>
        <row r="6"><c r="A6" t="str"><f>A4&amp;"!"</f><v>A &amp; _x0041_</v></c><c r="B6" t="s"><v>0</v></c><c r="C6"><v>9999999999999.99</v></c><c r="D6" t="d"><v>2026-12-31T00:00:00</v></c><c r="E6" s="2"><v>1</v></c><c r="G6"><v>8.0</v></c></row>
        <row r="7"><c r="A7" t="inlineStr"><is><t>Bad</t></is></c><c r="B7" t="s"><v>0</v></c><c r="C7" t="e"><f>1/0</f><v>#DIV/0!</v></c></row>
        <row r="8"><c r="A8" t="inlineStr"><is><t>Late</t></is></c><c r="B8" t="s"><v>0</v></c><c r="D8" s="1"><v>46354.5</v></c></row>"#;
    let data = sheet(&rows.replace("HEADER", &header));
    let data = data.replace(
        "</worksheet>",
        r#"<mergeCells count="1"><mergeCell ref="B6:B7"/></mergeCells></worksheet>"#,
    );
    let file = book(data.as_bytes(), &[("xl/sharedStrings.xml", shared.as_bytes())]);
    let id = bring(&world, &admin, &file, Options::default()).await.unwrap();
    let (found, rows) = work_off(&world, &admin, id).await;
    let expected = [
        "2 created",
        "3 created",
        "4 failed amount formula_error",
        "5 failed expected_close_date invalid_date",
    ];
    assert_eq!(words(&rows), expected);
    assert_eq!((&*found.headers[0], found.total_rows), ("opportunity_name", 4));
    let made = opportunities(&world).await;
    let seen = |it: &Opportunity| {
        let close = it.expected_close_date.unwrap().to_string();
        (it.opportunity_name.clone(), it.amount.unwrap().to_string(), close, it.probability)
    };
    let first = ("Rich text".to_owned(), "0.3".to_owned(), "2026-11-28".to_owned(), 30);
    assert_eq!((seen(&made[0]), made[0].notes.as_deref()), (first, Some("true")));
    let second = ("A & A".to_owned(), "9999999999999.99".to_owned(), "2026-12-31".to_owned(), 100);
    assert_eq!((seen(&made[1]), made[1].external_id.as_deref()), (second, Some("8")));

    // The other calendar, whose first day is four years later.
    let rows = texts(1, &["opportunity_name", "customer_name", "waiting_until"])
        + r#"<row r="2"><c t="inlineStr"><is><t>Old</t></is></c><c t="inlineStr"><is><t>X</t></is></c><c s="1"><v>44892</v></c></row>"#;
    let other = workbook(true);
    let file = book(sheet(&rows).as_bytes(), &[("xl/workbook.xml", other.as_bytes())]);
    let id = bring(&world, &admin, &file, Options::default()).await.unwrap();
    let (_, rows) = work_off(&world, &admin, id).await;
    let old = world.find(rows[0].outcome.opportunity_id.unwrap()).await;
    assert_eq!(old.waiting_until, NaiveDate::from_ymd_opt(2026, 11, 28));
    assert_eq!(count(&world, "import_pieces").await, 0, "the workbook is not kept");
}

/// Everything that an opportunity can say, in odd forms.
fn sales() -> Vec<Wish> {
    let odd = [
        "=1+1",
        "'=1",
        "@x",
        "a \"quoted\", one",
        " 系統 👩‍👩‍👧\t",
        "-5",
        "line\r\nbreak",
        "#N/A",
        "_x0041_",
    ];
    let said = |number: usize, text: &str| {
        let line = |name: &str, quantity: &str, cents| LineWish {
            name: name.to_owned(),
            quantity: Some(Number::parse(quantity).unwrap()),
            unit_price: Some(Money::from_hundredths(cents)),
            discount: Some(Number::parse("12.25").unwrap()),
        };
        let own = [
            ("memo", Some(Value::Text(text.to_owned()))),
            ("seats", Some(Value::Number(Number::parse("900719925474099.123456789").unwrap()))),
            ("renewal", Some(Value::Text("2026-02-28".to_owned()))),
            ("region", Some(Value::Text("南區".to_owned()))),
        ];
        Wish {
            opportunity_name: text.to_owned(),
            customer_name: Some(format!("C{text}")),
            contact_name: Some(text.to_owned()),
            contact_email: Some("=a@example.com".to_owned()),
            amount: (number != 2)
                .then(|| Money::from_hundredths(999_999_999_999_999 - number as i128)),
            stage: Some(["proposal", "won", "lost"][number % 3].to_owned()),
            expected_close_date: NaiveDate::from_ymd_opt(2026, 12, 31),
            products: vec![text.trim().to_owned(), "B; C".to_owned()],
            notes: Some(format!(" {text}\n")),
            source: Some(text.to_owned()),
            external_id: Some(format!("{number}{}", text.replace(['\r', '\n'], " "))),
            tags: vec![text.trim().to_owned()],
            lost_reason: (number % 3 == 2).then(|| text.to_owned()),
            line_items: match number % 2 {
                0 => vec![line("授權; \"x\"", "12.3456", 9_999), line(text, "1", 10)],
                _ => Vec::new(),
            },
            custom_fields: own.map(|(key, value)| (key.to_owned(), value)).into(),
            ..wish()
        }
    };
    odd.iter().enumerate().map(|(number, text)| said(number, text)).collect()
}

async fn with_own_fields() -> World {
    let world = World::create("everyone").await;
    let admin = caller(ADMIN, Role::Admin, None);
    let fields = [
        ("memo", Type::Text),
        ("seats", Type::Number),
        ("renewal", Type::Date),
        ("region", Type::Choice),
    ];
    for (key, kind) in fields {
        let choices: &[&str] = if kind == Type::Choice { &["North", "南區"] } else { &[] };
        let new = New {
            key: key.to_owned(),
            name: format!("Our {key}"),
            kind: Some(kind),
            choices: choices.iter().map(|it| (*it).to_owned()).collect(),
            position: None,
        };
        custom_field::create(&world.state, &admin, new, None, meta(ADMIN)).await.unwrap();
    }
    world
}

#[tokio::test]
async fn what_was_taken_out_comes_in_as_it_was_own_fields_and_lines_too() {
    let from = with_own_fields().await;
    let admin = caller(ADMIN, Role::Admin, None);
    for sale in sales() {
        from.make(&admin, sale).await.unwrap();
    }
    for form in [Form::Csv, Form::Xlsx] {
        let to = with_own_fields().await;
        let file = exports::file(&from, &admin, Filter::default(), form).await;
        let id = bring(&to, &admin, &file, Options::default()).await.unwrap();
        let (found, rows) = work_off(&to, &admin, id).await;
        assert_eq!(found.counts.created, 9, "{rows:?}");
        came_as_they_were(&from, &to).await;
        // And where it came from it changes nothing.
        let id = bring(&from, &admin, &file, Options::default()).await.unwrap();
        let (found, rows) = work_off(&from, &admin, id).await;
        assert_eq!(found.counts.skipped, 9, "{rows:?}");
    }
}

/// How much memory this process has had at most.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// How many hundredths of a second of a processor the children of this process have had that have ended, however busy the machine is.
fn children_took() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split_whitespace().skip(13).take(2).map(|it| it.parse::<u64>().unwrap()).sum()
}

/// A workbook whose sheet ends in so many equal bytes, beside a part that cannot be packed.
fn bloated(begin: &str, bytes: u64, ballast: usize) -> Vec<u8> {
    let mut noise = vec![0_u8; ballast];
    let mut state = 1_u32;
    for byte in &mut noise {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = state.to_be_bytes()[0];
    }
    let third = SHEETS.replace("sheet1.xml", "sheet3.xml");
    let more: [(&str, &[u8]); 2] =
        [("xl/media/noise.png", &noise), ("xl/_rels/workbook.xml.rels", third.as_bytes())];
    let small = book(b"", &more);
    let mut zip = ZipWriter::new_append(Cursor::new(small)).unwrap();
    zip.start_file("xl/worksheets/sheet3.xml", SimpleFileOptions::default()).unwrap();
    zip.write_all(begin.as_bytes()).unwrap();
    std::io::copy(&mut std::io::repeat(b'x').take(bytes), &mut zip).unwrap();
    zip.finish().unwrap().into_inner()
}

/// The same zip, with another value in a field of two or four bytes of every header of an entry: `at` in the local one and in the central one.
fn lying(mut zip: Vec<u8>, at: [usize; 2], value: &[u8]) -> Vec<u8> {
    for (mark, at) in [(b"PK\x03\x04", at[0]), (b"PK\x01\x02", at[1])] {
        let places: Vec<_> = zip.windows(4).enumerate().filter(|(_, it)| it == mark).collect();
        let places: Vec<_> = places.into_iter().map(|(place, _)| place).collect();
        for place in places {
            zip[place + at..place + at + value.len()].copy_from_slice(value);
        }
    }
    zip
}

/// Files, and the code with which each is refused.
fn hostile() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let plain = |rows: &str| book(sheet(rows).as_bytes(), &[]);
    let good = plain(&(texts(1, &["opportunity_name", "customer_name"]) + &texts(2, &["A", "B"])));
    let bomb = bloated("", 700 << 20, 0);
    let dense = r#"<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>1</v></c></row>"#;
    let many_rows: String = (0..100_002).map(|_| "<row><c><v>1</v></c></row>").collect();
    let entities = r#"<!DOCTYPE sst [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><si><t>&c;</t></si></sst>"#;
    let boast = r#"<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" uniqueCount="9000000000000000"><si><t>a</t></si></sst>"#;
    let field = r#"<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row><c t="inlineStr"><is><t>"#;
    let names: Vec<_> = (0..100_000).map(|number| format!("{number}.xml")).collect();
    let entries: Vec<(&str, &[u8])> = names.iter().map(|name| (&**name, &b""[..])).collect();
    let mut compound = vec![0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1];
    compound.resize(4_096, 0);
    let macros = TYPES.replace("spreadsheetml.sheet.main", "macroEnabled.main");
    let truncated = good[..good.len() / 2].to_vec();
    vec![
        ("a bomb", bomb.clone(), "too_much_packed"),
        ("a bomb that says it is small", lying(bomb, [22, 24], &[10, 0, 0, 0]), "broken_workbook"),
        ("a field that is larger than the child", bloated(field, 300 << 20, 5 << 20), "too_costly"),
        ("a dense range", plain(dense), "too_many_columns"),
        ("a million columns", plain(&format!("<row>{}</row>", "<c><v>1</v></c>".repeat(1_000_000))), "too_many_columns"),
        ("too many rows", plain(&many_rows), "too_many_rows"),
        ("a long field", book(format!("{field}{}</t></is></c></row></sheetData></worksheet>", "x".repeat(7 << 20)).as_bytes(), &[]), "row_too_long"),
        ("bad UTF-8", book(b"<worksheet><sheetData><row><c t=\"inlineStr\"><is><t>\xff\xfe</t></is></c></row></sheetData></worksheet>", &[]), "broken_workbook"),
        ("too many entries", zip(&entries), "too_much_packed"),
        ("entities", book(sheet(r#"<row><c t="s"><v>0</v></c></row>"#).as_bytes(), &[("xl/sharedStrings.xml", entities.as_bytes())]), "broken_workbook"),
        ("a boast", book(sheet("").as_bytes(), &[("xl/sharedStrings.xml", boast.as_bytes())]), "too_costly"),
        ("a workbook in a zip", zip(&[("book.xlsx", &good)]), "broken_workbook"),
        ("half of one", truncated, "broken_workbook"),
        ("one with a password", compound, "unknown_format"),
        ("a zip with a password", lying(good.clone(), [6, 8], &[1, 0]), "unknown_format"),
        ("macros", book(sheet("").as_bytes(), &[("xl/vbaProject.bin", b"x")]), "has_macros"),
        ("macros by type", book(sheet("").as_bytes(), &[("[Content_Types].xml", macros.as_bytes())]), "has_macros"),
        ("no sheet", book(b"", &[]), "broken_workbook"),
        ("rows that go back", plain(r#"<row r="5"><c r="A5"><v>1</v></c></row><row r="2"><c r="A2"><v>1</v></c></row>"#), "broken_workbook"),
        ("a text that there is not", plain(r#"<row><c t="s"><v>5</v></c></row>"#), "broken_workbook"),
        ("nothing but a header", plain(&texts(1, &["opportunity_name", "customer_name"])), "no_rows"),
        ("nothing", plain(""), "required"),
    ]
}

#[tokio::test]
async fn a_hostile_workbook_is_refused_at_once_and_costs_the_service_nothing() {
    let world = World::create("everyone").await;
    let admin = caller(ADMIN, Role::Admin, None);
    let files = hostile();
    let before = peak();
    for (what, file, code) in &files {
        let begun = children_took();
        let refused = bring(&world, &admin, file, Options::default()).await;
        let took = children_took() - begun;
        let Err(Error::Invalid(fields)) = refused else { panic!("{what}: {refused:?}") };
        assert_eq!((&*fields[0].field, &*fields[0].code), ("file", *code), "{what}");
        assert!(took < 200, "{what}: {took} hundredths of a second");
    }
    assert!(peak() - before < 64 << 20, "{} bytes more", peak() - before);
    work::forget(&world.state, now()).await.unwrap();
    assert_eq!((count(&world, "imports").await, count(&world, "import_pieces").await), (0, 0));
}
