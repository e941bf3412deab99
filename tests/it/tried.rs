//! Every operation of the OpenAPI document is asked what it allows and what it forbids, by schemathesis.

use std::process::Stdio;

use proto::identity::v1::Role;
use serde_json::json;
use tokio::process::Command;

use crate::world::World;

/// How many requests are made up for each operation, of each of the two who ask.
const EXAMPLES: &str = "500";

/// What would end the session with which everything is asked, or is not for tokens at all.
const NOT_ASKED: &str = "/auth/|/users/me|/sessions|/second-factor|/password";

#[tokio::test]
#[ignore = "`make test-api` runs it: it fetches packages of Python and takes minutes"]
async fn every_operation_answers_as_the_document_says_whatever_it_is_asked() {
    let (program, settings) = local::tools::schemathesis().await.unwrap();
    let world = World::with("VISIBILITY", "team").await;
    // It leaves things behind where it runs.
    let folder = local::folder::Scratch::create().unwrap();
    let rep = world.add("rep", Role::Rep, None).await;
    for api in [&world.admin, &rep.api] {
        let said = json!({"customer_name": "XYZ", "contact_name": "Chen", "opportunity_name": "Sale", "amount": 0.1});
        let sale = api.create(&said).await;
        let path = format!("/opportunities/{}/activities", sale["id"]);
        let task = json!({"activity_type": "call", "subject": "Call"});
        assert_eq!(api.post(&path, &task).await.status, 201);
    }
    for (who, api) in [("an administrator", &world.admin), ("a salesperson", &rep.api)] {
        let origin = world.stack.base_url();
        let status = Command::new(&program)
            .arg("--config-file")
            .arg(&settings)
            .args(["run", &format!("{origin}/openapi.json"), "--url", &origin])
            .args(["--checks", "all", "--phases", "examples,coverage,fuzzing"])
            .args(["--max-examples", EXAMPLES, "--seed", "1", "--generation-database", "none"])
            .args(["--exclude-path-regex", NOT_ASKED, "--no-color", "--continue-on-failure"])
            .env("TOKEN", api.token().unwrap())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .status();
        assert!(status.await.unwrap().success(), "asked as {who}");
    }
    assert_eq!(world.admin.get("/users/me").await.status, 200, "the session ended meanwhile");
}
