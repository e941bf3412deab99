//! What the service is told from outside: the only file that reads the environment.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use process::{
    DatabaseSettings, DeadLettersSettings, EventsSettings, HealthcheckSettings, ListenSettings,
    MigrateSettings, Secret, TelemetrySettings, TlsSettings,
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
    /// Ask whether the process that serves beside this one is ready, for a container's health check; fails unless it is.
    Healthcheck(HealthcheckSettings),
    /// Make all that is derived anew from the owners' change logs; the service may go on serving.
    Rebuild(Box<Config>),
    /// Compare all that is derived with what the owners have; fails where it differs.
    Verify(Box<Config>),
    /// Look at events that could not be applied, or apply them again; the service may go on serving.
    DeadLetters(DeadLettersSettings),
    /// Train the forecast's model once, due or not.
    Train(Box<Config>),
    /// Forecast from a folder of CSV files, without a database.
    Forecast(ForecastArguments),
    /// Forecast a folder again from what was known then, and tell how good that was.
    Backtest(BacktestArguments),
}

/// Which history is learned from.
#[derive(Args, Clone, Debug)]
pub struct FolderArguments {
    /// The folder: opportunities.csv, stage_history.csv, and activities.csv if there is one.
    #[arg(long, value_name = "DIR")]
    pub history: PathBuf,
    /// The stage that wins a deal.
    #[arg(long, default_value = "Won")]
    pub won: String,
    /// The stage that loses it.
    #[arg(long, default_value = "Lost")]
    pub lost: String,
    /// The other stages in their order, with commas between them; learned where it is not given.
    #[arg(long, value_delimiter = ',')]
    pub stages: Vec<String>,
    /// The same seed and history give the same answer.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Settings of `forecast`.
#[derive(Args, Clone, Debug)]
pub struct ForecastArguments {
    /// Which history.
    #[command(flatten)]
    pub folder: FolderArguments,
    /// As of when, as YYYY-MM-DD HH:MM:SS (UTC) or RFC 3339; anything later in the folder is an error.
    #[arg(long, value_name = "T")]
    pub as_of: String,
    /// Until when revenue is forecast.
    #[arg(long, value_name = "U")]
    pub until: String,
    /// Where win.csv and revenue.csv go.
    #[arg(long, value_name = "OUT")]
    pub out: PathBuf,
}

/// Settings of `backtest`.
#[derive(Args, Clone, Debug)]
pub struct BacktestArguments {
    /// Which history.
    #[command(flatten)]
    pub folder: FolderArguments,
    /// How long each window is.
    #[arg(long, value_enum, default_value_t = Every::Month)]
    pub every: Every,
}

/// How long a window is.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// From Monday on.
    Week,
    /// From the first day on.
    Month,
    /// Of the calendar year.
    Quarter,
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
