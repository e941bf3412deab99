//! What a unit of one currency is worth in another, in a message: exact on the wire and in JSON.

use std::fmt;

use money::ParseError;
use prost::bytes::{Buf, BufMut};
use prost::encoding::{DecodeContext, WireType, skip_field, uint64};
use prost::{DecodeError, Message};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::openapi::schema::{ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::Code;
use crate::error::fault;

/// `salespipeline.type.v1.Rate`: an exact number of up to ten digits before the point and ten after it; in JSON a number in its shortest form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rate {
    units: u64,
    ten_billionths: u64,
}

const ONE: i128 = 10_000_000_000;

impl From<money::Rate> for Rate {
    fn from(rate: money::Rate) -> Self {
        let part = |value| u64::try_from(value).unwrap_or_default();
        let value = rate.ten_billionths();
        Self { units: part(value / ONE), ten_billionths: part(value % ONE) }
    }
}

impl From<Rate> for money::Rate {
    fn from(rate: Rate) -> Self {
        let value = i128::from(rate.units) * ONE + i128::from(rate.ten_billionths);
        Self::from_ten_billionths(value)
    }
}

impl Message for Rate {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        if self.units != 0 {
            uint64::encode(1, &self.units, buffer);
        }
        if self.ten_billionths != 0 {
            uint64::encode(2, &self.ten_billionths, buffer);
        }
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        match tag {
            1 => uint64::merge(wire_type, &mut self.units, buffer, context),
            2 => uint64::merge(wire_type, &mut self.ten_billionths, buffer, context),
            _ => skip_field(wire_type, tag, buffer, context),
        }
    }

    fn encoded_len(&self) -> usize {
        let len = |tag, value: &u64| if *value == 0 { 0 } else { uint64::encoded_len(tag, value) };
        len(1, &self.units) + len(2, &self.ten_billionths)
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        money::Rate::from(*self).fmt(f)
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The digits as they are, never through a binary float.
        let text = self.to_string();
        let number: &RawValue = serde_json::from_str(&text).map_err(S::Error::custom)?;
        number.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let found = match raw.get().as_bytes().first() {
            Some(b'"') => "a text",
            Some(b'{') => "an object",
            Some(b'[') => "a list",
            Some(b'-' | b'0'..=b'9') => return read(raw.get()).map_err(D::Error::custom),
            _ => raw.get(),
        };
        let text = format!("must be a number, not {found}");
        Err(D::Error::custom(fault(Code::WrongType, &text)))
    }
}

fn read(text: &str) -> Result<Rate, String> {
    match money::Rate::parse(text) {
        Ok(rate) if rate < money::Rate::default() => {
            Err(fault(Code::OutOfRange, "must be more than 0"))
        }
        Ok(rate) if rate <= money::Rate::MAX => Ok(rate.into()),
        Err(ParseError::TooManyDecimals) => {
            Err(fault(Code::TooManyDecimals, "has more than ten decimals"))
        }
        Ok(_) | Err(ParseError::OutOfRange | ParseError::NotANumber) => {
            Err(fault(Code::OutOfRange, "is too large a number"))
        }
    }
}

impl PartialSchema for Rate {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Number)
            .format(Some(SchemaFormat::Custom("decimal".into())))
            .description(Some(
                "An exact number with at most ten digits before the point and ten after it, answered in its shortest form.",
            ))
            .examples([serde_json::json!(32.5)])
            .into()
    }
}

impl ToSchema for Rate {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, PartialEq, prost::Message)]
    struct Wire {
        #[prost(uint64, tag = "1")]
        units: u64,
        #[prost(uint64, tag = "2")]
        ten_billionths: u64,
    }

    fn json(text: &str) -> Result<Rate, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_number_with_ten_decimals_is_exact() {
        for (text, answer) in [
            ("32.50", "32.5"),
            ("0.0000000001", "0.0000000001"),
            ("9999999999.9999999999", "9999999999.9999999999"),
            ("1e2", "100"),
            ("0", "0"),
        ] {
            assert_eq!(serde_json::to_string(&json(text).unwrap()).unwrap(), answer);
        }
        for (text, code) in [
            ("0.00000000001", "too_many_decimals"),
            ("10000000000", "out_of_range"),
            ("-1", "out_of_range"),
            ("\"1\"", "wrong_type"),
            ("null", "wrong_type"),
        ] {
            assert!(json(text).unwrap_err().contains(code), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_rate_survives_the_wire_and_json(units in 0..10_000_000_000_u64, ten_billionths in 0..10_000_000_000_u64) {
            let rate = Rate { units, ten_billionths };
            let bytes = rate.encode_to_vec();
            prop_assert_eq!(bytes.len(), rate.encoded_len());
            prop_assert_eq!(&bytes, &Wire { units, ten_billionths }.encode_to_vec());
            prop_assert_eq!(Rate::decode(&*bytes).unwrap(), rate);
            prop_assert_eq!(json(&serde_json::to_string(&rate).unwrap()).unwrap(), rate);
            prop_assert_eq!(Rate::from(money::Rate::from(rate)), rate);
        }
    }
}
