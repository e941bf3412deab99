//! The token endpoint: forms in, and failures in the words of RFC 6749 section 5.2.

mod client;
mod failure;

use std::collections::BTreeMap;

use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, PRAGMA};
use http::{HeaderValue, StatusCode};
use proto::identity::v1::{
    ClientToken, ExchangeCodeRequest, IssueClientTokenRequest, IssueTokenRequest,
    RefreshTokenRequest, RevokeTokenRequest, TokenSet,
};
use rpc::Error;
use utoipa::openapi::{
    ContentBuilder, OneOfBuilder, Ref, RefOr, ResponseBuilder, ResponsesBuilder,
};
use utoipa::{IntoResponses, ToSchema};

use self::client::{Asking, credentials};
pub use self::failure::TokenFailure;
use crate::call::Guest;
use crate::http::{Fields, Json};

/// What tokens are asked for with.
#[derive(Debug, Default, ToSchema)]
pub struct TokenForm {
    /// `password`, which may be left out, `refresh_token`, `authorization_code` or `client_credentials`.
    #[schema(example = "password")]
    pub grant_type: Option<String>,
    /// The e-mail address.
    #[schema(example = "admin@example.com")]
    pub username: Option<String>,
    /// The password.
    #[schema(format = Password)]
    pub password: Option<String>,
    /// The session's latest refresh token.
    pub refresh_token: Option<String>,
    /// The code of a sign-in on the page.
    pub code: Option<String>,
    /// Where it was sent.
    pub redirect_uri: Option<String>,
    /// The secret whose SHA-256 the code was asked for with.
    pub code_verifier: Option<String>,
    /// `read`, `write`: less than there is to be had.
    pub scope: Option<String>,
    /// The client that asks, unless HTTP Basic names it.
    pub client_id: Option<String>,
    /// The secret of a confidential client.
    #[schema(format = Password)]
    pub client_secret: Option<String>,
    /// Whether the client is named by HTTP Basic.
    #[schema(ignore)]
    by_header: bool,
}

/// The tokens.
#[derive(Debug)]
pub enum Issued {
    /// Of a session.
    Session(TokenSet),
    /// Of a client that acts by itself.
    Client(ClientToken),
}

/// Get tokens
///
/// With an e-mail address and a password (where that is not switched off), with a refresh token, which is good once, with the code of a sign-in on the page at
/// `/auth/authorize`, or with a client's own credentials. A client shows who it is by HTTP Basic or in the form. Parameters that are not known are ignored, as RFC 6749 says.
#[utoipa::path(
    post,
    path = "/auth/token",
    tag = "auth",
    security(()),
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded")
)]
pub async fn issue_token(guest: Guest, form: TokenForm) -> Result<Issued, TokenFailure> {
    let by_header = form.by_header;
    issue(&guest, form).await.map_err(|failure| failure.challenged(by_header))
}

async fn issue(guest: &Guest, form: TokenForm) -> Result<Issued, TokenFailure> {
    let mut tokens = guest.tokens();
    let TokenForm { scope, client_id, client_secret, .. } = form;
    let client = credentials(client_id, client_secret);
    let issued = match form.grant_type.as_deref() {
        // Asked for by no client: a name that comes along is ignored.
        None | Some("password") => {
            let username = given(form.username, "username is missing")?;
            let password = given(form.password, "password is missing")?;
            let request = IssueTokenRequest { username, password, scope };
            let answer = guest.write(request, async |request| tokens.issue_token(request).await);
            answer.await?.token.map(Issued::Session)
        }
        Some("refresh_token") => {
            let refresh_token = given(form.refresh_token, "refresh_token is missing")?;
            let request = RefreshTokenRequest { refresh_token, scope, client };
            let answer = guest.write(request, async |request| tokens.refresh_token(request).await);
            answer.await?.token.map(Issued::Session)
        }
        Some("authorization_code") => {
            let request = ExchangeCodeRequest {
                client,
                code: given(form.code, "code is missing")?,
                redirect_uri: given(form.redirect_uri, "redirect_uri is missing")?,
                code_verifier: given(form.code_verifier, "code_verifier is missing")?,
            };
            let answer = guest.write(request, async |request| tokens.exchange_code(request).await);
            answer.await?.token.map(Issued::Session)
        }
        Some("client_credentials") => {
            let request = IssueClientTokenRequest { client, scope };
            let answer =
                guest.write(request, async |request| tokens.issue_client_token(request).await);
            answer.await?.token.map(Issued::Client)
        }
        Some(_) => {
            let known = "grant_type has to be password, refresh_token, authorization_code or client_credentials";
            return Err(TokenFailure::bad("unsupported_grant_type", known));
        }
    };
    issued.ok_or_else(|| Error::internal("identity left its answer empty").into())
}

/// Whether what is at that path, without the API's base, answers failures as RFC 6749 says.
pub fn speaks_oauth(path: &str) -> bool {
    matches!(path, "/auth/token" | "/auth/revoke")
}

fn given(value: Option<String>, missing: &'static str) -> Result<String, TokenFailure> {
    value.ok_or_else(|| TokenFailure::bad("invalid_request", missing))
}

impl<S: Sync> FromRequest<S> for TokenForm {
    type Rejection = TokenFailure;

    async fn from_request(request: Request, _: &S) -> Result<Self, TokenFailure> {
        let (mut fields, Asking { client_id, client_secret, by_header }) = read(request).await?;
        let mut take = |name: &str| fields.take(name);
        Ok(Self {
            grant_type: take("grant_type"),
            username: take("username"),
            password: take("password"),
            refresh_token: take("refresh_token"),
            code: take("code"),
            redirect_uri: take("redirect_uri"),
            code_verifier: take("code_verifier"),
            scope: take("scope"),
            client_id,
            client_secret,
            by_header,
        })
    }
}

/// A token that is no longer needed.
#[derive(Debug, Default, ToSchema)]
pub struct RevocationForm {
    /// A refresh token, or an access token.
    #[schema(required = true)]
    pub token: Option<String>,
    /// `refresh_token` or `access_token`: a hint, which is not needed.
    pub token_type_hint: Option<String>,
    /// The client that asks, unless HTTP Basic names it; needed for the token of a confidential client.
    pub client_id: Option<String>,
    /// Its secret.
    #[schema(format = Password)]
    pub client_secret: Option<String>,
    /// Whether the client is named by HTTP Basic.
    #[schema(ignore)]
    by_header: bool,
}

/// What is said of a token that is no longer good: nothing.
#[derive(Clone, Copy, Debug)]
pub struct Revoked;

/// Sign out
///
/// Ends the session of a refresh or access token (RFC 7009). What is no token is answered alike.
#[utoipa::path(
    post,
    path = "/auth/revoke",
    tag = "auth",
    security(()),
    request_body(content = RevocationForm, content_type = "application/x-www-form-urlencoded")
)]
pub async fn revoke_token(guest: Guest, form: RevocationForm) -> Result<Revoked, TokenFailure> {
    let mut tokens = guest.tokens();
    let RevocationForm { token, client_id, client_secret, by_header, .. } = form;
    let (token, client) =
        (given(token, "token is missing")?, credentials(client_id, client_secret));
    let request = RevokeTokenRequest { token, client };
    let done = guest.write(request, async |request| tokens.revoke_token(request).await).await;
    done.map_err(|error| TokenFailure::from(error).challenged(by_header))?;
    Ok(Revoked)
}

impl<S: Sync> FromRequest<S> for RevocationForm {
    type Rejection = TokenFailure;

    async fn from_request(request: Request, _: &S) -> Result<Self, TokenFailure> {
        let (mut fields, Asking { client_id, client_secret, by_header }) = read(request).await?;
        Ok(Self {
            token: fields.take("token"),
            token_type_hint: fields.take("token_type_hint"),
            client_id,
            client_secret,
            by_header,
        })
    }
}

/// The form and the client that sends it. RFC 6749 3.2: no parameter may come twice.
async fn read(request: Request) -> Result<(Fields, Asking), TokenFailure> {
    let headers = request.headers().clone();
    let mut fields = Fields::of(request).await.map_err(|problem| TokenFailure::unread(&problem))?;
    if !fields.twice().is_empty() {
        return Err(TokenFailure::bad("invalid_request", "a parameter came twice"));
    }
    let asking = Asking::of(&headers, &mut fields)?;
    Ok((fields, asking))
}

/// RFC 6749 5.1: nobody may keep it.
fn unkept(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

impl IntoResponse for Issued {
    fn into_response(self) -> Response {
        unkept(match self {
            Self::Session(tokens) => Json(tokens).into_response(),
            Self::Client(token) => Json(token).into_response(),
        })
    }
}

impl IntoResponses for Issued {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let one = OneOfBuilder::new()
            .item(Ref::from_schema_name("TokenSet"))
            .item(Ref::from_schema_name("ClientToken"));
        let content = ContentBuilder::new().schema(Some(one)).build();
        let description = "The tokens; for a client's own credentials without a refresh token.";
        let response = ResponseBuilder::new().description(description);
        let response = response.content("application/json", content);
        ResponsesBuilder::new().response("200", response).build().into()
    }
}

impl IntoResponse for Revoked {
    fn into_response(self) -> Response {
        unkept(StatusCode::OK.into_response())
    }
}

impl IntoResponses for Revoked {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let response = ResponseBuilder::new().description("The token is no longer good.");
        ResponsesBuilder::new().response("200", response).build().into()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::header::CONTENT_TYPE;

    use super::*;

    async fn form(content_type: &str, body: &str) -> Result<TokenForm, TokenFailure> {
        let request = http::Request::post("/").header(CONTENT_TYPE, content_type);
        TokenForm::from_request(request.body(Body::from(body.to_owned())).unwrap(), &()).await
    }

    const FORM: &str = "application/x-www-form-urlencoded";

    #[tokio::test]
    async fn a_form_is_read_and_what_it_does_not_know_is_ignored() {
        let read = form(FORM, "username=a%40b.c&password=p+w&colour=x&scope=").await.unwrap();
        assert_eq!(
            (read.username.as_deref(), read.password.as_deref()),
            (Some("a@b.c"), Some("p w"))
        );
        assert_eq!((read.grant_type, read.scope, read.client_id), (None, None, None));
        assert!(form("application/x-www-form-urlencoded; charset=UTF-8", "a=b").await.is_ok());
    }

    #[tokio::test]
    async fn what_is_no_form_or_says_a_thing_twice_is_an_invalid_request() {
        for (content_type, body) in
            [("application/json", "{}"), ("", "username=a"), (FORM, "username=a&username=b")]
        {
            let failure = form(content_type, body).await.unwrap_err();
            assert_eq!(
                (failure.status.as_u16(), failure.error),
                (400, "invalid_request"),
                "{body}"
            );
        }
        let long = format!("password={}", "x".repeat(64 * 1024));
        assert_eq!(form(FORM, &long).await.unwrap_err().status, 413);
    }
}
