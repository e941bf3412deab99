//! What the service is told from outside: the only file that reads the environment.

use clap::{Args, Parser, Subcommand};
use process::{
    DatabaseSettings, DeadLettersSettings, EventsSettings, HealthcheckSettings, ListenSettings,
    MigrateSettings, Secret, TelemetrySettings, TlsSettings,
};

use crate::import::workbook;

/// Keeps pipelines, customers, opportunities and their stage history.
#[derive(Parser, Debug)]
#[command(name = "opportunities", version)]
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
    /// Be the service, or do something about it.
    #[command(flatten)]
    Run(Box<Task>),
    /// Read a workbook from standard input and write it as comma-separated values: what the service starts for each that is brought in.
    #[command(name = workbook::COMMAND, hide = true)]
    ReadWorkbook,
}

/// What it can do as the service.
#[derive(Subcommand, Debug)]
pub enum Task {
    /// Serve gRPC until asked to stop.
    Serve(Box<Config>),
    /// Bring the schema up to date and make the default pipeline.
    Migrate(MigrateSettings),
    /// Ask whether the process that serves beside this one is ready, for a container's health check; fails unless it is.
    Healthcheck(HealthcheckSettings),
    /// Look at events that could not be applied, or apply them again; the service may go on serving.
    DeadLetters(DeadLettersSettings),
    /// Fill in the demonstration: people, teams and two years of about 1,000 opportunities, through the services' own use cases.
    Demo(Demo),
    /// Write a large number of opportunities with their past straight into the tables; for measurements.
    Seed(Seed),
}

/// Settings of `serve`.
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
    /// By which this service is known to identity.
    #[arg(long, env = "SERVICE_SECRET", hide_env_values = true)]
    pub service_secret: Secret,
}

/// Settings of `demo`.
#[derive(Args, Clone, Debug)]
pub struct Demo {
    /// How it speaks with the services.
    #[command(flatten)]
    pub tls: TlsSettings,
    /// Where identity listens.
    #[arg(long, env = "IDENTITY_URL")]
    pub identity_url: String,
    /// Where opportunities listens.
    #[arg(long, env = "OPPORTUNITIES_URL")]
    pub opportunities_url: String,
    /// The administrator's e-mail address.
    #[arg(long, env = "ADMIN_EMAIL")]
    pub admin_email: String,
    /// The administrator's password.
    #[arg(long, env = "ADMIN_PASSWORD", hide_env_values = true)]
    pub admin_password: Secret,
    /// The password that the demonstration's people get.
    #[arg(long, env = "DEMO_PASSWORD", hide_env_values = true)]
    pub demo_password: Secret,
    /// How many opportunities.
    #[arg(long, default_value_t = 1_000)]
    pub count: u32,
}

/// Settings of `seed`.
#[derive(Args, Clone, Debug)]
pub struct Seed {
    /// Where its data is.
    #[command(flatten)]
    pub database: DatabaseSettings,
    /// How many opportunities.
    #[arg(long, default_value_t = 100_000)]
    pub count: u64,
    /// The same number gives the same opportunities.
    #[arg(long, default_value_t = 7)]
    pub random_seed: u64,
}
