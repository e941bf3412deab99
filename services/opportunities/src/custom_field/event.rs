//! What others learn of the fields of an organisation's own.

use events::{Change, field_change};
use proto::events::v1::{CustomFieldRecord, CustomFieldsRecord, FieldChange, event::Record};

use super::model::{CustomFields, Value, Values};
use crate::meta::Meta;

/// The list is the only record of its kind.
const ID: i64 = 1;

/// The list is other than it was.
pub(super) fn changed(before: &CustomFields, after: &CustomFields, meta: &Meta) -> Change {
    let items = after.living().map(|it| CustomFieldRecord {
        key: it.key.clone(),
        name: it.name.clone(),
        r#type: it.kind.as_str().to_owned(),
        choices: it.choices.clone(),
    });
    let record = CustomFieldsRecord { id: ID, items: items.collect(), version: after.version };
    let record = Record::CustomFields(record);
    let (at, changes) = (meta.recorded_at, changes(before, after));
    meta.change("custom_fields", ID, after.version, "custom_fields.updated", at, record, changes)
}

/// The keys in their order where these or their number differ, and `<key>.<field>` of those that were there before.
fn changes(before: &CustomFields, after: &CustomFields) -> Vec<FieldChange> {
    fn keys(list: &CustomFields) -> Vec<&str> {
        list.living().map(|it| &*it.key).collect()
    }
    let mut changes = vec![field_change("items", Some(&keys(before)), Some(&keys(after)))];
    for it in after.living() {
        let Some(was) = before.get(&it.key) else { continue };
        let field = |name: &str| format!("{}.{name}", it.key);
        changes.extend([
            field_change(&field("name"), Some(&was.name), Some(&it.name)),
            field_change(&field("choices"), Some(&was.choices), Some(&it.choices)),
        ]);
    }
    changes.into_iter().flatten().collect()
}

/// What an opportunity says in its fields, as others may know it.
pub(crate) fn values(values: &Values) -> proto::CustomValues {
    let value = |(key, value): (&String, &Value)| (key.clone(), value_of(value));
    proto::CustomValues { values: values.iter().map(value).collect() }
}

/// What an opportunity said in its fields, as an event told of it.
pub(crate) fn said(values: proto::CustomValues) -> Values {
    let said = values.values.into_iter().filter_map(|(key, value)| {
        let value = match value.kind? {
            proto::CustomKind::Text(text) => Value::Text(text),
            proto::CustomKind::Number(number) => Value::Number(number.into()),
        };
        Some((key, value))
    });
    said.collect()
}

fn value_of(value: &Value) -> proto::CustomValue {
    match value {
        Value::Text(text) => proto::CustomValue::text(text.as_str()),
        Value::Number(number) => proto::CustomValue::number((*number).into()),
    }
}
