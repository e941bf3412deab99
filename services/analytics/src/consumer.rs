//! Which events this service applies: identity's people, teams and settings, and all of opportunities.

use events::consumer::Applying;
use events::{ApplyError, Event};
use futures::FutureExt as _;
use sqlx::PgConnection;

use crate::{directory, form, projection, snapshot};

/// The name by which this service's consumers are known.
pub const NAME: &str = "analytics";
/// The source of people, teams and settings.
pub const IDENTITY: &str = "identity";
/// The source of pipelines and opportunities.
pub const OPPORTUNITIES: &str = "opportunities";

/// What it consumes, and as whom.
pub const CONSUMERS: [(&str, &str); 2] = [(NAME, IDENTITY), (NAME, OPPORTUNITIES)];

/// Applies events of a source that were put aside.
pub fn apply_again<'a>(
    tx: &'a mut PgConnection,
    source: &'static str,
    events: &'a [Event],
) -> Applying<'a> {
    match source {
        IDENTITY => apply_identity(tx, events),
        _ => apply_opportunities(tx, events),
    }
}

/// Applies events of identity. A new time zone cuts the days anew, a new currency values anew.
pub fn apply_identity<'a>(tx: &'a mut PgConnection, events: &'a [Event]) -> Applying<'a> {
    async move {
        let before = directory::store::settings(tx).await?;
        directory::apply(tx, events).await?;
        let after = directory::store::settings(tx).await?;
        if let (Some(before), Some(after)) = (before, after)
            && (before.zone != after.zone || before.default_currency != after.default_currency)
        {
            // Nothing is applied beside it: the other consumer waits for this row.
            form::hold(tx).await?;
            projection::remake_rollups(tx, &after).await?;
            snapshot::store::clear(tx).await?;
        }
        Ok(())
    }
    .boxed()
}

/// Applies events of opportunities, in days of the zone and values of the currency that the settings say.
pub fn apply_opportunities<'a>(tx: &'a mut PgConnection, events: &'a [Event]) -> Applying<'a> {
    async move {
        let settings = directory::store::settings(tx).await?;
        let settings = settings.ok_or_else(|| {
            ApplyError::Outage(anyhow::anyhow!("the organisation's settings are not known yet"))
        })?;
        projection::apply(tx, &settings, events).await
    }
    .boxed()
}
