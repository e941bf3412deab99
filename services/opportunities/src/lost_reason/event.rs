//! What others learn of the list of reasons.

use events::{Change, field_change};
use proto::events::v1::{FieldChange, LostReasonRecord, LostReasonsRecord, event::Record};

use super::model::LostReasons;
use crate::meta::Meta;

/// The list is the only record of its kind.
const ID: i64 = 1;

/// The list is other than it was.
pub(super) fn changed(before: &LostReasons, after: &LostReasons, meta: &Meta) -> Change {
    let items = after.items.iter().map(|it| LostReasonRecord {
        id: it.id,
        name: it.name.clone(),
        is_active: it.is_active,
    });
    let record = LostReasonsRecord { id: ID, items: items.collect(), version: after.version };
    let record = Record::LostReasons(record);
    let (at, changes) = (meta.recorded_at, changes(before, after));
    meta.change("lost_reasons", ID, after.version, "lost_reasons.updated", at, record, changes)
}

/// The names in their order where these or their number differ, and `<id>.<field>` of those that were there before.
fn changes(before: &LostReasons, after: &LostReasons) -> Vec<FieldChange> {
    fn names(list: &LostReasons) -> Vec<&str> {
        list.items.iter().map(|it| &*it.name).collect()
    }
    let mut changes = vec![field_change("items", Some(&names(before)), Some(&names(after)))];
    for it in &after.items {
        let Some(was) = before.items.iter().find(|was| was.id == it.id) else { continue };
        let field = |name: &str| format!("{}.{name}", it.id);
        changes.extend([
            field_change(&field("name"), Some(&was.name), Some(&it.name)),
            field_change(&field("is_active"), Some(&was.is_active), Some(&it.is_active)),
        ]);
    }
    changes.into_iter().flatten().collect()
}
