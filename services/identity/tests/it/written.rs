//! What is written down of every change, and by whom it may be altered.

use events::{Event, Record};
use prost::Message as _;
use proto::{
    events::v1::{ListChangesRequest, change_service_client::ChangeServiceClient},
    identity::v1::{CreateTeamRequest, token_service_client::TokenServiceClient},
};
use tonic::Code;

use crate::support::{Identity, SERVICE_SECRET, bearer, lead, wanted};

#[tokio::test]
async fn every_change_is_told_with_its_version_its_maker_and_what_changed() {
    let identity = Identity::start().await;
    let admin = identity.admin().await.with_request_id("r-17".parse().unwrap());
    let team = CreateTeamRequest { name: "North".to_owned(), ..CreateTeamRequest::default() };
    let team =
        identity.teams().create_team(admin.request(team)).await.unwrap().into_inner().team.unwrap();
    for manager_id in [Some(1), Some(1), None] {
        let request = admin.request(lead(team.id, manager_id));
        identity.teams().update_team(request).await.unwrap();
    }
    let payloads: Vec<Vec<u8>> = sqlx::query_scalar(
        "select payload from change where aggregate = 'team' order by change_id",
    )
    .fetch_all(&mut identity.connection().await)
    .await
    .unwrap();
    let events: Vec<_> =
        payloads.iter().map(|payload| Event::decode(payload.as_slice()).unwrap()).collect();
    let told: Vec<_> = events.iter().map(|event| (event.r#type.as_str(), event.version)).collect();
    assert_eq!(told, [("team.created", 1), ("team.updated", 2), ("team.updated", 3)]);
    let named = &events[1];
    assert_eq!(
        (named.actor.as_ref().unwrap().user_id, named.request_id.as_str()),
        (Some(1), "r-17")
    );
    assert_eq!(named.changes.len(), 1);
    let change = &named.changes[0];
    assert_eq!(
        (change.field.as_str(), change.old.as_str(), change.new.as_str()),
        ("manager_id", "null", "1")
    );
    let Some(Record::Team(record)) = &named.record else { panic!("no record") };
    assert_eq!((record.id, record.manager_id, record.version), (team.id, Some(1), 2));
}

#[tokio::test]
async fn a_refused_change_is_not_told() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    identity.create_user(&admin, wanted("amy@example.com")).await.unwrap();
    identity.create_user(&admin, wanted("amy@example.com")).await.unwrap_err();
    let told: i64 = sqlx::query_scalar("select count(*) from change where type = 'user.created'")
        .fetch_one(&mut identity.connection().await)
        .await
        .unwrap();
    assert_eq!(told, 2);
}

#[tokio::test]
async fn what_is_in_the_change_log_cannot_be_altered_by_the_service() {
    let identity = Identity::start().await;
    let mut connection = identity.connection().await;
    for statement in [
        "update change set type = 'x'",
        "delete from change",
        "truncate change cascade",
        "drop table change",
    ] {
        let refused = sqlx::query(statement).execute(&mut connection).await.unwrap_err();
        let code = refused
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .unwrap()
            .into_owned();
        assert_eq!(code, "42501", "{statement}");
    }
}

#[tokio::test]
async fn services_read_the_changes_in_order_and_nobody_else_does() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let request = ListChangesRequest { after_position: 0, limit: 0 };
    let mut changes = ChangeServiceClient::new(identity.channel.clone());
    let refused = changes.list_changes(admin.request(request)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);

    let credentials = proto::identity::v1::IssueServiceTokenRequest {
        service: "gateway".to_owned(),
        secret: SERVICE_SECRET.to_owned(),
    };
    let token = TokenServiceClient::new(identity.channel.clone())
        .issue_service_token(credentials)
        .await
        .unwrap();
    let service = bearer(&token.into_inner().access_token);
    // The relay gives positions within milliseconds, also without a broker.
    let events = loop {
        let answer = changes.list_changes(service.request(request)).await.unwrap().into_inner();
        if answer.events.len() == 4 {
            break answer.events;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(events.iter().map(|event| event.position).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let types: Vec<_> = events.iter().map(|event| event.r#type.as_str()).collect();
    assert_eq!(types, ["settings.created", "client.created", "user.created", "session.started"]);
}
