//! The authorisation matrix: every operation × thirteen callers, through REST and by asking the services themselves.

mod policy;
mod raw;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use auth::token::{Claims, Signer};
use auth::{Caller, Scope, Via};
use process::Secret;
use proto::identity::v1::Role;
use reqwest::Method;
use rpc::client::Context;
use serde_json::json;
use tonic::Code;

use crate::api::Api;
use crate::world::World;
use policy::{Outcome, PRINCIPALS, Policy, Principal};
use table::{ABSENT, Record, Row, table};

/// Services that several serve, and who.
const SERVED_BY_SEVERAL: [(&str, &[&str]); 3] = [
    ("events.v1", &["identity", "opportunities"]),
    ("audit.v1", &["identity", "opportunities"]),
    ("dead_letter.v1", &["opportunities", "analytics", "notifier"]),
];

/// Everybody with a token, and what they ask about.
struct Cast {
    world: World,
    tokens: BTreeMap<Principal, String>,
    record: Record,
}

impl Cast {
    async fn gather() -> Self {
        let world = World::with("VISIBILITY", "team").await;
        let (north, south) = (world.add_team("North").await, world.add_team("South").await);
        let owner = world.add("owner", Role::Rep, Some(north)).await;
        let same = world.add("same", Role::Rep, Some(north)).await;
        let other = world.add("other", Role::Rep, Some(south)).await;
        let manager = world.add("manager", Role::Manager, Some(north)).await;
        let another = world.add("another", Role::Manager, Some(south)).await;
        let viewer = world.add("viewer", Role::Viewer, Some(south)).await;
        let disabled = world.add("disabled", Role::Admin, Some(north)).await;
        let sale = json!({
            "customer_name": "The owner's customer", "contact_name": "Chen", "opportunity_name": "Sale", "amount": 1,
        });
        let sale = owner.api.create(&sale).await;
        let id = |field: &str| sale[field].as_i64().unwrap();
        let path = format!("/opportunities/{}/activities", id("id"));
        let call = json!({"activity_type": "call", "subject": "Call"});
        let activity = owner.api.post(&path, &call).await.body["id"].as_i64().unwrap();
        let record = Record {
            opportunity: id("id"),
            activity,
            customer: id("customer_id"),
            contact: id("contact_id"),
            owner: owner.id,
        };
        let path = format!("/users/{}", disabled.id);
        assert_eq!(world.admin.patch(&path, &json!({"is_active": false})).await.status, 200);

        let secret = Secret::from(world.stack.secrets().secret_key.as_str());
        let signer = Signer::from_secret(&secret).unwrap();
        let caller = |scope, via| Caller {
            user_id: owner.id,
            session_id: 999_999,
            role: auth::Role::Rep,
            team_id: Some(north),
            rights_version: 1,
            scope,
            via,
            service: None,
        };
        let claims = |caller: &Caller| Claims::of(caller, auth::ISSUER, "t", process::now(), 600);
        let session = caller(Scope::ALL, Via::Session);
        let sign = |claims: &Claims| signer.sign(claims).unwrap();
        let yesterday = Claims::of(
            &session,
            auth::ISSUER,
            "t",
            process::now() - chrono::TimeDelta::days(1),
            600,
        );
        let elsewhere = Claims { aud: "another".to_owned(), ..claims(&session) };
        let of = |api: &Api| api.token().unwrap().to_owned();
        let tokens = BTreeMap::from([
            (Principal::Expired, sign(&yesterday)),
            (Principal::WrongAudience, sign(&elsewhere)),
            (Principal::Disabled, of(&disabled.api)),
            (Principal::Owner, of(&owner.api)),
            (Principal::SameTeam, of(&same.api)),
            (Principal::OtherTeam, of(&other.api)),
            (Principal::ManagerOfTeam, of(&manager.api)),
            (Principal::ManagerOfAnother, of(&another.api)),
            (Principal::Admin, of(&world.admin)),
            (Principal::Viewer, of(&viewer.api)),
            (Principal::ReadKey, sign(&claims(&caller(Scope::READ, Via::ApiKey)))),
            (Principal::WriteKey, sign(&claims(&caller(Scope::ALL, Via::ApiKey)))),
        ]);
        let cast = Self { world, tokens, record };
        cast.everybody_is_known().await;
        cast
    }

    /// That who leads is told to opportunities by an event, and who is disabled to everybody.
    async fn everybody_is_known(&self) {
        let manager = self.api(Principal::ManagerOfTeam);
        manager.eventually(&format!("/opportunities/{}", self.record.opportunity), |_| true).await;
        let deadline = tokio::time::Instant::now() + crate::api::PATIENCE;
        for service in ["identity", "opportunities", "analytics", "notifier"] {
            let rpc = match service {
                "identity" => "identity.v1.SettingsService/GetSettings",
                "opportunities" => "opportunities.v1.PipelineService/ListPipelines",
                "analytics" => "analytics.v1.ForecastService/GetForecast",
                _ => "notifier.v1.NotificationService/ListNotifications",
            };
            while self.ask(service, rpc, Vec::new(), Principal::Disabled).await
                != Outcome::Unauthenticated
            {
                assert!(tokio::time::Instant::now() < deadline, "{service} lets the disabled in");
            }
        }
    }

    fn api(&self, principal: Principal) -> Api {
        match self.tokens.get(&principal) {
            Some(token) => self.world.nobody.with_token(token),
            None => self.world.nobody.clone(),
        }
    }

    async fn ask(
        &self,
        service: &str,
        rpc: &str,
        message: Vec<u8>,
        principal: Principal,
    ) -> Outcome {
        let mut context = Context::default();
        if let Some(token) = self.tokens.get(&principal) {
            context = context.with_authorization(format!("Bearer {token}").parse().unwrap());
        }
        let answer = raw::call(self.world.channel(service), rpc, message, &context).await;
        let Err(status) = answer else { return Outcome::Passes };
        let is_about_the_token =
            |status: tonic::Status| rpc::Error::from(status).reason().starts_with("TOKEN_");
        match status.code() {
            Code::Unauthenticated if is_about_the_token(status.clone()) => Outcome::Unauthenticated,
            Code::PermissionDenied => Outcome::Denied,
            Code::NotFound => Outcome::Hidden,
            Code::Internal | Code::Unknown | Code::Unimplemented | Code::Unavailable => {
                panic!("{rpc} for {principal:?}: {status:?}")
            }
            _ => Outcome::Passes,
        }
    }

    async fn request(&self, row: &Row, rest: &str, principal: Principal) -> Outcome {
        let (method, path) = rest.split_once(' ').unwrap();
        let id = match row.policy {
            Policy::SeesCustomer | Policy::ChangesCustomer => self.record.customer,
            Policy::SeesContact | Policy::ChangesContact => self.record.contact,
            _ if path.starts_with("/activities/") => self.record.activity,
            policy if policy.is_about_a_record() => self.record.opportunity,
            Policy::Oneself => self.record.owner,
            _ => ABSENT,
        };
        let path = path.replace("{id}", &id.to_string());
        let path = path.replace("{user_id}", &ABSENT.to_string()).replace("{key}", "none");
        let path = path.replace("{service}", "analytics");
        let path = path.replace("{code}", "USD").replace("{valid_from}", "1900-01-01");
        let method: Method = method.to_uppercase().parse().unwrap();
        let body = if row.body.is_null() { String::new() } else { row.body.to_string() };
        let headers = [("if-match", "\"v999\"")];
        // What has no version takes no tag, and says so before it asks who may.
        let has_version =
            !["/sessions", "/members", "/second-factor"].iter().any(|it| path.contains(it));
        let headers = &headers[..usize::from(method != Method::GET && has_version)];
        let answer = self.api(principal).send(method, &path, headers, &body).await;
        assert!(answer.status < 500, "{rest} for {principal:?}: {}", answer.text);
        match answer.status {
            401 => Outcome::Unauthenticated,
            403 => Outcome::Denied,
            404 => Outcome::Hidden,
            _ => Outcome::Passes,
        }
    }
}

#[tokio::test]
async fn every_operation_answers_every_caller_as_the_policy_says() {
    let cast = Cast::gather().await;
    let rows = table(cast.record);
    nothing_is_missing(&cast, &rows).await;
    let mut wrong = Vec::new();
    for row in &rows {
        for principal in PRINCIPALS {
            let expected = row.policy.outcome(principal);
            let absent_is_through = |outcome| match outcome {
                // What is not about a record is asked of one that is not there.
                Outcome::Hidden if !row.policy.is_about_a_record() => Outcome::Passes,
                outcome => outcome,
            };
            if let Some(rest) = row.rest {
                let found = absent_is_through(cast.request(row, rest, principal).await);
                if found != expected {
                    wrong.push(format!("{rest} for {principal:?}: {found:?}, not {expected:?}"));
                }
            }
            for service in services(row.rpc) {
                let message = row.message.clone();
                let found = cast.ask(service, row.rpc, message, principal).await;
                let found = absent_is_through(found);
                if found != expected {
                    let rpc = row.rpc;
                    wrong.push(format!(
                        "{service} {rpc} for {principal:?}: {found:?}, not {expected:?}"
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_page_of_permissions_says_what_each_policy_answers() {
    let page = include_str!("../../../docs/reference/permissions.md");
    let record = Record { opportunity: 1, activity: 1, customer: 1, contact: 1, owner: 1 };
    for Row { policy, .. } in table(record) {
        // Whose token is not good is told so before anything else.
        let good = PRINCIPALS.into_iter().skip_while(|caller| *caller != Principal::Owner);
        let told = good.map(|caller| match policy.outcome(caller) {
            Outcome::Passes => "yes",
            Outcome::Unauthenticated => "401",
            Outcome::Denied => "403",
            Outcome::Hidden => "404",
        });
        let told = format!("<!-- {policy:?} --> | {} |", told.collect::<Vec<_>>().join(" | "));
        assert!(page.contains(&told), "the page does not say: {told}");
    }
}

/// Who serves a method.
fn services(rpc: &str) -> Vec<&str> {
    let package = rpc.rsplit_once('.').map_or("", |(package, _)| package);
    let several = SERVED_BY_SEVERAL.iter().find(|(it, _)| package.starts_with(it));
    match (rpc.split('.').next(), several) {
        (None | Some(""), _) => Vec::new(),
        (_, Some((_, services))) => services.to_vec(),
        (Some(service), None) => vec![service],
    }
}

async fn nothing_is_missing(cast: &Cast, rows: &[Row]) {
    let short = |path: &&str| path.trim_start_matches("/salespipeline.").to_owned();
    let methods: BTreeSet<String> = proto::METHODS.iter().map(short).collect();
    let named: BTreeSet<String> =
        rows.iter().map(|row| row.rpc.to_owned()).filter(|rpc| !rpc.is_empty()).collect();
    assert_eq!(named, methods, "the policy table and the contract differ");

    let document = cast.world.nobody.get("//openapi.json").await;
    let mut operations = BTreeSet::new();
    for (path, methods) in document.body["paths"].as_object().unwrap() {
        let path = path.trim_start_matches("/api/v1");
        operations.extend(methods.as_object().unwrap().keys().map(|it| format!("{it} {path}")));
    }
    let named: BTreeSet<String> =
        rows.iter().filter_map(|row| row.rest).map(str::to_owned).collect();
    assert_eq!(named, operations, "the policy table and the OpenAPI document differ");
}
