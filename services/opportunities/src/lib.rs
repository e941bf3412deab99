//! The opportunities service: the book of pipelines, customers, opportunities and their stage history.
//!
//! In reading order: [`pipeline`] (stages), [`customer`], [`contact`], [`currency`] (what is worth what), [`lost_reason`], [`custom_field`], [`opportunity`] (the rules, lists, history),
//! [`activity`], [`sync`] (what changed), [`sheet`], [`export`] and [`import`] (files), [`access`] (who may read and change what),
//! [`directory`] (what it knows of people and settings), [`grpc`] (the wire), [`consumer`] (identity's events), [`demo`] and [`seed`] (data to look at and to measure with).

pub mod access;
pub mod activity;
mod array;
pub mod config;
pub mod consumer;
pub mod contact;
pub mod currency;
mod cursor;
pub mod custom_field;
pub mod customer;
pub mod demo;
pub mod directory;
pub mod export;
pub mod grpc;
pub mod identity;
pub mod import;
pub mod lost_reason;
mod managed;
pub mod meta;
pub mod opportunity;
pub mod page;
pub mod pipeline;
pub mod places;
pub mod seed;
pub mod serve;
pub mod sheet;
pub mod state;
pub mod sync;
pub mod text;

pub use state::State;

/// The schema of this service.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations/opportunities");
