//! Decimal numbers of so many decimals as one integer of their smallest parts: how they are read and written.

use std::fmt;

use crate::ParseError;

/// Reads a decimal number such as `12`, `-0.5`, `1.000` or `2.5e3`, exactly, in parts of which 10 to the power of `decimals` make one.
pub fn parse(text: &str, decimals: u32) -> Result<i128, ParseError> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        None => (text, 0),
        Some((mantissa, exponent)) => {
            (mantissa, exponent.parse::<i32>().map_err(|_| ParseError::NotANumber)?)
        }
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(fraction) || digits.ends_with('.') {
        return Err(ParseError::NotANumber);
    }
    let mut number = String::with_capacity(whole.len() + fraction.len());
    number.push_str(whole);
    number.push_str(fraction);
    let number = number.trim_start_matches('0');
    let significant = number.trim_end_matches('0');
    if significant.is_empty() {
        return Ok(0);
    }
    let length = |text: &str| i64::try_from(text.len()).unwrap_or(i64::MAX);
    // value in parts = significant × 10^scale
    let scale = i64::from(exponent) + i64::from(decimals) - length(fraction) + length(number)
        - length(significant);
    if scale < 0 {
        return Err(ParseError::TooManyDecimals);
    }
    if length(significant) + scale > 36 {
        return Err(ParseError::OutOfRange);
    }
    let significant: i128 = significant.parse().map_err(|_| ParseError::OutOfRange)?;
    let scale = u32::try_from(scale).map_err(|_| ParseError::OutOfRange)?;
    let parts = significant * 10_i128.pow(scale);
    Ok(if negative { -parts } else { parts })
}

/// Writes such a number in its shortest form: `0.1`, `2500000`, `-3.05`.
pub fn write(out: &mut fmt::Formatter<'_>, parts: i128, decimals: u32) -> fmt::Result {
    let sign = if parts < 0 { "-" } else { "" };
    let one = 10_u128.pow(decimals);
    let (units, rest) = (parts.unsigned_abs() / one, parts.unsigned_abs() % one);
    if rest == 0 {
        return write!(out, "{sign}{units}");
    }
    let width = usize::try_from(decimals).unwrap_or_default();
    let rest = format!("{rest:0width$}");
    write!(out, "{sign}{units}.{}", rest.trim_end_matches('0'))
}
