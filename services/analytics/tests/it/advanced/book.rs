//! A book of random histories in two pipelines, as events tell it and as the test knows it: stages skipped, gone back to and left for good, opportunities reopened, handed over, in
//! other currencies, without amounts, deleted and restored, about midnight and about a leap day.

use analytics::activity::TYPES;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use events::{Event, Record};
use money::Money;
use proto::events::v1::{ActivityRecord, OpportunityRecord};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rust_decimal::{Decimal, RoundingStrategy};

use crate::support::{
    AMY, BOB, Deal, MEI, PIPELINE, TEAM, World, activity, at, now, pipeline_of, rate,
};

/// The other pipeline.
pub(crate) const OTHER: i64 = 2;
/// Open stages in order, by pipeline.
pub(crate) const STAGES: [(i64, [&str; 3]); 2] =
    [(PIPELINE, ["lead", "qualify", "proposal"]), (OTHER, ["lead", "visit", "proposal"])];
const REASONS: [Option<&str>; 4] = [Some("價格"), Some("=price"), Some("timing"), None];
const CURRENCIES: [&str; 5] = ["TWD", "TWD", "USD", "EUR", "JPY"];
const DOLLAR: &str = "31.2345";
/// Of which 2,000 are more than an amount can be.
const EURO: &str = "5000000000";

/// An opportunity as the test knows it.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) id: i64,
    pub(crate) pipeline_id: i64,
    pub(crate) owner_id: i64,
    pub(crate) team_id: Option<i64>,
    pub(crate) stage: String,
    pub(crate) reason: Option<String>,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) closed_on: Option<NaiveDate>,
    /// Every stage it came into, and when.
    pub(crate) moves: Vec<(String, DateTime<Utc>)>,
    amount: Option<Money>,
    currency: String,
    frozen: Option<Money>,
    is_deleted: bool,
    /// What was done about it.
    pub(crate) activities: Vec<Activity>,
}

/// An activity that is not deleted, as the test knows it.
#[derive(Clone, Debug)]
pub(crate) struct Activity {
    pub(crate) kind: &'static str,
    pub(crate) created_by: i64,
    pub(crate) owner_id: i64,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) scheduled_at: Option<DateTime<Utc>>,
    pub(crate) completed_at: Option<DateTime<Utc>>,
}

impl Known {
    pub(crate) fn status(&self) -> &str {
        match self.stage.as_str() {
            "won" | "lost" => &self.stage,
            _ => "open",
        }
    }

    pub(crate) fn created_on(&self) -> NaiveDate {
        day(self.created_at)
    }

    /// What it counts for, by another way than the product's.
    pub(crate) fn value(&self) -> Option<Money> {
        if self.status() != "open" {
            return self.frozen;
        }
        let rate: Decimal = match self.currency.as_str() {
            "TWD" => Decimal::ONE,
            "USD" => DOLLAR.parse().unwrap(),
            "EUR" => EURO.parse().unwrap(),
            _ => return None,
        };
        let amount = Decimal::try_from_i128_with_scale(self.amount?.hundredths(), 2).unwrap();
        let value =
            (amount * rate).round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
        Some(value.to_string().parse().unwrap()).filter(|value| *value <= Money::MAX_AMOUNT)
    }

    /// Its open stages with the time of first entry, in no order.
    pub(crate) fn first_entry(&self, stage: &str) -> Option<DateTime<Utc>> {
        self.moves.iter().filter(|(key, _)| key == stage).map(|(_, at)| *at).min()
    }
}

/// The day of an instant where the organisation is.
pub(crate) fn day(at: DateTime<Utc>) -> NaiveDate {
    at.with_timezone(&chrono_tz::Asia::Taipei).date_naive()
}

/// A world with a book in it.
pub(crate) async fn written(seed: u64, size: i64) -> (World, Vec<Known>, StdRng) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut world = World::create("everyone").await;
    world.tell(vec![pipeline_of(2, "lead qualify proposal won lost"), other_pipeline()]).await;
    world.tell(vec![rate(1, 1, ("USD", "2025-01-01"), DOLLAR)]).await;
    world.tell(vec![rate(2, 1, ("EUR", "2025-01-01"), EURO)]).await;
    // What is valid later, or was taken back, does not count.
    world
        .tell(vec![rate(3, 1, ("USD", "2025-11-21"), "1"), rate(4, 1, ("USD", "2025-06-01"), "2")])
        .await;
    world.tell(vec![rate(4, 2, ("USD", "2025-06-01"), "")]).await;
    world.state.load().await.unwrap();
    let mut book = Vec::new();
    let mut events = Vec::new();
    for id in 1..=size {
        let (known, told) = sell(id, &mut random);
        events.extend(told);
        book.push(known);
    }
    events.extend(act(&mut book, &mut StdRng::seed_from_u64(seed + 1_000)));
    world.tell(events).await;
    book.retain(|it| !it.is_deleted);
    (world, book, random)
}

/// Does something about some of them, about midnight of days on which questions end and of today; some of it is deleted, or done after all.
fn act(book: &mut [Known], random: &mut StdRng) -> Vec<Event> {
    let edges =
        ["2024-02-28", "2024-11-30", "2024-12-31", "2025-06-14", "2025-10-31", "2025-11-19"];
    let instant = |random: &mut StdRng| {
        let edge = at(&format!("{}T16:00:00Z", edges.choose(random).unwrap()));
        let near = [-1, 0, 1, 50_000_000_000, -50_000_000_000];
        edge + TimeDelta::microseconds(*near.choose(random).unwrap())
    };
    let mut events = Vec::new();
    for deal in book {
        for number in 0..random.random_range(0..4) {
            let it = Activity {
                kind: TYPES.choose(random).unwrap(),
                created_by: *[AMY, BOB, MEI].choose(random).unwrap(),
                owner_id: *[AMY, BOB, MEI].choose(random).unwrap(),
                created_at: instant(random),
                scheduled_at: random.random_bool(0.6).then(|| instant(random)),
                completed_at: random.random_bool(0.5).then(|| instant(random)),
            };
            let deleted_at = random.random_bool(0.15).then(|| now().into());
            let record = ActivityRecord {
                id: deal.id * 10 + number,
                opportunity_id: deal.id,
                activity_type: it.kind.to_owned(),
                created_by: it.created_by,
                owner_id: it.owner_id,
                created_at: Some(it.created_at.into()),
                scheduled_at: it.scheduled_at.map(Into::into),
                ..ActivityRecord::default()
            };
            events.push(activity(1, record.clone()));
            let completed_at = it.completed_at.map(Into::into);
            events.push(activity(2, ActivityRecord { completed_at, deleted_at, ..record }));
            if deleted_at.is_none() {
                deal.activities.push(it);
            }
        }
    }
    events
}

fn other_pipeline() -> Event {
    let mut event = pipeline_of(1, "lead visit proposal won lost");
    if let Some(Record::Pipeline(pipeline)) = &mut event.record {
        (pipeline.id, pipeline.is_default) = (OTHER, false);
    }
    event.aggregate_id = OTHER;
    event
}

fn sell(id: i64, random: &mut StdRng) -> (Known, Vec<Event>) {
    // Nights too, so that days differ between zones, and a leap day.
    let mut at = at("2024-02-20T00:00:00Z") + TimeDelta::minutes(random.random_range(0..900_000));
    let owners = [(AMY, Some(TEAM)), (BOB, None), (MEI, Some(TEAM)), (AMY, Some(8))];
    let (owner_id, team_id) = *owners.choose(random).unwrap();
    let (pipeline_id, stages) = *STAGES.choose(random).unwrap();
    let cents = Some(random.random_range(0..1_000_000)).filter(|_| random.random_bool(0.85));
    let currency = *CURRENCIES.choose(random).unwrap();
    let (mut deal, mut events) = Deal::begin(id, owner_id, None, &at.to_rfc3339());
    let mut known = Known {
        id,
        pipeline_id,
        owner_id,
        team_id,
        stage: "lead".to_owned(),
        reason: None,
        created_at: at,
        closed_on: None,
        moves: vec![("lead".to_owned(), at)],
        amount: cents.map(Money::from_hundredths),
        currency: currency.to_owned(),
        frozen: None,
        is_deleted: random.random_bool(0.1),
        activities: Vec::new(),
    };
    events.push(deal.change(|it| known.write(it)));
    for _ in 0..random.random_range(0..7) {
        let next = *[stages[0], stages[1], stages[2], "won", "lost"].choose(random).unwrap();
        at += TimeDelta::minutes(random.random_range(1..60_000));
        if random.random_bool(0.2) {
            // The last instant of the day, or the first of the next.
            let next = day(at).succ_opt().unwrap();
            let before = TimeDelta::microseconds(random.random_range(0..2));
            at = rpc::start_of(next, chrono_tz::Asia::Taipei) - before;
        }
        if random.random_bool(0.1) {
            let deleted_at = Some(at.into());
            events.push(deal.later(at).change(|it| it.deleted_at = deleted_at));
            events.push(deal.later(at).change(|it| it.deleted_at = None));
        }
        if random.random_bool(0.15) && known.status() == "open" {
            (*CURRENCIES.choose(random).unwrap()).clone_into(&mut known.currency);
            events.push(deal.later(at).change(|it| known.write(it)));
        }
        if at >= now() || next == known.stage {
            continue;
        }
        events.push(deal.move_to(next, at));
        known.enter(next, at, random);
        events.push(deal.change(|it| known.write(it)));
    }
    if known.is_deleted {
        events.push(deal.change(|it| it.deleted_at = Some(now().into())));
    }
    (known, events)
}

impl Known {
    fn enter(&mut self, stage: &str, at: DateTime<Utc>, random: &mut StdRng) {
        stage.clone_into(&mut self.stage);
        self.moves.push((stage.to_owned(), at));
        let is_closed = self.status() != "open";
        self.closed_on = is_closed.then(|| day(at));
        let rate_is_known = self.currency == "TWD" || random.random_bool(0.7);
        let frozen = Money::from_hundredths(random.random_range(0..9_000_000));
        self.frozen = match self.currency.as_str() {
            "TWD" => self.amount,
            _ => self.amount.map(|_| frozen),
        }
        .filter(|_| is_closed && rate_is_known);
        let reason = REASONS.choose(random).unwrap();
        self.reason = reason.map(str::to_owned).filter(|_| stage == "lost");
        if random.random_bool(0.2) && !is_closed {
            (self.owner_id, self.team_id) = (BOB, None);
        }
    }

    /// All of it but its moves.
    fn write(&self, it: &mut OpportunityRecord) {
        it.pipeline_id = self.pipeline_id;
        it.owner_id = self.owner_id;
        it.team_id = self.team_id;
        it.amount = self.amount.map(Into::into);
        it.currency.clone_from(&self.currency);
        it.closed_amount = self.frozen.map(Into::into);
        it.lost_reason.clone_from(&self.reason);
        it.opportunity_name = format!("Deal {}", self.id);
    }
}
