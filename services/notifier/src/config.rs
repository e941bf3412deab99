//! The command line and the environment; nothing else reads them.

use clap::{ArgAction, Args, Parser, Subcommand};
use process::{
    DatabaseSettings, DeadLettersSettings, EventsSettings, HealthcheckSettings, ListenSettings,
    MigrateSettings, Secret, TelemetrySettings, TlsSettings,
};

/// Notifications and their deliveries.
#[derive(Parser, Debug)]
#[command(name = "notifier", version)]
pub struct Cli {
    /// What the process tells about itself.
    #[command(flatten)]
    pub telemetry: TelemetrySettings,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Serve until asked to stop.
    Serve(Box<Config>),
    /// Bring the schema up to date and exit.
    Migrate(MigrateSettings),
    /// Ask whether the process that serves beside this one is ready, for a container's health check; fails unless it is.
    Healthcheck(HealthcheckSettings),
    /// Look at events that could not be applied, or apply them again; the service may go on serving.
    DeadLetters(Box<DeadLettersConfig>),
}

/// What `serve` needs.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Where it listens.
    #[command(flatten)]
    pub listen: ListenSettings,

    /// Where its data is.
    #[command(flatten)]
    pub database: DatabaseSettings,

    /// Where events travel.
    #[command(flatten)]
    pub events: EventsSettings,

    /// How it speaks with the others.
    #[command(flatten)]
    pub tls: TlsSettings,

    /// URL of identity, or of its replicas with commas between them.
    #[arg(long, env = "IDENTITY_URL")]
    pub identity_url: String,

    /// URL of opportunities, or of its replicas with commas between them.
    #[arg(long, env = "OPPORTUNITIES_URL")]
    pub opportunities_url: String,

    /// What it shows identity to get a token of its own.
    #[arg(long, env = "SERVICE_SECRET", hide_env_values = true)]
    pub service_secret: Secret,

    /// How mail goes out.
    #[command(flatten)]
    pub email: Email,
}

/// What `dead-letters` needs: to apply an event is to ask identity, and to queue mail.
#[derive(Args, Clone, Debug)]
pub struct DeadLettersConfig {
    /// Where they are, and what to do with them.
    #[command(flatten)]
    pub settings: DeadLettersSettings,

    /// How it speaks with the others.
    #[command(flatten)]
    pub tls: TlsSettings,

    /// URL of identity, or of its replicas with commas between them.
    #[arg(long, env = "IDENTITY_URL")]
    pub identity_url: String,

    /// What it shows identity to get a token of its own.
    #[arg(long, env = "SERVICE_SECRET", hide_env_values = true)]
    pub service_secret: Secret,

    /// How mail goes out.
    #[command(flatten)]
    pub email: Email,
}

/// How mail goes out.
#[derive(Args, Clone, Debug)]
pub struct Email {
    /// Whether people are told by mail too.
    #[arg(long, env = "EMAIL_ENABLED", default_value_t = false, action = ArgAction::Set)]
    pub email_enabled: bool,

    /// The server: `smtp://user:password@host:587?tls=required` for STARTTLS, `smtps://…` for TLS from the start.
    #[arg(long, env = "SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<Secret>,

    /// The mailbox that mails are from: `Sales <sales@example.com>`.
    #[arg(long, env = "EMAIL_FROM")]
    pub email_from: Option<String>,
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_makes_sense() {
        use clap::CommandFactory as _;
        super::Cli::command().debug_assert();
    }
}
