//! Writes that a caller cannot cut in half.

use std::{future::Future, sync::LazyLock};

use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::{Error, deadline::Deadline};

/// Every write that runs, whether or not somebody still waits for it.
static RUNNING: LazyLock<TaskTracker> = LazyLock::new(TaskTracker::new);

/// Runs a write to its end, even if the caller hangs up or stops waiting.
///
/// Dropping a handler drops what it awaits; a transaction dropped half-way is rolled back at best. So a write runs as a task of its own,
/// inside the caller's span. When the request's deadline passes first, the answer is [`Error::OutcomeUnknown`] and the write goes on; a
/// process that drains waits for it.
pub async fn write<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    let task = RUNNING.spawn(work.in_current_span());
    let ended = match Deadline::current() {
        Some(deadline) => tokio::time::timeout_at(deadline.soft, task)
            .await
            .map_err(|_late| Error::OutcomeUnknown)?,
        None => task.await,
    };
    ended.unwrap_or_else(|error| {
        Err(Error::Internal(anyhow::Error::new(error).context("run a write")))
    })
}

/// Runs a write that no answer tells of: nobody waits for it but a process that drains, and that it failed is only logged.
///
/// Whoever calls it bounds how many run.
pub fn write_later(work: impl Future<Output = Result<(), Error>> + Send + 'static) {
    let logged = async move {
        if let Err(error) = work.await {
            let error = anyhow::Error::new(error);
            tracing::error!(error = format!("{error:#}"), "a write that nobody waits for failed");
        }
    };
    RUNNING.spawn(logged.in_current_span());
}

/// Waits until no write runs any more.
pub(crate) async fn all_done() {
    RUNNING.close();
    RUNNING.wait().await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::{sync::oneshot, time::Instant};

    #[tokio::test]
    async fn a_write_goes_on_when_its_caller_hangs_up() {
        let (go_on, wait) = oneshot::channel::<()>();
        let (done, finished) = oneshot::channel();
        let request = tokio::spawn(write(async move {
            wait.await.ok();
            done.send(()).ok();
            Ok(())
        }));
        tokio::task::yield_now().await;
        request.abort();
        assert!(request.await.unwrap_err().is_cancelled());
        go_on.send(()).unwrap();
        finished.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn past_the_deadline_nobody_knows_whether_it_was_written() {
        let (done, finished) = oneshot::channel();
        let deadline = Deadline::after(Instant::now(), Duration::from_secs(1));
        let slow = write(async move {
            tokio::time::sleep(Duration::from_secs(2)).await;
            done.send(()).ok();
            Ok(())
        });
        let answer = deadline.scope(slow).await;
        assert!(matches!(answer, Err(Error::OutcomeUnknown)));
        finished.await.unwrap();
    }

    #[tokio::test]
    async fn a_write_that_panics_is_an_internal_error() {
        let answer = write::<()>(async { panic!("defect") }).await;
        assert!(matches!(answer, Err(Error::Internal(_))));
    }
}
