//! How lines are kept in the row of their opportunity.

use serde::Deserialize;
use serde_json::value::RawValue;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::types::Json;

use super::LineItem;

/// Reads what [`super::json`] wrote, from that column of a row.
pub(crate) fn read(row: &PgRow, column: usize) -> sqlx::Result<Vec<LineItem>> {
    #[derive(Deserialize)]
    struct Kept {
        name: String,
        // The digits as they are, never through a binary float.
        quantity: Box<RawValue>,
        unit_price: Box<RawValue>,
        discount: Box<RawValue>,
    }
    let Some(Json(kept)) = row.try_get::<Option<Json<Vec<Kept>>>, _>(column)? else {
        return Ok(Vec::new());
    };
    let broken = |_| sqlx::Error::Decode("opportunities.line_items".into());
    let line = |it: Kept| {
        Ok(LineItem {
            name: it.name,
            quantity: it.quantity.get().parse().map_err(broken)?,
            unit_price: it.unit_price.get().parse().map_err(broken)?,
            discount: it.discount.get().parse().map_err(broken)?,
        })
    };
    kept.into_iter().map(line).collect()
}
