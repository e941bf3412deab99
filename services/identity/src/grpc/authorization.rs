//! `AuthorizationService`.

use process::Secret;
use proto::identity::v1::{
    AuthorizationCode, AuthorizationRefusal, AuthorizationRequest, AuthorizeRequest,
    AuthorizeResponse, AuthorizeWithSecondFactorRequest, AuthorizeWithSecondFactorResponse,
    AuthorizingClient, CheckAuthorizationRequest, CheckAuthorizationResponse,
    ListGrantTypesRequest, ListGrantTypesResponse, SecondFactorEnrolment, SecondFactorNeeded,
    SignInExpired, WrongCredentials, authorization_service_server::AuthorizationService,
    authorize_response, authorize_with_second_factor_response as second,
    check_authorization_response,
};
use tonic::{Request, Response, Status};

use super::{origin, peer, random};
use crate::{
    app::App,
    authorization::{
        self, Done, Next, Random, SignedIn,
        model::{Ask, Refusal, Wanted},
    },
    client::event::scopes,
    seal::Seal,
    second_factor::{self, Begun},
    token::Issuer,
};

/// Gives authorization codes.
#[derive(Clone, Debug)]
pub struct Authorizations {
    /// What use cases work with.
    pub app: App,
    /// What secrets are encrypted with.
    pub seal: Seal,
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
                    external: super::external::provider(&self.app),
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
        let by = (peer(&request), randomness()?, random()?);
        let AuthorizeRequest { authorization, username, password } = request.into_inner();
        let (Self { app, seal, .. }, ask) = (self.clone(), ask(authorization));
        let password = Secret::from(password);
        let signed_in = rpc::write(async move {
            let who = (&*username, password);
            authorization::sign_in(&app, &seal, ask, who, by, process::now()).await
        });
        Ok(Response::new(signed_in_to_wire(signed_in.await?)))
    }

    async fn authorize_with_second_factor(
        &self,
        request: Request<AuthorizeWithSecondFactorRequest>,
    ) -> Result<Response<AuthorizeWithSecondFactorResponse>, Status> {
        let (by, origin) = ((peer(&request), randomness()?, random()?), origin(&request));
        let request = request.into_inner();
        let (Self { app, seal, .. }, ask) = (self.clone(), ask(request.authorization));
        let (ticket, shown) = (request.ticket, request.code);
        let signed_in = rpc::write(async move {
            let (shown, now) = ((&*ticket, &*shown), process::now());
            authorization::pass_second_factor(&app, &seal, ask, shown, by, &origin, now).await
        });
        let outcome = match signed_in.await? {
            SignedIn::Done(done) => second::Outcome::Code(code(&done)),
            SignedIn::Wrong => second::Outcome::Wrong(WrongCredentials {}),
            SignedIn::Late | SignedIn::Next(_) => second::Outcome::Expired(SignInExpired {}),
            SignedIn::Refused(refusal) => second::Outcome::Refusal(to_wire(refusal)),
        };
        Ok(Response::new(AuthorizeWithSecondFactorResponse { outcome: Some(outcome) }))
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

/// What came of the first step, whichever way it was.
pub(super) fn signed_in_to_wire(signed_in: SignedIn) -> AuthorizeResponse {
    let outcome = match signed_in {
        SignedIn::Done(done) => authorize_response::Outcome::Code(code(&done)),
        SignedIn::Next(next) => authorize_response::Outcome::SecondFactor(needed(next)),
        SignedIn::Wrong | SignedIn::Late => authorize_response::Outcome::Wrong(WrongCredentials {}),
        SignedIn::Refused(refusal) => authorize_response::Outcome::Refusal(to_wire(refusal)),
    };
    AuthorizeResponse { outcome: Some(outcome) }
}

pub(super) fn ask(request: Option<AuthorizationRequest>) -> Ask {
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

pub(super) fn randomness() -> Result<Random, rpc::Error> {
    let factor = second_factor::Random { key: random()?, seal: random()? };
    Ok(Random { code: random()?, ticket: random()?, factor })
}

fn code(Done { code, recovery_codes }: &Done) -> AuthorizationCode {
    let recovery_codes = recovery_codes.iter().map(|code| code.expose().to_owned()).collect();
    AuthorizationCode { code: code.expose().to_owned(), recovery_codes }
}

fn needed(Next { ticket, enrolment }: Next) -> SecondFactorNeeded {
    let enrolment = enrolment.map(|Begun { secret, otpauth_uri }| SecondFactorEnrolment {
        secret: secret.expose().to_owned(),
        otpauth_uri: otpauth_uri.expose().to_owned(),
    });
    SecondFactorNeeded { ticket: ticket.expose().to_owned(), enrolment }
}

pub(super) fn to_wire(refusal: Refusal) -> AuthorizationRefusal {
    let Refusal { error, description } = refusal;
    AuthorizationRefusal { error: error.to_owned(), description: description.to_owned() }
}
