//! `SecondFactorService`.

use process::Secret;
use proto::identity::v1::{
    self as wire, BeginSecondFactorRequest, BeginSecondFactorResponse, ConfirmSecondFactorRequest,
    ConfirmSecondFactorResponse, DisableSecondFactorRequest, DisableSecondFactorResponse,
    GetSecondFactorRequest, GetSecondFactorResponse, ReplaceRecoveryCodesRequest,
    ReplaceRecoveryCodesResponse, ResetSecondFactorRequest, ResetSecondFactorResponse,
    second_factor_service_server::SecondFactorService,
};
use rpc::Error;
use tonic::{Request, Response, Status};

use super::{cause, peer, random};
use crate::{
    app::App,
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
    /// Whether people may turn one on.
    pub is_on: bool,
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
        caller.require_session()?;
        if !self.is_on {
            return Err(off().into());
        }
        let by = (peer(&request), Random { key: random()?, seal: random()? });
        let Self { app, seal, .. } = self.clone();
        let password = Secret::from(request.into_inner().current_password);
        let begun = rpc::write(async move {
            second_factor::begin(&app, &seal, &caller, password, by, process::now()).await
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
        let (peer, random) = (peer(&request), random()?);
        let Self { app, seal, .. } = self.clone();
        let code = request.into_inner().code;
        let codes = rpc::write(async move {
            let by = (&*code, peer, random);
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
        let (peer, random) = (peer(&request), random()?);
        let Self { app, seal, .. } = self.clone();
        let code = request.into_inner().code;
        let codes = rpc::write(async move {
            let (by, now) = ((&*code, peer, random), process::now());
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
        let (cause, peer) = (cause(&request, &caller), peer(&request));
        let Self { app, seal, .. } = self.clone();
        let code = request.into_inner().code;
        rpc::write(async move {
            let (by, now) = ((&*code, peer), process::now());
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

/// Who turned one on where it cannot be asked for could not sign in again.
pub(super) fn off() -> Error {
    Error::precondition("SECOND_FACTOR_OFF", "second factors cannot be turned on here")
}
