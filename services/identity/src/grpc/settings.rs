//! `SettingsService`.

use proto::identity::v1::{
    self as wire, FixCurrencyRequest, FixCurrencyResponse, GetSettingsRequest, GetSettingsResponse,
    UpdateSettingsRequest, UpdateSettingsResponse, settings_service_server::SettingsService,
};
use rpc::mask::Mask;
use tonic::{Request, Response, Status};

use super::{
    cause,
    user::{role_name, role_to_wire},
};
use crate::{
    app::App,
    settings::{self, model},
};

/// Keeps the organisation's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What use cases work with.
    pub app: App,
}

/// What of the settings can be changed.
const FIELDS: [&str; 5] =
    ["time_zone", "default_currency", "visibility", "fiscal_year_start", "second_factor_roles"];

#[tonic::async_trait]
impl SettingsService for Settings {
    async fn get_settings(
        &self,
        request: Request<GetSettingsRequest>,
    ) -> Result<Response<GetSettingsResponse>, Status> {
        auth::caller(&request)?.require_read()?;
        let settings = settings::get(&self.app).await?;
        Ok(Response::new(GetSettingsResponse { settings: Some(to_wire(settings)) }))
    }

    async fn update_settings(
        &self,
        request: Request<UpdateSettingsRequest>,
    ) -> Result<Response<UpdateSettingsResponse>, Status> {
        let caller = auth::caller(&request)?;
        let (app, cause) = (self.app.clone(), cause(&request, &caller));
        let asked = request.into_inner();
        let mask = Mask::of(asked.update_mask, &FIELDS)?;
        let roles = asked.second_factor_roles.into_iter().map(role_name).collect();
        let roles = Some(roles).filter(|roles: &Vec<_>| !roles.is_empty());
        let edit = model::Edit {
            time_zone: mask.wish("time_zone", asked.time_zone),
            default_currency: mask.wish("default_currency", asked.default_currency),
            visibility: mask.wish("visibility", asked.visibility),
            fiscal_year_start: mask.wish("fiscal_year_start", asked.fiscal_year_start),
            second_factor_roles: mask.wish("second_factor_roles", roles),
        };
        let expected = asked.expected_version;
        let settings = rpc::write(async move {
            settings::update(&app, &caller, expected, edit, &cause, process::now()).await
        });
        Ok(Response::new(UpdateSettingsResponse { settings: Some(to_wire(settings.await?)) }))
    }

    async fn fix_currency(
        &self,
        request: Request<FixCurrencyRequest>,
    ) -> Result<Response<FixCurrencyResponse>, Status> {
        let caller = auth::caller(&request)?;
        let (app, cause) = (self.app.clone(), cause(&request, &caller));
        let settings = rpc::write(async move {
            settings::fix_currency(&app, &caller, &cause, process::now()).await
        });
        Ok(Response::new(FixCurrencyResponse { settings: Some(to_wire(settings.await?)) }))
    }
}

fn to_wire(settings: model::Settings) -> wire::Settings {
    let roles = settings.second_factor_roles.into_iter().map(role_to_wire);
    wire::Settings {
        time_zone: settings.time_zone,
        default_currency: settings.default_currency,
        visibility: settings.visibility.as_str().to_owned(),
        fiscal_year_start: settings.fiscal_year_start,
        second_factor_roles: roles.map(i32::from).collect(),
        version: settings.version,
        currency_fixed: settings.currency_fixed,
    }
}
