//! What replaying random histories says of the open pipeline: the reference, written apart from what it is held against.

use std::collections::BTreeMap;

use analytics::ask::Ask;
use chrono::{DateTime, NaiveDate, Utc};
use events::{Event, Record};
use money::Money;
use proto::events::v1::OpportunityRecord;
use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rust_decimal::{Decimal, RoundingStrategy};

use crate::histories::{Book, OTHER_PIPELINE};
use crate::support::{AMY, PIPELINE, TEAM};

/// A question as the reference understands it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    pub(crate) from: NaiveDate,
    pub(crate) to: NaiveDate,
    pub(crate) owner_id: Option<i64>,
    pub(crate) team_id: Option<i64>,
    pub(crate) pipeline_id: Option<i64>,
    pub(crate) window: Option<(Option<NaiveDate>, Option<NaiveDate>)>,
}

impl Book {
    /// The record as it was when a day was over: what the last event of that day or before says.
    fn known(&self, id: i64, day: NaiveDate) -> Option<&OpportunityRecord> {
        let happened = |event: &&Event| {
            let at = DateTime::<Utc>::from(event.occurred_at.unwrap());
            at.with_timezone(&self.zone).date_naive() <= day
        };
        let last = self.by_id[&id].iter().rev().find(happened)?;
        let Some(Record::Opportunity(record)) = &last.record else { panic!("{last:?}") };
        Some(record)
    }

    fn value(&self, record: &OpportunityRecord, day: NaiveDate) -> Option<Decimal> {
        let amount = Money::from(record.amount?);
        let amount = Decimal::try_from_i128_with_scale(amount.hundredths(), 2).unwrap();
        if record.currency == "TWD" {
            return Some(amount);
        }
        let valid = self.rates.iter().filter(|(_, code, from, rate)| {
            *code == record.currency && *from <= day && rate.is_some()
        });
        let (.., rate) = valid.max_by_key(|(_, _, from, _)| *from)?;
        Some(rounded(amount * rate.unwrap()))
    }

    /// Each term with the opportunities behind it and what they contribute; and what values leave out: without amount, rate, day.
    pub(super) fn naive(
        &self,
        asked: &Question,
    ) -> (BTreeMap<&'static str, BTreeMap<i64, Decimal>>, [i64; 3]) {
        let mut terms: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
        let mut left_out = [0; 3];
        for id in self.by_id.keys().copied() {
            let (was, is) = (self.known(id, asked.from), self.known(id, asked.to));
            let (was_in, is_in) = (asked.holds(was), asked.holds(is));
            let worth = |record: Option<&OpportunityRecord>, day| {
                record.and_then(|it| self.value(it, day)).unwrap_or_default()
            };
            let (before, after) = (worth(was, asked.from), worth(is, asked.to));
            let mut say = |term, value: Decimal| terms.entry(term).or_default().insert(id, value);
            if was_in {
                say("start_value", before);
            }
            if is_in {
                say("end_value", after);
            }
            match (was_in, is_in) {
                (true, true) => {
                    let (was, is) = (was.unwrap(), is.unwrap());
                    let same = (was.amount, &was.currency) == (is.amount, &is.currency);
                    let at_first = self.value(is, asked.from).unwrap_or(after);
                    let growth = if same { Decimal::ZERO } else { at_first - before };
                    if growth != Decimal::ZERO {
                        say(if growth > Decimal::ZERO { "grown" } else { "shrunk" }, growth);
                    }
                    if after - before != growth {
                        say("revalued", after - before - growth);
                    }
                }
                (false, true) => {
                    let term = match was {
                        None => "created",
                        Some(it) if it.deleted_at.is_some() => "restored",
                        Some(it) if it.status != "open" => "reopened",
                        Some(it) if asked.pipeline_id.is_some_and(|id| id != it.pipeline_id) => {
                            "moved_in"
                        }
                        Some(it) if !asked.is_theirs(it) => "reassigned_in",
                        Some(_) => "pulled_in",
                    };
                    say(term, after);
                }
                (true, false) => {
                    let it = is.unwrap();
                    let term = if it.deleted_at.is_some() {
                        "deleted"
                    } else if it.status == "won" {
                        "won"
                    } else if it.status == "lost" {
                        "lost"
                    } else if asked.pipeline_id.is_some_and(|id| id != it.pipeline_id) {
                        "moved_out"
                    } else if !asked.is_theirs(it) {
                        "reassigned_out"
                    } else {
                        "pushed_out"
                    };
                    say(term, -before);
                }
                (false, false) => {}
            }
            let mut lacks = [false; 3];
            let anytime = Question { window: None, ..*asked };
            for (record, day) in [(was, asked.from), (is, asked.to)] {
                let Some(it) = record.filter(|_| anytime.holds(record)) else { continue };
                if !asked.holds(record) {
                    lacks[2] |= it.expected_close_date.is_none();
                } else if self.value(it, day).is_none() {
                    lacks[usize::from(it.amount.is_some())] = true;
                }
            }
            if let Some(first) = lacks.iter().position(|it| *it) {
                left_out[first] += 1;
            }
        }
        (terms, left_out)
    }
}

impl Question {
    pub(super) fn random(book: &Book, random: &mut StdRng) -> Self {
        let (one, other) = (book.day(random), book.day(random));
        let (some_day, some_later) = (book.day(random), book.day(random));
        let windows = [
            (Some(some_day), None),
            (None, Some(some_day)),
            (Some(some_day.min(some_later)), Some(some_day.max(some_later))),
        ];
        Self {
            from: one.min(other),
            to: one.max(other),
            owner_id: random.random_bool(0.3).then_some(AMY),
            team_id: random.random_bool(0.3).then_some(TEAM),
            pipeline_id: random
                .random_bool(0.5)
                .then(|| *[PIPELINE, OTHER_PIPELINE].choose(random).unwrap()),
            window: random.random_bool(0.4).then(|| *windows.choose(random).unwrap()),
        }
    }

    fn is_theirs(&self, it: &OpportunityRecord) -> bool {
        self.owner_id.is_none_or(|id| it.owner_id == id)
            && self.team_id.is_none_or(|id| it.team_id == Some(id))
    }

    /// Whether it is open in the part that is asked about.
    fn holds(&self, record: Option<&OpportunityRecord>) -> bool {
        let Some(it) = record else { return false };
        let in_window = self.window.is_none_or(|(from, to)| {
            let day = it.expected_close_date.map(|day| NaiveDate::try_from(day).unwrap());
            day.is_some_and(|day| {
                from.is_none_or(|from| day >= from) && to.is_none_or(|to| day <= to)
            })
        });
        it.status == "open"
            && it.deleted_at.is_none()
            && self.is_theirs(it)
            && self.pipeline_id.is_none_or(|id| it.pipeline_id == id)
            && in_window
    }

    pub(super) fn ask(&self) -> Ask {
        let (owner_id, team_id, pipeline_id) = (self.owner_id, self.team_id, self.pipeline_id);
        Ask { owner_id, team_id, pipeline_id, after: None }
    }
}

pub(crate) fn rounded(value: Decimal) -> Decimal {
    value.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
}

pub(crate) fn decimal(money: Money) -> Decimal {
    Decimal::try_from_i128_with_scale(money.hundredths(), 2).unwrap()
}
