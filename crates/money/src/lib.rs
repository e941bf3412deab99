//! Exact amounts of money, what one currency is worth in another, and exact numbers: integers, never a binary float.

pub mod currency;
pub mod fixed;
mod number;
mod rate;

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};
use std::str::FromStr;

use rust_decimal::Decimal as Numeric;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueRef, Postgres};

pub use number::Number;
pub use rate::Rate;

/// An amount or a sum of amounts, in hundredths of a currency's unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Money(i128);

/// Why a text is no amount or number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// It is not a decimal number.
    #[error("is not a number")]
    NotANumber,
    /// It has a digit other than zero after the last decimal that there may be.
    #[error("has too many decimals")]
    TooManyDecimals,
    /// It has more digits than any amount, number or sum of amounts.
    #[error("is out of range")]
    OutOfRange,
}

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount of one opportunity: 9,999,999,999,999.99, what `numeric(15,2)` holds.
    pub const MAX_AMOUNT: Self = Self(999_999_999_999_999);

    /// That many hundredths.
    pub const fn from_hundredths(hundredths: i128) -> Self {
        Self(hundredths)
    }

    /// How many hundredths it is.
    pub const fn hundredths(self) -> i128 {
        self.0
    }

    /// Reads a decimal number such as `12`, `-0.5`, `1.000` or `2.5e3`, exactly.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        fixed::parse(text, 2).map(Self)
    }

    /// What it is worth at a probability in percent, rounded half up (away from zero) to the hundredth.
    #[must_use]
    pub fn weighted(self, probability: i32) -> Self {
        self.times(i128::from(probability), 100)
    }

    /// That many parts of it where `whole` parts make all of it, rounded half up (away from zero) to the hundredth.
    #[must_use]
    pub fn times(self, parts: i128, whole: i128) -> Self {
        let product = self.0.saturating_mul(parts);
        let half = if product < 0 { -(whole / 2) } else { whole / 2 };
        Self(product.saturating_add(half) / whole)
    }

    /// This amount at a rate, rounded half up (away from zero) to the hundredth.
    #[must_use]
    pub fn converted(self, rate: Numeric) -> Self {
        self.times(rate.mantissa(), 10_i128.pow(rate.scale()))
    }

    /// The mean of that many, rounded half up; nothing where there are none.
    pub fn mean(self, count: i64) -> Option<Self> {
        (count > 0).then(|| self.times(1, i128::from(count)))
    }

    fn numeric(self) -> Result<Numeric, rust_decimal::Error> {
        Numeric::try_from_i128_with_scale(self.0, 2)
    }
}

impl fmt::Display for Money {
    /// The shortest form: `0.1`, `2500000`, `-3.05`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fixed::write(out, self.0, 2)
    }
}

impl FromStr for Money {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}

impl Add for Money {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for Money {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl Neg for Money {
    type Output = Self;

    fn neg(self) -> Self {
        Self(-self.0)
    }
}

impl AddAssign for Money {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

impl SubAssign for Money {
    fn sub_assign(&mut self, other: Self) {
        self.0 -= other.0;
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl sqlx::Type<Postgres> for Money {
    fn type_info() -> PgTypeInfo {
        <Numeric as sqlx::Type<Postgres>>::type_info()
    }
}

impl PgHasArrayType for Money {
    fn array_type_info() -> PgTypeInfo {
        <Numeric as PgHasArrayType>::array_type_info()
    }
}

impl sqlx::Encode<'_, Postgres> for Money {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <Numeric as sqlx::Encode<'_, Postgres>>::encode_by_ref(&self.numeric()?, buffer)
    }
}

impl sqlx::Decode<'_, Postgres> for Money {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        let mut number = <Numeric as sqlx::Decode<'_, Postgres>>::decode(value)?;
        number.rescale(2);
        Ok(Self(number.mantissa()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_amount_is_read_exactly_and_written_in_its_shortest_form() {
        for (text, hundredths, shortest) in [
            ("0.10", 10, "0.1"),
            ("9999999999999.99", 999_999_999_999_999, "9999999999999.99"),
            ("1.000", 100, "1"),
            ("2.5e3", 250_000, "2500"),
            ("100E-2", 100, "1"),
            ("-0.05", -5, "-0.05"),
            ("-0", 0, "0"),
            ("0e99", 0, "0"),
        ] {
            let money = Money::parse(text).unwrap();
            assert_eq!(money.hundredths(), hundredths, "{text}");
            assert_eq!(money.to_string(), shortest);
        }
    }

    #[test]
    fn what_is_no_amount_is_refused_with_its_reason() {
        assert_eq!(Money::parse("0.101"), Err(ParseError::TooManyDecimals));
        assert_eq!(Money::parse("1e-3"), Err(ParseError::TooManyDecimals));
        assert_eq!(Money::parse("1e99"), Err(ParseError::OutOfRange));
        for text in ["", "-", ".5", "5.", "1e", "+1", "NaN", "1,5", "--1", "1e2.5"] {
            assert_eq!(Money::parse(text), Err(ParseError::NotANumber), "{text}");
        }
    }

    #[test]
    fn a_weighted_value_is_rounded_half_up_to_the_cent() {
        assert_eq!(Money::parse("0.01").unwrap().weighted(50).to_string(), "0.01");
        assert_eq!(Money::parse("0.01").unwrap().weighted(49).to_string(), "0");
        assert_eq!(Money::parse("2500000").unwrap().weighted(30).to_string(), "750000");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(hundredths in -10_i128.pow(30)..10_i128.pow(30)) {
            let money = Money::from_hundredths(hundredths);
            prop_assert_eq!(Money::parse(&money.to_string()), Ok(money));
        }
    }
}
