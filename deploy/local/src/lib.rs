//! The whole product on one machine: PostgreSQL and NATS found or fetched and started privately, every service a child process.
//!
//! In reading order: [`settings`] and [`folder`], [`tools`] (where the servers' programs come from), [`child`] (processes that end
//! when we do), [`postgres`], [`nats`], [`provision`] (roles and schemas), [`service`] and [`stack`] (the product's processes). On these stand what tests use, [`scratch`],
//! [`servers`] and [`openid`], and the commands [`run`], [`seed`] and [`prepare`].
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it talks to the person who started it"
)]

pub mod child;
pub mod demo;
pub mod folder;
pub mod http;
pub mod nats;
pub mod openid;
pub mod postgres;
pub mod prepare;
pub mod provision;
pub mod random;
pub mod run;
pub mod scratch;
pub mod secrets;
pub mod seed;
pub mod servers;
pub mod service;
pub mod settings;
pub mod stack;
pub mod tools;

pub use stack::{Stack, StackOptions};

/// The services that have a database schema, in the order in which they are started.
pub const SERVICES: [&str; 4] = ["identity", "opportunities", "analytics", "notifier"];

/// Says one line to the person who started it.
pub fn say(line: impl std::fmt::Display) {
    eprintln!("{line}");
}
