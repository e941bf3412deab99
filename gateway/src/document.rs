//! The OpenAPI document: routes from the handlers, messages from the contract.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::Value;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn, PathItem};
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, AuthorizationCode, Flow, HttpAuthScheme, HttpBuilder, OAuth2, Password,
    Scopes, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    ComponentsBuilder, HeaderBuilder, InfoBuilder, LicenseBuilder, ObjectBuilder, OpenApi,
    OpenApiBuilder, PathsBuilder, RefOr, Required, Schema,
};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;

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
    let signed_in = ["password", "code", "bearer", "api_key"]
        .map(|scheme| SecurityRequirement::new::<_, [&str; 0], &str>(scheme, []));
    let base = OpenApiBuilder::new()
        .info(info)
        .paths(PathsBuilder::new())
        .tags(Some(tags))
        .security(Some(signed_in))
        .build();
    let (_, mut document) =
        OpenApiRouter::with_openapi(base).nest(router::BASE, router::api()).split_for_parts();
    for item in document.paths.paths.values_mut() {
        let PathItem { get, put, post, delete, patch, .. } = item;
        for operation in [get, put, post, delete, patch].into_iter().flatten() {
            limit(operation);
            bound(operation);
        }
    }
    document.components = Some(components(&document));
    document
}

/// Every operation may be refused for what its caller has asked before, in the form of its other refusals.
fn limit(operation: &mut Operation) {
    let Some(RefOr::T(mut refused)) = operation.responses.responses.get("4XX").cloned() else {
        return;
    };
    "There were too many requests; nothing was done.".clone_into(&mut refused.description);
    let header = |kind, description: &str| {
        let schema = ObjectBuilder::new().schema_type(kind).build();
        HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build()
    };
    for (name, kind, description) in [
        ("Retry-After", Type::Integer, "Seconds after which to try again."),
        ("RateLimit", Type::String, "What is left: `\"default\";r=0;t=1`."),
        ("RateLimit-Policy", Type::String, "What there is: `\"default\";q=200;w=2`."),
    ] {
        refused.headers.insert(name.to_owned(), header(kind, description).into());
    }
    operation.responses.responses.insert("429".to_owned(), refused.into());
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
#[expect(clippy::print_stdout, reason = "the command's answer")]
pub fn print() -> Result<()> {
    println!("{}", document().to_pretty_json()?);
    Ok(())
}

fn components(document: &OpenApi) -> utoipa::openapi::Components {
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
    let schemas = all.into_iter().filter(|(name, _)| needed.contains(name));
    let token_url = format!("{}/auth/token", router::BASE);
    let password = Password::new(&token_url, Scopes::new());
    let scopes = [("read", "Read what you can see."), ("write", "Change it in your name.")];
    let page = format!("{}/auth/authorize", router::BASE);
    let code = AuthorizationCode::new(page, token_url, Scopes::from_iter(scopes));
    ComponentsBuilder::new()
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
        .build()
}

fn schema<T: ToSchema + PartialSchema>() -> (String, RefOr<Schema>) {
    (T::name().into_owned(), T::schema())
}

/// Notes every schema that is referred to, and what that refers to.
fn need(value: &Value, all: &[(String, RefOr<Schema>)], needed: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(target)) = members.get("$ref") {
                let name = target.trim_start_matches("#/components/schemas/");
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
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn operations() -> BTreeMap<String, Value> {
        let document = serde_json::to_value(document()).unwrap();
        let mut all = BTreeMap::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                all.insert(format!("{method} {path}"), operation.clone());
            }
        }
        all
    }

    #[test]
    fn every_operation_has_an_id_of_its_own_a_summary_and_a_tag_that_is_described() {
        let mut ids = BTreeSet::new();
        for (name, operation) in operations() {
            assert!(ids.insert(operation["operationId"].to_string()), "{name}");
            assert!(operation["summary"].as_str().is_some_and(|it| !it.is_empty()), "{name}");
            let tag = operation["tags"][0].as_str().unwrap();
            assert!(TAGS.iter().any(|(known, _)| *known == tag), "{name}: {tag}");
        }
    }

    #[test]
    fn whatever_is_referred_to_is_there() {
        let document = serde_json::to_value(document()).unwrap();
        let there = document["components"]["schemas"].as_object().unwrap();
        let mut needed = BTreeSet::new();
        need(&document, &[], &mut needed);
        for name in needed {
            assert!(there.contains_key(&name), "{name}");
        }
        assert!(!there.contains_key("ImportHistoryRequest"), "it is for services alone");
    }

    #[test]
    fn a_route_that_reads_a_query_documents_every_parameter() {
        for (rpc, request, parameters) in proto::QUERIES {
            let name = rpc.rsplit('/').next().unwrap();
            let id = name.chars().fold(String::new(), |mut id, letter| {
                if letter.is_uppercase() && !id.is_empty() {
                    id.push('_');
                }
                id.push(letter.to_ascii_lowercase());
                id
            });
            let all = operations();
            let Some(operation) = all.values().find(|it| it["operationId"] == *id) else {
                continue;
            };
            for parameter in *parameters {
                let documented = operation["parameters"].as_array().unwrap();
                assert!(
                    documented.iter().any(|it| it["name"] == *parameter),
                    "{id} does not document `{parameter}` of {request}"
                );
            }
        }
    }

    #[test]
    fn what_is_read_of_a_request_is_in_the_document_with_its_bounds() {
        let mut without_body = Vec::new();
        for (name, operation) in operations() {
            let reads = !name.starts_with("get ") && !name.starts_with("delete ");
            match &operation["requestBody"] {
                Value::Null if reads => without_body.push(name.clone()),
                Value::Null => {}
                body => assert_eq!(body["required"], true, "{name}"),
            }
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let (called, schema) = (parameter["name"].as_str().unwrap(), &parameter["schema"]);
                let is_id = parameter["in"] == "path" && schema["type"] == "integer";
                assert!(!is_id || schema["minimum"] == 1, "{name}: {called}");
                let is_tag = called == "If-Match" || called == "Idempotency-Key";
                assert!(!is_tag || schema["pattern"].is_string(), "{name}: {called}");
                assert!(called != "limit" || schema["maximum"] == 200, "{name}: {called}");
            }
        }
        assert_eq!(
            without_body,
            [
                "post /api/v1/activities/{id}/restore",
                "post /api/v1/contacts/{id}/erase",
                "post /api/v1/customers/{id}/restore",
                "post /api/v1/imports/{id}/undo",
                "post /api/v1/opportunities/{id}/restore",
                "post /api/v1/users/{id}/invitation",
                "put /api/v1/dead-letters/{service}/replay",
                "put /api/v1/dead-letters/{service}/{id}/replay",
                "put /api/v1/teams/{id}/members/{user_id}",
            ]
        );
    }

    #[test]
    fn every_operation_may_be_asked_too_often() {
        for (name, operation) in operations() {
            let refused = &operation["responses"]["429"];
            for header in ["Retry-After", "RateLimit", "RateLimit-Policy"] {
                assert!(refused["headers"][header].is_object(), "{name}: {header}");
            }
            assert_eq!(refused["content"], operation["responses"]["4XX"]["content"], "{name}");
        }
    }

    #[test]
    fn only_signing_in_and_out_needs_no_token() {
        for (name, operation) in operations() {
            let open = operation.get("security").is_some_and(|it| it == &serde_json::json!([{}]));
            assert_eq!(open, name.starts_with("post /api/v1/auth/"), "{name}");
        }
    }
}
