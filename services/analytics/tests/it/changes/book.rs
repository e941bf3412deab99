//! Random histories, and what replaying them says: the reference, written apart from what it is held against.

use std::collections::BTreeMap;

use analytics::ask::Ask;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use events::{Event, Record};
use money::Money;
use proto::events::v1::{OpportunityRecord, PipelineRecord, SettingsRecord, StageRecord};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rust_decimal::{Decimal, RoundingStrategy};

use crate::redelivery::activities;
use crate::support::{AMY, BOB, Deal, MEI, PIPELINE, TEAM, World, at, on, rate, told};

pub(crate) const ADMIN: i64 = 99;
const OTHER_TEAM: i64 = 8;
const OTHER_PIPELINE: i64 = 2;
const CURRENCIES: [&str; 4] = ["TWD", "TWD", "USD", "EUR"];

/// How many histories each zone has: 2,000 in all.
pub(super) const HISTORIES: i64 = 500;
/// The days around which things happen: a leap day, days without midnight, days that are 23 and 25 hours long.
pub(super) const ZONES: [(&str, &str); 4] = [
    ("Asia/Taipei", "2024-02-20"),
    ("America/Santiago", "2024-08-30"),
    ("America/Havana", "2024-10-25"),
    ("Australia/Lord_Howe", "2024-03-28"),
];
/// How many days.
const DAYS: i64 = 25;

/// What happened: the events, and what asks of them.
pub(crate) struct Book {
    zone: Tz,
    first_day: NaiveDate,
    pub(super) by_id: BTreeMap<i64, Vec<Event>>,
    rates: Vec<(i64, &'static str, NaiveDate, Option<Decimal>)>,
}

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
    pub(crate) fn first_day(&self) -> NaiveDate {
        self.first_day
    }

    /// An instant on one of the days, every other time about midnight.
    fn instant(&self, random: &mut StdRng) -> DateTime<Utc> {
        let day = self.first_day + TimeDelta::days(random.random_range(0..DAYS));
        let midnight = rpc::start_of(day, self.zone);
        if random.random() {
            midnight + TimeDelta::microseconds(*[-1, 0, 1, -900_000].choose(random).unwrap())
        } else {
            midnight + TimeDelta::seconds(random.random_range(0..86_400))
        }
    }

    fn day(&self, random: &mut StdRng) -> NaiveDate {
        self.first_day + TimeDelta::days(random.random_range(-2..DAYS + 2))
    }

    /// One more opportunity: made at one of these instants, and changed at the others.
    fn live(&mut self, id: i64, random: &mut StdRng) {
        let count = random.random_range(1..9);
        let mut times: Vec<_> = (0..count).map(|_| self.instant(random)).collect();
        times.sort();
        let owner_id = *[AMY, BOB].choose(random).unwrap();
        let units = random.random_bool(0.9).then_some(1);
        let (mut deal, mut events) = Deal::begin(id, owner_id, units, &times[0].to_rfc3339());
        for now in &times {
            deal.later(*now);
            let event = match random.random_range(0..12) {
                0 => deal.change(|it| it.owner_id = *[AMY, BOB, MEI].choose(random).unwrap()),
                1 => deal.change(|it| {
                    it.team_id = *[None, Some(TEAM), Some(OTHER_TEAM)].choose(random).unwrap();
                }),
                2 => deal.change(|it| {
                    it.deleted_at = it.deleted_at.map_or_else(|| Some((*now).into()), |_| None);
                }),
                3 => deal.change(|it| {
                    (*CURRENCIES.choose(random).unwrap()).clone_into(&mut it.currency);
                }),
                4 => deal.change(|it| {
                    it.pipeline_id = *[PIPELINE, OTHER_PIPELINE].choose(random).unwrap();
                }),
                5 | 10 | 11 => deal.change(|it| {
                    let day = self.day(random);
                    it.expected_close_date = random.random_bool(0.8).then(|| day.into());
                    it.forecast_category = random.random_bool(0.5).then(|| "commit".to_owned());
                }),
                6 => deal.change(|it| it.opportunity_name.push('x')),
                7 => {
                    let stages = ["lead", "proposal", "won", "lost"];
                    deal.move_to(stages.choose(random).unwrap(), *now)
                }
                _ => deal.change(|it| {
                    let cents = random.random_range(0..100_000_000);
                    let amount = Money::from_hundredths(cents).into();
                    it.amount = random.random_bool(0.9).then_some(amount);
                }),
            };
            events.push(event);
        }
        self.by_id.insert(id, events);
    }

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

fn rounded(value: Decimal) -> Decimal {
    value.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
}

pub(super) fn decimal(money: Money) -> Decimal {
    Decimal::try_from_i128_with_scale(money.hundredths(), 2).unwrap()
}

/// Later than everything that happens in the book.
pub(crate) fn now() -> DateTime<Utc> {
    at("2025-01-01T00:00:00Z")
}

fn settings(zone: &str) -> Event {
    let settings = SettingsRecord {
        time_zone: zone.to_owned(),
        default_currency: "TWD".to_owned(),
        visibility: "everyone".to_owned(),
        fiscal_year_start: 1,
        ..SettingsRecord::default()
    };
    told(2, Record::Settings(settings))
}

fn other_pipeline() -> Event {
    let stages = [("lead", "open"), ("proposal", "open"), ("won", "won"), ("lost", "lost")];
    let stages = stages.map(|(key, kind)| StageRecord {
        key: key.to_owned(),
        name: key.to_owned(),
        kind: kind.to_owned(),
        ..StageRecord::default()
    });
    let record =
        PipelineRecord { id: OTHER_PIPELINE, stages: stages.to_vec(), ..PipelineRecord::default() };
    let record = Some(Record::Pipeline(record));
    Event { aggregate_id: OTHER_PIPELINE, version: 1, record, ..Event::default() }
}

/// A world in a zone with histories and rates, told in pieces in the order in which they happened.
pub(crate) async fn filled(
    seed: u64,
    (zone, first_day): (&str, &str),
    histories: i64,
) -> (World, Book) {
    let mut random = StdRng::seed_from_u64(seed);
    let random = &mut random;
    let mut world = World::create("everyone").await;
    world.learn(&[settings(zone)]).await;
    world.tell(vec![other_pipeline()]).await;
    world.state.load().await.unwrap();
    let mut book = Book {
        zone: zone.parse().unwrap(),
        first_day: on(first_day),
        by_id: BTreeMap::new(),
        rates: Vec::new(),
    };
    let mut events = Vec::new();
    for id in 1..=8 {
        let currency = if id % 2 == 0 { "USD" } else { "EUR" };
        // No two of a currency begin on one day.
        let from = book.first_day + TimeDelta::days(id * 3 - 2);
        let worth = Decimal::new(random.random_range(1..500_000_000_000), 10);
        events.push(rate(id, 1, (currency, &from.to_string()), &worth.to_string()));
        let is_removed = id == 4;
        if is_removed {
            events.push(rate(id, 2, (currency, &from.to_string()), ""));
        }
        book.rates.push((id, currency, from, Some(worth).filter(|_| !is_removed)));
    }
    for id in 1..=histories {
        book.live(id, random);
    }
    events.extend(activities(random, histories));
    let mut all: Vec<_> = book.by_id.values().flatten().cloned().collect();
    all.sort_by_key(|it| (DateTime::<Utc>::from(it.occurred_at.unwrap()), it.version));
    for piece in all.chunks(400) {
        events.extend(piece.iter().cloned());
        world.tell(std::mem::take(&mut events)).await;
    }
    (world, book)
}

/// Whether identity tells it.
pub(crate) fn is_of_identity(event: &Event) -> bool {
    matches!(event.record, Some(Record::User(_) | Record::Team(_) | Record::Settings(_)))
}
