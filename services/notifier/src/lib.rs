//! notifier: tells people what happened, in the product and by mail.
//!
//! In reading order: [`consumer`] is what it hears, [`notification`] and [`password_link`] what becomes of it, [`delivery`] how it leaves the house;
//! [`directory`] is whom it knows, [`identity`] whom it asks, [`grpc`] where people read their own.

pub mod config;
pub mod consumer;
pub mod delivery;
pub mod directory;
pub mod grpc;
pub mod identity;
pub mod notification;
pub mod page;
pub mod password_link;
pub mod text;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use auth::{Keys, Revocations, ServiceToken, Verifier};
use events::{ChangeSource, Consumer, dead_letters::DeadLetters, stream};
use process::{Latch, Secret, postgres};
use proto::dead_letter::v1::dead_letter_service_server::DeadLetterServiceServer;
use proto::notifier::v1::notification_service_server::NotificationServiceServer;
use rpc::{Server, Tls, client};
use sqlx::PgPool;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Config, DeadLettersConfig, Email},
    delivery::{Post, mail::Mailer},
    identity::Identity,
};

/// The service's name, as in tokens, consumers and roles of the database.
pub const SERVICE: &str = "notifier";

/// The schema, from its beginning.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/notifier");

/// The consumer of identity's events. Another name is another row of the inbox: everything is applied anew from the beginning, which does no harm.
pub const PEOPLE: &str = "notifier-people";
/// The source of people, teams and accounts.
pub const IDENTITY: &str = "identity";
/// The source of what people are told of.
pub const OPPORTUNITIES: &str = "opportunities";
/// What it consumes, and as whom.
pub const CONSUMERS: [(&str, &str); 2] = [(PEOPLE, IDENTITY), (SERVICE, OPPORTUNITIES)];
/// How long without a message before an owner is asked.
const POLL: Duration = Duration::from_secs(5);

/// Binds, connects and spawns what the service does; returns at once. It is ready when its schema is there.
pub fn serve(config: Config, process: &process::Context) -> process::Work<'_> {
    Box::pin(async move {
        let latch = process.readiness().latch("database");
        let mailer = mailer(&config.email)?;
        let tls = Tls::load(&config.tls)?;
        let read = postgres::read_pool(&config.database.url, config.database.pool_size, SERVICE)?;
        let write = postgres::write_pool(&config.database.url, config.database.pool_size, SERVICE)?;
        let identity = client::connect_lazy(&config.identity_url, &tls).context("IDENTITY_URL")?;
        let opportunities =
            client::connect_lazy(&config.opportunities_url, &tls).context("OPPORTUNITIES_URL")?;
        let nats = stream::connect(config.events.nats_url.expose(), SERVICE)
            .await
            .context("NATS_URL makes no sense")?;
        let listener = process.listen(&config.listen).await?;

        let token =
            Arc::new(ServiceToken::new(identity.clone(), SERVICE, config.service_secret.clone()));
        let consumer = |source: &str, owner| Consumer {
            name: SERVICE.to_owned(),
            source: source.to_owned(),
            database_url: config.database.url.clone(),
            nats: nats.clone(),
            stream: stream::Settings::of(&config.events),
            owner: ChangeSource::of_service(owner, Arc::clone(&token)),
            poll_every: POLL,
            // Mail that went out must not be forgotten.
            durable: true,
            position: None,
            applies: None,
        };
        let aside = {
            let owner = ChangeSource::of_service(identity.clone(), Arc::clone(&token));
            let domain = mailer.as_ref().map(|mailer| Arc::<str>::from(mailer.domain()));
            DeadLetters::new(read.clone(), write.clone(), &CONSUMERS, move |tx, source, events| {
                consumer::apply_again(tx, source, events, owner.clone(), domain.clone())
            })
        };
        let work = Work {
            people: Consumer {
                name: PEOPLE.to_owned(),
                // Whoever sends a mail that it queued has waited for the disk, and with that for what was committed before.
                durable: false,
                ..consumer(IDENTITY, identity.clone())
            },
            closings: consumer(OPPORTUNITIES, opportunities),
            read: read.clone(),
            write,
            post: mailer.map(|mailer| {
                let identity = Identity::new(identity.clone(), Arc::clone(&token));
                Post { mailer, identity }
            }),
        };
        process.spawn("work", work.run(latch, process.shutdown()));

        let revocations = Arc::<Revocations>::default();
        process.spawn(
            "rights",
            events::rights::follow_identity(
                nats,
                stream::Settings::of(&config.events),
                Arc::clone(&revocations),
                (identity.clone(), token),
                process.shutdown(),
            ),
        );
        let keys = Keys::from_identity(identity);
        let verifier = Arc::new(Verifier::new(auth::ISSUER, keys, revocations));
        process.spawn("keys", auth::learn_keys(Arc::clone(&verifier), process.shutdown()));
        let server = Server::builder(SERVICE)
            .readiness(process.readiness())
            .tls(&tls)
            .auth(auth::Layer::new(verifier, &[]))
            .add(NotificationServiceServer::new(grpc::notification::Notifications { pool: read }))
            .add(DeadLetterServiceServer::new(aside));
        process.spawn("grpc", server.serve(listener, process.shutdown()));
        Ok(())
    })
}

/// What the service does of its own accord.
struct Work {
    people: Consumer,
    closings: Consumer,
    read: PgPool,
    write: PgPool,
    post: Option<Post>,
}

impl Work {
    /// Waits for the schema; then applies events and sends mail until `shutdown`.
    async fn run(self, latch: Latch, shutdown: CancellationToken) -> anyhow::Result<()> {
        let usable = postgres::wait_until_usable(&self.read, &MIGRATOR);
        match shutdown.run_until_cancelled(usable).await {
            Some(usable) => usable?,
            None => return Ok(()),
        }
        latch.set();
        let (applied, hear_of_applied) = watch::channel(0);
        let domain: Option<Arc<str>> = self.post.as_ref().map(|post| post.mailer.domain().into());
        let mail_domain = domain.clone();
        let identity = self.people.owner.clone();
        let people = events::consumer::run(
            Consumer { position: Some(applied.clone()), ..self.people },
            move |tx, events| {
                consumer::apply_identity(tx, events, mail_domain.clone(), process::now())
            },
            shutdown.clone(),
        );
        let closings = events::consumer::run(
            Consumer { position: Some(applied), ..self.closings },
            move |tx, events| {
                let (identity, domain) = (identity.clone(), domain.clone());
                consumer::apply_opportunities(tx, events, identity, domain, process::now())
            },
            shutdown.clone(),
        );
        let mail = async {
            match self.post {
                Some(post) => delivery::run(self.write, post, hear_of_applied, shutdown).await,
                None => Ok(()),
            }
        };
        tokio::try_join!(people, closings, mail)?;
        Ok(())
    }
}

/// Brings the schema up to date, as the role that owns it.
pub fn migrate(url: &Secret) -> process::Work<'_> {
    Box::pin(async move { postgres::migrate(url, &MIGRATOR).await })
}

/// Looks at events that could not be applied, or applies them again.
pub fn dead_letters(config: &DeadLettersConfig) -> process::Work<'_> {
    Box::pin(async move {
        let tls = Tls::load(&config.tls)?;
        let identity = client::connect_lazy(&config.identity_url, &tls).context("IDENTITY_URL")?;
        let secret = config.service_secret.clone();
        let token = Arc::new(ServiceToken::new(identity.clone(), SERVICE, secret));
        let owner = ChangeSource::of_service(identity, token);
        let domain = mailer(&config.email)?.map(|mailer| Arc::<str>::from(mailer.domain()));
        events::dead_letters::run(&config.settings, &CONSUMERS, &|tx, source, events| {
            consumer::apply_again(tx, source, events, owner.clone(), domain.clone())
        })
        .await
    })
}

/// What mails are sent with, if people are to be told by mail.
fn mailer(email: &Email) -> anyhow::Result<Option<Mailer>> {
    if !email.email_enabled {
        return Ok(None);
    }
    let url = email.smtp_url.as_ref().context("EMAIL_ENABLED needs SMTP_URL")?;
    let from = email.email_from.as_ref().context("EMAIL_ENABLED needs EMAIL_FROM")?;
    Mailer::try_new(url, from).map(Some)
}
