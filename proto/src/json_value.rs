//! A JSON value in a message, whatever it is.

use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// `salespipeline.type.v1.JsonValue`: any JSON value; in JSON that value, to the letter.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct JsonValue {
    /// As JSON text; empty means null.
    #[prost(string, tag = "1")]
    pub text: String,
}

impl Serialize for JsonValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = if self.text.is_empty() { "null" } else { &self.text };
        serde_json::from_str::<&RawValue>(text).map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl PartialSchema for JsonValue {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::AnyValue)
            .description(Some("Any JSON value."))
            .into()
    }
}

impl ToSchema for JsonValue {}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Result<String, serde_json::Error> {
        serde_json::to_string(&[JsonValue { text: text.to_owned() }])
    }

    #[test]
    fn a_value_is_answered_to_the_letter() {
        for text in ["null", "0.10", "9999999999999.99", "\"a\\u00e9\"", r#"{"b":1,"a":[true]}"#] {
            assert_eq!(answer(text).unwrap(), format!("[{text}]"));
        }
        assert_eq!(answer("").unwrap(), "[null]");
    }

    #[test]
    fn a_text_that_is_no_json_has_no_answer() {
        for text in ["nothing", "1 2", "{", "\"a"] {
            assert!(answer(text).is_err(), "{text}");
        }
    }
}
