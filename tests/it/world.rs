//! The whole product running, and the people who use it.

use local::{Stack, StackOptions};
use proto::identity::v1::team_service_client::TeamServiceClient;
use proto::identity::v1::user_service_client::UserServiceClient;
use proto::identity::v1::{CreateTeamRequest, CreateUserRequest, Role, UpdateTeamRequest};
use proto::opportunities::v1::ImportHistoryRequest;
use proto::opportunities::v1::opportunity_service_client::OpportunityServiceClient;
use rpc::Tls;
use rpc::client::Channel;
use rpc::client::{Context, connect_lazy};
use serde_json::{Value, json};

use crate::api::Api;

const PASSWORD: &str = "correct horse battery";

/// A stack, and its administrator.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) stack: Stack,
    pub(crate) nobody: Api,
    pub(crate) admin: Api,
    /// The administrator, to services directly.
    pub(crate) context: Context,
}

/// Somebody who is signed in.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) id: i64,
    pub(crate) api: Api,
}

impl World {
    pub(crate) async fn start(options: StackOptions) -> Self {
        let stack = Stack::start(options).await.unwrap();
        let nobody = Api::nobody(&stack.base_url());
        let secrets = stack.secrets();
        let (email, password) = (&secrets.admin_email, &secrets.admin_password);
        let admin = nobody.sign_in(email, password).await;
        let bearer = format!("Bearer {}", admin.token().unwrap());
        let context = Context::default().with_authorization(bearer.parse().unwrap());
        Self { stack, nobody, admin, context }
    }

    /// With one setting more than a stack has by itself.
    pub(crate) async fn with(name: &str, value: &str) -> Self {
        let environment = [(name.to_owned(), value.to_owned())].into();
        Self::start(StackOptions { environment, ..StackOptions::default() }).await
    }

    /// The way to a service, past the gateway.
    pub(crate) fn channel(&self, service: &str) -> Channel {
        connect_lazy(&self.stack.urls(service).join(","), &Tls::default()).unwrap()
    }

    /// The id of a new opportunity of the administrator's, which nobody has touched.
    pub(crate) async fn some_opportunity(&self) -> i64 {
        let said = json!({"customer_name": "A", "opportunity_name": "B", "amount": 100});
        self.admin.create(&said).await["id"].as_i64().unwrap()
    }

    pub(crate) async fn add_team(&self, name: &str) -> i64 {
        let request = CreateTeamRequest { name: name.to_owned(), ..CreateTeamRequest::default() };
        let mut teams = TeamServiceClient::new(self.channel("identity"));
        let answer = teams.create_team(self.context.request(request)).await.unwrap();
        answer.into_inner().team.unwrap().id
    }

    /// Somebody new, signed in.
    pub(crate) async fn add(&self, name: &str, role: Role, team_id: Option<i64>) -> Person {
        let email = format!("{name}@example.com");
        let request = CreateUserRequest {
            email: email.clone(),
            username: name.to_owned(),
            role: Some(role.into()),
            team_id,
            password: Some(PASSWORD.to_owned()),
            ..CreateUserRequest::default()
        };
        let mut users = UserServiceClient::new(self.channel("identity"));
        let answer = users.create_user(self.context.request(request)).await.unwrap();
        let id = answer.into_inner().user.unwrap().id;
        Person { id, api: self.nobody.sign_in(&email, PASSWORD).await }
    }

    pub(crate) async fn appoint(&self, team_id: i64, manager: &Person) {
        let manager_id = Some(manager.id);
        let request = UpdateTeamRequest { id: team_id, manager_id, ..UpdateTeamRequest::default() };
        let mut teams = TeamServiceClient::new(self.channel("identity"));
        teams.update_team(self.context.request(request)).await.unwrap();
    }

    /// Brings opportunities with their past, a list as JSON; their ids.
    pub(crate) async fn import(&self, opportunities: &Value) -> Vec<i64> {
        let request = json!({"opportunities": opportunities}).to_string();
        let request: ImportHistoryRequest = proto::json::decode(request.as_bytes()).unwrap();
        let mut service = OpportunityServiceClient::new(self.channel("opportunities"));
        let answer = service.import_history(self.context.request(request)).await.unwrap();
        answer.into_inner().ids
    }
}
