//! What the gateway is told from outside: the only file that reads the environment.

use clap::{Args, Parser, Subcommand};
use process::{
    EventsSettings, HealthcheckSettings, ListenSettings, PublicUrl, Secret, Setting,
    TelemetrySettings, TlsSettings,
};

use crate::http::TrustedProxies;
use crate::limit::Rate;

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
    /// Ask whether the process that serves beside this one is ready, for a container's health check; fails unless it is.
    Healthcheck(HealthcheckSettings),
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
    /// How it speaks with them.
    #[command(flatten)]
    pub tls: TlsSettings,
    /// Requests a second for each caller, by user, or by address where nobody is signed in. May be a fraction; `off` or 0 for no limit.
    #[arg(long, env = "RATE_LIMIT", default_value = "off", value_parser = Rate::parse)]
    pub rate_limit: Setting<Rate>,
    /// The proxies whose `X-Forwarded-For` is believed: IP addresses and networks with commas between them.
    #[arg(long, env = "TRUSTED_PROXIES", default_value = "")]
    pub trusted_proxies: TrustedProxies,
    /// Where people find the product: `https://sales.example.com`.
    #[arg(long, env = "PUBLIC_URL", default_value = "", value_parser = PublicUrl::parse)]
    pub public_url: Setting<PublicUrl>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_makes_sense_and_a_bad_setting_is_named() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
        for (option, value) in [
            ("--rate-limit", "fast"),
            ("--trusted-proxies", "proxy"),
            ("--public-url", "example.com"),
        ] {
            let error = Cli::try_parse_from(["gateway", "serve", option, value]).unwrap_err();
            assert!(error.to_string().contains(option), "{error}");
        }
    }
}
