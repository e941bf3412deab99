//! What others learn of the settings.

use chrono::{DateTime, Utc};
use events::{Change, FieldChange, Record, field_change};
use proto::events::v1::SettingsRecord;

use super::model::{Settings, names};
use crate::cause::{Cause, Subject};

/// The one organisation's settings have this id.
const ID: i64 = 1;

/// The settings are there.
pub fn created(settings: &Settings, cause: &Cause, now: DateTime<Utc>) -> Change {
    let changes = values(None, settings);
    cause.change(subject(settings, "settings.created"), record(settings), changes, now)
}

/// The settings are other than they were.
pub fn updated(old: &Settings, settings: &Settings, cause: &Cause, now: DateTime<Utc>) -> Change {
    let changes = values(Some(old), settings);
    cause.change(subject(settings, "settings.updated"), record(settings), changes, now)
}

fn subject(settings: &Settings, event_type: &'static str) -> Subject {
    Subject { aggregate: "settings", id: ID, version: settings.version, event_type }
}

fn record(settings: &Settings) -> Record {
    Record::Settings(SettingsRecord {
        time_zone: settings.time_zone.clone(),
        default_currency: settings.default_currency.clone(),
        visibility: settings.visibility.as_str().to_owned(),
        fiscal_year_start: settings.fiscal_year_start,
        version: settings.version,
        currency_fixed: settings.currency_fixed,
        second_factor_roles: names(&settings.second_factor_roles),
    })
}

fn values(old: Option<&Settings>, new: &Settings) -> Vec<FieldChange> {
    let visibility = |settings: &Settings| settings.visibility.as_str();
    [
        field_change("time_zone", old.map(|it| &it.time_zone), Some(&new.time_zone)),
        field_change(
            "default_currency",
            old.map(|it| &it.default_currency),
            Some(&new.default_currency),
        ),
        field_change("visibility", old.map(visibility).as_ref(), Some(&visibility(new))),
        field_change(
            "fiscal_year_start",
            old.map(|it| &it.fiscal_year_start),
            Some(&new.fiscal_year_start),
        ),
        field_change(
            "second_factor_roles",
            old.map(|it| names(&it.second_factor_roles)).as_ref(),
            Some(&names(&new.second_factor_roles)),
        ),
        field_change("currency_fixed", old.map(|it| &it.currency_fixed), Some(&new.currency_fixed)),
    ]
    .into_iter()
    .flatten()
    .collect()
}
