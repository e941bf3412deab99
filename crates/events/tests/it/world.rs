//! A database and a stream of a test's own, and what every test does with them.

use std::time::Duration;

use events::consumer::Applying;
use events::stream::Settings;
use events::{Actor, Change, ChangeSource, Consumer, Event, Origin, Record, Relay, Wake};
use events::{event_id, field_change, outbox, stream};
use process::Secret;
use proto::events::v1::TeamRecord;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The owner whose changes the tests make.
pub(crate) const SOURCE: &str = "opportunities";

const MIGRATIONS: [&str; 4] = [
    include_str!("../../../../migrations/opportunities/0001_grants.sql"),
    include_str!("../../../../migrations/opportunities/0002_change_log.sql"),
    include_str!("../../../../migrations/opportunities/0003_inbox.sql"),
    include_str!("../../../../migrations/opportunities/0006_audit.sql"),
];

/// What the tests' consumers write: which event, and that it was applied once.
const APPLIED: &str = "create table applied (
    n bigint generated always as identity primary key,
    position bigint not null constraint applied_position_key unique,
    aggregate_id bigint not null constraint applied_aggregate_id_check check (aggregate_id <> 666),
    version bigint not null
)";

/// A schema that is owner and consumer in one, reached as the service's role, and a stream.
pub(crate) struct World {
    pub(crate) url: String,
    pub(crate) pool: PgPool,
    pub(crate) nats: async_nats::Client,
    pub(crate) settings: Settings,
    pub(crate) wake: Wake,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<anyhow::Result<()>>>,
    database: String,
}

impl World {
    /// With the broker that all tests use.
    pub(crate) async fn new() -> Self {
        let url = std::env::var("TEST_NATS_URL").expect("TEST_NATS_URL");
        let world = Self::with_broker(&url).await;
        let connected = tokio::time::timeout(Duration::from_secs(30), world.nats.flush()).await;
        connected.expect("a broker at TEST_NATS_URL").unwrap();
        world
    }

    /// With that broker, which need not run yet.
    pub(crate) async fn with_broker(nats_url: &str) -> Self {
        let name = format!("events_{}", Uuid::now_v7().simple());
        let url = make_database(&name).await;
        Self {
            pool: PgPool::connect(&url).await.unwrap(),
            url,
            nats: stream::connect(nats_url, "test").await.unwrap(),
            settings: Settings { max_bytes: 64 << 20, ..Settings::new(name.clone()) },
            wake: Wake::default(),
            stop: CancellationToken::new(),
            tasks: Vec::new(),
            database: name,
        }
    }

    /// Has PostgreSQL remember of the outbox that it is as it is now.
    pub(crate) async fn analyze_outbox(&self) {
        let mut admin = admin(Some(&self.database)).await;
        execute(&mut admin, "vacuum analyze opportunities.outbox".to_owned()).await;
    }

    /// Ends the tasks and drops the database. A test that fails leaves its database to look at.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        for task in self.tasks {
            task.await.unwrap().unwrap();
        }
        let _ = stream::context(&self.nats).delete_stream(self.settings.name()).await;
        self.pool.close().await;
        let mut admin = admin(None).await;
        execute(&mut admin, format!("drop database {} with (force)", self.database)).await;
        execute(&mut admin, format!("drop role {}_opportunities", self.database)).await;
    }

    pub(crate) async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }

    /// Appends changes in one transaction and wakes the relay.
    pub(crate) async fn append(&self, changes: &[Change]) {
        let mut transaction = self.pool.begin().await.unwrap();
        outbox::append(&mut transaction, changes).await.unwrap();
        transaction.commit().await.unwrap();
        self.wake.wake();
    }

    /// Appends that many changes of records that are new, whose ids begin at `first`.
    pub(crate) async fn append_new(&self, first: i64, count: i64) {
        let changes: Vec<_> = (first..first + count).map(|id| change(id, 1)).collect();
        self.append(&changes).await;
    }

    pub(crate) fn relay(&self) -> Relay {
        Relay {
            source: SOURCE.to_owned(),
            database_url: Secret::from(self.url.clone()),
            nats: self.nats.clone(),
            stream: self.settings.clone(),
            wake: self.wake.clone(),
        }
    }

    /// Runs a relay until it is cancelled or the world ends.
    pub(crate) fn spawn_relay(&mut self) -> CancellationToken {
        let stop = self.stop.child_token();
        self.tasks.push(tokio::spawn(events::relay::run(self.relay(), stop.clone())));
        stop
    }

    pub(crate) fn owner(&self) -> ChangeSource {
        ChangeSource::of_database(self.pool.clone())
    }

    pub(crate) fn consumer(&self, owner: ChangeSource) -> (Consumer, watch::Receiver<i64>) {
        let (told, position) = watch::channel(0);
        let consumer = Consumer {
            name: "test".to_owned(),
            source: SOURCE.to_owned(),
            database_url: Secret::from(self.url.clone()),
            nats: self.nats.clone(),
            stream: self.settings.clone(),
            owner,
            poll_every: Duration::from_secs(5),
            durable: false,
            position: Some(told),
            applies: None,
        };
        (consumer, position)
    }

    /// Runs a consumer that [`apply`]s until it is cancelled or the world ends.
    pub(crate) fn spawn_consumer(&mut self, consumer: Consumer) -> CancellationToken {
        self.spawn_consumer_with(consumer, |connection, events| Box::pin(apply(connection, events)))
    }

    pub(crate) fn spawn_consumer_with<A>(
        &mut self,
        consumer: Consumer,
        apply: A,
    ) -> CancellationToken
    where
        A: for<'a> Fn(&'a mut PgConnection, &'a [Event]) -> Applying<'a> + Send + Sync + 'static,
    {
        let stop = self.stop.child_token();
        self.tasks.push(tokio::spawn(events::consumer::run(consumer, apply, stop.clone())));
        stop
    }

    /// The positions applied, in the order in which they were.
    pub(crate) async fn applied(&self) -> Vec<i64> {
        sqlx::query_scalar("select position from applied order by n")
            .fetch_all(&self.pool)
            .await
            .unwrap()
    }

    /// Waits until the broker has acknowledged everything.
    pub(crate) async fn all_published(&self) {
        self.wait_for("select count(*) from outbox", 0).await;
    }

    /// Waits until a query answers that.
    pub(crate) async fn wait_for(&self, sql: &'static str, wanted: i64) {
        let waiting = async {
            while self.count(sql).await != wanted {
                tokio::task::yield_now().await;
            }
        };
        let reached = tokio::time::timeout(Duration::from_mins(1), waiting).await;
        reached.unwrap_or_else(|_| panic!("`{sql}` is not {wanted}"));
    }

    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.pool).await.unwrap()
    }
}

/// Writes each event down; one about record 666 violates a constraint.
pub(crate) async fn apply(
    connection: &mut PgConnection,
    events: &[Event],
) -> Result<(), events::ApplyError> {
    for event in events {
        sqlx::query("insert into applied (position, aggregate_id, version) values ($1, $2, $3)")
            .bind(event.position)
            .bind(event.aggregate_id)
            .bind(event.version)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// A change of a team.
pub(crate) fn change(id: i64, version: i64) -> Change {
    named_change(id, version, format!("Team {id}"))
}

pub(crate) fn named_change(id: i64, version: i64, name: String) -> Change {
    let now = process::now();
    Change {
        event_id: event_id(now),
        aggregate: "team",
        aggregate_id: id,
        version,
        event_type: if version == 1 { "team.created" } else { "team.updated" },
        occurred_at: now,
        recorded_at: now,
        actor: if id % 2 == 0 { Actor::User(1) } else { Actor::Service("test".to_owned()) },
        origin: Origin::User,
        request_id: "request".to_owned(),
        cause_id: String::new(),
        traceparent: String::new(),
        changes: field_change("name", None, Some(&name)).into_iter().collect(),
        record: Record::Team(TeamRecord { id, name, version, ..TeamRecord::default() }),
        stage_move: None,
    }
}

/// Waits until the consumer stands there.
pub(crate) async fn reaches(position: &mut watch::Receiver<i64>, wanted: i64) {
    let waiting = position.wait_for(|position| *position >= wanted);
    let reached = tokio::time::timeout(Duration::from_mins(1), waiting).await;
    drop(reached.unwrap_or_else(|_| panic!("did not reach {wanted}")).unwrap());
}

async fn make_database(name: &str) -> String {
    let mut admin = admin(None).await;
    execute(&mut admin, format!("create database {name}")).await;
    execute(&mut admin, format!("create role {name}_opportunities login password 'test'")).await;
    execute(&mut admin, format!("alter role {name}_opportunities set search_path = opportunities"))
        .await;
    let mut owner = self::admin(Some(name)).await;
    execute(&mut owner, "create schema opportunities; set search_path = opportunities".to_owned())
        .await;
    for migration in MIGRATIONS.into_iter().chain([APPLIED]) {
        execute(&mut owner, migration.to_owned()).await;
    }
    let url = std::env::var("TEST_POSTGRES_URL").unwrap();
    let (_, address) = url.rsplit_once('@').expect("user@host in TEST_POSTGRES_URL");
    let (host, _) = address.split_once('/').expect("a database in TEST_POSTGRES_URL");
    format!("postgres://{name}_opportunities:test@{host}/{name}")
}

/// A superuser's connection.
async fn admin(database: Option<&str>) -> PgConnection {
    let url = std::env::var("TEST_POSTGRES_URL").expect("TEST_POSTGRES_URL");
    let options: sqlx::postgres::PgConnectOptions = url.parse().unwrap();
    let options = match database {
        Some(database) => options.database(database),
        None => options,
    };
    PgConnection::connect_with(&options).await.unwrap()
}

async fn execute(connection: &mut PgConnection, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.unwrap();
}
