//! What an opportunity says in fields of the organisation's own: in JSON an object of texts, numbers and nulls, every number exact.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::openapi::schema::{AnyOfBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::error::fault;
use crate::field::Text;
use crate::{Code, Number};

/// `salespipeline.type.v1.CustomValues`: values by key.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct CustomValues {
    /// The values.
    #[prost(btree_map = "string, message", tag = "1")]
    pub values: BTreeMap<String, CustomValue>,
}

/// `salespipeline.type.v1.CustomValue`: a text, a number, or nothing.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct CustomValue {
    /// Nothing means null.
    #[prost(oneof = "CustomKind", tags = "1, 2")]
    pub kind: Option<CustomKind>,
}

/// What a value is.
#[derive(Clone, PartialEq, Eq, Hash, prost::Oneof)]
pub enum CustomKind {
    /// A text, a day or a choice.
    #[prost(string, tag = "1")]
    Text(String),
    /// A number.
    #[prost(message, tag = "2")]
    Number(Number),
}

impl CustomValue {
    /// That text.
    pub fn text(text: impl Into<String>) -> Self {
        Self { kind: Some(CustomKind::Text(text.into())) }
    }

    /// That number.
    pub fn number(number: Number) -> Self {
        Self { kind: Some(CustomKind::Number(number)) }
    }
}

impl Serialize for CustomValues {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(&self.values)
    }
}

impl<'de> Deserialize<'de> for CustomValues {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = CustomValues;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<CustomValues, A::Error> {
                let mut values = BTreeMap::new();
                while let Some((key, value)) = map.next_entry::<String, _>()? {
                    if values.insert(key, value).is_some() {
                        let twice = fault(Code::DuplicateField, "names a field twice");
                        return Err(A::Error::custom(twice));
                    }
                }
                Ok(CustomValues { values })
            }
        }
        deserializer.deserialize_map(Members)
    }
}

impl Serialize for CustomValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.kind {
            None => serializer.serialize_none(),
            Some(CustomKind::Text(text)) => serializer.serialize_str(text),
            Some(CustomKind::Number(number)) => number.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for CustomValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let again = |error: serde_json::Error| D::Error::custom(error);
        let found = match raw.get().as_bytes().first() {
            Some(b'"') => {
                let Text(text) = serde_json::from_str(raw.get()).map_err(again)?;
                return Ok(Self::text(text));
            }
            Some(b'-' | b'0'..=b'9') => {
                return serde_json::from_str(raw.get()).map(Self::number).map_err(again);
            }
            Some(b'n') => return Ok(Self::default()),
            Some(b'{') => "an object",
            Some(b'[') => "a list",
            _ => raw.get(),
        };
        let text = format!("must be a text, a number or null, not {found}");
        Err(D::Error::custom(fault(Code::WrongType, &text)))
    }
}

impl PartialSchema for CustomValues {
    fn schema() -> RefOr<Schema> {
        let values = [Type::String, Type::Number, Type::Null]
            .map(|kind| ObjectBuilder::new().schema_type(SchemaType::Type(kind)).build());
        let value = values.into_iter().fold(AnyOfBuilder::new(), AnyOfBuilder::item).build();
        ObjectBuilder::new()
            .schema_type(Type::Object)
            .additional_properties(Some(Schema::from(value)))
            .description(Some(
                "What is said in the organisation's own fields, by key: texts, days (`YYYY-MM-DD`) and choices are texts, numbers are exact.",
            ))
            .examples([serde_json::json!({"region": "北區", "seats": 12.5})])
            .into()
    }
}

impl ToSchema for CustomValues {}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;
    use crate::opportunities::v1::{CreateOpportunityRequest, UpdateOpportunityRequest};
    use crate::{Refusal, json, mask};

    #[test]
    fn values_are_exact_on_the_wire_and_in_json() {
        let text = r#"{"a":0.123456789,"b":"x","c":null,"d":9007199254740993}"#;
        let values: CustomValues = serde_json::from_str(text).unwrap();
        assert_eq!(CustomValues::decode(&*values.encode_to_vec()).unwrap(), values);
        assert_eq!(serde_json::to_string(&values).unwrap(), text);
    }

    #[test]
    fn a_bad_value_is_named_with_its_path() {
        for (value, field, code) in [
            (r#"{"a":true}"#, "custom_fields.a", "wrong_type"),
            (r#"{"a":[]}"#, "custom_fields.a", "wrong_type"),
            (r#"{"a":0.0000000001}"#, "custom_fields.a", "too_many_decimals"),
            (r#"{"a":1e400}"#, "custom_fields.a", "out_of_range"),
            (r#"{"a":"\u0000"}"#, "custom_fields.a", "invalid_character"),
            (r#"{"a":1,"a":2}"#, "custom_fields", "duplicate_field"),
            ("[]", "custom_fields", "wrong_type"),
        ] {
            let body = format!("{{\"custom_fields\":{value}}}");
            let refused = json::decode::<CreateOpportunityRequest>(body.as_bytes());
            let Err(Refusal::Invalid(errors)) = refused else { panic!("{body}: {refused:?}") };
            assert_eq!((&*errors[0].field, errors[0].code.as_str()), (field, code), "{body}");
        }
    }

    #[test]
    fn in_a_patch_null_for_all_is_another_thing_than_an_empty_object() {
        let read = |body: &str| mask::decode::<UpdateOpportunityRequest>(body.as_bytes()).unwrap();
        assert_eq!(read(r#"{"custom_fields":null}"#).custom_fields, None);
        assert_eq!(read(r#"{"custom_fields":{}}"#).custom_fields, Some(CustomValues::default()));
    }
}
