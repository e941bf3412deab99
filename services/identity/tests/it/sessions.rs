//! Looking at sessions and ending them.

use std::collections::BTreeSet;

use proto::identity::v1::{
    EndSessionRequest, EndUserSessionsRequest, ListRightsRequest, ListSessionsRequest,
    RevokeTokenRequest, Session, session_service_client::SessionServiceClient,
    token_service_client::TokenServiceClient,
};
use rpc::client::Context;
use tonic::Code;

use crate::support::{ADMIN, Identity, PASSWORD, bearer, wanted};

async fn sessions(identity: &Identity, by: &Context) -> Vec<Session> {
    let mut service = SessionServiceClient::new(identity.channel.clone());
    let (mut items, mut cursor) = (Vec::new(), None);
    loop {
        let request = by.request(ListSessionsRequest { limit: Some(2), cursor });
        let page = service.list_sessions(request).await.unwrap().into_inner();
        items.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return items;
        }
    }
}

#[tokio::test]
async fn a_person_sees_their_own_sessions_and_ends_them() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    identity.create_user(&admin, wanted("amy@example.com")).await.unwrap();
    let mut tokens = Vec::new();
    for _ in 0..3 {
        tokens.push(identity.sign_in("amy@example.com", PASSWORD).await.unwrap());
    }
    let own = bearer(&tokens[2].access_token);
    let mine = sessions(&identity, &own).await;
    assert_eq!(mine.iter().map(|it| it.is_current).collect::<Vec<_>>(), [true, false, false]);
    assert!(mine.is_sorted_by_key(|session| std::cmp::Reverse(session.id)));
    assert_eq!(mine[0].address.as_deref(), Some("127.0.0.1"));

    let mut service = SessionServiceClient::new(identity.channel.clone());
    let end = |id| EndSessionRequest { id };
    // Another's is as absent as one that is not there.
    for id in [sessions(&identity, &admin).await[0].id, 999] {
        let refused = service.end_session(own.request(end(id))).await.unwrap_err();
        assert_eq!(refused.code(), Code::NotFound);
    }
    service.end_session(own.request(end(mine[2].id))).await.unwrap();
    let again = service.end_session(own.request(end(mine[2].id))).await.unwrap_err();
    assert_eq!(again.code(), Code::NotFound);
    identity.refresh(&tokens[0].refresh_token).await.unwrap_err();
    let ended = bearer(&tokens[0].access_token);
    let request = ended.request(ListSessionsRequest::default());
    let refused = rpc::Error::from(service.list_sessions(request).await.unwrap_err());
    assert_eq!(refused.reason(), rpc::reason::TOKEN_REVOKED);
    identity.refresh(&tokens[1].refresh_token).await.unwrap();
    assert_eq!(sessions(&identity, &own).await.len(), 2);
}

#[tokio::test]
async fn an_admin_ends_all_sessions_of_a_user_and_nobody_else_does() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let amy = identity.create_user(&admin, wanted("amy@example.com")).await.unwrap();
    let session = identity.sign_in("amy@example.com", PASSWORD).await.unwrap();
    let mut service = SessionServiceClient::new(identity.channel.clone());
    let request = EndUserSessionsRequest { user_id: amy.id };
    let own = bearer(&session.access_token);
    let refused = service.end_user_sessions(own.request(request)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    service.end_user_sessions(admin.request(request)).await.unwrap();
    identity.refresh(&session.refresh_token).await.unwrap_err();
    identity.sign_in(ADMIN, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_revoked_token_ends_its_session_and_what_is_no_token_ends_nothing() {
    let identity = Identity::start().await;
    let mut tokens = TokenServiceClient::new(identity.channel.clone());
    let mut revoke = async |token: &str| {
        let request = RevokeTokenRequest { token: token.to_owned(), client: None };
        tokens.revoke_token(request).await.map(drop)
    };
    let kept = identity.sign_in(ADMIN, PASSWORD).await.unwrap();
    let by_refresh = identity.sign_in(ADMIN, PASSWORD).await.unwrap();
    let by_access = identity.sign_in(ADMIN, PASSWORD).await.unwrap();
    let forged = by_refresh.refresh_token.chars().rev().collect::<String>();
    let guess = format!("1.1.{}", by_refresh.refresh_token.split('.').nth(2).unwrap());
    for token in [&by_refresh.refresh_token, &by_access.access_token, "x", "", &forged, &guess] {
        revoke(token).await.unwrap();
    }
    revoke(&by_refresh.refresh_token).await.unwrap();
    for ended in [by_refresh, by_access] {
        identity.refresh(&ended.refresh_token).await.unwrap_err();
    }
    identity.refresh(&kept.refresh_token).await.unwrap();
}

#[tokio::test]
async fn services_are_told_everyones_rights_and_what_has_ended() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let amy = identity.create_user(&admin, wanted("amy@example.com")).await.unwrap();
    let session = identity.sign_in("amy@example.com", PASSWORD).await.unwrap();
    let mut service = SessionServiceClient::new(identity.channel.clone());
    let refused = service.list_rights(admin.request(ListRightsRequest {})).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let mut tokens = TokenServiceClient::new(identity.channel.clone());
    tokens
        .revoke_token(RevokeTokenRequest { token: session.refresh_token, client: None })
        .await
        .unwrap();

    let context = identity.service().await;
    let request = context.stream(ListRightsRequest {});
    let mut stream = service.list_rights(request).await.unwrap().into_inner();
    let (mut users, mut ended) = (BTreeSet::new(), BTreeSet::new());
    while let Some(piece) = stream.message().await.unwrap() {
        users.extend(piece.users.iter().map(|it| (it.user_id, it.role.clone(), it.is_active)));
        ended.extend(piece.ended_session_ids);
    }
    let expected = [(1, "admin".to_owned(), true), (amy.id, "rep".to_owned(), true)];
    assert_eq!(users, expected.into());
    // Clients stand for sessions: the dashboard has the first id.
    assert_eq!(ended, [3].into());
}
