//! A handler for every route: path, query and body to a request, one call, the response's message back.

pub mod activities;
pub mod api_keys;
pub mod audit;
pub mod authorize;
pub mod clients;
pub mod contacts;
pub mod currencies;
pub mod customers;
pub mod external;
pub mod forecast;
pub mod notifications;
pub mod opportunities;
pub mod password_links;
pub mod pipelines;
pub mod reports;
pub mod second_factors;
pub mod sessions;
pub mod settings;
pub mod stages;
pub mod sync;
pub mod teams;
pub mod token;
pub mod users;
pub mod well_known;
