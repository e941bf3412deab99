//! A service's own token, for calls that it makes of its own accord.

use std::{
    fmt,
    sync::{PoisonError, RwLock},
    time::Duration,
};

use http::HeaderValue;
use process::Secret;
use proto::identity::v1::{
    IssueServiceTokenRequest, IssueServiceTokenResponse, token_service_client::TokenServiceClient,
};
use rpc::Error;
use rpc::client::Channel;
use tokio::{sync::Mutex, time::Instant};
use tracing::warn;

use crate::Fetch;

/// How long before it expires a token is renewed.
const RENEW_BEFORE: Duration = Duration::from_mins(1);

/// This service's token, got from identity by its credentials when first needed, and renewed a minute before it expires.
pub struct ServiceToken {
    fetch: Fetch<IssueServiceTokenResponse>,
    held: RwLock<Option<Held>>,
    /// Whoever holds it is fetching; the others wait for the result.
    fetching: Mutex<()>,
}

#[derive(Clone)]
struct Held {
    authorization: HeaderValue,
    renew_at: Instant,
    expires_at: Instant,
}

impl ServiceToken {
    /// The token of `service`, issued by identity (`TokenService.IssueServiceToken`) for its secret.
    pub fn new(identity: Channel, service: impl Into<String>, secret: Secret) -> Self {
        let service = service.into();
        Self::fetched(Box::new(move || {
            let mut client = TokenServiceClient::new(identity.clone());
            let request = IssueServiceTokenRequest {
                service: service.clone(),
                secret: secret.expose().to_owned(),
            };
            Box::pin(async move {
                let context = rpc::client::Context::default()
                    .with_deadline(Instant::now() + Duration::from_secs(3));
                Ok(client.issue_service_token(context.request(request)).await?.into_inner())
            })
        }))
    }

    /// The token that `fetch` answers.
    pub fn fetched(fetch: Fetch<IssueServiceTokenResponse>) -> Self {
        Self { fetch, held: RwLock::default(), fetching: Mutex::default() }
    }

    /// `Bearer <token>`, for [`rpc::client::Context::with_authorization`].
    ///
    /// While identity does not answer, the token at hand serves until it expires; then, or if there is none, `UNAVAILABLE`. That
    /// identity refuses the credentials is `INTERNAL`: it is no caller's fault.
    pub async fn authorization(&self) -> Result<HeaderValue, Error> {
        let now = Instant::now();
        if let Some(held) = self.held().filter(|it| now < it.renew_at) {
            return Ok(held.authorization);
        }
        let _fetching = self.fetching.lock().await;
        let held = self.held();
        if let Some(held) = held.as_ref().filter(|it| now < it.renew_at) {
            return Ok(held.authorization.clone());
        }
        match ((self.fetch)().await, held) {
            (Ok(issued), _) => {
                let new = Held::of(&issued, Instant::now())?;
                let authorization = new.authorization.clone();
                *self.held.write().unwrap_or_else(PoisonError::into_inner) = Some(new);
                Ok(authorization)
            }
            (Err(error), Some(held)) if now < held.expires_at => {
                warn!(%error, "the service's token cannot be renewed yet");
                Ok(held.authorization)
            }
            (Err(error @ Error::Unavailable { .. }), _) => Err(error),
            (Err(error), _) => {
                Err(Error::Internal(anyhow::Error::new(error).context("sign in as a service")))
            }
        }
    }

    fn held(&self) -> Option<Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Held {
    fn of(issued: &IssueServiceTokenResponse, now: Instant) -> Result<Self, Error> {
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", issued.access_token))
            .map_err(|_| Error::internal("identity issued a token that is no header value"))?;
        authorization.set_sensitive(true);
        let life = Duration::from_secs(issued.expires_in.try_into().unwrap_or(0));
        Ok(Self {
            authorization,
            renew_at: now + life.saturating_sub(RENEW_BEFORE),
            expires_at: now + life,
        })
    }
}

impl fmt::Debug for ServiceToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceToken").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    /// A token whose text counts how often one was issued, and that count; issuing fails from `working` times on.
    fn counted(working: usize) -> (ServiceToken, Arc<AtomicUsize>) {
        let issued = Arc::new(AtomicUsize::new(0));
        let count = issued.clone();
        let token = ServiceToken::fetched(Box::new(move || {
            let number = count.fetch_add(1, Ordering::SeqCst);
            Box::pin(async move {
                tokio::task::yield_now().await;
                if number >= working {
                    return Err(Error::unavailable(std::io::Error::other("identity is down")));
                }
                Ok(IssueServiceTokenResponse {
                    access_token: format!("t{number}"),
                    expires_in: 600,
                })
            })
        }));
        (token, issued)
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_kept_until_a_minute_before_it_expires() {
        let (token, issued) = counted(usize::MAX);
        assert_eq!(token.authorization().await.unwrap(), "Bearer t0");
        tokio::time::advance(Duration::from_secs(539)).await;
        assert_eq!(token.authorization().await.unwrap(), "Bearer t0");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(token.authorization().await.unwrap(), "Bearer t1");
        assert_eq!(issued.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn many_who_need_it_at_once_fetch_it_once() {
        let (token, issued) = counted(usize::MAX);
        let answers = futures::future::join_all((0..20).map(|_| token.authorization())).await;
        assert!(answers.into_iter().all(|it| it.unwrap() == "Bearer t0"));
        assert_eq!(issued.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn while_identity_is_down_the_old_token_serves_until_it_expires() {
        let (token, _) = counted(1);
        token.authorization().await.unwrap();
        tokio::time::advance(Duration::from_secs(570)).await;
        assert_eq!(token.authorization().await.unwrap(), "Bearer t0");
        tokio::time::advance(Duration::from_secs(31)).await;
        assert!(matches!(token.authorization().await, Err(Error::Unavailable { .. })));
    }

    #[tokio::test]
    async fn refused_credentials_are_our_fault_and_not_the_callers() {
        let refuse = || Error::unauthenticated("INVALID_CLIENT", "no such service");
        let token = ServiceToken::fetched(Box::new(move || Box::pin(async move { Err(refuse()) })));
        assert!(matches!(token.authorization().await, Err(Error::Internal(_))));
    }
}
