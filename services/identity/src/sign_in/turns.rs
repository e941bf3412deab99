//! Whose turn it is: what is tried on one account at once is checked one after the other, so that wrong ones are counted before the next is looked at,
//! and nobody else waits for it.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rpc::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many may wait for one account.
const MOST: usize = 64;
/// When one who was turned away may try again.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// An account, and the count that its tries are in.
pub type Key = (Vec<u8>, String);

/// The accounts that are being tried in this process, each with those who wait. Cheap to clone.
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
        let place = self.place(key)?;
        let permit = Arc::clone(&place.line).acquire_owned().await.map_err(anyhow::Error::new)?;
        Ok(Turn { _permit: permit, _place: place })
    }

    fn place(&self, key: Key) -> Result<Place, Error> {
        let mut lines = self.lines();
        let line =
            Arc::clone(lines.entry(key.clone()).or_insert_with(|| Arc::new(Semaphore::new(1))));
        drop(lines);
        let place = Place { turns: self.clone(), key, line };
        // Each place holds the line, and once more while it waits or has its turn.
        if Arc::strong_count(&place.line) > 2 * (MOST + 1) {
            return Err(Error::exhausted("SIGN_IN_BUSY", "too many try this account")
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
