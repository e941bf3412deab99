//! `SettingsService`.

use proto::identity::v1::{
    self as wire, GetSettingsRequest, GetSettingsResponse, settings_service_server::SettingsService,
};
use tonic::{Request, Response, Status};

use crate::{app::App, settings};

/// Keeps the organisation's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What use cases work with.
    pub app: App,
}

#[tonic::async_trait]
impl SettingsService for Settings {
    async fn get_settings(
        &self,
        request: Request<GetSettingsRequest>,
    ) -> Result<Response<GetSettingsResponse>, Status> {
        auth::caller(&request)?.require_read()?;
        let settings = settings::get(&self.app).await?;
        let settings = wire::Settings {
            time_zone: settings.time_zone,
            default_currency: settings.default_currency,
            visibility: settings.visibility.as_str().to_owned(),
            fiscal_year_start: settings.fiscal_year_start,
            version: settings.version,
        };
        Ok(Response::new(GetSettingsResponse { settings: Some(settings) }))
    }
}
