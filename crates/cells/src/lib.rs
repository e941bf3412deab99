//! How texts stand in the cells of files: guarded, so that no program takes one for a formula, and as comma-separated values (RFC 4180).

use std::borrow::Cow;

/// By which Excel knows that a file is UTF-8; without it Chinese is unreadable there.
pub const BYTE_ORDER_MARK: &str = "\u{feff}";

/// What formulas begin with, or what comes before them and is skipped; full-width, too, which some programs take for the same where Chinese or Japanese is written.
const BEGINNINGS: [char; 12] =
    ['=', '+', '-', '@', '\t', '\r', '\n', '\0', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];

/// What a spreadsheet shows for a formula that has no value.
const ERRORS: [&str; 11] = [
    "#DIV/0!",
    "#N/A",
    "#NAME?",
    "#NULL!",
    "#NUM!",
    "#REF!",
    "#VALUE!",
    "#DATA!",
    "#GETTING_DATA",
    "#SPILL!",
    "#CALC!",
];

/// Whether a text is what a spreadsheet shows for a formula that has no value.
pub fn is_error(text: &str) -> bool {
    ERRORS.contains(&text.trim())
}

/// A text that a program which opens the file would compute with, or one that would be read back as such a text, or as that of a formula without a value.
fn looks_like_a_formula(text: &str) -> bool {
    let text = text.trim_start_matches('\'');
    text.starts_with(BEGINNINGS) || is_error(text)
}

/// A text as it stands in a file: one that looks like a formula after an apostrophe.
pub fn guard(text: &str) -> Cow<'_, str> {
    if looks_like_a_formula(text) { format!("'{text}").into() } else { text.into() }
}

/// A text as it was before it was guarded.
pub fn unguard(text: &str) -> &str {
    text.strip_prefix('\'').filter(|rest| looks_like_a_formula(rest)).unwrap_or(text)
}

/// Writes one more line of comma-separated values; texts are guarded before.
pub fn write_line<T: AsRef<str>>(out: &mut String, cells: impl IntoIterator<Item = T>) {
    for (index, cell) in cells.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        quote(out, cell.as_ref());
    }
    out.push_str("\r\n");
}

/// A field in quotation marks where it needs them; space at its ends, which some readers take away, does.
fn quote(out: &mut String, field: &str) {
    if field.contains([',', '"', '\r', '\n']) || field.trim() != field {
        out.push('"');
        out.push_str(&field.replace('"', "\"\""));
        out.push('"');
    } else {
        out.push_str(field);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_a_formula_and_every_one_comes_back() {
        for (text, guarded) in [
            ("=1+1", "'=1+1"),
            ("+886", "'+886"),
            ("-", "'-"),
            ("@x", "'@x"),
            ("\tx", "'\tx"),
            ("\rx", "'\rx"),
            ("\n=x", "'\n=x"),
            ("\0=x", "'\0=x"),
            ("＝1+1", "'＝1+1"),
            ("＋886", "'＋886"),
            ("－", "'－"),
            ("＠x", "'＠x"),
            ("'=1", "''=1"),
            ("'quoted'", "'quoted'"),
            ("a=1", "a=1"),
            ("#N/A", "'#N/A"),
            ("#1", "#1"),
            ("", ""),
        ] {
            assert_eq!(guard(text), guarded);
            assert_eq!(unguard(guarded), text);
        }
    }

    #[test]
    fn fields_are_quoted_where_they_need_it() {
        let mut out = String::new();
        write_line(&mut out, ["x,y", "say \"hi\"\nthere", " x", "系統", "", "-5"]);
        assert_eq!(out, "\"x,y\",\"say \"\"hi\"\"\nthere\",\" x\",系統,,-5\r\n");
    }
}
