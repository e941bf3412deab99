//! Decimal numbers in a message, amounts of money first of all: exact on the wire and in JSON.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use money::{Money, ParseError, fixed};
use prost::bytes::{Buf, BufMut};
use prost::encoding::{DecodeContext, WireType, sint32, sint64, skip_field};
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
use crate::json;

/// A number of so many decimals as one integer of its smallest parts; in JSON a number in its shortest form. On the wire its units, and its parts beside them.
///
/// The wire holds units up to `i64::MAX` either way; what is beyond is written as that bound, which no amount or
/// sum of amounts comes near.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fixed<const DECIMALS: u32>(i128);

/// `salespipeline.type.v1.Decimal`: an exact amount with two decimals.
pub type Decimal = Fixed<2>;

/// `salespipeline.type.v1.Number`: an exact number with up to nine decimals.
pub type Number = Fixed<9>;

impl<const DECIMALS: u32> Fixed<DECIMALS> {
    const ONE: i128 = 10_i128.pow(DECIMALS);
    const LARGEST: i128 = i64::MAX as i128 * Self::ONE + Self::ONE - 1;

    /// The two fields of the message: whole units and the parts, of one sign.
    fn parts(self) -> (i64, i32) {
        let bounded = self.0.clamp(-Self::LARGEST, Self::LARGEST);
        let units = i64::try_from(bounded / Self::ONE).unwrap_or_default();
        (units, i32::try_from(bounded % Self::ONE).unwrap_or_default())
    }
}

impl Decimal {
    /// That many hundredths.
    pub const fn from_hundredths(hundredths: i128) -> Self {
        Self(hundredths)
    }

    /// How many hundredths it is.
    pub const fn hundredths(self) -> i128 {
        self.0
    }
}

impl From<Money> for Decimal {
    fn from(money: Money) -> Self {
        Self(money.hundredths())
    }
}

impl From<Decimal> for Money {
    fn from(decimal: Decimal) -> Self {
        Self::from_hundredths(decimal.0)
    }
}

impl From<money::Number> for Number {
    fn from(number: money::Number) -> Self {
        Self(number.billionths())
    }
}

impl From<Number> for money::Number {
    fn from(number: Number) -> Self {
        Self::from_billionths(number.0)
    }
}

impl<const DECIMALS: u32> Message for Fixed<DECIMALS> {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        let (units, parts) = self.parts();
        if units != 0 {
            sint64::encode(1, &units, buffer);
        }
        if parts != 0 {
            sint32::encode(2, &parts, buffer);
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
            1 => {
                let mut units = 0;
                sint64::merge(wire_type, &mut units, buffer, context)?;
                self.0 = i128::from(units) * Self::ONE + self.0 % Self::ONE;
            }
            2 => {
                let mut parts = 0;
                sint32::merge(wire_type, &mut parts, buffer, context)?;
                self.0 = self.0 / Self::ONE * Self::ONE + i128::from(parts);
            }
            _ => skip_field(wire_type, tag, buffer, context)?,
        }
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        let (units, parts) = self.parts();
        let whole = if units == 0 { 0 } else { sint64::encoded_len(1, &units) };
        let rest = if parts == 0 { 0 } else { sint32::encoded_len(2, &parts) };
        whole + rest
    }

    fn clear(&mut self) {
        self.0 = 0;
    }
}

impl<const DECIMALS: u32> fmt::Display for Fixed<DECIMALS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fixed::write(f, self.0, DECIMALS)
    }
}

impl<const DECIMALS: u32> FromStr for Fixed<DECIMALS> {
    type Err = ParseError;

    /// Reads a JSON number, exactly; fails where the wire could not hold it.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let parts = fixed::parse(text, DECIMALS)?;
        if parts.abs() > Self::LARGEST { Err(ParseError::OutOfRange) } else { Ok(Self(parts)) }
    }
}

impl<const DECIMALS: u32> Serialize for Fixed<DECIMALS> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let (units, 0) = self.parts() {
            return serializer.serialize_i64(units);
        }
        // The digits as they are, never through a binary float.
        let text = self.to_string();
        let number: &RawValue = serde_json::from_str(&text).map_err(S::Error::custom)?;
        number.serialize(serializer)
    }
}

impl<'de, const DECIMALS: u32> Deserialize<'de> for Fixed<DECIMALS> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let found = match raw.get().as_bytes().first() {
            Some(b'"') => "a text",
            Some(b'{') => "an object",
            Some(b'[') => "a list",
            Some(b'-' | b'0'..=b'9') => {
                let read = raw.get().parse().map_err(|error| match error {
                    ParseError::TooManyDecimals => {
                        let many = if DECIMALS == 2 { "two" } else { "nine" };
                        let message = format!("has more than {many} decimals");
                        D::Error::custom(fault(Code::TooManyDecimals, &message))
                    }
                    ParseError::OutOfRange | ParseError::NotANumber => {
                        D::Error::custom(fault(Code::OutOfRange, "is too large a number"))
                    }
                });
                return if json::anyway() { Ok(read.unwrap_or(Self(Self::LARGEST))) } else { read };
            }
            _ => raw.get(),
        };
        let text = format!("must be a number, not {found}");
        Err(D::Error::custom(fault(Code::WrongType, &text)))
    }
}

impl<const DECIMALS: u32> PartialSchema for Fixed<DECIMALS> {
    fn schema() -> RefOr<Schema> {
        let (description, example) = match DECIMALS {
            2 => (
                "An exact amount with at most two decimals, answered in its shortest form.",
                serde_json::json!(2_500_000),
            ),
            _ => (
                "An exact number with at most nine decimals, answered in its shortest form.",
                serde_json::json!(12),
            ),
        };
        // No `multipleOf`: validators work it out in binary floats.
        ObjectBuilder::new()
            .schema_type(Type::Number)
            .format(Some(SchemaFormat::Custom("decimal".into())))
            .description(Some(description))
            .examples([example])
            .into()
    }
}

impl<const DECIMALS: u32> ToSchema for Fixed<DECIMALS> {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed(if DECIMALS == 2 { "Decimal" } else { "Number" })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, PartialEq, prost::Message)]
    struct Wire {
        #[prost(sint64, tag = "1")]
        units: i64,
        #[prost(sint32, tag = "2")]
        hundredths: i32,
    }

    fn json(text: &str) -> Result<Decimal, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_number_with_two_decimals_is_exact() {
        for (text, hundredths, answer) in [
            ("0.10", 10, "0.1"),
            ("-0.05", -5, "-0.05"),
            ("1.000", 100, "1"),
            ("1e2", 10_000, "100"),
            ("2.50E1", 2_500, "25"),
            ("25e-1", 250, "2.5"),
            ("-0", 0, "0"),
            ("2500000", 250_000_000, "2500000"),
            ("9999999999999.99", 999_999_999_999_999, "9999999999999.99"),
            ("9223372036854775807.99", Decimal::LARGEST, "9223372036854775807.99"),
        ] {
            let decimal = json(text).unwrap();
            assert_eq!(decimal.hundredths(), hundredths, "{text}");
            assert_eq!(serde_json::to_string(&decimal).unwrap(), answer);
        }
    }

    #[test]
    fn what_is_no_amount_is_refused_with_its_reason() {
        for (text, code) in [
            ("0.101", "too_many_decimals"),
            ("1e-3", "too_many_decimals"),
            ("9223372036854775808", "out_of_range"),
            ("1e400", "out_of_range"),
            ("1e99999999999999999999", "out_of_range"),
            ("\"0.10\"", "wrong_type"),
            ("null", "wrong_type"),
            ("true", "wrong_type"),
            ("[1]", "wrong_type"),
        ] {
            assert!(json(text).unwrap_err().contains(code), "{text}");
        }
    }

    #[test]
    fn the_wire_holds_units_and_hundredths_of_one_sign() {
        let bytes = Fixed::<2>(-205).encode_to_vec();
        assert_eq!(Wire::decode(&*bytes).unwrap(), Wire { units: -2, hundredths: -5 });
        assert!(Fixed::<2>(0).encode_to_vec().is_empty());
        let beyond = Fixed::<2>(i128::MAX).encode_to_vec();
        assert_eq!(Decimal::decode(&*beyond).unwrap().hundredths(), Decimal::LARGEST);
    }

    #[test]
    fn a_number_has_nine_decimals_where_an_amount_has_two() {
        let number = |text: &str| serde_json::from_str::<Number>(text);
        let small = number("-12.000000001").unwrap();
        assert_eq!(small.parts(), (-12, -1));
        assert_eq!(Number::decode(&*small.encode_to_vec()).unwrap(), small);
        assert_eq!(serde_json::to_string(&small).unwrap(), "-12.000000001");
        let refused = number("0.0000000001").unwrap_err().to_string();
        assert!(refused.contains("too_many_decimals") && refused.contains("nine"), "{refused}");
        assert_eq!((Decimal::name(), Number::name()), ("Decimal".into(), "Number".into()));
    }

    proptest! {
        #[test]
        fn every_amount_survives_the_wire_and_json(hundredths in -Decimal::LARGEST..=Decimal::LARGEST) {
            let decimal = Decimal::from_hundredths(hundredths);
            let bytes = decimal.encode_to_vec();
            prop_assert_eq!(bytes.len(), decimal.encoded_len());
            prop_assert_eq!(Decimal::decode(&*bytes).unwrap(), decimal);
            prop_assert_eq!(json(&serde_json::to_string(&decimal).unwrap()).unwrap(), decimal);
            prop_assert_eq!(Decimal::from(Money::from(decimal)), decimal);
        }

        #[test]
        fn the_bytes_are_those_of_the_message(units: i64, hundredths in 0..=99_i32) {
            let wire = Wire { units, hundredths: if units < 0 { -hundredths } else { hundredths } };
            let decimal = Decimal::decode(&*wire.encode_to_vec()).unwrap();
            prop_assert_eq!(decimal.hundredths(), i128::from(units) * 100 + i128::from(wire.hundredths));
            if decimal.hundredths().abs() <= Decimal::LARGEST {
                prop_assert_eq!(decimal.encode_to_vec(), wire.encode_to_vec());
            }
        }
    }
}
