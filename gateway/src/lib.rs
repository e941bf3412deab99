//! The gateway: the REST API in front of the services.

pub mod http;
