//! The SQL of lists of customers, put together from their filters.

use rpc::Error;
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Postgres, QueryBuilder, Row as _};

use super::Ask;
use crate::access::model::Sight;
use crate::cursor::{Cursor, wrong_key};
use crate::customer::Asker;
use crate::customer::model::Customer;
use crate::page::Sort;

/// The rows of a page and one more, each with its sort key as text.
pub(super) async fn page(
    pool: &PgPool,
    who: &Asker,
    ask: &Ask<'_>,
    after: Option<&Cursor>,
) -> Result<Vec<(Customer, String)>, Error> {
    let Sort { key, descending } = ask.sort;
    let (direction, beyond) = if descending { ("desc", "<") } else { ("asc", ">") };
    let (column, cast) = (key.column, key.cast);
    let mut sql = QueryBuilder::<Postgres>::new(format!(
        "select c.id, c.name, c.company, c.industry, c.email, c.phone, c.created_by, c.created_at, c.updated_at, c.deleted_at, c.merged_into_id, c.version,
           ({column})::text
         from customers c where c.deleted_at is null"
    ));
    match &who.read {
        Sight::All => {}
        Sight::Nothing => {
            sql.push(" and c.created_by = ").push_bind(who.by);
        }
        Sight::Of { owner_id, team_ids } => {
            sql.push(" and (c.created_by = ").push_bind(who.by);
            sql.push(" or exists (select from opportunities o where o.customer_id = c.id and o.deleted_at is null and (o.owner_id = ");
            sql.push_bind(*owner_id).push(" or o.team_id = any(").push_bind(team_ids.clone());
            sql.push("))))");
        }
    }
    if let Some(query) = &ask.filter.text {
        sql.push(" and c.grams @> ").push_bind(query.grams.clone());
        sql.push(" and c.folded like all (").push_bind(query.patterns.clone()).push(")");
    }
    if let Some(from) = ask.filter.created.0 {
        sql.push(" and c.created_at >= ").push_bind(from);
    }
    if let Some(to) = ask.filter.created.1 {
        sql.push(" and c.created_at < ").push_bind(to);
    }
    if let Some(after) = after {
        sql.push(format!(" and ({column}, c.id) {beyond} ("));
        sql.push_bind(after.key()).push(format!("::{cast}, ")).push_bind(after.id()).push(")");
    }
    // A literal: as a bind parameter PostgreSQL would plan anew at every call.
    let limit = ask.limit + 1;
    sql.push(format!(" order by {column} {direction}, c.id {direction} limit {limit}"));
    let rows = sql.build().fetch_all(pool).await;
    let rows = rows.map_err(|error| wrong_key(error, after))?;
    Ok(rows
        .iter()
        .map(|row| Ok((customer(row)?, row.try_get(12)?)))
        .collect::<sqlx::Result<_>>()?)
}

fn customer(row: &PgRow) -> sqlx::Result<Customer> {
    Ok(Customer {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        company: row.try_get(2)?,
        industry: row.try_get(3)?,
        email: row.try_get(4)?,
        phone: row.try_get(5)?,
        created_by: row.try_get(6)?,
        created_at: row.try_get(7)?,
        updated_at: row.try_get(8)?,
        deleted_at: row.try_get(9)?,
        merged_into_id: row.try_get(10)?,
        version: row.try_get(11)?,
    })
}
