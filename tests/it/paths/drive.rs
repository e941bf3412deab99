//! The ways by which an opportunity is made and changed in the running product: REST and gRPC, alone, among many, and in files.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::TimeDelta;
use proto::opportunities::v1 as pb;
use proto::opportunities::v1::bulk_service_client::BulkServiceClient;
use proto::opportunities::v1::import_service_client::ImportServiceClient;
use proto::opportunities::v1::opportunity_service_client::OpportunityServiceClient;
use reqwest::Method;
use rpc::Error;
use rpc::client::Channel;
use rpc::client::Context;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use super::model::{CUSTOMER, Facts};
use super::said::{Birth, Path, Person, Said, Tag, Via};
use crate::api::{Answer, Api, PATIENCE};

/// Why something was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: u16,
    pub(super) fields: BTreeSet<String>,
}

/// What was answered: the opportunity, or nothing where a path does not answer it.
pub(super) type Heard = Result<Value, Refused>;

/// Everybody at work, and how they reach the product.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) facts: Facts,
    pub(super) people: BTreeMap<Person, (Api, Context)>,
    pub(super) channel: Channel,
}

/// Which opportunity is spoken of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Which<'a> {
    pub(super) id: i64,
    pub(super) external_id: &'a str,
    pub(super) version: usize,
}

impl Which<'_> {
    fn expected(&self, tag: Tag) -> Option<i64> {
        let version = i64::try_from(self.version).unwrap();
        match tag {
            Tag::None => None,
            Tag::Present => Some(version),
            Tag::Other => Some(version + 1),
        }
    }
}

impl Desk {
    pub(super) fn api(&self, who: Person) -> &Api {
        &self.people[&who].0
    }

    fn context(&self, who: Person) -> &Context {
        &self.people[&who].1
    }

    fn service(&self) -> OpportunityServiceClient<Channel> {
        OpportunityServiceClient::new(self.channel.clone())
    }

    fn json(&self, said: &Said) -> Map<String, Value> {
        said.json(self.facts.today, &self.facts.people, &self.facts.funnels)
    }

    pub(super) async fn make(
        &self,
        external_id: &str,
        (birth, who, said): &(Birth, Person, Said),
    ) -> Heard {
        let mut body = self.json(said);
        body.insert("customer_name".to_owned(), json!(CUSTOMER));
        match birth {
            Birth::Post(via) => {
                body.insert("external_id".to_owned(), json!(external_id));
                self.post(*via, *who, &body).await
            }
            Birth::Upsert(via) => self.upsert(*via, *who, external_id, &body).await,
            Birth::Import(via) => {
                body.insert("external_id".to_owned(), json!(external_id));
                self.import(*via, *who, &body).await
            }
            Birth::History => {
                body.insert("external_id".to_owned(), json!(external_id));
                let owner = said.owner.unwrap_or(*who);
                let owner_id = self.facts.people.get(&owner).copied().unwrap_or(999_999);
                body.insert("owner_id".to_owned(), json!(owner_id));
                let at = process::now() - TimeDelta::days(10);
                let past = json!({"opportunity": body, "created_at": at.to_rfc3339()});
                let request = json!({"opportunities": [past]}).to_string();
                let request: pb::ImportHistoryRequest =
                    proto::json::decode(request.as_bytes()).unwrap();
                let request = self.context(Person::Admin).request(request);
                let answer = self.service().import_history(request).await.map_err(refused)?;
                self.found(answer.into_inner().ids[0]).await
            }
        }
    }

    /// Makes one by the path that is only for new ones.
    pub(super) async fn make_again(&self, via: Via, who: Person, external_id: &str) -> Heard {
        let said = json!({"customer_name": CUSTOMER, "opportunity_name": "Twin", "external_id": external_id});
        self.post(via, who, said.as_object().unwrap()).await
    }

    pub(super) async fn say(
        &self,
        (path, via): (Path, Via),
        who: Person,
        which: Which<'_>,
        said: &Said,
    ) -> Heard {
        let mut body = self.json(said);
        let expected = which.expected(said.tag);
        match path {
            Path::Patch | Path::Move => {
                self.change((path, via), who, which.id, expected, body).await
            }
            Path::Bulk => {
                body.insert("id".to_owned(), json!(which.id));
                if let Some(version) = expected {
                    body.insert("version".to_owned(), json!(version));
                }
                self.bulk(via, who, &body).await
            }
            Path::Upsert => self.upsert(via, who, which.external_id, &body).await,
            Path::Import => {
                body.insert("external_id".to_owned(), json!(which.external_id));
                self.import(via, who, &body).await
            }
        }
    }

    pub(super) async fn delete(&self, via: Via, who: Person, which: Which<'_>, tag: Tag) -> Heard {
        let expected_version = which.expected(tag);
        match via {
            Via::Rest => {
                let tag = expected_version.map(|version| format!("\"v{version}\""));
                let headers: Vec<_> = tag.iter().map(|tag| ("if-match", &**tag)).collect();
                let path = format!("/opportunities/{}", which.id);
                heard(&self.api(who).send(Method::DELETE, &path, &headers, "").await)
            }
            Via::Grpc => {
                let request = pb::DeleteOpportunityRequest { id: which.id, expected_version };
                let request = self.context(who).request(request);
                let answer = self.service().delete_opportunity(request).await;
                answer.map(|_| Value::Null).map_err(refused)
            }
        }
    }

    pub(super) async fn restore(&self, via: Via, who: Person, id: i64) -> Heard {
        match via {
            Via::Rest => {
                let path = format!("/opportunities/{id}/restore");
                heard(&self.api(who).send(Method::POST, &path, &[], "").await)
            }
            Via::Grpc => {
                let request = self.context(who).request(pb::RestoreOpportunityRequest { id });
                let answer = self.service().restore_opportunity(request).await.map_err(refused)?;
                Ok(shown(answer.into_inner().opportunity.as_ref()))
            }
        }
    }

    /// An opportunity as it is shown, to the administrator.
    async fn found(&self, id: i64) -> Heard {
        heard(&self.api(Person::Admin).get(&format!("/opportunities/{id}")).await)
    }

    async fn post(&self, via: Via, who: Person, body: &Map<String, Value>) -> Heard {
        let body = json!(body);
        match via {
            Via::Rest => heard(&self.api(who).post("/opportunities", &body).await),
            Via::Grpc => {
                let request: pb::CreateOpportunityRequest =
                    proto::json::decode(body.to_string().as_bytes()).unwrap();
                let request = self.context(who).request(request);
                let answer = self.service().create_opportunity(request).await.map_err(refused)?;
                Ok(shown(answer.into_inner().opportunity.as_ref()))
            }
        }
    }

    async fn upsert(
        &self,
        via: Via,
        who: Person,
        external_id: &str,
        body: &Map<String, Value>,
    ) -> Heard {
        let body = json!(body).to_string();
        match via {
            Via::Rest => {
                let path = format!("/opportunities/by-external-id/{external_id}");
                heard(&self.api(who).send(Method::PUT, &path, &[], &body).await)
            }
            Via::Grpc => {
                let request: pb::UpsertOpportunityRequest =
                    proto::mask::decode(body.as_bytes()).unwrap();
                let external_id = external_id.to_owned();
                let request = pb::UpsertOpportunityRequest { external_id, ..request };
                let request = self.context(who).request(request);
                let answer = self.service().upsert_opportunity(request).await.map_err(refused)?;
                Ok(shown(answer.into_inner().opportunity.as_ref()))
            }
        }
    }

    async fn change(
        &self,
        (path, via): (Path, Via),
        who: Person,
        id: i64,
        expected_version: Option<i64>,
        body: Map<String, Value>,
    ) -> Heard {
        let body = json!(body).to_string();
        let context = self.context(who);
        let mut service = self.service();
        match (via, path) {
            (Via::Rest, _) => {
                let tag = expected_version.map(|version| format!("\"v{version}\""));
                let headers: Vec<_> = tag.iter().map(|tag| ("if-match", &**tag)).collect();
                let tail = if path == Path::Move { "/stage" } else { "" };
                let path = format!("/opportunities/{id}{tail}");
                heard(&self.api(who).send(Method::PATCH, &path, &headers, &body).await)
            }
            (Via::Grpc, Path::Move) => {
                let request: pb::ChangeOpportunityStageRequest =
                    proto::json::decode(body.as_bytes()).unwrap();
                let request = pb::ChangeOpportunityStageRequest { id, expected_version, ..request };
                let answer = service.change_opportunity_stage(context.request(request)).await;
                Ok(shown(answer.map_err(refused)?.into_inner().opportunity.as_ref()))
            }
            (Via::Grpc, _) => {
                let request: pb::UpdateOpportunityRequest =
                    proto::mask::decode(body.as_bytes()).unwrap();
                let request = pb::UpdateOpportunityRequest { id, expected_version, ..request };
                let answer = service.update_opportunity(context.request(request)).await;
                Ok(shown(answer.map_err(refused)?.into_inner().opportunity.as_ref()))
            }
        }
    }

    async fn bulk(&self, via: Via, who: Person, update: &Map<String, Value>) -> Heard {
        let body = json!({"updates": [update]});
        let results = match via {
            Via::Rest => {
                let answer = self.api(who).post("/opportunities/bulk", &body).await;
                heard(&answer)?;
                answer.body
            }
            Via::Grpc => {
                let request: pb::UpdateOpportunitiesRequest =
                    proto::json::decode(body.to_string().as_bytes()).unwrap();
                let mut service = BulkServiceClient::new(self.channel.clone());
                let answer = service.update_opportunities(self.context(who).request(request)).await;
                as_json(&answer.map_err(refused)?.into_inner())
            }
        };
        let result = &results["results"][0];
        let status = u16::try_from(result["status"].as_u64().unwrap()).unwrap();
        assert_eq!(results["succeeded"], u8::from(status == 200), "{results}");
        assert_eq!(result["error"].is_null(), status == 200, "{results}");
        if status == 200 {
            return Ok(result["opportunity"].clone());
        }
        Err(Refused { status, fields: fields(&result["error"]["errors"]) })
    }

    async fn import(&self, via: Via, who: Person, row: &Map<String, Value>) -> Heard {
        let header: Vec<_> = row.keys().map(String::as_str).collect();
        let cell = |value: &Value| match value {
            Value::String(text) => format!("\"{text}\""),
            other => other.to_string(),
        };
        let cells: Vec<_> = row.values().map(cell).collect();
        let file = format!("{}\n{}\n", header.join(","), cells.join(","));
        let id = match via {
            Via::Rest => {
                let kind = [("content-type", "multipart/form-data; boundary=limit")];
                let part = "content-disposition: form-data; name=\"file\"; filename=\"a.csv\"";
                let form = format!("--limit\r\n{part}\r\n\r\n{file}\r\n--limit--\r\n");
                let answer = self.api(who).send(Method::POST, "/imports", &kind, &form).await;
                heard(&answer)?;
                answer.body["id"].as_i64().unwrap()
            }
            Via::Grpc => {
                let options = pb::ImportOptions::default();
                let parts = [
                    pb::CreateImportRequest { data: file.into_bytes(), options: None },
                    pb::CreateImportRequest { data: Vec::new(), options: Some(options) },
                ];
                let request = self.context(who).request(futures::stream::iter(parts));
                let mut service = ImportServiceClient::new(self.channel.clone());
                service.create_import(request).await.map_err(refused)?.into_inner().id
            }
        };
        let path = format!("/imports/{id}");
        let deadline = Instant::now() + PATIENCE;
        let done = loop {
            let answer = self.api(who).get(&path).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            if answer.body["status"] == "done" {
                break answer.body;
            }
            assert!(Instant::now() < deadline, "{path} is still {}", answer.text);
            sleep(Duration::from_millis(25)).await;
        };
        let row = &done["rows"][0];
        if row["status"] != "failed" {
            return self.found(row["opportunity_id"].as_i64().unwrap()).await.or(Ok(Value::Null));
        }
        // What is not allowed, or in the way, is told beside what is not good.
        let status = |fault: &Value| match fault["code"].as_str().unwrap() {
            "not_yours" | "owner_not_self" | "owner_out_of_reach" => 403,
            "opportunity_deleted" | "external_id_taken" => 409,
            _ => 422,
        };
        let faults = row["errors"].as_array().unwrap();
        let bad: Vec<_> = faults.iter().filter(|it| status(it) == 422).cloned().collect();
        let status = faults.iter().map(status).max().unwrap();
        Err(Refused { status, fields: fields(&bad.into()) })
    }
}

/// What REST answered; what no caller may provoke is none of it.
fn heard(answer: &Answer) -> Heard {
    match answer.status {
        200..300 => Ok(answer.body.clone()),
        status @ (403 | 404 | 409 | 412 | 422) => {
            answer.problem();
            Err(Refused { status, fields: fields(&answer.body["errors"]) })
        }
        _ => panic!("{}", answer.text),
    }
}

fn refused(status: tonic::Status) -> Refused {
    let plain = |status| Refused { status, fields: BTreeSet::new() };
    match Error::from(status) {
        Error::Invalid(fields) => {
            let fields = fields.into_iter().map(|it| short(&it.field));
            Refused { status: 422, fields: fields.collect() }
        }
        Error::Denied { .. } => plain(403),
        Error::NotFound { .. } => plain(404),
        Error::Conflict { .. } => plain(409),
        Error::Stale { .. } => plain(412),
        other => panic!("{other:?}"),
    }
}

/// The fields of errors. No field is told of twice for the same reason.
fn fields(errors: &Value) -> BTreeSet<String> {
    let errors = errors.as_array().map_or(&[][..], Vec::as_slice);
    let told: BTreeSet<_> =
        errors.iter().map(|it| (it["field"].as_str(), it["code"].as_str())).collect();
    assert_eq!(told.len(), errors.len(), "{errors:?}");
    errors.iter().map(|it| short(it["field"].as_str().unwrap())).collect()
}

/// A field without where it was found.
fn short(field: &str) -> String {
    let field = field.rsplit_once("].").map_or(field, |(_, field)| field);
    field.trim_start_matches("opportunity.").to_owned()
}

fn shown(opportunity: Option<&pb::Opportunity>) -> Value {
    as_json(opportunity.unwrap())
}

fn as_json<T: serde::Serialize>(message: &T) -> Value {
    serde_json::from_str(&serde_json::to_string(message).unwrap()).unwrap()
}
