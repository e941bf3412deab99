//! Every operation of the OpenAPI document is asked what it allows and what it forbids, by schemathesis.

use std::path::PathBuf;
use std::process::Stdio;

use local::StackOptions;
use local::folder::Scratch;
use proto::identity::v1::Role;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::api::Api;
use crate::world::World;

/// In which ways requests are made up.
const PHASES: &str = "examples,coverage,fuzzing";
/// All checks, with so many requests made up for each operation, of each of the two who ask.
const MADE_UP: [&str; 6] = ["--checks", "all", "--phases", PHASES, "--max-examples", "500"];

/// What may end the session of the one who asks: each such operation is asked by somebody of its own, as often as both ask the others.
const OF_SESSIONS: &str = "/auth/|/users/me|/sessions|/second-factor|/password";
const EXAMPLES_OF_SESSIONS: &str = "1000";
/// What can be said of an answer when the session may have ended before.
const CHECKS_OF_SESSIONS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance";

/// What the document allows and forbids of each value by itself; `make test-api` goes on from there.
#[tokio::test]
async fn every_operation_answers_as_the_document_says_about_every_parameter() {
    let world = world().await;
    let asked = ["--checks", "all", "--phases", "coverage"];
    finds_no_difference(&world, &world.admin, &asked).await;
}

#[tokio::test]
#[ignore = "`make test-api` runs it: it takes most of an hour"]
async fn every_operation_answers_an_administrator_as_the_document_says_whatever_it_is_asked() {
    let world = world().await;
    finds_no_difference(&world, &world.admin, &MADE_UP).await;
}

#[tokio::test]
#[ignore = "`make test-api` runs it: it takes most of an hour"]
async fn every_operation_answers_a_salesperson_as_the_document_says_whatever_it_is_asked() {
    let world = world().await;
    let rep = world.add("rep", Role::Rep, None).await;
    finds_no_difference(&world, &rep.api, &MADE_UP).await;
}

/// With an opportunity of everybody who asks, and one of the administrator's.
async fn finds_no_difference(world: &World, who: &Api, asked: &[&str]) {
    for api in [&world.admin, who] {
        let said = json!({"customer_name": "XYZ", "contact_name": "Chen", "opportunity_name": "Sale", "amount": 0.1});
        let sale = api.create(&said).await;
        let path = format!("/opportunities/{}/activities", sale["id"]);
        let task = json!({"activity_type": "call", "subject": "Call"});
        assert_eq!(api.post(&path, &task).await.status, 201);
    }
    let others = ["--exclude-path-regex", OF_SESSIONS];
    let schemathesis = Schemathesis::fetched().await;
    let found_none = schemathesis.finds_no_difference(world, who, asked, &others).await;
    assert!(found_none, "what schemathesis found is above");
    assert_eq!(who.get("/users/me").await.status, 200, "the session ended meanwhile");
}

#[tokio::test]
#[ignore = "`make test-api` runs it: it takes minutes"]
async fn operations_of_sessions_answer_as_the_document_says_whoever_is_signed_out_by_them() {
    let schemathesis = Schemathesis::fetched().await;
    let world = world().await;
    let document = world.nobody.get("//openapi.json").await.body;
    let operations = of_sessions(&document);
    assert!(operations.len() > 10, "{operations:?}");
    let mut people = Vec::new();
    // Before so many sign-ins have failed that nobody signs in from here any more.
    for number in 0..operations.len() {
        people.push(world.add(&format!("admin{number}"), Role::Admin, None).await);
    }
    for (operation, somebody) in operations.iter().zip(people) {
        let asked = [
            ["--checks", CHECKS_OF_SESSIONS],
            ["--phases", PHASES],
            ["--max-examples", EXAMPLES_OF_SESSIONS],
        ];
        let asked = asked.as_flattened();
        let only = ["--include-operation-id", operation];
        let found = schemathesis.finds_no_difference(&world, &somebody.api, asked, &only).await;
        assert!(found, "{operation}");
    }
}

/// Where some see less than others, and a token outlives the asking.
async fn world() -> World {
    let environment = [("VISIBILITY", "team"), ("ACCESS_TOKEN_EXPIRE_MINUTES", "600")];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    World::start(StackOptions { environment, ..StackOptions::default() }).await
}

/// The operations that may end a session, by their ids in the OpenAPI document.
fn of_sessions(document: &Value) -> Vec<String> {
    let paths = document["paths"].as_object().unwrap().iter();
    let parts: Vec<&str> = OF_SESSIONS.split('|').collect();
    paths
        .filter(|(path, _)| parts.iter().any(|part| path.contains(part)))
        .flat_map(|(_, methods)| methods.as_object().unwrap().values())
        .filter_map(|operation| operation["operationId"].as_str().map(str::to_owned))
        .collect()
}

/// The program, and where it leaves things behind.
struct Schemathesis {
    program: PathBuf,
    settings: PathBuf,
    folder: Scratch,
}

impl Schemathesis {
    async fn fetched() -> Self {
        let (program, settings) = local::tools::schemathesis().await.unwrap();
        Self { program, settings, folder: Scratch::create().unwrap() }
    }

    async fn finds_no_difference(
        &self,
        world: &World,
        who: &Api,
        asked: &[&str],
        of: &[&str],
    ) -> bool {
        let origin = world.stack.base_url();
        let status = Command::new(&self.program)
            .arg("--config-file")
            .arg(&self.settings)
            .args(["run", &format!("{origin}/openapi.json"), "--url", &origin])
            .args([
                "--seed",
                "1",
                "--generation-database",
                "none",
                "--no-color",
                "--continue-on-failure",
            ])
            .args(asked)
            .args(of)
            .env("TOKEN", who.token().unwrap())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .status();
        status.await.unwrap().success()
    }
}
