//! What it costs to know a token again. The real measurement is `bench verify-token`; here only what is absurd fails.

use std::time::{Duration, Instant};

use super::{claims, now, rep, signer, verifier};

/// Fifty times what it takes.
const ABSURD: Duration = Duration::from_micros(50);

#[tokio::test]
async fn a_token_that_was_seen_before_costs_next_to_nothing() {
    let verifier = verifier();
    let token = signer().sign(&claims()).unwrap();
    verifier.verify(&token, now()).await.unwrap();
    let mut took: Vec<_> = (0..10_000)
        .map(|_| {
            let begun = Instant::now();
            let caller = verifier.remembered(&token, now());
            let took = begun.elapsed();
            assert_eq!(caller.unwrap().unwrap(), rep());
            took
        })
        .collect();
    took.sort();
    // The middle one: a busy machine is not our fault.
    assert!(took[took.len() / 2] < ABSURD, "{:?}", took[took.len() / 2]);
}
