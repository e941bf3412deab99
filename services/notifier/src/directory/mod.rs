//! People and teams: copies of identity's records, kept by its events.

pub mod model;
pub mod store;
