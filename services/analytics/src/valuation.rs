//! What amounts are worth in the organisation's currency on a day.

use std::collections::{BTreeMap, BTreeSet};

use money::{Money, Rate};

/// The rates of a day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Valuation {
    default_currency: String,
    rates: BTreeMap<String, Rate>,
}

impl Valuation {
    /// By these rates into that currency; its own amounts need none.
    pub fn new(default_currency: &str, rates: impl IntoIterator<Item = (String, Rate)>) -> Self {
        let others = rates.into_iter().filter(|(currency, _)| *currency != default_currency);
        Self { default_currency: default_currency.to_owned(), rates: others.collect() }
    }

    /// What an amount is worth, and by its probability: weighted in its own currency, each rounded half up to the hundredth. Nothing where no rate is known, and where it
    /// would be larger than an amount can be.
    pub fn value(&self, amount: Money, currency: &str, probability: i32) -> Option<(Money, Money)> {
        let weighted = amount.weighted(probability);
        if currency == self.default_currency {
            return Some((amount, weighted));
        }
        let rate = self.rates.get(currency)?;
        rate.convert(amount).zip(rate.convert(weighted))
    }

    /// What an amount is worth, rounded half up to the hundredth; nothing where [`Self::value`] has nothing.
    pub fn worth(&self, amount: Money, currency: &str) -> Option<Money> {
        self.value(amount, currency, 0).map(|(value, _)| value)
    }

    /// The currencies whose amounts are worth something else by another.
    pub fn differing(&self, other: &Self) -> Vec<String> {
        let all: BTreeSet<_> = self.rates.keys().chain(other.rates.keys()).collect();
        let differ = |code: &&String| self.rates.get(*code) != other.rates.get(*code);
        all.into_iter().filter(differ).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    fn money(text: &str) -> Money {
        text.parse().unwrap()
    }

    #[test]
    fn it_is_weighted_in_its_own_currency_and_converted_after_that() {
        let it = Valuation::new("TWD", [("USD".to_owned(), rate("32.5"))]);
        // A half cent of a dollar is rounded up before it becomes 0.33 of the other; after it, it would be 0.16.
        assert_eq!(it.value(money("0.01"), "USD", 50), Some((money("0.33"), money("0.33"))));
        assert_eq!(it.value(money("0.01"), "TWD", 50), Some((money("0.01"), money("0.01"))));
        assert_eq!(it.value(money("1"), "EUR", 50), None);
        assert_eq!(it.value(Money::MAX_AMOUNT, "USD", 0), None);
    }

    #[test]
    fn what_is_worth_something_else_is_what_came_went_or_changed() {
        let of = |rates: &[(&str, &str)]| {
            let rates = rates.iter().map(|(code, it)| ((*code).to_owned(), rate(it)));
            Valuation::new("TWD", rates.collect::<Vec<_>>())
        };
        let before = of(&[("EUR", "35"), ("JPY", "0.2"), ("USD", "32.5"), ("TWD", "7")]);
        let after = of(&[("CHF", "38"), ("EUR", "35"), ("USD", "30")]);
        assert_eq!(before.differing(&after), ["CHF", "JPY", "USD"]);
    }
}
