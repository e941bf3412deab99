//! One-time codes and recovery codes: what they look like, and which are good when. RFC 4226, RFC 6238.

use aws_lc_rs::{
    constant_time::verify_slices_are_equal,
    hmac::{self, HMAC_SHA1_FOR_LEGACY_USE_ONLY},
};
use chrono::{DateTime, Utc};
use data_encoding::BASE32_NOPAD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};

/// Seconds that a code is shown by the app.
const STEP_S: i64 = 30;
/// A clock may be wrong by so many steps.
const DRIFT: i64 = 1;
/// Digits of a code. What apps on phones can do: neither more digits nor another hash is understood by all.
const DIGITS: usize = 6;
/// By what name the app lists the secret.
const ISSUER: &str = "Sales Pipeline Manager";

/// How many recovery codes there are at first.
pub const RECOVERY_CODES: usize = 10;
/// Random bytes of a recovery code.
const RECOVERY_BYTES: usize = 10;
/// Letters of a recovery code, without the hyphens.
const RECOVERY_LETTERS: usize = 16;
/// Letters between two hyphens.
const GROUP: usize = 4;

/// What app and service have in common.
pub type Key = [u8; 20];
/// Randomness for a set of recovery codes.
pub type RecoveryRandom = [u8; RECOVERY_CODES * RECOVERY_BYTES];

/// What a sign-in needs besides the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing.
    None,
    /// A code of the app, or a recovery code.
    Code,
    /// To turn a second factor on first: the role must have one.
    Enrolment,
}

impl Need {
    /// Of somebody who has a second factor, or whose role must have one.
    pub fn of(has: bool, must: bool) -> Self {
        match (has, must) {
            (true, _) => Self::Code,
            (false, true) => Self::Enrolment,
            (false, false) => Self::None,
        }
    }
}

/// What a user is asked for and has left.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// Whether they have a second factor.
    pub has: bool,
    /// Whether their role must have one.
    pub must: bool,
    /// How many recovery codes are unused.
    pub recovery_codes_left: i64,
}

/// What somebody shows for a second factor.
#[derive(Clone, PartialEq, Eq)]
pub enum Shown {
    /// Digits from the app.
    Code(String),
    /// The hash of a recovery code.
    Recovery(Vec<u8>),
}

impl Shown {
    /// What a text is, as people type it: with spaces and hyphens, in whichever case. Nothing where it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let letters: String = text
            .chars()
            .filter(|letter| !letter.is_whitespace() && *letter != '-')
            .map(|letter| letter.to_ascii_uppercase())
            .take(RECOVERY_LETTERS + 1)
            .collect();
        if letters.len() == DIGITS && letters.bytes().all(|letter| letter.is_ascii_digit()) {
            Some(Self::Code(letters))
        } else {
            recovery_hash(&letters).map(Self::Recovery)
        }
    }
}

/// The time step of a code that is good now and of a later step than any before. Takes as long for every code.
pub fn good_step(
    key: &[u8],
    code: &str,
    last_step: Option<i64>,
    now: DateTime<Utc>,
) -> Option<i64> {
    let present = now.timestamp().div_euclid(STEP_S);
    let mut good = None;
    for step in present - DRIFT..=present + DRIFT {
        let same = verify_slices_are_equal(self::code(key, step).as_bytes(), code.as_bytes());
        if same.is_ok() && last_step.is_none_or(|last| step > last) {
            good = Some(step);
        }
    }
    good
}

/// The code of a time step: RFC 4226 section 5.3 over the step.
pub fn code(key: &[u8], step: i64) -> String {
    let key = hmac::Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag.last().copied().unwrap_or_default() & 0x0f);
    let four = tag.iter().skip(offset).take(4);
    let number = four.fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte)) & 0x7fff_ffff;
    format!("{:0DIGITS$}", number % 1_000_000)
}

/// The secret as people type it into an app: base32.
pub fn letters(key: &[u8]) -> String {
    BASE32_NOPAD.encode(key)
}

/// The secret as an app scans it.
pub fn otpauth_uri(key: &[u8], email: &str) -> String {
    let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let (issuer, email, secret) = (encode(ISSUER), encode(email), letters(key));
    format!(
        "otpauth://totp/{issuer}:{email}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits={DIGITS}&period={STEP_S}"
    )
}

/// Recovery codes, as their owner gets them: `ABCD-EFGH-IJKL-MNOP`.
pub fn recovery_codes(random: &RecoveryRandom) -> Vec<String> {
    let grouped = |letters: String| {
        let letters: Vec<char> = letters.chars().collect();
        let groups: Vec<String> = letters.chunks(GROUP).map(|it| it.iter().collect()).collect();
        groups.join("-")
    };
    random.chunks_exact(RECOVERY_BYTES).map(|code| grouped(BASE32_NOPAD.encode(code))).collect()
}

/// What is kept of a recovery code. It has 80 random bits and guessing is bounded, so that a plain hash does.
pub fn recovery_hash(code: &str) -> Option<Vec<u8>> {
    let letters = code.replace('-', "");
    let bytes = BASE32_NOPAD.decode(letters.as_bytes()).ok()?;
    (bytes.len() == RECOVERY_BYTES).then(|| Sha256::digest(&bytes).to_vec())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chrono::TimeDelta;

    use super::*;

    /// RFC 6238, appendix B: the key and, for each second, the code. The page has eight digits, of which six are the last.
    const KEY: &[u8] = b"12345678901234567890";
    const VECTORS: [(i64, &str); 6] = [
        (59, "94287082"),
        (1_111_111_109, "07081804"),
        (1_111_111_111, "14050471"),
        (1_234_567_890, "89005924"),
        (2_000_000_000, "69279037"),
        (20_000_000_000, "65353130"),
    ];

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        for (seconds, eight) in VECTORS {
            assert_eq!(code(KEY, seconds / 30), eight[2..], "{seconds}");
            assert_eq!(good_step(KEY, &eight[2..], None, at(seconds)), Some(seconds / 30));
        }
    }

    #[test]
    fn a_clock_may_be_wrong_by_one_step_and_no_more() {
        let now = at(1_111_111_111);
        let present = 1_111_111_111 / 30;
        for (step, is_good) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
            let good = good_step(KEY, &code(KEY, present + step), None, now);
            assert_eq!(good, is_good.then_some(present + step), "{step}");
        }
    }

    #[test]
    fn a_code_is_good_once_and_none_from_before_it() {
        let now = at(59);
        assert_eq!(good_step(KEY, &code(KEY, 1), Some(1), now), None);
        assert_eq!(good_step(KEY, &code(KEY, 0), Some(1), now), None);
        assert_eq!(good_step(KEY, &code(KEY, 2), Some(1), now), Some(2));
    }

    #[test]
    fn what_is_no_code_is_not_good() {
        for text in ["", "287083", "28708", "2870820", "２８７０８２"] {
            assert_eq!(good_step(KEY, text, None, at(59)), None, "{text}");
        }
    }

    #[test]
    fn an_app_gets_issuer_address_and_secret() {
        assert_eq!(
            otpauth_uri(KEY, "amy+x@example.com"),
            "otpauth://totp/Sales%20Pipeline%20Manager:amy%2Bx%40example%2Ecom\
             ?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Sales%20Pipeline%20Manager&algorithm=SHA1&digits=6&period=30"
        );
    }

    #[test]
    fn recovery_codes_are_ten_of_eighty_bits_in_groups_of_four_letters() {
        let mut random = [0; RECOVERY_CODES * RECOVERY_BYTES];
        (0_u8..).zip(random.iter_mut()).for_each(|(number, byte)| *byte = number);
        let codes = recovery_codes(&random);
        assert_eq!(codes.len(), 10);
        assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), 10);
        assert_eq!(codes[0], "AAAQ-EAYE-AUDA-OCAJ");
        for code in &codes {
            assert!(code.split('-').all(|group| group.len() == 4), "{code}");
            assert_eq!(code.split('-').count(), 4);
        }
    }

    #[test]
    fn a_recovery_code_may_be_typed_in_any_case_and_with_any_space() {
        let hash = recovery_hash("AAAQ-EAYE-AUDA-OCAJ").unwrap();
        for typed in ["AAAQ-EAYE-AUDA-OCAJ", " aaaq eaye auda ocaj ", "aaaqeayeaudaocaj"] {
            assert!(Shown::parse(typed) == Some(Shown::Recovery(hash.clone())), "{typed}");
        }
        assert!(Shown::parse(" 287 082 ") == Some(Shown::Code("287082".to_owned())));
        for typed in
            ["", "28708", "aaaq-eaye-auda-oca", "aaaq-eaye-auda-ocaj-a", "aaaq-eaye-auda-oca1"]
        {
            assert!(Shown::parse(typed).is_none(), "{typed}");
        }
        assert!(Shown::parse(&"a".repeat(1_000_000)).is_none());
    }

    #[test]
    fn who_has_a_second_factor_shows_it_and_whose_role_must_have_one_turns_it_on() {
        assert_eq!(Need::of(false, false), Need::None);
        assert_eq!(Need::of(false, true), Need::Enrolment);
        assert_eq!(Need::of(true, false), Need::Code);
        assert_eq!(Need::of(true, true), Need::Code);
    }
}
