//! `AuthorizationService`.

use process::Secret;
use proto::identity::v1::{
    AuthorizationCode, AuthorizationRefusal, AuthorizationRequest, AuthorizeRequest,
    AuthorizeResponse, AuthorizingClient, CheckAuthorizationRequest, CheckAuthorizationResponse,
    ListGrantTypesRequest, ListGrantTypesResponse, SecondFactorNeeded, WrongCredentials,
    authorization_service_server::AuthorizationService, authorize_response,
    check_authorization_response,
};
use tonic::{Request, Response, Status};

use super::{peer, random};
use crate::{
    app::App,
    authorization::{
        self, SignedIn,
        model::{Ask, Refusal, Wanted},
    },
    client::event::scopes,
    token::Issuer,
};

/// Gives authorization codes.
#[derive(Clone, Debug)]
pub struct Authorizations {
    /// What use cases work with.
    pub app: App,
    /// What tokens are made with.
    pub issuer: Issuer,
}

#[tonic::async_trait]
impl AuthorizationService for Authorizations {
    async fn check_authorization(
        &self,
        request: Request<CheckAuthorizationRequest>,
    ) -> Result<Response<CheckAuthorizationResponse>, Status> {
        let ask = ask(request.into_inner().authorization);
        let outcome = match authorization::check(&self.app, ask).await? {
            Ok(Wanted { client, may_write, .. }) => {
                check_authorization_response::Outcome::Client(AuthorizingClient {
                    name: client.name,
                    is_first_party: client.is_built_in,
                    scopes: scopes(may_write),
                })
            }
            Err(refusal) => check_authorization_response::Outcome::Refusal(to_wire(refusal)),
        };
        Ok(Response::new(CheckAuthorizationResponse { outcome: Some(outcome) }))
    }

    async fn authorize(
        &self,
        request: Request<AuthorizeRequest>,
    ) -> Result<Response<AuthorizeResponse>, Status> {
        let by = (peer(&request), random()?, random()?);
        let AuthorizeRequest { authorization, username, password } = request.into_inner();
        let (app, ask, password) = (self.app.clone(), ask(authorization), Secret::from(password));
        let signed_in = rpc::write(async move {
            let who = (&*username, password);
            authorization::sign_in(&app, ask, who, by, process::now()).await
        });
        let outcome = match signed_in.await? {
            SignedIn::Code(code) => authorize_response::Outcome::Code(AuthorizationCode {
                code: code.expose().to_owned(),
            }),
            SignedIn::Wrong => authorize_response::Outcome::Wrong(WrongCredentials {}),
            SignedIn::SecondFactorNeeded => {
                authorize_response::Outcome::SecondFactor(SecondFactorNeeded {})
            }
            SignedIn::Refused(refusal) => authorize_response::Outcome::Refusal(to_wire(refusal)),
        };
        Ok(Response::new(AuthorizeResponse { outcome: Some(outcome) }))
    }

    async fn list_grant_types(
        &self,
        _request: Request<ListGrantTypesRequest>,
    ) -> Result<Response<ListGrantTypesResponse>, Status> {
        let always = ["authorization_code", "refresh_token", "client_credentials"];
        let password = self.issuer.takes_passwords.then_some("password");
        let items = always.into_iter().chain(password).map(str::to_owned).collect();
        Ok(Response::new(ListGrantTypesResponse { items }))
    }
}

fn ask(request: Option<AuthorizationRequest>) -> Ask {
    let AuthorizationRequest {
        client_id,
        redirect_uri,
        response_type,
        scope,
        code_challenge,
        code_challenge_method,
    } = request.unwrap_or_default();
    Ask { client_id, redirect_uri, response_type, scope, code_challenge, code_challenge_method }
}

fn to_wire(refusal: Refusal) -> AuthorizationRefusal {
    let Refusal { error, description } = refusal;
    AuthorizationRefusal { error: error.to_owned(), description: description.to_owned() }
}
