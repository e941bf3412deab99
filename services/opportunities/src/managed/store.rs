//! All SQL about managed lists that does not depend on what is in them.

use sqlx::PgConnection;

/// Waits until nobody else changes the list; until this transaction ends nobody does.
pub(super) async fn take_turn(tx: &mut PgConnection, name: &str) -> sqlx::Result<()> {
    sqlx::query!("select version from managed_lists where name = $1 for update", name)
        .fetch_one(tx)
        .await?;
    Ok(())
}
