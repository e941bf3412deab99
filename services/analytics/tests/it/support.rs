//! A database of one's own, events as identity and opportunities tell them, and people who ask.

use std::sync::Arc;

use analytics::ask::Ask;
use analytics::identity::Identity;
use analytics::state::Known;
use analytics::{State, consumer};
use auth::{Caller, Role, ServiceToken};
use chrono::{DateTime, NaiveDate, Utc};
use events::{Event, Record, StageMove};
use local::scratch::Database;
use money::Money;
use proto::events::v1::{
    ActivityRecord, ExchangeRateRecord, FieldChange, OpportunityRecord, PipelineRecord,
    SettingsRecord, StageRecord, TeamRecord, UserRecord,
};
use sqlx::PgPool;

/// A rep of team 7.
pub(crate) const AMY: i64 = 1;
/// A rep without a team.
pub(crate) const BOB: i64 = 2;
/// The manager of team 7.
pub(crate) const MEI: i64 = 3;
/// The team.
pub(crate) const TEAM: i64 = 7;
/// The pipeline.
pub(crate) const PIPELINE: i64 = 1;

pub(crate) struct World {
    pub(crate) state: State,
    /// All that was learnt and told.
    pub(crate) log: Vec<Event>,
    pub(crate) database: Database,
    position: i64,
}

impl World {
    /// With people, a pipeline, and a visibility; in Taipei, counted in TWD.
    pub(crate) async fn create(visibility: &str) -> Self {
        let migrations = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations/analytics");
        let database = Database::create("analytics", migrations).await;
        let pool = PgPool::connect(&database.url).await.unwrap();
        let channel =
            rpc::client::connect_lazy("http://127.0.0.1:1", &rpc::Tls::default()).unwrap();
        let token = Arc::new(ServiceToken::new(channel.clone(), "analytics", "none".into()));
        // Nobody answers for identity.
        let currency_fixed = Known::default();
        currency_fixed.set(());
        let state = State {
            reads: pool.clone(),
            writes: pool,
            pipelines: Known::default(),
            settings: Known::default(),
            valued_on: Known::default(),
            speaking: Known::default(),
            currency_fixed,
            identity: Identity::new(channel, token),
        };
        let mut world = Self { state, log: Vec::new(), database, position: 0 };
        world.learn(&directory(visibility)).await;
        world.tell(vec![pipeline()]).await;
        world.state.load().await.unwrap();
        world
    }

    /// These events of identity come, in one transaction.
    pub(crate) async fn learn(&mut self, events: &[Event]) {
        self.log.extend(events.iter().cloned());
        let mut tx = self.state.writes.begin().await.unwrap();
        consumer::apply_identity(&mut tx, events).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// From now on this is who may read what.
    pub(crate) async fn set_visibility(&mut self, visibility: &str, version: i64) {
        let event = Event { version, ..settings(visibility) };
        self.learn(&[event]).await;
        self.state.load().await.unwrap();
    }

    /// These events come, in one transaction.
    pub(crate) async fn tell(&mut self, mut events: Vec<Event>) {
        for event in &mut events {
            self.position += 1;
            event.position = self.position;
            event.recorded_at = Some(at("2025-11-20T12:00:00Z").into());
        }
        let mut tx = self.state.writes.begin().await.unwrap();
        consumer::apply_opportunities(&mut tx, &events).await.unwrap();
        tx.commit().await.unwrap();
        self.log.extend(events);
    }
}

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub(crate) fn on(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// That many dollars.
pub(crate) fn money(units: i128) -> Money {
    Money::from_hundredths(units * 100)
}

/// When everybody asks.
pub(crate) fn now() -> DateTime<Utc> {
    at("2025-11-20T12:00:00Z")
}

pub(crate) fn caller(user_id: i64) -> Caller {
    let (role, team_id) = match user_id {
        AMY => (Role::Rep, Some(TEAM)),
        BOB => (Role::Rep, None),
        MEI => (Role::Manager, None),
        _ => (Role::Admin, None),
    };
    Caller { user_id, role, team_id, service: None, ..Caller::service("") }
}

pub(crate) fn everything() -> Ask {
    Ask::default()
}

fn directory(visibility: &str) -> Vec<Event> {
    let person = |id, name: &str, role: &str, team_id| {
        Record::User(UserRecord {
            id,
            username: name.to_owned(),
            role: role.to_owned(),
            team_id,
            is_active: true,
            ..UserRecord::default()
        })
    };
    let records = [
        person(AMY, "Amy", "rep", Some(TEAM)),
        person(BOB, "Bob", "rep", None),
        person(MEI, "Mei", "manager", None),
        person(9, "Viewer", "viewer", None),
        Record::Team(TeamRecord { id: TEAM, manager_id: Some(MEI), ..TeamRecord::default() }),
    ];
    let told = records.into_iter().map(|record| told(1, record));
    told.chain([settings(visibility)]).collect()
}

fn settings(visibility: &str) -> Event {
    let settings = SettingsRecord {
        time_zone: "Asia/Taipei".to_owned(),
        default_currency: "TWD".to_owned(),
        visibility: visibility.to_owned(),
        fiscal_year_start: 1,
        ..SettingsRecord::default()
    };
    told(1, Record::Settings(settings))
}

/// A record of identity as of a version.
pub(crate) fn told(version: i64, record: Record) -> Event {
    Event { version, record: Some(record), ..Event::default() }
}

fn pipeline() -> Event {
    pipeline_of(1, "lead proposal won lost")
}

/// The pipeline as of a version: open stages of these keys, but for those that begin with won and lost. The name of each is its key in upper case, with the version from the second on.
pub(crate) fn pipeline_of(version: i64, keys: &str) -> Event {
    let stages = keys.split(' ').map(|key| StageRecord {
        key: key.to_owned(),
        name: match version {
            1 => key.to_uppercase(),
            version => format!("{} {version}", key.to_uppercase()),
        },
        kind: ["won", "lost"]
            .into_iter()
            .find(|it| key.starts_with(it))
            .unwrap_or("open")
            .to_owned(),
        default_probability: if key == "lead" { 10 } else { 50 },
        ..StageRecord::default()
    });
    let record = PipelineRecord {
        id: PIPELINE,
        is_default: true,
        stages: stages.collect(),
        ..PipelineRecord::default()
    };
    Event {
        aggregate_id: PIPELINE,
        version,
        record: Some(Record::Pipeline(record)),
        ..Event::default()
    }
}

/// What a unit of a currency is worth from a day on, as of a version; removed where it is worth nothing.
pub(crate) fn rate(id: i64, version: i64, (currency, from): (&str, &str), rate: &str) -> Event {
    let is_removed = rate.is_empty();
    let rate: money::Rate = if is_removed { "1" } else { rate }.parse().unwrap();
    let record = ExchangeRateRecord {
        id,
        currency: currency.to_owned(),
        valid_from: Some(on(from).into()),
        rate: Some(rate.into()),
        version,
        deleted_at: is_removed.then(|| now().into()),
    };
    let record = Some(Record::ExchangeRate(record));
    Event { aggregate_id: id, version, record, ..Event::default() }
}

/// An activity as of a version.
pub(crate) fn activity(version: i64, record: ActivityRecord) -> Event {
    let aggregate_id = record.id;
    let record = Some(Record::Activity(ActivityRecord { version, ..record }));
    Event { aggregate_id, version, record, ..Event::default() }
}

/// An opportunity on its way.
#[derive(Clone)]
pub(crate) struct Deal {
    record: OpportunityRecord,
    moves: i64,
    now: DateTime<Utc>,
}

impl Deal {
    /// It begins as a lead with a probability of 10; its events are the vector.
    pub(crate) fn begin(
        id: i64,
        owner_id: i64,
        units: Option<i128>,
        created_at: &str,
    ) -> (Self, Vec<Event>) {
        let created_at = at(created_at);
        let record = OpportunityRecord {
            id,
            pipeline_id: PIPELINE,
            amount: units.map(|units| money(units).into()),
            currency: "TWD".to_owned(),
            owner_id,
            team_id: (owner_id == AMY).then_some(TEAM),
            created_at: Some(created_at.into()),
            version: 0,
            ..OpportunityRecord::default()
        };
        let mut deal = Self { record, moves: 0, now: created_at };
        let event = deal.move_to("lead", created_at);
        (deal, vec![event])
    }

    /// What changes it next happens then.
    pub(crate) fn later(&mut self, at: DateTime<Utc>) -> &mut Self {
        self.now = at;
        self
    }

    /// When what changes it next happens.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// Where it stands.
    pub(crate) fn stage(&self) -> &str {
        &self.record.stage_key
    }

    /// What it is worth is frozen, if it has an amount in another currency and closed without a rate.
    pub(crate) fn freeze(&mut self, worth: Money) -> Option<Event> {
        let it = &self.record;
        let is_due = it.status != "open" && it.currency != "TWD" && it.closed_amount.is_none();
        (is_due && it.amount.is_some())
            .then(|| self.change(|it| it.closed_amount = Some(worth.into())))
    }

    /// Changes it, and tells so.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut OpportunityRecord)) -> Event {
        let before = self.record.clone();
        change(&mut self.record);
        let changes = differing(&before, &self.record);
        self.record.version += 1;
        Event {
            aggregate_id: self.record.id,
            version: self.record.version,
            occurred_at: Some(self.now.into()),
            record: Some(Record::Opportunity(self.record.clone())),
            changes,
            ..Event::default()
        }
    }

    /// Moves it, and tells so.
    pub(crate) fn move_to(&mut self, key: &str, at: DateTime<Utc>) -> Event {
        self.moves += 1;
        let history_id = self.record.id * 100 + self.moves;
        let from_stage_key = (self.moves > 1).then(|| self.record.stage_key.clone());
        let (status, probability) = match key {
            "won" => ("won", 100),
            "lost" => ("lost", 0),
            "lead" => ("open", 10),
            _ => ("open", 50),
        };
        let day = at.with_timezone(&chrono_tz::Asia::Taipei).date_naive();
        let event = self.later(at).change(|it| {
            key.clone_into(&mut it.stage_key);
            status.clone_into(&mut it.status);
            it.probability = probability;
            it.stage_entered_at = Some(at.into());
            it.actual_close_date = (status != "open").then(|| day.into());
            let frozen = status != "open" && it.currency == "TWD";
            it.closed_amount = it.amount.filter(|_| frozen);
        });
        let moved = StageMove {
            history_id,
            from_stage_key,
            to_stage_key: key.to_owned(),
            probability,
            changed_at: Some(at.into()),
            ..StageMove::default()
        };
        Event { stage_move: Some(moved), ..event }
    }
}

/// Which of the fields that these tests change differ.
fn differing(before: &OpportunityRecord, after: &OpportunityRecord) -> Vec<FieldChange> {
    let of = |it: &OpportunityRecord| {
        [
            ("opportunity_name", format!("{:?}", it.opportunity_name)),
            ("pipeline_id", format!("{:?}", it.pipeline_id)),
            ("stage_key", format!("{:?}", it.stage_key)),
            ("status", format!("{:?}", it.status)),
            ("amount", format!("{:?}", it.amount)),
            ("currency", format!("{:?}", it.currency)),
            ("closed_amount", format!("{:?}", it.closed_amount)),
            ("probability", format!("{:?}", it.probability)),
            ("expected_close_date", format!("{:?}", it.expected_close_date)),
            ("actual_close_date", format!("{:?}", it.actual_close_date)),
            ("owner_id", format!("{:?}", it.owner_id)),
            ("team_id", format!("{:?}", it.team_id)),
            ("deleted_at", format!("{:?}", it.deleted_at)),
        ]
    };
    let pairs = of(before).into_iter().zip(of(after));
    let differ = pairs.filter(|((_, old), (_, new))| old != new);
    let told =
        differ.map(|((field, old), (_, new))| FieldChange { field: field.to_owned(), old, new });
    told.collect()
}
