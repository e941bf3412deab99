//! What wrong sign-ins do to everybody else: reads while an account is being guessed at, beside the same reads without.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use http::{Method, StatusCode};
use tokio::task::JoinSet;

use crate::load;
use crate::matrix::median;
use crate::request::{Ask, Request};
use crate::target::{Connection, Target};

/// Wrong sign-ins on one account.
pub(crate) const TRIES: usize = 1_000;
/// From how many addresses they come, each with a connection of its own.
pub(crate) const ADDRESSES: u8 = 16;
/// How many connections read meanwhile.
pub(crate) const READERS: usize = 2;
/// How long is read without the guesses. With them it is as long as they take, but no shorter than a second.
const SPAN: Duration = Duration::from_secs(2);

/// What was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guesses {
    /// How many of them were checked against a password, at most.
    pub(crate) checked: usize,
    /// How long all of them took, in milliseconds.
    pub(crate) took: f64,
    /// A read's p99 without them, in milliseconds.
    pub(crate) without: f64,
    /// A read's p99 with them.
    pub(crate) with: f64,
    /// The median of the rounds' ratios.
    pub(crate) ratio: f64,
}

/// In each round another account is guessed at: one that was before is hardly checked any more.
pub(crate) async fn measure(target: &Arc<Target>, rounds: usize) -> Result<Guesses> {
    let (mut checked, mut took, mut without, mut with) = (0, Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        without.push(load::run(target, Request::One, READERS, SPAN).await?.within(0.99));
        let account = match (round, &target.account) {
            (0, Some((email, _))) => email.clone(),
            _ => format!("nobody-{round}@example.com"),
        };
        let readers = tokio::spawn({
            let target = Arc::clone(target);
            async move { load::run(&target, Request::One, READERS, Duration::from_secs(1)).await }
        });
        // Readers warm up for a fifth of their time.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let begun = Instant::now();
        checked = checked.max(guess(target, &account).await?);
        took.push(begun.elapsed().as_secs_f64() * 1_000.0);
        with.push(readers.await??.within(0.99));
    }
    let ratios = with.iter().zip(&without).map(|(with, without)| with / without);
    Ok(Guesses {
        checked,
        took: median(took.into_iter()),
        ratio: median(ratios),
        without: median(without.into_iter()),
        with: median(with.into_iter()),
    })
}

/// Makes all tries at once, as far as the connections go; how many were checked.
async fn guess(target: &Arc<Target>, account: &str) -> Result<usize> {
    let begun = Arc::new(AtomicUsize::new(0));
    let mut guessers = JoinSet::new();
    for number in 1..=ADDRESSES {
        let source = Ipv4Addr::new(127, 1, 0, number);
        let mut connection = Connection::from(source, target.address).await?;
        let (begun, account) = (Arc::clone(&begun), account.to_owned());
        guessers.spawn(async move {
            let mut checked = 0;
            loop {
                let number = begun.fetch_add(1, Ordering::Relaxed);
                if number >= TRIES {
                    return Ok::<_, anyhow::Error>(checked);
                }
                let form = form_urlencoded::Serializer::new(String::new())
                    .append_pair("username", &account)
                    .append_pair("password", &format!("guess {number}"))
                    .finish();
                let ask = Ask {
                    method: Method::POST,
                    path: "/api/v1/auth/token".to_owned(),
                    body: Some(("application/x-www-form-urlencoded", form.into())),
                };
                match connection.status(&ask).await? {
                    StatusCode::BAD_REQUEST => checked += 1,
                    StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {}
                    other => ensure!(other.is_client_error(), "a guess was answered {other}"),
                }
            }
        });
    }
    let mut checked = 0;
    while let Some(part) = guessers.join_next().await {
        checked += part??;
    }
    Ok(checked)
}
