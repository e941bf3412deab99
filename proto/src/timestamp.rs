//! An instant in a message.

use chrono::{DateTime, Datelike, SecondsFormat, SubsecRound, Utc};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::Code;
use crate::error::fault;
use crate::field::Text;

/// `google.protobuf.Timestamp`: an instant; in JSON RFC 3339, answered in UTC with `Z` and no more decimals than it
/// has, six at most.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Message)]
pub struct Timestamp {
    /// Seconds since 1970 in UTC.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Nanoseconds after that second, 0 to 999,999,999.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// The first second of year 1 and the last of year 9999.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

impl From<DateTime<Utc>> for Timestamp {
    fn from(at: DateTime<Utc>) -> Self {
        // A leap second counts as the last nanosecond before the next.
        let nanos = at.timestamp_subsec_nanos().min(999_999_999);
        Self { seconds: at.timestamp(), nanos: i32::try_from(nanos).unwrap_or_default() }
    }
}

impl From<Timestamp> for DateTime<Utc> {
    /// What lies outside of years 1 to 9999 becomes the nearest second inside.
    fn from(timestamp: Timestamp) -> Self {
        let seconds = timestamp.seconds.clamp(*SECONDS.start(), *SECONDS.end());
        let nanos = u32::try_from(timestamp.nanos.clamp(0, 999_999_999)).unwrap_or_default();
        Self::from_timestamp(seconds, nanos).unwrap_or_default()
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !SECONDS.contains(&self.seconds) || !(0..1_000_000_000).contains(&self.nanos) {
            return Err(S::Error::custom("is no instant from year 1 to 9999"));
        }
        let text = DateTime::from(*self).to_rfc3339_opts(SecondsFormat::Micros, true);
        let short = text.trim_end_matches('Z').trim_end_matches('0');
        match short.strip_suffix('.') {
            Some(whole) => serializer.collect_str(&format_args!("{whole}Z")),
            None => serializer.collect_str(&format_args!("{short}Z")),
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Text(text) = Text::deserialize(deserializer)?;
        parse(&text).map(Self::from).ok_or_else(|| {
            let text = "must be an instant with its offset, as 2025-10-31T09:30:00Z";
            D::Error::custom(fault(Code::InvalidTimestamp, text))
        })
    }
}

/// Chrono alone would take a blank for the `T` and years beyond 9999. Cut to microseconds, which is what is kept.
fn parse(text: &str) -> Option<DateTime<Utc>> {
    if !matches!(text.as_bytes().get(10), Some(b'T' | b't')) {
        return None;
    }
    let at = DateTime::parse_from_rfc3339(text).ok()?.with_timezone(&Utc).trunc_subsecs(6);
    (1..=9999).contains(&at.year()).then_some(at)
}

impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("An instant, RFC 3339; answered in UTC with `Z`."))
            .examples([serde_json::json!("2025-10-31T09:30:00Z")])
            .into()
    }
}

impl ToSchema for Timestamp {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    fn answer(text: &str) -> Result<String, String> {
        let timestamp: Timestamp =
            serde_json::from_value(text.into()).map_err(|error| error.to_string())?;
        serde_json::to_string(&timestamp).map_err(|error| error.to_string())
    }

    #[test]
    fn an_instant_is_answered_in_utc_with_its_shortest_fraction() {
        for (text, expected) in [
            ("2025-10-31T17:30:00+08:00", "\"2025-10-31T09:30:00Z\""),
            ("2025-10-31T09:30:10.500Z", "\"2025-10-31T09:30:10.5Z\""),
            ("2025-10-31T09:30:00.123456789Z", "\"2025-10-31T09:30:00.123456Z\""),
            ("1969-12-31T23:59:59.25-00:00", "\"1969-12-31T23:59:59.25Z\""),
        ] {
            assert_eq!(answer(text).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn an_instant_without_offset_or_outside_of_the_calendar_is_refused() {
        for text in [
            "2025-10-31T09:30:00",
            "2025-10-31",
            "2025-10-31 09:30:00Z",
            "2025-02-30T00:00:00Z",
            "9999-12-31T23:59:59-14:00",
            "0001-01-01T00:00:00+01:00",
            "1761903000",
            "",
        ] {
            assert!(answer(text).unwrap_err().contains("invalid_timestamp"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_instant_survives_the_wire_and_json(seconds in SECONDS, micros in 0..1_000_000_i32) {
            let timestamp = Timestamp { seconds, nanos: micros * 1000 };
            prop_assert_eq!(Timestamp::from(DateTime::<Utc>::from(timestamp)), timestamp);
            let json = serde_json::to_string(&timestamp).unwrap();
            prop_assert_eq!(serde_json::from_str::<Timestamp>(&json).unwrap(), timestamp);
            let wire = prost_types::Timestamp { seconds, nanos: timestamp.nanos };
            prop_assert_eq!(Timestamp::decode(&*wire.encode_to_vec()).unwrap(), timestamp);
        }
    }
}
