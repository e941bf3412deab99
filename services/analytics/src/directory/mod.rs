//! What this service knows of identity's records: people, teams and the organisation's settings.

pub mod model;
pub(crate) mod store;

use events::{Event, Record};
use model::Person;
use sqlx::PgConnection;
use store::{SettingsRow, Team};

/// Applies events of identity, in this transaction. Each record is kept as of its latest version, so applying twice changes nothing.
pub async fn apply(tx: &mut PgConnection, events: &[Event]) -> sqlx::Result<()> {
    for event in events {
        apply_one(tx, event).await?;
    }
    Ok(())
}

async fn apply_one(tx: &mut PgConnection, event: &Event) -> sqlx::Result<()> {
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
            store::upsert_person(tx, &person, event.version).await
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
            store::upsert_team(tx, &team).await
        }
        Some(Record::Settings(settings)) => {
            let row = SettingsRow {
                time_zone: &settings.time_zone,
                default_currency: &settings.default_currency,
                visibility: &settings.visibility,
                fiscal_year_start: settings.fiscal_year_start,
                version: event.version,
            };
            store::upsert_settings(tx, &row).await
        }
        _ => Ok(()),
    }
}
