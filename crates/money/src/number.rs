//! Exact numbers that are no money: quantities, percentages, what people count.

use std::fmt;
use std::str::FromStr;

use crate::{ParseError, fixed};

/// A number with up to nine decimals, in billionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Number(i128);

impl Number {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// One.
    pub const ONE: Self = Self(1_000_000_000);
    /// A hundred.
    pub const HUNDRED: Self = Self(100_000_000_000);

    /// That many billionths.
    pub const fn from_billionths(billionths: i128) -> Self {
        Self(billionths)
    }

    /// How many billionths it is.
    pub const fn billionths(self) -> i128 {
        self.0
    }

    /// Reads a decimal number such as `12`, `-0.5`, `1.000` or `2.5e3`, exactly.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        fixed::parse(text, 9).map(Self)
    }

    /// It as a whole number of parts of which 10 to the power of `decimals` make one, at most nine; none where it has more decimals than that.
    pub fn parts(self, decimals: u32) -> Option<i128> {
        let part = 10_i128.pow(9_u32.saturating_sub(decimals));
        (self.0 % part == 0).then_some(self.0 / part)
    }
}

impl fmt::Display for Number {
    /// The shortest form: `0.1`, `2500000`, `-3.05`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fixed::write(out, self.0, 9)
    }
}

impl FromStr for Number {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_is_read_exactly_and_has_the_decimals_that_it_has() {
        for (text, shortest, thousandths) in [
            ("0.123456789", "0.123456789", None),
            ("1.5000", "1.5", Some(1_500)),
            ("-2.001", "-2.001", Some(-2_001)),
            ("1e9", "1000000000", Some(1_000_000_000_000)),
        ] {
            let number = Number::parse(text).unwrap();
            assert_eq!((number.to_string().as_str(), number.parts(3)), (shortest, thousandths));
        }
        assert_eq!(Number::parse("0.1234567891"), Err(ParseError::TooManyDecimals));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(billionths in -10_i128.pow(30)..10_i128.pow(30)) {
            let number = Number::from_billionths(billionths);
            prop_assert_eq!(Number::parse(&number.to_string()), Ok(number));
        }
    }
}
