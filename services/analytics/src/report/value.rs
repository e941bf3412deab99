//! Sums of values as rollups keep them, and what they leave out.

use std::ops::AddAssign;

use money::Money;

/// A sum over opportunities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many.
    pub count: i64,
    /// How many of them have a value.
    pub value_count: i64,
    /// How many have an amount and no rate: today of open ones, of closed ones when they closed.
    pub rate_missing: i64,
    /// Their value, in the organisation's currency.
    pub value: Money,
}

impl Sum {
    /// What its value leaves out.
    pub fn not_covered(&self) -> NotCovered {
        NotCovered {
            without_amount: self.count - self.value_count - self.rate_missing,
            without_rate: self.rate_missing,
            without_date: 0,
        }
    }
}

/// How many opportunities values leave out, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotCovered {
    /// Without an amount.
    pub without_amount: i64,
    /// In a currency for which no rate is known.
    pub without_rate: i64,
    /// Without a date where one is needed.
    pub without_date: i64,
}

impl AddAssign for NotCovered {
    fn add_assign(&mut self, other: Self) {
        self.without_amount += other.without_amount;
        self.without_rate += other.without_rate;
        self.without_date += other.without_date;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_value_lacks_a_rate_or_an_amount() {
        let value = Money::from_hundredths(500);
        let sum = Sum { count: 4, value_count: 2, rate_missing: 1, value };
        let left_out = NotCovered { without_amount: 1, without_rate: 1, without_date: 0 };
        assert_eq!(sum.not_covered(), left_out);
    }
}
