//! How services speak with each other: one [`Error`] and its form on the wire, the [`Server`] and the [`client`], deadlines,
//! and what travels with a request.

mod channel;
pub mod client;
mod context;
mod deadline;
mod error;
mod invalid;
pub mod mask;
mod postgres;
pub mod reason;
pub mod server;
mod span;
mod status;
mod tls;
mod write;

pub use context::{RequestContext, TraceHeaders, check_idempotency_key, context, trace};
pub use error::{Error, FieldError, Reason};
pub use invalid::Invalid;
pub use postgres::OnConstraint;
pub use server::Server;
pub use span::{Span, span, start_of};
pub use tls::Tls;
pub use write::{write, write_later};
