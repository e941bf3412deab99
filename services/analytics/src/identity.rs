//! The way to identity: what this service asks of it where no event has told yet.

use std::sync::Arc;

use auth::ServiceToken;
use proto::identity::v1::GetSettingsRequest;
use proto::identity::v1::settings_service_client::SettingsServiceClient;
use rpc::{Error, client};
use sqlx::PgPool;
use tonic::transport::Channel;

use crate::directory::store::{self, SettingsRow};

/// Calls identity as this service.
#[derive(Clone)]
pub struct Identity {
    channel: Channel,
    token: Arc<ServiceToken>,
}

impl Identity {
    /// Over this channel, with this service's token.
    pub fn new(channel: Channel, token: Arc<ServiceToken>) -> Self {
        Self { channel, token }
    }

    /// Fetches the organisation's settings and keeps them.
    pub(crate) async fn fetch_settings(&self, pool: &PgPool) -> Result<(), Error> {
        let context =
            client::Context::default().with_authorization(self.token.authorization().await?);
        let settings = SettingsServiceClient::new(self.channel.clone());
        let answer = client::read(|| {
            let (mut settings, request) =
                (settings.clone(), context.request(GetSettingsRequest {}));
            async move { settings.get_settings(request).await }
        })
        .await?;
        let it = answer.settings.ok_or_else(|| Error::internal("no settings in the answer"))?;
        let pool = pool.clone();
        rpc::write(async move {
            let row = SettingsRow {
                time_zone: &it.time_zone,
                default_currency: &it.default_currency,
                visibility: &it.visibility,
                fiscal_year_start: it.fiscal_year_start,
                version: it.version,
            };
            store::upsert_settings(&mut *pool.acquire().await?, &row).await?;
            Ok(())
        })
        .await
    }
}
