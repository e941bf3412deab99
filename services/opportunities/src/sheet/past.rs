//! Columns that only history has: when something was made, and through which stages it went when.

use chrono::{DateTime, Datelike as _, NaiveDateTime, NaiveTime, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use rpc::Invalid;
use unicode_normalization::UnicodeNormalization;

use super::cell::split;
use super::column::{Column, brought, ymd};

/// A time as it stands in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// With its offset.
    At(DateTime<Utc>),
    /// As clocks show it in the organisation's zone.
    Local(NaiveDateTime),
}

impl When {
    /// The instant; one that clocks leave out is an hour later. Nothing outside of years 2 to 9998: in every zone its day is in
    /// one from 1 to 9999, which are those that can be told.
    pub fn instant(self, zone: Tz) -> Option<DateTime<Utc>> {
        let at = match self {
            Self::At(at) => Some(at),
            Self::Local(local) => Self::of_clocks(local, zone),
        };
        at.filter(|at| (2..=9_998).contains(&at.year()))
    }

    fn of_clocks(local: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
        let found = zone.from_local_datetime(&local).earliest();
        let found = found.or_else(|| {
            let later = local.checked_add_signed(TimeDelta::hours(1))?;
            zone.from_local_datetime(&later).earliest()
        });
        found.map(|at| at.with_timezone(&Utc))
    }
}

/// The columns of history, beside those of every file.
pub static PAST: [Column; 2] = [
    brought(
        "created_at",
        &["created", "created on", "created date", "create date", "建立日期", "建立時間", "建立日"],
        |entry, invalid, text| {
            entry.created_at = read(text);
            if entry.created_at.is_none() {
                invalid.add(
                    "created_at",
                    "invalid_time",
                    "is no time as 2025-01-03T09:00:00+08:00",
                );
            }
        },
    ),
    brought(
        "stage_history",
        &["stage changes", "stage log", "階段歷程", "階段紀錄", "階段歷史"],
        |entry, invalid, text| entry.stage_history = history(invalid, text),
    ),
];

/// The most stages of a history.
const MOST: usize = 200;

/// `lead@2025-01-03T09:00:00+08:00; won@2025-03-05`.
fn history(invalid: &mut Invalid, text: &str) -> Vec<(String, When)> {
    let names = split(text);
    if names.len() > MOST {
        invalid.add("stage_history", "too_many", format!("has more than {MOST} entries"));
        return Vec::new();
    }
    let mut history = Vec::with_capacity(names.len());
    for (index, it) in names.iter().enumerate() {
        let (stage, when) = it.rsplit_once('@').unwrap_or_default();
        if let Some(when) = read(when).filter(|_| !stage.trim().is_empty()) {
            history.push((stage.trim().to_owned(), when));
        } else {
            let message = format!("entry {} is not of the form stage@time", index + 1);
            invalid.add("stage_history", "invalid_time", message);
        }
    }
    history
}

/// An instant with its offset, a day with a time of day, or a day, which begins at midnight.
fn read(text: &str) -> Option<When> {
    let text: String = text.nfkc().collect();
    let text = text.trim();
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(When::At(at.with_timezone(&Utc)));
    }
    let (day, time) = text.split_once([' ', 'T']).unwrap_or((text, "00:00"));
    let forms = ["%H:%M:%S%.f", "%H:%M"];
    let time = forms.iter().find_map(|form| NaiveTime::parse_from_str(time.trim(), form).ok())?;
    ymd(day).map(|day| When::Local(day.and_time(time)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_instants_or_what_clocks_show() {
        let taipei = chrono_tz::Asia::Taipei;
        for (text, instant) in [
            ("2025-01-03T09:00:00+08:00", "2025-01-03T01:00:00Z"),
            ("2025-01-03 09:00:00Z", "2025-01-03T09:00:00Z"),
            ("2025-01-03", "2025-01-02T16:00:00Z"),
            ("２０２５/1/3 09:30", "2025-01-03T01:30:00Z"),
        ] {
            let at = read(text).and_then(|when| when.instant(taipei));
            assert_eq!(at, Some(instant.parse().unwrap()), "{text}");
        }
        for text in
            ["", "yesterday", "2025-13-01", "2025-01-03 25:00", "2025-01-03T09:00:00+08:00x"]
        {
            assert_eq!(read(text), None, "{text}");
        }
        // Midnight in Taipei is in the year before the first in UTC, and midnight in UTC is in America.
        for text in ["0001-01-01", "0001-01-01T00:00:00Z", "0000-06-01T00:00:00Z"] {
            let when = read(text);
            assert!(when.is_none_or(|when| when.instant(taipei).is_none()), "{text}");
        }
        assert!(read("0002-01-02").unwrap().instant(taipei).is_some());
        // Clocks went from two to three.
        let left_out = read("2025-03-30 02:30").unwrap().instant(chrono_tz::Europe::Berlin);
        assert_eq!(left_out, Some("2025-03-30T01:30:00Z".parse().unwrap()));
    }

    #[test]
    fn a_history_is_stages_with_their_times() {
        let mut invalid = Invalid::default();
        let found = history(&mut invalid, "lead@2025-01-03; \"a;b@x\"; 成交@2025-03-05 10:00;");
        assert_eq!(found.len(), 2);
        assert_eq!((&*found[0].0, &*found[1].0), ("lead", "成交"));
        let Err(rpc::Error::Invalid(fields)) = invalid.into_result() else { panic!("no fault") };
        assert_eq!(fields.len(), 1);
        assert_eq!(fields[0].code, "invalid_time");
    }
}
