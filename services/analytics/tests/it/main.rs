//! Analytics with a real database: what events tell, and what reports and forecasts say of it.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod adjustments;
mod advanced;
mod attainments;
mod changes;
mod customers;
mod dead_letters;
mod everyday;
mod forecasts;
mod forms;
mod histories;
mod money;
mod owner;
mod redelivery;
mod reports;
mod snapshots;
mod stages;
mod support;
mod targets;
mod trained;
mod visibility;
