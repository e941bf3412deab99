//! The organisation's settings.

pub mod event;
pub mod model;
pub mod store;

use rpc::Error;

use self::model::Settings;
use crate::app::App;

/// The settings. They are there from the first start on.
pub async fn get(app: &App) -> Result<Settings, Error> {
    store::get(&app.read)
        .await?
        .ok_or_else(|| Error::unavailable(anyhow::anyhow!("the settings were not seeded yet")))
}
