//! `ExternalSignInService`.

use process::Secret;
use proto::identity::v1::{
    BeginExternalSignInRequest, BeginExternalSignInResponse, ExternalProvider,
    ExternalSignInFailure, FinishExternalSignInRequest, FinishExternalSignInResponse,
    begin_external_sign_in_response::Outcome as Start,
    external_sign_in_service_server::ExternalSignInService,
    finish_external_sign_in_response::Outcome as End,
};
use tonic::{Request, Response, Status};

use super::{
    authorization::{ask, randomness, signed_in_to_wire, to_wire},
    origin, peer, random,
};
use crate::{
    app::App,
    external::{
        self, Begun, Finished,
        model::{Answer, Refused},
    },
    seal::Seal,
};

/// Signs people in with the external provider.
#[derive(Clone, Debug)]
pub struct ExternalSignIns {
    /// What use cases work with.
    pub app: App,
    /// What secrets are encrypted with.
    pub seal: Seal,
}

#[tonic::async_trait]
impl ExternalSignInService for ExternalSignIns {
    async fn begin_external_sign_in(
        &self,
        request: Request<BeginExternalSignInRequest>,
    ) -> Result<Response<BeginExternalSignInResponse>, Status> {
        let by = (peer(&request), random()?);
        let BeginExternalSignInRequest { authorization, page, browser } = request.into_inner();
        let (app, wanted) = (self.app.clone(), (ask(authorization), page));
        let begun = rpc::write(async move {
            external::begin(&app, wanted, &browser.into(), by, process::now()).await
        });
        let outcome = match begun.await? {
            Begun::Go(url) => Start::Url(url.expose().to_owned()),
            Begun::Refused(refusal) => Start::Refusal(to_wire(refusal)),
            Begun::Failed(refused) => Start::Failure(failure(refused)),
        };
        Ok(Response::new(BeginExternalSignInResponse { outcome: Some(outcome) }))
    }

    async fn finish_external_sign_in(
        &self,
        request: Request<FinishExternalSignInRequest>,
    ) -> Result<Response<FinishExternalSignInResponse>, Status> {
        let (by, origin) = ((peer(&request), randomness()?), origin(&request));
        let FinishExternalSignInRequest { state, code, error, issuer, browser } =
            request.into_inner();
        let outcome = if code.is_empty() { Err(error) } else { Ok(Secret::from(code)) };
        let (state, answer) = (Secret::from(state), Answer { outcome, issuer });
        let Self { app, seal } = self.clone();
        let finished = rpc::write(async move {
            let came = (&state, answer);
            external::finish(&app, &seal, came, &browser.into(), by, &origin, process::now()).await
        });
        let Finished { page, outcome } = finished.await?;
        let outcome = match outcome {
            Ok(signed_in) => End::SignedIn(signed_in_to_wire(signed_in)),
            Err(refused) => End::Failure(failure(refused)),
        };
        Ok(Response::new(FinishExternalSignInResponse { page, outcome: Some(outcome) }))
    }
}

/// What the sign-in page shows of the provider, if there is one.
pub(super) fn provider(app: &App) -> Option<ExternalProvider> {
    let provider = app.external.as_ref()?;
    Some(ExternalProvider { name: provider.name().to_owned(), is_plain: provider.is_plain() })
}

fn failure(refused: Refused) -> ExternalSignInFailure {
    ExternalSignInFailure { reason: refused.as_str().to_owned() }
}
