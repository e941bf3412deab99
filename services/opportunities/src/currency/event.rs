//! What others learn of a rate.

use events::{Change, field_change};
use proto::events::v1::{ExchangeRateRecord, FieldChange, event::Record};

use super::model::ExchangeRate;
use crate::meta::Meta;

/// A rate was set or removed.
pub(super) fn changed(before: &ExchangeRate, after: &ExchangeRate, meta: &Meta) -> Change {
    let record = Record::ExchangeRate(ExchangeRateRecord {
        id: after.id,
        currency: after.currency.clone(),
        valid_from: Some(after.valid_from.into()),
        rate: Some(after.rate.into()),
        version: after.version,
        deleted_at: after.deleted_at.map(Into::into),
    });
    let is_new = before.version == 0;
    let counted = |it: &ExchangeRate| it.version > 0 && it.deleted_at.is_none();
    let mut changes = Vec::new();
    if is_new {
        let valid_from = after.valid_from.to_string();
        changes.extend(field_change("currency", None, Some(&after.currency)));
        changes.extend(field_change("valid_from", None, Some(&valid_from)));
    }
    // With its digits as they are.
    let text = |it| if counted(it) { it.rate.to_string() } else { "null".to_owned() };
    changes.push(FieldChange { field: "rate".to_owned(), old: text(before), new: text(after) });
    let event_type = if counted(after) { "currency.rate_set" } else { "currency.rate_removed" };
    let at = meta.recorded_at;
    meta.change("exchange_rate", after.id, after.version, event_type, at, record, changes)
}
