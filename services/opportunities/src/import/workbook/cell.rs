//! What stands in a cell of a workbook, as the text that a person sees there.

use calamine::{DataRef, ExcelDateTime};

/// How many digits of a number a person sees; what comes after them is noise of its binary form.
const DIGITS: usize = 15;

/// Whether numbers of that format are shown as percents.
pub(super) fn is_percent(format: &str) -> bool {
    let mut is_quoted = false;
    let mut is_escaped = false;
    for letter in format.chars() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            ';' if !is_quoted => return false,
            '%' if !is_quoted => return true,
            _ => {}
        }
    }
    false
}

/// A cell's text; nothing where nothing stands.
pub(super) fn text(value: &DataRef<'_>, is_percent: bool) -> String {
    match value {
        DataRef::Empty => String::new(),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => {
            text.clone()
        }
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Int(number) => number.to_string(),
        DataRef::Float(number) if is_percent => format!("{}%", decimal(*number, 2)),
        DataRef::Float(number) => decimal(*number, 0),
        DataRef::Bool(flag) => flag.to_string(),
        DataRef::DateTime(at) => moment(at),
        DataRef::Error(error) => error.to_string(),
    }
}

/// A number with as many digits as a person sees, the point moved to the right by so many places.
fn decimal(number: f64, places: i32) -> String {
    let scientific = format!("{number:.*e}", DIGITS - 1);
    let parts = scientific.split_once('e');
    let Some((digits, exponent)) =
        parts.and_then(|(digits, exponent)| Some((digits, exponent.parse::<i32>().ok()?)))
    else {
        return "#NUM!".to_owned();
    };
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let digits = digits.replace('.', "");
    let digits = digits.trim_end_matches('0');
    if digits.is_empty() {
        return "0".to_owned();
    }
    // How many of the digits stand before the point.
    let before = exponent + 1 + places;
    let length = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or_default());
    if before <= 0 {
        format!("{sign}0.{}{digits}", zeros(-before))
    } else if before >= length {
        format!("{sign}{digits}{}", zeros(before - length))
    } else {
        let (whole, rest) = digits.split_at(usize::try_from(before).unwrap_or_default());
        format!("{sign}{whole}.{rest}")
    }
}

/// A day, a time of day, or both; how long something took as hours, minutes and seconds.
fn moment(at: &ExcelDateTime) -> String {
    let value = at.as_f64();
    if at.is_duration() {
        let seconds = decimal((value * 86_400.0).round(), 0).parse::<i64>().unwrap_or_default();
        return format!("{}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    }
    let (year, month, day, hour, minute, second, _) = at.to_ymd_hms_milli();
    let date = format!("{year:04}-{month:02}-{day:02}");
    let time = format!("{hour:02}:{minute:02}:{second:02}");
    match (value < 1.0, hour + minute + second) {
        (true, _) => time,
        (false, 0) => date,
        (false, _) => format!("{date} {time}"),
    }
}

#[cfg(test)]
mod tests {
    use calamine::{CellErrorType, ExcelDateTimeType};

    use super::*;

    #[test]
    fn a_number_has_the_digits_that_a_person_sees() {
        for (number, text) in [
            (0.1 + 0.2, "0.3"),
            (1_083.32, "1083.32"),
            (9_999_999_999_999.99, "9999999999999.99"),
            (-0.05, "-0.05"),
            (0.0, "0"),
            (-0.0, "0"),
            (2_500_000.0, "2500000"),
            (1e21, "1000000000000000000000"),
            (1.005, "1.005"),
            (123_456_789.125, "123456789.125"),
            (f64::NAN, "#NUM!"),
            (f64::INFINITY, "#NUM!"),
        ] {
            assert_eq!(decimal(number, 0), text);
        }
    }

    #[test]
    fn a_percent_is_told_as_one() {
        for (number, percent) in [(0.3, "30%"), (1.0, "100%"), (0.125, "12.5%"), (0.07, "7%")] {
            assert_eq!(text(&DataRef::Float(number), true), percent);
        }
        for (format, is_one) in
            [("0%", true), ("0.00%", true), ("0\"%\"", false), ("0\\%", false), ("0;0%", false)]
        {
            assert_eq!(is_percent(format), is_one, "{format}");
        }
    }

    #[test]
    fn days_and_times_are_as_people_write_them_in_either_calendar() {
        let told = |value, is_1904| {
            let at = ExcelDateTime::new(value, ExcelDateTimeType::DateTime, is_1904);
            text(&DataRef::DateTime(at), false)
        };
        assert_eq!(told(46_354.0, false), "2026-11-28");
        assert_eq!(told(46_354.0 - 1_462.0, true), "2026-11-28");
        assert_eq!(told(46_354.5, false), "2026-11-28 12:00:00");
        assert_eq!(told(0.75, false), "18:00:00");
        let long = ExcelDateTime::new(1.5, ExcelDateTimeType::TimeDelta, false);
        assert_eq!(text(&DataRef::DateTime(long), false), "36:00:00");
        assert_eq!(text(&DataRef::Error(CellErrorType::NA), false), "#N/A");
    }
}
