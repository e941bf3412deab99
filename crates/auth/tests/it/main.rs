//! Access tokens from signing to the method: what is refused, what is remembered, what is taken back.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first thing it did not expect")]

mod cost;
mod forged;
mod server;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use auth::{
    Caller, Keys, Revocations, Role, Scope, Verifier, learn_keys,
    token::{Claims, Jwk, Signer},
};
use chrono::{DateTime, Utc};
use rpc::{Error, reason};
use tokio_util::sync::CancellationToken;

const ISSUER: &str = "salespipeline";

/// The moment at which everything here happens.
fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).unwrap()
}

fn seconds_later(seconds: i64) -> DateTime<Utc> {
    now() + chrono::TimeDelta::seconds(seconds)
}

fn signer() -> Signer {
    Signer::from_secret(&"0123456789abcdef0123456789abcdef".into()).unwrap()
}

fn other_signer() -> Signer {
    Signer::from_secret(&"another secret of thirty-two chars".into()).unwrap()
}

fn rep() -> Caller {
    Caller {
        user_id: 7,
        session_id: 70,
        role: Role::Rep,
        team_id: Some(3),
        rights_version: 5,
        scope: Scope::ALL,
        via: auth::Via::Session,
        service: None,
    }
}

fn claims() -> Claims {
    Claims::of(&rep(), ISSUER, "t-1", now(), 1_800)
}

fn verifier() -> Verifier {
    Verifier::new(ISSUER, Keys::fixed([signer().public_key().clone()]), Arc::default())
}

/// Keys as identity would answer them, and how often it was asked.
#[derive(Clone, Default)]
struct Identity {
    keys: Arc<Mutex<Option<Vec<Jwk>>>>,
    asked: Arc<AtomicUsize>,
}

impl Identity {
    fn publishes(&self, keys: impl IntoIterator<Item = Jwk>) {
        *self.keys.lock().unwrap() = Some(keys.into_iter().collect());
    }

    fn is_down(&self) {
        *self.keys.lock().unwrap() = None;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn keys(&self) -> Keys {
        let it = self.clone();
        Keys::fetched(Box::new(move || {
            it.asked.fetch_add(1, Ordering::SeqCst);
            let answer = it.keys.lock().unwrap().clone();
            Box::pin(async move {
                answer.ok_or_else(|| Error::unavailable(std::io::Error::other("down")))
            })
        }))
    }

    fn verifier(&self) -> Verifier {
        Verifier::new(ISSUER, self.keys(), Arc::default())
    }
}

#[tokio::test]
async fn a_good_token_tells_who_calls() {
    let token = signer().sign(&claims()).unwrap();
    assert_eq!(verifier().verify(&token, now()).await.unwrap(), rep());
}

#[tokio::test]
async fn a_token_is_good_in_its_time_and_five_seconds_around_it() {
    let verifier = verifier();
    let token = signer().sign(&claims()).unwrap();
    for (seconds, refused) in [
        (-6, Some(reason::TOKEN_INVALID)),
        (-5, None),
        (1_804, None),
        (1_805, Some(reason::TOKEN_EXPIRED)),
    ] {
        // Once by its signature, once out of memory.
        for verifier in [&self::verifier(), &verifier] {
            let answer = verifier.verify(&token, seconds_later(seconds)).await;
            assert_eq!(
                answer.err().map(|it| it.reason().to_owned()).as_deref(),
                refused,
                "{seconds}"
            );
        }
    }
}

#[tokio::test]
async fn a_verified_token_is_remembered_and_expires_all_the_same() {
    let verifier = verifier();
    let token = signer().sign(&claims()).unwrap();
    assert!(verifier.remembered(&token, now()).is_none());
    verifier.verify(&token, now()).await.unwrap();
    assert_eq!(verifier.remembered(&token, now()).unwrap().unwrap(), rep());
    let late = verifier.remembered(&token, seconds_later(1_805)).unwrap();
    assert_eq!(late.unwrap_err().reason(), reason::TOKEN_EXPIRED);
}

#[tokio::test]
async fn what_is_taken_back_is_refused_although_the_token_is_remembered() {
    let revocations = Arc::new(Revocations::default());
    let keys = Keys::fixed([signer().public_key().clone()]);
    let verifier = Verifier::new(ISSUER, keys, revocations.clone());
    let token = signer().sign(&claims()).unwrap();
    verifier.verify(&token, now()).await.unwrap();

    revocations.set_user(7, 6, true, Role::Viewer, None);
    let caller = verifier.verify(&token, now()).await.unwrap();
    assert_eq!((caller.role, caller.team_id), (Role::Viewer, None));

    revocations.revoke_session(70);
    assert_eq!(verifier.verify(&token, now()).await.unwrap_err().reason(), reason::TOKEN_REVOKED);
    // And so is one that was never seen before.
    let fresh = signer().sign(&Claims { jti: "t-2".to_owned(), ..claims() }).unwrap();
    assert_eq!(verifier.verify(&fresh, now()).await.unwrap_err().reason(), reason::TOKEN_REVOKED);
}

#[tokio::test]
async fn a_new_key_is_found_and_an_unknown_one_asked_for_only_now_and_then() {
    let identity = Identity::default();
    identity.publishes([signer().public_key().clone()]);
    let verifier = identity.verifier();
    let token = signer().sign(&claims()).unwrap();
    verifier.verify(&token, now()).await.unwrap();
    assert_eq!(identity.asked(), 1);

    let unknown = other_signer().sign(&claims()).unwrap();
    for _ in 0..10 {
        assert_eq!(
            verifier.verify(&unknown, now()).await.unwrap_err().reason(),
            reason::TOKEN_INVALID
        );
    }
    assert_eq!(identity.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn keys_are_learned_before_the_first_token_comes_and_serve_while_identity_is_down() {
    let identity = Identity::default();
    let verifier = Arc::new(identity.verifier());
    let learning = tokio::spawn(learn_keys(Arc::clone(&verifier), CancellationToken::new()));
    tokio::time::advance(Duration::from_secs(5)).await;
    identity.publishes([signer().public_key().clone()]);
    learning.await.unwrap().unwrap();
    assert!(identity.asked() > 1);

    identity.is_down();
    let token = signer().sign(&claims()).unwrap();
    verifier.verify(&token, now()).await.unwrap();
    // One that nobody has told of is asked for at once all the same.
    identity.publishes([other_signer().public_key().clone()]);
    verifier.verify(&other_signer().sign(&claims()).unwrap(), now()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_retired_key_takes_the_tokens_with_it_that_were_remembered() {
    let identity = Identity::default();
    identity.publishes([signer().public_key().clone()]);
    let verifier = identity.verifier();
    let old = signer().sign(&claims()).unwrap();
    verifier.verify(&old, now()).await.unwrap();
    assert!(verifier.remembered(&old, now()).is_some());

    // The secret was changed: the next token names the new key.
    identity.publishes([other_signer().public_key().clone()]);
    tokio::time::advance(Duration::from_secs(31)).await;
    let new = other_signer().sign(&claims()).unwrap();
    verifier.verify(&new, now()).await.unwrap();
    assert!(verifier.remembered(&old, now()).is_none());
    assert_eq!(verifier.verify(&old, now()).await.unwrap_err().reason(), reason::TOKEN_INVALID);
    assert_eq!(identity.asked(), 2);
}

#[tokio::test]
async fn during_a_change_of_keys_both_are_good() {
    let keys = [other_signer().public_key().clone(), signer().public_key().clone()];
    let verifier = Verifier::new(ISSUER, Keys::fixed(keys), Arc::default());
    for signer in [signer(), other_signer()] {
        verifier.verify(&signer.sign(&claims()).unwrap(), now()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn while_identity_is_down_known_keys_serve_and_unknown_ones_are_nobodys_fault() {
    let identity = Identity::default();
    let verifier = identity.verifier();
    let token = signer().sign(&claims()).unwrap();
    assert!(matches!(verifier.verify(&token, now()).await, Err(Error::Unavailable { .. })));
    identity.publishes([signer().public_key().clone()]);
    tokio::time::advance(std::time::Duration::from_secs(2)).await;
    verifier.verify(&token, now()).await.unwrap();

    identity.is_down();
    tokio::time::advance(std::time::Duration::from_secs(400)).await;
    let another = signer().sign(&Claims { jti: "t-2".to_owned(), ..claims() }).unwrap();
    verifier.verify(&another, now()).await.unwrap();
}
