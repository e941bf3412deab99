//! API keys without identity: what is asked of it, and when.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;

use super::*;

/// Tokens whose text counts how often one was exchanged, and that count; `answer` says of each time what comes of it.
fn counted(
    answer: impl Fn(usize) -> Result<i64, Error> + Send + Sync + 'static,
) -> (ApiKeys, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let keys = ApiKeys::exchanged(Box::new(move |request| {
        assert!(ApiKey::parse(&request.key).is_some());
        let number = count.fetch_add(1, Ordering::SeqCst);
        let answer = answer(number);
        Box::pin(async move {
            tokio::task::yield_now().await;
            let expires_in = answer?;
            Ok(ExchangeApiKeyResponse { access_token: format!("t{number}"), expires_in })
        })
    }));
    (keys, asked)
}

/// The text of the token for the key of that id, or the problem's status and code.
async fn token(keys: &ApiKeys, id: i64) -> Result<String, (u16, String)> {
    let key = ApiKey::new(id, [7; 32]);
    let token = match keys.remembered(&key.hash()) {
        Some(token) => token,
        None => keys.ask(&key, key.hash()).await,
    };
    token.map(|it| it.text.to_string()).map_err(|it| (it.status().as_u16(), it.code().to_owned()))
}

fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
    let header = |&(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    };
    all.iter().map(header).collect()
}

#[test]
fn a_key_may_come_in_either_header_and_not_two_at_once() {
    let key = ApiKey::new(1, [7; 32]).expose();
    let other = ApiKey::new(2, [7; 32]).expose();
    let (bearer, bearer_other) = (format!("Bearer {key}"), format!("bearer {other}"));
    for all in [
        &[("authorization", &*bearer)][..],
        &[("x-api-key", &key)],
        &[("x-api-key", &key), ("authorization", &bearer)],
    ] {
        let expected = ApiKey::new(1, [7; 32]);
        assert_eq!(shown(&headers(all)), Ok(Shown::Key(expected)), "{all:?}");
    }
    for (all, status) in [
        (&[][..], 401),
        (&[("authorization", "Basic YTpi")], 401),
        (&[("x-api-key", &*key), ("authorization", &*bearer_other)], 400),
        (&[("x-api-key", &*key), ("authorization", "Bearer a.b.c")], 400),
        (&[("x-api-key", &*key), ("authorization", "Basic YTpi")], 400),
    ] {
        assert_eq!(shown(&headers(all)).unwrap_err().status(), status, "{all:?}");
    }
    let mut twice = headers(&[("x-api-key", &key)]);
    twice.append(X_API_KEY, key.parse().unwrap());
    assert_eq!(shown(&twice).unwrap_err().status(), 400);
    let token = headers(&[("authorization", "Bearer a.b.c")]);
    assert_eq!(shown(&token), Ok(Shown::Token("a.b.c")));
}

#[tokio::test(start_paused = true)]
async fn a_token_serves_for_half_a_minute_and_not_longer_than_it_lives() {
    let (keys, asked) = counted(|number| Ok(if number == 1 { 5 } else { 60 }));
    assert_eq!(token(&keys, 1).await, Ok("t0".to_owned()));
    tokio::time::advance(Duration::from_secs(29)).await;
    assert_eq!(token(&keys, 1).await, Ok("t0".to_owned()));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(token(&keys, 1).await, Ok("t1".to_owned()));
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(token(&keys, 1).await, Ok("t2".to_owned()));
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn many_who_show_one_key_at_once_have_it_exchanged_once() {
    let (keys, asked) = counted(|_| Ok(60));
    let answers = join_all((0..100).map(|_| token(&keys, 1))).await;
    assert!(answers.into_iter().all(|it| it == Ok("t0".to_owned())));
    assert_eq!(token(&keys, 2).await, Ok("t1".to_owned()));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn whoever_hangs_up_while_asking_keeps_nobody_waiting() {
    let (keys, _) = counted(|_| Ok(60));
    {
        let gone = token(&keys, 1);
        let mut gone = std::pin::pin!(gone);
        assert!(futures::poll!(&mut gone).is_pending());
    }
    assert_eq!(token(&keys, 1).await, Ok("t1".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_remembered_for_a_second() {
    let (keys, asked) = counted(|_| Err(Error::unauthenticated("API_KEY_INVALID", "no")));
    let refused = Err((401, "api_key_invalid".to_owned()));
    let answers = join_all((0..100).map(|_| token(&keys, 1))).await;
    assert!(answers.iter().all(|it| *it == refused));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(token(&keys, 1).await, refused);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn that_identity_does_not_know_the_gateway_is_no_fault_of_the_key() {
    let (keys, _) = counted(|_| Err(Error::unauthenticated(reason::TOKEN_INVALID, "no")));
    assert_eq!(token(&keys, 1).await, Err((503, "unavailable".to_owned())));
}

#[test]
fn what_can_be_no_key_is_refused_at_sight() {
    let good = ApiKey::new(1, [7; 32]).expose();
    for key in ["", "spm_live_", "a.b.c", &good.replace('_', "-"), &good[..good.len() - 1]] {
        let refused = shown(&headers(&[("x-api-key", key)])).unwrap_err();
        assert_eq!((refused.status().as_u16(), refused.code()), (401, "api_key_invalid"), "{key}");
    }
    let refused = shown(&headers(&[("authorization", "Bearer spm_live_1")])).unwrap_err();
    assert_eq!(refused.code(), "api_key_invalid");
}

#[tokio::test]
async fn a_token_that_is_not_good_is_asked_for_anew_where_that_is_allowed() {
    let (keys, asked) = counted(|_| Ok(60));
    let verifier = Verifier::new("us", auth::Keys::fixed([]), Arc::default());
    let key = ApiKey::new(1, [7; 32]);
    for times in 1..=2 {
        let refused = keys.identify(&key, &verifier, || Ok::<_, ()>(())).await.unwrap();
        assert_eq!(refused.unwrap_err().status(), 401);
        assert_eq!(asked.load(Ordering::SeqCst), times);
    }
    assert_eq!(keys.identify(&key, &verifier, || Err("wait")).await.unwrap_err(), "wait");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn no_more_keys_are_remembered_than_there_may_be() {
    let (keys, asked) = counted(|_| Ok(60));
    let most = i64::try_from(MOST).unwrap();
    for id in 1..=most + 10 {
        token(&keys, id).await.unwrap();
    }
    let held = keys.known.lock().unwrap().slots.len();
    assert_eq!((held, asked.load(Ordering::SeqCst)), (MOST, MOST + 10));
    token(&keys, most).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), MOST + 10);
    token(&keys, 1).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), MOST + 11);
}
