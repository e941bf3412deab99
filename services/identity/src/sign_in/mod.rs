//! Limits on guessing passwords and codes: who may try now, and what a try costs.
//!
//! Failures are counted for each account, known or not: in one count for all addresses, and in one of its own for each address from which the account was
//! signed in to lately, so that an attacker does not lock out its owner. From the first failure on a try is counted before it is checked, and tries of one account
//! wait for each other, and all but a few from one address, so that many at once are not more than one after the other.

pub mod model;
pub mod store;
pub mod turns;

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use rpc::Error;
use sqlx::{Postgres, Transaction};

use self::model::{
    FAILURES_PER_ADDRESS, FORGOTTEN_AFTER, Failures, Peer, TRUSTED_FOR, WINDOW, account, codes_of,
};
use self::turns::Turn;
use crate::{app::App, user::model::fold_email};

/// A try that may be checked now.
#[derive(Debug)]
#[must_use = "what became of it has to be said"]
pub struct Attempt {
    account: Vec<u8>,
    prefix: String,
    bucket: String,
    /// Whether it was counted as a failure before it is known to be one.
    counted: bool,
    /// When it was asked for.
    asked: Instant,
    /// Until it is known what became of it nobody else tries the same, and few others from there try anything.
    turn: (Turn, Option<Turn>),
}

/// Lets a try for an account through, or says when to come back: exhausted (`TOO_MANY_FAILURES`).
pub async fn admit(
    app: &App,
    email: &str,
    peer: Peer,
    now: DateTime<Utc>,
) -> Result<Attempt, Error> {
    let_through(app, account(&fold_email(email)), (peer, Count::AfterFailures), now).await
}

/// The same for a code of that user's second factor. It is counted apart from passwords, of which a right one forgets the wrong ones, and always before it is checked:
/// there is no hashing that bounds how many are checked at once.
pub async fn admit_code(
    app: &App,
    user_id: i64,
    peer: Peer,
    now: DateTime<Utc>,
) -> Result<Attempt, Error> {
    let_through(app, codes_of(user_id), (peer, Count::Always), now).await
}

/// Which tries are counted before they are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Count {
    AfterFailures,
    Always,
}

async fn let_through(
    app: &App,
    account: Vec<u8>,
    (peer, count): (Peer, Count),
    now: DateTime<Utc>,
) -> Result<Attempt, Error> {
    let prefix = peer.prefix();
    let trusted = store::is_trusted(&app.read, &account, &prefix, now - TRUSTED_FOR).await?;
    let bucket = if trusted { prefix.clone() } else { String::new() };
    // Whoever has to wait is told so without waiting for those before them.
    let known = store::failures(&app.read, &account, &bucket).await?;
    if let Some(left) = known.filter(|it| it.counts(now)).and_then(|it| it.left(now)) {
        return Err(wait_for(left));
    }
    let asked = Instant::now();
    let turn = app.turns.take((account.clone(), bucket.clone())).await?;
    let among = app.turns.take_among(&prefix).await?;
    let now = now + asked.elapsed();
    let mut tx = app.write.begin().await?;
    // Who has no address has none in common with others.
    if !prefix.is_empty()
        && let Some((failures, began)) = store::address(&mut tx, &prefix).await?
        && failures >= FAILURES_PER_ADDRESS
        && began + WINDOW > now
    {
        return Err(wait_for(began + WINDOW - now));
    }
    let mut known = store::lock(&mut tx, &account, &bucket).await?.filter(|it| it.counts(now));
    let mut counted = known.is_some();
    if !counted && count == Count::Always {
        counted = true;
        let first = Failures::and_another(None, now);
        if !store::put(&mut tx, &account, &bucket, first, true).await? {
            // There are forgotten ones, or somebody else was first.
            known = store::lock(&mut tx, &account, &bucket).await?;
        }
    }
    if let Some(known) = known {
        if let Some(left) = known.left(now) {
            return Err(wait_for(left));
        }
        let next = Failures::and_another(Some(known), now);
        store::put(&mut tx, &account, &bucket, next, false).await?;
    }
    tx.commit().await?;
    Ok(Attempt { account, prefix, bucket, counted, asked, turn: (turn, among) })
}

impl Attempt {
    /// It was wrong.
    pub async fn failed(self, app: &App, now: DateTime<Utc>) -> Result<(), Error> {
        let Self { account, prefix, bucket, counted, asked, turn } = self;
        // It waits from now on, not from when it was asked for.
        let now = now + asked.elapsed();
        let mut tx = app.write.begin().await?;
        if !prefix.is_empty() {
            store::count_address(&mut tx, &prefix, now, now - WINDOW).await?;
        }
        if !counted {
            let first = Failures::and_another(None, now);
            if !store::put(&mut tx, &account, &bucket, first, true).await? {
                let known = store::lock(&mut tx, &account, &bucket).await?;
                let next = Failures::and_another(known, now);
                store::put(&mut tx, &account, &bucket, next, false).await?;
            }
        }
        tx.commit().await?;
        drop(turn);
        Ok(())
    }

    /// It was right: in the transaction of what it was for.
    pub async fn succeeded(
        self,
        tx: &mut Transaction<'_, Postgres>,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        store::clear(tx, &self.account, &self.bucket).await?;
        if !self.prefix.is_empty() {
            store::trust(tx, &self.account, &self.prefix, now).await?;
        }
        Ok(())
    }

    /// It was not checked after all.
    pub async fn withdrawn(self, app: &App) -> Result<(), Error> {
        if !self.counted {
            return Ok(());
        }
        let mut tx = app.write.begin().await?;
        if let Some(known) = store::lock(&mut tx, &self.account, &self.bucket).await? {
            let failures = (known.failures - 1).max(1);
            let before = Failures { failures, blocked_until: known.failed_at, ..known };
            store::put(&mut tx, &self.account, &self.bucket, before, false).await?;
        }
        Ok(tx.commit().await?)
    }
}

/// Whether that account was signed in to from there lately.
pub(crate) async fn is_trusted(
    app: &App,
    folded_email: &str,
    peer: Peer,
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let account = account(folded_email);
    Ok(store::is_trusted(&app.read, &account, &peer.prefix(), now - TRUSTED_FOR).await?)
}

/// Forgets the failures of an account whose owner has shown another way who they are, in the transaction of what that was for.
pub(crate) async fn pardon(tx: &mut Transaction<'_, Postgres>, email: &str) -> Result<(), Error> {
    Ok(store::clear_all(tx, &account(&fold_email(email))).await?)
}

/// Forgets what no longer counts.
pub async fn forget(app: &App, now: DateTime<Utc>) -> sqlx::Result<()> {
    store::forget(&app.write, now - FORGOTTEN_AFTER, now - TRUSTED_FOR, now - WINDOW).await
}

fn wait_for(wait: TimeDelta) -> Error {
    Error::exhausted("TOO_MANY_FAILURES", "too many wrong sign-ins; wait before the next")
        .retry_after(wait.to_std().unwrap_or(Duration::from_secs(1)))
}
