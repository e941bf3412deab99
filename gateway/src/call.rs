//! Who asks, and what travels along with what a handler asks of a service for them.

use std::net::IpAddr;
use std::time::Duration;

use auth::{Caller, Via};
use axum::extract::FromRequestParts;
use http::HeaderValue;
use http::request::Parts;
use proto::analytics::v1::adjustment_service_client::AdjustmentServiceClient;
use proto::analytics::v1::advanced_report_service_client::AdvancedReportServiceClient;
use proto::analytics::v1::attainment_service_client::AttainmentServiceClient;
use proto::analytics::v1::forecast_service_client::ForecastServiceClient;
use proto::analytics::v1::pipeline_change_service_client::PipelineChangeServiceClient;
use proto::analytics::v1::report_service_client::ReportServiceClient;
use proto::analytics::v1::target_service_client::TargetServiceClient;
use proto::audit::v1::AuditSource;
use proto::audit::v1::audit_service_client::AuditServiceClient;
use proto::dead_letter::v1::dead_letter_service_client::DeadLetterServiceClient;
use proto::identity::v1::api_key_service_client::ApiKeyServiceClient;
use proto::identity::v1::authorization_service_client::AuthorizationServiceClient;
use proto::identity::v1::client_service_client::ClientServiceClient;
use proto::identity::v1::external_sign_in_service_client::ExternalSignInServiceClient;
use proto::identity::v1::password_link_service_client::PasswordLinkServiceClient;
use proto::identity::v1::second_factor_service_client::SecondFactorServiceClient;
use proto::identity::v1::session_service_client::SessionServiceClient;
use proto::identity::v1::settings_service_client::SettingsServiceClient;
use proto::identity::v1::team_service_client::TeamServiceClient;
use proto::identity::v1::token_service_client::TokenServiceClient;
use proto::identity::v1::user_service_client::UserServiceClient;
use proto::notifier::v1::notification_service_client::NotificationServiceClient;
use proto::opportunities::v1::activity_service_client::ActivityServiceClient;
use proto::opportunities::v1::bulk_service_client::BulkServiceClient;
use proto::opportunities::v1::contact_service_client::ContactServiceClient;
use proto::opportunities::v1::currency_service_client::CurrencyServiceClient;
use proto::opportunities::v1::custom_field_service_client::CustomFieldServiceClient;
use proto::opportunities::v1::customer_service_client::CustomerServiceClient;
use proto::opportunities::v1::export_service_client::ExportServiceClient;
use proto::opportunities::v1::import_service_client::ImportServiceClient;
use proto::opportunities::v1::lost_reason_service_client::LostReasonServiceClient;
use proto::opportunities::v1::opportunity_service_client::OpportunityServiceClient;
use proto::opportunities::v1::pipeline_service_client::PipelineServiceClient;
use proto::opportunities::v1::sync_service_client::SyncServiceClient;
use rpc::client::Channel;
use rpc::client::{self, Context};
use rpc::reason;
use tokio::time::timeout;
use tonic::{Request, Response, Status};

use crate::admit::Admitted;
use crate::api_key;
use crate::app::App;
use crate::http::{Answer, Faults, FieldError, Problem, RequestId};

/// The largest page: 200 opportunities whose every text is as long as it may be.
const PAGE_BYTES: usize = 112 * 1024 * 1024;

/// How long a stream may take to begin.
const BEGINS_WITHIN: Duration = Duration::from_secs(10);

/// A request of somebody who is signed in. Take it as the first argument of a handler: who is not signed in learns no more than that.
///
/// 401 without a good token or API key; 503 where only identity could tell whether it is good, and identity is down.
#[derive(Clone, Debug)]
pub struct Call {
    guest: Guest,
    caller: Caller,
    faults: Faults,
}

/// A request of anybody.
#[derive(Clone, Debug)]
pub struct Guest {
    app: App,
    context: Context,
    address: IpAddr,
}

impl FromRequestParts<App> for Guest {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        // Without a deadline: a call has ten seconds from when it is made, however long the body took to arrive.
        let mut context = Context::default();
        if let Some(id) = parts.extensions.get::<RequestId>() {
            context = context.with_request_id(id.header());
        }
        if let Some((traceparent, _)) = rpc::trace(&parts.headers) {
            context = context.with_traceparent(traceparent.clone());
        }
        let Admitted { address, .. } = admitted(parts)?;
        Ok(Self { app: app.clone(), context, address: *address })
    }
}

impl FromRequestParts<App> for Call {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let (caller, authorization) = admitted(parts)?.caller.clone()?;
        let mut guest = Guest::from_request_parts(parts, app).await?;
        guest.context = guest.context.with_authorization(authorization);
        let faults = Faults::default();
        parts.extensions.insert(faults.clone());
        Ok(Self { guest, caller, faults })
    }
}

fn admitted(parts: &Parts) -> Result<&Admitted, Problem> {
    parts.extensions.get().ok_or_else(Problem::internal)
}

impl Guest {
    /// Signing in.
    pub fn tokens(&self) -> TokenServiceClient<Channel> {
        TokenServiceClient::new(self.app.identity.clone())
    }

    /// Links by which a password is set.
    pub fn password_links(&self) -> PasswordLinkServiceClient<Channel> {
        PasswordLinkServiceClient::new(self.app.identity.clone())
    }

    /// Signing in on the page.
    pub fn authorizations(&self) -> AuthorizationServiceClient<Channel> {
        AuthorizationServiceClient::new(self.app.identity.clone())
    }

    /// Signing in with the external provider.
    pub fn external_sign_ins(&self) -> ExternalSignInServiceClient<Channel> {
        ExternalSignInServiceClient::new(self.app.identity.clone())
    }

    /// A call that changes nothing; made once more where the service could not be reached.
    pub async fn read<C: Clone, M: Clone, T, F>(
        &self,
        client: C,
        message: M,
        call: impl Fn(C, Request<M>) -> F,
    ) -> Result<T, rpc::Error>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        client::read(|| call(client.clone(), self.context.request(message.clone()))).await
    }

    /// A call that changes something, which is made once. The gateway vouches with its own token for the address that it tells along.
    pub async fn write<M, T, F>(
        &self,
        message: M,
        call: impl FnOnce(Request<M>) -> F,
    ) -> Result<T, rpc::Error>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let authorization = self.app.token.authorization().await?;
        let mut context = self.context.clone().with_authorization(authorization);
        if let Ok(address) = HeaderValue::try_from(self.address.to_string()) {
            context = context.with_client_address(address);
        }
        client::write(call(context.request(message))).await
    }
}

impl Call {
    /// The id of the person who asks; 403 for a service.
    pub fn me(&self) -> Answer<i64> {
        let nobody = || rpc::Error::denied("a service is no user");
        Ok(self.caller.user().ok_or_else(nobody)?)
    }

    /// With the key under which the same request is answered the same.
    #[must_use]
    pub fn once(mut self, key: IdempotencyKey) -> Self {
        if let Some(key) = key.0 {
            self.guest.context = self.guest.context.with_idempotency_key(key);
        }
        self
    }

    /// Users.
    pub fn users(&self) -> UserServiceClient<Channel> {
        UserServiceClient::new(self.guest.app.identity.clone())
    }

    /// The organisation's settings.
    pub fn settings(&self) -> SettingsServiceClient<Channel> {
        SettingsServiceClient::new(self.guest.app.identity.clone())
    }

    /// Sessions.
    pub fn sessions(&self) -> SessionServiceClient<Channel> {
        SessionServiceClient::new(self.guest.app.identity.clone())
    }

    /// Links by which a password is set.
    pub fn password_links(&self) -> PasswordLinkServiceClient<Channel> {
        self.guest.password_links()
    }

    /// Second factors.
    pub fn second_factors(&self) -> SecondFactorServiceClient<Channel> {
        SecondFactorServiceClient::new(self.guest.app.identity.clone())
    }

    /// API keys.
    pub fn api_keys(&self) -> ApiKeyServiceClient<Channel> {
        ApiKeyServiceClient::new(self.guest.app.identity.clone())
    }

    /// Programs that are given tokens.
    pub fn clients(&self) -> ClientServiceClient<Channel> {
        ClientServiceClient::new(self.guest.app.identity.clone())
    }

    /// Teams.
    pub fn teams(&self) -> TeamServiceClient<Channel> {
        TeamServiceClient::new(self.guest.app.identity.clone())
    }

    /// Pipelines and their stages.
    pub fn pipelines(&self) -> PipelineServiceClient<Channel> {
        PipelineServiceClient::new(self.guest.app.opportunities.clone())
    }

    /// Currencies and their rates.
    pub fn currencies(&self) -> CurrencyServiceClient<Channel> {
        CurrencyServiceClient::new(self.guest.app.opportunities.clone())
    }

    /// Fields of the organisation's own.
    pub fn custom_fields(&self) -> CustomFieldServiceClient<Channel> {
        CustomFieldServiceClient::new(self.guest.app.opportunities.clone())
            .max_decoding_message_size(PAGE_BYTES)
    }

    /// Why opportunities are lost.
    pub fn lost_reasons(&self) -> LostReasonServiceClient<Channel> {
        LostReasonServiceClient::new(self.guest.app.opportunities.clone())
    }

    /// Customers.
    pub fn customers(&self) -> CustomerServiceClient<Channel> {
        CustomerServiceClient::new(self.guest.app.opportunities.clone())
            .max_decoding_message_size(PAGE_BYTES)
    }

    /// Contacts.
    pub fn contacts(&self) -> ContactServiceClient<Channel> {
        ContactServiceClient::new(self.guest.app.opportunities.clone())
            .max_decoding_message_size(PAGE_BYTES)
    }

    /// Opportunities.
    pub fn opportunities(&self) -> OpportunityServiceClient<Channel> {
        OpportunityServiceClient::new(self.guest.app.opportunities.clone())
            .max_decoding_message_size(PAGE_BYTES)
    }

    /// Activities.
    pub fn activities(&self) -> ActivityServiceClient<Channel> {
        ActivityServiceClient::new(self.guest.app.opportunities.clone())
            .max_decoding_message_size(PAGE_BYTES)
    }

    /// What changed.
    pub fn sync(&self) -> SyncServiceClient<Channel> {
        SyncServiceClient::new(self.guest.app.opportunities.clone())
            .max_decoding_message_size(PAGE_BYTES)
    }

    /// Changes of many opportunities.
    pub fn bulk(&self) -> BulkServiceClient<Channel> {
        BulkServiceClient::new(self.guest.app.opportunities.clone())
            .max_decoding_message_size(PAGE_BYTES)
    }

    /// Files of opportunities.
    pub fn exports(&self) -> ExportServiceClient<Channel> {
        ExportServiceClient::new(self.guest.app.opportunities.clone())
    }

    /// Files that are brought in.
    pub fn imports(&self) -> ImportServiceClient<Channel> {
        ImportServiceClient::new(self.guest.app.opportunities.clone())
            .max_decoding_message_size(PAGE_BYTES)
    }

    /// Reports.
    pub fn reports(&self) -> ReportServiceClient<Channel> {
        ReportServiceClient::new(self.guest.app.analytics.clone())
    }

    /// Advanced reports, and the opportunities behind numbers.
    pub fn advanced_reports(&self) -> AdvancedReportServiceClient<Channel> {
        AdvancedReportServiceClient::new(self.guest.app.analytics.clone())
            .max_decoding_message_size(PAGE_BYTES)
    }

    /// How the open pipeline changed.
    pub fn pipeline_changes(&self) -> PipelineChangeServiceClient<Channel> {
        PipelineChangeServiceClient::new(self.guest.app.analytics.clone())
    }

    /// Forecasts.
    pub fn forecasts(&self) -> ForecastServiceClient<Channel> {
        ForecastServiceClient::new(self.guest.app.analytics.clone())
    }

    /// What is expected beside the model.
    pub fn adjustments(&self) -> AdjustmentServiceClient<Channel> {
        AdjustmentServiceClient::new(self.guest.app.analytics.clone())
            .max_decoding_message_size(PAGE_BYTES)
    }

    /// How periods stand to their targets.
    pub fn attainments(&self) -> AttainmentServiceClient<Channel> {
        AttainmentServiceClient::new(self.guest.app.analytics.clone())
    }

    /// Targets.
    pub fn targets(&self) -> TargetServiceClient<Channel> {
        TargetServiceClient::new(self.guest.app.analytics.clone())
    }

    /// Notifications.
    pub fn notifications(&self) -> NotificationServiceClient<Channel> {
        NotificationServiceClient::new(self.guest.app.notifier.clone())
            .max_decoding_message_size(PAGE_BYTES)
    }

    /// The audit of one source.
    pub fn audit(&self, source: AuditSource) -> AuditServiceClient<Channel> {
        let owner = match source {
            AuditSource::Identity | AuditSource::Unspecified => &self.guest.app.identity,
            AuditSource::Opportunities => &self.guest.app.opportunities,
        };
        AuditServiceClient::new(owner.clone()).max_decoding_message_size(PAGE_BYTES)
    }

    /// What a service has put aside; 404 for one that puts nothing aside.
    pub fn dead_letters(&self, service: &str) -> Answer<DeadLetterServiceClient<Channel>> {
        let app = &self.guest.app;
        let channel = match service {
            "opportunities" => &app.opportunities,
            "analytics" => &app.analytics,
            "notifier" => &app.notifier,
            _ => return Err(Problem::not_found()),
        };
        Ok(DeadLetterServiceClient::new(channel.clone()).max_decoding_message_size(PAGE_BYTES))
    }

    /// A call that changes nothing; made once more where the service could not be reached.
    pub async fn read<C: Clone, M: Clone, T, F>(
        &self,
        client: C,
        message: M,
        call: impl Fn(C, Request<M>) -> F,
    ) -> Answer<T>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let answer = self.guest.read(client, message, call).await;
        self.faults.settle(answer.map_err(|error| self.told(error)))
    }

    /// A call that changes nothing and is answered with a stream, which has no deadline as a whole; how it begins has. Made once more where the service could not be reached.
    pub async fn stream<C: Clone, M: Clone, T, F>(
        &self,
        client: C,
        message: M,
        call: impl Fn(C, Request<M>) -> F,
    ) -> Answer<T>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let context = &self.guest.context;
        let answer = client::read(|| call(client.clone(), context.stream(message.clone())));
        let answer = timeout(BEGINS_WITHIN, answer).await.map_err(|_| Problem::unavailable())?;
        self.faults.settle(answer.map_err(|error| self.told(error)))
    }

    /// A call that changes something, which is made once.
    pub async fn write<M, T, F>(&self, message: M, call: impl FnOnce(Request<M>) -> F) -> Answer<T>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        self.faults.before_write()?;
        let answer = client::write(call(self.guest.context.request(message))).await;
        self.faults.settle(answer.map_err(|error| self.told(error)))
    }

    /// A call that changes something and takes a stream, which has no deadline as a whole; made once.
    pub async fn upload<M, T, F>(&self, parts: M, call: impl FnOnce(Request<M>) -> F) -> Answer<T>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        self.faults.before_write()?;
        let answer = client::write(call(self.guest.context.stream(parts))).await;
        self.faults.settle(answer.map_err(|error| self.told(error)))
    }

    /// In terms of what the caller showed: a service may hear before the gateway that an API key was revoked, but knows no more than its token.
    fn told(&self, error: rpc::Error) -> rpc::Error {
        if self.caller.via == Via::ApiKey && error.reason() == reason::TOKEN_REVOKED {
            api_key::revoked()
        } else {
            error
        }
    }
}

/// The header `Idempotency-Key`, if it came; 422 where it is none or came twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(Option<HeaderValue>);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut keys = parts.headers.get_all("idempotency-key").iter();
        match (keys.next(), keys.next()) {
            (None, _) => Ok(Self(None)),
            (Some(key), None) => {
                rpc::check_idempotency_key(key)?;
                Ok(Self(Some(key.clone())))
            }
            (Some(_), Some(_)) => Err(Problem::invalid(vec![FieldError {
                field: "Idempotency-Key".to_owned(),
                code: "duplicate_field".to_owned(),
                message: "is named twice".to_owned(),
            }])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_has_one_idempotency_key_at_most() {
        let long = "x".repeat(256);
        for (values, is_good) in
            [(&[][..], true), (&["a"], true), (&["a", "b"], false), (&[&long], false)]
        {
            let request = values.iter().fold(http::Request::builder(), |request, value| {
                request.header("idempotency-key", *value)
            });
            let (mut parts, ()) = request.body(()).unwrap().into_parts();
            let key = IdempotencyKey::from_request_parts(&mut parts, &()).await;
            assert_eq!(key.is_ok(), is_good, "{values:?}");
        }
    }
}
