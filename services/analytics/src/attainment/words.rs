//! What numbers say in a sentence, in Traditional Chinese and in English.

use money::Money;

use super::model::Standing;

/// How a target stands: Chinese, then English.
pub(super) fn attainment(standing: &Standing, currency: &str) -> (String, String) {
    let zh = |money: Money| format!("{currency} {}", chinese(money));
    let en = |money: Money| format!("{currency} {}", english(money));
    match *standing {
        Standing::NoTarget => ("尚未設定目標".to_owned(), "no target is set".to_owned()),
        Standing::Met { above } => (
            format!("已達成目標，超出 {}", zh(above)),
            format!("the target is reached, by {} more", en(above)),
        ),
        Standing::Missed { gap } => (
            format!("期間已結束，距目標差 {}", zh(gap)),
            format!("the period is over, {} short of the target", en(gap)),
        ),
        Standing::NoRate { gap } => (
            format!("距目標還差 {}；近十二個月沒有成交，無法推算所需商機", zh(gap)),
            format!(
                "{} to go; nothing was won in the last twelve months, so nobody knows how much open pipeline that takes",
                en(gap)
            ),
        ),
        Standing::Enough { gap } => (
            format!("距目標還差 {}，以目前贏率來看商機足夠", zh(gap)),
            format!("{} to go, and enough open pipeline for it at this win rate", en(gap)),
        ),
        Standing::Short { gap, missing } => (
            format!("距目標還差 {}；以目前贏率還需增加 {} 的商機", zh(gap), zh(missing)),
            format!("{} to go; needs {} more open pipeline at this win rate", en(gap), en(missing)),
        ),
    }
}

/// `1.2 M`, `350 K`, `99`.
pub(crate) fn english(money: Money) -> String {
    scaled(money, &[(1_000_000_000, " B"), (1_000_000, " M"), (1_000, " K")])
}

/// `1.2 億`, `120 萬`, `9,900`.
pub(crate) fn chinese(money: Money) -> String {
    scaled(money, &[(100_000_000, " 億"), (10_000, " 萬")])
}

/// With three digits at most after the first unit that it reaches, rounded half up; whole below all of them.
fn scaled(money: Money, units: &[(i128, &str)]) -> String {
    let hundredths = money.hundredths();
    for (unit, name) in units {
        if hundredths < unit * 100 {
            continue;
        }
        let tenths = (hundredths + unit * 5) / (unit * 10);
        let (whole, tenth) = (tenths / 10, tenths % 10);
        let whole_text = grouped(whole);
        // 1,234.5 says no more than 1,235.
        return match (whole, tenth) {
            (100.., _) => format!("{}{name}", grouped((hundredths + unit * 50) / (unit * 100))),
            (_, 0) => format!("{whole_text}{name}"),
            _ => format!("{whole_text}.{tenth}{name}"),
        };
    }
    grouped((hundredths + 50) / 100)
}

/// With a comma between thousands.
fn grouped(number: i128) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::money;

    #[test]
    fn amounts_are_short_in_both_languages() {
        for (units, en, zh) in [
            (0, "0", "0"),
            (999, "999", "999"),
            (1_250, "1.3 K", "1,250"),
            (35_000, "35 K", "3.5 萬"),
            (350_400, "350 K", "35 萬"),
            (1_200_000, "1.2 M", "120 萬"),
            (123_456_789, "123 M", "1.2 億"),
            (9_999_999_999_999, "10,000 B", "100,000 億"),
        ] {
            assert_eq!((&*english(money(units * 100)), &*chinese(money(units * 100))), (en, zh));
        }
        assert_eq!(english(money(50)), "1");
    }

    #[test]
    fn what_is_missing_is_said_in_both_languages() {
        let short = Standing::Short { gap: money(30_000_000), missing: money(120_000_000) };
        let (zh, en) = attainment(&short, "TWD");
        assert_eq!(zh, "距目標還差 TWD 30 萬；以目前贏率還需增加 TWD 120 萬 的商機");
        assert_eq!(en, "TWD 300 K to go; needs TWD 1.2 M more open pipeline at this win rate");
        let (zh, en) = attainment(&Standing::NoTarget, "TWD");
        assert_eq!((&*zh, &*en), ("尚未設定目標", "no target is set"));
    }
}
