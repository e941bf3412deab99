//! How each salesperson did in a period.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use money::Money;

use super::Read;
use super::trend::Happened;
use super::value::{NotCovered, Sum};
use crate::period::Period;
use crate::ratio;
use crate::target::model::Effective;

/// What a sum is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// What happened in the period.
    Happened(Happened),
    /// What stands open now.
    Open,
}

/// A person with one sum, or without numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) owner_id: i64,
    pub(crate) owner_name: String,
    pub(crate) team_id: Option<i64>,
    /// Whether they have a row though they have no numbers: an active rep or manager in sight.
    pub(crate) is_seller: bool,
    pub(crate) numbers: Option<(Of, Sum)>,
    pub(crate) days_to_close: i64,
}

/// The performance of a period.
#[derive(Clone, Debug, PartialEq)]
pub struct Performance {
    /// Which.
    pub period: Period,
    /// By rank, then by name.
    pub items: Vec<SalesPerformance>,
    /// What the values leave out.
    pub not_covered: NotCovered,
    /// When the latest change in it was written down.
    pub as_of: DateTime<Utc>,
}

/// One salesperson's period.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SalesPerformance {
    /// Who.
    pub owner_id: i64,
    /// Their name.
    pub owner_name: String,
    /// Their team at present.
    pub team_id: Option<i64>,
    /// How many they won.
    pub won_count: i64,
    /// What these brought.
    pub won_value: Money,
    /// How many of them have a value.
    won_with_value: i64,
    /// Days from creation to winning, of all of them together.
    days_to_close: i64,
    /// How many they lost.
    pub lost_count: i64,
    /// How many were made.
    created_count: i64,
    /// How many stand open with them now.
    pub open_count: i64,
    /// What these are worth.
    pub open_pipeline_value: Money,
    /// What they are to win, where a target is set.
    pub target: Option<Money>,
    /// 1 for the highest `won_value`; equal values share a rank.
    pub rank: i32,
    is_seller: bool,
    not_covered: NotCovered,
}

impl SalesPerformance {
    /// Won ÷ (won + lost).
    pub fn win_rate(&self) -> Option<f64> {
        ratio::share(self.won_count, self.won_count + self.lost_count)
    }

    /// The mean of the won that have a value.
    pub fn average_deal_size(&self) -> Option<Money> {
        self.won_value.mean(self.won_with_value)
    }

    /// Mean days from creation to winning.
    pub fn average_days_to_close(&self) -> Option<f64> {
        ratio::mean_days(self.days_to_close, self.won_count)
    }

    /// What they won of what they are to win.
    pub fn attainment(&self) -> Option<f64> {
        self.target.and_then(|target| ratio::of(self.won_value, target))
    }

    fn has_row(&self) -> bool {
        self.is_seller || self.won_count + self.lost_count + self.created_count > 0
    }

    fn add(&mut self, of: Of, sum: &Sum, days_to_close: i64) {
        match of {
            Of::Happened(Happened::Won) => {
                self.won_count += sum.count;
                self.won_value += sum.value;
                self.won_with_value += sum.value_count;
                self.days_to_close += days_to_close;
                self.not_covered += sum.not_covered();
            }
            Of::Happened(Happened::Lost) => self.lost_count += sum.count,
            Of::Happened(Happened::Created) => self.created_count += sum.count,
            Of::Open => {
                self.open_count += sum.count;
                self.open_pipeline_value += sum.value;
                self.not_covered += sum.not_covered();
            }
        }
    }
}

/// The performance of everyone who has a row.
pub(crate) fn performance(
    period: Period,
    read: &Read<Row>,
    targets: &BTreeMap<i64, Effective>,
) -> Performance {
    let mut people: BTreeMap<i64, SalesPerformance> = BTreeMap::new();
    for row in &read.rows {
        let person = people.entry(row.owner_id).or_insert_with(|| SalesPerformance {
            owner_id: row.owner_id,
            owner_name: row.owner_name.clone(),
            team_id: row.team_id,
            is_seller: row.is_seller,
            target: targets.get(&row.owner_id).map(|target| target.amount),
            ..SalesPerformance::default()
        });
        if let Some((of, sum)) = &row.numbers {
            person.add(*of, sum, row.days_to_close);
        }
    }
    let mut items: Vec<_> = people.into_values().filter(SalesPerformance::has_row).collect();
    items.sort_by(|a, b| {
        b.won_value.cmp(&a.won_value).then_with(|| a.owner_name.cmp(&b.owner_name))
    });
    rank(&mut items);
    let mut not_covered = NotCovered::default();
    for item in &items {
        not_covered += item.not_covered;
    }
    Performance { period, items, not_covered, as_of: read.as_of }
}

/// Ranks them in the order in which they are; equal values share a rank, and the next one is as if they did not.
fn rank(items: &mut [SalesPerformance]) {
    let mut before: Option<(Money, i32)> = None;
    for (item, place) in items.iter_mut().zip(1..) {
        let shared = before.filter(|(value, _)| *value == item.won_value);
        item.rank = shared.map_or(place, |(_, rank)| rank);
        before = Some((item.won_value, item.rank));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::period::Calendar;
    use crate::report::tests::money;

    fn row(owner_id: i64, owner_name: &str, of: Of, count: i64, value: i128) -> Row {
        let (value_count, value) = (count, money(value));
        Row {
            owner_id,
            owner_name: owner_name.into(),
            team_id: None,
            is_seller: false,
            numbers: Some((of, Sum { count, value_count, rate_missing: 0, value })),
            days_to_close: 0,
        }
    }

    fn won(owner_id: i64, owner_name: &str, count: i64, value: i128) -> Row {
        row(owner_id, owner_name, Of::Happened(Happened::Won), count, value)
    }

    fn of(rows: Vec<Row>) -> Performance {
        let period = Calendar { first_month: 1 }.quarter(2025, 4);
        performance(period, &Read { rows, as_of: DateTime::UNIX_EPOCH }, &BTreeMap::new())
    }

    #[test]
    fn equal_values_share_a_rank_and_are_in_order_of_their_names() {
        let seller = Row { is_seller: true, numbers: None, ..won(4, "Dee", 0, 0) };
        let it =
            of(vec![won(1, "Cai", 1, 500), won(2, "Bo", 2, 500), won(3, "An", 1, 900), seller]);
        let told: Vec<_> =
            it.items.iter().map(|item| (item.rank, item.owner_name.as_str())).collect();
        assert_eq!(told, [(1, "An"), (2, "Bo"), (2, "Cai"), (4, "Dee")]);
    }

    #[test]
    fn who_sells_has_a_row_and_who_has_numbers_in_the_period_and_nobody_else() {
        let seller = Row { is_seller: true, numbers: None, ..won(1, "An", 0, 0) };
        let created = row(2, "Bo", Of::Happened(Happened::Created), 1, 10);
        let open_alone = row(3, "Cai", Of::Open, 1, 10);
        let it = of(vec![seller, created, open_alone]);
        let names: Vec<_> = it.items.iter().map(|item| item.owner_name.as_str()).collect();
        assert_eq!(names, ["An", "Bo"]);
        assert_eq!((it.items[0].win_rate(), it.items[0].average_days_to_close()), (None, None));
    }

    #[test]
    fn means_are_of_what_was_won_and_open_ones_count_as_they_stand_now() {
        let mut two = won(1, "An", 2, 101);
        two.days_to_close = 25;
        let lost = row(1, "An", Of::Happened(Happened::Lost), 1, 70);
        let mut open = row(1, "An", Of::Open, 3, 40);
        if let Some((_, sum)) = &mut open.numbers {
            sum.value_count = 2;
        }
        let it = of(vec![two, lost, open]);
        let an = &it.items[0];
        assert_eq!(an.average_deal_size(), Some(money(51)));
        assert_eq!(an.average_days_to_close(), Some(12.5));
        assert_eq!(an.win_rate(), Some(0.6667));
        assert_eq!((an.open_count, an.open_pipeline_value), (3, money(40)));
        assert_eq!(it.not_covered.without_amount, 1);
    }
}
