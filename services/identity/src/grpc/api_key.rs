//! `ApiKeyService`.

use idempotency::{Once, Outcome};
use prost::Message as _;
use proto::identity::v1::{
    self as wire, ApiKeyScope, CreateApiKeyRequest, CreateApiKeyResponse, ExchangeApiKeyRequest,
    ExchangeApiKeyResponse, ListApiKeysRequest, ListApiKeysResponse, RevokeApiKeyRequest,
    RevokeApiKeyResponse, api_key_service_server::ApiKeyService,
};
use rpc::Error;
use tonic::{Request, Response, Status};

use super::{cause, random};
use crate::{
    api_key::{
        self,
        model::{ApiKey, Draft},
    },
    app::App,
    page::Page,
    token::Issuer,
};

/// Keeps API keys.
#[derive(Clone, Debug)]
pub struct ApiKeys {
    /// What use cases work with.
    pub app: App,
    /// What tokens are made with.
    pub issuer: Issuer,
}

#[tonic::async_trait]
impl ApiKeyService for ApiKeys {
    async fn list_api_keys(
        &self,
        request: Request<ListApiKeysRequest>,
    ) -> Result<Response<ListApiKeysResponse>, Status> {
        let caller = auth::caller(&request)?;
        let ListApiKeysRequest { limit, cursor, user_id } = request.into_inner();
        let page = Page::parse(limit, cursor.as_deref())?;
        let page = api_key::list(&self.app, &caller, user_id, page).await?;
        let items = page.items.into_iter().map(to_wire).collect();
        Ok(Response::new(ListApiKeysResponse { items, next_cursor: page.next_cursor }))
    }

    async fn create_api_key(
        &self,
        request: Request<CreateApiKeyRequest>,
    ) -> Result<Response<CreateApiKeyResponse>, Status> {
        let caller = auth::caller(&request)?;
        let (app, cause) = (self.app.clone(), cause(&request, &caller));
        let secret = random()?;
        let once = Once::of(&request, |key: &ApiKey| to_wire(key.clone()).encode_to_vec())?;
        let asked = request.into_inner();
        let draft = Draft {
            scopes: asked.scopes.into_iter().map(scope_name).collect(),
            name: asked.name,
            expires_at: asked.expires_at.map(Into::into),
        };
        let made = rpc::write(async move {
            api_key::create(&app, &caller, draft, once, secret, &cause, process::now()).await
        });
        match made.await? {
            Outcome::New((made, key)) => {
                let api_key = wire::ApiKey { key: Some(key.expose()), ..to_wire(made) };
                Ok(Response::new(CreateApiKeyResponse { api_key: Some(api_key) }))
            }
            Outcome::Replay(bytes) => {
                let made = wire::ApiKey::decode(&*bytes);
                let made = made.map_err(|error| Error::Internal(error.into()))?;
                Err(idempotency::shown_once(made.id).into())
            }
        }
    }

    async fn revoke_api_key(
        &self,
        request: Request<RevokeApiKeyRequest>,
    ) -> Result<Response<RevokeApiKeyResponse>, Status> {
        let caller = auth::caller(&request)?;
        let (app, cause) = (self.app.clone(), cause(&request, &caller));
        let RevokeApiKeyRequest { id, expected_version } = request.into_inner();
        rpc::write(async move {
            api_key::revoke(&app, &caller, id, expected_version, &cause, process::now()).await
        })
        .await?;
        Ok(Response::new(RevokeApiKeyResponse {}))
    }

    async fn exchange_api_key(
        &self,
        request: Request<ExchangeApiKeyRequest>,
    ) -> Result<Response<ExchangeApiKeyResponse>, Status> {
        let caller = auth::caller(&request)?;
        let key = request.into_inner().key;
        let Self { app, issuer } = self.clone();
        let exchanged = rpc::write(async move {
            api_key::exchange(&app, &issuer, &caller, &key, process::now()).await
        });
        let (access_token, expires_in) = exchanged.await?;
        Ok(Response::new(ExchangeApiKeyResponse { access_token, expires_in }))
    }
}

/// The name of a scope that a caller asks for; of a number that is none, the number.
fn scope_name(number: i32) -> String {
    match ApiKeyScope::try_from(number) {
        Ok(ApiKeyScope::Read) => "read".to_owned(),
        Ok(ApiKeyScope::Write) => "write".to_owned(),
        Ok(ApiKeyScope::Unspecified) | Err(_) => number.to_string(),
    }
}

fn to_wire(key: ApiKey) -> wire::ApiKey {
    let mut scopes = vec![ApiKeyScope::Read.into()];
    if key.can_write {
        scopes.push(ApiKeyScope::Write.into());
    }
    wire::ApiKey {
        id: key.id,
        prefix: auth::ApiKey::prefix(key.id),
        scopes,
        expires_at: key.expires_at.map(Into::into),
        last_used_at: key.last_used_at.map(Into::into),
        created_at: Some(key.created_at.into()),
        name: key.name,
        version: key.version,
        key: None,
    }
}
