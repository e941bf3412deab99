//! Why a body or a query string is no request: for a caller, field by field.

use std::fmt;

use serde_json::error::Category;

/// What is wrong with a field, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The request has no such field.
    UnknownField,
    /// The request has no such query parameter.
    UnknownParameter,
    /// A value of another type is wanted.
    WrongType,
    /// No day as `YYYY-MM-DD`.
    InvalidDate,
    /// No instant as RFC 3339 has it.
    InvalidTimestamp,
    /// A character that no text may hold.
    InvalidCharacter,
    /// An amount with more than two decimals, a number with more than nine, or a rate with more than ten.
    TooManyDecimals,
    /// A number that its type cannot hold.
    OutOfRange,
    /// None of the values that are defined.
    UnknownValue,
    /// Named twice.
    DuplicateField,
}

impl Code {
    const ALL: [Self; 10] = [
        Self::UnknownField,
        Self::UnknownParameter,
        Self::WrongType,
        Self::InvalidDate,
        Self::InvalidTimestamp,
        Self::InvalidCharacter,
        Self::TooManyDecimals,
        Self::OutOfRange,
        Self::UnknownValue,
        Self::DuplicateField,
    ];

    /// As it is answered, `wrong_type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownField => "unknown_field",
            Self::UnknownParameter => "unknown_parameter",
            Self::WrongType => "wrong_type",
            Self::InvalidDate => "invalid_date",
            Self::InvalidTimestamp => "invalid_timestamp",
            Self::InvalidCharacter => "invalid_character",
            Self::TooManyDecimals => "too_many_decimals",
            Self::OutOfRange => "out_of_range",
            Self::UnknownValue => "unknown_value",
            Self::DuplicateField => "duplicate_field",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One bad field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Its path, `address.zip` or `tags[1]`; empty for the whole body.
    pub field: String,
    /// For programs.
    pub code: Code,
    /// For people, in English.
    pub message: String,
}

/// Why something is no request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It cannot be parsed at all; says why.
    Malformed(String),
    /// It can be parsed, and these fields are wrong.
    Invalid(Vec<FieldError>),
}

impl Refusal {
    /// The bad fields, where each is a value of the right type that its type cannot hold or does not know: whoever has the rules can tell what else is bad.
    pub fn values(&self) -> Option<&[FieldError]> {
        let is_value = |it: &FieldError| {
            matches!(
                it.code,
                Code::InvalidDate | Code::TooManyDecimals | Code::OutOfRange | Code::UnknownValue
            )
        };
        match self {
            Self::Invalid(errors) if errors.iter().all(is_value) => Some(errors),
            _ => None,
        }
    }
}

/// The text by which a type says what is wrong with a value, to be found again in serde's error.
pub(crate) fn fault(code: Code, message: &str) -> String {
    format!("{code}: {message}")
}

/// The longest field path that is repeated to the caller, in characters.
const LONGEST_PATH: usize = 100;

impl FieldError {
    pub(crate) fn new(field: &str, code: Code, message: impl Into<String>) -> Self {
        let field = match field.char_indices().nth(LONGEST_PATH) {
            Some((end, _)) => format!("{}…", &field[..end]),
            None => field.to_owned(),
        };
        Self { field, code, message: message.into() }
    }
}

/// What serde says of a field, in our codes and in words for people; `Err` where the text is not JSON.
pub(crate) fn explain(path: &str, error: &serde_json::Error) -> Result<FieldError, String> {
    let path = if path == "." { "" } else { path };
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = text.strip_suffix(&place).unwrap_or(&text);
    let found = |code, message: String| Ok(FieldError::new(path, code, message));
    if text == "number out of range" {
        return found(Code::OutOfRange, "is too large a number".into());
    }
    if error.classify() != Category::Data {
        return Err(format!("{text}{place}"));
    }
    for code in Code::ALL {
        if let Some(message) = text.strip_prefix(code.as_str()).and_then(|t| t.strip_prefix(": ")) {
            return found(code, message.to_owned());
        }
    }
    if let Some((value, wanted)) = expectation(text, "invalid type: ") {
        return found(Code::WrongType, format!("must be {wanted}, not {value}"));
    }
    if let Some((_, wanted)) = expectation(text, "invalid value: ") {
        return found(Code::OutOfRange, format!("must be {wanted}"));
    }
    if text.starts_with("unknown variant ") {
        // What follows the last "expected" is ours; the rest may be the caller's.
        let choice = text.rsplit_once("expected ").map_or("a known value", |(_, choice)| choice);
        return found(Code::UnknownValue, format!("must be {choice}"));
    }
    if text.starts_with("unknown field ") {
        return found(Code::UnknownField, "there is no such field".into());
    }
    if text.starts_with("duplicate field ") {
        return found(Code::DuplicateField, "is named twice".into());
    }
    found(Code::WrongType, "is not what is wanted here".into())
}

/// `integer `1`, expected a string` → (`the number 1`, `a text`).
fn expectation(text: &str, prefix: &str) -> Option<(String, String)> {
    let (value, wanted) = text.strip_prefix(prefix)?.rsplit_once(", expected ")?;
    let number = value.strip_prefix("integer ").or_else(|| value.strip_prefix("floating point "));
    let value = match (number, value.split([' ', '`']).next()) {
        (Some(number), _) => format!("the number {}", number.trim_matches('`')),
        (_, Some("boolean")) => value.trim_start_matches("boolean ").trim_matches('`').to_owned(),
        (_, Some("string")) => "a text".into(),
        (_, Some("sequence")) => "a list".into(),
        (_, Some("map")) => "an object".into(),
        _ => "null".into(),
    };
    let wanted = match wanted {
        "i32" => "a whole number from -2147483648 to 2147483647".into(),
        "u32" => "a whole number from 0 to 4294967295".into(),
        "i64" => "a whole number".into(),
        "u64" => "a whole number of 0 or more".into(),
        "f64" | "f32" => "a number".into(),
        "a boolean" => "true or false".into(),
        "a string" | "a text" => "a text".into(),
        "a sequence" => "a list".into(),
        _ if wanted.starts_with("struct ") || wanted.contains("map") => "an object".into(),
        other => other.to_owned(),
    };
    Some((value, wanted))
}
