//! Who asks, and what travels along with what a handler asks of a service for them.

use std::time::Duration;

use axum::extract::FromRequestParts;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use http::request::Parts;
use proto::analytics::v1::forecast_service_client::ForecastServiceClient;
use proto::analytics::v1::report_service_client::ReportServiceClient;
use proto::identity::v1::team_service_client::TeamServiceClient;
use proto::identity::v1::token_service_client::TokenServiceClient;
use proto::identity::v1::user_service_client::UserServiceClient;
use proto::notifier::v1::notification_service_client::NotificationServiceClient;
use proto::opportunities::v1::opportunity_service_client::OpportunityServiceClient;
use proto::opportunities::v1::pipeline_service_client::PipelineServiceClient;
use rpc::client::{self, Context};
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use crate::app::App;
use crate::http::{Answer, FieldError, Problem, RequestId};

/// How long a request may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// The largest page: 200 opportunities whose every text is as long as it may be.
const PAGE_BYTES: usize = 48 * 1024 * 1024;
/// The longest idempotency key.
const LONGEST_KEY_BYTES: usize = 255;

/// A request of somebody who is signed in. Take it as the first argument of a handler: who is not signed in learns no more than that.
///
/// 401 without a good token; 503 where it is signed by a key that only identity could tell of, and identity is down.
#[derive(Clone, Debug)]
pub struct Call(Guest);

/// A request of anybody.
#[derive(Clone, Debug)]
pub struct Guest {
    app: App,
    context: Context,
}

impl FromRequestParts<App> for Guest {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let mut context = Context::default().with_deadline(Instant::now() + DEADLINE);
        if let Some(id) = parts.extensions.get::<RequestId>() {
            context = context.with_request_id(id.header());
        }
        if let Some(traceparent) = parts.headers.get("traceparent") {
            context = context.with_traceparent(traceparent.clone());
        }
        Ok(Self { app: app.clone(), context })
    }
}

impl FromRequestParts<App> for Call {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let token = auth::bearer(&parts.headers)?;
        let caller = app.verifier.verify(token, process::now()).await?;
        if let Some(user_id) = caller.user() {
            tracing::Span::current().record("user_id", user_id);
        }
        let Guest { app, mut context } = Guest::from_request_parts(parts, app).await?;
        if let Some(authorization) = parts.headers.get(AUTHORIZATION) {
            context = context.with_authorization(authorization.clone());
        }
        Ok(Self(Guest { app, context }))
    }
}

impl Guest {
    /// Signing in.
    pub fn tokens(&self) -> TokenServiceClient<Channel> {
        TokenServiceClient::new(self.app.identity.clone())
    }

    /// A call that changes something, which is made once.
    pub async fn write<M, T, F>(
        &self,
        message: M,
        call: impl FnOnce(Request<M>) -> F,
    ) -> Result<T, rpc::Error>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        client::write(call(self.context.request(message))).await
    }
}

impl Call {
    /// With the key under which the same request is answered the same.
    #[must_use]
    pub fn once(mut self, key: IdempotencyKey) -> Self {
        if let Some(key) = key.0 {
            self.0.context = self.0.context.with_idempotency_key(key);
        }
        self
    }

    /// Users.
    pub fn users(&self) -> UserServiceClient<Channel> {
        UserServiceClient::new(self.0.app.identity.clone())
    }

    /// Teams.
    pub fn teams(&self) -> TeamServiceClient<Channel> {
        TeamServiceClient::new(self.0.app.identity.clone())
    }

    /// Pipelines and their stages.
    pub fn pipelines(&self) -> PipelineServiceClient<Channel> {
        PipelineServiceClient::new(self.0.app.opportunities.clone())
    }

    /// Opportunities.
    pub fn opportunities(&self) -> OpportunityServiceClient<Channel> {
        OpportunityServiceClient::new(self.0.app.opportunities.clone())
            .max_decoding_message_size(PAGE_BYTES)
    }

    /// Reports.
    pub fn reports(&self) -> ReportServiceClient<Channel> {
        ReportServiceClient::new(self.0.app.analytics.clone())
    }

    /// Forecasts.
    pub fn forecasts(&self) -> ForecastServiceClient<Channel> {
        ForecastServiceClient::new(self.0.app.analytics.clone())
    }

    /// Notifications.
    pub fn notifications(&self) -> NotificationServiceClient<Channel> {
        NotificationServiceClient::new(self.0.app.notifier.clone())
            .max_decoding_message_size(PAGE_BYTES)
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
        let answer = client::read(|| {
            let request = self.0.context.request(message.clone());
            call(client.clone(), request)
        });
        Ok(answer.await?)
    }

    /// A call that changes something, which is made once.
    pub async fn write<M, T, F>(&self, message: M, call: impl FnOnce(Request<M>) -> F) -> Answer<T>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        Ok(self.0.write(message, call).await?)
    }
}

/// The header `Idempotency-Key`, if it came: 1 to 255 visible ASCII characters, else 422.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(Option<HeaderValue>);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut keys = parts.headers.get_all("idempotency-key").iter();
        let Some(key) = keys.next() else { return Ok(Self(None)) };
        let bytes = key.as_bytes();
        let is_plain = (1..=LONGEST_KEY_BYTES).contains(&bytes.len())
            && bytes.iter().all(u8::is_ascii_graphic);
        if is_plain && keys.next().is_none() {
            return Ok(Self(Some(key.clone())));
        }
        Err(Problem::invalid(vec![FieldError {
            field: "Idempotency-Key".to_owned(),
            code: "invalid_key".to_owned(),
            message: "must be one key of 1 to 255 visible ASCII characters".to_owned(),
        }]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn key(values: &[&str]) -> Result<Option<String>, u16> {
        let request = values.iter().fold(http::Request::builder(), |request, value| {
            request.header("idempotency-key", *value)
        });
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let result = IdempotencyKey::from_request_parts(&mut parts, &()).await;
        result
            .map(|IdempotencyKey(key)| key.map(|key| key.to_str().unwrap().to_owned()))
            .map_err(|problem| problem.status().as_u16())
    }

    #[tokio::test]
    async fn an_idempotency_key_that_cannot_be_kept_is_refused_rather_than_forgotten() {
        assert_eq!(key(&[]).await, Ok(None));
        assert_eq!(key(&["k-1"]).await, Ok(Some("k-1".into())));
        let longest = "x".repeat(255);
        assert_eq!(key(&[&longest]).await, Ok(Some(longest.clone())));
        for bad in [&[""][..], &["a b"], &["é"], &["a", "b"], &[&format!("{longest}x")]] {
            assert_eq!(key(bad).await, Err(422), "{bad:?}");
        }
    }
}
