//! Calling another service.

use std::{future::Future, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio::time::Instant;
use tonic::{Request, Response, Status, metadata::MetadataMap};

pub use crate::channel::{Channel, connect_lazy};
use crate::{
    Error,
    context::{CLIENT_ADDRESS, IDEMPOTENCY_KEY, REQUEST_ID, TRACEPARENT, new_request_id},
    deadline, reason,
};

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// How long a call may take that belongs to no request.
const USUAL: Duration = Duration::from_secs(10);
/// How often a read is tried again.
const READS_AGAIN: usize = 2;

/// What to send along with a call. [`crate::RequestContext::outgoing`] makes one for calls on behalf of a request;
/// the default is for calls that a process makes of its own accord.
#[derive(Debug, Clone, Default)]
pub struct Context {
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) request_id: Option<HeaderValue>,
    pub(crate) traceparent: Option<HeaderValue>,
    pub(crate) idempotency_key: Option<HeaderValue>,
    pub(crate) client_address: Option<HeaderValue>,
    pub(crate) deadline: Option<Instant>,
}

impl Context {
    /// With this `Authorization` (`Bearer …`), in place of any other.
    #[must_use]
    pub fn with_authorization(mut self, value: HeaderValue) -> Self {
        self.authorization = Some(value);
        self
    }

    /// With this request id. Without one, each call makes its own.
    #[must_use]
    pub fn with_request_id(mut self, value: HeaderValue) -> Self {
        self.request_id = Some(value);
        self
    }

    /// As part of this trace, where this process exports none itself.
    #[must_use]
    pub fn with_traceparent(mut self, value: HeaderValue) -> Self {
        self.traceparent = Some(value);
        self
    }

    /// With this idempotency key.
    #[must_use]
    pub fn with_idempotency_key(mut self, value: HeaderValue) -> Self {
        self.idempotency_key = Some(value);
        self
    }

    /// For the client with this IP address. It is believed only of the gateway, by its own `Authorization`.
    #[must_use]
    pub fn with_client_address(mut self, value: HeaderValue) -> Self {
        self.client_address = Some(value);
        self
    }

    /// To be answered by then. Without a deadline, a call may take ten seconds from when it is made.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// A request with `message` and all of this.
    pub fn request<T>(&self, message: T) -> Request<T> {
        let left = self.deadline.map_or(USUAL, |it| it.saturating_duration_since(Instant::now()));
        let mut headers = self.headers();
        headers.insert(GRPC_TIMEOUT, deadline::header(left));
        with_headers(headers, message)
    }

    /// The same without a deadline: for a stream, which has none as a whole.
    pub fn stream<T>(&self, message: T) -> Request<T> {
        with_headers(self.headers(), message)
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(6);
        headers.insert(REQUEST_ID, self.request_id.clone().unwrap_or_else(new_request_id));
        let own =
            process::telemetry::current_traceparent().and_then(|it| HeaderValue::try_from(it).ok());
        if let Some(traceparent) = own.or_else(|| self.traceparent.clone()) {
            headers.insert(TRACEPARENT, traceparent);
        }
        if let Some(authorization) = &self.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        if let Some(key) = &self.idempotency_key {
            headers.insert(IDEMPOTENCY_KEY, key.clone());
        }
        if let Some(address) = &self.client_address {
            headers.insert(CLIENT_ADDRESS, address.clone());
        }
        headers
    }
}

fn with_headers<T>(headers: HeaderMap, message: T) -> Request<T> {
    Request::from_parts(MetadataMap::from_headers(headers), http::Extensions::new(), message)
}

/// Calls a method that changes nothing, and up to twice again if the service could not be reached: a replica may have died, which the
/// next call may be the first to notice. A replica that is overloaded, or too slow, is not asked again.
///
/// `call` makes a new request each time, with a client of its own, which is cheap to clone:
///
/// ```no_run
/// # use proto::identity::v1::{ListKeysRequest, key_service_client::KeyServiceClient};
/// # use rpc::client::Channel;
/// # async fn run(client: KeyServiceClient<Channel>, context: rpc::client::Context) -> Result<(), rpc::Error> {
/// let answer = rpc::client::read(|| {
///     let (mut client, request) = (client.clone(), context.request(ListKeysRequest {}));
///     async move { client.list_keys(request).await }
/// })
/// .await?;
/// # Ok(())
/// # }
/// ```
pub async fn read<T, F>(mut call: impl FnMut() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    let mut left = READS_AGAIN;
    loop {
        match call().await.map_err(Error::from) {
            Err(Error::Unavailable { reason, .. })
                if left > 0
                    && (reason == reason::UNAVAILABLE || reason == reason::CONNECTION_LOST) =>
            {
                left -= 1;
            }
            answer => return answer.map(Response::into_inner),
        }
    }
}

/// Calls a method that changes something, once. If the answer is lost or late, that is [`Error::OutcomeUnknown`].
pub async fn write<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Error> {
    match call.await.map_err(Error::from) {
        Err(Error::Unavailable { reason, .. })
            if reason == reason::CONNECTION_LOST || reason == reason::DEADLINE_EXCEEDED =>
        {
            Err(Error::OutcomeUnknown)
        }
        answer => answer.map(Response::into_inner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::ready;

    #[tokio::test]
    async fn a_read_is_tried_twice_more_when_the_service_could_not_be_reached() {
        for (failures, answered) in [(0, true), (1, true), (2, true), (3, false)] {
            let mut calls = 0;
            let answer = read(|| {
                calls += 1;
                ready(if calls > failures {
                    Ok(Response::new(()))
                } else {
                    Err(Status::unavailable("gone"))
                })
            });
            assert_eq!(answer.await.is_ok(), answered, "{failures}");
            assert_eq!(calls, 3.min(failures + 1));
        }
    }

    #[tokio::test]
    async fn a_read_that_was_refused_is_not_tried_again() {
        let overloaded = || {
            Status::from(Error::Unavailable {
                reason: reason::OVERLOADED.into(),
                source: anyhow::anyhow!("full"),
            })
        };
        for refused in
            [overloaded, || Status::not_found("no"), || Status::deadline_exceeded("late")]
        {
            let mut calls = 0;
            let answer = read(|| {
                calls += 1;
                ready(Err::<Response<()>, _>(refused()))
            });
            answer.await.unwrap_err();
            assert_eq!(calls, 1);
        }
    }

    #[tokio::test]
    async fn a_write_whose_answer_is_lost_has_an_unknown_outcome() {
        let lost = Status::from_error("broken pipe".into());
        assert!(matches!(
            write(ready(Err::<Response<()>, _>(lost))).await,
            Err(Error::OutcomeUnknown)
        ));
        let never_sent = Status::from_error(Box::new(tonic::ConnectError("refused".into())));
        assert!(matches!(
            write(ready(Err::<Response<()>, _>(never_sent))).await,
            Err(Error::Unavailable { .. })
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_tells_how_much_time_is_left() {
        let context = Context::default().with_deadline(Instant::now() + Duration::from_millis(700));
        tokio::time::advance(Duration::from_millis(200)).await;
        let request = context.request(());
        assert_eq!(request.metadata().get("grpc-timeout").unwrap(), "500m");
        assert!(context.stream(()).metadata().get("grpc-timeout").is_none());
    }
}
