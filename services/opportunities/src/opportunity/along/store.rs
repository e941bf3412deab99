//! All SQL about opportunities that go along with their customer and their contact.

use sqlx::{AssertSqlSafe, PgConnection, Postgres, QueryBuilder};

use super::Which;
use crate::opportunity::model::Opportunity;
use crate::opportunity::store::{COLUMNS, detail};

/// How many are found at once.
pub(super) const CHUNK: usize = 500;

/// Up to [`CHUNK`] of them by id after one, which nobody else changes until this transaction ends.
pub(super) async fn find(
    tx: &mut PgConnection,
    which: Which,
    after_id: i64,
) -> sqlx::Result<Vec<Opportunity>> {
    let (column, id) = match which {
        Which::OfCustomer(id) => ("customer_id", id),
        Which::OfContact(id) => ("contact_id", id),
    };
    let sql = format!(
        "select {COLUMNS} from opportunities o
         left join contacts c on c.id = o.contact_id
         left join people p on p.user_id = o.owner_id
         where o.{column} = $1 and o.id > $2
         order by o.id limit {CHUNK}
         for update of o"
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(id).bind(after_id).fetch_all(tx).await?;
    rows.iter().map(|row| Ok(detail(row)?.opportunity)).collect()
}

/// Writes customer and contact, version and time of change.
pub(super) async fn update(
    tx: &mut PgConnection,
    went: &[(Opportunity, Opportunity)],
) -> sqlx::Result<()> {
    if went.is_empty() {
        return Ok(());
    }
    let mut sql = QueryBuilder::<Postgres>::new(
        "update opportunities o
         set customer_id = n.customer_id, customer_name = n.customer_name, contact_id = n.contact_id, version = n.version, updated_at = n.updated_at
         from (",
    );
    sql.push_values(went, |mut row, (_, it)| {
        row.push_bind(it.id).push_bind(it.customer_id).push_bind(&it.customer_name);
        row.push_bind(it.contact_id).push_bind(it.version).push_bind(it.updated_at);
    });
    sql.push(") as n (id, customer_id, customer_name, contact_id, version, updated_at) where o.id = n.id");
    sql.build().execute(tx).await?;
    Ok(())
}
