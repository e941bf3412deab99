//! Outbox, relay, stream and consumer against a real PostgreSQL and a real broker (`TEST_POSTGRES_URL`, `TEST_NATS_URL`).

mod broker;
mod consumer;
mod listen;
mod log;
mod outage;
mod relay;
mod world;
