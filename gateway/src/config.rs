//! What the gateway is told from outside: the only file that reads the environment.

use ::http::Uri;
use clap::{Args, Parser, Subcommand};
use process::{EventsSettings, ListenSettings, Secret, TelemetrySettings, TlsSettings};

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

/// What may be left empty. Not by the name of `Option`, which clap takes for an argument that may be left out.
pub type Setting<T> = Option<T>;

/// Where people find the product: scheme, host and port, no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// From an absolute URL without a path; `None` from nothing.
    pub fn parse(text: &str) -> Result<Option<Self>, &'static str> {
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let url: Uri = text.parse().map_err(|_| "is no URL")?;
        let (Some(scheme @ ("http" | "https")), Some(authority)) =
            (url.scheme_str(), url.authority())
        else {
            return Err("must begin with http:// or https://");
        };
        let is_bare = url.path() == "/" && url.query().is_none() && !text.contains(['#', '@']);
        if !is_bare || authority.host().is_empty() {
            return Err("must be scheme, host and port, without anything behind or before them");
        }
        Ok(Some(Self(format!("{scheme}://{authority}"))))
    }

    /// Without a slash at the end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
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
    fn a_public_url_is_an_origin() {
        for (text, expected) in [
            ("https://sales.example.com", "https://sales.example.com"),
            ("http://localhost:8000/", "http://localhost:8000"),
            ("http://[::1]:8000", "http://[::1]:8000"),
        ] {
            let url = PublicUrl::parse(text).unwrap().unwrap();
            assert_eq!(url.as_str(), expected);
        }
        assert_eq!(PublicUrl::parse(""), Ok(None));
        for bad in [
            "sales.example.com",
            "/sales",
            "ftp://sales.example.com",
            "https://",
            "https://sales.example.com/sales",
            "https://sales.example.com/?a=b",
            "https://sales.example.com/#a",
            "https://user:secret@sales.example.com",
        ] {
            assert!(PublicUrl::parse(bad).is_err(), "{bad}");
        }
    }

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
