//! A day of the calendar in a message.

use std::str::FromStr;

use chrono::{Datelike, NaiveDate};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::Code;
use crate::error::fault;
use crate::field::Text;
use crate::json;

/// `salespipeline.type.v1.Date`: a day; in JSON `YYYY-MM-DD`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Message)]
pub struct Date {
    /// 1 to 9999.
    #[prost(int32, tag = "1")]
    pub year: i32,
    /// 1 to 12.
    #[prost(int32, tag = "2")]
    pub month: i32,
    /// 1 to 31.
    #[prost(int32, tag = "3")]
    pub day: i32,
}

/// A `Date` that names no day of the calendar from year 1 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no day of the calendar")]
pub struct NoSuchDay;

impl From<NaiveDate> for Date {
    fn from(day: NaiveDate) -> Self {
        // Months and days are at most 31.
        let small = |number: u32| i32::try_from(number).unwrap_or_default();
        Self { year: day.year(), month: small(day.month()), day: small(day.day()) }
    }
}

impl TryFrom<Date> for NaiveDate {
    type Error = NoSuchDay;

    fn try_from(date: Date) -> Result<Self, NoSuchDay> {
        let month = u32::try_from(date.month).map_err(|_| NoSuchDay)?;
        let day = u32::try_from(date.day).map_err(|_| NoSuchDay)?;
        if !(1..=9999).contains(&date.year) {
            return Err(NoSuchDay);
        }
        Self::from_ymd_opt(date.year, month, day).ok_or(NoSuchDay)
    }
}

impl FromStr for Date {
    type Err = NoSuchDay;

    /// Reads `YYYY-MM-DD`.
    fn from_str(text: &str) -> Result<Self, NoSuchDay> {
        parse(text).map(Self::from).ok_or(NoSuchDay)
    }
}

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let day = NaiveDate::try_from(*self).map_err(S::Error::custom)?;
        serializer.collect_str(&day)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Text(text) = Text::deserialize(deserializer)?;
        match text.parse() {
            Err(NoSuchDay) if json::anyway() => Ok(Self { year: 0, month: 0, day: 0 }),
            day => day.map_err(|_| {
                let text = "must be a day that exists, as YYYY-MM-DD";
                D::Error::custom(fault(Code::InvalidDate, text))
            }),
        }
    }
}

/// Chrono alone would take `2025-1-5` and `+12025-01-05` too.
fn parse(text: &str) -> Option<NaiveDate> {
    let digits =
        |range| text.get(range).filter(|part: &&str| part.bytes().all(|b| b.is_ascii_digit()));
    if text.len() != 10 || text.get(4..5) != Some("-") || text.get(7..8) != Some("-") {
        return None;
    }
    let year = digits(0..4)?.parse().ok().filter(|year| *year >= 1)?;
    NaiveDate::from_ymd_opt(year, digits(5..7)?.parse().ok()?, digits(8..10)?.parse().ok()?)
}

impl PartialSchema for Date {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Date)))
            .description(Some("A day, `YYYY-MM-DD`."))
            .examples([serde_json::json!("2025-10-31")])
            .into()
    }
}

impl ToSchema for Date {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    #[test]
    fn only_a_day_that_exists_is_a_date() {
        for text in [
            "2025-02-29",
            "2025-13-01",
            "2025-1-05",
            "25-01-05",
            "0000-01-01",
            "2025-01-05T00:00:00Z",
            "2025/01/05",
            " 2025-01-05",
            "+025-01-05",
            "2025-01-0五",
            "五2025-0105",
            "",
        ] {
            let error = serde_json::from_value::<Date>(text.into()).unwrap_err().to_string();
            assert!(error.contains("invalid_date"), "{text}: {error}");
        }
        assert_eq!(
            serde_json::from_str::<Date>("\"2024-02-29\"").unwrap(),
            Date { year: 2024, month: 2, day: 29 }
        );
    }

    #[test]
    fn a_message_that_is_no_day_is_not_answered() {
        assert_eq!(NaiveDate::try_from(Date { year: 2025, month: 2, day: 30 }), Err(NoSuchDay));
        assert!(serde_json::to_string(&Date::default()).is_err());
    }

    proptest! {
        #[test]
        fn every_day_survives_the_wire_and_json(number in 1..=3_652_059_i32) {
            let day = NaiveDate::from_num_days_from_ce_opt(number).unwrap();
            let date = Date::from(day);
            prop_assert_eq!(NaiveDate::try_from(date).unwrap(), day);
            prop_assert_eq!(Date::decode(&*date.encode_to_vec()).unwrap(), date);
            let json = serde_json::to_string(&date).unwrap();
            prop_assert_eq!(serde_json::from_str::<Date>(&json).unwrap(), date);
        }
    }
}
