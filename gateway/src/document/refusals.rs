//! What each operation may refuse, with which statuses and codes: as the document says it, and as nothing else is answered.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use http::{Method, StatusCode};
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::schema::Type;
use utoipa::openapi::{
    Content, ContentBuilder, Header, HeaderBuilder, ObjectBuilder, Ref, RefOr, Response,
    ResponseBuilder,
};

use super::codes::{CODES, OF_TOKENS, OWN};
use super::examples::Recorded;

/// What a refusal with that status says, whichever its code is.
const STATUSES: [(u16, &str); 13] = [
    (400, "It cannot be read."),
    (401, "Nobody is signed in, or not any more."),
    (403, "The caller is known, and may not do this."),
    (404, "There is no such thing, or the caller may not see it."),
    (408, "It took too long to arrive."),
    (409, "Something is in the way; `about` tells what the caller may know of it."),
    (
        412,
        "`If-Match` does not name the present version; `about` tells which it is where there is one.",
    ),
    (413, "The body is longer than what is read."),
    (415, "The body is of a kind that is not read."),
    (422, "It can be read, and is not valid; `errors` names every bad field."),
    (429, "There were too many requests; nothing was done."),
    (500, "A fault of ours. It was written down under the request id."),
    (503, "A part of the system is not available, or does not answer in time."),
];

/// Alike wherever they are documented, so that the document says them once.
const EVERYWHERE: [u16; 6] = [401, 408, 413, 415, 500, 503];

/// What every operation may answer.
const ALWAYS: [&str; 5] = ["malformed", "invalid", "rate_limited", "internal", "unavailable"];
/// What every one may that needs a token.
const SIGNED_IN: [&str; 7] = [
    "token_missing",
    "token_invalid",
    "token_expired",
    "token_revoked",
    "api_key_invalid",
    "api_key_expired",
    "api_key_revoked",
];
/// What every one may that reads a body.
const BODY: [&str; 3] = ["timeout", "too_large", "unsupported_media_type"];

/// Of the conflicts the one that passes by itself.
const IN_USE: &str = "idempotency_key_in_use";

/// The operations that answer failures as RFC 6749 section 5.2 says.
const OAUTH: [&str; 2] = ["issue_token", "revoke_token"];

/// Documents every refusal of the operation. What many have alike goes to `shared`, by name, and is referred to.
pub(super) fn describe(
    operation: &mut Operation,
    method: &Method,
    recorded: &Recorded,
    shared: &mut BTreeMap<String, RefOr<Response>>,
) {
    let id = operation.operation_id.clone().unwrap_or_default();
    let is_oauth = OAUTH.contains(&&*id);
    let all = if is_oauth { oauth(&id) } else { problems(operation, method) };
    for (status, codes) in all {
        let own = recorded.refusals(&id, status);
        let response = if is_oauth {
            response(status, &codes, "application/json", "TokenFailure", own).into()
        } else if own.is_empty() || EVERYWHERE.contains(&status) {
            let name = codes.iter().fold(format!("problem-{status}"), |name, (code, _)| {
                if EVERYWHERE.contains(&status) { name } else { name + "-" + code }
            });
            // Of a read nobody has to ask what became of it.
            let is_read = status == 503 && codes.len() == 1;
            let name = if is_read { format!("{name}-read") } else { name };
            let examples = codes.iter().filter_map(|(code, _)| recorded.problem(code));
            let examples = examples.collect();
            shared.entry(name.clone()).or_insert_with(|| problem(status, &codes, examples).into());
            RefOr::Ref(Ref::new(format!("#/components/responses/{name}")))
        } else {
            let told = |code: &str| own.iter().any(|(name, _)| name.starts_with(code));
            let others = codes.iter().filter(|(code, _)| !told(code));
            let others: Vec<_> = others.filter_map(|(code, _)| recorded.problem(code)).collect();
            problem(status, &codes, own.into_iter().chain(others).collect()).into()
        };
        operation.responses.responses.insert(status.to_string(), response);
    }
}

/// Every code that an operation may answer, beside those of the token endpoint.
pub(super) fn codes(operation: &Operation, method: &Method) -> BTreeSet<&'static str> {
    let id = operation.operation_id.as_deref().unwrap_or_default();
    let mut codes = BTreeSet::from(ALWAYS);
    let is_signed_in = !super::is_open(operation);
    let is_write = *method != Method::GET;
    if is_signed_in {
        codes.extend(SIGNED_IN);
    }
    if is_write {
        codes.insert("outcome_unknown");
    }
    if is_write && is_signed_in {
        codes.extend(["denied", "scope"]);
    }
    if operation.request_body.is_some() {
        codes.extend(BODY);
    }
    for parameter in operation.parameters.iter().flatten() {
        let RefOr::T(parameter) = parameter else { continue };
        match (&parameter.parameter_in, parameter.name.as_str()) {
            (ParameterIn::Path, _) => codes.insert("not_found"),
            (ParameterIn::Header, "If-Match") => codes.insert("stale"),
            (ParameterIn::Header, "Idempotency-Key") => codes.insert(IN_USE),
            (ParameterIn::Query, "cursor" | "since") => codes.insert("cursor_invalid"),
            _ => false,
        };
    }
    let own = OWN.iter().filter(|(operations, _)| operations.contains(&id));
    codes.extend(own.flat_map(|(_, codes)| codes.iter().copied()));
    codes
}

type ByStatus = BTreeMap<u16, Vec<(&'static str, &'static str)>>;

fn problems(operation: &Operation, method: &Method) -> ByStatus {
    let mut all = ByStatus::new();
    let codes = codes(operation, method);
    for (status, code, meaning) in CODES.iter().filter(|(_, code, _)| codes.contains(code)) {
        all.entry(*status).or_default().push((code, meaning));
    }
    all
}

fn oauth(id: &str) -> ByStatus {
    let mut all = ByStatus::new();
    for (status, code, meaning) in OF_TOKENS {
        let is_others = matches!(
            (id, *code),
            ("revoke_token", "unsupported_grant_type" | "invalid_scope" | "unauthorized_client")
                | ("issue_token", "unsupported_token_type")
        );
        if !is_others {
            all.entry(*status).or_default().push((code, meaning));
        }
    }
    all
}

fn problem(
    status: u16,
    codes: &[(&str, &str)],
    examples: Vec<(String, RefOr<utoipa::openapi::example::Example>)>,
) -> Response {
    response(status, codes, "application/problem+json", "Problem", examples)
}

fn response(
    status: u16,
    codes: &[(&str, &str)],
    media_type: &str,
    schema: &str,
    examples: Vec<(String, RefOr<utoipa::openapi::example::Example>)>,
) -> Response {
    let said = STATUSES.iter().find(|(known, _)| *known == status);
    let mut description = said.map_or("", |(_, said)| said).to_owned();
    let member = if schema == "Problem" { "code" } else { "error" };
    let _ = write!(description, "\n\n`{member}` is one of:\n");
    for (code, meaning) in codes {
        let _ = write!(description, "\n- `{code}`: {meaning}");
    }
    let content: Content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(schema)))
        .examples_from_iter(examples)
        .build();
    let mut response =
        ResponseBuilder::new().description(description).content(media_type, content).build();
    for (name, header) in headers(status, codes) {
        response.headers.insert(name.to_owned(), header.into());
    }
    response
}

/// What comes with a refusal of that status, and those codes.
fn headers(status: u16, codes: &[(&str, &str)]) -> Vec<(&'static str, Header)> {
    let header = |kind, description: &str| {
        let schema = ObjectBuilder::new().schema_type(kind).build();
        HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build()
    };
    let retry_after =
        || ("Retry-After", header(Type::Integer, "Seconds after which to try again."));
    match StatusCode::from_u16(status) {
        Ok(StatusCode::UNAUTHORIZED) => vec![(
            "WWW-Authenticate",
            header(
                Type::String,
                "By which scheme; with `error` where a token came that is not good.",
            ),
        )],
        Ok(StatusCode::TOO_MANY_REQUESTS) => vec![
            retry_after(),
            ("RateLimit", header(Type::String, "What is left: `\"default\";r=0;t=1`.")),
            ("RateLimit-Policy", header(Type::String, "What there is: `\"default\";q=200;w=2`.")),
        ],
        Ok(StatusCode::SERVICE_UNAVAILABLE) => vec![retry_after()],
        Ok(StatusCode::CONFLICT) if codes.iter().any(|(code, _)| *code == IN_USE) => {
            vec![retry_after()]
        }
        _ => Vec::new(),
    }
}
