//! A team with a year behind it, small enough to be added up by hand.

use std::fmt::Write as _;

use proto::identity::v1::Role;
use reqwest::Method;
use serde_json::{Value, json};

use crate::world::{Person, World};

/// A team of two who sell, and who leads it.
pub(crate) struct Team {
    pub(crate) id: i64,
    pub(crate) wang: Person,
    pub(crate) chen: Person,
    pub(crate) lin: Person,
}

impl Team {
    pub(crate) async fn gather(world: &World) -> Self {
        let id = world.add_team("北區業務").await;
        let wang = world.add("wang", Role::Rep, Some(id)).await;
        let chen = world.add("chen", Role::Rep, Some(id)).await;
        let lin = world.add("lin", Role::Manager, Some(id)).await;
        world.appoint(id, &lin).await;
        Self { id, wang, chen, lin }
    }

    /// What became of 2025, with the ids that it got.
    pub(crate) async fn live_through_2025(&self, world: &World) -> Vec<i64> {
        world.import(&self.year()).await
    }

    /// The same, as a file of another system.
    pub(crate) async fn bring_2025_as_a_file(&self, world: &World) {
        let mut file = "Deal,Account,External ID,owner_id,amount,currency,probability,close date,created,stage log,loss reason\r\n".to_owned();
        for it in self.year().as_array().unwrap() {
            let (said, moves) = (&it["opportunity"], it["moves"].as_array().unwrap());
            let mut stages = format!(
                "{}@{}",
                said["stage"].as_str().unwrap_or("lead"),
                it["created_at"].as_str().unwrap()
            );
            for step in moves {
                let (stage, at) = (step["stage"].as_str(), step["changed_at"].as_str());
                write!(stages, "; {}@{}", stage.unwrap(), at.unwrap()).unwrap();
            }
            let last = moves.last().unwrap_or(&Value::Null);
            let cells = [
                &said["opportunity_name"],
                &said["customer_name"],
                &said["external_id"],
                &said["owner_id"],
                &said["amount"],
                &said["currency"],
                &last["probability"],
                &said["expected_close_date"],
                &it["created_at"],
                &Value::from(stages),
                &last["lost_reason"],
            ];
            let cells = cells.map(|it| match it {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            file.push_str(&cells.join(","));
            file.push_str("\r\n");
        }
        let form = format!(
            "--b\r\ncontent-disposition: form-data; name=\"kind\"\r\n\r\nhistory\r\n\
             --b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"2025.csv\"\r\n\r\n{file}\r\n--b--\r\n"
        );
        let headers = [("content-type", "multipart/form-data; boundary=b")];
        let refused = self.lin.api.send(Method::POST, "/imports", &headers, &form).await;
        assert_eq!((refused.status, &refused.body["code"]), (403, &json!("admin_only")));
        let begun = world.admin.send(Method::POST, "/imports", &headers, &form).await;
        assert_eq!(begun.status, 202, "{}", begun.text);
        let path = format!("/imports/{}", begun.body["id"]);
        let done = world.admin.eventually(&path, |it| it["status"] == "done").await;
        assert_eq!((&done.body["created"], &done.body["kind"]), (&json!(9), &json!("history")));
    }

    /// All in it is chosen so that a mistake moves a number.
    fn year(&self) -> Value {
        let (wang, chen) = (self.wang.id, self.chen.id);
        let past = |name: &str, owner: i64, said: Value, created_at: &str, moves: Value| {
            let mut opportunity = json!({
                "opportunity_name": name, "external_id": name, "owner_id": owner,
                "customer_name": "大同公司",
            });
            opportunity.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
            json!({"opportunity": opportunity, "created_at": created_at, "moves": moves})
        };
        let to = |stage: &str, at: &str| json!({"stage": stage, "changed_at": at});
        json!([
            // The last evening of September in UTC is the first of October in Taipei.
            past(
                "won 1000.10",
                wang,
                json!({"amount": 1000.10}),
                "2025-07-10T04:00:00Z",
                json!([
                    to("qualification", "2025-07-20T04:00:00Z"),
                    to("proposal", "2025-08-01T04:00:00Z"),
                    to("won", "2025-09-30T16:30:00Z"),
                ])
            ),
            past(
                "won 2500.45",
                chen,
                json!({"amount": 2500.45}),
                "2025-09-01T04:00:00Z",
                json!([to("won", "2025-11-20T04:00:00Z"),])
            ),
            past(
                "lost 700",
                wang,
                json!({"amount": 700}),
                "2025-10-01T04:00:00Z",
                json!([
                    to("qualification", "2025-10-11T04:00:00Z"),
                    {"stage": "lost", "changed_at": "2025-12-01T04:00:00Z", "lost_reason": "價格"},
                ])
            ),
            // In a currency without a rate: counted, and of no value.
            past(
                "won in dollars",
                wang,
                json!({"amount": 99.99, "currency": "USD"}),
                "2025-10-15T04:00:00Z",
                json!([to("won", "2025-12-24T04:00:00Z"),])
            ),
            // Overdue.
            past(
                "open 333.33",
                chen,
                json!({"amount": 333.33, "expected_close_date": "2025-12-15"}),
                "2025-11-01T04:00:00Z",
                json!([
                    {"stage": "qualification", "changed_at": "2025-11-11T04:00:00Z", "probability": 40},
                ])
            ),
            past("open without an amount", chen, json!({}), "2025-11-05T04:00:00Z", json!([])),
            past(
                "open in dollars",
                wang,
                json!({
                    "amount": 50, "currency": "USD", "stage": "proposal", "expected_close_date": "2025-12-31",
                }),
                "2025-12-05T04:00:00Z",
                json!([])
            ),
            // Lost, and taken up again.
            past(
                "reopened 10.01",
                wang,
                json!({"amount": 10.01}),
                "2025-01-05T04:00:00Z",
                json!([
                    to("lost", "2025-02-01T04:00:00Z"),
                    to("qualification", "2025-03-01T04:00:00Z"),
                ])
            ),
            past(
                "lost without an amount",
                chen,
                json!({}),
                "2025-08-01T04:00:00Z",
                json!([to("lost", "2025-08-31T04:00:00Z"),])
            ),
        ])
    }
}
