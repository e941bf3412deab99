//! What a unit of one currency is worth in another, exactly.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal as Numeric;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueRef, Postgres};

use crate::{Money, ParseError, fixed};

/// How many of them are one.
const ONE: i128 = 10_000_000_000;
const DECIMALS: u32 = 10;

/// What one unit of a currency is worth in another, in ten-billionths: what `numeric(20,10)` holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rate(i128);

impl Rate {
    /// The largest: ten digits before the point and ten after it.
    pub const MAX: Self = Self(ONE * ONE - 1);

    /// That many ten-billionths.
    pub const fn from_ten_billionths(ten_billionths: i128) -> Self {
        Self(ten_billionths)
    }

    /// How many ten-billionths it is.
    pub const fn ten_billionths(self) -> i128 {
        self.0
    }

    /// Whether anything can be worth that: more than nothing, and not more than [`Rate::MAX`].
    pub fn is_rate(self) -> bool {
        self.0 > 0 && self <= Self::MAX
    }

    /// Reads a decimal number, exactly.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        fixed::parse(text, DECIMALS).map(Self)
    }

    /// An amount of one opportunity at this rate, rounded half up to the hundredth; nothing where that is more than an amount can be.
    pub fn convert(self, amount: Money) -> Option<Money> {
        Some(amount.times(self.0, ONE)).filter(|value| *value <= Money::MAX_AMOUNT)
    }
}

impl fmt::Display for Rate {
    /// The shortest form: `32.5`, `0.0000000001`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fixed::write(out, self.0, DECIMALS)
    }
}

impl FromStr for Rate {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}

impl sqlx::Type<Postgres> for Rate {
    fn type_info() -> PgTypeInfo {
        <Numeric as sqlx::Type<Postgres>>::type_info()
    }
}

impl PgHasArrayType for Rate {
    fn array_type_info() -> PgTypeInfo {
        <Numeric as PgHasArrayType>::array_type_info()
    }
}

impl sqlx::Encode<'_, Postgres> for Rate {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let number = Numeric::try_from_i128_with_scale(self.0, DECIMALS)?;
        <Numeric as sqlx::Encode<'_, Postgres>>::encode_by_ref(&number, buffer)
    }
}

impl sqlx::Decode<'_, Postgres> for Rate {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        let mut number = <Numeric as sqlx::Decode<'_, Postgres>>::decode(value)?;
        number.rescale(DECIMALS);
        Ok(Self(number.mantissa()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn money(text: &str) -> Money {
        text.parse().unwrap()
    }

    #[test]
    fn a_rate_has_ten_decimals_and_is_written_in_its_shortest_form() {
        for (text, shortest) in [
            ("32.5", "32.5"),
            ("32.50", "32.5"),
            ("1", "1"),
            ("1e-10", "0.0000000001"),
            ("9999999999.9999999999", "9999999999.9999999999"),
        ] {
            assert_eq!(Rate::parse(text).unwrap().to_string(), shortest);
        }
        assert_eq!(Rate::parse("1e-11"), Err(ParseError::TooManyDecimals));
        assert!(!Rate::parse("0").unwrap().is_rate() && !Rate::parse("-1").unwrap().is_rate());
        assert!(Rate::MAX.is_rate() && !Rate::parse("1e10").unwrap().is_rate());
    }

    #[test]
    fn a_converted_amount_is_rounded_half_up_to_the_cent_and_no_more_than_an_amount_can_be() {
        let at = |amount, rate| Rate::parse(rate).unwrap().convert(money(amount));
        assert_eq!(at("100", "32.5"), Some(money("3250")));
        assert_eq!(at("0.01", "0.5"), Some(money("0.01")));
        assert_eq!(at("0.01", "0.4999999999"), Some(Money::ZERO));
        assert_eq!(at("9999999999999.99", "1"), Some(Money::MAX_AMOUNT));
        assert_eq!(at("9999999999999.99", "1.0000000001"), None);
        assert_eq!(at("9999999999999.99", "9999999999.9999999999"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(ten_billionths in 0..Rate::MAX.0) {
            let rate = Rate(ten_billionths);
            prop_assert_eq!(Rate::parse(&rate.to_string()), Ok(rate));
        }
    }
}
