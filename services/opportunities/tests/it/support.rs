//! A database of one's own, identity's events as they come, and people who ask.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use auth::{Caller, Role, ServiceToken};
use chrono::{DateTime, Utc};
use events::{Actor, Event, Origin, Record};
use idempotency::Outcome;
use local::scratch::Database;
use opportunities::customer;
use opportunities::customer::merge::{self, Merged, Unmerged};
use opportunities::customer::model::{Customer, Draft, Edit};
use opportunities::identity::Identity;
use opportunities::import::workbook::Workbooks;
use opportunities::meta::Meta;
use opportunities::opportunity::draft::Wish;
use opportunities::opportunity::edit::EditWish;
use opportunities::opportunity::model::Step;
use opportunities::opportunity::{self, Detail, MoveWish};
use opportunities::{State, consumer, pipeline};
use proto::events::v1::{SettingsRecord, UserRecord};
use proto::identity::v1::{GetUserRequest, GetUserResponse, IssueServiceTokenResponse, User};
use rpc::Error;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// The administrator.
pub(crate) const ADMIN: i64 = 99;

pub(crate) struct World {
    pub(crate) state: State,
    database: Database,
}

impl World {
    /// With a pipeline and a visibility, where identity does not answer.
    pub(crate) async fn create(visibility: &str) -> Self {
        Self::beside("http://127.0.0.1:1", visibility).await
    }

    /// The same, with identity at that address.
    pub(crate) async fn beside(identity_url: &str, visibility: &str) -> Self {
        let migrations = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations/opportunities");
        let database = Database::create("opportunities", migrations).await;
        let pool = PgPool::connect(&database.url).await.unwrap();
        pipeline::ensure_default(&pool, now()).await.unwrap();
        let token = ServiceToken::fetched(Box::new(|| {
            let issued =
                IssueServiceTokenResponse { access_token: "t".to_owned(), expires_in: 600 };
            Box::pin(async move { Ok(issued) })
        }));
        let channel = rpc::client::connect_lazy(identity_url, &rpc::Tls::default()).unwrap();
        let identity = Identity::new(channel, Arc::new(token));
        let workbooks = Workbooks::by(env!("CARGO_BIN_EXE_opportunities"));
        let state = State { workbooks, ..State::new(pool.clone(), pool, identity) };
        let world = Self { state, database };
        world.tell(&[event(1, person(ADMIN, "admin", None))]).await;
        world.set_visibility(visibility, 1).await;
        world
    }

    /// From now on this is who may read what.
    pub(crate) async fn set_visibility(&self, visibility: &str, version: i64) {
        let settings = SettingsRecord {
            time_zone: "Asia/Taipei".to_owned(),
            default_currency: "TWD".to_owned(),
            currency_fixed: true,
            visibility: visibility.to_owned(),
            fiscal_year_start: 1,
            version,
            ..SettingsRecord::default()
        };
        self.tell(&[event(version, Record::Settings(settings))]).await;
        self.state.load().await.unwrap();
    }

    /// These events of identity come, in one transaction.
    pub(crate) async fn tell(&self, events: &[Event]) {
        let mut tx = self.state.writes.begin().await.unwrap();
        consumer::apply(&mut tx, events, now()).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Somebody makes an opportunity for themselves.
    pub(crate) async fn sale(&self, caller: &Caller) -> Detail {
        self.make(caller, wish()).await.unwrap()
    }

    pub(crate) async fn make(&self, caller: &Caller, wish: Wish) -> Result<Detail, Error> {
        let meta = meta(caller.user_id);
        match opportunity::create(&self.state, caller, wish, None, meta).await? {
            Outcome::New(detail) => Ok(detail),
            Outcome::Replay(_) => panic!("there was no key"),
        }
    }

    pub(crate) async fn advance(
        &self,
        caller: &Caller,
        id: i64,
        stage: &str,
    ) -> Result<Detail, Error> {
        let wish = MoveWish {
            stage: stage.to_owned(),
            step: Step::default(),
            expected_version: None,
            faults: rpc::Invalid::default(),
        };
        opportunity::change_stage(&self.state, caller, id, wish, meta(caller.user_id)).await
    }

    pub(crate) async fn change(
        &self,
        caller: &Caller,
        (id, expected_version): (i64, Option<i64>),
        wish: EditWish,
    ) -> Result<Detail, Error> {
        let meta = meta(caller.user_id);
        opportunity::update(&self.state, caller, id, expected_version, wish, meta).await
    }

    /// Somebody deletes an opportunity.
    pub(crate) async fn delete(&self, caller: &Caller, id: i64) -> Result<(), Error> {
        opportunity::delete(&self.state, caller, id, None, meta(caller.user_id)).await
    }

    /// Somebody brings an opportunity back.
    pub(crate) async fn restore(&self, caller: &Caller, id: i64) -> Result<Detail, Error> {
        let meta = meta(caller.user_id);
        match opportunity::restore(&self.state, caller, id, None, meta).await? {
            Outcome::New(detail) => Ok(detail),
            Outcome::Replay(_) => panic!("there was no key"),
        }
    }

    /// A customer of that name, made by the administrator.
    pub(crate) async fn customer(&self, draft: Draft) -> Customer {
        let admin = caller(ADMIN, Role::Admin, None);
        match customer::create(&self.state, &admin, draft, None, meta(ADMIN)).await.unwrap() {
            Outcome::New(customer) => customer,
            Outcome::Replay(_) => panic!("there was no key"),
        }
    }

    /// The administrator calls a customer something else.
    pub(crate) async fn rename(&self, id: i64, name: &str) -> Result<Customer, Error> {
        let admin = caller(ADMIN, Role::Admin, None);
        let edit = Edit { name: Some(Some(name.to_owned())), ..Edit::default() };
        customer::update(&self.state, &admin, id, None, edit, meta(ADMIN)).await
    }

    /// The administrator merges a customer into another.
    pub(crate) async fn merge(&self, id: i64, from_id: i64) -> Result<Merged, Error> {
        let admin = caller(ADMIN, Role::Admin, None);
        let merged = merge::merge(&self.state, &admin, id, from_id, None, meta(ADMIN)).await?;
        match merged {
            Outcome::New(merged) => Ok(merged),
            Outcome::Replay(_) => panic!("there was no key"),
        }
    }

    /// The administrator undoes that.
    pub(crate) async fn unmerge(&self, id: i64, from_id: i64) -> Result<Unmerged, Error> {
        let admin = caller(ADMIN, Role::Admin, None);
        match merge::unmerge(&self.state, &admin, id, from_id, None, meta(ADMIN)).await? {
            Outcome::New(unmerged) => Ok(unmerged),
            Outcome::Replay(_) => panic!("there was no key"),
        }
    }

    /// Every record of a kind has every one of its versions in the change log.
    pub(crate) async fn everything_is_told(&self) {
        for table in ["customers", "contacts", "opportunities"] {
            let aggregate = table.trim_end_matches('s').replace("opportunitie", "opportunity");
            let sql = format!(
                "select count(*) from {table} t
                 where version <> (select count(*) from change where aggregate = '{aggregate}' and aggregate_id = t.id)"
            );
            let sql = sqlx::AssertSqlSafe(sql);
            let untold: i64 = sqlx::query_scalar(sql).fetch_one(&self.state.reads).await.unwrap();
            assert_eq!(untold, 0, "{table}");
        }
    }

    /// An opportunity as the administrator sees it.
    pub(crate) async fn find(&self, id: i64) -> opportunity::model::Opportunity {
        let admin = caller(ADMIN, Role::Admin, None);
        opportunity::get(&self.state, &admin, id).await.unwrap().opportunity
    }

    /// The schema becomes another, by who owns it.
    pub(crate) async fn alter(&self, sql: String) {
        let owner = PgPool::connect(&self.database.owner_url).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&owner).await.unwrap();
        owner.close().await;
    }

    /// A statement that no use case makes.
    pub(crate) async fn sql(&self, sql: &'static str, id: i64) {
        sqlx::query(sql).bind(id).execute(&self.state.writes).await.unwrap();
    }
}

pub(crate) fn now() -> DateTime<Utc> {
    process::now()
}

pub(crate) fn caller(user_id: i64, role: Role, team_id: Option<i64>) -> Caller {
    Caller { user_id, role, team_id, service: None, ..Caller::service("") }
}

pub(crate) fn wish() -> Wish {
    Wish {
        customer_name: Some("XYZ 公司".to_owned()),
        opportunity_name: "軟體授權採購".to_owned(),
        ..Wish::default()
    }
}

pub(crate) fn meta(user_id: i64) -> Meta {
    Meta {
        actor: Actor::User(user_id),
        origin: Origin::User,
        recorded_at: now(),
        request_id: "request of the caller".to_owned(),
        traceparent: String::new(),
    }
}

/// A user as an event tells of them.
pub(crate) fn person(id: i64, role: &str, team_id: Option<i64>) -> Record {
    Record::User(UserRecord {
        id,
        username: format!("user {id}"),
        role: role.to_owned(),
        team_id,
        is_active: true,
        ..UserRecord::default()
    })
}

/// A record as of a version.
pub(crate) fn event(version: i64, record: Record) -> Event {
    Event {
        event_id: events::event_id(now()).to_string(),
        version,
        request_id: "request of the event".to_owned(),
        record: Some(record),
        ..Event::default()
    }
}

/// Identity as far as it is asked here: it knows this user, whoever is asked for. Serves until the test ends; its address.
pub(crate) async fn identity_that_knows(user: User) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tonic::transport::Server::builder()
        .add_service(Users(user))
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(server);
    url
}

#[derive(Clone)]
struct Users(User);

impl NamedService for Users {
    const NAME: &'static str = "salespipeline.identity.v1.UserService";
}

impl Service<http::Request<Body>> for Users {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let answer = GetUser(self.0.clone());
        Box::pin(async move {
            Ok(Grpc::new(tonic_prost::ProstCodec::default()).unary(answer, request).await)
        })
    }
}

struct GetUser(User);

impl UnaryService<GetUserRequest> for GetUser {
    type Response = GetUserResponse;
    type Future = Ready<Result<Response<GetUserResponse>, Status>>;

    fn call(&mut self, _: Request<GetUserRequest>) -> Self::Future {
        ready(Ok(Response::new(GetUserResponse { user: Some(self.0.clone()) })))
    }
}
