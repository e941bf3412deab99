//! How the open pipeline changed: against a naive reference that replays what was told, on histories of all kinds.

use std::collections::BTreeMap;

use analytics::ask::Ask;
use analytics::rebuild::rebuild;
use analytics::report::change::model::{PipelineChanges, Term};
use analytics::report::change::{self, Between, Wanted};
use analytics::verify::verify;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use events::{Event, Record};
use money::Money;
use proto::events::v1::{OpportunityRecord, PipelineRecord, SettingsRecord, StageRecord};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{Rng as _, SeedableRng as _};
use rpc::{Error, Invalid};
use rust_decimal::{Decimal, RoundingStrategy};

use crate::owner;
use crate::redelivery::tables;
use crate::support::{
    AMY, BOB, Deal, MEI, PIPELINE, TEAM, World, at, caller, everything, money, on, rate, told,
};

pub(crate) const ADMIN: i64 = 99;
const OTHER_TEAM: i64 = 8;
const OTHER_PIPELINE: i64 = 2;
const CURRENCIES: [&str; 4] = ["TWD", "TWD", "USD", "EUR"];

/// How many histories each zone has: 2,000 in all.
const HISTORIES: i64 = 500;
/// The days around which things happen: a leap day, days without midnight, days that are 23 and 25 hours long.
const ZONES: [(&str, &str); 4] = [
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
    by_id: BTreeMap<i64, Vec<Event>>,
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
    fn naive(
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
    fn random(book: &Book, random: &mut StdRng) -> Self {
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

    fn ask(&self) -> Ask {
        let (owner_id, team_id, pipeline_id) = (self.owner_id, self.team_id, self.pipeline_id);
        Ask { owner_id, team_id, pipeline_id, after: None }
    }
}

fn rounded(value: Decimal) -> Decimal {
    value.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
}

fn decimal(money: Money) -> Decimal {
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

/// Has what is open valued by the rates of that day.
async fn value(world: &World) {
    world.state.load().await.unwrap();
    let (caller, ask) = (caller(ADMIN), everything());
    analytics::report::overview(&world.state, &caller, &ask, now()).await.unwrap();
}

pub(crate) async fn report(world: &World, asked: &Question, by: i64) -> PipelineChanges {
    let (from, to) = (asked.from.to_string(), asked.to.to_string());
    let between = between(asked, (&from, &to));
    let (caller, ask) = (caller(by), asked.ask());
    let invalid = Invalid::default();
    change::changes(&world.state, &caller, &ask, &between, invalid, now()).await.unwrap()
}

fn between<'a>(asked: &Question, (from, to): (&'a str, &'a str)) -> Between<'a> {
    let (close_from, close_to) = asked.window.unwrap_or_default();
    Between { from: Some(from), to: Some(to), close_from, close_to }
}

/// Everything behind a term, page by page.
async fn opened(world: &World, asked: &Question, term: Term, by: i64) -> BTreeMap<i64, Decimal> {
    let (from, to) = (asked.from.to_string(), asked.to.to_string());
    let (between, caller, ask) = (between(asked, (&from, &to)), caller(by), asked.ask());
    let (mut all, mut cursor, mut last) = (BTreeMap::new(), None::<String>, i64::MAX);
    loop {
        let wanted =
            Wanted { term: Some(term.as_str()), limit: Some(37), cursor: cursor.as_deref() };
        let what = (&between, &wanted);
        let invalid = Invalid::default();
        let page = change::opportunities(&world.state, &caller, &ask, what, invalid, now());
        let page = page.await.unwrap();
        assert!(page.next_cursor.is_none() || page.items.len() == 37);
        for it in page.items {
            assert!(it.opportunity_id < last, "not in order");
            last = it.opportunity_id;
            all.insert(it.opportunity_id, decimal(it.value));
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            return all;
        }
    }
}

/// The terms add up: values always, and counts where something came or went.
fn adds_up(it: &PipelineChanges, told: &str) {
    let (mut value, mut count) = (Money::ZERO, 0);
    for term in Term::ALL {
        let sum = it.sums.of(term);
        let sign = match term {
            Term::Grown | Term::Shrunk | Term::Revalued => 0,
            Term::StartValue
            | Term::Created
            | Term::Reopened
            | Term::Restored
            | Term::ReassignedIn
            | Term::MovedIn
            | Term::PulledIn => 1,
            _ => -1,
        };
        if term != Term::EndValue {
            value += sum.value;
            count += sign * sum.count;
        }
    }
    let end = it.sums.of(Term::EndValue);
    assert_eq!((value, count), (end.value, end.count), "{told}");
}

#[tokio::test]
async fn every_term_is_what_replaying_two_thousand_histories_says_and_opens_to_what_is_behind_it() {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut lacking = [0; 3];
    for (seed, place) in (1..).zip(ZONES) {
        let (world, book) = filled(seed, place, HISTORIES).await;
        let mut random = StdRng::seed_from_u64(seed + 100);
        for number in 0..40 {
            let asked = Question::random(&book, &mut random);
            let told = format!("{place:?} {number} {asked:?}");
            let it = report(&world, &asked, ADMIN).await;
            adds_up(&it, &told);
            let (expected, left_out) = book.naive(&asked);
            for term in Term::ALL {
                let sum = it.sums.of(term);
                let behind = expected.get(term.as_str()).cloned().unwrap_or_default();
                let count = i64::try_from(behind.len()).unwrap();
                let found = (decimal(sum.value), sum.count);
                let value: Decimal = behind.values().sum();
                assert_eq!(found, (value, count), "{} {told}", term.as_str());
                if number % 8 == 0 {
                    let opened = opened(&world, &asked, term, ADMIN).await;
                    assert_eq!(opened, behind, "{} {told}", term.as_str());
                }
                *seen.entry(term.as_str()).or_default() += behind.len();
            }
            let missing = it.sums.not_covered;
            let found = [missing.without_amount, missing.without_rate, missing.without_date];
            assert_eq!(found, left_out, "{told}");
            for (all, one) in lacking.iter_mut().zip(left_out) {
                *all += one;
            }
        }
    }
    // Each was there to be looked at.
    assert!(Term::ALL.iter().all(|it| seen[it.as_str()] > 40), "{seen:?}");
    assert!(lacking.iter().all(|it| *it > 40), "{lacking:?}");
}

#[tokio::test]
async fn what_was_known_when_is_the_same_out_of_order_after_a_rebuild_and_is_verified() {
    let (world, book) = filled(7, ZONES[0], 60).await;
    value(&world).await;
    let kept = tables(&world).await;
    // A change of the name alone is nothing that the past needs.
    let told = book.by_id.values().flatten().count();
    let versions = kept.iter().filter(|row| row.starts_with("opportunity_versions")).count();
    assert!(versions > 60 && versions < told, "{versions} of {told}");

    let mut random = StdRng::seed_from_u64(8);
    let mut jumbled = World::create("everyone").await;
    let (identity, mut events): (Vec<_>, Vec<_>) =
        world.log.iter().cloned().partition(is_of_identity);
    jumbled.learn(&identity).await;
    let again: Vec<_> = events.choose_multiple(&mut random, events.len() / 3).cloned().collect();
    events.extend(again);
    events.shuffle(&mut random);
    for piece in events.chunks(29) {
        jumbled.tell(piece.to_vec()).await;
    }
    value(&jumbled).await;
    assert_eq!(tables(&jumbled).await, kept);

    let (people, deals) =
        (owner::having(world.log.clone()).await, owner::having(world.log.clone()).await);
    let url = world.database.url.clone().into();
    assert_eq!(verify(&url, &deals).await.unwrap().differences, [""; 0]);
    let spoil = "update opportunity_versions set amount = coalesce(amount, 0) + 1 where (opportunity_id, version) = (7, 1)";
    sqlx::query(spoil).execute(&world.state.writes).await.unwrap();
    let found = verify(&url, &deals).await.unwrap().differences;
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("versions of opportunity 7: "), "{found:?}");
    let mut connection = world.state.writes.acquire().await.unwrap();
    let count = rebuild(&mut connection, &people, &deals, now()).await.unwrap();
    assert_eq!((count, tables(&world).await), (60, kept));
}

#[tokio::test]
async fn what_is_open_at_the_end_of_today_is_what_the_funnel_says() {
    let (world, _) = filled(9, ZONES[0], 200).await;
    let ask = Ask { pipeline_id: Some(PIPELINE), ..everything() };
    let (caller, unasked) = (caller(ADMIN), Between::default());
    let invalid = Invalid::default();
    let it = change::changes(&world.state, &caller, &ask, &unasked, invalid, now()).await.unwrap();
    assert_eq!((&*it.from, &*it.to), ("2024-12-25", "2025-01-01"));
    let overview = analytics::report::overview(&world.state, &caller, &ask, now()).await.unwrap();
    let end = it.sums.of(Term::EndValue);
    let expected = (overview.total_pipeline_value, overview.open_opportunities);
    assert_eq!((end.value, end.count), expected);
    assert_eq!(it.sums.of(Term::StartValue), end);
    assert_eq!(it.as_of, overview.as_of);
}

#[tokio::test]
async fn one_that_grew_and_changed_hands_is_told_by_who_asks() {
    let mut world = World::create("owner").await;
    let (mut deal, mut events) = Deal::begin(1, AMY, Some(100), "2025-11-01T01:00:00Z");
    events.push(deal.later(at("2025-11-05T01:00:00Z")).change(|it| {
        it.amount = Some(money(150).into());
    }));
    events.push(deal.later(at("2025-11-06T01:00:00Z")).change(|it| {
        (it.owner_id, it.team_id) = (BOB, None);
    }));
    world.tell(events).await;
    let day = |text| on(text);
    let asked = Question {
        from: day("2025-11-04"),
        to: day("2025-11-10"),
        owner_id: None,
        team_id: None,
        pipeline_id: None,
        window: None,
    };
    let of = async |asked: Question, by| {
        let it = report(&world, &asked, by).await;
        adds_up(&it, "");
        let named = Term::ALL.map(|term| (term.as_str(), it.sums.of(term)));
        let named = named.into_iter().filter(|(_, sum)| sum.count > 0);
        named.map(|(name, sum)| format!("{name} {}", sum.value)).collect::<Vec<_>>()
    };
    assert_eq!(of(asked, ADMIN).await, ["start_value 100", "grown 50", "end_value 150"]);
    let of_amy = Question { owner_id: Some(AMY), ..asked };
    assert_eq!(of(of_amy, ADMIN).await, ["start_value 100", "reassigned_out -100"]);
    let of_bob = Question { owner_id: Some(BOB), ..asked };
    assert_eq!(of(of_bob, ADMIN).await, ["reassigned_in 150", "end_value 150"]);
    // Whose it is now decides who sees it.
    assert_eq!(of(asked, BOB).await, ["start_value 100", "grown 50", "end_value 150"]);
    assert_eq!(of(asked, AMY).await, [""; 0]);
    assert!(opened(&world, &asked, Term::StartValue, AMY).await.is_empty());
}

#[tokio::test]
async fn every_bad_field_of_a_listing_is_named_at_once_and_a_cursor_is_of_its_listing() {
    let (world, _) = filled(3, ZONES[0], 80).await;
    let (caller, ask) = (caller(ADMIN), everything());
    let between = Between {
        from: Some("2024-13-01"),
        close_from: Some(on("2024-03-02")),
        close_to: Some(on("2024-03-01")),
        ..Between::default()
    };
    let wanted = Wanted { term: Some("grew"), limit: Some(0), cursor: None };
    let (state, what) = (&world.state, (&between, &wanted));
    let refused =
        change::opportunities(state, &caller, &ask, what, Invalid::default(), now()).await;
    let Err(Error::Invalid(fields)) = refused else { panic!("it is invalid") };
    let fields: Vec<_> = fields.iter().map(|it| (&*it.field, &*it.code)).collect();
    assert_eq!(
        fields,
        [
            ("term", "unknown_value"),
            ("limit", "out_of_range"),
            ("from", "invalid_date"),
            ("close_to", "before_start"),
        ]
    );
    let between =
        Between { from: Some("2024-02-01"), to: Some("2024-03-20"), ..Between::default() };
    let page = async |term, cursor: Option<String>| {
        let wanted = Wanted { term, limit: Some(1), cursor: cursor.as_deref() };
        let what = (&between, &wanted);
        change::opportunities(state, &caller, &ask, what, Invalid::default(), now()).await
    };
    let first = page(Some("created"), None).await.unwrap();
    assert!(page(Some("created"), first.next_cursor.clone()).await.is_ok());
    let elsewhere = page(Some("end_value"), first.next_cursor).await;
    assert!(matches!(elsewhere, Err(Error::Malformed { .. })), "{elsewhere:?}");
    let refused = page(None, None).await;
    assert!(matches!(refused, Err(Error::Invalid(_))), "{refused:?}");
}
