//! What every use case works with.

use std::sync::Arc;

use auth::Revocations;
use events::{Change, Wake, rights};
use rpc::Error;
use sqlx::{PgPool, Postgres, Transaction};

use crate::{external::Provider, password::Gate, sign_in::turns::Turns};

/// The service's connections and the bound on its costliest work. Cheap to clone.
#[derive(Clone, Debug)]
pub struct App {
    /// For statements that need no transaction.
    pub read: PgPool,
    /// For transactions.
    pub write: PgPool,
    /// How many passwords are hashed at once.
    pub gate: Gate,
    /// Who tries which account now.
    pub turns: Turns,
    /// The provider that people may sign in with instead of a password, if there is one.
    pub external: Option<Provider>,
    /// Wakes the relay after a commit.
    pub wake: Wake,
    /// What this process refuses of tokens that were signed before; others hear of it by the change.
    pub revocations: Arc<Revocations>,
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
        for change in changes {
            rights::apply(&self.revocations, &change.record);
        }
        self.wake.wake();
        Ok(())
    }
}
