//! identity: who uses the product, what they may do, and the tokens by which every other service knows them.
//!
//! In reading order: [`user`], [`team`], [`settings`], [`token`], [`session`], [`api_key`], [`sign_in`], [`password_link`], [`second_factor`], [`client`],
//! [`authorization`] and [`external`] are the nouns; [`first_start`] is what an empty database gets; [`grpc`] is the edge. [`app`] is what use cases work with, [`cause`] what the change
//! log says of who made a change; [`derive`] and [`seal`] are the keys that come of `SECRET_KEY`.

pub mod api_key;
pub mod app;
pub mod authorization;
pub mod cause;
pub mod client;
pub mod config;
pub mod derive;
pub mod external;
pub mod first_start;
pub mod grpc;
pub mod page;
pub mod password;
pub mod password_link;
pub mod seal;
pub mod second_factor;
pub mod session;
pub mod settings;
pub mod sign_in;
pub mod team;
pub mod text;
pub mod token;
pub mod user;

use std::{pin::pin, sync::Arc, time::Duration};

use anyhow::Context as _;
use auth::{Keys, Revocations, Verifier, token::Signer};
use events::{ChangeLog, Relay, Wake, stream};
use futures::TryStreamExt as _;
use process::{DatabaseSettings, Latch, PublicUrl, Secret, Work, postgres};
use proto::{
    audit::v1::audit_service_server::AuditServiceServer,
    events::v1::change_service_server::ChangeServiceServer,
    identity::v1::{
        api_key_service_server::ApiKeyServiceServer,
        authorization_service_server::AuthorizationServiceServer,
        client_service_server::ClientServiceServer,
        external_sign_in_service_server::ExternalSignInServiceServer,
        key_service_server::KeyServiceServer,
        password_link_service_server::PasswordLinkServiceServer,
        second_factor_service_server::SecondFactorServiceServer,
        session_service_server::SessionServiceServer,
        settings_service_server::SettingsServiceServer, team_service_server::TeamServiceServer,
        token_service_server::TokenServiceServer, user_service_server::UserServiceServer,
    },
};
use rpc::{Server, Tls};
use tokio_util::sync::CancellationToken;

use crate::{
    app::App,
    config::{Config, CreateAdmin, PasswordGrant, Tokens},
    derive::Marker,
    external::{Provider, model::Settings},
    password::Gate,
    password_link::model::{Key, Links},
    seal::Seal,
    sign_in::turns::Turns,
    token::Issuer,
};

/// Gives memory back when a burst is over: a password hash takes 19 MiB for a moment, which glibc's allocator would keep for each thread.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The service's name, as in tokens, events and roles of the database.
pub const SERVICE: &str = "identity";

/// The service that may tell for whose connection it speaks, and exchanges API keys.
pub const GATEWAY: &str = "gateway";

/// How often what is over is forgotten.
const FORGET: Duration = Duration::from_mins(10);

/// How often it is looked for what an old key encrypted.
const RESEAL: Duration = Duration::from_mins(1);

/// The schema, from its beginning.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/identity");

/// Binds, connects and spawns what the service does; returns at once. It is ready when its schema is there and the first start is done.
pub fn serve(config: Config, process: &process::Context) -> Work<'_> {
    Box::pin(async move {
        let latch = process.readiness().latch("database");
        let issuer = issuer(&config.tokens)?;
        let links = links(&config)?;
        let tls = Tls::load(&config.tls)?;
        let seal = Seal::of(&config.tokens.secret_key, config.tokens.second_secret_key())?;
        let marker = Marker::of(&config.tokens.secret_key)
            .context("no key can be derived from SECRET_KEY")?;
        let app = connect(&config.database, external(&config)?)?;
        let nats = stream::connect(config.events.nats_url.expose(), SERVICE)
            .await
            .context("NATS_URL makes no sense")?;
        let listener = process.listen(&config.listen).await?;

        let relay = Relay {
            source: SERVICE.to_owned(),
            database_url: config.database.url.clone(),
            nats: nats.clone(),
            stream: stream::Settings::of(&config.events),
            wake: app.wake.clone(),
        };
        process.spawn("relay", events::relay::run(relay, process.shutdown()));

        let revocations = Arc::clone(&app.revocations);
        let verifier =
            Verifier::new(&issuer.name, Keys::fixed(issuer.keys()), Arc::clone(&revocations));
        let verifier = Arc::new(verifier);
        let stream = stream::Settings::of(&config.events);
        process.spawn("rights", rights(app.clone(), nats, stream, revocations, process.shutdown()));
        process.spawn("forget", forget(app.clone(), process.shutdown()));
        process.spawn("reseal", reseal(app.clone(), seal.clone(), process.shutdown()));
        let secrets = config.tokens.service_secrets.clone();
        let server = Server::builder(SERVICE)
            .readiness(process.readiness())
            .tls(&tls)
            .auth(auth::Layer::new(Arc::clone(&verifier), &grpc::OPEN))
            .add(TokenServiceServer::new(grpc::token::Tokens {
                app: app.clone(),
                issuer: issuer.clone(),
                secrets,
                verifier,
            }))
            .add(ApiKeyServiceServer::new(grpc::api_key::ApiKeys {
                app: app.clone(),
                issuer: issuer.clone(),
            }))
            .add(AuthorizationServiceServer::new(grpc::authorization::Authorizations {
                app: app.clone(),
                seal: seal.clone(),
                issuer: issuer.clone(),
            }))
            .add(ExternalSignInServiceServer::new(grpc::external::ExternalSignIns {
                app: app.clone(),
                seal: seal.clone(),
            }))
            .add(ClientServiceServer::new(grpc::client::Clients { app: app.clone() }))
            .add(KeyServiceServer::new(grpc::key::Keys { issuer }))
            .add(UserServiceServer::new(grpc::user::Users {
                app: app.clone(),
                links: links.clone(),
                marker: marker.clone(),
            }))
            .add(PasswordLinkServiceServer::new(grpc::password_link::PasswordLinks::new(
                app.clone(),
                links,
            )))
            .add(SessionServiceServer::new(grpc::session::Sessions { app: app.clone() }))
            .add(SecondFactorServiceServer::new(grpc::second_factor::SecondFactors {
                app: app.clone(),
                seal,
                marker,
            }))
            .add(TeamServiceServer::new(grpc::team::Teams { app: app.clone() }))
            .add(SettingsServiceServer::new(grpc::settings::Settings { app: app.clone() }))
            .add(AuditServiceServer::new(grpc::audit::Audit { app: app.clone() }))
            .add(ChangeServiceServer::new(ChangeLog { pool: app.read.clone() }));
        process.spawn("grpc", server.serve(listener, process.shutdown()));

        let shutdown = process.shutdown();
        process.spawn("first start", async move {
            shutdown.run_until_cancelled(first_start(app, config, latch)).await.unwrap_or(Ok(()))
        });
        Ok(())
    })
}

/// Waits for the schema and gives an empty database what it needs.
async fn first_start(app: App, config: Config, latch: Latch) -> anyhow::Result<()> {
    postgres::wait_until_usable(&app.read, &MIGRATOR).await?;
    let now = process::now();
    first_start::seed_settings(&app, &config.organisation.draft(), now)
        .await
        .map_err(first_start::in_words)?;
    let given = |text: &String| !text.is_empty();
    let public_url = config.public_url.as_ref().map(PublicUrl::as_str);
    client::seed_dashboard(&app, public_url, now).await?;
    if let (Some(email), Some(password)) = (config.admin_email.filter(given), config.admin_password)
    {
        let salt = grpc::random()?;
        first_start::seed_admin(&app, &email, &password, salt, now)
            .await
            .map_err(first_start::in_words)
            .context("ADMIN_EMAIL, ADMIN_PASSWORD")?;
    }
    latch.set();
    Ok(())
}

/// Hears what other replicas take back, as every process does; the present state is in the own database.
async fn rights(
    app: App,
    nats: async_nats::Client,
    stream: stream::Settings,
    revocations: Arc<Revocations>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let load = |revocations: Arc<Revocations>| {
        let parts = session::rights(app.clone(), process::now());
        async move {
            let mut parts = pin!(parts);
            while let Some(part) = parts.try_next().await? {
                events::rights::take_in(&revocations, &grpc::session::rights_to_wire(part));
            }
            Ok(())
        }
    };
    events::rights::follow(nats, stream, revocations, load, shutdown).await
}

/// Forgets, now and then, what nobody asks for any more.
async fn forget(app: App, shutdown: CancellationToken) -> anyhow::Result<()> {
    while shutdown.run_until_cancelled(tokio::time::sleep(FORGET)).await.is_some() {
        let now = process::now();
        let forgotten = async {
            session::forget(&app, now).await?;
            api_key::forget(&app, now).await?;
            sign_in::forget(&app, now).await?;
            password_link::forget(&app, now).await?;
            authorization::forget(&app, now).await?;
            external::forget(&app, now).await?;
            idempotency::forget(&app.write, now).await
        };
        if let Err(error) = forgotten.await {
            tracing::warn!(%error, "what is over was not forgotten");
        }
    }
    Ok(())
}

/// Encrypts anew, now and then, what is encrypted under a key that is on its way out: other replicas may still use it.
async fn reseal(app: App, seal: Seal, shutdown: CancellationToken) -> anyhow::Result<()> {
    let resealing = async {
        if postgres::wait_until_usable(&app.read, &MIGRATOR).await.is_err() {
            return;
        }
        loop {
            if let Err(error) = second_factor::reseal(&app, &seal, grpc::random).await {
                tracing::warn!(%error, "what an old key encrypted was not encrypted anew");
            }
            tokio::time::sleep(RESEAL).await;
        }
    };
    shutdown.run_until_cancelled(resealing).await;
    Ok(())
}

/// Brings the schema up to date, as the role that owns it.
pub fn migrate(url: &Secret) -> Work<'_> {
    Box::pin(async move { postgres::migrate(url, &MIGRATOR).await })
}

/// Makes an administrator.
pub fn create_admin(wanted: CreateAdmin) -> Work<'static> {
    Box::pin(async move {
        let app = connect(&wanted.database, None)?;
        let now = process::now();
        first_start::seed_settings(&app, &wanted.organisation.draft(), now)
            .await
            .map_err(first_start::in_words)?;
        let user =
            first_start::create_admin(&app, &wanted.email, &wanted.password, grpc::random()?, now)
                .await?;
        tracing::info!(user_id = user.id, "made an administrator");
        Ok(())
    })
}

fn connect(database: &DatabaseSettings, external: Option<Provider>) -> anyhow::Result<App> {
    Ok(App {
        read: postgres::read_pool(&database.url, database.pool_size, SERVICE)?,
        write: postgres::write_pool(&database.url, database.pool_size, SERVICE)?,
        gate: Gate::default(),
        turns: Turns::default(),
        external,
        wake: Wake::default(),
        revocations: Arc::default(),
    })
}

fn issuer(tokens: &Tokens) -> anyhow::Result<Issuer> {
    let second = tokens
        .second_secret_key()
        .map(|secret| Signer::from_secret(secret).context("SECRET_KEY_PREVIOUS"))
        .transpose()?;
    Ok(Issuer {
        signer: Signer::from_secret(&tokens.secret_key)?,
        second: second.map(|signer| signer.public_key().clone()),
        name: auth::ISSUER.to_owned(),
        life_s: tokens.access_token_expire_minutes * 60,
        takes_passwords: tokens.password_grant == PasswordGrant::FirstParty,
    })
}

/// The provider, which is asked when somebody wants to sign in there.
fn external(config: &Config) -> anyhow::Result<Option<Provider>> {
    let secret_key = &config.tokens.secret_key;
    let settings = Settings::read(&config.external, config.public_url.as_ref(), secret_key)?;
    settings.map(Provider::new).transpose()
}

fn links(config: &Config) -> anyhow::Result<Links> {
    let key = |secret| Key::from_secret(secret).context("no key can be derived from SECRET_KEY");
    Ok(Links {
        key: key(&config.tokens.secret_key)?,
        second: config.tokens.second_secret_key().map(key).transpose()?,
        public_url: config.public_url.clone(),
    })
}
