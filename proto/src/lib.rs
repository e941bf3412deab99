//! The contract: the messages and services of every `.proto` file here, and their JSON form in the REST API.
//!
//! A message is written down once, in protobuf. `build.rs` gives it the attributes by which serde reads and writes it as
//! the REST API wants it, and by which utoipa describes it.

mod custom;
mod date;
mod decimal;
mod error;
pub mod field;
mod generated;
pub mod json;
mod json_value;
pub mod mask;
pub mod query;
mod rate;
mod timestamp;

pub use custom::{CustomKind, CustomValue, CustomValues};
pub use date::{Date, NoSuchDay};
pub use decimal::{Decimal, Fixed, Number};
pub use error::{Code, FieldError, Refusal};
pub use generated::*;
pub use json_value::JsonValue;
pub use rate::Rate;
pub use timestamp::Timestamp;

/// Every file of the contract, encoded, with comments: for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
