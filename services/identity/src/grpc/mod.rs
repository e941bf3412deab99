//! The edge: proto in, one call, proto out.

pub mod key;
pub mod settings;
pub mod team;
pub mod token;
pub mod user;

use auth::Caller;
use events::{Actor, Origin};
use rpc::Error;
use tonic::Request;

use crate::cause::Cause;

/// The methods that need no access token.
pub const OPEN: [&str; 2] =
    ["/salespipeline.identity.v1.TokenService/", "/salespipeline.identity.v1.KeyService/"];

/// What the change log says of a change that this request makes.
fn cause<T>(request: &Request<T>, caller: &Caller) -> Cause {
    let context = rpc::context(request);
    Cause {
        actor: match &caller.service {
            Some(name) => Actor::Service(name.clone()),
            None => Actor::User(caller.user_id),
        },
        origin: Origin::User,
        request_id: context.request_id().to_owned(),
        traceparent: context.traceparent().unwrap_or_default(),
    }
}

/// Bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::internal("there is no randomness"))?;
    Ok(bytes)
}
