//! Whether the process should be given work: when every named condition has been met once, and until it drains.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// A set of named conditions, each of which is met once and stays met. The process is ready when all are, and no longer once it
/// drains. Without any condition it is ready from the start.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    ready: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    waiting_for: Vec<&'static str>,
    draining: bool,
}

/// One condition, to be met with [`Latch::set`]. Dropped without that, it is never met.
#[derive(Debug)]
#[must_use = "a latch that is never set keeps the process from becoming ready"]
pub struct Latch {
    readiness: Readiness,
    name: &'static str,
}

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(Inner { state: Mutex::default(), ready: watch::Sender::new(true) }))
    }
}

impl Readiness {
    /// Adds a condition. Its name appears in `/readyz` until it is met.
    pub fn latch(&self, name: &'static str) -> Latch {
        self.change(|state| state.waiting_for.push(name));
        Latch { readiness: self.clone(), name }
    }

    /// Whether the process should be given work now.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self.0.ready.borrow()
    }

    /// What is not ready: the names of the conditions that are not met, and `draining`.
    #[must_use]
    pub fn waiting_for(&self) -> Vec<&'static str> {
        let state = self.state();
        let mut names = state.waiting_for.clone();
        if state.draining {
            names.push("draining");
        }
        names
    }

    /// The present answer and every later one.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.0.ready.subscribe()
    }

    /// No more work from now on, whatever the conditions say.
    pub fn drain(&self) {
        self.change(|state| state.draining = true);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        let ready = state.waiting_for.is_empty() && !state.draining;
        // Sent under the lock, so that two changes cannot be announced in the wrong order.
        self.0.ready.send_if_modified(|now| std::mem::replace(now, ready) != ready);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Latch {
    /// The condition is met.
    pub fn set(self) {
        self.readiness.change(|state| {
            if let Some(at) = state.waiting_for.iter().position(|name| *name == self.name) {
                state.waiting_for.remove(at);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_when_every_latch_is_set_and_until_it_drains() {
        let readiness = Readiness::default();
        assert!(readiness.is_ready());
        let schema = readiness.latch("schema");
        let events = readiness.latch("events");
        assert_eq!(readiness.waiting_for(), ["schema", "events"]);
        schema.set();
        assert!(!readiness.is_ready());
        events.set();
        assert!(readiness.is_ready());
        readiness.drain();
        assert!(!readiness.is_ready());
        assert_eq!(readiness.waiting_for(), ["draining"]);
    }

    #[test]
    fn a_latch_that_is_dropped_is_never_met() {
        let readiness = Readiness::default();
        drop(readiness.latch("schema"));
        assert!(!readiness.is_ready());
    }

    #[tokio::test]
    async fn who_watches_learns_of_each_change() {
        let readiness = Readiness::default();
        let latch = readiness.latch("schema");
        let mut ready = readiness.watch();
        assert!(!*ready.borrow_and_update());
        latch.set();
        ready.changed().await.unwrap();
        assert!(*ready.borrow_and_update());
    }
}
