//! What the gateway is told from outside: the only file that reads the environment.

use clap::{Args, Parser, Subcommand};
use process::{EventsSettings, ListenSettings, Secret, TelemetrySettings};

/// Serves the REST API.
#[derive(Parser, Debug)]
#[command(name = "gateway", version)]
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
    /// Serve HTTP until asked to stop.
    Serve(Box<Config>),
    /// Print the OpenAPI document.
    Openapi,
}

/// Settings of `serve`.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Where it listens.
    #[command(flatten)]
    pub listen: ListenSettings,
    /// Where events travel.
    #[command(flatten)]
    pub events: EventsSettings,
    /// Where the services are.
    #[command(flatten)]
    pub services: Services,
    /// By which the gateway is known to identity.
    #[arg(long, env = "SERVICE_SECRET", hide_env_values = true)]
    pub service_secret: Secret,
}

/// Where the services listen; several replicas with commas between them.
#[derive(Args, Clone, Debug)]
pub struct Services {
    /// Where identity listens.
    #[arg(long, env = "IDENTITY_URL")]
    pub identity_url: String,
    /// Where opportunities listens.
    #[arg(long, env = "OPPORTUNITIES_URL")]
    pub opportunities_url: String,
    /// Where analytics listens.
    #[arg(long, env = "ANALYTICS_URL")]
    pub analytics_url: String,
    /// Where notifier listens.
    #[arg(long, env = "NOTIFIER_URL")]
    pub notifier_url: String,
}
