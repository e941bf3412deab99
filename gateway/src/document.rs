//! The OpenAPI document: routes from the handlers, messages from the contract.

mod codes;
mod examples;
mod refusals;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::sync::LazyLock;

use anyhow::Result;
use bytes::Bytes;
use http::Method;
use serde_json::Value;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn, PathItem};
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, AuthorizationCode, Flow, HttpAuthScheme, HttpBuilder, OAuth2, Password,
    Scopes, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, PathsBuilder, RefOr,
    Required, Response, Schema,
};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;

use self::examples::Recorded;
use crate::http::{FieldError, ProblemDocument};
use crate::rest::imports::ImportForm;
use crate::rest::token::{RevocationForm, TokenFailure, TokenForm};
use crate::router;

const DESCRIPTION: &str = "The sales funnel of a team: opportunities and their history, what will close, what is stuck.\n\n\
Sign in with **Authorize** (e-mail address and password), or send `Authorization: Bearer <access token or API key>`, or \
`X-API-Key: <API key>`. Amounts are numbers with at most two \
decimals, exact. Days are `YYYY-MM-DD`, instants RFC 3339 in UTC. Collections are pages of `items`; pass `next_cursor` as `cursor` for the \
next one. Every failure is an `application/problem+json` document whose `code` does not change; unknown fields and parameters are errors. \
Every answer carries `X-Request-Id`. Where there is a limit on how much a caller may ask, every answer says in `RateLimit` how many requests are \
left (`r`) and in how many seconds all are there again (`t`; of a 429 one more), and in `RateLimit-Policy` how many there are (`q`).";

const TAGS: [(&str, &str); 17] = [
    ("auth", "Signing in, and API keys for programs."),
    ("pipeline", "Pipelines, their stages, and the funnel as it stands."),
    ("opportunities", "What may be sold, to whom, for how much, and how far it has come."),
    ("imports", "Files of opportunities that are brought in."),
    ("activities", "What was done, is to be done and was said about an opportunity."),
    ("customers", "Who may buy, and the people there."),
    ("sync", "What changed, for who keeps a copy."),
    ("currencies", "What other currencies are worth in the organisation's."),
    ("forecast", "What will have been won in a period."),
    ("reports", "Numbers that agree with the opportunities that they are made of, to the cent."),
    ("notifications", "What the caller is told of."),
    ("users", "The people who use the product."),
    ("teams", "Their teams."),
    ("settings", "What holds for the whole organisation."),
    ("audit", "Who changed what, when, from what to what."),
    ("dead letters", "Events that a service could not apply and put aside."),
    ("clients", "Programs that are given tokens (OAuth)."),
];

/// By which a caller may show who they are.
const SCHEMES: [&str; 4] = ["password", "code", "bearer", "api_key"];

/// Only for who signed in: no API key will do.
const NO_API_KEY: [&str; 15] = [
    "create_user",
    "invite_user",
    "change_password",
    "end_session",
    "end_user_sessions",
    "create_api_key",
    "revoke_api_key",
    "create_client",
    "delete_client",
    "get_second_factor",
    "begin_second_factor",
    "confirm_second_factor",
    "replace_recovery_codes",
    "disable_second_factor",
    "reset_second_factor",
];

/// The document as it is served, made once.
static SERVED: LazyLock<Bytes> = LazyLock::new(|| {
    // Plain data: nothing in it can fail.
    serde_json::to_vec(&document()).unwrap_or_default().into()
});

/// The document as it is served.
pub fn served() -> Bytes {
    SERVED.clone()
}

/// The whole document.
pub fn document() -> OpenApi {
    let license = LicenseBuilder::new().name("MIT").identifier(Some("MIT")).build();
    let info = InfoBuilder::new()
        .title("Sales Pipeline Manager")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(license))
        .build();
    let tags = TAGS.map(|(name, description)| {
        utoipa::openapi::tag::TagBuilder::new().name(name).description(Some(description)).build()
    });
    let base = OpenApiBuilder::new().info(info).paths(PathsBuilder::new()).tags(Some(tags)).build();
    let (_, mut document) =
        OpenApiRouter::with_openapi(base).nest(router::BASE, router::api()).split_for_parts();
    let recorded = Recorded::read();
    let mut refusals = BTreeMap::new();
    for item in document.paths.paths.values_mut() {
        for (method, operation) in operations(item) {
            secure(operation, &method);
            bound(operation);
            refusals::describe(operation, &method, &recorded, &mut refusals);
            recorded.fill(operation);
        }
    }
    document.components = Some(components(&document, refusals, &recorded));
    document
}

/// The operations of a path.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    let all = [
        (Method::GET, get),
        (Method::PUT, put),
        (Method::POST, post),
        (Method::DELETE, delete),
        (Method::PATCH, patch),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

/// Whether an operation needs no token.
fn is_open(operation: &Operation) -> bool {
    operation.security.as_ref().is_some_and(|it| *it == [SecurityRequirement::default()])
}

/// By what a caller shows that they may: with which scope, where the scheme has scopes.
fn secure(operation: &mut Operation, method: &Method) {
    if is_open(operation) {
        return;
    }
    let id = operation.operation_id.as_deref().unwrap_or_default();
    let takes_keys = !NO_API_KEY.contains(&id);
    let scope = if *method == Method::GET { "read" } else { "write" };
    let required = SCHEMES.iter().filter(|scheme| takes_keys || **scheme != "api_key");
    let required = required.map(|scheme| match *scheme {
        "code" => SecurityRequirement::new(*scheme, [scope]),
        scheme => SecurityRequirement::new::<_, [&str; 0], &str>(scheme, []),
    });
    operation.security = Some(required.collect());
}

/// What holds of a parameter of that name wherever there is one: ids are positive, keys and tags have a form. A body that is read has to come.
fn bound(operation: &mut Operation) {
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        body.required = Some(Required::True);
    }
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(Parameter { name, parameter_in, schema: Some(RefOr::T(schema)), .. }) =
            parameter
        else {
            continue;
        };
        let Schema::Object(schema) = schema else { continue };
        match (&*parameter_in, name.as_str()) {
            (ParameterIn::Header, "Idempotency-Key") => {
                (schema.min_length, schema.max_length) = (Some(1), Some(255));
                schema.pattern = Some("^[!-~]+$".to_owned());
            }
            (ParameterIn::Header, "If-Match") => {
                schema.pattern = Some("^(\\*|\"v[0-9]{1,18}\")$".to_owned());
            }
            (ParameterIn::Path, _) if schema.schema_type == SchemaType::Type(Type::Integer) => {
                schema.minimum = Some(1.into());
            }
            _ => {}
        }
    }
}

/// Prints the document, as the command `openapi` does.
pub fn print() -> Result<()> {
    writeln!(std::io::stdout(), "{}", document().to_pretty_json()?)?;
    Ok(())
}

fn components(
    document: &OpenApi,
    refusals: BTreeMap<String, RefOr<Response>>,
    recorded: &Recorded,
) -> utoipa::openapi::Components {
    let mut all = proto::schemas();
    all.extend([
        schema::<ProblemDocument>(),
        schema::<FieldError>(),
        schema::<TokenForm>(),
        schema::<RevocationForm>(),
        schema::<TokenFailure>(),
        schema::<ImportForm>(),
    ]);
    let mut needed = BTreeSet::new();
    let paths = serde_json::to_value(&document.paths).unwrap_or_default();
    need(&paths, &all, &mut needed);
    need(&serde_json::to_value(&refusals).unwrap_or_default(), &all, &mut needed);
    let schemas = all.into_iter().filter(|(name, _)| needed.contains(name));
    let token_url = format!("{}/auth/token", router::BASE);
    let password = Password::new(&token_url, Scopes::new());
    let scopes = [("read", "Read what you can see."), ("write", "Change it in your name.")];
    let page = format!("{}/auth/authorize", router::BASE);
    let code = AuthorizationCode::new(page, token_url, Scopes::from_iter(scopes));
    let mut components = ComponentsBuilder::new()
        .schemas_from_iter(schemas)
        .security_scheme(
            "password",
            SecurityScheme::OAuth2(OAuth2::with_description(
                [Flow::Password(password)],
                "Signs in with an e-mail address and a password.",
            )),
        )
        .security_scheme(
            "code",
            SecurityScheme::OAuth2(OAuth2::with_description(
                [Flow::AuthorizationCode(code)],
                "Signs in on the sign-in page, as programs have people do.",
            )),
        )
        .security_scheme(
            "bearer",
            SecurityScheme::Http(
                HttpBuilder::new()
                    .scheme(HttpAuthScheme::Bearer)
                    .bearer_format("JWT")
                    .description(Some("An access token, or an API key."))
                    .build(),
            ),
        )
        .security_scheme(
            "api_key",
            SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(
                "X-API-Key",
                "An API key. It may come as a bearer token, too; both at once have to be the same.",
            ))),
        )
        .build();
    components.responses = refusals;
    components.examples = recorded.problems();
    components
}

fn schema<T: ToSchema + PartialSchema>() -> (String, RefOr<Schema>) {
    (T::name().into_owned(), T::schema())
}

/// Notes every schema that is referred to, and what that refers to.
fn need(value: &Value, all: &[(String, RefOr<Schema>)], needed: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(target)) = members.get("$ref") {
                let Some(name) = target.strip_prefix("#/components/schemas/") else { return };
                if needed.insert(name.to_owned())
                    && let Some((_, schema)) = all.iter().find(|(known, _)| known == name)
                {
                    need(&serde_json::to_value(schema).unwrap_or_default(), all, needed);
                }
            }
            members.values().for_each(|member| need(member, all, needed));
        }
        Value::Array(items) => items.iter().for_each(|item| need(item, all, needed)),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
