//! A real identity process on ports of its own, with a database of its own.

use std::{
    process::Stdio,
    sync::atomic::{AtomicU32, Ordering},
};

use prost_types::FieldMask;
use proto::identity::v1::{
    CreateUserRequest, IssueServiceTokenRequest, IssueTokenRequest, RefreshTokenRequest, TokenSet,
    UpdateTeamRequest, User, team_service_client::TeamServiceClient,
    token_service_client::TokenServiceClient, user_service_client::UserServiceClient,
};
use rpc::client::Channel;
use rpc::{Error, client::Context};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
};

pub(crate) const ADMIN: &str = "Admin@Example.com";
pub(crate) const PASSWORD: &str = "correct horse battery";
pub(crate) const SERVICE_SECRET: &str = "a secret of the gateway";
pub(crate) const PUBLIC_URL: &str = "https://sales.example";
pub(crate) const SECRET_KEY: &str = "0123456789abcdef0123456789abcdef";

pub(crate) struct Database {
    pub(crate) url: String,
    pub(crate) owner_url: String,
}

impl Database {
    /// Empty, with the roles and the schema that an operator makes.
    pub(crate) async fn create() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let root = std::env::var("TEST_POSTGRES_URL").unwrap();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // Neither alone: a machine gives an id again, and two processes begin within a microsecond.
        let (id, at) = (std::process::id(), process::now().timestamp_micros());
        let name = format!("it_identity_{id}_{at}_{number}");
        let mut root_connection = PgConnection::connect(&root).await.unwrap();
        for role in ["identity_owner", "identity"] {
            let sql = format!(
                "create role {name}_{role} login; alter role {name}_{role} set search_path = identity"
            );
            root_connection.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
        }
        root_connection
            .execute(sqlx::AssertSqlSafe(format!("create database {name}")))
            .await
            .unwrap();
        let (server, _) = root.rsplit_once('/').unwrap();
        let mut connection = PgConnection::connect(&format!("{server}/{name}")).await.unwrap();
        let sql = format!("create schema identity authorization {name}_identity_owner");
        connection.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
        let (_, address) = server.rsplit_once('@').unwrap();
        Self {
            url: format!("postgres://{name}_identity@{address}/{name}"),
            owner_url: format!("postgres://{name}_identity_owner@{address}/{name}"),
        }
    }
}

pub(crate) struct Identity {
    pub(crate) database: Database,
    pub(crate) channel: Channel,
    process: Child,
}

impl Identity {
    /// On a new, migrated database.
    pub(crate) async fn start() -> Self {
        let database = Database::create().await;
        migrate(&database).await;
        Self::on(database).await
    }

    /// On a database that is there.
    pub(crate) async fn on(database: Database) -> Self {
        Self::with(database, |_| {}).await
    }

    /// The same, set up a little otherwise.
    pub(crate) async fn with(database: Database, set_up: impl FnOnce(&mut Command)) -> Self {
        let mut command = command(&database);
        command.arg("serve").env("ADMIN_EMAIL", ADMIN).env("ADMIN_PASSWORD", PASSWORD);
        set_up(&mut command);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = lines.next_line().await.unwrap().unwrap();
        let bound: serde_json::Value = serde_json::from_str(&line).unwrap();
        let address = bound["listen"].as_str().unwrap();
        let channel =
            rpc::client::connect_lazy(&format!("http://{address}"), &rpc::Tls::default()).unwrap();
        ready(&channel).await;
        Self { database, channel, process }
    }

    pub(crate) async fn stop(self) -> Database {
        let Self { database, mut process, .. } = self;
        process.kill().await.unwrap();
        database
    }

    pub(crate) async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.database.url).await.unwrap()
    }

    pub(crate) async fn sign_in(&self, username: &str, password: &str) -> Result<TokenSet, Error> {
        let (username, password) = (username.to_owned(), password.to_owned());
        let request = IssueTokenRequest { username, password, scope: None };
        let answer = TokenServiceClient::new(self.channel.clone()).issue_token(request).await?;
        Ok(answer.into_inner().token.unwrap())
    }

    pub(crate) async fn refresh(&self, refresh_token: &str) -> Result<TokenSet, Error> {
        let refresh_token = refresh_token.to_owned();
        let request = RefreshTokenRequest { refresh_token, ..RefreshTokenRequest::default() };
        let answer = TokenServiceClient::new(self.channel.clone()).refresh_token(request).await?;
        Ok(answer.into_inner().token.unwrap())
    }

    pub(crate) async fn admin(&self) -> Context {
        bearer(&self.sign_in(ADMIN, PASSWORD).await.unwrap().access_token)
    }

    /// The gateway, as a service of its own.
    pub(crate) async fn service(&self) -> Context {
        self.service_of("gateway").await
    }

    /// A service, as one of its own.
    pub(crate) async fn service_of(&self, name: &str) -> Context {
        let request = IssueServiceTokenRequest {
            service: name.to_owned(),
            secret: SERVICE_SECRET.to_owned(),
        };
        let mut tokens = TokenServiceClient::new(self.channel.clone());
        let answer = tokens.issue_service_token(request).await.unwrap();
        bearer(&answer.into_inner().access_token)
    }

    pub(crate) fn users(&self) -> UserServiceClient<Channel> {
        UserServiceClient::new(self.channel.clone())
    }

    pub(crate) fn teams(&self) -> TeamServiceClient<Channel> {
        TeamServiceClient::new(self.channel.clone())
    }

    pub(crate) async fn create_user(
        &self,
        by: &Context,
        wanted: CreateUserRequest,
    ) -> Result<User, Error> {
        let answer = self.users().create_user(by.request(wanted)).await?;
        Ok(answer.into_inner().user.unwrap())
    }
}

/// A command of the program, with the settings that are the same in all tests.
pub(crate) fn command(database: &Database) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_identity"));
    command
        .env_clear()
        .env("DATABASE_URL", &database.url)
        .env("MIGRATE_DATABASE_URL", &database.owner_url)
        .env("NATS_URL", "nats://127.0.0.1:1")
        .env("SECRET_KEY", SECRET_KEY)
        .env("SERVICE_SECRETS", format!("gateway={SERVICE_SECRET},notifier={SERVICE_SECRET}"))
        .env("PUBLIC_URL", PUBLIC_URL)
        .env("LISTEN_ADDR", "127.0.0.1:0")
        .env("LOG_LEVEL", "error")
        .kill_on_drop(true);
    command
}

pub(crate) async fn migrate(database: &Database) {
    assert!(command(database).arg("migrate").status().await.unwrap().success());
}

/// Returns when the server says that it serves.
async fn ready(channel: &Channel) {
    use tonic_health::pb::{
        HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
    };
    let request = HealthCheckRequest { service: String::new() };
    let mut changes = HealthClient::new(channel.clone()).watch(request).await.unwrap().into_inner();
    while let Some(answer) = changes.message().await.unwrap() {
        if answer.status() == ServingStatus::Serving {
            return;
        }
    }
    panic!("the server went away");
}

pub(crate) fn bearer(token: &str) -> Context {
    Context::default().with_authorization(format!("Bearer {token}").parse().unwrap())
}

/// A user that nothing is wrong with.
pub(crate) fn wanted(email: &str) -> CreateUserRequest {
    CreateUserRequest {
        email: email.to_owned(),
        username: "Somebody".to_owned(),
        password: Some(PASSWORD.to_owned()),
        ..CreateUserRequest::default()
    }
}

/// That this user, or nobody, is to lead a team.
pub(crate) fn lead(id: i64, manager_id: Option<i64>) -> UpdateTeamRequest {
    let update_mask = Some(FieldMask { paths: vec!["manager_id".to_owned()] });
    UpdateTeamRequest { id, manager_id, update_mask, ..UpdateTeamRequest::default() }
}
