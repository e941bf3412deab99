//! Rates, and what an amount is worth by them on a day.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use money::{Money, Rate};
use rpc::Invalid;

use super::Wish;

/// What a unit of a currency is worth in the organisation's, from a day on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeRate {
    /// Its id.
    pub id: i64,
    /// ISO 4217.
    pub currency: String,
    /// The first day on which it is valid.
    pub valid_from: NaiveDate,
    /// What a unit is worth.
    pub rate: Rate,
    /// When it was set.
    pub updated_at: DateTime<Utc>,
    /// When it was removed.
    pub deleted_at: Option<DateTime<Utc>>,
    /// Rises by one with every change; 0 before the first one.
    pub version: i64,
}

impl ExchangeRate {
    /// It is that from now on.
    pub(super) fn set(self, rate: Rate, at: DateTime<Utc>) -> Self {
        let updated_at = at.max(self.updated_at);
        Self { rate, updated_at, deleted_at: None, version: self.version + 1, ..self }
    }

    /// It counts no more.
    pub(super) fn remove(self, at: DateTime<Utc>) -> Self {
        let updated_at = at.max(self.updated_at);
        Self { updated_at, deleted_at: Some(at), version: self.version + 1, ..self }
    }
}

/// The first day from which a rate may be valid: none that is written down before is meant.
const EARLIEST: NaiveDate = day(1970, 1, 1);
/// The last one.
const LATEST: NaiveDate = day(9999, 12, 31);

const fn day(year: i32, month: u32, day: u32) -> NaiveDate {
    match NaiveDate::from_ymd_opt(year, month, day) {
        Some(day) => day,
        None => NaiveDate::MIN,
    }
}

/// A wish that can be: whatever is wrong with it is told at once.
pub(super) fn check(wish: &Wish, default_currency: &str) -> Result<(NaiveDate, Rate), Invalid> {
    let mut invalid = Invalid::default();
    if wish.currency == default_currency {
        let message = "is the organisation's currency, in which all rates are";
        invalid.add("currency", "default_currency", message);
    }
    match wish.valid_from {
        None => invalid.add("valid_from", "required", "is required"),
        Some(day) if !(EARLIEST..=LATEST).contains(&day) => {
            let message = format!("is not between {EARLIEST} and {LATEST}");
            invalid.add("valid_from", "out_of_range", message);
        }
        Some(_) => {}
    }
    match wish.rate {
        None => invalid.add("rate", "required", "is required"),
        Some(rate) if !rate.is_rate() => {
            invalid.add(
                "rate",
                "out_of_range",
                "is not more than 0, or more than 9999999999.9999999999",
            );
        }
        Some(_) => {}
    }
    match wish.valid_from.zip(wish.rate) {
        Some(wanted) if invalid.is_empty() => Ok(wanted),
        _ => Err(invalid),
    }
}

/// What amounts are worth in the organisation's currency, as far as rates are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exchange {
    default_currency: String,
    rates: BTreeMap<(String, NaiveDate), Rate>,
}

impl Exchange {
    /// Of the organisation's own currency alone.
    pub fn of(default_currency: &str) -> Self {
        Self { default_currency: default_currency.to_owned(), rates: BTreeMap::new() }
    }

    /// A unit of a currency is worth that from a day on.
    pub fn learn(&mut self, currency: String, valid_from: NaiveDate, rate: Rate) {
        self.rates.insert((currency, valid_from), rate);
    }

    /// An amount in the organisation's currency on a day, and the rate by which it is that, if one was needed. Nothing without a rate.
    pub fn value(
        &self,
        amount: Option<Money>,
        currency: &str,
        on: NaiveDate,
    ) -> Option<(Money, Option<Rate>)> {
        let amount = amount?;
        if currency == self.default_currency {
            return Some((amount, None));
        }
        let until = (currency.to_owned(), on);
        let ((of, _), rate) = self.rates.range(..=until).next_back()?;
        let rate = Some(*rate).filter(|_| of == currency)?;
        Some((rate.convert(amount)?, Some(rate)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn exchange() -> Exchange {
        let mut it = Exchange::of("TWD");
        for (currency, valid_from, rate) in [
            ("EUR", "2025-01-01", "35"),
            ("USD", "2025-10-01", "32.5"),
            ("USD", "2025-11-01", "30"),
        ] {
            it.learn(currency.to_owned(), on(valid_from), rate.parse().unwrap());
        }
        it
    }

    #[test]
    fn a_rate_is_valid_from_its_day_until_the_next_one() {
        let amount = Some("10".parse().unwrap());
        for (currency, day, value) in [
            ("USD", "2025-09-30", None),
            ("USD", "2025-10-01", Some("325")),
            ("USD", "2025-10-31", Some("325")),
            ("USD", "2025-11-01", Some("300")),
            ("USD", "2030-01-01", Some("300")),
            ("JPY", "2025-11-01", None),
            ("TWD", "1970-01-01", Some("10")),
        ] {
            let found = exchange().value(amount, currency, on(day)).map(|(value, _)| value);
            assert_eq!(found.map(|it| it.to_string()).as_deref(), value, "{currency} {day}");
        }
        assert_eq!(exchange().value(None, "USD", on("2025-11-01")), None);
        assert_eq!(exchange().value(amount, "TWD", on("2025-11-01")).unwrap().1, None);
    }

    #[test]
    fn whatever_is_wrong_with_a_rate_is_told_at_once() {
        let wish = |currency: &str, valid_from: Option<&str>, rate: Option<&str>| Wish {
            currency: currency.to_owned(),
            valid_from: valid_from.map(on),
            rate: rate.map(|rate| rate.parse().unwrap()),
            expected_version: None,
        };
        let codes = |wish| match check(&wish, "TWD").map_err(rpc::Error::from) {
            Err(rpc::Error::Invalid(fields)) => {
                fields.iter().map(|it| format!("{} {}", it.field, it.code)).collect()
            }
            _ => Vec::new(),
        };
        assert!(codes(wish("USD", Some("2025-01-01"), Some("0.0000000001"))).is_empty());
        let all = ["currency default_currency", "valid_from required", "rate required"];
        assert_eq!(codes(wish("TWD", None, None)), all);
        assert_eq!(codes(wish("USD", Some("2025-01-01"), Some("0"))), ["rate out_of_range"]);
        for (day, is_good) in [
            ("1969-12-31", false),
            ("1970-01-01", true),
            ("9999-12-31", true),
            ("+10000-01-01", false),
        ] {
            let told = codes(wish("USD", Some(day), Some("1")));
            assert_eq!(told.is_empty(), is_good, "{day}");
            assert!(is_good || told == ["valid_from out_of_range"], "{told:?}");
        }
    }
}
