//! The reference: opportunities as their events tell of them, and what some of them come to, one by one and by the words of the product page.

use std::collections::BTreeMap;

use analytics::ask::Ask;
use chrono::{DateTime, Datelike as _, NaiveDate, TimeDelta, Utc, Weekday};
use chrono_tz::Tz;
use events::{Event, Record};
use money::Money;
use proto::events::v1::{OpportunityRecord, StageRecord};
use rust_decimal::{Decimal, RoundingStrategy};

use crate::changes::reference::{decimal, rounded};
use crate::histories::{ADMIN, Place, now};
use crate::support::{AMY, BOB, MEI, PIPELINE, TEAM};

/// An opportunity that is not deleted.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) record: OpportunityRecord,
    /// Where it came to, and when.
    pub(super) moves: Vec<(String, DateTime<Utc>)>,
    pub(super) created_on: NaiveDate,
    pub(super) closed_on: Option<NaiveDate>,
    pub(super) expected_on: Option<NaiveDate>,
    /// In the organisation's currency.
    pub(super) value: Option<Decimal>,
    pub(super) weighted: Decimal,
}

impl Life {
    pub(super) fn is(&self, status: &str) -> bool {
        self.record.status == status
    }

    /// When it first came into a stage.
    pub(super) fn entered(&self, stage: &str) -> Option<DateTime<Utc>> {
        self.moves.iter().find(|(key, _)| key == stage).map(|(_, at)| *at)
    }
}

/// What some opportunities come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) count: i64,
    pub(super) value: Decimal,
    pub(super) weighted: Decimal,
    pub(super) without_amount: i64,
    pub(super) without_rate: i64,
}

impl Sum {
    pub(super) fn with_value(&self) -> i64 {
        self.count - self.without_amount - self.without_rate
    }
}

pub(super) fn sum<'a>(lives: impl IntoIterator<Item = &'a Life>) -> Sum {
    let mut sum = Sum::default();
    for it in lives {
        sum.count += 1;
        match it.value {
            Some(value) => sum.value += value,
            None if it.record.amount.is_none() => sum.without_amount += 1,
            None => sum.without_rate += 1,
        }
        sum.weighted += it.weighted;
    }
    sum
}

/// All that is told, as of a moment.
pub(super) struct Reference {
    pub(super) zone: Tz,
    pub(super) first_month: i32,
    pub(super) today: NaiveDate,
    /// The stages of each pipeline in order.
    pub(super) stages: BTreeMap<i64, Vec<StageRecord>>,
    pub(super) lives: Vec<Life>,
}

impl Reference {
    pub(super) fn read(log: &[Event], (zone, _, first_month): Place) -> Self {
        let zone: Tz = zone.parse().unwrap();
        let today = now().with_timezone(&zone).date_naive();
        let (mut stages, mut rates) = (BTreeMap::new(), BTreeMap::new());
        let (mut records, mut moves) = (BTreeMap::new(), BTreeMap::<_, Vec<_>>::new());
        // Of each thing the last that was told of it is how it is.
        for event in log {
            match &event.record {
                Some(Record::Pipeline(it)) => {
                    stages.insert(it.id, it.stages.clone());
                }
                Some(Record::ExchangeRate(it)) => {
                    rates.insert(it.id, it.clone());
                }
                Some(Record::Opportunity(it)) => {
                    records.insert(it.id, it.clone());
                    if let Some(moved) = &event.stage_move {
                        let at = DateTime::<Utc>::from(moved.changed_at.unwrap());
                        moves.entry(it.id).or_default().push((moved.to_stage_key.clone(), at));
                    }
                }
                _ => {}
            }
        }
        let valid = |currency: &str| {
            let rates = rates.values().filter(|it| it.deleted_at.is_none());
            let rates = rates.filter(|it| it.currency == currency);
            let rates = rates.map(|it| (NaiveDate::try_from(it.valid_from.unwrap()).unwrap(), it));
            let (_, rate) =
                rates.filter(|(from, _)| *from <= today).max_by_key(|(from, _)| *from)?;
            let rate = money::Rate::from(rate.rate.unwrap());
            Some(rate.to_string().parse::<Decimal>().unwrap())
        };
        let day = |day: Option<proto::Date>| day.map(|day| NaiveDate::try_from(day).unwrap());
        let live = |record: OpportunityRecord| {
            let amount = record.amount.map(|it| decimal(Money::from(it)));
            let percent = Decimal::from(record.probability) / Decimal::ONE_HUNDRED;
            let (value, weighted) = match record.status.as_str() {
                "open" => {
                    let rate = match record.currency.as_str() {
                        "TWD" => Some(Decimal::ONE),
                        other => valid(other),
                    };
                    let worth = amount.zip(rate).map(|(amount, rate)| {
                        (rounded(amount * rate), rounded(rounded(amount * percent) * rate))
                    });
                    (worth.map(|it| it.0), worth.map_or(Decimal::ZERO, |it| it.1))
                }
                status => {
                    let frozen = record.closed_amount.map(|it| decimal(Money::from(it)));
                    (frozen, frozen.filter(|_| status == "won").unwrap_or_default())
                }
            };
            let created_at = DateTime::<Utc>::from(record.created_at.unwrap());
            Life {
                moves: moves.remove(&record.id).unwrap(),
                created_on: created_at.with_timezone(&zone).date_naive(),
                closed_on: day(record.actual_close_date),
                expected_on: day(record.expected_close_date),
                value,
                weighted,
                record,
            }
        };
        let kept = records.into_values().filter(|it| it.deleted_at.is_none());
        let lives = kept.map(live).collect();
        Self { zone, first_month, today, stages, lives }
    }

    pub(super) fn day(&self, at: DateTime<Utc>) -> NaiveDate {
        at.with_timezone(&self.zone).date_naive()
    }

    /// Those of a question.
    pub(super) fn part(&self, asked: &Question) -> Vec<&Life> {
        let of = |it: &&Life| {
            let record = &it.record;
            asked.holds(record.owner_id, record.team_id)
                && asked.ask.pipeline_id.is_none_or(|id| record.pipeline_id == id)
        };
        self.lives.iter().filter(of).collect()
    }

    /// The open stages of the pipelines that are asked about, the default one first.
    pub(super) fn open_stages(&self, pipeline_id: Option<i64>) -> Vec<(i64, &StageRecord)> {
        let asked = self.stages.iter().filter(|(id, _)| pipeline_id.is_none_or(|it| it == **id));
        let all = asked.flat_map(|(id, stages)| stages.iter().map(|stage| (*id, stage)));
        all.filter(|(_, stage)| stage.kind == "open").collect()
    }

    /// The fiscal year and quarter of a day.
    pub(super) fn fiscal(&self, day: NaiveDate) -> (i32, i32) {
        let months = day.year() * 12 + i32::try_from(day.month()).unwrap() - self.first_month;
        (months.div_euclid(12), months.rem_euclid(12) / 3 + 1)
    }

    /// What the period of a day is called.
    pub(super) fn label(&self, cut: &str, day: NaiveDate) -> String {
        let (year, quarter) = self.fiscal(day);
        match cut {
            "daily" => day.to_string(),
            "weekly" => day.format("%G-W%V").to_string(),
            "monthly" | "month" => day.format("%Y-%m").to_string(),
            "quarterly" | "quarter" => format!("{year}-Q{quarter}"),
            _ => year.to_string(),
        }
    }

    /// The periods of a year in order, each with its first and its last day.
    pub(super) fn periods(&self, cut: &str, year: i32) -> Vec<(String, NaiveDate, NaiveDate)> {
        let mut periods: Vec<(String, NaiveDate, NaiveDate)> = Vec::new();
        let first = NaiveDate::from_ymd_opt(year - 5, 1, 1).unwrap();
        for day in first.iter_days().take_while(|it| it.year() < year + 3) {
            let monday = day - TimeDelta::days(day.weekday().days_since(Weekday::Mon).into());
            let is_asked = match cut {
                // A week is of the year of its Thursday.
                "weekly" => self.fiscal(monday + TimeDelta::days(3)).0 == year,
                "yearly" => (year - 4..=year).contains(&self.fiscal(day).0),
                _ => self.fiscal(day).0 == year,
            };
            if !is_asked {
                continue;
            }
            let label = self.label(cut, day);
            match periods.last_mut().filter(|it| it.0 == label) {
                Some(period) => period.2 = day,
                None => periods.push((label, day, day)),
            }
        }
        periods
    }
}

/// Who asks about what.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) visibility: &'static str,
    pub(super) by: i64,
    pub(super) ask: Ask,
}

impl Question {
    /// Whether who asks may see what is of that owner and team.
    fn sees(&self, owner_id: i64, team_id: Option<i64>) -> bool {
        match (self.by, self.visibility) {
            (ADMIN, _) | (_, "everyone") => true,
            (AMY, "team") | (MEI, _) => owner_id == self.by || team_id == Some(TEAM),
            _ => owner_id == self.by,
        }
    }

    /// Whether what is of that owner and team is asked about, and seen.
    pub(super) fn holds(&self, owner_id: i64, team_id: Option<i64>) -> bool {
        self.sees(owner_id, team_id)
            && self.ask.owner_id.is_none_or(|id| owner_id == id)
            && self.ask.team_id.is_none_or(|id| team_id == Some(id))
    }

    /// The pipeline, where only one can be asked about.
    pub(super) fn pipeline_id(&self) -> i64 {
        self.ask.pipeline_id.unwrap_or(PIPELINE)
    }

    /// Who has a row whatever they did.
    pub(super) fn sellers(&self) -> Vec<(i64, &'static str, Option<i64>)> {
        let people = [(AMY, "Amy", Some(TEAM)), (BOB, "Bob", None), (MEI, "Mei", None)];
        people.into_iter().filter(|it| self.holds(it.0, it.2)).collect()
    }
}

/// With so many decimals, half away from zero; nothing of nothing.
pub(super) fn quotient(part: Decimal, whole: Decimal, decimals: u32) -> Option<Decimal> {
    let exact = (!whole.is_zero()).then(|| part / whole)?;
    Some(exact.round_dp_with_strategy(decimals, RoundingStrategy::MidpointAwayFromZero))
}

/// The same as an answer has it.
pub(super) fn number(part: Decimal, whole: Decimal, decimals: u32) -> Option<f64> {
    quotient(part, whole, decimals).map(|it| it.to_string().parse().unwrap())
}

/// A part of a whole with four decimals.
pub(super) fn share(part: i64, rest: i64) -> Option<f64> {
    number(part.into(), (part + rest).into(), 4)
}
