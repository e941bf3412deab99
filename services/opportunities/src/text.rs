//! Text that people type: how it is trimmed, compared and refused.

use std::borrow::Cow;

use caseless::Caseless;
use rpc::Invalid;
use unicode_normalization::UnicodeNormalization;

/// The form by which two texts are the same to a person: NFKC, casefolded, spaces collapsed.
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    if text.chars().all(is_plain) {
        push_words(&mut folded, text);
        folded.make_ascii_lowercase();
    } else {
        push_words(&mut folded, &text.nfkc().default_case_fold().nfkc().collect::<String>());
    }
    folded
}

/// Whether a character is of ASCII, or one of the ideographs that names mostly are of: but for capitals, that is the form by which it is compared, whatever stands beside it.
fn is_plain(it: char) -> bool {
    it.is_ascii() || ('\u{4e00}'..='\u{9fff}').contains(&it)
}

fn push_words(folded: &mut String, text: &str) {
    for word in text.split_whitespace() {
        if !folded.is_empty() {
            folded.push(' ');
        }
        folded.push_str(word);
    }
}

/// What ends a line.
const LINE_BREAKS: [char; 7] = ['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'];

/// A text in one line: a space stands for every line break, with the space around it.
pub fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(LINE_BREAKS) {
        return text.into();
    }
    let lines = text.split(LINE_BREAKS).map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ").into()
}

/// A name in one line, without the space around it; blank is missing, however much of it. Too long as it is sent, or with a NUL, is refused.
pub fn name(
    invalid: &mut Invalid,
    field: &str,
    value: Option<&str>,
    longest: usize,
) -> Option<String> {
    let value = value.filter(|value| !value.trim().is_empty())?;
    fits(invalid, field, value, longest).then(|| one_line(value.trim()).into_owned())
}

/// An id in another system of up to 255 characters, without the space around it; blank is missing. It is kept to the letter, so that no two become one: with a line break it is refused.
pub fn external_id(invalid: &mut Invalid, field: &str, value: Option<&str>) -> Option<String> {
    if value?.trim().contains(LINE_BREAKS) {
        invalid.add(field, "invalid_character", "contains a line break");
        return None;
    }
    name(invalid, field, value, 255)
}

/// A name of up to 255 characters that has to be there: blank is told to be missing.
pub fn needed_name(invalid: &mut Invalid, field: &str, value: Option<&str>) -> Option<String> {
    let value = value.unwrap_or_default();
    if value.trim().is_empty() {
        invalid.add(field, "required", "is missing");
        return None;
    }
    name(invalid, field, Some(value), 255)
}

/// An e-mail address: something, an @, something, and no space.
pub fn email(invalid: &mut Invalid, field: &str, value: Option<&str>) -> Option<String> {
    let email = name(invalid, field, value, 320)?;
    let parts = email.rsplit_once('@');
    let sound = parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    if !sound || email.chars().any(|it| it.is_whitespace() || it.is_control()) {
        invalid.add(field, "invalid_email", "is not an e-mail address");
        return None;
    }
    Some(email)
}

/// A free text as it is; blank is missing, however much of it. Too long, or with a NUL, is refused.
pub fn free(
    invalid: &mut Invalid,
    field: &str,
    value: Option<&str>,
    longest: usize,
) -> Option<String> {
    let value = value.filter(|value| !value.trim().is_empty())?;
    fits(invalid, field, value, longest).then(|| value.to_owned())
}

/// Names up to so many, each trimmed; blank ones are refused.
pub fn names(invalid: &mut Invalid, field: &str, values: &[String], most: usize) -> Vec<String> {
    if values.len() > most {
        invalid.add(field, "too_many", format!("has more than {most} entries"));
        return Vec::new();
    }
    let mut names = Vec::with_capacity(values.len());
    for (index, value) in values.iter().enumerate() {
        let field = format!("{field}[{index}]");
        if value.trim().is_empty() {
            invalid.add(field, "required", "is blank");
        } else {
            names.extend(name(invalid, &field, Some(value), 255));
        }
    }
    names
}

fn fits(invalid: &mut Invalid, field: &str, value: &str, longest: usize) -> bool {
    if value.contains('\0') {
        invalid.add(field, "invalid_character", "contains a NUL character");
        return false;
    }
    if value.chars().count() > longest {
        invalid.add(field, "too_long", format!("is longer than {longest} characters"));
        return false;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_width_and_space_make_no_difference() {
        assert_eq!(fold("  ＸＹＺ　公司 "), fold("xyz 公司"));
        assert_eq!(fold("Straße GmbH"), fold("STRASSE  gmbh"));
        assert_ne!(fold("XYZ"), fold("XY Z"));
    }

    #[test]
    fn what_is_plain_is_folded_as_unicode_says_without_asking_it() {
        let plain: String = ('\0'..=char::MAX).filter(|it| is_plain(*it)).collect();
        assert_eq!(plain.chars().count(), 128 + 0x5200);
        let slowly: String = plain.nfkc().default_case_fold().nfkc().collect();
        assert_eq!(plain.to_ascii_lowercase(), slowly);
        assert_eq!(fold(" A\tb\u{b}系統 \n"), "a b 系統");
        assert_eq!(fold(" \r\n"), "");
    }

    #[test]
    fn a_blank_name_is_missing_and_a_long_one_is_refused() {
        let mut invalid = Invalid::default();
        assert_eq!(name(&mut invalid, "a", Some("  "), 3), None);
        assert_eq!(name(&mut invalid, "a", Some(" 公司名 "), 5), Some("公司名".into()));
        assert!(invalid.is_empty());
        assert_eq!(name(&mut invalid, "a", Some("four"), 3), None);
        assert_eq!(name(&mut invalid, "b", Some("a\0b"), 9), None);
        assert_eq!(codes(invalid), ["a too_long", "b invalid_character"]);
    }

    #[test]
    fn space_around_a_text_counts_as_it_is_sent_and_nothing_else_is_none() {
        let mut invalid = Invalid::default();
        let padded = format!("x{:255}", "");
        assert_eq!(name(&mut invalid, "a", Some(&padded), 255), None);
        assert_eq!(name(&mut invalid, "b", Some(&" ".repeat(256)), 255), None);
        assert_eq!(needed_name(&mut invalid, "c", Some(&padded)), None);
        assert_eq!(needed_name(&mut invalid, "d", Some(&" ".repeat(256))), None);
        assert_eq!(external_id(&mut invalid, "e", Some(&padded)), None);
        assert_eq!(email(&mut invalid, "f", Some(&format!("a@b.tw{:315}", ""))), None);
        assert_eq!(free(&mut invalid, "g", Some("   \n"), 3), None);
        let listed = [padded[..255].to_owned(), padded, " ".repeat(256)];
        assert_eq!(names(&mut invalid, "h", &listed, 3), ["x"]);
        let told = [
            "a too_long",
            "c too_long",
            "d required",
            "e too_long",
            "f too_long",
            "h[1] too_long",
            "h[2] required",
        ];
        assert_eq!(codes(invalid), told);
    }

    fn codes(invalid: Invalid) -> Vec<String> {
        let Err(rpc::Error::Invalid(fields)) = invalid.into_result() else { panic!("no fault") };
        fields.iter().map(|it| format!("{} {}", it.field, it.code)).collect()
    }

    #[test]
    fn a_name_is_one_line_and_an_id_of_several_is_refused() {
        let mut invalid = Invalid::default();
        let text = "\r\nBüro \r\n\n\u{2028}Nord\tA ";
        assert_eq!(name(&mut invalid, "a", Some(text), 18), Some("Büro Nord\tA".into()));
        assert_eq!(name(&mut invalid, "a", Some("\n\r"), 12), None);
        assert_eq!(external_id(&mut invalid, "b", Some(" x 1\r\n")), Some("x 1".into()));
        assert!(invalid.is_empty());
        assert_eq!(external_id(&mut invalid, "b", Some("x\r\n1")), None);
        assert_eq!(codes(invalid), ["b invalid_character"]);
    }
}
