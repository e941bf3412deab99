//! `TokenService`.

use std::sync::Arc;

use auth::Verifier;
use process::Secret;
use proto::identity::v1::{
    ClientCredentials, ClientToken, ExchangeCodeRequest, ExchangeCodeResponse,
    IssueClientTokenRequest, IssueClientTokenResponse, IssueServiceTokenRequest,
    IssueServiceTokenResponse, IssueTokenRequest, IssueTokenResponse, RefreshTokenRequest,
    RefreshTokenResponse, RevokeTokenRequest, RevokeTokenResponse, TokenSet,
    token_service_server::TokenService,
};
use tonic::{Request, Response, Status};

use super::{origin, peer, random};
use crate::{
    app::App,
    authorization::{self, Exchange},
    client::model::Credentials,
    config::ServiceSecrets,
    token::{
        self, Grant, Issuer, Random,
        refresh::{self, Refresh},
    },
};

/// Issues tokens.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// What use cases work with.
    pub app: App,
    /// What tokens are made with.
    pub issuer: Issuer,
    /// The secrets of services.
    pub secrets: ServiceSecrets,
    /// Knows its own tokens.
    pub verifier: Arc<Verifier>,
}

#[tonic::async_trait]
impl TokenService for Tokens {
    async fn issue_token(
        &self,
        request: Request<IssueTokenRequest>,
    ) -> Result<Response<IssueTokenResponse>, Status> {
        let (origin, peer) = (origin(&request), peer(&request));
        let IssueTokenRequest { username, password, scope } = request.into_inner();
        let Self { app, issuer, .. } = self.clone();
        let by = (peer, Random { family: random()?, secret: random()? }, random()?);
        let password = Secret::from(password);
        let grant = rpc::write(async move {
            let (who, scope, now) = ((&*username, password), scope.as_deref(), process::now());
            token::sign_in(&app, &issuer, who, scope, by, &origin, now).await
        });
        Ok(Response::new(IssueTokenResponse { token: Some(token_set(grant.await?)) }))
    }

    async fn refresh_token(
        &self,
        request: Request<RefreshTokenRequest>,
    ) -> Result<Response<RefreshTokenResponse>, Status> {
        let origin = origin(&request);
        let RefreshTokenRequest { refresh_token, scope, client } = request.into_inner();
        let Self { app, issuer, .. } = self.clone();
        let secret = random()?;
        let asks = Refresh { token: refresh_token, scope, credentials: client.map(credentials) };
        let grant = rpc::write(async move {
            refresh::refresh(&app, &issuer, asks, secret, &origin, process::now()).await
        });
        Ok(Response::new(RefreshTokenResponse { token: Some(token_set(grant.await?)) }))
    }

    async fn exchange_code(
        &self,
        request: Request<ExchangeCodeRequest>,
    ) -> Result<Response<ExchangeCodeResponse>, Status> {
        let origin = origin(&request);
        let asked = request.into_inner();
        let Self { app, issuer, .. } = self.clone();
        let random = Random { family: random()?, secret: random()? };
        let shown = Exchange {
            credentials: asked.client.map(credentials),
            code: asked.code,
            redirect_uri: asked.redirect_uri,
            verifier: asked.code_verifier,
        };
        let grant = rpc::write(async move {
            authorization::exchange(&app, &issuer, shown, random, &origin, process::now()).await
        });
        Ok(Response::new(ExchangeCodeResponse { token: Some(token_set(grant.await?)) }))
    }

    async fn issue_client_token(
        &self,
        request: Request<IssueClientTokenRequest>,
    ) -> Result<Response<IssueClientTokenResponse>, Status> {
        let IssueClientTokenRequest { client, scope } = request.into_inner();
        let Self { app, issuer, .. } = self.clone();
        let credentials = client.map(credentials);
        let issued = rpc::write(async move {
            let (credentials, scope) = (credentials.as_ref(), scope.as_deref());
            token::for_client(&app, &issuer, credentials, scope, process::now()).await
        });
        let (access_token, expires_in, scope) = issued.await?;
        let (token_type, scope) = ("bearer".to_owned(), scope.to_string());
        let token = Some(ClientToken { access_token, token_type, expires_in, scope });
        Ok(Response::new(IssueClientTokenResponse { token }))
    }

    async fn revoke_token(
        &self,
        request: Request<RevokeTokenRequest>,
    ) -> Result<Response<RevokeTokenResponse>, Status> {
        let (origin, now) = (origin(&request), process::now());
        let RevokeTokenRequest { token, client } = request.into_inner();
        let verified = self.verifier.verify(&token, now).await.ok();
        let (app, credentials) = (self.app.clone(), client.map(credentials));
        rpc::write(async move {
            let by = (credentials.as_ref(), verified.as_ref());
            refresh::revoke(&app, &token, by, &origin, now).await
        })
        .await?;
        Ok(Response::new(RevokeTokenResponse {}))
    }

    async fn issue_service_token(
        &self,
        request: Request<IssueServiceTokenRequest>,
    ) -> Result<Response<IssueServiceTokenResponse>, Status> {
        let IssueServiceTokenRequest { service, secret } = request.into_inner();
        let secret = Secret::from(secret);
        let (access_token, expires_in) =
            token::for_service(&self.issuer, &self.secrets, &service, &secret, process::now())?;
        Ok(Response::new(IssueServiceTokenResponse { access_token, expires_in }))
    }
}

fn token_set(grant: Grant) -> TokenSet {
    TokenSet {
        access_token: grant.access_token,
        token_type: "bearer".to_owned(),
        expires_in: grant.expires_in,
        refresh_token: grant.refresh_token.expose(),
        scope: grant.scope.map(|scope| scope.to_string()),
    }
}

fn credentials(client: ClientCredentials) -> Credentials {
    let ClientCredentials { client_id, client_secret } = client;
    Credentials { client_id, secret: client_secret.map(Secret::from) }
}
