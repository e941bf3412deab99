//! Everything that can be wrong with a request, and how it is told.

use local::StackOptions;
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::World;

#[tokio::test]
async fn whatever_is_wrong_with_a_request_is_told_in_a_problem_document() {
    let world = World::start(StackOptions::default()).await;
    who_is_not_signed_in_is_told_how_to(&world).await;
    what_cannot_be_parsed_is_malformed(&world).await;
    every_bad_field_is_named_at_once(&world).await;
    a_value_that_its_type_cannot_hold_is_named_with_what_else_is_bad(&world).await;
    no_bad_value_is_taken(&world).await;
    no_bad_value_of_a_query_is_taken(&world).await;
    unknown_fields_and_parameters_are_errors(&world).await;
    what_is_not_there_is_not_found(&world).await;
    the_protocol_is_kept(&world).await;
    every_answer_has_a_request_id(&world).await;
    the_token_endpoint_speaks_as_its_rfc_says(&world).await;
}

async fn who_is_not_signed_in_is_told_how_to(world: &World) {
    for (path, method) in [
        ("/pipeline/overview", Method::GET),
        ("/opportunities", Method::GET),
        ("/opportunities", Method::POST),
        ("/opportunities/1/stage", Method::PATCH),
        ("/forecast", Method::GET),
        ("/notifications", Method::GET),
        ("/users", Method::GET),
    ] {
        let refused = world.nobody.send(method.clone(), path, &[], "").await;
        assert_eq!(refused.problem(), (401, "token_missing"), "{method} {path}");
        let challenge = refused.header("www-authenticate");
        assert!(challenge.starts_with("Bearer realm="), "{challenge}");
        assert!(!challenge.contains("error"), "nothing was wrong with a token: {challenge}");
    }
    let cut = format!("{}x", world.admin.token().unwrap());
    for token in ["x", "a.b.c", "", &cut] {
        let refused = world.nobody.with_token(token).get("/opportunities").await;
        assert_eq!(refused.problem().0, 401, "{token}");
        assert!(refused.header("www-authenticate").starts_with("Bearer "), "{token}");
    }
    let basic = [("authorization", "Basic YTpi")];
    let refused = world.nobody.send(Method::GET, "/opportunities", &basic, "").await;
    assert_eq!(refused.problem().0, 401);
}

async fn what_cannot_be_parsed_is_malformed(world: &World) {
    for body in ["{", "{\"a\":}", "nonsense", "{} {}", "{\"amount\":1,}"] {
        let refused = world.admin.send(Method::POST, "/opportunities", &[], body).await;
        assert_eq!(refused.problem(), (400, "malformed"), "{body}");
    }
    let json = [("content-type", "application/json")];
    let empty = world.admin.send(Method::POST, "/opportunities", &json, "").await;
    assert_eq!(empty.problem(), (400, "malformed"));
    let no_text = world.admin.get("/opportunities?tag=%FF").await;
    assert_eq!(no_text.problem(), (400, "malformed"));
    let history = format!("/opportunities/{}/history", world.some_opportunity().await);
    for list in ["/opportunities", "/users", "/teams", "/notifications", "/audit", &history] {
        for cursor in ["nonsense", "eyJsIjoxLCJrIjpudWxsLCJpIjoxfQ", "%20", "AAAA"] {
            let refused = world.admin.get(&format!("{list}?cursor={cursor}")).await;
            assert_eq!(refused.problem(), (400, "cursor_invalid"), "{list} {cursor}");
        }
    }
}

async fn every_bad_field_is_named_at_once(world: &World) {
    let body = json!({
        "opportunity_name": " ", "stage": "nowhere", "amount": -1, "probability": 101,
        "contact_email": "nobody", "currency": "XXY", "source": "x".repeat(256), "tags": [""],
        "notes": "x".repeat(20_001), "pipeline_id": 1,
    });
    let refused = world.admin.post("/opportunities", &body).await;
    assert_eq!(refused.problem(), (422, "invalid"));
    assert_eq!(
        refused.bad_fields(),
        [
            ("amount", "out_of_range"),
            ("contact_email", "invalid_email"),
            ("currency", "unknown_currency"),
            ("customer_name", "required"),
            ("notes", "too_long"),
            ("opportunity_name", "required"),
            ("probability", "out_of_range"),
            ("source", "too_long"),
            ("stage", "unknown_stage"),
            ("tags[0]", "required"),
        ]
    );
    let types = r#"{"opportunity_name":1,"amount":0.001,"probability":"x","expected_close_date":"2025-02-30","products":"a","colour":"red"}"#;
    let refused = world.admin.send(Method::POST, "/opportunities", &[], types).await;
    assert_eq!(
        refused.bad_fields(),
        [
            ("amount", "too_many_decimals"),
            ("colour", "unknown_field"),
            ("expected_close_date", "invalid_date"),
            ("opportunity_name", "wrong_type"),
            ("probability", "wrong_type"),
            ("products", "wrong_type"),
        ]
    );
    let query = "/opportunities?limit=0&sort_by=colour&order=up&stage=nowhere&created_from=today";
    let refused = world.admin.get(query).await;
    assert_eq!(
        refused.bad_fields(),
        [
            ("created_from", "invalid_date"),
            ("limit", "out_of_range"),
            ("order", "unknown_value"),
            ("sort_by", "unknown_value"),
            ("stage", "unknown_stage"),
        ]
    );
    let query = "/opportunities?limit=0&status=x&min_amount=0.001&sort_by=colour";
    let refused = world.admin.get(query).await;
    assert_eq!(
        refused.bad_fields(),
        [
            ("limit", "out_of_range"),
            ("min_amount", "too_many_decimals"),
            ("sort_by", "unknown_value"),
            ("status[0]", "unknown_value"),
        ]
    );
    let id = world.some_opportunity().await;
    let path = format!("/opportunities/{id}/stage");
    let step = json!({"stage": "won", "probability": 50, "lost_reason": "x", "actual_close_date": "9999-12-31"});
    let refused = world.admin.patch(&path, &step).await;
    assert_eq!(
        refused.bad_fields(),
        [
            ("actual_close_date", "in_the_future"),
            ("lost_reason", "not_lost"),
            ("probability", "fixed_by_stage"),
        ]
    );
    let found = world.admin.get(&format!("/opportunities/{id}")).await;
    assert_eq!(json!([found.body["stage_key"], found.body["version"]]), json!(["lead", 1]));
}

async fn a_value_that_its_type_cannot_hold_is_named_with_what_else_is_bad(world: &World) {
    let body = json!({
        "customer_name": "", "opportunity_name": "", "amount": 0.001, "probability": 500,
        "expected_close_date": "2026-02-30", "forecast_category": "x",
        "line_items": [{"name": "", "unit_price": 1.001}],
    });
    let refused = world.admin.post("/opportunities", &body).await;
    assert_eq!(
        refused.bad_fields(),
        [
            ("amount", "too_many_decimals"),
            ("customer_name", "required"),
            ("expected_close_date", "invalid_date"),
            ("forecast_category", "unknown_value"),
            ("line_items[0].name", "required"),
            ("line_items[0].unit_price", "too_many_decimals"),
            ("opportunity_name", "required"),
            ("probability", "out_of_range"),
        ]
    );
    let body = json!({"email": "bad", "username": "", "role": "boss", "password": "x"});
    let refused = world.admin.post("/users", &body).await;
    assert_eq!(
        refused.bad_fields(),
        [
            ("email", "invalid_email"),
            ("password", "too_short"),
            ("role", "unknown_value"),
            ("username", "required"),
        ]
    );
    let id = world.some_opportunity().await;
    let step = json!({"stage": "won", "probability": 50, "actual_close_date": "2026-02-30"});
    let refused = world.admin.patch(&format!("/opportunities/{id}/stage"), &step).await;
    let told = [("actual_close_date", "invalid_date"), ("probability", "fixed_by_stage")];
    assert_eq!(refused.bad_fields(), told);
    let updates = json!({"updates": [
        {"id": id, "expected_close_date": "2026-02-30", "probability": 101},
        {"id": id, "expected_close_date": "2026-02-28"},
    ]});
    let done = world.admin.post("/opportunities/bulk", &updates).await;
    let statuses = [&done.body["results"][0]["status"], &done.body["results"][1]["status"]];
    assert_eq!(json!([statuses, done.body["failed"]]), json!([[422, 200], 1]));
    let errors = done.body["results"][0]["error"]["errors"].as_array().unwrap().iter();
    let fields: Vec<_> = errors.map(|it| it["field"].as_str().unwrap()).collect();
    assert_eq!(fields, ["expected_close_date", "probability"]);
    // What one may not see is not there, whatever is asked of it.
    let nowhere = world.admin.patch("/opportunities/999999", &json!({"amount": 0.001})).await;
    assert_eq!(nowhere.problem(), (404, "not_found"));
}

/// A service is asked about bad values, too, as ones that nobody takes: here is everything else good, and still nothing happens.
async fn no_bad_value_is_taken(world: &World) {
    let (admin, id) = (&world.admin, world.some_opportunity().await);
    let activity = json!({"activity_type": "note", "subject": "A"});
    let activities = format!("/opportunities/{id}/activities");
    let activity_id = admin.post(&activities, &activity).await.body["id"].clone();
    let user = json!({"email": "x@example.com", "username": "X", "password": "long enough"});
    let made = admin.post("/users", &user).await;
    let user_id = made.body["id"].clone();
    let opportunity = json!({"customer_name": "A", "opportunity_name": "B"});
    let bad_days = |name: &str| [json!({name: "2026-02-30"}), json!({name: "soon"})];
    let bad_amounts = [json!({"amount": 0.001}), json!({"amount": 1e40})];
    let line = |bad: Value| {
        let mut line = json!({"name": "A", "unit_price": 1, "quantity": 1});
        line.as_object_mut().unwrap().extend(bad.as_object().unwrap().clone());
        json!({"line_items": [line]})
    };
    let lines = ["unit_price", "quantity", "discount"].map(|name| line(json!({name: 1e-12})));
    let category = json!({"forecast_category": "x"});
    let mut of_opportunities = vec![category.clone()];
    of_opportunities.extend(bad_amounts);
    of_opportunities.extend(lines);
    for day in ["expected_close_date", "waiting_until"] {
        of_opportunities.extend(bad_days(day));
    }
    let mut of_changes = of_opportunities.clone();
    of_changes.extend(bad_days("actual_close_date"));
    let closing = bad_days("actual_close_date").to_vec();
    let stage = json!({"key": "extra", "name": "Extra"});
    let of_stages = vec![category, json!({"kind": "x"})];
    let of_activities = vec![json!({"activity_type": "x"})];
    let key = json!({"name": "K", "scopes": ["read"]});
    let changed = format!("/opportunities/{id}");
    let external = "/opportunities/by-external-id/E-1";
    let by_user = format!("/users/{user_id}");
    let by_activity = format!("/activities/{activity_id}");
    let (post, patch) = (Method::POST, Method::PATCH);
    let tries: [(Method, &str, &Value, Vec<Value>); 11] = [
        (post.clone(), "/opportunities", &opportunity, of_opportunities.clone()),
        (Method::PUT, external, &opportunity, of_changes.clone()),
        (patch.clone(), &changed, &json!({"notes": "N"}), of_changes),
        (patch.clone(), &format!("{changed}/stage"), &json!({"stage": "won"}), closing),
        (post.clone(), &activities, &activity, of_activities.clone()),
        (patch.clone(), &by_activity, &json!({"subject": "B"}), of_activities),
        (post.clone(), "/pipeline/stages", &stage, of_stages.clone()),
        (patch.clone(), "/pipeline/stages/lead", &json!({"name": "Other"}), of_stages),
        (
            post.clone(),
            "/users",
            &json!({"email": "y@example.com", "username": "Y"}),
            vec![json!({"role": "x"})],
        ),
        (patch.clone(), &by_user, &json!({"username": "Z"}), vec![json!({"role": "x"})]),
        (post.clone(), "/api-keys", &key, vec![json!({"scopes": ["read", "x"]})]),
    ];
    let places = [
        "/opportunities?include_total=true",
        &changed,
        external,
        "/activities?limit=200",
        &activities,
        &by_activity,
        "/pipeline/stages",
        "/users?limit=200",
        &by_user,
        "/api-keys?limit=200",
        "/customers?limit=200",
    ];
    let all = async || {
        let mut all = Vec::new();
        for place in places {
            all.push(admin.get(place).await.body["items"].take());
            all.push(admin.get(place).await.body["version"].take());
        }
        all
    };
    let before = all().await;
    for (method, path, good, faults) in tries {
        for bad in faults {
            let mut body = good.clone();
            body.as_object_mut().unwrap().extend(bad.as_object().unwrap().clone());
            let refused = admin.send(method.clone(), path, &[], &body.to_string()).await;
            assert_eq!(refused.problem(), (422, "invalid"), "{method} {path} {body}");
            let (name, _) = bad.as_object().unwrap().iter().next().unwrap();
            let fields = refused.bad_fields();
            assert!(
                matches!(fields[..], [(field, _)] if field.starts_with(name)),
                "{method} {path} {body}: {fields:?}"
            );
        }
    }
    // Of many changes each is asked about for itself; one that is good otherwise is not made either.
    let of_many = ["2026-02-30", "soon"]
        .map(|day| json!({"id": id, "notes": "N", "expected_close_date": day}));
    let done = admin.post("/opportunities/bulk", &json!({"updates": of_many})).await;
    assert_eq!(json!([done.body["succeeded"], done.body["failed"]]), json!([0, 2]));
    assert_eq!(all().await, before);
}

/// By whichever way a list, a report or a file is asked for.
async fn no_bad_value_of_a_query_is_taken(world: &World) {
    let document = world.nobody.get("//openapi.json").await.body;
    let sale = world.some_opportunity().await.to_string();
    let within = [("{id}", &*sale), ("{code}", "TWD"), ("{service}", "analytics")];
    let mut tried = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let Some(path) = path.strip_prefix("/api/v1") else { continue };
        let place = within.iter().fold(path.to_owned(), |it, (name, is)| it.replace(name, is));
        let place = place.replace("{report}", "velocity");
        let parameters = methods["get"]["parameters"].as_array().into_iter().flatten();
        for parameter in parameters.filter(|it| it["in"] == "query") {
            let name = parameter["name"].as_str().unwrap();
            if takes_any_text(&document, &parameter["schema"]) {
                continue;
            }
            let refused = world.admin.get(&format!("{place}?{name}=AAA")).await;
            if refused.status == 404 && path.contains('{') {
                continue;
            }
            assert_eq!(refused.status, 422, "{place} {name}: {}", refused.text);
            let is_told = |field: &str| {
                field.strip_prefix(name).is_some_and(|it| it.is_empty() || it.starts_with('['))
            };
            let told = refused.bad_fields().iter().any(|(field, _)| is_told(field));
            assert!(told, "{place} {name}: {}", refused.text);
            tried += 1;
        }
    }
    assert!(tried > 100, "{tried}");
}

/// Whether a text of any kind is one by the schema.
fn takes_any_text(document: &Value, schema: &Value) -> bool {
    if let Some(name) = schema["$ref"].as_str() {
        return takes_any_text(document, document.pointer(&name[1..]).unwrap());
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        return choices.iter().any(|it| takes_any_text(document, it));
    }
    let types = &schema["type"];
    if *types == "array" {
        return takes_any_text(document, &schema["items"]);
    }
    let is_text =
        *types == "string" || types.as_array().is_some_and(|it| it.contains(&json!("string")));
    is_text && ["enum", "format", "pattern"].iter().all(|it| schema[it].is_null())
}

async fn unknown_fields_and_parameters_are_errors(world: &World) {
    let body = json!({"customer_name": "A", "opportunity_name": "B", "id": 7});
    let refused = world.admin.post("/opportunities", &body).await;
    assert_eq!(refused.bad_fields(), [("id", "unknown_field")]);
    let id = world.some_opportunity().await;
    for path in [
        "/opportunities".to_owned(),
        format!("/opportunities/{id}"),
        format!("/opportunities/{id}/history"),
        "/pipeline/overview".to_owned(),
        "/pipeline/stages".to_owned(),
        "/pipelines".to_owned(),
        "/lost-reasons".to_owned(),
        "/custom-fields".to_owned(),
        "/currencies".to_owned(),
        "/forecast".to_owned(),
        "/reports/conversion-rate".to_owned(),
        "/reports/pipeline-changes".to_owned(),
        "/reports/pipeline-changes/opportunities".to_owned(),
        "/reports/sales-trend".to_owned(),
        "/reports/sales-performance".to_owned(),
        "/reports/velocity".to_owned(),
        "/reports/cohorts/opportunities".to_owned(),
        "/notifications".to_owned(),
        "/users".to_owned(),
        "/teams".to_owned(),
    ] {
        let refused = world.admin.get(&format!("{path}?colour=red")).await;
        assert_eq!(refused.bad_fields(), [("colour", "unknown_parameter")], "{path}");
    }
    for (path, fields) in [
        ("/forecast?period=week&year=1&month=13", &["month", "period", "year"][..]),
        ("/reports/sales-trend?period=hourly&year=x", &["year"]),
        ("/reports/conversion-rate?start_date=x&end_date=2025-02-30", &["end_date", "start_date"]),
        ("/reports/cohorts?period=daily&months=0&format=pdf", &["format", "months", "period"]),
        ("/reports/cohorts?period=daily&months=0", &["months", "period"]),
        (
            "/reports/velocity/opportunities?term=open&stage=lead&limit=0&until=2025-01-01",
            &["limit", "stage", "term", "until"],
        ),
        ("/reports/stage-duration/opportunities", &["stage"]),
        ("/pipeline/overview?after=1&pipeline_id=99", &["after", "pipeline_id"]),
    ] {
        let refused = world.admin.get(path).await;
        let found: Vec<_> = refused.bad_fields().into_iter().map(|(field, _)| field).collect();
        assert_eq!(found, fields, "{path}");
    }
}

async fn what_is_not_there_is_not_found(world: &World) {
    for path in [
        "/opportunities/abc",
        "/opportunities/0",
        "/opportunities/-1",
        "/opportunities/007",
        "/opportunities/999999",
        "/opportunities/9223372036854775807",
        "/opportunities/9223372036854775808",
        "/opportunities/1.0",
        "/opportunities/abc/history",
        "/opportunities/999999/history",
        "/users/999999",
        "/users/abc",
        "/nowhere",
        "//nowhere",
        "//api/v2/opportunities",
    ] {
        assert_eq!(world.admin.get(path).await.problem(), (404, "not_found"), "{path}");
    }
    for path in ["/opportunities/abc/stage", "/opportunities/999999/stage"] {
        let refused = world.admin.patch(path, &json!({"stage": "won"})).await;
        assert_eq!(refused.problem(), (404, "not_found"), "{path}");
    }
}

async fn the_protocol_is_kept(world: &World) {
    for (path, method, allowed) in [
        ("/opportunities", Method::DELETE, &["GET", "POST"][..]),
        ("/opportunities/1/stage", Method::GET, &["PATCH"]),
        ("/pipeline/overview", Method::POST, &["GET"]),
        ("/auth/token", Method::GET, &["POST"]),
    ] {
        let refused = world.admin.send(method.clone(), path, &[], "").await;
        assert_eq!(refused.problem(), (405, "method_not_allowed"), "{method} {path}");
        let allow: Vec<_> = refused.header("allow").split(',').map(str::trim).collect();
        for method in allowed {
            assert!(allow.contains(method), "{path} allows {allow:?}");
        }
        assert!(!allow.contains(&method.as_str()), "{path} allows {allow:?}");
    }
    for media_type in
        ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=big5"]
    {
        let headers = [("content-type", media_type)];
        let refused = world.admin.send(Method::POST, "/opportunities", &headers, "{}").await;
        assert_eq!(refused.problem(), (415, "unsupported_media_type"), "{media_type}");
    }
    let long = json!({"notes": "x".repeat(1024 * 1024)}).to_string();
    let refused = world.admin.send(Method::POST, "/opportunities", &[], &long).await;
    assert_eq!(refused.problem(), (413, "too_large"));
    let id = world.some_opportunity().await;
    let path = format!("/opportunities/{id}/stage");
    let stale = [("if-match", "\"v7\"")];
    let step = json!({"stage": "won"}).to_string();
    let refused = world.admin.send(Method::PATCH, &path, &stale, &step).await;
    assert_eq!(refused.problem(), (412, "stale"));
    let taken = json!({"customer_name": "A", "opportunity_name": "B", "external_id": "erp-7"});
    let first = world.admin.create(&taken).await;
    let refused = world.admin.post("/opportunities", &taken).await;
    assert_eq!(refused.problem(), (409, "external_id_taken"));
    assert_eq!(refused.body["about"], json!({"opportunity_id": first["id"]}));
}

async fn every_answer_has_a_request_id(world: &World) {
    let paths = [
        "/opportunities",
        "/nowhere",
        "/opportunities?limit=0",
        "//",
        "//healthz",
        "//openapi.json",
    ];
    for path in paths {
        let ours = world.admin.get(path).await;
        assert_ne!(ours.header("x-request-id"), "", "{path}");
        let asked = [("x-request-id", "mine-1")];
        let theirs = world.admin.send(Method::GET, path, &asked, "").await;
        assert_eq!(theirs.header("x-request-id"), "mine-1", "{path}");
        if theirs.status >= 400 {
            assert_eq!(theirs.body["request_id"], "mine-1", "{path}");
        }
    }
}

async fn the_token_endpoint_speaks_as_its_rfc_says(world: &World) {
    let email = &*world.stack.secrets().admin_email;
    for (form, error) in [
        (&[("username", email), ("password", "wrong")][..], "invalid_grant"),
        (&[("username", "nobody@example.com"), ("password", "wrong")], "invalid_grant"),
        (&[("grant_type", "refresh_token"), ("refresh_token", "made-up")], "invalid_grant"),
        (&[("username", email)], "invalid_request"),
        (&[("password", "x")], "invalid_request"),
        (&[("grant_type", "refresh_token")], "invalid_request"),
        (&[], "invalid_request"),
        (&[("grant_type", "implicit")], "unsupported_grant_type"),
    ] {
        let refused = world.nobody.ask_token(form).await;
        assert_eq!((refused.status, &refused.body["error"]), (400, &json!(error)), "{form:?}");
        assert_eq!(refused.header("content-type"), "application/json");
        assert_eq!(refused.header("cache-control"), "no-store");
        let members: Vec<_> = refused.body.as_object().unwrap().keys().collect();
        assert_eq!(members, ["error", "error_description"]);
    }
    let json = world.nobody.post("/auth/token", &json!({"username": email})).await;
    assert_eq!((json.status, &json.body["error"]), (400, &Value::from("invalid_request")));
    let password = &*world.stack.secrets().admin_password;
    let unknown = [("username", email), ("password", password), ("client_id", "x")];
    assert_eq!(
        world.nobody.ask_token(&unknown).await.status,
        200,
        "what it does not know is ignored"
    );
}
