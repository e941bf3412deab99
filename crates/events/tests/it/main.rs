//! Outbox, relay, stream and consumer against a real PostgreSQL and a real broker (`TEST_POSTGRES_URL`, `TEST_NATS_URL`).
#![expect(clippy::unwrap_used, reason = "a test may stop at the first thing it did not expect")]
#![expect(clippy::disallowed_methods, reason = "the environment says where the servers are")]

mod audit;
mod broker;
mod consumer;
mod corpus;
mod listen;
mod log;
mod outage;
mod relay;
mod world;
