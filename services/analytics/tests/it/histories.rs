//! Random histories in zones whose days are of all kinds, as events tell them: stages skipped, gone back to and left for good, opportunities reopened, handed over, moved to another
//! pipeline, in other currencies, without amounts, deleted and restored, about midnight.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use events::{Event, Record};
use money::Money;
use proto::events::v1::{PipelineRecord, SettingsRecord, StageRecord};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rust_decimal::Decimal;

use crate::redelivery::activities;
use crate::support::{AMY, BOB, Deal, MEI, PIPELINE, TEAM, World, at, on, rate, told};

pub(crate) const ADMIN: i64 = 99;
/// A team of which nothing is known.
pub(crate) const OTHER_TEAM: i64 = 8;
pub(crate) const OTHER_PIPELINE: i64 = 2;
/// For the last of them there is never a rate.
const CURRENCIES: [&str; 5] = ["TWD", "TWD", "USD", "EUR", "JPY"];
const STAGES: [&str; 5] = ["lead", "qualify", "proposal", "won", "lost"];

/// How many histories each place has: 2,000 in all.
pub(crate) const HISTORIES: i64 = 500;
/// A zone, the first of the days on which things happen there, and the month in which fiscal years start.
pub(crate) type Place = (&'static str, &'static str, i32);
/// A leap day.
pub(crate) const TAIPEI: Place = ("Asia/Taipei", "2024-02-20", 1);
/// A day without midnight.
pub(crate) const SANTIAGO: Place = ("America/Santiago", "2024-08-30", 4);
/// A day with two midnights.
pub(crate) const HAVANA: Place = ("America/Havana", "2024-10-25", 11);
/// A day that is half an hour longer, at the end of a quarter.
pub(crate) const LORD_HOWE: Place = ("Australia/Lord_Howe", "2024-03-28", 7);
pub(crate) const PLACES: [Place; 4] = [TAIPEI, SANTIAGO, HAVANA, LORD_HOWE];
/// How many days.
pub(crate) const DAYS: i64 = 25;

/// What happened.
pub(crate) struct Book {
    pub(crate) zone: Tz,
    pub(crate) first_day: NaiveDate,
    pub(crate) by_id: BTreeMap<i64, Vec<Event>>,
    pub(crate) rates: Vec<(i64, &'static str, NaiveDate, Option<Decimal>)>,
}

impl Book {
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

    pub(crate) fn day(&self, random: &mut StdRng) -> NaiveDate {
        self.first_day + TimeDelta::days(random.random_range(-2..DAYS + 2))
    }

    /// One of the days, or one about the ends of periods that are to come.
    fn expected_day(&self, random: &mut StdRng) -> NaiveDate {
        let later = ["2024-12-31", "2025-01-01", "2025-01-31", "2025-03-31", "2025-04-01"];
        if random.random_bool(0.3) { on(later.choose(random).unwrap()) } else { self.day(random) }
    }

    /// One more opportunity: made at one of these instants or long before, and changed at the others.
    fn live(&mut self, id: i64, random: &mut StdRng) {
        let count = random.random_range(1..10);
        let mut times: Vec<_> = (0..count).map(|_| self.instant(random)).collect();
        if random.random_bool(0.2) {
            times[0] -= TimeDelta::days(random.random_range(30..200));
        }
        times.sort();
        let owner_id = *[AMY, BOB].choose(random).unwrap();
        let units = random.random_bool(0.9).then_some(1);
        let (mut deal, mut events) = Deal::begin(id, owner_id, units, &times[0].to_rfc3339());
        for now in &times {
            self.happen(deal.later(*now), random, &mut events);
        }
        self.by_id.insert(id, events);
    }

    /// Something happens to it now.
    fn happen(&self, deal: &mut Deal, random: &mut StdRng, events: &mut Vec<Event>) {
        let now = deal.now();
        let event = match random.random_range(0..16) {
            0 => deal.change(|it| it.owner_id = *[AMY, BOB, MEI].choose(random).unwrap()),
            1 => deal.change(|it| {
                it.team_id = *[None, Some(TEAM), Some(OTHER_TEAM)].choose(random).unwrap();
            }),
            2 => deal.change(|it| {
                it.deleted_at = it.deleted_at.map_or_else(|| Some(now.into()), |_| None);
            }),
            3 => deal.change(|it| {
                (*CURRENCIES.choose(random).unwrap()).clone_into(&mut it.currency);
            }),
            4 => deal.change(|it| {
                it.pipeline_id = *[PIPELINE, OTHER_PIPELINE].choose(random).unwrap();
            }),
            5 | 6 => deal.change(|it| {
                let day = self.expected_day(random);
                it.expected_close_date = random.random_bool(0.8).then(|| day.into());
                let said = [None, None, Some("commit"), Some("best_case"), Some("omitted")];
                it.forecast_category = said.choose(random).unwrap().map(str::to_owned);
            }),
            7 => deal.change(|it| it.opportunity_name.push('x')),
            8 => deal.change(|it| {
                if it.status == "open" {
                    it.probability = random.random_range(0..=100);
                } else {
                    // It closed on another day than was thought.
                    let today = now.with_timezone(&self.zone).date_naive();
                    let day = today + TimeDelta::days(random.random_range(0..60));
                    it.actual_close_date = Some(day.into());
                }
            }),
            9..=12 => {
                let elsewhere: Vec<_> = STAGES.iter().filter(|it| **it != deal.stage()).collect();
                deal.move_to(elsewhere.choose(random).unwrap(), now)
            }
            _ => deal.change(|it| {
                let cents = random.random_range(0..100_000_000);
                let amount = Money::from_hundredths(cents).into();
                it.amount = random.random_bool(0.9).then_some(amount);
            }),
        };
        events.push(event);
        // What closes in another currency is frozen in the organisation's, where a rate is known.
        let cents = random.random_range(0..900_000_000);
        if random.random_bool(0.7) {
            events.extend(deal.freeze(Money::from_hundredths(cents)));
        }
    }
}

/// Later than everything that happens in the book.
pub(crate) fn now() -> DateTime<Utc> {
    at("2025-01-01T00:00:00Z")
}

/// Settings as of a version.
pub(crate) fn settings(
    version: i64,
    (zone, _, fiscal_year_start): Place,
    visibility: &str,
) -> Event {
    let settings = SettingsRecord {
        time_zone: zone.to_owned(),
        default_currency: "TWD".to_owned(),
        visibility: visibility.to_owned(),
        fiscal_year_start,
        ..SettingsRecord::default()
    };
    told(version, Record::Settings(settings))
}

/// A pipeline as of a version: its stages with their names, and by what probability they begin.
fn pipeline(version: i64, id: i64, open: [(&str, &str, i32); 3]) -> Event {
    let closed = [("won", "WON", 100), ("lost", "LOST", 0)];
    let stages = open.into_iter().chain(closed).map(|(key, name, probability)| StageRecord {
        key: key.to_owned(),
        name: name.to_owned(),
        kind: if probability % 100 == 0 { key } else { "open" }.to_owned(),
        default_probability: probability,
        ..StageRecord::default()
    });
    let stages = stages.collect();
    let is_default = id == PIPELINE;
    let record = PipelineRecord { id, is_default, stages, ..PipelineRecord::default() };
    let record = Some(Record::Pipeline(record));
    Event { aggregate_id: id, version, record, ..Event::default() }
}

/// A world in a zone with histories and rates, told in pieces in the order in which they happened.
pub(crate) async fn filled(seed: u64, place: Place, histories: i64) -> (World, Book) {
    let mut random = StdRng::seed_from_u64(seed);
    let random = &mut random;
    let mut world = World::create("everyone").await;
    world.learn(&[settings(2, place, "everyone")]).await;
    let stages = [("lead", "LEAD", 10), ("qualify", "QUALIFY", 60), ("proposal", "PROPOSAL", 95)];
    // The same stages in another order, of which one is called the same.
    let others = [("proposal", "Proposal", 30), ("lead", "LEAD", 40), ("qualify", "Qualify", 70)];
    let pipelines =
        [pipeline(2, PIPELINE, stages), pipeline(1, OTHER_PIPELINE, others)].into_iter();
    world.tell(pipelines.collect()).await;
    world.state.load().await.unwrap();
    let mut book = Book {
        zone: place.0.parse().unwrap(),
        first_day: on(place.1),
        by_id: BTreeMap::new(),
        rates: Vec::new(),
    };
    let mut events = Vec::new();
    for id in 1..=10 {
        let currency = if id % 2 == 0 { "USD" } else { "EUR" };
        // No two of a currency begin on one day, and the last ones after all that is asked.
        let from = match id {
            9.. => now().date_naive() + TimeDelta::days(id - 7),
            _ => book.first_day + TimeDelta::days(id * 3 - 2),
        };
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
