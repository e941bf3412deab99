//! The public keys whose signatures count.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use jsonwebtoken::DecodingKey;
use proto::identity::v1::{ListKeysRequest, key_service_client::KeyServiceClient};
use rpc::Error;
use rpc::client::Channel;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};
use tracing::{info, warn};

use crate::{Fetch, token::Jwk};

/// An unknown key makes us ask identity at most this often, however many tokens name one.
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// The same after identity did not answer.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// Keys older than this are asked for anew, so that one that was withdrawn is not trusted for long.
const FRESH: Duration = Duration::from_mins(5);

/// Identity's keys: given once, or fetched when a token names one that is not known, and now and then.
pub struct Keys {
    known: RwLock<HashMap<String, DecodingKey>>,
    fetch: Option<Fetch<Vec<Jwk>>>,
    asked: Mutex<Option<Asked>>,
    /// Goes up when a key is gone, so that what was verified by it can be forgotten.
    withdrawals: AtomicU64,
}

#[derive(Clone, Copy)]
struct Asked {
    at: Instant,
    answered: bool,
}

impl Keys {
    /// Exactly these: identity's own, or a test's.
    pub fn fixed(keys: impl IntoIterator<Item = Jwk>) -> Self {
        let it = Self::new(None);
        it.replace(keys);
        it
    }

    /// What identity publishes (`KeyService.ListKeys`).
    pub fn from_identity(channel: Channel) -> Self {
        Self::fetched(Box::new(move || {
            let mut client = KeyServiceClient::new(channel.clone());
            Box::pin(async move {
                let context = rpc::client::Context::default()
                    .with_deadline(Instant::now() + Duration::from_secs(2));
                let answer = client.list_keys(context.request(ListKeysRequest {})).await?;
                Ok(answer.into_inner().keys.into_iter().map(Jwk::from).collect())
            })
        }))
    }

    /// What `fetch` answers.
    pub fn fetched(fetch: Fetch<Vec<Jwk>>) -> Self {
        Self::new(Some(fetch))
    }

    fn new(fetch: Option<Fetch<Vec<Jwk>>>) -> Self {
        Self {
            known: RwLock::default(),
            fetch,
            asked: Mutex::default(),
            withdrawals: AtomicU64::new(0),
        }
    }

    /// The key of this id, if it is known.
    pub(crate) fn known(&self, kid: &str) -> Option<DecodingKey> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(kid).cloned()
    }

    /// How often a key has been withdrawn.
    pub(crate) fn withdrawals(&self) -> u64 {
        self.withdrawals.load(Ordering::Acquire)
    }

    /// The key of this id, after asking identity if it is not known and we may ask again; `None` if there is no such key.
    /// `Unavailable` if identity cannot be asked.
    pub(crate) async fn find(&self, kid: &str) -> Result<Option<DecodingKey>, Error> {
        if let Some(key) = self.known(kid) {
            return Ok(Some(key));
        }
        let Some(fetch) = &self.fetch else { return Ok(None) };
        // Whoever comes while another asks waits here, and then finds the key.
        let mut asked = self.asked.lock().await;
        if let Some(key) = self.known(kid) {
            return Ok(Some(key));
        }
        match *asked {
            Some(Asked { at, answered: true }) if at.elapsed() < ASK_AGAIN => return Ok(None),
            Some(Asked { at, answered: false }) if at.elapsed() < TRY_AGAIN => {
                return Err(Error::unavailable(std::io::Error::other(
                    "identity did not answer a moment ago",
                )));
            }
            _ => {}
        }
        self.ask(fetch, &mut asked).await?;
        Ok(self.known(kid))
    }

    /// Whether it is time to [`Keys::freshen`] them: they are older than five minutes, and nobody is asking.
    pub(crate) fn are_stale(&self) -> bool {
        self.fetch.is_some() && self.asked.try_lock().is_ok_and(|asked| is_old(*asked))
    }

    /// Asks identity until it answers, so that a process to which nobody has come yet can verify while identity is down.
    pub(crate) async fn learn(&self) {
        let Some(fetch) = &self.fetch else { return };
        loop {
            let mut asked = self.asked.lock().await;
            if asked.is_some_and(|it| it.answered) {
                return;
            }
            if self.ask(fetch, &mut asked).await.is_ok() {
                // A token that names another key is a reason to ask at once.
                let long_ago = Instant::now().checked_sub(ASK_AGAIN);
                *asked = long_ago.map(|at| Asked { at, answered: true });
                return;
            }
            drop(asked);
            sleep(TRY_AGAIN).await;
        }
    }

    /// Asks identity again. Nobody waits for it, and what is known stays if it fails.
    pub(crate) async fn freshen(&self) {
        let Some(fetch) = &self.fetch else { return };
        let mut asked = self.asked.lock().await;
        if is_old(*asked)
            && let Err(error) = self.ask(fetch, &mut asked).await
        {
            warn!(%error, "the signing keys cannot be asked for, the known ones go on");
        }
    }

    async fn ask(&self, fetch: &Fetch<Vec<Jwk>>, asked: &mut Option<Asked>) -> Result<(), Error> {
        let answer = fetch().await;
        *asked = Some(Asked { at: Instant::now(), answered: answer.is_ok() });
        self.replace(answer?);
        Ok(())
    }

    fn replace(&self, keys: impl IntoIterator<Item = Jwk>) {
        let new: HashMap<_, _> = keys
            .into_iter()
            .filter(Jwk::is_usable)
            .filter_map(|key| Some((key.kid, DecodingKey::from_ed_components(&key.x).ok()?)))
            .collect();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let withdrawn = known.keys().any(|kid| !new.contains_key(kid));
        *known = new;
        if withdrawn {
            info!("a signing key was withdrawn");
            self.withdrawals.fetch_add(1, Ordering::Release);
        }
    }
}

fn is_old(asked: Option<Asked>) -> bool {
    asked.is_some_and(|it| it.at.elapsed() >= FRESH)
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Keys")
            .field("known", &known.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
