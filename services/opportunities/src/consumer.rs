//! Which events this service applies: identity's people, teams and settings, into what it remembers of them. What a person has open follows them to
//! another team.

use chrono::{DateTime, Utc};
use events::consumer::Applying;
use events::{ApplyError, Event, Record};
use futures::FutureExt as _;
use sqlx::PgConnection;

use crate::directory;
use crate::directory::model::Person;
use crate::directory::store::{self, SettingsRow, Team};
use crate::meta::Meta;

/// The name by which this service's consumer is known.
pub const NAME: &str = "opportunities";
/// The source of people, teams and settings.
pub const IDENTITY: &str = "identity";
/// What it consumes, and as whom.
pub const CONSUMERS: [(&str, &str); 1] = [(NAME, IDENTITY)];

/// Applies events that were put aside.
pub fn apply_again<'a>(
    tx: &'a mut PgConnection,
    _source: &'static str,
    events: &'a [Event],
) -> Applying<'a> {
    apply(tx, events, process::now())
}

/// Applies events of identity. Each record is kept as of its latest version, so applying twice changes nothing.
pub fn apply<'a>(
    tx: &'a mut PgConnection,
    events: &'a [Event],
    now: DateTime<Utc>,
) -> Applying<'a> {
    async move {
        for event in events {
            apply_one(tx, event, now).await?;
        }
        Ok(())
    }
    .boxed()
}

async fn apply_one(
    tx: &mut PgConnection,
    event: &Event,
    now: DateTime<Utc>,
) -> Result<(), ApplyError> {
    match &event.record {
        Some(Record::User(user)) => {
            let person = Person {
                user_id: user.id,
                username: user.username.clone(),
                email: user.email.clone(),
                role: user.role.clone(),
                team_id: user.team_id,
                is_active: user.is_active,
            };
            let meta = Meta::following(now, &event.request_id, &event.traceparent);
            directory::learn(tx, &person, event.version, &meta, &event.event_id).await?;
        }
        Some(Record::Team(team)) => {
            let team = Team {
                id: team.id,
                name: &team.name,
                manager_id: team.manager_id,
                parent_id: team.parent_id,
                is_deleted: team.deleted_at.is_some(),
                version: event.version,
            };
            store::upsert_team(tx, &team).await?;
        }
        Some(Record::Settings(settings)) => {
            let row = SettingsRow {
                time_zone: &settings.time_zone,
                default_currency: &settings.default_currency,
                visibility: &settings.visibility,
                fiscal_year_start: settings.fiscal_year_start,
                version: event.version,
                currency_fixed: settings.currency_fixed,
            };
            store::upsert_settings(tx, &row).await?;
        }
        _ => {}
    }
    Ok(())
}
