//! What stands in a cell, and how a text stands there so that no program takes it for a formula.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use money::Money;

/// What stands in a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Nothing.
    Empty,
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// An amount.
    Amount(Money),
    /// Any other number, as its digits.
    Number(String),
    /// A day.
    Day(NaiveDate),
    /// An instant.
    Instant(DateTime<Utc>),
    /// Yes or no.
    Flag(bool),
}

impl Cell {
    /// As text, a text guarded; nothing where nothing stands.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Empty => Cow::Borrowed(""),
            Self::Text(text) => guard(text),
            Self::Integer(number) => number.to_string().into(),
            Self::Amount(amount) => amount.to_string().into(),
            Self::Number(digits) => Cow::Borrowed(digits),
            Self::Day(day) => day.to_string().into(),
            Self::Instant(at) => at.to_rfc3339_opts(SecondsFormat::AutoSi, true).into(),
            Self::Flag(true) => Cow::Borrowed("true"),
            Self::Flag(false) => Cow::Borrowed("false"),
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        if text.is_empty() { Self::Empty } else { Self::Text(text.to_owned()) }
    }
}

impl From<&Option<String>> for Cell {
    fn from(text: &Option<String>) -> Self {
        text.as_deref().unwrap_or_default().into()
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<Option<i64>> for Cell {
    fn from(number: Option<i64>) -> Self {
        number.map_or(Self::Empty, Self::Integer)
    }
}

impl From<Option<Money>> for Cell {
    fn from(amount: Option<Money>) -> Self {
        amount.map_or(Self::Empty, Self::Amount)
    }
}

impl From<Option<NaiveDate>> for Cell {
    fn from(day: Option<NaiveDate>) -> Self {
        day.map_or(Self::Empty, Self::Day)
    }
}

impl From<&[String]> for Cell {
    fn from(names: &[String]) -> Self {
        join(names).as_str().into()
    }
}

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
    text.starts_with(['=', '+', '-', '@', '\t', '\r']) || is_error(text)
}

/// A text as it stands in a file: one that looks like a formula after an apostrophe.
pub fn guard(text: &str) -> Cow<'_, str> {
    if looks_like_a_formula(text) { format!("'{text}").into() } else { text.into() }
}

/// A text as it was before it was guarded.
pub fn unguard(text: &str) -> &str {
    text.strip_prefix('\'').filter(|rest| looks_like_a_formula(rest)).unwrap_or(text)
}

/// Names in one cell, with semicolons between them; one with a semicolon in it, or that begins with a quotation mark, in quotation marks.
pub fn join(names: &[String]) -> String {
    let name = |name: &String| {
        if name.contains(';') || name.starts_with('"') {
            format!("\"{}\"", name.replace('"', "\"\""))
        } else {
            name.clone()
        }
    };
    names.iter().map(name).collect::<Vec<_>>().join("; ")
}

/// The names in a cell; blank ones are none.
pub fn split(cell: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = cell.trim();
    while !rest.is_empty() {
        let (name, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => match rest.split_once(';') {
                Some((name, after)) => (name.to_owned(), after),
                None => (rest.to_owned(), ""),
            },
        };
        let name = name.trim();
        if !name.is_empty() {
            names.push(name.to_owned());
        }
        rest = after.trim_start();
    }
    names
}

/// A name up to its closing quotation mark, and what comes after the next semicolon.
fn unquote(quoted: &str) -> (String, &str) {
    let mut name = String::new();
    let mut rest = quoted;
    while let Some((part, after)) = rest.split_once('"') {
        name.push_str(part);
        let Some(after) = after.strip_prefix('"') else {
            return (name, after.split_once(';').map_or("", |(_, after)| after));
        };
        name.push('"');
        rest = after;
    }
    name.push_str(rest);
    (name, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
    fn names_are_set_apart_by_semicolons() {
        assert_eq!(split(" A;B ;; C "), ["A", "B", "C"]);
        assert_eq!(split("\"A; B\"; \"\"\"C\"\"\""), ["A; B", "\"C\""]);
        assert_eq!(split("\"open; to the end"), ["open; to the end"]);
    }

    proptest! {
        #[test]
        fn names_come_back(names in prop::collection::vec("['=;\", a系]{0,5}", 0..5)) {
            let names: Vec<_> = names.iter().map(|it| it.trim()).filter(|it| !it.is_empty()).map(str::to_owned).collect();
            let cell = join(&names);
            let cell = guard(&cell);
            prop_assert_eq!(split(unguard(&cell)), names);
        }
    }
}
