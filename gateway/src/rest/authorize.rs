//! The authorization endpoint (RFC 6749 section 4.1, RFC 7636, RFC 9207): shows the sign-in page, and sends people back with a code.
//!
//! The request stays in the address of the form as it came, so that nothing is kept between page and sign-in.

use std::time::Duration;

use axum::extract::{OriginalUri, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, LOCATION, REFERRER_POLICY};
use http::{HeaderMap, HeaderValue, StatusCode};
use proto::identity::v1::{
    AuthorizationRequest, AuthorizeRequest, AuthorizeWithSecondFactorRequest, AuthorizingClient,
    CheckAuthorizationRequest, authorize_response, authorize_with_second_factor_response as second,
    check_authorization_response,
};
use rpc::Error;

use crate::app::App;
use crate::call::Guest;
use crate::http::Fields;
use crate::issuer::{is_secure, issuer};
use crate::pages::Language;
use crate::pages::external::External;
use crate::pages::form_token::{self, FormToken};
use crate::pages::second_step::{self, Enrolment, SecondStep};
use crate::pages::sign_in::{self, Complaint, SignIn};
use crate::router::BASE;

/// A request that came to the endpoint.
pub(super) struct Asked {
    pub(super) authorization: AuthorizationRequest,
    state: Option<String>,
    pub(super) language: Language,
    /// The form's address: this endpoint with the request as it came.
    action: String,
    /// The same for the form that leads to an external provider.
    external: String,
    /// Whether it says twice who asks or where the answer goes: nobody is sent anywhere then.
    is_ambiguous: bool,
    /// Whether it says anything twice: the program is told so.
    says_twice: bool,
    issuer: Option<String>,
    pub(super) is_secure: bool,
}

/// Shows the page.
pub async fn show_sign_in(
    State(app): State<App>,
    guest: Guest,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Response {
    let asked = Asked::of(&app, uri.query().unwrap_or_default(), &headers);
    match asked.check(&guest).await {
        Ok(client) => asked.form(&client, &headers, "", None),
        Err(answer) => answer,
    }
}

/// Signs somebody in and sends them back to the program with a code, or shows the page again.
pub async fn sign_in(
    State(app): State<App>,
    guest: Guest,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let asked = Asked::of(&app, uri.query().unwrap_or_default(), &headers);
    let mut fields = match Fields::of(request).await {
        Ok(fields) => fields,
        Err(problem) => {
            return sign_in::refusal(asked.language, problem.status(), problem.code());
        }
    };
    let client = match asked.check(&guest).await {
        Ok(client) => client,
        Err(answer) => return answer,
    };
    if let Some(ticket) = fields.take("ticket") {
        return second_step(&asked, &guest, &client, &headers, &ticket, fields).await;
    }
    let username = fields.take("username").unwrap_or_default();
    let again = |complaint| asked.form(&client, &headers, &username, Some(complaint));
    let token = fields.take(form_token::FIELD);
    if !FormToken::is_shown(&headers, asked.is_secure, token.as_deref()) {
        // Nothing of it is shown: it may be somebody else's.
        return asked.form(&client, &headers, "", Some(Complaint::Stale));
    }
    if fields.take("action").as_deref() == Some("deny") {
        return asked.refuse("access_denied", "nobody signed in");
    }
    let Some(password) = fields.take("password").filter(|_| !username.is_empty()) else {
        return again(Complaint::Wrong);
    };
    let authorization = Some(asked.authorization.clone());
    let request = AuthorizeRequest { authorization, username: username.clone(), password };
    let mut service = guest.authorizations();
    let answer = guest.write(request, |request| async move { service.authorize(request).await });
    match answer.await.map(|answer| answer.outcome) {
        Ok(outcome) => asked.came_to(outcome, &headers).unwrap_or_else(again),
        Err(error) => match complaint(&error) {
            Some(complaint) => again(complaint),
            None => asked.fail(error),
        },
    }
}

/// Takes the code of somebody who has shown their password, and sends them back to the program; who has turned a second factor on sees their recovery codes first.
async fn second_step(
    asked: &Asked,
    guest: &Guest,
    client: &AuthorizingClient,
    headers: &HeaderMap,
    ticket: &str,
    mut fields: Fields,
) -> Response {
    let given = (fields.take("secret"), fields.take("otpauth_uri"));
    let enrolment = given.0.as_deref().zip(given.1.as_deref());
    let again = |complaint| asked.second_form(headers, ticket, enrolment, Some(complaint));
    let token = fields.take(form_token::FIELD);
    if !FormToken::is_shown(headers, asked.is_secure, token.as_deref()) {
        // Nothing of it is shown: it may be somebody else's, with their secret.
        return asked.form(client, headers, "", Some(Complaint::Stale));
    }
    let code = fields.take("code").or_else(|| fields.take("recovery_code"));
    let Some(code) = code else { return again(Complaint::WrongCode) };
    let authorization = Some(asked.authorization.clone());
    let ticket = ticket.to_owned();
    let request = AuthorizeWithSecondFactorRequest { authorization, ticket, code };
    let mut service = guest.authorizations();
    let answer = guest.write(request, |request| async move {
        service.authorize_with_second_factor(request).await
    });
    match answer.await.map(|answer| answer.outcome) {
        Ok(Some(second::Outcome::Code(it))) if it.recovery_codes.is_empty() => {
            asked.redirect(&[("code", &it.code)])
        }
        Ok(Some(second::Outcome::Code(it))) => {
            let location = asked.location(&[("code", &it.code)]);
            second_step::recovery_codes(asked.language, &it.recovery_codes, &location)
        }
        Ok(Some(second::Outcome::Wrong(_))) => again(Complaint::WrongCode),
        Ok(Some(second::Outcome::Expired(_))) => {
            asked.form(client, headers, "", Some(Complaint::Stale))
        }
        Ok(Some(second::Outcome::Refusal(it))) => asked.refuse(&it.error, &it.description),
        Ok(None) => asked.fail(Error::internal("identity left its answer empty")),
        Err(error) => match complaint(&error) {
            Some(complaint) => again(complaint),
            None => asked.fail(error),
        },
    }
}

/// What people are told who may try again.
fn complaint(error: &Error) -> Option<Complaint> {
    match error {
        Error::Exhausted { reason, retry_after, .. } if reason == "TOO_MANY_FAILURES" => {
            Some(Complaint::TooMany(retry_after.unwrap_or(Duration::from_secs(1))))
        }
        Error::Exhausted { .. } | Error::Unavailable { .. } | Error::OutcomeUnknown => {
            Some(Complaint::Unavailable)
        }
        _ => None,
    }
}

impl Asked {
    /// The answer to the first step of a sign-in, or what is to be said on the page.
    pub(super) fn came_to(
        &self,
        outcome: Option<authorize_response::Outcome>,
        headers: &HeaderMap,
    ) -> Result<Response, Complaint> {
        match outcome {
            Some(authorize_response::Outcome::Code(code)) => {
                Ok(self.redirect(&[("code", &code.code)]))
            }
            Some(authorize_response::Outcome::Wrong(_)) => Err(Complaint::Wrong),
            Some(authorize_response::Outcome::SecondFactor(next)) => {
                let enrolment = next.enrolment.as_ref().map(|it| (&*it.secret, &*it.otpauth_uri));
                Ok(self.second_form(headers, &next.ticket, enrolment, None))
            }
            Some(authorize_response::Outcome::Refusal(it)) => {
                Ok(self.refuse(&it.error, &it.description))
            }
            None => Ok(self.fail(Error::internal("identity left its answer empty"))),
        }
    }

    pub(super) fn of(app: &App, query: &str, headers: &HeaderMap) -> Self {
        let mut fields = Fields::parse(query.as_bytes());
        let mut text = |name: &str| fields.take(name).unwrap_or_default();
        let authorization = AuthorizationRequest {
            client_id: text("client_id"),
            redirect_uri: text("redirect_uri"),
            response_type: text("response_type"),
            scope: text("scope"),
            code_challenge: text("code_challenge"),
            code_challenge_method: text("code_challenge_method"),
        };
        let language = Language::of(fields.take("ui_locales").as_deref(), headers);
        let (state, twice) = (fields.take("state"), fields.twice());
        Self {
            authorization,
            state: state.filter(|_| !twice.contains("state")),
            language,
            action: format!("{BASE}/auth/authorize?{query}"),
            external: format!("{BASE}/auth/external?{query}"),
            is_ambiguous: twice.contains("client_id") || twice.contains("redirect_uri"),
            says_twice: !twice.is_empty(),
            issuer: issuer(app, headers),
            is_secure: is_secure(app),
        }
    }

    /// Who asks, if they may; else the answer to the request.
    pub(super) async fn check(&self, guest: &Guest) -> Result<AuthorizingClient, Response> {
        if self.is_ambiguous {
            let error = Error::Malformed {
                reason: "INVALID_REQUEST".into(),
                message: "it says twice who asks or where the answer goes".to_owned(),
            };
            return Err(self.fail(error));
        }
        let authorization = Some(self.authorization.clone());
        let request = CheckAuthorizationRequest { authorization };
        let answer = guest.read(guest.authorizations(), request, |mut it, request| async move {
            it.check_authorization(request).await
        });
        match answer.await.map_err(|error| self.fail(error))?.outcome {
            Some(check_authorization_response::Outcome::Client(_)) if self.says_twice => {
                Err(self.refuse("invalid_request", "a parameter came twice"))
            }
            Some(check_authorization_response::Outcome::Client(client)) => Ok(client),
            Some(check_authorization_response::Outcome::Refusal(it)) => {
                Err(self.refuse(&it.error, &it.description))
            }
            None => Err(self.fail(Error::internal("identity left its answer empty"))),
        }
    }

    pub(super) fn form(
        &self,
        client: &AuthorizingClient,
        headers: &HeaderMap,
        username: &str,
        complaint: Option<Complaint>,
    ) -> Response {
        let token = match FormToken::of(headers, self.is_secure) {
            Ok(token) => token,
            Err(error) => return self.fail(error),
        };
        SignIn {
            language: self.language,
            client: &client.name,
            is_first_party: client.is_first_party,
            may_write: client.scopes.iter().any(|scope| scope == "write"),
            redirect_uri: &self.authorization.redirect_uri,
            action: &self.action,
            token: &token,
            username,
            external: client.external.clone().map(|it| External {
                name: it.name,
                action: self.external.clone(),
                is_plain: it.is_plain,
            }),
            complaint,
        }
        .page()
    }

    fn second_form(
        &self,
        headers: &HeaderMap,
        ticket: &str,
        enrolment: Option<(&str, &str)>,
        complaint: Option<Complaint>,
    ) -> Response {
        let token = match FormToken::of(headers, self.is_secure) {
            Ok(token) => token,
            Err(error) => return self.fail(error),
        };
        SecondStep {
            language: self.language,
            redirect_uri: &self.authorization.redirect_uri,
            action: &self.action,
            token: &token,
            ticket,
            enrolment: enrolment.map(|(secret, otpauth_uri)| Enrolment { secret, otpauth_uri }),
            complaint,
        }
        .page()
    }

    /// Tells the program why there is no code. Only once identity has said that the redirect URI is the client's.
    pub(super) fn refuse(&self, error: &str, description: &str) -> Response {
        self.redirect(&[("error", error), ("error_description", description)])
    }

    /// Sends people back to the program, with its state and, where it is known, our name.
    fn redirect(&self, answer: &[(&str, &str)]) -> Response {
        let Ok(location) = HeaderValue::try_from(self.location(answer)) else {
            return self.fail(Error::internal("a redirect URI stands in no header"));
        };
        let headers = [
            (LOCATION, location),
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        ];
        (StatusCode::SEE_OTHER, headers).into_response()
    }

    fn location(&self, answer: &[(&str, &str)]) -> String {
        let uri = &self.authorization.redirect_uri;
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(answer);
        query.extend_pairs(self.state.as_deref().map(|state| ("state", state)));
        query.extend_pairs(self.issuer.as_deref().map(|issuer| ("iss", issuer)));
        let separator = if uri.contains('?') { '&' } else { '?' };
        format!("{uri}{separator}{}", query.finish())
    }

    /// The page that says that nobody can sign in.
    pub(super) fn fail(&self, error: Error) -> Response {
        let code = error.reason().to_lowercase();
        let status = match error {
            Error::Malformed { .. } | Error::Invalid(_) | Error::Precondition { .. } => {
                StatusCode::BAD_REQUEST
            }
            Error::Unavailable { .. } | Error::Exhausted { .. } | Error::OutcomeUnknown => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            error => {
                tracing::error!(error = format!("{:#}", anyhow::Error::from(error)), "no page");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        sign_in::refusal(self.language, status, &code)
    }
}
