//! What travels with a request besides its message.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use opentelemetry::propagation::Extractor;
use tokio::time::Instant;

use crate::{Error, client};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub(crate) const CLIENT_ADDRESS: HeaderName = HeaderName::from_static("x-client-address");

/// The longest request id and idempotency key that is taken over, in bytes.
const LONGEST: usize = 255;

/// What came with a request: [`context`] gives it to a handler.
#[derive(Debug, Clone)]
pub struct RequestContext {
    pub(crate) request_id: HeaderValue,
    pub(crate) traceparent: Option<HeaderValue>,
    pub(crate) idempotency_key: Option<HeaderValue>,
    pub(crate) client_address: Option<HeaderValue>,
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) deadline: Option<Instant>,
}

/// The context of a request that came through [`crate::Server`]; an empty one with a new request id for a request made in a test.
pub fn context<T>(request: &tonic::Request<T>) -> RequestContext {
    request
        .extensions()
        .get::<RequestContext>()
        .cloned()
        .unwrap_or_else(|| RequestContext::of(request.metadata().as_ref(), None))
}

impl RequestContext {
    pub(crate) fn of(headers: &HeaderMap, deadline: Option<Instant>) -> Self {
        Self {
            request_id: headers
                .get(REQUEST_ID)
                .filter(|it| is_plain(it))
                .cloned()
                .unwrap_or_else(new_request_id),
            traceparent: headers.get(TRACEPARENT).filter(|it| trace_of(it).is_some()).cloned(),
            idempotency_key: headers.get(IDEMPOTENCY_KEY).cloned(),
            client_address: headers.get(CLIENT_ADDRESS).filter(|it| is_plain(it)).cloned(),
            authorization: headers.get(header::AUTHORIZATION).cloned(),
            deadline,
        }
    }

    /// The id by which this request is found in every log, taken over from the caller or new; visible ASCII.
    pub fn request_id(&self) -> &str {
        text(&self.request_id)
    }

    /// The W3C `traceparent` for what this request causes: of the current span where traces are exported, else as it came.
    pub fn traceparent(&self) -> Option<String> {
        process::telemetry::current_traceparent()
            .or_else(|| self.traceparent.as_ref().map(|it| text(it).to_owned()))
    }

    /// The trace that this request belongs to as it came: 32 hexadecimal digits.
    pub fn trace_id(&self) -> Option<&str> {
        self.traceparent.as_ref().and_then(trace_of)
    }

    /// The key under which the caller wants to be answered the same if they ask again: 1 to 255 visible ASCII characters. `INVALID_ARGUMENT` for any
    /// other: who sends a key relies on it.
    pub fn idempotency_key(&self) -> Result<Option<&str>, Error> {
        self.idempotency_key.as_ref().map(check_idempotency_key).transpose()
    }

    /// The IP address of the client for whom the gateway asks, as it came. Anybody can send one: believe it only of a caller who is the service
    /// `gateway`.
    pub fn client_address(&self) -> Option<&str> {
        self.client_address.as_ref().map(text)
    }

    /// When a use case has to be done, if the request has a deadline (streams have none).
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// What to send along with a call made for this request, under the same caller's token.
    pub fn outgoing(&self) -> client::Context {
        client::Context {
            authorization: self.authorization.clone(),
            request_id: Some(self.request_id.clone()),
            traceparent: self.traceparent.clone(),
            // Not the key: it is this request's, and a call that it makes is another.
            idempotency_key: None,
            // Nor the address, for which only the gateway vouches.
            client_address: None,
            deadline: self.deadline,
        }
    }
}

/// An idempotency key as text, or why it cannot be one.
pub fn check_idempotency_key(key: &HeaderValue) -> Result<&str, Error> {
    if is_plain(key) {
        return Ok(text(key));
    }
    Err(Error::invalid(
        "Idempotency-Key",
        "invalid_key",
        "must be one key of 1 to 255 visible ASCII characters",
    ))
}

/// A request's headers, from which its trace is continued.
pub struct TraceHeaders<'a>(pub &'a HeaderMap);

impl Extractor for TraceHeaders<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

/// The `traceparent` among these headers, if it is one, and the trace that it names: 32 hexadecimal digits.
pub fn trace(headers: &HeaderMap) -> Option<(&HeaderValue, &str)> {
    let traceparent = headers.get(TRACEPARENT)?;
    Some((traceparent, trace_of(traceparent)?))
}

/// A request id for a request that came without: a UUID v7, so that ids sort by time.
pub(crate) fn new_request_id() -> HeaderValue {
    let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
    let text = uuid::Uuid::now_v7().hyphenated().encode_lower(&mut text);
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("none"))
}

/// The trace id in a `traceparent` of the form that every version has: `00-<32 hex>-<16 hex>-<2 hex>`.
fn trace_of(traceparent: &HeaderValue) -> Option<&str> {
    let text = traceparent.to_str().ok().filter(|text| text.len() <= LONGEST)?;
    let id = text.get(3..35)?;
    let separated = text.len() >= 55 && [2, 35, 52].iter().all(|at| text.as_bytes()[*at] == b'-');
    let hex = id.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
    (separated && hex && id.bytes().any(|it| it != b'0')).then_some(id)
}

fn is_plain(value: &HeaderValue) -> bool {
    !value.is_empty() && value.len() <= LONGEST && value.as_bytes().iter().all(u8::is_ascii_graphic)
}

fn text(value: &HeaderValue) -> &str {
    // Checked to be ASCII when it was taken over.
    value.to_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&'static str, &str)]) -> RequestContext {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
            })
            .collect();
        RequestContext::of(&headers, None)
    }

    #[test]
    fn a_request_id_is_taken_over_or_made() {
        assert_eq!(of(&[("x-request-id", "r-1")]).request_id(), "r-1");
        assert_eq!(of(&[]).request_id().len(), 36);
        assert_ne!(of(&[]).request_id(), of(&[]).request_id());
        assert_ne!(of(&[("x-request-id", "a b")]).request_id(), "a b");
        assert_eq!(of(&[("x-request-id", &"x".repeat(300))]).request_id().len(), 36);
    }

    #[test]
    fn an_idempotency_key_that_cannot_be_kept_is_refused_rather_than_forgotten() {
        assert_eq!(of(&[]).idempotency_key().unwrap(), None);
        for bad in ["", "a b", &"x".repeat(256)] {
            assert!(of(&[("idempotency-key", bad)]).idempotency_key().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_clients_address_goes_one_hop() {
        assert_eq!(of(&[]).client_address(), None);
        assert_eq!(of(&[("x-client-address", "a b")]).client_address(), None);
        let context =
            client::Context::default().with_client_address(HeaderValue::from_static("2001:db8::1"));
        let request = context.request(());
        let context = RequestContext::of(request.metadata().as_ref(), None);
        assert_eq!(context.client_address(), Some("2001:db8::1"));
        let request = context.outgoing().request(());
        assert!(request.metadata().get("x-client-address").is_none());
    }

    #[test]
    fn only_a_well_formed_traceparent_is_passed_on() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(
            of(&[("traceparent", good)]).trace_id(),
            Some("0af7651916cd43dd8448eb211c80319c")
        );
        assert_eq!(of(&[("traceparent", good)]).traceparent().as_deref(), Some(good));
        for bad in [
            "",
            "00",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(of(&[("traceparent", bad)]).trace_id(), None, "{bad}");
        }
    }

    #[test]
    fn a_call_made_for_a_request_carries_its_id_and_token_but_not_its_idempotency_key() {
        let context =
            of(&[("x-request-id", "r-1"), ("authorization", "Bearer t"), ("idempotency-key", "k")]);
        assert_eq!(context.idempotency_key().unwrap(), Some("k"));
        let request = context.outgoing().request(());
        assert_eq!(request.metadata().get("x-request-id").unwrap(), "r-1");
        assert_eq!(request.metadata().get("authorization").unwrap(), "Bearer t");
        assert!(request.metadata().get("idempotency-key").is_none());
    }
}
