//! The way to identity: what this service asks of it where no event has told yet.

use std::sync::Arc;

use auth::ServiceToken;
use proto::identity::v1::settings_service_client::SettingsServiceClient;
use proto::identity::v1::team_service_client::TeamServiceClient;
use proto::identity::v1::user_service_client::UserServiceClient;
use proto::identity::v1::{
    FixCurrencyRequest, GetSettingsRequest, GetTeamRequest, GetUserRequest, Role,
};
use rpc::client::Channel;
use rpc::{Error, client};
use sqlx::PgPool;

use crate::directory::model::Person;
use crate::directory::store::{self, SettingsRow, Team};

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

    async fn context(&self) -> Result<client::Context, Error> {
        Ok(client::Context::default().with_authorization(self.token.authorization().await?))
    }

    /// Fetches the organisation's settings and keeps them.
    pub(crate) async fn fetch_settings(&self, pool: &PgPool) -> Result<(), Error> {
        let context = self.context().await?;
        let settings = SettingsServiceClient::new(self.channel.clone());
        let answer = client::read(|| {
            let (mut settings, request) =
                (settings.clone(), context.request(GetSettingsRequest {}));
            async move { settings.get_settings(request).await }
        });
        keep(answer.await?.settings, pool).await
    }

    /// Has identity keep the currency as it is, because there is to be an amount, and keeps the settings of that moment.
    pub(crate) async fn fix_currency(&self, pool: &PgPool) -> Result<(), Error> {
        let context = self.context().await?;
        let settings = SettingsServiceClient::new(self.channel.clone());
        // Once more does no harm.
        let answer = client::read(|| {
            let (mut settings, request) =
                (settings.clone(), context.request(FixCurrencyRequest {}));
            async move { settings.fix_currency(request).await }
        });
        keep(answer.await?.settings, pool).await
    }

    /// Fetches a user and keeps them; nothing happens if there is no such user.
    pub(crate) async fn fetch_person(&self, pool: &PgPool, id: i64) -> Result<(), Error> {
        let context = self.context().await?;
        let users = UserServiceClient::new(self.channel.clone());
        let answer = client::read(|| {
            let (mut users, request) = (users.clone(), context.request(GetUserRequest { id }));
            async move { users.get_user(request).await }
        })
        .await;
        let user = match answer {
            Ok(answer) => answer.user.ok_or_else(|| Error::internal("no user in the answer"))?,
            Err(Error::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let role = match user.role() {
            Role::Admin => "admin",
            Role::Manager => "manager",
            Role::Rep => "rep",
            Role::Viewer | Role::Unspecified => "viewer",
        };
        let version = user.version;
        let person = Person {
            user_id: user.id,
            username: user.username,
            email: user.email,
            role: role.to_owned(),
            team_id: user.team_id,
            is_active: user.is_active,
        };
        let pool = pool.clone();
        rpc::write(async move {
            store::upsert_person(&mut *pool.acquire().await?, &person, version).await?;
            Ok(())
        })
        .await
    }

    /// Fetches a team and keeps it; nothing happens if there is no such team.
    pub(crate) async fn fetch_team(&self, pool: &PgPool, id: i64) -> Result<(), Error> {
        let context = self.context().await?;
        let teams = TeamServiceClient::new(self.channel.clone());
        let answer = client::read(|| {
            let (mut teams, request) = (teams.clone(), context.request(GetTeamRequest { id }));
            async move { teams.get_team(request).await }
        })
        .await;
        let it = match answer {
            Ok(answer) => answer.team.ok_or_else(|| Error::internal("no team in the answer"))?,
            Err(Error::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        let pool = pool.clone();
        rpc::write(async move {
            let team = Team {
                id: it.id,
                name: &it.name,
                manager_id: it.manager_id,
                parent_id: it.parent_id,
                is_deleted: false,
                version: it.version,
            };
            store::upsert_team(&mut *pool.acquire().await?, &team).await?;
            Ok(())
        })
        .await
    }
}

async fn keep(settings: Option<proto::identity::v1::Settings>, pool: &PgPool) -> Result<(), Error> {
    let it = settings.ok_or_else(|| Error::internal("no settings in the answer"))?;
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
