//! API keys: each is exchanged at identity for a short access token, and that is what travels on to the services.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use auth::{ApiKey, Caller, ServiceToken, Verifier};
use futures::future::BoxFuture;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use proto::identity::v1::api_key_service_client::ApiKeyServiceClient;
use proto::identity::v1::{ExchangeApiKeyRequest, ExchangeApiKeyResponse};
use rpc::client::Channel;
use rpc::{Error, client, reason};
use tokio::time::Instant;

use crate::http::Problem;

/// The other place of an API key.
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// How long the token for a key serves, unless key or owner are heard to be no longer good before.
const SERVES: Duration = Duration::from_secs(30);
/// How long the answer that there is no token for a key serves: those who go on asking cost identity no more than a call a second.
const REFUSED: Duration = Duration::from_secs(1);
/// How many keys are remembered, at less than a kilobyte each. Those that came first are forgotten first.
const MOST: usize = 10_000;
/// How long an exchange may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a request shows of who asks: `Authorization: Bearer` may be an access token or an API key, `X-API-Key` an API key.
#[derive(Debug, PartialEq, Eq)]
pub enum Shown<'a> {
    /// An access token.
    Token(&'a str),
    /// An API key of the right form.
    Key(ApiKey),
}

/// What these headers show. 401 where that is nothing, or can be no key; 400 where there is more than one thing.
pub fn shown(headers: &HeaderMap) -> Result<Shown<'_>, Problem> {
    let mut keys = headers.get_all(X_API_KEY).iter();
    let key = match keys.next() {
        Some(key) => key.to_str().map_err(|_| invalid())?,
        None => match auth::bearer(headers)? {
            key if ApiKey::is_meant_by(key) => key,
            token => return Ok(Shown::Token(token)),
        },
    };
    let is_same = auth::bearer(headers).is_ok_and(|it| it == key);
    if keys.next().is_some() || headers.contains_key(AUTHORIZATION) && !is_same {
        return Err(Problem::malformed(
            "`X-API-Key` came twice, or with an `Authorization` that says something else",
        ));
    }
    Ok(Shown::Key(ApiKey::parse(key).ok_or_else(invalid)?))
}

/// Asks for the token that stands for a key.
type Exchange = Box<
    dyn Fn(ExchangeApiKeyRequest) -> BoxFuture<'static, Result<ExchangeApiKeyResponse, Error>>
        + Send
        + Sync,
>;

/// The tokens for which API keys were exchanged lately. Of requests with one key at once, one asks and the others wait for its answer.
pub struct ApiKeys {
    exchange: Exchange,
    known: Mutex<Known>,
}

/// By what is kept of the keys at identity too; the keys themselves are not held.
#[derive(Default)]
struct Known {
    slots: HashMap<[u8; 32], Arc<Slot>>,
    /// As they came.
    order: VecDeque<[u8; 32]>,
}

#[derive(Default)]
struct Slot {
    held: RwLock<Option<Held>>,
    /// Whoever holds it is asking.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Clone)]
struct Held {
    answer: Result<Token, Problem>,
    until: Instant,
}

#[derive(Clone)]
struct Token {
    text: Arc<str>,
    authorization: HeaderValue,
}

impl ApiKeys {
    /// Exchanged at identity, where the gateway is known by its own token.
    pub fn new(identity: Channel, own: Arc<ServiceToken>) -> Self {
        let service = ApiKeyServiceClient::new(identity);
        Self::exchanged(Box::new(move |request| {
            let (service, own) = (service.clone(), Arc::clone(&own));
            Box::pin(async move {
                let context = client::Context::default()
                    .with_authorization(own.authorization().await?)
                    .with_deadline(Instant::now() + PATIENCE);
                client::read(|| {
                    let (mut service, request) =
                        (service.clone(), context.request(request.clone()));
                    async move { service.exchange_api_key(request).await }
                })
                .await
            })
        }))
    }

    /// Exchanged for what `exchange` answers.
    fn exchanged(exchange: Exchange) -> Self {
        Self { exchange, known: Mutex::default() }
    }

    /// Whose key that is, and the authorization that stands for it. 401 where it is not good; 503 where identity has to be asked and does not
    /// answer. It is asked if `may_ask` says so; else what that says instead.
    pub async fn identify<E>(
        &self,
        key: &ApiKey,
        verifier: &Verifier,
        may_ask: impl FnOnce() -> Result<(), E>,
    ) -> Result<Result<(Caller, HeaderValue), Problem>, E> {
        let hash = key.hash();
        let answer = if let Some(answer) = self.remembered(&hash) {
            answer
        } else {
            may_ask()?;
            self.ask(key, hash).await
        };
        let Token { text, authorization } = match answer {
            Ok(token) => token,
            Err(problem) => return Ok(Err(problem)),
        };
        let error = match verifier.verify(&text, process::now()).await {
            Ok(caller) => return Ok(Ok((caller, authorization))),
            Err(error) if error.reason() == reason::TOKEN_REVOKED => revoked(),
            Err(error) => error,
        };
        // It was taken back, or its signature is no longer trusted: whoever comes next asks again.
        self.slot(hash).put(None);
        Ok(Err(error.into()))
    }

    fn remembered(&self, hash: &[u8; 32]) -> Option<Result<Token, Problem>> {
        let slot = self.known().slots.get(hash).cloned();
        slot.and_then(|slot| slot.held())
    }

    async fn ask(&self, key: &ApiKey, hash: [u8; 32]) -> Result<Token, Problem> {
        let slot = self.slot(hash);
        let _asking = slot.asking.lock().await;
        if let Some(answer) = slot.held() {
            return answer;
        }
        let exchanged = (self.exchange)(ExchangeApiKeyRequest { key: key.expose() }).await;
        let held = Held::of(exchanged, Instant::now());
        slot.put(Some(held.clone()));
        held.answer
    }

    fn slot(&self, hash: [u8; 32]) -> Arc<Slot> {
        let mut known = self.known();
        if let Some(slot) = known.slots.get(&hash) {
            return Arc::clone(slot);
        }
        if known.order.len() >= MOST
            && let Some(first) = known.order.pop_front()
        {
            known.slots.remove(&first);
        }
        let slot = Arc::<Slot>::default();
        known.slots.insert(hash, Arc::clone(&slot));
        known.order.push_back(hash);
        slot
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    fn held(&self) -> Option<Result<Token, Problem>> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.as_ref().filter(|it| Instant::now() < it.until).map(|it| it.answer.clone())
    }

    fn put(&self, held: Option<Held>) {
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = held;
    }
}

impl Held {
    fn of(exchanged: Result<ExchangeApiKeyResponse, Error>, now: Instant) -> Self {
        let held = exchanged.map_err(|error| match error {
            // Not the key is refused, but the gateway itself.
            Error::Unauthenticated { reason, message } if !reason.starts_with("API_KEY_") => {
                Error::unavailable(anyhow::anyhow!("identity does not know the gateway: {message}"))
            }
            error => error,
        });
        let held = held.and_then(|ExchangeApiKeyResponse { access_token, expires_in }| {
            let mut authorization = HeaderValue::try_from(format!("Bearer {access_token}"))
                .map_err(|_| Error::internal("identity issued a token that is no header value"))?;
            authorization.set_sensitive(true);
            let life = Duration::from_secs(expires_in.try_into().unwrap_or(0));
            Ok((Token { text: access_token.into(), authorization }, life.min(SERVES)))
        });
        match held {
            Ok((token, life)) => Self { answer: Ok(token), until: now + life },
            Err(error) => Self { answer: Err(error.into()), until: now + REFUSED },
        }
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeys").finish_non_exhaustive()
    }
}

fn invalid() -> Error {
    Error::unauthenticated("API_KEY_INVALID", "the API key is not valid")
}

/// What became of a key whose token was taken back.
pub fn revoked() -> Error {
    Error::unauthenticated("API_KEY_REVOKED", "the API key was revoked, or its owner is not active")
}

#[cfg(test)]
mod tests;
