//! The tap on the relay's shoulder after a commit.

use std::sync::Arc;

use tokio::sync::Notify;

/// Wakes the relay of this process. Only a hint: the relay looks by itself every 50 ms, in whichever process it runs.
#[derive(Clone, Debug, Default)]
pub struct Wake(Arc<Notify>);

impl Wake {
    /// Says that something was committed. Never before the commit: the relay would look too early.
    pub fn wake(&self) {
        self.0.notify_one();
    }

    /// Returns after the next [`Wake::wake`], or at once if there was one since the last return.
    pub async fn woken(&self) {
        self.0.notified().await;
    }
}
