//! Programs that sign people in on the product's own page, or that act by themselves.

mod clients;
mod codes;
mod second_factor;

use auth::{Keys, Revocations, Verifier, token::Jwk};
use proto::identity::v1::{
    AuthorizationRequest, AuthorizeRequest, Client, ClientCredentials, ClientKind,
    CreateClientRequest, ExchangeCodeRequest, ListKeysRequest, ListSessionsRequest,
    RefreshTokenRequest, TokenSet, authorization_service_client::AuthorizationServiceClient,
    authorize_response, client_service_client::ClientServiceClient,
    key_service_client::KeyServiceClient, session_service_client::SessionServiceClient,
    token_service_client::TokenServiceClient,
};
use rpc::client::Channel;
use rpc::{Error, client::Context};

use crate::support::{ADMIN, Identity, PASSWORD};

/// RFC 7636, appendix B.
pub(super) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(super) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
pub(super) const URI: &str = "https://app.example.com/back";

pub(super) fn tokens(identity: &Identity) -> TokenServiceClient<Channel> {
    TokenServiceClient::new(identity.channel.clone())
}

pub(super) fn clients(identity: &Identity) -> ClientServiceClient<Channel> {
    ClientServiceClient::new(identity.channel.clone())
}

pub(super) fn draft(kind: ClientKind) -> CreateClientRequest {
    CreateClientRequest {
        name: "Add-in".to_owned(),
        kind: Some(kind.into()),
        redirect_uris: vec![URI.to_owned()],
        scopes: vec!["write".to_owned()],
        user_id: None,
    }
}

pub(super) async fn make(identity: &Identity, by: &Context, draft: CreateClientRequest) -> Client {
    let answer = clients(identity).create_client(by.request(draft)).await.unwrap();
    answer.into_inner().client.unwrap()
}

pub(super) fn credentials(client: &Client) -> ClientCredentials {
    let (client_id, client_secret) = (client.client_id.clone(), client.client_secret.clone());
    ClientCredentials { client_id, client_secret }
}

pub(super) fn asks(client: &Client) -> AuthorizationRequest {
    AuthorizationRequest {
        client_id: client.client_id.clone(),
        redirect_uri: URI.to_owned(),
        response_type: "code".to_owned(),
        scope: String::new(),
        code_challenge: CHALLENGE.to_owned(),
        code_challenge_method: "S256".to_owned(),
    }
}

/// What a sign-in on the page comes to.
pub(super) async fn outcome(
    identity: &Identity,
    asks: AuthorizationRequest,
    password: &str,
) -> Result<authorize_response::Outcome, Error> {
    let request = AuthorizeRequest {
        authorization: Some(asks),
        username: ADMIN.to_owned(),
        password: password.to_owned(),
    };
    let mut service = AuthorizationServiceClient::new(identity.channel.clone());
    Ok(service.authorize(request).await?.into_inner().outcome.unwrap())
}

/// Its code; none with a wrong password.
pub(super) async fn authorize(
    identity: &Identity,
    asks: AuthorizationRequest,
    password: &str,
) -> Result<Option<String>, Error> {
    match outcome(identity, asks, password).await? {
        authorize_response::Outcome::Code(code) => Ok(Some(code.code)),
        authorize_response::Outcome::Wrong(_) => Ok(None),
        other => panic!("{other:?}"),
    }
}

pub(super) async fn code(identity: &Identity, client: &Client) -> String {
    authorize(identity, asks(client), PASSWORD).await.unwrap().unwrap()
}

pub(super) fn shows(client: &Client, code: &str) -> ExchangeCodeRequest {
    ExchangeCodeRequest {
        client: Some(credentials(client)),
        code: code.to_owned(),
        redirect_uri: URI.to_owned(),
        code_verifier: VERIFIER.to_owned(),
    }
}

pub(super) async fn exchange(
    identity: &Identity,
    shown: ExchangeCodeRequest,
) -> Result<TokenSet, Error> {
    Ok(tokens(identity).exchange_code(shown).await?.into_inner().token.unwrap())
}

pub(super) async fn refresh(
    identity: &Identity,
    token: &str,
    by: &Client,
) -> Result<TokenSet, Error> {
    let request = RefreshTokenRequest {
        refresh_token: token.to_owned(),
        client: Some(credentials(by)),
        scope: None,
    };
    Ok(tokens(identity).refresh_token(request).await?.into_inner().token.unwrap())
}

pub(super) async fn caller(identity: &Identity, token: &str) -> auth::Caller {
    let mut keys = KeyServiceClient::new(identity.channel.clone());
    let keys = keys.list_keys(ListKeysRequest {}).await.unwrap().into_inner().keys;
    let keys = Keys::fixed(keys.into_iter().map(Jwk::from));
    let verifier = Verifier::new(auth::ISSUER, keys, Revocations::default().into());
    verifier.verify(token, process::now()).await.unwrap()
}

/// How many live sessions the administrator has for a program, and the name of the newest one's.
pub(super) async fn sessions(identity: &Identity, by: &Context) -> (usize, Option<String>) {
    let mut service = SessionServiceClient::new(identity.channel.clone());
    let request = by.request(ListSessionsRequest::default());
    let items = service.list_sessions(request).await.unwrap().into_inner().items;
    let of_programs: Vec<_> = items.into_iter().filter_map(|session| session.client).collect();
    (of_programs.len(), of_programs.first().cloned())
}

pub(super) fn reason<T: std::fmt::Debug>(refused: Result<T, Error>) -> String {
    refused.unwrap_err().reason().to_owned()
}
