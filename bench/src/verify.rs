//! `bench verify-token`: what it costs a service to verify an access token, on one thread and without any server.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use auth::token::{Claims, Signer};
use auth::{Caller, ISSUER, Keys, Revocations, Role, Verifier};
use chrono::{DateTime, Utc};
use local::say;

use crate::matrix::median;

/// How many tokens a service sees at once, all of which it remembers.
const TOKENS: usize = 1_000;
/// How long each round lasts at least.
const ROUND: Duration = Duration::from_millis(200);
/// How often each is repeated; the results are medians.
const ROUNDS: usize = 9;

/// What verifying a token costs, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verify {
    /// Bytes of the token.
    pub(crate) bytes: usize,
    /// The first time.
    pub(crate) first: f64,
    /// One of a thousand that were seen before.
    pub(crate) again: f64,
}

/// Measures both ways, and says what they cost.
pub(crate) async fn run(now: DateTime<Utc>) -> Result<()> {
    let Verify { bytes, first, again } = measure(now).await?;
    say(format_args!(
        "an access token of {bytes} bytes: first {:.1} µs, remembered {again:.0} ns (one of {TOKENS}, medians of {ROUNDS})",
        first / 1_000.0,
    ));
    Ok(())
}

/// Measures both ways.
pub(crate) async fn measure(now: DateTime<Utc>) -> Result<Verify> {
    let signer = Signer::from_secret(&local::random::word(64).into())?;
    let tokens = (0..TOKENS)
        .map(|number| signer.sign(&claims(number, now)))
        .collect::<Result<Vec<_>, _>>()?;
    let verifier = || {
        let keys = Keys::fixed([signer.public_key().clone()]);
        Verifier::new(ISSUER, keys, Arc::<Revocations>::default())
    };

    let (mut first, mut again) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let verifier = verifier();
        let begun = Instant::now();
        for token in &tokens {
            black_box(verifier.verify(token, now).await?);
        }
        first.push(each(begun.elapsed(), TOKENS));

        let (begun, mut count) = (Instant::now(), 0);
        while begun.elapsed() < ROUND {
            for token in &tokens {
                let caller = verifier.remembered(black_box(token), now);
                ensure!(black_box(caller).is_some_and(|it| it.is_ok()), "a token was forgotten");
            }
            count += TOKENS;
        }
        again.push(each(begun.elapsed(), count));
    }
    let [first, again] = [first, again].map(|rounds| median(rounds.into_iter()));
    Ok(Verify { bytes: tokens[0].len(), first, again })
}

fn claims(number: usize, now: DateTime<Utc>) -> Claims {
    let (role, team_id, service) = (Role::Rep, Some(3), None);
    let caller =
        Caller { user_id: 7, session_id: 70, role, team_id, service, ..Caller::service("") };
    // As long as an id of identity's.
    Claims::of(&caller, ISSUER, format!("{number:032x}"), now, 1_800)
}

/// Nanoseconds for each.
#[expect(clippy::cast_precision_loss, reason = "counts of tokens")]
fn each(time: Duration, count: usize) -> f64 {
    time.as_secs_f64() * 1e9 / count as f64
}
