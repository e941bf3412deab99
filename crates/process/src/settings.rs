//! The settings that several services share, as pieces that a service flattens into its own with clap.
//!
//! ```
//! #[derive(clap::Parser)]
//! struct Config {
//!     #[command(flatten)]
//!     telemetry: process::TelemetrySettings,
//!     #[command(flatten)]
//!     listen: process::ListenSettings,
//! }
//! ```

use std::net::SocketAddr;

use clap::{Args, Subcommand, ValueEnum};
use http::Uri;

use crate::Secret;

/// What the process tells about itself while it runs.
#[derive(Args, Clone, Debug)]
pub struct TelemetrySettings {
    /// What is logged: a level (error, warn, info, debug, trace), or a filter such as `info,sqlx=warn`.
    #[arg(long, env = "LOG_LEVEL", default_value = "info")]
    pub log_level: String,

    /// How it is logged, on standard error.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,

    /// Where OTLP traces go (gRPC), such as `http://127.0.0.1:4317`. Without it none are made.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self { log_level: "info".to_owned(), log_format: LogFormat::Json, otlp_endpoint: None }
    }
}

/// How log lines look.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line, for machines.
    Json,
    /// For people.
    Text,
}

/// Where the service's data is.
#[derive(Args, Clone, Debug)]
pub struct DatabaseSettings {
    /// URL of the database, as the role that may change rows but no tables.
    #[arg(long = "database-url", env = "DATABASE_URL", hide_env_values = true)]
    pub url: Secret,

    /// Most connections of each of the two pools, the reading and the writing one.
    #[arg(long = "database-pool-size", env = "DATABASE_POOL_SIZE", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub pool_size: u32,
}

/// Who may change the tables; only the `migrate` command needs it.
#[derive(Args, Clone, Debug)]
pub struct MigrateSettings {
    /// URL of the database, as the role that owns the schema.
    #[arg(long = "migrate-database-url", env = "MIGRATE_DATABASE_URL", hide_env_values = true)]
    pub url: Secret,
}

/// Settings of `dead-letters`.
#[derive(Args, Clone, Debug)]
pub struct DeadLettersSettings {
    /// Where they are.
    #[command(flatten)]
    pub database: DatabaseSettings,
    /// What to do with them.
    #[command(subcommand)]
    pub what: DeadLettersCommand,
}

/// What can be done with events that could not be applied.
#[derive(Subcommand, Clone, Copy, Debug)]
pub enum DeadLettersCommand {
    /// A line of JSON for each: which event, what was wrong, how often it was tried.
    List,
    /// All of one, its record too.
    Show {
        /// Which, as `list` says.
        id: i64,
    },
    /// Apply one again, or all; fails where any stays aside.
    Replay {
        /// Which, as `list` says; all where absent.
        id: Option<i64>,
    },
}

/// Where the process listens. Port 0 takes a free one; [`crate::announce`] tells which.
#[derive(Args, Clone, Debug)]
pub struct ListenSettings {
    /// Address of the service itself.
    #[arg(long, env = "LISTEN_ADDR", default_value = "127.0.0.1:0")]
    pub listen_addr: SocketAddr,

    /// Address of `/metrics`, `/healthz` and `/readyz` (HTTP); not for the public.
    #[arg(long, env = "OPS_ADDR", default_value = "127.0.0.1:0")]
    pub ops_addr: SocketAddr,

    /// Most connections of clients at once, and never more than the limit on open files leaves room for. One more is closed at once.
    #[arg(long, env = "MAX_CONNECTIONS", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub max_connections: u32,

    /// Most of them from one address (IPv4) or network of 64 bits (IPv6); not of clients on this machine, nor of trusted proxies. 0 for no limit.
    #[arg(long, env = "MAX_CONNECTIONS_PER_ADDRESS", default_value_t = 1_024)]
    pub max_connections_per_address: u32,
}

/// Settings of `healthcheck`.
#[derive(Args, Clone, Debug)]
pub struct HealthcheckSettings {
    /// Address of `/readyz`, as `serve` has it; where that is all addresses, this machine's own is asked.
    #[arg(long, env = "OPS_ADDR")]
    pub ops_addr: SocketAddr,
}

/// Where events travel.
#[derive(Args, Clone, Debug)]
pub struct EventsSettings {
    /// URL of NATS, or several with commas between them.
    #[arg(long, env = "NATS_URL", default_value = "nats://127.0.0.1:4222", hide_env_values = true)]
    pub nats_url: Secret,

    /// What subjects and the stream's name begin with, so that several deployments can share a server.
    #[arg(long = "events-prefix", env = "EVENTS_PREFIX", default_value = "salespipeline")]
    pub prefix: String,

    /// On how many servers of a NATS cluster the stream is kept: 3 in a cluster.
    #[arg(long = "events-replicas", env = "EVENTS_REPLICAS", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5))]
    pub replicas: u8,

    /// Most bytes of the stream, which NATS sets aside: a day of events, about 1.5 kB each. While it is full, consumers have events from their owner.
    #[arg(long = "events-max-bytes", env = "EVENTS_MAX_BYTES", default_value_t = 1 << 30, value_parser = clap::value_parser!(i64).range(1 << 20..))]
    pub max_bytes: i64,
}

/// By what the processes know each other, and that nobody listens: mutual TLS on gRPC. All three files or none.
#[derive(Args, Clone, Debug, Default)]
pub struct TlsSettings {
    /// PEM file with the certificate of this process, and after it those between it and the CA. As a client and as a server it shows the same.
    #[arg(long = "tls-cert-file", env = "TLS_CERT_FILE")]
    pub cert_file: Option<String>,

    /// PEM file with the certificate's private key.
    #[arg(long = "tls-key-file", env = "TLS_KEY_FILE")]
    pub key_file: Option<String>,

    /// PEM file with the certificates of those whose signature counts.
    #[arg(long = "tls-ca-file", env = "TLS_CA_FILE")]
    pub ca_file: Option<String>,

    /// DNS names with commas between them: only clients with a certificate for one of them are served. Without it, every client with a good certificate.
    #[arg(long = "tls-client-names", env = "TLS_CLIENT_NAMES", value_delimiter = ',')]
    pub client_names: Vec<String>,
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
}
