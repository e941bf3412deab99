//! What is going on on a connection: which requests run, and since when none does.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, sleep, sleep_until};

/// Kept by the connection, its socket and its requests. A request costs a few atomic operations and no lock.
#[derive(Debug)]
pub(super) struct Running {
    opened: Instant,
    has_spoken: AtomicBool,
    has_stalled: AtomicBool,
    requests: AtomicUsize,
    /// When the last one ended, after `opened`.
    quiet_since_ms: AtomicU64,
}

/// Why a connection is let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LetGo {
    /// Too little was said in time to tell HTTP/1 from HTTP/2.
    Silent,
    /// No request for too long.
    Idle,
}

impl Running {
    pub(super) fn new() -> Self {
        Self {
            opened: Instant::now(),
            has_spoken: AtomicBool::new(false),
            has_stalled: AtomicBool::new(false),
            requests: AtomicUsize::new(0),
            quiet_since_ms: AtomicU64::new(0),
        }
    }

    /// Enough was read to know what the client speaks.
    pub(super) fn speaks(&self) {
        self.has_spoken.store(true, Ordering::Relaxed);
    }

    pub(super) fn stalls(&self) {
        self.has_stalled.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_stalled(&self) -> bool {
        self.has_stalled.load(Ordering::Relaxed)
    }

    /// A request runs until what this gives is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Ongoing {
        self.speaks();
        self.requests.fetch_add(1, Ordering::Relaxed);
        Ongoing(Arc::clone(self))
    }

    fn is_quiet(&self) -> bool {
        self.requests.load(Ordering::Acquire) == 0
    }

    /// Returns when the client has not spoken within `opening`, or has had no request for `idle`.
    pub(super) async fn too_long(&self, opening: Duration, idle: Duration) -> LetGo {
        sleep_until(self.opened + opening).await;
        if !self.has_spoken.load(Ordering::Relaxed) {
            return LetGo::Silent;
        }
        loop {
            if !self.is_quiet() {
                sleep(idle).await;
                continue;
            }
            let since = Duration::from_millis(self.quiet_since_ms.load(Ordering::Relaxed));
            let until = self.opened + since + idle;
            if Instant::now() >= until {
                return LetGo::Idle;
            }
            sleep_until(until).await;
        }
    }

    /// Returns when a client that was told to go has no request and has not gone.
    pub(super) async fn abandoned(&self, patience: Duration) {
        loop {
            sleep(patience).await;
            if self.is_quiet() {
                return;
            }
        }
    }
}

/// A request that runs.
#[derive(Debug)]
pub(super) struct Ongoing(Arc<Running>);

impl Drop for Ongoing {
    fn drop(&mut self) {
        let since = u64::try_from(self.0.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.quiet_since_ms.store(since, Ordering::Relaxed);
        self.0.requests.fetch_sub(1, Ordering::Release);
    }
}

/// The body of an answer: its request runs until all of it is on its way.
pub(super) struct Answer<B> {
    pub(super) body: B,
    pub(super) _ongoing: Ongoing,
}

impl<B: Body + Unpin> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn seconds_until(running: &Running) -> (u64, LetGo) {
        let begun = Instant::now();
        let why = running.too_long(Duration::from_secs(10), Duration::from_mins(1)).await;
        (begun.elapsed().as_secs(), why)
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_speak_has_less_time_than_who_does_not_ask() {
        assert_eq!(seconds_until(&Running::new()).await, (10, LetGo::Silent));
        let running = Running::new();
        running.speaks();
        assert_eq!(seconds_until(&running).await, (60, LetGo::Idle));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_from_the_end_of_its_last_request_on() {
        let running = Arc::new(Running::new());
        let (long, longer) = (running.begin(), running.begin());
        tokio::spawn(async move {
            sleep(Duration::from_secs(5)).await;
            drop(long);
            sleep(Duration::from_secs(200)).await;
            drop(longer);
        });
        assert_eq!(seconds_until(&running).await, (265, LetGo::Idle));
    }
}
