//! Opportunities with a real database: who may read and change what, activities, and what follows a person to another team.
#![expect(clippy::unwrap_used, reason = "a test may stop at what it did not expect")]

mod activities;
mod authority;
mod bulk;
mod changes;
mod company;
mod contacts;
mod currencies;
mod custom_fields;
mod customer_book;
mod customers;
mod erasure;
mod exports;
mod files;
mod forecast_categories;
mod import_faults;
mod import_history;
mod import_undo;
mod imports;
mod line_items;
mod lost_reasons;
mod merges;
mod races;
mod search;
mod stages;
mod support;
mod sync;
mod teams;
mod workbooks;
