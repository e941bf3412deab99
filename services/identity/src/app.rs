//! What every use case works with.

use events::{Change, Wake};
use rpc::Error;
use sqlx::{PgPool, Postgres, Transaction};

use crate::password::Gate;

/// The service's connections and the bound on its costliest work. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    /// For statements that need no transaction.
    pub read: PgPool,
    /// For transactions.
    pub write: PgPool,
    /// How many passwords are hashed at once.
    pub gate: Gate,
    /// Wakes the relay after a commit.
    pub wake: Wake,
}

impl App {
    /// Appends the changes to the change log, commits them with their transaction, and has them told to others.
    pub async fn commit(
        &self,
        mut tx: Transaction<'_, Postgres>,
        changes: &[Change],
    ) -> Result<(), Error> {
        events::outbox::append(&mut tx, changes).await?;
        tx.commit().await?;
        self.wake.wake();
        Ok(())
    }
}
