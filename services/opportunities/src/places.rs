//! Places of those who are answered for longer than a moment: so many for one caller, so many for all, in one process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rpc::{Error, reason};

/// When one of one's own may have ended.
const SOON: Duration = Duration::from_secs(5);

/// The places for something.
#[derive(Clone, Debug)]
pub struct Places(Arc<Room>);

#[derive(Debug)]
struct Room {
    what: &'static str,
    each: usize,
    all: usize,
    /// How many are taken, by user.
    taken: Mutex<HashMap<i64, usize>>,
}

impl Places {
    /// For something of which there are so many for one caller and for all.
    pub fn new(what: &'static str, each: usize, all: usize) -> Self {
        Self(Arc::new(Room { what, each, all, taken: Mutex::default() }))
    }

    /// For streams: 20 for one caller, 2,000 in all.
    pub fn for_streams() -> Self {
        Self::new("streams", 20, 2_000)
    }

    /// One for that caller. Exhausted where they have all of theirs, unavailable where all are taken.
    pub fn take(&self, user_id: i64) -> Result<Seat, Error> {
        let Room { what, each, all, taken } = &*self.0;
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.get(&user_id).copied().unwrap_or(0);
        if own >= *each {
            let message = format!("this caller has {each} {what} at a time already");
            let reason = format!("TOO_MANY_{}", what.to_uppercase());
            return Err(Error::exhausted(reason, message).retry_after(SOON));
        }
        if taken.values().sum::<usize>() >= *all {
            let source = anyhow::anyhow!("there are {all} {what} already");
            return Err(Error::Unavailable { reason: reason::OVERLOADED.into(), source });
        }
        taken.insert(user_id, own + 1);
        Ok(Seat { room: Arc::clone(&self.0), user_id })
    }
}

/// A place that is taken, free again when it is dropped.
#[derive(Debug)]
pub struct Seat {
    room: Arc<Room>,
    user_id: i64,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.room.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = taken.get_mut(&self.user_id) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.user_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_all_places_and_one_that_is_left_is_free() {
        let places = Places::new("seats", 2, 3);
        let first = places.take(1).unwrap();
        let _second = places.take(1).unwrap();
        assert_eq!(places.take(1).unwrap_err().reason(), "TOO_MANY_SEATS");
        let _third = places.take(2).unwrap();
        assert_eq!(places.take(2).unwrap_err().reason(), "OVERLOADED");
        drop(first);
        assert!(places.take(2).is_ok());
    }
}
