//! Lists that administrators manage as one record: all of it has one version, and whoever changes it has its turn.

mod store;

use events::Change;
use rpc::Error;
use sqlx::{PgConnection, Postgres, Transaction};

use crate::State;
use crate::meta::Meta;

/// Such a list.
pub(crate) trait Managed: Clone + Send + Sync + Sized {
    /// What it is kept and told as.
    const NAME: &'static str;

    /// Its version.
    fn version(&mut self) -> &mut i64;

    /// Whether the same is in both.
    fn is_same(&self, other: &Self) -> bool;

    /// What others learn of a change.
    fn changed(&self, after: &Self, meta: &Meta) -> Change;

    /// As it is stored.
    fn read(tx: &mut PgConnection) -> impl Future<Output = sqlx::Result<Self>> + Send;

    /// Writes all of it.
    fn write(&self, tx: &mut PgConnection) -> impl Future<Output = sqlx::Result<()>> + Send;
}

/// A transaction beside which nobody changes the list, and the list as it is in it.
pub(crate) struct Turn<L> {
    pub(crate) tx: Transaction<'static, Postgres>,
    pub(crate) before: L,
}

impl<L: Managed> Turn<L> {
    /// Waits for it. Fails where the list is at another version than is expected.
    pub(crate) async fn take(
        mut tx: Transaction<'static, Postgres>,
        expected_version: Option<i64>,
    ) -> Result<Self, Error> {
        store::take_turn(&mut tx, L::NAME).await?;
        let mut before = L::read(&mut tx).await?;
        let version = *before.version();
        if expected_version.is_some_and(|expected| expected != version) {
            return Err(Error::Stale { current: Some(version) });
        }
        Ok(Self { tx, before })
    }

    /// Writes the list as its next version, where anything is other, and what is to be told of it.
    pub(crate) async fn save(&mut self, after: &mut L, meta: &Meta) -> Result<(), Error> {
        if after.is_same(&self.before) {
            return Ok(());
        }
        *after.version() = *self.before.version() + 1;
        after.write(&mut self.tx).await?;
        let change = self.before.changed(after, meta);
        events::outbox::append(&mut self.tx, &[change]).await?;
        Ok(())
    }

    /// Ends it. From now on this process remembers the list as it is.
    pub(crate) async fn commit(self, state: &State) -> Result<(), Error> {
        self.tx.commit().await?;
        state.wake.wake();
        // Where it fails, it is done within a second anyway.
        let _ = state.refresh_rules().await;
        Ok(())
    }
}
