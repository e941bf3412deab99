//! Where a consumer asks for what the broker did not bring: the owner of the changes.

use std::fmt;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use proto::events::v1::ListChangesResponse;
use sqlx::PgPool;

use crate::log;

type Ask = dyn Fn(i64) -> BoxFuture<'static, anyhow::Result<ListChangesResponse>> + Send + Sync;

/// Asks for the page of changes after a position.
#[derive(Clone)]
pub struct ChangeSource(Arc<Ask>);

impl ChangeSource {
    /// Asks by that function.
    pub fn new<F>(ask: impl Fn(i64) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = anyhow::Result<ListChangesResponse>> + Send + 'static,
    {
        Self(Arc::new(move |after| ask(after).boxed()))
    }

    /// Asks the owner's database, for tests and for a consumer that lives in the owner.
    pub fn of_database(pool: PgPool) -> Self {
        Self::new(move |after| {
            let pool = pool.clone();
            async move { Ok(log::list_changes(&pool, after, 0).await?) }
        })
    }

    /// The changes after that position.
    pub async fn changes_after(&self, position: i64) -> anyhow::Result<ListChangesResponse> {
        (self.0)(position).await
    }
}

impl fmt::Debug for ChangeSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChangeSource")
    }
}
