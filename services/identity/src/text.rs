//! Text that people type: how it is trimmed, compared and refused.

use rpc::Invalid;
use unicode_normalization::UnicodeNormalization as _;

/// The longest name, in characters.
const LONGEST_NAME: usize = 255;
/// The longest e-mail address, in characters.
pub const LONGEST_EMAIL: usize = 320;

/// The form in which two spellings of one address are equal: trimmed, NFKC, lower case.
pub fn fold(text: &str) -> String {
    // Lower case may undo the normal form and the other way round, so twice.
    let once: String = text.trim().nfkc().flat_map(char::to_lowercase).collect();
    once.nfkc().flat_map(char::to_lowercase).collect()
}

/// A name without the space around it. Blank is missing.
pub fn name(invalid: &mut Invalid, field: &str, value: &str) -> Option<String> {
    line(invalid, field, value, LONGEST_NAME)
}

/// One line of text without the space around it, of `longest` characters at most as it is sent. Blank is missing; control
/// characters are refused.
pub fn line(invalid: &mut Invalid, field: &str, value: &str, longest: usize) -> Option<String> {
    let line = value.trim();
    if line.is_empty() {
        invalid.add(field, "required", "is missing");
    } else if line.contains(char::is_control) {
        invalid.add(field, "invalid_character", "contains a control character");
    } else if value.chars().count() > longest {
        invalid.add(field, "too_long", format!("is longer than {longest} characters"));
    } else {
        return Some(line.to_owned());
    }
    None
}

/// The IANA name of a time zone.
pub fn time_zone(invalid: &mut Invalid, field: &str, value: &str) -> Option<String> {
    let zone = value.trim().parse::<chrono_tz::Tz>();
    if zone.is_err() {
        invalid.add(field, "unknown_value", "is no IANA time zone, such as `Asia/Taipei`");
    }
    zone.ok().map(|zone| zone.name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_width_and_space_make_no_other_address() {
        assert_eq!(fold("  ＡMY@Example.com "), "amy@example.com");
        assert_eq!(fold("İ@x.tw"), fold(&fold("İ@x.tw")));
    }
}
