//! The edge: proto in, one call, proto out.

pub mod api_key;
pub mod audit;
pub mod authorization;
pub mod client;
pub mod external;
pub mod key;
pub mod password_link;
pub mod second_factor;
pub mod session;
pub mod settings;
pub mod team;
pub mod token;
pub mod user;

use std::net::SocketAddr;

use auth::Caller;
use events::Actor;
use rpc::Error;
use tonic::Request;

use crate::{
    GATEWAY,
    cause::{self, Cause},
    sign_in::model::Peer,
};

/// The methods that need no access token.
pub const OPEN: [&str; 6] = [
    "/salespipeline.identity.v1.TokenService/",
    "/salespipeline.identity.v1.KeyService/",
    "/salespipeline.identity.v1.PasswordLinkService/RequestPasswordReset",
    "/salespipeline.identity.v1.PasswordLinkService/SetPasswordByLink",
    "/salespipeline.identity.v1.AuthorizationService/",
    "/salespipeline.identity.v1.ExternalSignInService/",
];

/// What the change log says of a change that this request makes.
fn cause<T>(request: &Request<T>, caller: &Caller) -> Cause {
    origin(request).by(match &caller.service {
        Some(name) => Actor::Service(name.clone()),
        None => Actor::User(caller.user_id),
    })
}

/// The same before it is known who makes it.
fn origin<T>(request: &Request<T>) -> cause::Request {
    let context = rpc::context(request);
    cause::Request {
        id: context.request_id().to_owned(),
        traceparent: context.traceparent().unwrap_or_default(),
    }
}

/// Whose connection it is: the gateway's word is taken for that, nobody else's.
fn peer<T>(request: &Request<T>) -> Peer {
    let caller = auth::optional_caller(request);
    let told = caller.is_some_and(|caller| caller.service.as_deref() == Some(GATEWAY));
    let address = if told {
        let context = rpc::context(request);
        context.client_address().and_then(|address| address.parse().ok())
    } else {
        request.remote_addr().as_ref().map(SocketAddr::ip)
    };
    Peer { address }
}

/// Bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::internal("there is no randomness"))?;
    Ok(bytes)
}
