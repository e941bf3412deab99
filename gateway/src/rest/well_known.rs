//! What programs read before they sign anybody in: where the endpoints are, and the keys of tokens. Anybody may read it, from any site, and keep it for five minutes.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL};
use http::{HeaderMap, HeaderValue};
use proto::identity::v1::authorization_service_client::AuthorizationServiceClient;
use proto::identity::v1::key_service_client::KeyServiceClient;
use proto::identity::v1::{ListGrantTypesRequest, ListKeysRequest};
use rpc::client::{self, Context};
use serde::Serialize;

use crate::app::App;
use crate::http::{Answer, Json, Problem};
use crate::issuer::issuer;
use crate::router::BASE;

/// The authorization server as RFC 8414 describes one.
#[derive(Debug, Serialize)]
struct Server {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    revocation_endpoint: String,
    jwks_uri: String,
    service_documentation: String,
    scopes_supported: [&'static str; 2],
    response_types_supported: [&'static str; 1],
    response_modes_supported: [&'static str; 1],
    grant_types_supported: Vec<String>,
    token_endpoint_auth_methods_supported: [&'static str; 3],
    revocation_endpoint_auth_methods_supported: [&'static str; 3],
    code_challenge_methods_supported: [&'static str; 1],
    authorization_response_iss_parameter_supported: bool,
    ui_locales_supported: [&'static str; 2],
}

const AUTH_METHODS: [&str; 3] = ["none", "client_secret_basic", "client_secret_post"];

/// `/.well-known/oauth-authorization-server`. 404 where nobody has said where people find the product (`PUBLIC_URL`).
pub async fn get_authorization_server(
    State(app): State<App>,
    headers: HeaderMap,
) -> Answer<Response> {
    let issuer = issuer(&app, &headers).ok_or_else(Problem::not_found)?;
    let server = AuthorizationServiceClient::new(app.identity);
    let grant_types = client::read(|| {
        let (mut server, request) =
            (server.clone(), Context::default().request(ListGrantTypesRequest {}));
        async move { server.list_grant_types(request).await }
    });
    let server = Server {
        authorization_endpoint: format!("{issuer}{BASE}/auth/authorize"),
        token_endpoint: format!("{issuer}{BASE}/auth/token"),
        revocation_endpoint: format!("{issuer}{BASE}/auth/revoke"),
        jwks_uri: format!("{issuer}/.well-known/jwks.json"),
        service_documentation: format!("{issuer}/docs/"),
        issuer,
        scopes_supported: ["read", "write"],
        response_types_supported: ["code"],
        response_modes_supported: ["query"],
        grant_types_supported: grant_types.await?.items,
        token_endpoint_auth_methods_supported: AUTH_METHODS,
        revocation_endpoint_auth_methods_supported: AUTH_METHODS,
        code_challenge_methods_supported: ["S256"],
        authorization_response_iss_parameter_supported: true,
        ui_locales_supported: ["zh-TW", "en"],
    };
    Ok(for_anybody(Json(server)))
}

/// `/.well-known/jwks.json`: the keys whose signatures count (RFC 7517).
pub async fn get_keys(State(app): State<App>) -> Answer<Response> {
    let keys = KeyServiceClient::new(app.identity);
    let keys = client::read(|| {
        let (mut keys, request) = (keys.clone(), Context::default().request(ListKeysRequest {}));
        async move { keys.list_keys(request).await }
    });
    Ok(for_anybody(Json(keys.await?)))
}

fn for_anybody(answer: impl IntoResponse) -> Response {
    let mut response = answer.into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}
