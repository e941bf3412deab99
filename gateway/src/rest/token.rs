//! The token endpoint: forms in, and failures in the words of RFC 6749 section 5.2.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use proto::identity::v1::{IssueTokenRequest, RefreshTokenRequest, RevokeTokenRequest, TokenSet};
use rpc::Error;
use serde::Serialize;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder, ResponsesBuilder};
use utoipa::{IntoResponses, ToSchema};

use crate::call::Guest;
use crate::http::{self as edge, Json};

/// The longest form.
const FORM_LIMIT_BYTES: usize = 64 * 1024;

/// A sign-in or a refresh.
#[derive(Debug, Default, ToSchema)]
pub struct TokenForm {
    /// `password`, which may be left out, or `refresh_token`.
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
}

/// Why there is no token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct TokenFailure {
    /// `invalid_request`, `invalid_grant`, `unsupported_grant_type`, `temporarily_unavailable` or `server_error`.
    #[schema(example = "invalid_grant")]
    error: &'static str,
    /// The same for people.
    error_description: Cow<'static, str>,
    #[serde(skip)]
    #[schema(ignore)]
    status: StatusCode,
    #[serde(skip)]
    #[schema(ignore)]
    retry_after: Option<Duration>,
}

/// The tokens.
#[derive(Debug)]
pub struct Issued(TokenSet);

/// Sign in
///
/// With an e-mail address and a password, or with a refresh token, which is good once. Parameters that are not known are ignored, as RFC 6749 says.
#[utoipa::path(
    post,
    path = "/auth/token",
    tag = "auth",
    security(()),
    request_body(content = TokenForm, content_type = "application/x-www-form-urlencoded")
)]
pub async fn issue_token(guest: Guest, form: TokenForm) -> Result<Issued, TokenFailure> {
    let mut tokens = guest.tokens();
    let token = match form.grant_type.as_deref() {
        None | Some("password") => {
            let username = given(form.username, "username is missing")?;
            let password = given(form.password, "password is missing")?;
            let request = IssueTokenRequest { username, password };
            let answer =
                guest.write(request, |request| async move { tokens.issue_token(request).await });
            answer.await?.token
        }
        Some("refresh_token") => {
            let refresh_token = given(form.refresh_token, "refresh_token is missing")?;
            let request = RefreshTokenRequest { refresh_token };
            let answer =
                guest.write(request, |request| async move { tokens.refresh_token(request).await });
            answer.await?.token
        }
        Some(_) => {
            let known = "grant_type has to be password or refresh_token";
            return Err(TokenFailure::bad("unsupported_grant_type", known));
        }
    };
    token.map(Issued).ok_or_else(|| Error::internal("identity left its answer empty").into())
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
        let mut fields = read_form(request).await?;
        let mut take = |name: &str| fields.remove(name);
        Ok(Self {
            grant_type: take("grant_type"),
            username: take("username"),
            password: take("password"),
            refresh_token: take("refresh_token"),
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
    let request = RevokeTokenRequest { token: given(form.token, "token is missing")? };
    guest.write(request, |request| async move { tokens.revoke_token(request).await }).await?;
    Ok(Revoked)
}

impl<S: Sync> FromRequest<S> for RevocationForm {
    type Rejection = TokenFailure;

    async fn from_request(request: Request, _: &S) -> Result<Self, TokenFailure> {
        let mut fields = read_form(request).await?;
        Ok(Self {
            token: fields.remove("token"),
            token_type_hint: fields.remove("token_type_hint"),
        })
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

/// The fields of a form; those without a value are as good as absent.
async fn read_form(request: Request) -> Result<BTreeMap<String, String>, TokenFailure> {
    let form = edge::read_form(request, FORM_LIMIT_BYTES).await.map_err(|problem| {
        let failure = TokenFailure::bad("invalid_request", "the form cannot be read");
        match problem.status() {
            StatusCode::UNSUPPORTED_MEDIA_TYPE => failure,
            status => TokenFailure { status, ..failure },
        }
    })?;
    let mut fields = BTreeMap::new();
    for (name, value) in form {
        // RFC 6749 3.2: a parameter without a value is as good as absent, and none may come twice.
        if !value.is_empty() && fields.insert(name, value).is_some() {
            return Err(TokenFailure::bad("invalid_request", "a parameter came twice"));
        }
    }
    Ok(fields)
}

impl TokenFailure {
    fn new(status: StatusCode, error: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { error, error_description: detail.into(), status, retry_after: None }
    }

    fn bad(error: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, detail)
    }

    /// The caller has asked too much, and may ask again after that time.
    pub fn rate_limited(after: Duration) -> Self {
        Self::later(StatusCode::TOO_MANY_REQUESTS, Some(after))
    }

    fn later(status: StatusCode, after: Option<Duration>) -> Self {
        let detail = "sign-in is not possible at present; try again";
        let failure = Self::new(status, "temporarily_unavailable", detail);
        Self { retry_after: Some(after.unwrap_or(Duration::from_secs(1))), ..failure }
    }
}

impl From<Error> for TokenFailure {
    fn from(error: Error) -> Self {
        match error {
            Error::Unauthenticated { reason, .. } if reason == "SECOND_FACTOR_REQUIRED" => {
                let detail =
                    "this account needs a second factor: it signs in on the sign-in page, not here";
                Self::bad("invalid_grant", detail)
            }
            Error::Unauthenticated { .. } => {
                Self::bad("invalid_grant", "the credentials are not valid")
            }
            Error::Invalid(_) | Error::Malformed { .. } | Error::Precondition { .. } => {
                Self::bad("invalid_request", "a parameter is not valid")
            }
            Error::Exhausted { reason, retry_after, .. } if reason == "SIGN_IN_BUSY" => {
                Self::later(StatusCode::SERVICE_UNAVAILABLE, retry_after)
            }
            Error::Exhausted { retry_after, .. } => {
                Self::later(StatusCode::TOO_MANY_REQUESTS, retry_after)
            }
            Error::Unavailable { .. } | Error::OutcomeUnknown => {
                Self::later(StatusCode::SERVICE_UNAVAILABLE, None)
            }
            error => {
                tracing::error!(error = format!("{:#}", anyhow::Error::from(error)), "no token");
                let detail = "something went wrong";
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", detail)
            }
        }
    }
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
        unkept(Json(self.0).into_response())
    }
}

impl IntoResponse for TokenFailure {
    fn into_response(self) -> Response {
        // Plain data: nothing in it can fail.
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(delay) = self.retry_after {
            let seconds = u64::try_from(delay.as_millis().div_ceil(1000).max(1));
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds.unwrap_or(u64::MAX)));
        }
        unkept(response)
    }
}

impl IntoResponses for Issued {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        Json::<TokenSet>::responses()
    }
}

impl IntoResponses for TokenFailure {
    fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
        let response = |description: &str| {
            let schema = Ref::from_schema_name("TokenFailure");
            let content = ContentBuilder::new().schema(Some(schema)).build();
            // What is refused before the form is read is a problem as everywhere.
            let problem = Ref::from_schema_name("Problem");
            let problem = ContentBuilder::new().schema(Some(problem)).build();
            ResponseBuilder::new()
                .description(description)
                .content("application/json", content)
                .content("application/problem+json", problem)
        };
        ResponsesBuilder::new()
            .response("4XX", response("There is no token; `error` says why."))
            .response("5XX", response("The system cannot answer at present."))
            .build()
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn form(content_type: &str, body: &str) -> Result<TokenForm, TokenFailure> {
        let request = http::Request::post("/").header(CONTENT_TYPE, content_type);
        TokenForm::from_request(request.body(Body::from(body.to_owned())).unwrap(), &()).await
    }

    const FORM: &str = "application/x-www-form-urlencoded";

    #[tokio::test]
    async fn a_form_is_read_and_what_it_does_not_know_is_ignored() {
        let read = form(FORM, "username=a%40b.c&password=p+w&client_id=x&scope=").await.unwrap();
        assert_eq!(
            (read.username.as_deref(), read.password.as_deref()),
            (Some("a@b.c"), Some("p w"))
        );
        assert_eq!(read.grant_type, None);
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
        let long = format!("password={}", "x".repeat(FORM_LIMIT_BYTES));
        assert_eq!(form(FORM, &long).await.unwrap_err().status, 413);
    }

    #[test]
    fn a_failure_has_the_words_of_the_rfc() {
        for (error, status, word) in [
            (Error::unauthenticated("INVALID_GRANT", "no"), 400, "invalid_grant"),
            (Error::unauthenticated("SECOND_FACTOR_REQUIRED", "no"), 400, "invalid_grant"),
            (Error::invalid("username", "too_long", "no"), 400, "invalid_request"),
            (Error::exhausted("SIGN_IN_BUSY", "no"), 503, "temporarily_unavailable"),
            (Error::exhausted("TOO_MANY_FAILURES", "no"), 429, "temporarily_unavailable"),
            (Error::unavailable(anyhow::anyhow!("down")), 503, "temporarily_unavailable"),
            (Error::OutcomeUnknown, 503, "temporarily_unavailable"),
            (Error::internal("no"), 500, "server_error"),
        ] {
            let failure = TokenFailure::from(error);
            assert_eq!((failure.status.as_u16(), failure.error), (status, word));
            let response = failure.into_response();
            assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
            let busy = word == "temporarily_unavailable";
            assert_eq!(response.headers().contains_key(RETRY_AFTER), busy);
        }
    }
}
