//! Who calls: access tokens, signed by identity and verified by every service itself, and the [`Caller`] that they tell of.
//!
//! Identity makes a token with a [`token::Signer`]. Every service puts a [`Layer`] with a [`Verifier`] before its methods, which then
//! find the caller with [`caller`]. What has been taken back since a token was signed is in [`Revocations`], which events keep fresh.

mod api_key;
mod caller;
mod keys;
mod layer;
mod memory;
mod revocations;
mod service_token;
pub mod token;
mod verifier;

use futures::future::BoxFuture;

pub use api_key::ApiKey;
pub use caller::{Caller, Role, Scope, Via, caller, optional_caller};
pub use keys::Keys;
pub use layer::{Authenticated, Layer, bearer, bearer_token};
pub use revocations::Revocations;
pub use service_token::ServiceToken;
pub use verifier::{AUDIENCE, ISSUER, Verifier, learn_keys};

/// Gets something from identity.
pub type Fetch<T> = Box<dyn Fn() -> BoxFuture<'static, Result<T, rpc::Error>> + Send + Sync>;
