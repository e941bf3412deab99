//! Signing in with an external provider: sends people there from the sign-in page, and takes them when they come back.
//!
//! What the form of the page and the browser's cookie have in common is what identity binds the sign-in to, so that who comes back has to be who went.

use axum::extract::{OriginalUri, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{CACHE_CONTROL, LOCATION, REFERRER_POLICY};
use http::{HeaderMap, HeaderValue, StatusCode};
use proto::identity::v1::{
    BeginExternalSignInRequest, FinishExternalSignInRequest, begin_external_sign_in_response,
    finish_external_sign_in_response,
};
use rpc::Error;

use super::authorize::Asked;
use crate::app::App;
use crate::call::Guest;
use crate::http::Fields;
use crate::issuer::is_secure;
use crate::pages::Language;
use crate::pages::external::{Fault, over};
use crate::pages::form_token::{self, FormToken};
use crate::pages::sign_in::{self, Complaint};

/// Sends somebody to the provider, or shows the sign-in page again.
pub async fn begin(
    State(app): State<App>,
    guest: Guest,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let page = uri.query().unwrap_or_default().to_owned();
    let asked = Asked::of(&app, &page, &headers);
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
    let again = |complaint| asked.form(&client, &headers, "", Some(complaint));
    let token = fields.take(form_token::FIELD);
    let Some(browser) = FormToken::shown(&headers, asked.is_secure, token.as_deref()) else {
        return again(Complaint::Stale);
    };
    let authorization = Some(asked.authorization.clone());
    let request = BeginExternalSignInRequest { authorization, page, browser };
    let mut service = guest.external_sign_ins();
    let answer = guest
        .write(request, |request| async move { service.begin_external_sign_in(request).await });
    match answer.await.map(|answer| answer.outcome) {
        Ok(Some(begin_external_sign_in_response::Outcome::Url(url))) => go(&asked, &url),
        Ok(Some(begin_external_sign_in_response::Outcome::Refusal(it))) => {
            asked.refuse(&it.error, &it.description)
        }
        Ok(Some(begin_external_sign_in_response::Outcome::Failure(it))) => {
            again(Complaint::External(Fault::of(&it.reason)))
        }
        Ok(None) => asked.fail(Error::internal("identity left its answer empty")),
        Err(error) if is_passing(&error) => again(Complaint::External(Fault::Unavailable)),
        Err(error) => asked.fail(error),
    }
}

/// Takes somebody who comes back from the provider, and sends them on to the program with a code, or shows the sign-in page again.
pub async fn finish(
    State(app): State<App>,
    guest: Guest,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Response {
    let language = Language::of(None, &headers);
    let mut fields = Fields::parse(uri.query().unwrap_or_default().as_bytes());
    let is_ambiguous = !fields.twice().is_empty();
    let state = fields.take("state").filter(|_| !is_ambiguous);
    // Who has no cookie of ours did not begin here.
    let browser = FormToken::browser(&headers, is_secure(&app));
    let (Some(state), Some(browser)) = (state, browser) else {
        return over(language);
    };
    let [code, error] = ["code", "error"].map(|name| fields.take(name).unwrap_or_default());
    let issuer = fields.take("iss");
    let request = FinishExternalSignInRequest { state, code, error, issuer, browser };
    let mut service = guest.external_sign_ins();
    let answer = guest
        .write(request, |request| async move { service.finish_external_sign_in(request).await });
    let answer = match answer.await {
        Ok(answer) => answer,
        Err(error) if error.reason() == "SIGN_IN_UNKNOWN" => return over(language),
        Err(error) => return Asked::of(&app, "", &headers).fail(error),
    };
    let asked = Asked::of(&app, &answer.page, &headers);
    // Nobody is sent to the program before it is known to be its address.
    let client = match asked.check(&guest).await {
        Ok(client) => client,
        Err(answer) => return answer,
    };
    let complaint = match answer.outcome {
        Some(finish_external_sign_in_response::Outcome::SignedIn(signed_in)) => {
            match asked.came_to(signed_in.outcome, &headers) {
                Ok(answer) => return answer,
                Err(complaint) => complaint,
            }
        }
        Some(finish_external_sign_in_response::Outcome::Failure(it)) => {
            Complaint::External(Fault::of(&it.reason))
        }
        None => return asked.fail(Error::internal("identity left its answer empty")),
    };
    asked.form(&client, &headers, "", Some(complaint))
}

/// To the provider, which learns nothing of where from.
fn go(asked: &Asked, url: &str) -> Response {
    let Ok(location) = HeaderValue::try_from(url) else {
        return asked.fail(Error::internal("the provider's address stands in no header"));
    };
    let headers = [
        (LOCATION, location),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}

fn is_passing(error: &Error) -> bool {
    matches!(error, Error::Exhausted { .. } | Error::Unavailable { .. } | Error::OutcomeUnknown)
}
