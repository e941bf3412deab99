//! That the document says all, and nothing that is not so.

use super::codes::{CODES, OF_TOKENS, OWN};
use super::*;

fn every() -> BTreeMap<String, Value> {
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
fn every_operation_has_an_id_of_its_own_a_summary_a_description_and_a_tag_that_is_described() {
    let mut ids = BTreeSet::new();
    for (name, operation) in every() {
        assert!(ids.insert(operation["operationId"].to_string()), "{name}");
        for text in ["summary", "description"] {
            assert!(operation[text].as_str().is_some_and(|it| !it.is_empty()), "{name}: {text}");
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(parameter["description"].is_string(), "{name}: {parameter}");
        }
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
    let all = every();
    for (rpc, request, parameters) in proto::QUERIES {
        let name = rpc.rsplit('/').next().unwrap();
        let id = name.chars().fold(String::new(), |mut id, letter| {
            if letter.is_uppercase() && !id.is_empty() {
                id.push('_');
            }
            id.push(letter.to_ascii_lowercase());
            id
        });
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
    for (name, operation) in every() {
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
fn every_collection_is_paged_but_the_rows_of_a_report_and_what_changed() {
    let document = serde_json::to_value(document()).unwrap();
    let schema = |name: &Value| {
        let name = name.as_str().and_then(|it| it.strip_prefix('#'));
        name.and_then(|place| document.pointer(place)).cloned().unwrap_or_default()
    };
    let mut paged = 0;
    for (name, operation) in every() {
        let answer = response(&document, &operation["responses"]["200"]);
        let answer = schema(&answer["content"]["application/json"]["schema"]["$ref"]);
        let Some(path) = name.strip_prefix("get /api/v1/") else { continue };
        if answer["properties"]["items"].is_null() {
            continue;
        }
        let is_paged = !answer["properties"]["next_cursor"].is_null();
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let asked: Vec<_> = parameters.map(|it| it["name"].as_str().unwrap()).collect();
        for parameter in ["limit", "cursor"] {
            assert!(!is_paged || asked.contains(&parameter), "{name}: {parameter}");
        }
        let is_report = path.starts_with("reports/") || path.starts_with("forecast/");
        assert!(is_paged || is_report || path == "sync", "{name} is not paged");
        paged += u32::from(is_paged);
    }
    assert!(paged > 20, "{paged}");
}

/// A response of an operation, where there may be a reference to it.
fn response<'a>(document: &'a Value, response: &'a Value) -> &'a Value {
    let place = response["$ref"].as_str().and_then(|it| it.strip_prefix('#'));
    place.map_or(response, |place| document.pointer(place).unwrap())
}

#[test]
fn every_operation_may_be_asked_too_often() {
    let document = serde_json::to_value(document()).unwrap();
    for (name, operation) in every() {
        let refused = response(&document, &operation["responses"]["429"]);
        for header in ["Retry-After", "RateLimit", "RateLimit-Policy"] {
            assert!(refused["headers"][header].is_object(), "{name}: {header}");
        }
    }
}

#[test]
fn who_finds_a_key_in_use_is_told_when_to_ask_again() {
    let document = serde_json::to_value(document()).unwrap();
    for (name, operation) in every() {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let mut names = parameters.map(|it| &it["name"]);
        let refused = response(&document, &operation["responses"]["409"]);
        let is_told = refused["headers"]["Retry-After"].is_object();
        assert_eq!(is_told, names.any(|it| it == "Idempotency-Key"), "{name}");
    }
}

#[test]
fn every_status_of_a_refusal_is_told_by_its_number_and_with_its_codes() {
    let document = serde_json::to_value(document()).unwrap();
    for (name, operation) in every() {
        let id = operation["operationId"].as_str().unwrap();
        let is_oauth = ["issue_token", "revoke_token"].contains(&id);
        for (status, refusal) in operation["responses"].as_object().unwrap() {
            let number: u16 = status.parse().unwrap();
            if number < 400 {
                continue;
            }
            let refusal = response(&document, refusal);
            let kind = if is_oauth { "application/json" } else { "application/problem+json" };
            assert!(refusal["content"][kind]["schema"].is_object(), "{name}: {status}");
            let told = refusal["description"].as_str().unwrap();
            assert!(told.contains("\n- `"), "{name}: {status}");
        }
    }
}

#[test]
fn every_code_is_one_that_some_operation_may_answer() {
    let mut told = BTreeSet::new();
    let mut document = document();
    for item in document.paths.paths.values_mut() {
        for (method, operation) in super::operations(item) {
            told.extend(refusals::codes(operation, &method));
        }
    }
    for (_, code, meaning) in CODES.iter().chain(OF_TOKENS) {
        assert!(meaning.ends_with('.'), "{code}");
    }
    let codes: BTreeSet<_> = CODES.iter().map(|(_, code, _)| *code).collect();
    assert_eq!(codes.len(), CODES.len(), "a code has one status");
    assert_eq!(codes, told);
    let ids: BTreeSet<_> = every().values().map(|it| it["operationId"].to_string()).collect();
    for id in OWN.iter().flat_map(|(operations, _)| operations.iter()).chain(&NO_API_KEY) {
        assert!(ids.contains(&format!("\"{id}\"")), "{id}");
    }
}

#[test]
fn every_code_is_shown_as_it_was_answered() {
    let recorded = Recorded::read();
    let shown: BTreeSet<_> = recorded.problems.keys().map(String::as_str).collect();
    let codes: BTreeSet<_> = CODES.iter().map(|(_, code, _)| *code).collect();
    assert_eq!(shown, codes);
    for (status, code, _) in CODES {
        assert_eq!(recorded.problems[*code]["status"], *status, "{code}");
        assert_eq!(recorded.problems[*code]["code"], *code);
    }
}

#[test]
fn every_operation_shows_what_it_was_asked_and_answered() {
    let recorded: Recorded = serde_json::from_str(examples::RECORDED).unwrap();
    let mut ids = BTreeSet::new();
    for (name, operation) in every() {
        let id = operation["operationId"].as_str().unwrap();
        ids.insert(id.to_owned());
        let exchanges = recorded.operations.get(id);
        let exchanges = exchanges.unwrap_or_else(|| panic!("{name}: `make examples` lacks it"));
        assert!(exchanges.iter().any(|it| it.status < 300), "{name}");
        for (kind, content) in operation["requestBody"]["content"].as_object().into_iter().flatten()
        {
            assert!(content["examples"].is_object(), "{name}: what is sent as {kind}");
        }
        for (status, response) in operation["responses"].as_object().unwrap() {
            for (kind, content) in response["content"].as_object().into_iter().flatten() {
                let is_answer = status.starts_with('2') && kind != crate::http::download::XLSX;
                let is_shown = content["examples"].is_object();
                assert!(is_shown || !is_answer, "{name}: {status} {kind}");
            }
        }
        for exchange in exchanges {
            let response = &operation["responses"][exchange.status.to_string()];
            assert!(response.is_object(), "{name} answered {}", exchange.status);
        }
    }
    let known: BTreeSet<_> = recorded.operations.keys().cloned().collect();
    assert_eq!(known, ids, "`make examples` has what is not there any more");
}

#[test]
fn the_operations_of_everyday_are_shown_in_chinese_and_in_english() {
    for (name, operation) in every() {
        let main = ["create_opportunity", "change_opportunity_stage", "create_import"];
        let id = operation["operationId"].as_str().unwrap();
        if main.contains(&id) {
            for (kind, content) in operation["requestBody"]["content"].as_object().unwrap() {
                for language in ["zh-TW", "en"] {
                    assert!(content["examples"][language].is_object(), "{name} {kind}: {language}");
                }
            }
        }
        if ["list_opportunities", "get_forecast"].contains(&id) {
            let shown = &operation["responses"]["200"]["content"]["application/json"]["examples"];
            assert!(shown["zh-TW"].is_object() && shown["en"].is_object(), "{name}");
        }
    }
}

#[test]
fn reading_needs_one_scope_and_changing_the_other() {
    for (name, operation) in every() {
        let Some(schemes) = operation["security"].as_array().filter(|it| it.len() > 1) else {
            continue;
        };
        let scope = if name.starts_with("get ") { "read" } else { "write" };
        let code = schemes.iter().find_map(|it| it.get("code")).unwrap();
        assert_eq!(*code, serde_json::json!([scope]), "{name}");
        let takes_keys = schemes.iter().any(|it| it.get("api_key").is_some());
        let id = operation["operationId"].as_str().unwrap();
        assert_eq!(takes_keys, !NO_API_KEY.contains(&id), "{name}");
        let told = operation["description"].as_str().unwrap();
        assert!(takes_keys || told.contains("who signed in"), "{name}: {told}");
    }
}

#[test]
fn only_what_has_to_be_given_is_filled_in_by_those_who_try_it() {
    for (name, operation) in every() {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let is_filled = parameter.get("example").is_some();
            assert_eq!(is_filled, parameter["required"] == true, "{name}: {}", parameter["name"]);
            assert!(parameter["schema"].get("example").is_none(), "{name}: {}", parameter["name"]);
        }
    }
}

#[test]
fn only_signing_in_and_out_needs_no_token() {
    for (name, operation) in every() {
        let open = operation.get("security").is_some_and(|it| it == &serde_json::json!([{}]));
        assert_eq!(open, name.starts_with("post /api/v1/auth/"), "{name}");
    }
}
