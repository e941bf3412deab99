//! The form of the derived tables: a version that keeps more of what was told than the version before makes all of it anew by itself.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use events::inbox;
use process::{Secret, postgres};
use sqlx::PgConnection;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::consumer::{NAME, OPPORTUNITIES};
use crate::owners::Owner;
use crate::projection::store;
use crate::rebuild::rebuild;

/// The form that this version keeps. Whoever adds a column or a sum that is derived of events raises it: a version before, which may serve and apply beside this one, does not fill it.
pub const FORM: i32 = 1;
/// How long until it is tried again.
const RETRY: Duration = Duration::from_mins(1);

/// Nothing is applied beside this transaction, and what it writes is of this form.
pub(crate) async fn hold(tx: &mut PgConnection) -> sqlx::Result<()> {
    inbox::hold(tx, NAME, OPPORTUNITIES).await?;
    store::note_form(tx, FORM).await
}

/// Each time this process begins to apply, makes anew what a version before wrote, or left out.
pub async fn run(
    database_url: Secret,
    identity: Owner,
    opportunities: Owner,
    began: Arc<Notify>,
    shutdown: CancellationToken,
) -> Result<()> {
    while shutdown.run_until_cancelled(began.notified()).await.is_some() {
        loop {
            let renewed = async {
                let mut connection = postgres::connect(&database_url, "analytics-renew").await?;
                renew(&mut connection, &identity, &opportunities).await
            };
            match shutdown.run_until_cancelled(renewed).await {
                Some(Ok(_)) | None => break,
                Some(Err(error)) => {
                    warn!(error = format!("{error:#}"), "derived tables were not made anew");
                }
            }
            if shutdown.run_until_cancelled(tokio::time::sleep(RETRY)).await.is_none() {
                break;
            }
        }
    }
    Ok(())
}

/// Makes the derived tables anew if they are of a form before this one; whether they were.
pub async fn renew(
    connection: &mut PgConnection,
    identity: &Owner,
    opportunities: &Owner,
) -> Result<bool> {
    let form = store::form(connection).await?;
    let Some(form) = form.filter(|form| *form < FORM) else { return Ok(false) };
    info!(form, now = FORM, "derived tables are of a version before: making them anew");
    let deals = rebuild(connection, identity, opportunities, process::now()).await?;
    info!(deals, "derived tables were made anew");
    Ok(true)
}
