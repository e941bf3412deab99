//! Transport: proto in, one call, proto out.

mod activity;
mod answer;
mod audit;
mod bulk;
mod contact;
mod currency;
mod custom_field;
mod customer;
mod export;
mod import;
mod lost_reason;
mod opportunity;
mod pipeline;
mod request;
mod sync;

pub use activity::Activities;
pub use audit::Audit;
pub use bulk::Bulk;
pub use contact::{Contacts, redact};
pub use currency::Currencies;
pub use custom_field::CustomFieldsGrpc;
pub use customer::Customers;
pub use export::Exports;
pub use import::Imports;
pub use lost_reason::LostReasonsGrpc;
pub use opportunity::Opportunities;
pub use pipeline::PipelinesGrpc;
pub use sync::Sync;

use std::sync::Arc;

use auth::{Caller, Verifier};
use events::{Actor, Origin};
use rpc::Error;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};

use crate::access::Asking;
use crate::meta::Meta;

/// Who asks for longer than one answer, by the token that they came with: it is looked at again whenever that matters.
fn asking<T>(request: &Request<T>, verifier: &Arc<Verifier>) -> Result<Asking, Error> {
    let (verifier, token) = (Arc::clone(verifier), auth::bearer_token(request)?.to_owned());
    Ok(Box::new(move || {
        let (verifier, token) = (Arc::clone(&verifier), token.clone());
        Box::pin(async move { verifier.verify(&token, process::now()).await })
    }))
}

/// What a task tells, one message ahead of who listens, until it ends or the server stops; why it ended comes last.
fn tell<T, F>(
    shutdown: CancellationToken,
    run: impl FnOnce(mpsc::Sender<Result<T, Status>>) -> F,
) -> ReceiverStream<Result<T, Status>>
where
    T: Send + 'static,
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    let (tell, told) = mpsc::channel(1);
    let running = run(tell.clone());
    tokio::spawn(async move {
        let end = match shutdown.run_until_cancelled(running).await {
            Some(Ok(())) => return,
            Some(Err(error)) => error,
            None => Error::unavailable(anyhow::anyhow!("the server stops")),
        };
        // Whoever is not there any more does not hear it.
        _ = tell.send(Err(end.into())).await;
    });
    ReceiverStream::new(told)
}

/// Who calls, and what the change log is to keep of the request.
fn caller_and_meta<T>(request: &Request<T>) -> Result<(Caller, Meta), Error> {
    let caller = auth::caller(request)?;
    let context = rpc::context(request);
    let actor = match &caller.service {
        Some(service) => Actor::Service(service.clone()),
        None => Actor::User(caller.user_id),
    };
    let meta = Meta {
        actor,
        origin: Origin::User,
        recorded_at: process::now(),
        request_id: context.request_id().to_owned(),
        traceparent: context.traceparent().unwrap_or_default(),
    };
    Ok((caller, meta))
}
