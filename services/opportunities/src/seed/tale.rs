//! Made-up sales: what a team of eight might have lived through in two years, the same every time for the same number.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use money::Money;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// One opportunity's life.
#[derive(Clone, Debug, PartialEq)]
pub struct Tale {
    /// Index of its customer, which is also a rank: the first buy most.
    pub customer: usize,
    /// What is to be sold.
    pub name: String,
    /// For how much.
    pub amount: Option<Money>,
    /// Names of products.
    pub products: Vec<String>,
    /// Free text.
    pub notes: Option<String>,
    /// Index of its owner.
    pub owner: usize,
    /// Where it came from.
    pub source: &'static str,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// The day it was expected to close.
    pub expected_close_date: NaiveDate,
    /// Its moves after the creation.
    pub moves: Vec<Move>,
}

/// One move of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// Key of the stage.
    pub stage: &'static str,
    /// When.
    pub at: DateTime<Utc>,
    /// Percent, where the salesperson knew better than the stage.
    pub probability: Option<i32>,
    /// What was noted.
    pub notes: Option<&'static str>,
    /// Why it was lost.
    pub lost_reason: Option<&'static str>,
}

/// How the team is made up, for the tales.
#[derive(Clone, Copy, Debug)]
pub struct Cast {
    /// How many own opportunities.
    pub owners: usize,
    /// How many customers there are.
    pub customers: usize,
}

const STAGES: [&str; 6] = ["lead", "qualification", "proposal", "negotiation", "contract", "won"];
const LEAVE: [f64; 5] = [0.27, 0.20, 0.20, 0.13, 0.05];
const MEAN_DAYS: [f64; 5] = [16.0, 20.0, 24.0, 18.0, 9.0];
/// Names of products with a usual price.
const PRODUCTS: [(&str, f64); 12] = [
    ("ERP 系統", 1_800_000.0),
    ("CRM 模組", 480_000.0),
    ("資料倉儲", 1_250_000.0),
    ("資安方案", 640_000.0),
    ("雲端主機", 360_000.0),
    ("維護合約", 150_000.0),
    ("教育訓練", 60_000.0),
    ("BI 報表", 420_000.0),
    ("Integration package", 780_000.0),
    ("Mobile app", 900_000.0),
    ("Data platform", 2_400_000.0),
    ("Support plan", 120_000.0),
];
const KINDS: [&str; 6] = ["採購案", "導入專案", "升級案", "續約", "rollout", "renewal"];
const SOURCES: [&str; 6] = ["官網", "轉介", "展覽", "電話開發", "電子報", "合作夥伴"];
pub(crate) const LOST: [&str; 6] =
    ["價格過高", "選擇競爭對手", "預算取消", "專案延後", "無法聯繫", "功能不符"];
const NOTES: [&str; 8] = [
    "初步接觸，對產品有興趣",
    "完成需求訪談，預算確認",
    "已提交方案，等待回覆",
    "價格談判中，客戶要求折扣",
    "法務審閱合約",
    "Waiting for the board's approval",
    "客戶高層支持",
    "Champion changed; meeting the new one next week",
];

/// The `index`th of `count` tales spread evenly over the two years before `now`.
pub fn tell(random_seed: u64, index: u64, count: u64, cast: Cast, now: DateTime<Utc>) -> Tale {
    let mut rng = StdRng::seed_from_u64(random_seed ^ index.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let span = TimeDelta::days(730);
    let place = (ratio(index) + rng.random::<f64>()) / ratio(count.max(1));
    let mut created_at = now - span + seconds(place * 730.0 * 86_400.0);
    if created_at >= now {
        created_at = now - TimeDelta::seconds(1);
    }
    let owner = pick(&mut rng, cast.owners, 1.2);
    let customer = pick(&mut rng, cast.customers, 1.6);
    let (product, price) = PRODUCTS[rng.random_range(0..PRODUCTS.len())];
    let mut products = vec![product.to_owned()];
    if rng.random_bool(0.35) {
        let more = PRODUCTS[rng.random_range(0..PRODUCTS.len())].0;
        if more != product {
            products.push(more.to_owned());
        }
    }
    let amount = price * (rng.random::<f64>() + rng.random::<f64>() + 0.2) * 0.9;
    let amount = rng.random_bool(0.96).then(|| rounded(amount, &mut rng));
    let kind = KINDS[rng.random_range(0..KINDS.len())];
    let planned = created_at + seconds((45.0 + rng.random::<f64>() * 120.0) * 86_400.0);
    let moves = live(&mut rng, created_at, now, owner);
    let last = moves.last().map_or(created_at, |last| last.at);
    let is_open = moves.last().is_none_or(|last| !matches!(last.stage, "won" | "lost"));
    // Who still has it open has mostly moved its date on.
    let expected = if is_open && planned < now && rng.random_bool(0.85) {
        now.max(last) + seconds(rng.random::<f64>() * 110.0 * 86_400.0)
    } else {
        planned
    };
    Tale {
        customer,
        name: format!("{product} {kind}"),
        amount,
        products,
        notes: rng.random_bool(0.6).then(|| NOTES[rng.random_range(0..NOTES.len())].to_owned()),
        owner,
        source: SOURCES[rng.random_range(0..SOURCES.len())],
        created_at,
        expected_close_date: expected.date_naive(),
        moves,
    }
}

fn live(
    rng: &mut StdRng,
    created_at: DateTime<Utc>,
    now: DateTime<Utc>,
    owner: usize,
) -> Vec<Move> {
    let mut moves = Vec::new();
    let (mut stage, mut at) = (0, created_at);
    // Some sell better than others, and some leads nobody follows.
    let skill = 0.8 + 0.4 * ratio((owner as u64 * 7) % 8) / 7.0;
    if rng.random_bool(0.04) {
        return moves;
    }
    loop {
        let days = -MEAN_DAYS[stage] * (1.0 - rng.random::<f64>()).ln() + 0.05;
        at += seconds(days * 86_400.0);
        if at >= now {
            return moves;
        }
        if rng.random_bool((LEAVE[stage] / skill).min(0.9)) {
            let lost_reason = Some(LOST[rng.random_range(0..LOST.len())]);
            moves.push(Move { stage: "lost", at, probability: None, notes: None, lost_reason });
            return moves;
        }
        // Now and then a step is skipped, or one goes back.
        let next = match rng.random_range(0..100) {
            0..6 if stage < 3 => stage + 2,
            6..10 if stage > 0 => stage - 1,
            _ => stage + 1,
        };
        stage = next;
        let is_open = stage < 5;
        let probability = (is_open && rng.random_bool(0.3)).then(|| {
            let usual = [10, 30, 50, 70, 90][stage];
            (usual + rng.random_range(-2..=2) * 5).clamp(5, 95)
        });
        let notes = rng.random_bool(0.3).then(|| NOTES[rng.random_range(0..NOTES.len())]);
        moves.push(Move { stage: STAGES[stage], at, probability, notes, lost_reason: None });
        if !is_open {
            return moves;
        }
    }
}

/// An index below `count`, the low ones more often.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below count")]
fn pick(rng: &mut StdRng, count: usize, skew: f64) -> usize {
    let place = rng.random::<f64>().powf(skew) * ratio(count as u64);
    (place as usize).min(count.saturating_sub(1))
}

/// Most prices are round; some are exact to the cent.
#[expect(clippy::cast_possible_truncation, reason = "far below the limits")]
fn rounded(amount: f64, rng: &mut StdRng) -> Money {
    let hundredths = if rng.random_bool(0.1) {
        (amount * 100.0) as i128
    } else {
        (amount / 1_000.0) as i128 * 100_000
    };
    Money::from_hundredths(hundredths.max(100))
}

#[expect(clippy::cast_possible_truncation, reason = "two years in microseconds fit")]
fn seconds(seconds: f64) -> TimeDelta {
    TimeDelta::microseconds((seconds * 1e6) as i64)
}

#[expect(clippy::cast_precision_loss, reason = "counts of made-up things")]
fn ratio(count: u64) -> f64 {
    count as f64
}

/// The name of the `index`th customer, Chinese and English ones mixed.
pub fn customer_name(index: usize) -> String {
    const CHINESE: [&str; 20] = [
        "台北", "大同", "遠東", "宏達", "瑞豐", "新光", "永信", "長榮", "聯成", "華南", "東元",
        "正隆", "國泰", "中興", "南亞", "和泰", "信義", "統一", "三陽", "光寶",
    ];
    const TRADES: [&str; 8] = ["科技", "電子", "金控", "物流", "生技", "零售", "精密", "食品"];
    const ENGLISH: [&str; 12] = [
        "Northwind",
        "Acme",
        "Blue Harbor",
        "Summit",
        "Redwood",
        "Evergreen",
        "Pacific",
        "Lakeside",
        "Granite",
        "Orion",
        "Silverline",
        "Beacon",
    ];
    const FORMS: [&str; 5] = ["Trading", "Systems", "Logistics", "Foods", "Medical"];
    if index % 3 == 2 {
        let index = index / 3;
        let round = index / 60;
        let name = format!("{} {}", ENGLISH[index % 12], FORMS[index / 12 % 5]);
        return if round == 0 {
            format!("{name} Inc.")
        } else {
            format!("{name} {} Inc.", round + 1)
        };
    }
    let index = index - index / 3;
    let round = index / 160;
    let name = format!("{}{}", CHINESE[index % 20], TRADES[index / 20 % 8]);
    if round == 0 {
        format!("{name}股份有限公司")
    } else {
        format!("{name}{}股份有限公司", round + 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const CAST: Cast = Cast { owners: 8, customers: 150 };

    #[test]
    fn the_same_number_tells_the_same_tale() {
        let now = DateTime::from_timestamp(1_760_000_000, 0).unwrap();
        assert_eq!(tell(7, 12, 1_000, CAST, now), tell(7, 12, 1_000, CAST, now));
        assert_ne!(tell(7, 12, 1_000, CAST, now), tell(8, 12, 1_000, CAST, now));
    }

    #[test]
    fn moves_follow_each_other_in_the_past() {
        let now = DateTime::from_timestamp(1_760_000_000, 0).unwrap();
        for index in 0..1_000 {
            let tale = tell(7, index, 1_000, CAST, now);
            let mut last = tale.created_at;
            for step in &tale.moves {
                assert!(step.at > last && step.at < now);
                last = step.at;
            }
        }
    }

    #[test]
    fn no_two_customers_have_one_name() {
        let names: HashSet<_> = (0..2_000).map(customer_name).collect();
        assert_eq!(names.len(), 2_000);
    }
}
