//! What others learn of the settings.

use chrono::{DateTime, Utc};
use events::{Change, FieldChange, Record, field_change};
use proto::events::v1::SettingsRecord;

use super::model::Settings;
use crate::cause::{Cause, Subject};

/// The one organisation's settings have this id.
const ID: i64 = 1;

/// The settings are there.
pub fn created(settings: &Settings, cause: &Cause, now: DateTime<Utc>) -> Change {
    let subject = Subject {
        aggregate: "settings",
        id: ID,
        version: settings.version,
        event_type: "settings.created",
    };
    let record = Record::Settings(SettingsRecord {
        time_zone: settings.time_zone.clone(),
        default_currency: settings.default_currency.clone(),
        visibility: settings.visibility.as_str().to_owned(),
        fiscal_year_start: settings.fiscal_year_start,
        version: settings.version,
    });
    cause.change(subject, record, values(settings), now)
}

fn values(settings: &Settings) -> Vec<FieldChange> {
    [
        field_change("time_zone", None, Some(&settings.time_zone)),
        field_change("default_currency", None, Some(&settings.default_currency)),
        field_change("visibility", None, Some(&settings.visibility.as_str())),
        field_change("fiscal_year_start", None, Some(&settings.fiscal_year_start)),
    ]
    .into_iter()
    .flatten()
    .collect()
}
