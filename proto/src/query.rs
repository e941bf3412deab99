//! Requests in a query string: a flat JSON object written another way, read by the same rules.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::{Code, FieldError, Refusal, json};

/// A request that a query string can hold; `build.rs` says of which parameters.
pub trait Query: DeserializeOwned {
    /// What it may name.
    const FIELDS: &'static [Parameter];
}

/// A parameter of a query string.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// As in the query string.
    pub name: &'static str,
    /// Whether it may be named more than once.
    pub repeated: bool,
    /// How its value looks in JSON.
    pub form: Form,
}

/// How a value looks in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// In quotes.
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Bool,
}

/// Reads a request from a query string, without its `?`. Where that fails, every bad parameter is named.
pub fn decode<T: Query>(query: &str) -> Result<T, Refusal> {
    let (body, mut errors) = body::<T>(query)?;
    match json::decode(body.as_bytes()) {
        Ok(request) if errors.is_empty() => Ok(request),
        Ok(_) => Err(Refusal::Invalid(errors)),
        Err(Refusal::Invalid(others)) => {
            errors.extend(others);
            Err(Refusal::Invalid(errors))
        }
        Err(malformed) => Err(malformed),
    }
}

/// The same of a query string of which [`decode`] said that values are bad, as [`json::decode_anyway`] does it.
pub fn decode_anyway<T: Query>(query: &str) -> Option<T> {
    let (body, errors) = body::<T>(query).ok()?;
    if errors.is_empty() { json::decode_anyway(body.as_bytes()) } else { None }
}

/// What a query string says as a JSON object, and which parameters there are none of, or named twice.
fn body<T: Query>(query: &str) -> Result<(String, Vec<FieldError>), Refusal> {
    let mut errors = Vec::new();
    let mut given = BTreeMap::<&str, (Parameter, Vec<String>)>::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (plain(name)?, plain(value)?);
        if errors.len() == json::MOST_ERRORS {
            break;
        }
        let Some(field) = T::FIELDS.iter().find(|field| field.name == name) else {
            errors.push(FieldError::new(
                &name,
                Code::UnknownParameter,
                "there is no such parameter",
            ));
            continue;
        };
        let (_, values) = given.entry(field.name).or_insert((*field, Vec::new()));
        if !values.is_empty() && !field.repeated {
            errors.push(FieldError::new(&name, Code::DuplicateField, "is named twice"));
        } else {
            values.push(literal(field.form, value));
        }
    }
    let members = given.into_iter().map(|(name, (field, values))| {
        let values = values.join(",");
        if field.repeated {
            format!("\"{name}\":[{values}]")
        } else {
            format!("\"{name}\":{values}")
        }
    });
    let body = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
    Ok((body, errors))
}

/// The names that a query string gives, each once; at most as many as errors are named.
pub fn names(query: &str) -> Result<BTreeSet<String>, Refusal> {
    let names = query.split('&').filter(|pair| !pair.is_empty());
    names
        .map(|pair| plain(pair.split('=').next().unwrap_or(pair)))
        .take(json::MOST_ERRORS)
        .collect()
}

fn plain(text: &str) -> Result<String, Refusal> {
    let text = text.replace('+', " ");
    let decoded = percent_decode_str(&text).decode_utf8();
    let decoded = decoded.map_err(|_| Refusal::Malformed("the query is not UTF-8".into()))?;
    Ok(decoded.into_owned())
}

/// The value as JSON. One that does not look as its parameter should becomes a text, and is refused as one.
fn literal(form: Form, value: String) -> String {
    let number = || serde_json::from_str::<&RawValue>(&value).is_ok_and(|raw| raw.get() == value);
    let bare = match form {
        Form::Text => false,
        Form::Number => value.starts_with(|c: char| c == '-' || c.is_ascii_digit()) && number(),
        Form::Bool => matches!(value.as_str(), "true" | "false"),
    };
    if bare { value } else { Value::from(value).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::opportunities::v1::{ListOpportunitiesRequest, Status};
    use crate::{Date, Decimal};

    fn codes(query: &str) -> Vec<(String, &'static str)> {
        match decode::<ListOpportunitiesRequest>(query) {
            Err(Refusal::Invalid(errors)) => {
                errors.into_iter().map(|error| (error.field, error.code.as_str())).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_query_string_becomes_the_request() {
        let query = "stage=%E9%9C%80%E6%B1%82%E7%A2%BA%E8%AA%8D&stage=a+b&status=won&min_amount=0.10&limit=10\
            &closed_from=2025-10-01&include_total=true&product=1&";
        let expected = ListOpportunitiesRequest {
            stage: vec!["需求確認".into(), "a b".into()],
            status: vec![Status::Won.into()],
            min_amount: Some(Decimal::from_hundredths(10)),
            limit: Some(10),
            closed_from: Some(Date { year: 2025, month: 10, day: 1 }),
            include_total: Some(true),
            product: Some("1".into()),
            ..Default::default()
        };
        assert_eq!(decode(query), Ok(expected));
        assert_eq!(decode(""), Ok(ListOpportunitiesRequest::default()));
    }

    #[test]
    fn every_bad_parameter_is_named_with_its_code() {
        let query = "colour=red&limit=ten&status=king&owner_id=1&owner_id=2&min_amount=0.101&closed_to=soon\
            &include_total=yes&tag=%00&team_id=&pipeline_id=null&customer_id=5000000000000000000000";
        let mut found = codes(query);
        found.sort();
        assert_eq!(
            found,
            [
                ("closed_to", "invalid_date"),
                ("colour", "unknown_parameter"),
                ("customer_id", "wrong_type"),
                ("include_total", "wrong_type"),
                ("limit", "wrong_type"),
                ("min_amount", "too_many_decimals"),
                ("owner_id", "duplicate_field"),
                ("pipeline_id", "wrong_type"),
                ("status[0]", "unknown_value"),
                ("tag", "invalid_character"),
                ("team_id", "wrong_type"),
            ]
            .map(|(field, code)| (field.to_owned(), code))
        );
    }

    #[test]
    fn a_number_is_written_as_json_writes_it() {
        for limit in ["", "+5", "05", "0x5", "5+", "1_000", "Infinity", "true", "5,6", "[5]", "5.0"]
        {
            assert_eq!(
                codes(&format!("limit={limit}")),
                [("limit".into(), "wrong_type")],
                "{limit}"
            );
        }
    }

    #[test]
    fn a_query_that_is_no_text_is_malformed() {
        let result = decode::<ListOpportunitiesRequest>("tag=%ff");
        assert!(matches!(result, Err(Refusal::Malformed(_))));
    }

    #[test]
    fn a_value_cannot_leave_its_parameter() {
        let request: ListOpportunitiesRequest = decode("tag=%22,%22limit%22:1,%22").unwrap();
        assert_eq!(request.tag.as_deref(), Some("\",\"limit\":1,\""));
        assert_eq!(codes("limit=1,%22order%22:%22asc%22"), [("limit".into(), "wrong_type")]);
    }
}
