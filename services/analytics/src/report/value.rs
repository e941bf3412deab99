//! Sums of values as rollups keep them: which count in the organisation's currency, and what is left out.

use std::ops::AddAssign;

use money::Money;

/// A sum over opportunities of one currency, or of closed ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Of open ones; empty for closed ones, whose values were frozen in the organisation's currency.
    pub currency: String,
    /// How many.
    pub count: i64,
    /// How many of them have a value.
    pub value_count: i64,
    /// How many have an amount and had no rate when they closed.
    pub rate_missing: i64,
    /// Their value, in their currency.
    pub value: Money,
}

impl Sum {
    /// Whether the value is in the organisation's currency. Of others no rate is known.
    pub fn has_rate(&self, default_currency: &str) -> bool {
        self.currency.is_empty() || self.currency == default_currency
    }

    /// The value in the organisation's currency; nothing without a rate.
    pub fn converted(&self, default_currency: &str) -> Money {
        if self.has_rate(default_currency) { self.value } else { Money::ZERO }
    }

    /// What its value leaves out.
    pub fn not_covered(&self, default_currency: &str) -> NotCovered {
        let uncounted = if self.has_rate(default_currency) { 0 } else { self.value_count };
        NotCovered {
            without_amount: self.count - self.value_count - self.rate_missing,
            without_rate: self.rate_missing + uncounted,
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
    fn another_currency_is_never_added_up_and_is_counted_as_left_out() {
        let value = Money::from_hundredths(500);
        let sum = Sum { currency: "USD".into(), count: 3, value_count: 2, rate_missing: 0, value };
        assert_eq!(sum.converted("TWD"), Money::ZERO);
        let left_out = NotCovered { without_amount: 1, without_rate: 2, without_date: 0 };
        assert_eq!(sum.not_covered("TWD"), left_out);
        assert_eq!(sum.converted("USD"), value);
    }

    #[test]
    fn a_closed_one_counts_with_what_was_frozen() {
        let value = Money::from_hundredths(500);
        let sum = Sum { currency: String::new(), count: 4, value_count: 2, rate_missing: 1, value };
        assert_eq!(sum.converted("TWD"), value);
        let left_out = NotCovered { without_amount: 1, without_rate: 1, without_date: 0 };
        assert_eq!(sum.not_covered("TWD"), left_out);
    }
}
