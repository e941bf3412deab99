//! Where a consumer asks for what the broker did not bring: the owner of the changes.

use std::fmt;
use std::sync::Arc;

use auth::ServiceToken;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use proto::events::v1::change_service_client::ChangeServiceClient;
use proto::events::v1::{ListChangesRequest, ListChangesResponse};
use rpc::client::Channel;
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

    /// Asks the service at the other end of that channel, as the service whose token that is.
    pub fn of_service(owner: Channel, token: Arc<ServiceToken>) -> Self {
        Self::new(move |after_position| {
            let (mut client, token) = (ChangeServiceClient::new(owner.clone()), Arc::clone(&token));
            async move {
                let authorization = token.authorization().await?;
                let context = rpc::client::Context::default().with_authorization(authorization);
                let request = ListChangesRequest { after_position, limit: 0 };
                Ok(client.list_changes(context.request(request)).await?.into_inner())
            }
        })
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
