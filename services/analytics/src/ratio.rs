//! Shares and means as reports give them: rounded half away from zero, from exact numbers.

use money::Money;

const SECONDS_A_DAY: i64 = 86_400;

/// A part of a whole with four decimals; nothing where the whole is 0.
pub fn share(part: i64, whole: i64) -> Option<f64> {
    quotient(part.into(), whole.into(), 10_000)
}

/// One amount as a part of another with four decimals; nothing where that is 0.
pub fn of(part: Money, whole: Money) -> Option<f64> {
    quotient(part.hundredths(), whole.hundredths(), 10_000)
}

/// The relative change from one amount to the next with four decimals; nothing where the first is 0.
pub fn change(before: Money, after: Money) -> Option<f64> {
    quotient((after - before).hundredths(), before.hundredths(), 10_000)
}

/// The mean of that many, which add up to so many days, with one decimal; nothing where there are none.
pub fn mean_days(days: i64, count: i64) -> Option<f64> {
    quotient(days.into(), count.into(), 10)
}

/// The mean in days of that many, which add up to so many seconds, with one decimal; nothing where there are none.
pub fn mean_days_of_seconds(seconds: i64, count: i64) -> Option<f64> {
    quotient(seconds.into(), i128::from(count) * i128::from(SECONDS_A_DAY), 10)
}

/// `part` ÷ `whole`, which is not negative, to the nearest of `steps` a unit.
fn quotient(part: i128, whole: i128, steps: u32) -> Option<f64> {
    if whole == 0 {
        return None;
    }
    let part = part.saturating_mul(steps.into());
    let half = if part < 0 { -whole / 2 } else { whole / 2 };
    let rounded = part.saturating_add(half) / whole;
    #[expect(clippy::cast_precision_loss, reason = "what is answered is a binary float")]
    Some(rounded as f64 / f64::from(steps))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_has_four_decimals_and_none_has_no_whole() {
        assert_eq!(share(28, 43), Some(0.6512));
        assert_eq!(share(1, 20_000), Some(0.0001));
        assert_eq!(share(0, 3), Some(0.0));
        assert_eq!(share(0, 0), None);
    }

    #[test]
    fn a_change_is_relative_to_what_was_before() {
        let money = Money::from_hundredths;
        assert_eq!(change(money(300), money(400)), Some(0.3333));
        assert_eq!(change(money(300), money(100)), Some(-0.6667));
        assert_eq!(change(money(100), money(0)), Some(-1.0));
        assert_eq!(change(money(0), money(400)), None);
        assert_eq!(change(money(20_000), money(19_999)), Some(-0.0001));
    }

    #[test]
    fn a_mean_of_days_has_one_decimal() {
        assert_eq!(mean_days(25, 2), Some(12.5));
        assert_eq!(mean_days(1, 3), Some(0.3));
        assert_eq!(mean_days(0, 0), None);
        assert_eq!(mean_days_of_seconds(86_400 * 3 + 43_200, 1), Some(3.5));
    }
}
