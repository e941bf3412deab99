//! What every process of this project has in common as a process: settings, telemetry, the `PostgreSQL` pool, and a
//! life that begins with one line on standard output and ends by finishing its work.
//!
//! A service's `main` is [`run`] around a function that binds ([`Context::listen`]), connects and spawns.

mod export;
mod files;
mod healthcheck;
pub mod http;
pub mod lifecycle;
pub mod listener;
mod log;
pub mod ops;
pub mod postgres;
pub mod readiness;
mod run;
pub mod secret;
pub mod settings;
mod statement;
pub mod telemetry;
pub mod usage;

pub use healthcheck::healthcheck;
pub use lifecycle::Lifecycle;
pub use listener::{Bounds, Listener};
pub use readiness::{Latch, Readiness};
pub use run::{Context, Work, announce, run};
pub use secret::Secret;
pub use settings::{
    DatabaseSettings, DeadLettersCommand, DeadLettersSettings, EventsSettings, HealthcheckSettings,
    ListenSettings, MigrateSettings, PublicUrl, Setting, TelemetrySettings, TlsSettings,
};
pub use telemetry::{Telemetry, init};

use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Utc};

/// The present instant, cut to the microseconds that `PostgreSQL` keeps, so that what was stored reads back equal.
///
/// This is the only place that reads the wall clock. Only a `main` and the gRPC edge call it; all else takes the time as an
/// argument.
#[must_use]
pub fn now() -> DateTime<Utc> {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let micros = i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX);
    DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_present_has_no_more_digits_than_postgresql_keeps() {
        assert_eq!(super::now().timestamp_subsec_nanos() % 1_000, 0);
    }
}
