//! Spans of time as callers name them: by days of the organisation, or by instants.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;

use crate::Invalid;

/// From an instant, included, until another, not included; without end where there is none.
pub type Span = (Option<DateTime<Utc>>, Option<DateTime<Utc>>);

/// Reads the two ends of a span, each with the name of its field: a whole day of that zone or an RFC 3339 instant. Both are included: a
/// day's end is the start of the next.
pub fn span(
    invalid: &mut Invalid,
    (from_field, from): (&str, Option<&str>),
    (to_field, to): (&str, Option<&str>),
    zone: Tz,
) -> Span {
    let mut read = |field: &str, text: Option<&str>, is_last: bool| {
        let text = text?;
        if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
            // Both ends are included, and the clock ticks in microseconds.
            let instant = instant.with_timezone(&Utc);
            return Some(if is_last { instant + TimeDelta::microseconds(1) } else { instant });
        }
        let day = NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .ok()
            .filter(|_| text.len() == 10)
            .and_then(|day| if is_last { day.succ_opt() } else { Some(day) });
        if day.is_none() {
            let message = "is neither YYYY-MM-DD nor an RFC 3339 instant";
            invalid.add(field, "invalid_date", message);
        }
        Some(start_of(day?, zone))
    };
    (read(from_field, from, false), read(to_field, to, true))
}

/// The first instant of a day in a zone, also where the clocks skip midnight.
pub fn start_of(day: NaiveDate, zone: Tz) -> DateTime<Utc> {
    let mut local: NaiveDateTime = day.and_time(NaiveTime::MIN);
    loop {
        if let Some(instant) = zone.from_local_datetime(&local).earliest() {
            return instant.with_timezone(&Utc);
        }
        local += TimeDelta::minutes(15);
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::{America::Sao_Paulo, Asia::Taipei};

    use super::*;

    fn read(from: &str, to: &str, zone: Tz) -> (String, String) {
        let mut invalid = Invalid::default();
        let (from, to) = span(&mut invalid, ("from", Some(from)), ("to", Some(to)), zone);
        assert!(invalid.is_empty(), "{invalid:?}");
        (from.unwrap().to_string(), to.unwrap().to_string())
    }

    #[test]
    fn days_are_whole_and_of_the_zone_and_instants_are_taken_as_such() {
        let pair = |from: &str, to: &str| (from.to_owned(), to.to_owned());
        assert_eq!(
            read("2025-10-31", "2025-10-31", Taipei),
            pair("2025-10-30 16:00:00 UTC", "2025-10-31 16:00:00 UTC")
        );
        // On that day there was no midnight.
        assert_eq!(
            read("2018-11-04", "2018-11-04", Sao_Paulo),
            pair("2018-11-04 03:00:00 UTC", "2018-11-05 02:00:00 UTC")
        );
        assert_eq!(
            read("2025-10-31T09:30:00+08:00", "2025-10-31T01:30:00Z", Taipei),
            pair("2025-10-31 01:30:00 UTC", "2025-10-31 01:30:00.000001 UTC")
        );
    }

    #[test]
    fn what_is_neither_is_a_bad_field_and_what_is_absent_has_no_end() {
        let mut invalid = Invalid::default();
        assert_eq!(span(&mut invalid, ("from", None), ("to", None), Taipei), (None, None));
        assert!(invalid.is_empty());
        span(&mut invalid, ("from", Some("2025-02-30")), ("to", Some("today")), Taipei);
        let Err(crate::Error::Invalid(fields)) = invalid.into_result() else { panic!("accepted") };
        let found: Vec<_> = fields.iter().map(|it| (&*it.field, &*it.code)).collect();
        assert_eq!(found, [("from", "invalid_date"), ("to", "invalid_date")]);
    }
}
