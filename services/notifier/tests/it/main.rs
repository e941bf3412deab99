//! The service as others see it: real events, a real database, a real SMTP peer.

#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]
#![expect(clippy::disallowed_methods, reason = "the environment says where the servers are")]

mod links;
mod mail;
mod recipients;
mod smtp;
mod story;
mod support;
mod told;
