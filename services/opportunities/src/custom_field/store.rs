//! All SQL about fields of an organisation's own, and how what is said in them is kept in the row of an opportunity.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, PgExecutor, Row as _};

use super::model::{CustomField, CustomFields, Type, Value, Values};

/// All fields in their order, those that are gone last.
pub(crate) async fn all(db: impl PgExecutor<'_>) -> sqlx::Result<CustomFields> {
    let rows = sqlx::query!(
        r#"select l.version, f.key as "key?", f.name as "name?", f.type as "kind?", f.choices as "choices?", f.is_deleted as "is_deleted?"
           from managed_lists l left join custom_fields f on true
           where l.name = 'custom_fields'
           order by f.ordinal"#
    )
    .fetch_all(db)
    .await?;
    let version = rows.first().map(|row| row.version).unwrap_or_default();
    let mut items = Vec::with_capacity(rows.len());
    for row in rows {
        let (Some(key), Some(name), Some(kind)) = (row.key, row.name, row.kind) else { continue };
        let broken = || sqlx::Error::Decode("custom_fields.type".into());
        items.push(CustomField {
            key,
            name,
            kind: Type::parse(&kind).ok_or_else(broken)?,
            choices: row.choices.unwrap_or_default(),
            is_deleted: row.is_deleted.unwrap_or_default(),
        });
    }
    Ok(CustomFields { items, version })
}

/// Writes the whole list. None is ever removed from it.
pub(super) async fn put(tx: &mut PgConnection, list: &CustomFields) -> sqlx::Result<()> {
    let keys: Vec<_> = list.items.iter().map(|it| it.key.clone()).collect();
    let names: Vec<_> = list.items.iter().map(|it| it.name.clone()).collect();
    let kinds: Vec<_> = list.items.iter().map(|it| it.kind.as_str().to_owned()).collect();
    // An array of arrays of different lengths there is not.
    let choices: Vec<_> =
        list.items.iter().map(|it| serde_json::Value::from(it.choices.clone())).collect();
    let deleted: Vec<_> = list.items.iter().map(|it| it.is_deleted).collect();
    sqlx::query!(
        "with v as (
           update managed_lists set version = $6 where name = 'custom_fields'
         )
         insert into custom_fields (key, name, type, choices, is_deleted, ordinal)
         select key, name, type, array(select jsonb_array_elements_text(choices)), is_deleted, ordinal
         from unnest($1::text[], $2::text[], $3::text[], $4::jsonb[], $5::boolean[])
           with ordinality as given (key, name, type, choices, is_deleted, ordinal)
         on conflict (key) do update
         set name = excluded.name, choices = excluded.choices, is_deleted = excluded.is_deleted, ordinal = excluded.ordinal",
        &keys,
        &names,
        &kinds,
        &choices,
        &deleted,
        list.version
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Reads what [`super::model::json`] wrote, from that column of a row of opportunities.
pub(crate) fn read(row: &PgRow, column: usize) -> sqlx::Result<Values> {
    // The digits as they are, never through a binary float.
    let kept = row.try_get::<Option<Json<BTreeMap<String, Box<RawValue>>>>, _>(column)?;
    let Some(Json(kept)) = kept else { return Ok(Values::new()) };
    let broken = || sqlx::Error::Decode("opportunities.custom_fields".into());
    let value = |(key, raw): (String, Box<RawValue>)| {
        let value = match raw.get().parse() {
            Ok(number) => Value::Number(number),
            Err(_) => Value::Text(serde_json::from_str(raw.get()).map_err(|_| broken())?),
        };
        Ok((key, value))
    };
    kept.into_iter().map(value).collect()
}
