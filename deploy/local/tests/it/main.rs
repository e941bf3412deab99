//! What the launcher promises about databases, against a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod databases;
mod provision;
