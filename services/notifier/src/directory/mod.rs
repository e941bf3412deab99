//! People and teams: copies of identity's records, kept by its events.

pub mod model;
pub mod store;

use std::time::Duration;

use events::{ApplyError, ChangeSource};
use sqlx::PgConnection;
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

/// How long to wait for what identity has told.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks.
const EVERY: Duration = Duration::from_millis(20);

/// Waits until the consumer of that name has applied all that identity has told by now: somebody may have come to lead a team a moment before a closing of
/// it, and the two are heard of on different ways. Where identity does not answer, or what it told does not come in time, what is known has to do.
pub async fn catch_up(
    tx: &mut PgConnection,
    consumer: &str,
    identity: &ChangeSource,
) -> Result<(), ApplyError> {
    let deadline = Instant::now() + PATIENCE;
    let known = store::position(tx, consumer).await?;
    let told = match timeout(PATIENCE, identity.changes_after(known)).await {
        Ok(Ok(changes)) => changes.last_position,
        Ok(Err(error)) => {
            warn!(error = format!("{error:#}"), "closings are told by what is known of people");
            return Ok(());
        }
        Err(_silent) => {
            warn!("identity is silent: closings are told by what is known of people");
            return Ok(());
        }
    };
    while store::position(tx, consumer).await? < told {
        if Instant::now() > deadline {
            warn!(told, "people are not known as of now: closings are told by what is known");
            return Ok(());
        }
        sleep(EVERY).await;
    }
    Ok(())
}
