//! `SecondFactorService`.

use idempotency::Once;
use process::Secret;
use prost::Message;
use proto::identity::v1::{
    self as wire, BeginSecondFactorRequest, BeginSecondFactorResponse, ConfirmSecondFactorRequest,
    ConfirmSecondFactorResponse, DisableSecondFactorRequest, DisableSecondFactorResponse,
    GetSecondFactorRequest, GetSecondFactorResponse, ReplaceRecoveryCodesRequest,
    ReplaceRecoveryCodesResponse, ResetSecondFactorRequest, ResetSecondFactorResponse,
    second_factor_service_server::SecondFactorService,
};
use rpc::Error;
use tonic::{Request, Response, Status};

use super::{cause, random};
use crate::{
    app::App,
    derive::Marker,
    seal::Seal,
    second_factor::{self, Random},
};

/// Keeps second factors.
#[derive(Clone, Debug)]
pub struct SecondFactors {
    /// What use cases work with.
    pub app: App,
    /// What secrets are encrypted with.
    pub seal: Seal,
    /// Marks requests, which hold passwords and codes.
    pub marker: Marker,
}

impl SecondFactors {
    /// The request's idempotency key, if it has one; whose it is, is all that is kept of the answer.
    fn once<M: Message>(&self, request: &Request<M>) -> Result<Option<Once<i64>>, Error> {
        let written = |user_id: &i64| user_id.to_be_bytes().to_vec();
        Once::hashed(request, |bytes| self.marker.mark(bytes), written)
    }
}

#[tonic::async_trait]
impl SecondFactorService for SecondFactors {
    async fn get_second_factor(
        &self,
        request: Request<GetSecondFactorRequest>,
    ) -> Result<Response<GetSecondFactorResponse>, Status> {
        let standing = second_factor::get(&self.app, &auth::caller(&request)?).await?;
        let second_factor = wire::SecondFactor {
            is_enabled: standing.has,
            is_required: standing.must,
            recovery_codes_left: standing.recovery_codes_left.try_into().unwrap_or(i32::MAX),
        };
        Ok(Response::new(GetSecondFactorResponse { second_factor: Some(second_factor) }))
    }

    async fn begin_second_factor(
        &self,
        request: Request<BeginSecondFactorRequest>,
    ) -> Result<Response<BeginSecondFactorResponse>, Status> {
        let caller = auth::caller(&request)?;
        let (once, random) = (self.once(&request)?, Random { key: random()?, seal: random()? });
        let Self { app, seal, .. } = self.clone();
        let password = Secret::from(request.into_inner().current_password);
        let begun = rpc::write(async move {
            let now = process::now();
            second_factor::begin(&app, &seal, &caller, password, once, random, now).await
        });
        let begun = begun.await?;
        Ok(Response::new(BeginSecondFactorResponse {
            secret: begun.secret.expose().to_owned(),
            otpauth_uri: begun.otpauth_uri.expose().to_owned(),
        }))
    }

    async fn confirm_second_factor(
        &self,
        request: Request<ConfirmSecondFactorRequest>,
    ) -> Result<Response<ConfirmSecondFactorResponse>, Status> {
        let caller = auth::caller(&request)?;
        let cause = cause(&request, &caller);
        let (once, random) = (self.once(&request)?, random()?);
        let Self { app, seal, .. } = self.clone();
        let code = request.into_inner().code;
        let codes = rpc::write(async move {
            let by = (&*code, once, random);
            second_factor::confirm(&app, &seal, &caller, by, &cause, process::now()).await
        });
        let recovery_codes = exposed(&codes.await?);
        Ok(Response::new(ConfirmSecondFactorResponse { recovery_codes }))
    }

    async fn replace_recovery_codes(
        &self,
        request: Request<ReplaceRecoveryCodesRequest>,
    ) -> Result<Response<ReplaceRecoveryCodesResponse>, Status> {
        let caller = auth::caller(&request)?;
        let cause = cause(&request, &caller);
        let (once, random) = (self.once(&request)?, random()?);
        let Self { app, seal, .. } = self.clone();
        let code = request.into_inner().code;
        let codes = rpc::write(async move {
            let (by, now) = ((&*code, once, random), process::now());
            second_factor::replace_recovery_codes(&app, &seal, &caller, by, &cause, now).await
        });
        let recovery_codes = exposed(&codes.await?);
        Ok(Response::new(ReplaceRecoveryCodesResponse { recovery_codes }))
    }

    async fn disable_second_factor(
        &self,
        request: Request<DisableSecondFactorRequest>,
    ) -> Result<Response<DisableSecondFactorResponse>, Status> {
        let caller = auth::caller(&request)?;
        let (cause, once) = (cause(&request, &caller), self.once(&request)?);
        let Self { app, seal, .. } = self.clone();
        let code = request.into_inner().code;
        rpc::write(async move {
            let (by, now) = ((&*code, once), process::now());
            second_factor::disable(&app, &seal, &caller, by, &cause, now).await
        })
        .await?;
        Ok(Response::new(DisableSecondFactorResponse {}))
    }

    async fn reset_second_factor(
        &self,
        request: Request<ResetSecondFactorRequest>,
    ) -> Result<Response<ResetSecondFactorResponse>, Status> {
        let caller = auth::caller(&request)?;
        let (app, cause) = (self.app.clone(), cause(&request, &caller));
        let user_id = request.into_inner().user_id;
        rpc::write(async move {
            second_factor::reset(&app, &caller, user_id, &cause, process::now()).await
        })
        .await?;
        Ok(Response::new(ResetSecondFactorResponse {}))
    }
}

fn exposed(codes: &[Secret]) -> Vec<String> {
    codes.iter().map(|code| code.expose().to_owned()).collect()
}
