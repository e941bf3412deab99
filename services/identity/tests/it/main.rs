//! The service as others see it: a real process, a real database, real calls.

#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]
#![expect(clippy::disallowed_methods, reason = "the environment says where the servers are")]

mod api_keys;
mod audit;
mod changes;
mod external;
mod first_start;
mod forgotten;
mod keys;
mod limits;
mod oauth;
mod password_links;
mod people;
mod second_factor;
mod sessions;
mod support;
mod tokens;
mod written;
