//! What stands in a cell, and how a text stands there so that no program takes it for a formula.

use std::borrow::Cow;

pub use cells::{guard, is_error, unguard};
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
