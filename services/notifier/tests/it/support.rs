//! A database of one's own, and events as identity and opportunities tell them.

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use auth::ServiceToken;
use chrono::{DateTime, TimeDelta, Utc};
use events::{ChangeSource, Event, Origin, Record};
use notifier::{
    consumer,
    delivery::{Post, mail::Mailer},
    identity::Identity,
};
use process::Secret;
use proto::{
    events::v1::{Actor, ListChangesResponse, OpportunityRecord, TeamRecord, UserRecord},
    identity::v1::IssueServiceTokenResponse,
};
use sqlx::{Connection as _, Executor as _, PgConnection, PgPool};
use uuid::Uuid;

/// The owner of the opportunity, a rep.
pub(crate) const AMY: i64 = 1;
/// Another rep, who reads English.
pub(crate) const BOB: i64 = 2;
/// The manager of their team.
pub(crate) const MEI: i64 = 3;
/// The domain that mails are from.
pub(crate) const DOMAIN: &str = "sales.example";

#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) url: String,
    pub(crate) pool: PgPool,
}

impl Database {
    /// Migrated, and it knows nobody.
    pub(crate) async fn create() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let root = std::env::var("TEST_POSTGRES_URL").unwrap();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // Neither alone: a machine gives an id again, and two processes begin within a microsecond.
        let (id, at) = (std::process::id(), process::now().timestamp_micros());
        let name = format!("it_notifier_{id}_{at}_{number}");
        let mut root_connection = PgConnection::connect(&root).await.unwrap();
        for role in ["notifier_owner", "notifier"] {
            let sql = format!(
                "create role {name}_{role} login; alter role {name}_{role} set search_path = notifier"
            );
            root_connection.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
        }
        root_connection
            .execute(sqlx::AssertSqlSafe(format!("create database {name}")))
            .await
            .unwrap();
        let (server, _) = root.rsplit_once('/').unwrap();
        let mut connection = PgConnection::connect(&format!("{server}/{name}")).await.unwrap();
        let sql = format!("create schema notifier authorization {name}_notifier_owner");
        connection.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
        let (_, address) = server.rsplit_once('@').unwrap();
        let url = format!("postgres://{name}_notifier@{address}/{name}");
        let owner_url = format!("postgres://{name}_notifier_owner@{address}/{name}");
        let migrated = Command::new(env!("CARGO_BIN_EXE_notifier"))
            .arg("migrate")
            .env("MIGRATE_DATABASE_URL", &owner_url)
            .env("LOG_LEVEL", "error")
            .status();
        assert!(migrated.unwrap().success());
        let pool = PgPool::connect(&url).await.unwrap();
        Self { url, pool }
    }

    /// It knows Amy and Bob and their manager Mei.
    pub(crate) async fn with_people() -> Self {
        let database = Self::create().await;
        database.hear(&people(), noon()).await;
        database
    }

    /// Applies events of identity, with mail.
    pub(crate) async fn hear(&self, events: &[Event], now: DateTime<Utc>) {
        let mut tx = self.pool.begin().await.unwrap();
        consumer::apply_identity(&mut tx, events, Some(DOMAIN.into()), now).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Applies events of opportunities, with mail.
    pub(crate) async fn apply(&self, events: &[Event], now: DateTime<Utc>) {
        self.apply_with(events, Some(DOMAIN.into()), now).await;
    }

    pub(crate) async fn apply_with(
        &self,
        events: &[Event],
        domain: Option<Arc<str>>,
        now: DateTime<Utc>,
    ) {
        let mut tx = self.pool.begin().await.unwrap();
        let silent = ChangeSource::new(|_| async { Ok(ListChangesResponse::default()) });
        consumer::apply_opportunities(&mut tx, events, silent, domain, now).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Who was told, with the title, in the order of their ids.
    pub(crate) async fn told(&self) -> Vec<(i64, String)> {
        sqlx::query_as(
            "select recipient_user_id, title from notifications order by recipient_user_id, id",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap()
    }

    /// State and attempts of each delivery.
    pub(crate) async fn deliveries(&self) -> Vec<(String, i32)> {
        sqlx::query_as("select state, attempts from deliveries order by id")
            .fetch_all(&self.pool)
            .await
            .unwrap()
    }
}

/// What mails are sent with, over the server of that URL.
pub(crate) fn post(smtp_url: &str, identity: Identity) -> Post {
    let from = format!("銷售漏斗 <pipeline@{DOMAIN}>");
    let mailer = Mailer::try_new(&Secret::from(smtp_url), &from).unwrap();
    Post { mailer, identity }
}

/// The identity at that URL.
pub(crate) fn identity(url: &str) -> Identity {
    let token = ServiceToken::fetched(Box::new(|| {
        let (access_token, expires_in) = ("t".to_owned(), 600);
        Box::pin(async move { Ok(IssueServiceTokenResponse { access_token, expires_in }) })
    }));
    Identity::new(rpc::client::connect_lazy(url, &rpc::Tls::default()).unwrap(), Arc::new(token))
}

/// An identity that does not answer, for who asks nothing.
pub(crate) fn nobody_asked() -> Identity {
    identity("http://127.0.0.1:1")
}

/// A second that is easy to count from.
pub(crate) fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_760_000_000, 0).unwrap()
}

pub(crate) fn after(seconds: i64) -> DateTime<Utc> {
    noon() + TimeDelta::seconds(seconds)
}

pub(crate) fn people() -> Vec<Event> {
    let person = |id, name: &str, language: &str, role: &str| UserRecord {
        id,
        username: name.to_owned(),
        email: format!("{id}@example.com"),
        language: language.to_owned(),
        role: role.to_owned(),
        is_active: true,
        version: 1,
        ..UserRecord::default()
    };
    let records = [
        Record::User(person(AMY, "陳愛美", "zh-TW", "rep")),
        Record::User(person(BOB, "Bob", "en", "rep")),
        Record::User(person(MEI, "林美", "en", "manager")),
        Record::Team(TeamRecord {
            id: 7,
            manager_id: Some(MEI),
            version: 1,
            ..TeamRecord::default()
        }),
    ];
    numbered(records.map(|record| Event { record: Some(record), ..Event::default() }))
}

/// Amy's opportunity was won by that user.
pub(crate) fn won_by(user_id: i64) -> Event {
    let record = OpportunityRecord {
        id: 9,
        opportunity_name: "軟體授權採購".to_owned(),
        customer_name: "XYZ 公司".to_owned(),
        status: "won".to_owned(),
        amount: Some(proto::Decimal::from_hundredths(250_000_000)),
        currency: "TWD".to_owned(),
        owner_id: AMY,
        team_id: Some(7),
        ..OpportunityRecord::default()
    };
    Event {
        event_id: Uuid::now_v7().to_string(),
        r#type: "opportunity.won".to_owned(),
        origin: Origin::User.into(),
        actor: Some(Actor { user_id: Some(user_id), service: String::new() }),
        occurred_at: Some(noon().into()),
        recorded_at: Some(noon().into()),
        record: Some(Record::Opportunity(record)),
        ..Event::default()
    }
}

/// Amy's opportunity was lost by that user, for that reason.
pub(crate) fn lost_by(user_id: i64, reason: &str) -> Event {
    let mut event = won_by(user_id);
    "opportunity.lost".clone_into(&mut event.r#type);
    if let Some(Record::Opportunity(record)) = &mut event.record {
        "lost".clone_into(&mut record.status);
        record.lost_reason = Some(reason.to_owned());
    }
    event
}

/// With the positions 1, 2, 3, …
pub(crate) fn numbered(events: impl IntoIterator<Item = Event>) -> Vec<Event> {
    let with_positions = (1..).zip(events).map(|(position, event)| Event { position, ..event });
    with_positions.collect()
}
