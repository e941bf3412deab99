//! Whose turn it is: what is tried on one account at once is checked one after the other, and of what comes from one address a few at a time, so that wrong
//! ones are counted before the next is looked at, and nobody else waits for it.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rpc::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many may wait for one account, or come from one address.
const MOST: usize = 64;
/// How many from one address are checked at once: enough for passwords to be hashed without a pause.
const AMONG: usize = 4;
/// When one who was turned away may try again.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// An account, and the count that its tries are in.
pub type Key = (Vec<u8>, String);

/// The accounts that are being tried in this process, and from where, each with those who wait. Cheap to clone.
#[derive(Clone, Default)]
pub struct Turns(Arc<Mutex<HashMap<Key, Arc<Semaphore>>>>);

/// A turn, which ends when it is dropped.
#[derive(Debug)]
pub struct Turn {
    /// Before the place: fields are dropped in their order.
    _permit: OwnedSemaphorePermit,
    _place: Place,
}

/// A place among those who try an account. The last one who leaves closes the line.
struct Place {
    turns: Turns,
    key: Key,
    line: Arc<Semaphore>,
}

impl Turns {
    /// Waits for one's turn; exhausted (`SIGN_IN_BUSY`) where too many do.
    pub async fn take(&self, key: Key) -> Result<Turn, Error> {
        self.take_of(key, 1).await
    }

    /// Waits until few others from that address have a turn; exhausted (`SIGN_IN_BUSY`) where too many wait. Comes after [`Turns::take`]. Who has no address has
    /// none in common with others.
    pub async fn take_among(&self, prefix: &str) -> Result<Option<Turn>, Error> {
        if prefix.is_empty() {
            return Ok(None);
        }
        // No account is named by nothing.
        let key = (Vec::new(), prefix.to_owned());
        Ok(Some(self.take_of(key, AMONG).await?))
    }

    async fn take_of(&self, key: Key, at_once: usize) -> Result<Turn, Error> {
        let place = self.place(key, at_once)?;
        let permit = Arc::clone(&place.line).acquire_owned().await.map_err(anyhow::Error::new)?;
        Ok(Turn { _permit: permit, _place: place })
    }

    fn place(&self, key: Key, at_once: usize) -> Result<Place, Error> {
        let mut lines = self.lines();
        let line = lines.entry(key.clone()).or_insert_with(|| Arc::new(Semaphore::new(at_once)));
        let line = Arc::clone(line);
        drop(lines);
        let place = Place { turns: self.clone(), key, line };
        // Each place holds the line, and once more while it waits or has its turn.
        if Arc::strong_count(&place.line) > 2 * (MOST + 1) {
            return Err(Error::exhausted(
                "SIGN_IN_BUSY",
                "too many try this account, or come from there",
            )
            .retry_after(TRY_AGAIN_AFTER));
        }
        Ok(place)
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<Key, Arc<Semaphore>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut lines = self.turns.lines();
        // The map's and ours; whoever comes now waits for the map.
        if Arc::strong_count(&self.line) == 2 {
            lines.remove(&self.key);
        }
    }
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns").finish_non_exhaustive()
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    fn key(account: u8) -> Key {
        (vec![account], String::new())
    }

    #[tokio::test]
    async fn an_account_is_tried_by_one_and_another_by_another() {
        let turns = Turns::default();
        let first = turns.take(key(1)).await.unwrap();
        let other = turns.take(key(2)).await.unwrap();
        let mut second = pin!(turns.take(key(1)));
        let mut context = Context::from_waker(Waker::noop());
        assert!(second.as_mut().poll(&mut context).is_pending());
        drop(first);
        drop(second.await.unwrap());
        drop(other);
        assert!(turns.lines().is_empty(), "nobody is left");
    }

    #[tokio::test]
    async fn who_gives_up_leaves_nothing() {
        let turns = Turns::default();
        let first = turns.take(key(1)).await.unwrap();
        {
            let mut second = pin!(turns.take(key(1)));
            let mut context = Context::from_waker(Waker::noop());
            assert!(second.as_mut().poll(&mut context).is_pending());
        }
        drop(first);
        assert!(turns.lines().is_empty());
    }

    #[tokio::test]
    async fn a_few_from_one_address_are_tried_at_once() {
        let turns = Turns::default();
        let mut context = Context::from_waker(Waker::noop());
        let few: Vec<_> = (0..AMONG).map(|_| Box::pin(turns.take_among("192.0.2.7"))).collect();
        let mut few = futures::future::join_all(few).await;
        let mut one_more = pin!(turns.take_among("192.0.2.7"));
        assert!(one_more.as_mut().poll(&mut context).is_pending());
        assert!(turns.take_among("192.0.2.8").await.unwrap().is_some());
        assert!(turns.take_among("").await.unwrap().is_none());
        drop(few.pop());
        drop(one_more.await.unwrap());
        drop(few);
        assert!(turns.lines().is_empty(), "nobody is left");
    }

    #[tokio::test]
    async fn a_line_has_an_end() {
        let turns = Turns::default();
        let _first = turns.take(key(1)).await.unwrap();
        let mut context = Context::from_waker(Waker::noop());
        let mut waiting: Vec<_> = (0..MOST).map(|_| Box::pin(turns.take(key(1)))).collect();
        assert!(waiting.iter_mut().all(|it| it.as_mut().poll(&mut context).is_pending()));
        assert_eq!(turns.take(key(1)).await.unwrap_err().reason(), "SIGN_IN_BUSY");
        turns.take(key(2)).await.unwrap();
    }
}
