//! What the service is told from outside: the only file that reads the environment.

use clap::{Args, Parser, Subcommand};
use process::{
    DatabaseSettings, EventsSettings, ListenSettings, MigrateSettings, Secret, TelemetrySettings,
    TlsSettings,
};

/// Answers reports and forecasts from what the other services' events tell.
#[derive(Parser, Debug)]
#[command(name = "analytics", version)]
pub struct Cli {
    /// Logs and traces.
    #[command(flatten)]
    pub telemetry: TelemetrySettings,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Serve gRPC until asked to stop.
    Serve(Box<Config>),
    /// Bring the schema up to date.
    Migrate(MigrateSettings),
    /// Make all that is derived anew from the owners' change logs; the service may go on serving.
    Rebuild(Box<Config>),
    /// Compare all that is derived with what the owners have; fails where it differs.
    Verify(Box<Config>),
}

/// Settings of everything but `migrate`.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Where its data is.
    #[command(flatten)]
    pub database: DatabaseSettings,
    /// Where it listens.
    #[command(flatten)]
    pub listen: ListenSettings,
    /// Where events travel.
    #[command(flatten)]
    pub events: EventsSettings,
    /// How it speaks with the others.
    #[command(flatten)]
    pub tls: TlsSettings,
    /// Where identity listens.
    #[arg(long, env = "IDENTITY_URL")]
    pub identity_url: String,
    /// Where opportunities listens.
    #[arg(long, env = "OPPORTUNITIES_URL")]
    pub opportunities_url: String,
    /// By which this service is known to identity.
    #[arg(long, env = "SERVICE_SECRET", hide_env_values = true)]
    pub service_secret: Secret,
}
