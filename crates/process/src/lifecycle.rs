//! The tasks of the process, from the first to the last: one that fails ends it, a signal drains it.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context as _;
use futures::FutureExt as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{error, info, warn};

use crate::Readiness;

/// How long a process that was asked to stop may take.
pub const GRACE: Duration = Duration::from_secs(10);

/// The tasks of a process and how they end.
///
/// It begins to drain when a task fails or panics, at SIGTERM or SIGINT, or at [`Lifecycle::drain`]: it is no longer ready, and
/// [`Lifecycle::shutdown`] is cancelled, at which each task stops taking new work, finishes what it has, flushes and returns. What
/// has not returned after the grace period, or at a second signal, is dropped where it stands.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    tasks: TaskTracker,
    shutdown: CancellationToken,
    abort: CancellationToken,
    failed: Arc<AtomicBool>,
    readiness: Readiness,
    grace: Duration,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::with_grace(GRACE)
    }
}

impl Lifecycle {
    /// A life without tasks yet, that drains within `grace`.
    #[must_use]
    pub fn with_grace(grace: Duration) -> Self {
        Self {
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
            abort: CancellationToken::new(),
            failed: Arc::default(),
            readiness: Readiness::default(),
            grace,
        }
    }

    /// Cancelled when the process begins to drain.
    #[must_use]
    pub fn shutdown(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// What must be true before the process is given work.
    #[must_use]
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Starts a task. When it fails or panics the process drains and its exit code is not 0; when it returns `Ok` nothing happens.
    pub fn spawn(
        &self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        let life = self.clone();
        self.tasks.spawn(async move {
            let ended = tokio::select! {
                ended = AssertUnwindSafe(task).catch_unwind() => ended,
                () = life.abort.cancelled() => {
                    warn!(task = name, "task was cut off");
                    return;
                }
            };
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => life.fail(name, &format!("{error:#}")),
                // The panic hook has already told where and why.
                Err(_panic) => life.fail(name, "panicked"),
            }
        });
    }

    /// Begins to drain.
    pub fn drain(&self) {
        self.readiness.drain();
        self.shutdown.cancel();
    }

    /// Drains because something went wrong: the exit code will not be 0.
    pub fn fail(&self, what: &str, error: &str) {
        error!(task = what, error, "{what} failed, stopping");
        self.failed.store(true, Ordering::Relaxed);
        self.drain();
    }

    /// From now on SIGTERM and SIGINT drain the process, and a second one ends it at once.
    pub fn listen_for_signals(&self) -> anyhow::Result<()> {
        let terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
        let interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
        let life = self.clone();
        tokio::spawn(life.follow_signals(terminate, interrupt));
        Ok(())
    }

    async fn follow_signals(self, mut terminate: Signal, mut interrupt: Signal) {
        let mut signalled = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let signal = signalled().await;
        info!(signal, "stopping");
        self.drain();
        let signal = signalled().await;
        warn!(signal, "asked a second time, stopping at once");
        self.failed.store(true, Ordering::Relaxed);
        self.abort.cancel();
    }

    /// Waits until every task has returned, or until the grace period has passed since the process began to drain.
    /// True if nothing failed and nothing was cut off.
    pub async fn finished(self) -> bool {
        self.tasks.close();
        let out_of_patience = async {
            self.shutdown.cancelled().await;
            tokio::time::sleep(self.grace).await;
        };
        tokio::select! {
            () = self.tasks.wait() => {}
            () = out_of_patience => {
                error!(grace_ms = u64::try_from(self.grace.as_millis()).unwrap_or(u64::MAX), "not drained in time");
                self.failed.store(true, Ordering::Relaxed);
                self.abort.cancel();
                self.tasks.wait().await;
            }
        }
        self.readiness.drain();
        !self.failed.load(Ordering::Relaxed)
    }

    /// Ends when tasks are dropped where they stand.
    pub async fn aborted(&self) {
        self.abort.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    #[tokio::test]
    async fn a_drained_process_finishes_what_it_has_and_is_not_ready() {
        let life = Lifecycle::default();
        let (done, finished_its_work) = oneshot::channel();
        let shutdown = life.shutdown();
        life.spawn("worker", async move {
            shutdown.cancelled().await;
            tokio::task::yield_now().await;
            done.send(()).unwrap();
            Ok(())
        });
        let readiness = life.readiness().clone();
        assert!(readiness.is_ready());
        life.drain();
        assert!(!readiness.is_ready());
        assert!(life.finished().await);
        finished_its_work.await.unwrap();
    }

    #[tokio::test]
    async fn a_task_that_fails_takes_the_process_down() {
        let life = Lifecycle::default();
        let shutdown = life.shutdown();
        life.spawn("worker", async move {
            shutdown.cancelled().await;
            Ok(())
        });
        life.spawn("relay", async { anyhow::bail!("no more") });
        assert!(!life.finished().await);
    }

    #[tokio::test]
    async fn a_task_that_panics_takes_the_process_down() {
        let life = Lifecycle::default();
        life.spawn("relay", async { panic!("no more") });
        assert!(!life.finished().await);
    }

    #[tokio::test]
    async fn a_process_whose_tasks_have_all_returned_is_finished() {
        let life = Lifecycle::default();
        life.spawn("warm up", async { Ok(()) });
        assert!(life.finished().await);
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_end_in_the_grace_period_is_cut_off() {
        let life = Lifecycle::default();
        life.spawn("stubborn", std::future::pending());
        life.drain();
        let begun = tokio::time::Instant::now();
        assert!(!life.finished().await);
        assert_eq!(begun.elapsed().as_secs(), GRACE.as_secs());
    }
}
