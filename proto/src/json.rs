//! Requests in JSON, read with every bad field named.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::error::explain;
use crate::{Code, FieldError, Refusal};

/// The most bad fields that are named at once.
pub(crate) const MOST_ERRORS: usize = 100;

/// Reads a request from a JSON body. Where that fails, every bad field at the top of the body is named, each with
/// the first thing that is wrong inside it.
pub fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let text = std::str::from_utf8(body)
        .map_err(|_| Refusal::Malformed("the body is not UTF-8".into()))?;
    // A struct would be read from a list, too.
    if text.trim_start().starts_with('{') {
        one(text).map_err(|first| all::<T>(text, first))
    } else {
        well_formed(text)?;
        let error = FieldError::new("", Code::WrongType, "the body must be an object");
        Err(Refusal::Invalid(vec![error]))
    }
}

thread_local! {
    static ANYWAY: Cell<bool> = const { Cell::new(false) };
}

/// Whether a value that its type cannot hold is read as one that nobody takes.
pub(crate) fn anyway() -> bool {
    ANYWAY.get()
}

/// Reads a request of which [`decode`] said that values are bad, so that the service can tell what else is: each bad amount becomes one larger than any, each bad
/// day one that is in no calendar, each unknown name one that nobody defines. Nothing where more than values is bad.
pub fn decode_anyway<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    struct Reset;
    impl Drop for Reset {
        fn drop(&mut self) {
            ANYWAY.set(false);
        }
    }
    let text = std::str::from_utf8(body).ok()?;
    ANYWAY.set(true);
    let _reset = Reset;
    one(text).ok()
}

fn well_formed(text: &str) -> Result<(), Refusal> {
    let malformed = |error: serde_json::Error| Refusal::Malformed(format!("not JSON: {error}"));
    serde_json::from_str::<IgnoredAny>(text).map(|_| ()).map_err(malformed)
}

fn one<T: DeserializeOwned>(text: &str) -> Result<T, Result<FieldError, String>> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| explain(&error.path().to_string(), error.inner()))?;
    reader.end().map_err(|error| explain("", &error))?;
    Ok(value)
}

/// Reads each member of the body alone: that works because every field has a default.
fn all<T: DeserializeOwned>(text: &str, first: Result<FieldError, String>) -> Refusal {
    if let Err(refusal) = well_formed(text) {
        return refusal;
    }
    let members = match serde_json::from_str::<Members<'_>>(text) {
        Ok(Members(members)) => members,
        Err(error) => return Refusal::Malformed(format!("not JSON: {error}")),
    };
    let mut seen = BTreeSet::new();
    let mut errors = Vec::new();
    for (name, value) in &members {
        if errors.len() == MOST_ERRORS {
            break;
        }
        if !seen.insert(name) {
            errors.push(FieldError::new(name, Code::DuplicateField, "is named twice"));
            continue;
        }
        let quoted = serde_json::Value::from(name.as_str());
        match one::<T>(&format!("{{{quoted}:{value}}}")) {
            Ok(_) => {}
            Err(Ok(error)) => errors.push(error),
            Err(Err(reason)) => return Refusal::Malformed(format!("not JSON: {reason}")),
        }
    }
    match first {
        Ok(first) if errors.is_empty() => Refusal::Invalid(vec![first]),
        Err(reason) if errors.is_empty() => Refusal::Malformed(format!("not JSON: {reason}")),
        _ => Refusal::Invalid(errors),
    }
}

/// The members of an object in their order, doubled ones too.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Vec<(String, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Collect).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::identity::v1::{CreateApiKeyRequest, CreateUserRequest, Role, User};
    use crate::opportunities::v1::{
        CreateOpportunityRequest, HistoricalOpportunity, ImportHistoryRequest, Opportunity, Status,
    };
    use crate::{Date, Decimal};

    fn errors<T: DeserializeOwned + fmt::Debug>(body: &str) -> Vec<(String, &'static str, String)> {
        match decode::<T>(body.as_bytes()) {
            Err(Refusal::Invalid(errors)) => {
                errors.into_iter().map(|e| (e.field, e.code.as_str(), e.message)).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    fn codes<T: DeserializeOwned + fmt::Debug>(body: &str) -> Vec<(String, &'static str)> {
        errors::<T>(body).into_iter().map(|(field, code, _)| (field, code)).collect()
    }

    #[test]
    fn a_body_becomes_the_message() {
        let body = r#"{"opportunity_name":"軟體授權採購","amount":0.10,"expected_close_date":"2026-12-31",
            "customer_id":null,"owner_id":9007199254740993,"products":["A","B"]}"#;
        let request: CreateOpportunityRequest = decode(body.as_bytes()).unwrap();
        let expected = CreateOpportunityRequest {
            opportunity_name: "軟體授權採購".into(),
            amount: Some(Decimal::from_hundredths(10)),
            expected_close_date: Some(Date { year: 2026, month: 12, day: 31 }),
            owner_id: Some(9_007_199_254_740_993),
            products: vec!["A".into(), "B".into()],
            ..Default::default()
        };
        assert_eq!(request, expected);
    }

    #[test]
    fn every_bad_field_of_a_body_is_named_with_its_code() {
        let body = r#"{"opportunity_name":5,"amount":0.101,"currency":null,"probability":4000000000,"notes":"a\u0000b",
            "expected_close_date":"2025-02-30","waiting_until":7,"products":["A",1],"owner_id":1.5,"colour":"red",
            "tags":"x","source":"a","source":"b","customer_id":1e400,"pipeline_id":"1"}"#;
        assert_eq!(
            codes::<CreateOpportunityRequest>(body),
            [
                ("opportunity_name", "wrong_type"),
                ("amount", "too_many_decimals"),
                ("probability", "out_of_range"),
                ("notes", "invalid_character"),
                ("expected_close_date", "invalid_date"),
                ("waiting_until", "wrong_type"),
                ("products[1]", "wrong_type"),
                ("owner_id", "wrong_type"),
                ("colour", "unknown_field"),
                ("tags", "wrong_type"),
                ("source", "duplicate_field"),
                ("customer_id", "out_of_range"),
                ("pipeline_id", "wrong_type"),
            ]
            .map(|(field, code)| (field.to_owned(), code))
        );
    }

    #[test]
    fn bad_values_are_read_as_what_nobody_takes_and_nothing_else_is_read_anyway() {
        let body = r#"{"opportunity_name":"","amount":0.001,"expected_close_date":"2026-02-30","forecast_category":"x"}"#;
        let request: CreateOpportunityRequest = decode_anyway(body.as_bytes()).unwrap();
        assert!(request.amount.unwrap().hundredths() > 10_i128.pow(20));
        assert_eq!(request.expected_close_date, Some(Date { year: 0, month: 0, day: 0 }));
        assert_eq!(request.forecast_category, Some(i32::MAX));
        for body in [
            r#"{"amount":"1"}"#,
            r#"{"colour":1}"#,
            r#"{"source":"a","source":"b"}"#,
            r#"{"probability":4000000000}"#,
            r#"{"notes":"\u0000"}"#,
            "{",
        ] {
            assert!(decode_anyway::<CreateOpportunityRequest>(body.as_bytes()).is_none(), "{body}");
        }
        assert!(decode::<CreateOpportunityRequest>(body.as_bytes()).is_err(), "as before");
    }

    #[test]
    fn a_bad_field_is_described_in_plain_words() {
        for (body, message) in [
            (r#"{"opportunity_name":5}"#, "must be a text, not the number 5"),
            (r#"{"opportunity_name":null}"#, "must be a text, not null"),
            (r#"{"opportunity_name":{}}"#, "must be a text, not an object"),
            (r#"{"owner_id":"a, expected b"}"#, "must be a whole number, not a text"),
            (r#"{"owner_id":true}"#, "must be a whole number, not true"),
            (r#"{"amount":"1"}"#, "must be a number, not a text"),
            (r#"{"amount":1e30}"#, "is too large a number"),
            (r#"{"tags":{"a":1}}"#, "must be a list, not an object"),
            (
                r#"{"probability":4000000000}"#,
                "must be a whole number from -2147483648 to 2147483647",
            ),
        ] {
            assert_eq!(errors::<CreateOpportunityRequest>(body)[0].2, message, "{body}");
        }
        let role = &errors::<CreateUserRequest>(r#"{"role":"king"}"#)[0];
        assert_eq!(role.1, "unknown_value");
        assert_eq!(role.2, "must be one of `admin`, `manager`, `rep`, `viewer`");
    }

    #[test]
    fn an_enum_is_a_lower_case_name_and_nothing_else() {
        let request: CreateUserRequest = decode(br#"{"role":"rep"}"#).unwrap();
        assert_eq!(request.role(), Role::Rep);
        for (value, code) in [
            ("\"unspecified\"", "unknown_value"),
            ("\"ROLE_REP\"", "unknown_value"),
            ("3", "wrong_type"),
            ("{\"rep\":null}", "wrong_type"),
            ("[\"rep\"]", "wrong_type"),
        ] {
            let body = format!("{{\"role\":{value}}}");
            assert_eq!(codes::<CreateUserRequest>(&body), [("role".to_owned(), code)]);
        }
    }

    #[test]
    fn a_list_that_must_not_be_empty_may_be_left_out() {
        for body in ["{}", r#"{"scopes":["read"]}"#] {
            assert!(decode::<CreateApiKeyRequest>(body.as_bytes()).is_ok(), "{body}");
        }
        for (value, field, code) in [
            ("[]", "scopes", "out_of_range"),
            ("null", "scopes", "wrong_type"),
            ("[\"read\",\"all\"]", "scopes[1]", "unknown_value"),
        ] {
            let body = format!("{{\"scopes\":{value}}}");
            assert_eq!(codes::<CreateApiKeyRequest>(&body), [(field.to_owned(), code)]);
        }
    }

    #[test]
    fn errors_inside_objects_have_their_whole_path() {
        let body = r#"{"opportunities":[{},{"opportunity":{"amount":0.001}}],"seed":1}"#;
        assert_eq!(
            codes::<ImportHistoryRequest>(body),
            [
                ("opportunities[1].opportunity.amount".to_owned(), "too_many_decimals"),
                ("seed".to_owned(), "wrong_type"),
            ]
        );
        let body = r#"{"opportunity":{"colour":1}}"#;
        assert_eq!(
            codes::<HistoricalOpportunity>(body),
            [("opportunity.colour".to_owned(), "unknown_field")]
        );
        for body in [r#"{"opportunity":[]}"#, r#"{"opportunity":null}"#, r#"{"moves":[[]]}"#] {
            assert_eq!(errors::<HistoricalOpportunity>(body)[0].1, "wrong_type", "{body}");
        }
    }

    #[test]
    fn a_body_that_is_no_json_is_malformed() {
        for body in [
            &b""[..],
            b" ",
            b"{",
            b"{\"seed\":}",
            b"{} {}",
            b"{\"seed\":01}",
            b"{'seed':1}",
            b"\xEF\xBB\xBF{}",
            b"{\"seed\":\"\xFF\"}",
            b"{\"opportunity_name\":\"\\ud800\"}",
            b"{\"opportunity_name\":\"\x00\"}",
            b"[",
        ] {
            let result = decode::<CreateOpportunityRequest>(body);
            assert!(matches!(result, Err(Refusal::Malformed(_))), "{body:?}: {result:?}");
        }
    }

    #[test]
    fn a_body_that_is_no_object_is_of_the_wrong_type() {
        for body in ["[]", "1", "\"a\"", "null", "true", "[[[[]]]]"] {
            assert_eq!(codes::<CreateOpportunityRequest>(body), [(String::new(), "wrong_type")]);
        }
    }

    #[test]
    fn a_hostile_body_gives_a_short_answer() {
        let many: Vec<_> = (0..10_000).map(|n| format!("\"{n}\":1")).collect();
        let body = format!("{{{}}}", many.join(","));
        assert_eq!(errors::<CreateOpportunityRequest>(&body).len(), MOST_ERRORS);
        let long = format!("{{\"{}\":\"{}\"}}", "名".repeat(10_000), "x".repeat(10_000));
        let error = &errors::<CreateOpportunityRequest>(&long)[0];
        assert!(error.0.len() + error.2.len() < 500);
        let deep = format!("{{\"tags\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(codes::<CreateOpportunityRequest>(&deep), [("tags[0]".into(), "wrong_type")]);
    }

    #[test]
    fn hidden_fields_are_no_part_of_a_body() {
        use crate::opportunities::v1::ChangeOpportunityStageRequest;
        assert_eq!(
            codes::<ChangeOpportunityStageRequest>(r#"{"id":1,"stage":"won"}"#),
            [("id".to_owned(), "unknown_field")]
        );
    }

    #[test]
    fn an_answer_names_every_field_and_null_for_what_is_absent() {
        let opportunity = Opportunity {
            status: Status::Open.into(),
            amount: Some(Decimal::from_hundredths(250_000_000)),
            created_at: Some(crate::Timestamp { seconds: 0, nanos: 0 }),
            updated_at: Some(crate::Timestamp { seconds: 0, nanos: 500_000_000 }),
            ..Default::default()
        };
        let text = serde_json::to_string(&opportunity).unwrap();
        assert!(text.contains(r#""status":"open","amount":2500000,"currency":"""#), "{text}");
        let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(answer["team_id"], json!(null));
        assert_eq!(answer["tags"], json!([]));
        assert_eq!(answer["created_at"], json!("1970-01-01T00:00:00Z"));
        assert_eq!(answer["updated_at"], json!("1970-01-01T00:00:00.5Z"));
        assert_eq!(answer.as_object().unwrap().len(), 39);
    }

    #[test]
    fn an_enum_value_that_this_build_does_not_know_is_null() {
        for role in [0, 99] {
            let user = User { role, ..Default::default() };
            assert_eq!(serde_json::to_value(&user).unwrap()["role"], json!(null));
        }
    }
}
