//! The broker: its one stream, its subjects and how to connect. Nothing else knows their names or settings.

use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectOptions, ServerAddr};
use process::EventsSettings;

use crate::wire::MESSAGE_BYTES;

/// How long the broker may take to answer anything.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// What deployments may choose about the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What subjects and the stream's name begin with.
    pub prefix: String,
    /// On how many servers of a cluster the stream is kept.
    pub replicas: usize,
    /// Most bytes of the stream.
    pub max_bytes: i64,
}

impl Settings {
    /// One server and 1 GiB.
    pub fn new(prefix: impl Into<String>) -> Self {
        Self { prefix: prefix.into(), replicas: 1, max_bytes: 1 << 30 }
    }

    /// What the settings of a service say.
    pub fn of(settings: &EventsSettings) -> Self {
        let EventsSettings { prefix, replicas, max_bytes, .. } = settings;
        Self { prefix: prefix.clone(), replicas: (*replicas).into(), max_bytes: *max_bytes }
    }

    /// The stream's name.
    pub fn name(&self) -> String {
        format!("{}_CHANGES", self.prefix.to_uppercase())
    }

    /// Where the changes of one owning service are published.
    pub fn subject(&self, source: &str) -> String {
        format!("{}.{source}.changes", self.prefix)
    }

    fn config(&self) -> Config {
        Config {
            name: self.name(),
            subjects: vec![self.subject("*")],
            storage: StorageType::File,
            retention: RetentionPolicy::Limits,
            // A full stream refuses, loudly, instead of losing the oldest silently. What is older than a day is never needed from
            // here, consumers ask the owner; so a stream that is full is free again within the day, and nobody waits for it.
            discard: DiscardPolicy::New,
            max_age: Duration::from_hours(24),
            max_bytes: self.max_bytes,
            max_message_size: i32::try_from(MESSAGE_BYTES).unwrap_or(i32::MAX),
            duplicate_window: Duration::from_mins(10),
            num_replicas: self.replicas,
            deny_delete: true,
            ..Config::default()
        }
    }
}

/// A connection that is there at once and connects when the broker does; it reconnects for ever. The first URL that has a user and a
/// password, or a token alone, gives them for all.
pub async fn connect(url: &str, name: &str) -> anyhow::Result<Client> {
    let servers: Vec<ServerAddr> =
        url.split(',').map(|url| url.trim().parse()).collect::<Result<_, _>>()?;
    // The client itself does not look at them.
    let credentials =
        servers.iter().find_map(|server| Some((server.username()?, server.password())));
    let options = match credentials {
        Some((user, Some(password))) => {
            ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned())
        }
        Some((token, None)) => ConnectOptions::with_token(token.to_owned()),
        None => ConnectOptions::new(),
    };
    let client = options
        .name(name)
        .retry_on_initial_connect()
        .connection_timeout(PATIENCE)
        .request_timeout(Some(PATIENCE))
        .ping_interval(Duration::from_secs(10))
        .reconnect_delay_callback(|attempts| {
            Duration::from_millis(50 << attempts.min(5)).min(Duration::from_secs(1))
        })
        .connect(servers)
        .await?;
    Ok(client)
}

/// JetStream over that connection, with this crate's patience.
pub fn context(nats: &Client) -> Context {
    let mut context = jetstream::new(nats.clone());
    context.set_timeout(PATIENCE);
    context
}

/// Whether there is any use in asking the broker something.
pub fn is_connected(nats: &Client) -> bool {
    nats.connection_state() == State::Connected
}

/// Makes the stream, or makes it as the settings say.
pub async fn ensure(context: &Context, settings: &Settings) -> anyhow::Result<()> {
    context.create_or_update_stream(settings.config()).await?;
    Ok(())
}

/// The messages of one source for one durable consumer, from the first it has not acknowledged; stream and consumer are made if they
/// are not there.
pub async fn pull(
    context: &Context,
    settings: &Settings,
    consumer: &str,
    source: &str,
) -> anyhow::Result<pull::Stream> {
    ensure(context, settings).await?;
    let config = pull::Config {
        durable_name: Some(format!("{consumer}-{source}")),
        filter_subject: settings.subject(source),
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::Explicit,
        ack_wait: Duration::from_secs(30),
        max_ack_pending: 256,
        ..pull::Config::default()
    };
    let consumer = context.create_consumer_on_stream(config, settings.name()).await?;
    let messages = consumer
        .stream()
        .max_messages_per_batch(64)
        .expires(Duration::from_secs(10))
        .heartbeat(Duration::from_secs(2))
        .messages()
        .await?;
    Ok(messages)
}
