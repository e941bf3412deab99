//! The demonstration: people, teams and about 1,000 opportunities, made through the services' own use cases by an administrator.

use anyhow::{Context as _, Result, bail};
use chrono::{DateTime, Utc};
use process::Work;
use proto::identity::v1::team_service_client::TeamServiceClient;
use proto::identity::v1::token_service_client::TokenServiceClient;
use proto::identity::v1::user_service_client::UserServiceClient;
use proto::identity::v1::{
    CreateTeamRequest, CreateUserRequest, IssueTokenRequest, ListUsersRequest, Role,
};
use proto::opportunities::v1 as pb;
use proto::opportunities::v1::lost_reason_service_client::LostReasonServiceClient;
use proto::opportunities::v1::opportunity_service_client::OpportunityServiceClient;
use rpc::client::Channel;
use rpc::{Tls, client};
use serde_json::json;
use tonic::Code;
use tracing::info;

use crate::config::Demo;
use crate::seed::tale::{Cast, LOST, Tale, customer_name, tell};

/// Their address, their name, whether they lead, which team.
const PEOPLE: [(&str, &str, Role, usize); 11] = [
    ("lin.manager@example.com", "林雅婷", Role::Manager, 0),
    ("wang@example.com", "王小明", Role::Rep, 0),
    ("chen@example.com", "陳怡君", Role::Rep, 0),
    ("huang@example.com", "黃志豪", Role::Rep, 0),
    ("emma@example.com", "Emma Wilson", Role::Rep, 0),
    ("wu.manager@example.com", "吳建宏", Role::Manager, 1),
    ("chang@example.com", "張淑芬", Role::Rep, 1),
    ("lee@example.com", "李宗翰", Role::Rep, 1),
    ("tsai@example.com", "蔡佩珊", Role::Rep, 1),
    ("james@example.com", "James Carter", Role::Rep, 1),
    ("viewer@example.com", "財務部 Finance", Role::Viewer, 0),
];
const TEAMS: [&str; 2] = ["北區業務", "南區業務"];
const CUSTOMERS: usize = 150;
/// How often what was not answered in time is asked for again.
const AGAIN: u32 = 5;
const RANDOM_SEED: u64 = 2_025;

/// Fills in the demonstration. May be repeated: what is there already stays as it is. Prints the accounts as one line of JSON.
pub fn run(settings: &Demo, now: DateTime<Utc>) -> Work<'_> {
    Box::pin(async move {
        let tls = Tls::load(&settings.tls)?;
        let identity = client::connect_lazy(&settings.identity_url, &tls)?;
        let opportunities = client::connect_lazy(&settings.opportunities_url, &tls)?;
        let token = sign_in(&identity, settings).await?;
        let context =
            client::Context::default().with_authorization(format!("Bearer {token}").parse()?);
        let owners = people(&identity, &context, settings).await?;
        lost_reasons(&opportunities, &context).await?;
        let count = u64::from(settings.count);
        let cast = Cast { owners: owners.len(), customers: CUSTOMERS };
        let mut made = 0;
        // Small requests, so that each is done well within its deadline.
        for start in (0..count).step_by(50) {
            let tales = (start..count.min(start + 50)).map(|index| {
                let tale = tell(RANDOM_SEED, index, count, cast, now);
                history(tale, index, &owners)
            });
            let request = pb::ImportHistoryRequest { opportunities: tales.collect(), seed: true };
            made += bring_in(&opportunities, &context, &request).await?;
            if (start + 50) % 250 == 0 {
                info!(made, of = count, "demonstration opportunities");
            }
        }
        let accounts: Vec<_> = PEOPLE
        .iter()
        .map(|(email, name, role, _)| json!({"email": email, "name": name, "role": role_name(*role)}))
        .collect();
        print(&json!({"accounts": accounts, "opportunities": made}))
    })
}

/// Brings some in, again where a busy machine did not answer in time: what is there already stays as it is. How many are new.
async fn bring_in(
    opportunities: &Channel,
    context: &client::Context,
    request: &pb::ImportHistoryRequest,
) -> Result<i32> {
    let mut left = AGAIN;
    loop {
        let mut service = OpportunityServiceClient::new(opportunities.clone());
        match service.import_history(context.request(request.clone())).await {
            Err(status) if left > 0 && status.code() == Code::DeadlineExceeded => left -= 1,
            answer => return Ok(answer?.into_inner().created),
        }
    }
}

#[expect(clippy::print_stdout, reason = "the command's answer")]
fn print(answer: &serde_json::Value) -> Result<()> {
    println!("{}", serde_json::to_string(answer)?);
    Ok(())
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Admin => "admin",
        Role::Manager => "manager",
        Role::Rep => "rep",
        Role::Viewer | Role::Unspecified => "viewer",
    }
}

async fn sign_in(identity: &Channel, settings: &Demo) -> Result<String> {
    let request = IssueTokenRequest {
        username: settings.admin_email.clone(),
        password: settings.admin_password.expose().to_owned(),
        scope: None,
    };
    let request = client::Context::default().request(request);
    let answer = TokenServiceClient::new(identity.clone()).issue_token(request).await;
    let answer = answer.context("sign in as the administrator")?.into_inner();
    Ok(answer.token.context("no token in the answer")?.access_token)
}

/// Makes teams and people unless they are there; the ids of those who sell.
async fn people(
    identity: &Channel,
    context: &client::Context,
    settings: &Demo,
) -> Result<Vec<i64>> {
    let mut users = UserServiceClient::new(identity.clone());
    let mut teams = TeamServiceClient::new(identity.clone());
    let request = context.request(ListUsersRequest { limit: Some(200), cursor: None });
    let there = users.list_users(request).await?.into_inner().items;
    let known = |email: &str| there.iter().find(|user| user.email == email).map(|user| user.id);
    if let Some(ids) = sellers().map(|(email, ..)| known(email)).collect::<Option<Vec<_>>>() {
        return Ok(ids);
    }
    if sellers().any(|(email, ..)| known(email).is_some()) {
        bail!("some people of the demonstration are there and some are not");
    }
    let mut team_ids = Vec::new();
    for name in TEAMS {
        let request = CreateTeamRequest { name: name.to_owned(), ..Default::default() };
        let answer = teams.create_team(context.request(request)).await?.into_inner();
        team_ids.push(answer.team.context("no team in the answer")?.id);
    }
    let mut owners = Vec::new();
    for (email, name, role, team) in PEOPLE {
        let english = name.is_ascii();
        let request = CreateUserRequest {
            email: email.to_owned(),
            username: name.to_owned(),
            role: Some(role.into()),
            team_id: (role != Role::Viewer).then_some(team_ids[team]),
            language: Some(if english { "en" } else { "zh-TW" }.to_owned()),
            time_zone: None,
            password: Some(settings.demo_password.expose().to_owned()),
            is_active: None,
        };
        let answer = users.create_user(context.request(request)).await;
        let answer = answer.with_context(|| format!("make {email}"))?.into_inner();
        let id = answer.user.context("no user in the answer")?.id;
        if role == Role::Rep {
            owners.push(id);
        }
    }
    Ok(owners)
}

/// Lists why the opportunities of the demonstration are lost, unless there is a list.
async fn lost_reasons(opportunities: &Channel, context: &client::Context) -> Result<()> {
    let mut service = LostReasonServiceClient::new(opportunities.clone());
    let request = context.request(pb::ListLostReasonsRequest::default());
    if !service.list_lost_reasons(request).await?.into_inner().items.is_empty() {
        return Ok(());
    }
    for name in LOST {
        let request = pb::CreateLostReasonRequest { name: name.to_owned(), ..Default::default() };
        service.create_lost_reason(context.request(request)).await?;
    }
    Ok(())
}

fn sellers() -> impl Iterator<Item = &'static (&'static str, &'static str, Role, usize)> {
    PEOPLE.iter().filter(|(_, _, role, _)| *role == Role::Rep)
}

fn history(tale: Tale, index: u64, owners: &[i64]) -> pb::HistoricalOpportunity {
    let moves = tale.moves.into_iter().map(|it| pb::HistoricalMove {
        stage: it.stage.to_owned(),
        changed_at: Some(it.at.into()),
        changed_by: None,
        probability: it.probability,
        notes: it.notes.map(str::to_owned),
        lost_reason: it.lost_reason.map(str::to_owned),
        actual_close_date: None,
    });
    pb::HistoricalOpportunity {
        created_at: Some(tale.created_at.into()),
        moves: moves.collect(),
        opportunity: Some(pb::CreateOpportunityRequest {
            customer_name: Some(customer_name(tale.customer)),
            opportunity_name: tale.name,
            amount: tale.amount.map(Into::into),
            expected_close_date: Some(tale.expected_close_date.into()),
            products: tale.products,
            notes: tale.notes,
            owner_id: owners.get(tale.owner).copied(),
            external_id: Some(format!("demo-{:05}", index + 1)),
            source: Some(tale.source.to_owned()),
            ..Default::default()
        }),
    }
}
