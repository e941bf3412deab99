//! Columns of an organisation's own fields: `custom_fields.` and the field's key.

use chrono::NaiveDate;
use money::Number;
use rpc::Invalid;

use super::cell::Cell;
use super::column::{COLUMNS, Entry, date, loose, plain};
use crate::custom_field::model::{CustomField, CustomFields, Type, Value, Values};

/// How the header of such a column begins.
const BEGINS: &str = "custom_fields.";

/// The header of a field's column.
pub fn header(key: &str) -> String {
    format!("{BEGINS}{key}")
}

/// The key of the field whose column has that header, whether there is such a field or not.
pub fn key(header: &str) -> Option<&str> {
    header.strip_prefix(BEGINS)
}

/// The field whose own header it is.
pub fn keyed<'a>(header: &str, fields: &'a CustomFields) -> Option<&'a CustomField> {
    let header = loose(header);
    fields.living().find(|it| loose(&self::header(&it.key)) == header)
}

/// The field that is called so; what a file has of every opportunity is called so first.
pub fn called<'a>(header: &str, fields: &'a CustomFields) -> Option<&'a CustomField> {
    let header = loose(header);
    if COLUMNS.iter().any(|column| loose(column.name) == header) {
        return None;
    }
    fields.living().find(|it| loose(&it.name) == header || loose(&it.key) == header)
}

/// What an opportunity says in a field, as a cell.
pub fn cell(values: &Values, key: &str, kind: Type) -> Cell {
    match values.get(key) {
        None => Cell::Empty,
        Some(Value::Number(number)) => Cell::Number(number.to_string()),
        Some(Value::Text(text)) => {
            let day = NaiveDate::parse_from_str(text, "%Y-%m-%d");
            match day {
                Ok(day) if kind == Type::Date => Cell::Day(day),
                _ => text.as_str().into(),
            }
        }
    }
}

/// Notes what a cell says in a field. One of a field that is gone is noted as it stands there.
pub fn write(entry: &mut Entry, invalid: &mut Invalid, key: &str, kind: Option<Type>, text: &str) {
    let field = header(key);
    let value = match kind {
        Some(Type::Number) => {
            let number = plain(text).and_then(|text| Number::parse(&text).ok());
            if number.is_none() {
                invalid.add(field, "wrong_type", "is not a number of up to nine decimals");
            }
            number.map(Value::Number)
        }
        Some(Type::Date) => date(invalid, &field, text).map(|day| Value::Text(day.to_string())),
        Some(Type::Text | Type::Choice) | None => Some(Value::Text(text.to_owned())),
    };
    if let Some(value) = value {
        entry.wish.custom_fields.insert(key.to_owned(), Some(value));
    }
}
