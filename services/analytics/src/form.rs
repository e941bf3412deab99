//! The form of the derived tables: a version that keeps more of what was told than the version before makes all of it anew by itself.

use std::time::Duration;

use anyhow::Result;
use events::{inbox, lock};
use process::{Secret, postgres};
use sqlx::{PgConnection, PgPool};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::consumer::{NAME, OPPORTUNITIES};
use crate::owners::Owner;
use crate::projection::store;
use crate::rebuild::rebuild;
use crate::training;

/// The form that this version keeps. Whoever adds a column or a sum that is derived of events raises it: a version before, which may serve and apply beside this one, does not fill it.
pub const FORM: i32 = 1;
/// How often it is looked.
const EVERY: Duration = Duration::from_mins(1);
/// How long until the next look at most, while a version before goes on writing or making anew does not help. It doubles until then: to make all anew costs a lot.
const MOST: Duration = Duration::from_hours(1);

/// Nothing is applied beside this transaction, and what it writes is of this form.
pub(crate) async fn hold(tx: &mut PgConnection) -> sqlx::Result<()> {
    inbox::hold(tx, NAME, OPPORTUNITIES).await?;
    store::note_form(tx).await
}

/// What is needed to make derived tables anew.
#[derive(Clone)]
pub struct Renewal {
    /// Of this service, for a look.
    pub pool: PgPool,
    /// Of this service, as the role that may change rows.
    pub database_url: Secret,
    /// The owner of people, teams and settings.
    pub identity: Owner,
    /// The owner of opportunities.
    pub opportunities: Owner,
}

/// While this process applies, makes anew what a version before wrote or left out: when it begins to, and again for as long as another process writes so.
pub async fn run(
    renewal: Renewal,
    mut applies: watch::Receiver<bool>,
    shutdown: CancellationToken,
) -> Result<()> {
    let mut pause = EVERY;
    loop {
        if !*applies.borrow() {
            outdated().set(0.0);
        }
        let waited = shutdown.run_until_cancelled(applies.wait_for(|it| *it)).await;
        // Whoever tells that it applies ends at shutdown, as this does.
        if waited.is_none_or(|it| it.is_err()) {
            break;
        }
        let Some(renewed) = shutdown.run_until_cancelled(renewal.renew()).await else { break };
        pause = match &renewed {
            Ok(false) => EVERY,
            Ok(true) | Err(_) => (pause * 2).min(MOST),
        };
        if let Err(error) = renewed {
            let again_in = pause.as_secs();
            error!(error = format!("{error:#}"), again_in, "derived tables were not made anew");
        }
        if shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            break;
        }
    }
    Ok(())
}

/// Whether tables wait to be made anew, in the process that applies.
fn outdated() -> metrics::Gauge {
    metrics::gauge!("derived_tables_outdated")
}

impl Renewal {
    /// Makes the derived tables anew if they are of a form before this one; whether they were.
    pub async fn renew(&self) -> Result<bool> {
        let outdated = outdated();
        let form = store::form(&self.pool).await?;
        let Some(form) = form.filter(|form| *form < FORM) else {
            outdated.set(0.0);
            return Ok(false);
        };
        outdated.set(1.0);
        info!(form, now = FORM, "derived tables are of a version before: making them anew");
        // Not beside learning, which takes as much memory.
        let url = self.database_url.expose();
        let _held = lock::hold(url, training::lock_key()).await?;
        let mut connection = postgres::connect(&self.database_url, "analytics-renew").await?;
        let (identity, opportunities) = (&self.identity, &self.opportunities);
        let deals = rebuild(&mut connection, identity, opportunities, process::now()).await?;
        outdated.set(0.0);
        info!(deals, "derived tables were made anew");
        Ok(true)
    }
}
