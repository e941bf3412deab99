//! Why chances are what they are, in Traditional Chinese and in English.

use std::collections::HashMap;

use forecast::feature::{Feature, Level};
use forecast::reason::Reason;
use forecast::trained::Trained;
use money::Money;

use crate::attainment::words::{chinese, english};
use crate::training::history::money;

/// A reason as it is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// What of the opportunity.
    pub feature: String,
    /// By how many percentage points it raises the chance, or lowers it.
    pub effect: f64,
    /// How many that have closed say so.
    pub evidence: i64,
    /// In Traditional Chinese.
    pub zh: String,
    /// In English.
    pub en: String,
}

/// A reason in words; people are called by their names.
pub(crate) fn say(reason: &Reason, trained: &Trained, names: &HashMap<i64, String>) -> Said {
    let column = match reason.feature {
        Feature::Column(index) => trained.columns.get(index),
        _ => None,
    };
    let category = match reason.level {
        Level::One(category) => {
            column.and_then(|it| it.categories.get(usize::try_from(category).ok()?))
        }
        _ => None,
    };
    let feature = match reason.feature {
        Feature::Stage => "stage",
        Feature::TimeInStage => "time_in_stage",
        Feature::Age => "age",
        Feature::Amount => "amount",
        Feature::LastActivity => "last_activity",
        Feature::Activities => "activities",
        Feature::Moves => "moves",
        Feature::MonthOfQuarter => "month_of_quarter",
        Feature::Column(_) => column.map_or("", |column| &column.name),
    };
    let called = category.map(|category| {
        let name = (feature == "owner").then(|| names.get(&category.parse().ok()?)).flatten();
        name.unwrap_or(category).as_str()
    });
    let (zh, en) = what(feature, &reason.level, called);
    let effect = (reason.effect * 1_000.0).round() / 10.0;
    let sign = if effect < 0.0 { "−" } else { "+" };
    let (points, evidence) = (effect.abs(), reason.evidence);
    let were = if evidence == 1 { "opportunity was" } else { "opportunities were" };
    Said {
        feature: feature.to_owned(),
        effect,
        evidence: i64::try_from(evidence).unwrap_or(i64::MAX),
        zh: format!("{zh}：贏單機率 {sign}{points} 個百分點（依據 {evidence} 筆已結案商機）"),
        en: format!("{en}: {sign}{points} points ({evidence} closed {were} like that)"),
    }
}

/// How the opportunity is in that: Chinese, then English.
fn what(feature: &str, level: &Level, called: Option<&str>) -> (String, String) {
    let span = Span::of(level);
    match (feature, level) {
        ("time_in_stage", _) => {
            let (zh, en) = span.days();
            (format!("在此階段{zh}"), format!("{en} in this stage"))
        }
        ("age", _) => {
            let (zh, en) = span.days();
            (format!("已開立{zh}"), format!("open for {en}"))
        }
        ("amount", Level::Missing) => ("沒有金額".into(), "without an amount".into()),
        ("amount", _) => {
            let (zh, en) = span.amounts();
            (format!("金額{zh}"), format!("worth {en}"))
        }
        ("last_activity", Level::Missing) => ("尚無任何活動".into(), "no activity yet".into()),
        ("last_activity", _) => {
            let (zh, en) = span.days();
            (format!("最近一次活動在{zh}前"), format!("last activity {en} ago"))
        }
        ("activities", _) => {
            let (zh, en) = span.counts();
            let noun = if en == "1" { "activity" } else { "activities" };
            (format!("活動{zh}次"), format!("{en} {noun}"))
        }
        ("moves", _) => {
            let (zh, en) = span.counts();
            if en == "0" {
                return ("尚未換過階段".into(), "not moved to another stage yet".into());
            }
            let noun = if en == "1" { "stage move" } else { "stage moves" };
            (format!("階段異動{zh}次"), format!("{en} {noun}"))
        }
        ("close_date_moves", _) => {
            let (zh, en) = span.counts();
            match &*en {
                "0" | "fewer than 1" => {
                    ("結案日未曾延後".into(), "its close date was never put off".into())
                }
                "1" => ("結案日延後 1 次".into(), "its close date was put off once".into()),
                _ => {
                    (format!("結案日延後{zh}次"), format!("its close date was put off {en} times"))
                }
            }
        }
        ("month_of_quarter", _) => match span.to {
            Some(to) if to <= 1.0 => ("本季第一個月".into(), "first month of a quarter".into()),
            Some(_) => ("本季第二個月".into(), "second month of a quarter".into()),
            None => ("本季最後一個月".into(), "last month of a quarter".into()),
        },
        ("owner", Level::One(_)) => {
            let name = called.unwrap_or_default();
            (format!("負責人為{name}"), format!("owned by {name}"))
        }
        // Of few that have closed, or of one of many owners or sources: those are not told apart.
        ("owner", _) => {
            ("負責人與其他人合併計算".into(), "its owner is counted together with others".into())
        }
        ("source", Level::One(_)) => {
            let name = called.unwrap_or_default();
            (format!("來源為「{name}」"), format!("source “{name}”"))
        }
        ("source", Level::Missing) => ("沒有來源".into(), "without a source".into()),
        ("source", _) => {
            ("來源與其他來源合併計算".into(), "its source is counted together with others".into())
        }
        _ => (called.unwrap_or(feature).to_owned(), called.unwrap_or(feature).to_owned()),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "days and counts, far below what an i64 holds")]
fn whole(number: f64) -> i64 {
    number as i64
}

/// From a number until before another; open where nothing is said.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    from: Option<f64>,
    to: Option<f64>,
}

impl Span {
    fn of(level: &Level) -> Self {
        let (Level::Between(from, to) | Level::InStageBetween(from, to)) = level else {
            return Self::default();
        };
        Self {
            from: Some(*from).filter(|it| it.is_finite()),
            to: Some(*to).filter(|it| it.is_finite()),
        }
    }

    fn told<T: PartialEq + std::fmt::Display>(
        from: Option<T>,
        to: Option<T>,
        (unit_zh, unit_en): (&str, &str),
    ) -> (String, String) {
        match (from, to) {
            (Some(from), Some(to)) if from == to => {
                (format!(" {from} {unit_zh}"), format!("{from}{unit_en}"))
            }
            (Some(from), Some(to)) => {
                (format!(" {from} 至 {to} {unit_zh}"), format!("{from} to {to}{unit_en}"))
            }
            (Some(from), None) => {
                (format!(" {from} {unit_zh}以上"), format!("{from}{unit_en} or more"))
            }
            (None, Some(to)) => {
                (format!("不到 {to} {unit_zh}"), format!("less than {to}{unit_en}"))
            }
            (None, None) => (String::new(), String::new()),
        }
    }

    fn days(self) -> (String, String) {
        let days = |it: f64| whole(it.round());
        // Below half a day nothing is a beginning.
        Self::told(
            self.from.map(days).filter(|days| *days > 0),
            self.to.map(days).map(|it| it.max(1)),
            ("天", " days"),
        )
    }

    fn amounts(self) -> (String, String) {
        let of = |text: fn(Money) -> String| {
            let said = |it: f64| text(money(it));
            Self::told(self.from.map(said), self.to.map(said), ("", ""))
        };
        (of(chinese).0.trim_end().replace(" 以上", "以上"), of(english).1)
    }

    /// Whole numbers: until before five and a half is up to five.
    fn counts(self) -> (String, String) {
        let from = self.from.map_or(0, |it| whole(it.ceil()));
        match self.to.map(|it| whole(it.ceil()) - 1) {
            Some(to) if to <= from => (format!(" {from} "), from.to_string()),
            Some(to) => (format!(" {from} 至 {to} "), format!("{from} to {to}")),
            None => (format!("至少 {from} "), format!("{from} or more")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(feature: &str, level: &Level, called: Option<&str>) -> [String; 2] {
        let (zh, en) = what(feature, level, called);
        [zh, en]
    }

    #[test]
    fn a_reason_is_told_in_words_that_a_salesperson_understands() {
        const ALL: f64 = f64::INFINITY;
        for (feature, level, called, zh, en) in [
            (
                "time_in_stage",
                Level::InStageBetween(8.0, 15.2),
                None,
                "在此階段 8 至 15 天",
                "8 to 15 days in this stage",
            ),
            (
                "time_in_stage",
                Level::InStageBetween(0.0, 3.0),
                None,
                "在此階段不到 3 天",
                "less than 3 days in this stage",
            ),
            (
                "age",
                Level::Between(90.0, ALL),
                None,
                "已開立 90 天以上",
                "open for 90 days or more",
            ),
            (
                "amount",
                Level::Between(120_000.0, 3_500_000.0),
                None,
                "金額 12 萬 至 350 萬",
                "worth 120 K to 3.5 M",
            ),
            (
                "amount",
                Level::Between(3_500_000.0, ALL),
                None,
                "金額 350 萬以上",
                "worth 3.5 M or more",
            ),
            ("last_activity", Level::Missing, None, "尚無任何活動", "no activity yet"),
            (
                "last_activity",
                Level::Between(-ALL, 7.0),
                None,
                "最近一次活動在不到 7 天前",
                "last activity less than 7 days ago",
            ),
            ("activities", Level::Between(-ALL, 2.0), None, "活動 0 至 1 次", "0 to 1 activities"),
            ("moves", Level::Between(1.0, 2.0), None, "階段異動 1 次", "1 stage move"),
            (
                "moves",
                Level::Between(-ALL, 1.0),
                None,
                "尚未換過階段",
                "not moved to another stage yet",
            ),
            (
                "close_date_moves",
                Level::Between(-ALL, 1.0),
                None,
                "結案日未曾延後",
                "its close date was never put off",
            ),
            (
                "close_date_moves",
                Level::Between(2.0, 4.0),
                None,
                "結案日延後 2 至 3 次",
                "its close date was put off 2 to 3 times",
            ),
            (
                "month_of_quarter",
                Level::Between(2.0, ALL),
                None,
                "本季最後一個月",
                "last month of a quarter",
            ),
            (
                "month_of_quarter",
                Level::Between(-ALL, 1.0),
                None,
                "本季第一個月",
                "first month of a quarter",
            ),
            ("owner", Level::One(3), Some("王小明"), "負責人為王小明", "owned by 王小明"),
            (
                "owner",
                Level::Other,
                None,
                "負責人與其他人合併計算",
                "its owner is counted together with others",
            ),
            (
                "source",
                Level::Other,
                None,
                "來源與其他來源合併計算",
                "its source is counted together with others",
            ),
        ] {
            assert_eq!(both(feature, &level, called), [zh, en]);
        }
    }

    #[test]
    fn a_reason_says_by_how_much_and_how_many_say_so() {
        let history = forecast::made_up::make_up(forecast::made_up::Kind::Guided, 300, 400, 1);
        let trained = Trained::train(history, &[0.2, 0.5, 0.8], 400 * 86_400);
        let reason = Reason {
            feature: Feature::Age,
            level: Level::Between(30.0, 60.0),
            effect: -0.0449,
            evidence: 17,
        };
        let said = say(&reason, &trained, &HashMap::new());
        assert_eq!((said.effect, said.evidence), (-4.5, 17));
        assert_eq!(said.zh, "已開立 30 至 60 天：贏單機率 −4.5 個百分點（依據 17 筆已結案商機）");
        assert_eq!(
            said.en,
            "open for 30 to 60 days: −4.5 points (17 closed opportunities were like that)"
        );
    }
}
