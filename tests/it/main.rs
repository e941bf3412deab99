//! The whole product, through its public surfaces only: a few whole stories.
//!
//! A stack costs a second or two, so each story has one and tells its chapters in turn; a chapter's name is what it promises.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod activities;
mod api;
mod api_keys;
mod audit;
mod book;
mod commands;
mod concurrency;
mod currency;
mod customers;
mod dead_letters;
mod documented;
mod driver;
mod fields;
mod files;
mod hostile;
mod invitations;
mod limits;
mod matrix;
mod money;
mod oauth;
mod outage;
mod paging;
mod paths;
mod plans;
mod problems;
mod questions;
mod refusals;
mod revocation;
mod rights;
mod rooms;
mod second_factor;
#[expect(dead_code, reason = "not all of it is needed here")]
#[path = "../../services/notifier/tests/it/smtp.rs"]
mod smtp;
mod stages;
mod sync;
mod tls;
mod traces;
mod tried;
mod world;
