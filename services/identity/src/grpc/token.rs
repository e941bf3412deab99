//! `TokenService`.

use std::sync::Arc;

use auth::Verifier;
use process::Secret;
use proto::identity::v1::{
    IssueServiceTokenRequest, IssueServiceTokenResponse, IssueTokenRequest, IssueTokenResponse,
    RefreshTokenRequest, RefreshTokenResponse, RevokeTokenRequest, RevokeTokenResponse, TokenSet,
    token_service_server::TokenService,
};
use tonic::{Request, Response, Status};

use super::{origin, peer, random};
use crate::{
    app::App,
    config::ServiceSecrets,
    token::{self, Grant, Issuer, Random},
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
        let IssueTokenRequest { username, password } = request.into_inner();
        let Self { app, issuer, .. } = self.clone();
        let random = Random { family: random()?, secret: random()?, salt: random()? };
        let password = Secret::from(password);
        let grant = rpc::write(async move {
            let (by, now) = ((peer, random), process::now());
            token::sign_in(&app, &issuer, &username, password, by, &origin, now).await
        });
        Ok(Response::new(IssueTokenResponse { token: Some(token_set(grant.await?)) }))
    }

    async fn refresh_token(
        &self,
        request: Request<RefreshTokenRequest>,
    ) -> Result<Response<RefreshTokenResponse>, Status> {
        let origin = origin(&request);
        let refresh_token = request.into_inner().refresh_token;
        let Self { app, issuer, .. } = self.clone();
        let secret = random()?;
        let grant = rpc::write(async move {
            token::refresh(&app, &issuer, &refresh_token, secret, &origin, process::now()).await
        });
        Ok(Response::new(RefreshTokenResponse { token: Some(token_set(grant.await?)) }))
    }

    async fn revoke_token(
        &self,
        request: Request<RevokeTokenRequest>,
    ) -> Result<Response<RevokeTokenResponse>, Status> {
        let (origin, now) = (origin(&request), process::now());
        let token = request.into_inner().token;
        let verified = self.verifier.verify(&token, now).await.ok();
        let app = self.app.clone();
        rpc::write(
            async move { token::revoke(&app, &token, verified.as_ref(), &origin, now).await },
        )
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
    }
}
