//! The analytics service: reports and forecasts, derived from what the other services' events tell.
//!
//! Writing, in reading order: [`deal`] (what is known of an opportunity), [`version`] (what was known of it when), [`activity`] (what is done about it), [`valuation`] (what it is worth), [`rollup`] (what it adds to which sums), [`stay`] (for how long it is in stages), [`projection`] (from events
//! to tables), [`directory`] (people, teams, settings), [`consumer`] (which events are applied), [`snapshot`] (the open pipeline of every day), [`training`] (what the forecast learns, and what it says of what is open), [`rebuild`], [`form`] (when a version before wrote them), [`verify`] and [`reconcile`] (against the owners, by [`digest`] first).
//! Reading: [`ask`] (what every report is asked), [`period`] (the calendar), [`range`] (days and when they begin), [`visibility`] (who sees what), [`report`], [`forecast`], [`attainment`], [`grpc`] (the wire).
//! Owned, and never derived: [`target`] and [`adjustment`], by [`plan`] (for whom and when, who sees and sets it).

pub mod activity;
pub mod adjustment;
pub mod ask;
pub mod attainment;
pub mod category;
pub mod config;
pub mod consumer;
pub mod deal;
mod digest;
pub mod directory;
pub mod folder;
pub mod forecast;
pub mod form;
pub mod grpc;
pub mod identity;
pub mod owners;
mod page;
pub mod period;
pub mod pipeline;
pub mod plan;
pub mod projection;
pub mod range;
pub mod ratio;
pub mod rebuild;
pub mod reconcile;
pub mod report;
pub mod rollup;
pub mod serve;
pub mod snapshot;
pub mod state;
pub mod stay;
pub mod target;
pub mod training;
pub mod valuation;
pub mod verify;
pub mod version;
pub mod visibility;

pub use state::State;

/// The schema of this service.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/analytics");
