//! Clients, and what they do by themselves.

use auth::{Scope, Via};
use proto::identity::v1::{
    AuthorizationRequest, Client, ClientKind, CreateClientRequest, DeleteClientRequest,
    ExchangeCodeRequest, IssueClientTokenRequest, ListClientsRequest, ListSessionsRequest,
    RevokeTokenRequest, UpdateUserRequest, session_service_client::SessionServiceClient,
};
use rpc::Error;

use super::{
    asks, authorize, caller, clients, code, credentials, draft, exchange, make, reason, refresh,
    shows, tokens,
};
use crate::support::{Database, Identity, PASSWORD, bearer, migrate, wanted};

#[tokio::test]
async fn a_program_of_its_own_acts_as_its_user_while_that_one_is_active() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let robot = identity.create_user(&admin, wanted("robot@example.com")).await.unwrap();
    let alone = CreateClientRequest {
        redirect_uris: Vec::new(),
        scopes: Vec::new(),
        user_id: Some(robot.id),
        ..draft(ClientKind::Confidential)
    };
    let client = make(&identity, &admin, alone).await;
    let ask = async |by: &Client, scope: Option<&str>| -> Result<_, Error> {
        let request = IssueClientTokenRequest {
            client: Some(credentials(by)),
            scope: scope.map(str::to_owned),
        };
        Ok(tokens(&identity).issue_client_token(request).await?.into_inner().token.unwrap())
    };
    let token = ask(&client, Some("write")).await.unwrap();
    assert_eq!((token.scope.as_str(), token.token_type.as_str()), ("read", "bearer"));
    let by = caller(&identity, &token.access_token).await;
    assert_eq!((by.user_id, by.session_id, by.via), (robot.id, client.id, Via::Client));
    assert_eq!(by.scope, Scope::READ);
    assert_eq!(reason(ask(&client, Some("admin")).await), "INVALID_SCOPE");
    let wrong = Client { client_secret: None, ..client.clone() };
    assert_eq!(reason(ask(&wrong, None).await), "INVALID_CLIENT");
    let nobodys = make(&identity, &admin, draft(ClientKind::Confidential)).await;
    assert_eq!(reason(ask(&nobodys, None).await), "UNAUTHORIZED_CLIENT");
    let revoke =
        RevokeTokenRequest { token: token.access_token, client: Some(credentials(&client)) };
    let refused = tokens(&identity).revoke_token(revoke).await.map_err(Error::from);
    assert_eq!(reason(refused), "UNSUPPORTED_TOKEN_TYPE");

    let inactive = UpdateUserRequest { id: robot.id, is_active: Some(false), ..Default::default() };
    identity.users().update_user(admin.request(inactive)).await.unwrap();
    assert_eq!(reason(ask(&client, None).await), "UNAUTHORIZED_CLIENT");
}

#[tokio::test]
async fn a_program_that_is_deleted_has_no_session_no_code_and_no_token_any_more() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let client = make(&identity, &admin, draft(ClientKind::Public)).await;
    let used = code(&identity, &client).await;
    let set = exchange(&identity, shows(&client, &used)).await.unwrap();
    let unused = code(&identity, &client).await;
    let session_id = caller(&identity, &set.access_token).await.session_id;
    let stale = DeleteClientRequest { id: client.id, expected_version: Some(7) };
    let refused = clients(&identity).delete_client(admin.request(stale)).await;
    assert_eq!(reason(refused.map_err(Error::from)), "STALE");
    let gone = DeleteClientRequest { id: client.id, expected_version: Some(client.version) };
    clients(&identity).delete_client(admin.request(gone)).await.unwrap();

    assert_eq!(reason(refresh(&identity, &set.refresh_token, &client).await), "INVALID_CLIENT");
    assert_eq!(reason(exchange(&identity, shows(&client, &unused)).await), "INVALID_CLIENT");
    assert_eq!(reason(authorize(&identity, asks(&client), PASSWORD).await), "CLIENT_UNKNOWN");
    let mut revoked: Vec<i64> = sqlx::query_scalar("select session_id from revocations")
        .fetch_all(&mut identity.connection().await)
        .await
        .unwrap();
    revoked.sort_unstable();
    assert_eq!(revoked, [client.id, session_id]);
    let mut service = SessionServiceClient::new(identity.channel.clone());
    let with_it = bearer(&set.access_token).request(ListSessionsRequest::default());
    let refused = service.list_sessions(with_it).await.map_err(Error::from);
    assert_eq!(reason(refused), "TOKEN_REVOKED");
}

#[tokio::test]
async fn a_secret_is_shown_once_and_told_to_nobody_else() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let mut service = clients(&identity);
    let keyed = admin.clone().with_idempotency_key("k-1".parse().unwrap());
    let draft_ = draft(ClientKind::Confidential);
    let made = service.create_client(keyed.request(draft_.clone())).await.unwrap();
    let made = made.into_inner().client.unwrap();
    let secret = made.client_secret.clone().unwrap();
    let again: Error = service.create_client(keyed.request(draft_)).await.unwrap_err().into();
    let Error::Conflict { reason, details, .. } = again else { panic!("{again:?}") };
    assert_eq!((&*reason, details["id"].as_str()), ("SECRET_SHOWN", &*made.id.to_string()));

    let list = service.list_clients(admin.request(ListClientsRequest::default())).await.unwrap();
    let list = list.into_inner().items;
    assert_eq!(list.len(), 2, "the dashboard is one");
    assert!(list.iter().all(|client| client.client_secret.is_none()));
    let mut connection = identity.connection().await;
    for sql in ["select payload from change", "select response from idempotency"] {
        let kept: Vec<Vec<u8>> = sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap();
        assert!(!kept.is_empty());
        for bytes in kept {
            assert!(!String::from_utf8_lossy(&bytes).contains(&secret), "{sql}");
        }
    }
    let hashed: Vec<u8> = sqlx::query_scalar("select secret_hash from clients where id = $1")
        .bind(made.id)
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(hashed.len(), 32);
}

#[tokio::test]
async fn only_an_administrator_who_signed_in_keeps_programs() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    identity.create_user(&admin, wanted("amy@example.com")).await.unwrap();
    let amy = identity.sign_in("amy@example.com", PASSWORD).await.unwrap();
    let client = make(&identity, &admin, draft(ClientKind::Public)).await;
    let code = code(&identity, &client).await;
    let program = exchange(&identity, shows(&client, &code)).await.unwrap();
    for token in [&amy.access_token, &program.access_token] {
        let request = bearer(token).request(draft(ClientKind::Public));
        let refused = clients(&identity).create_client(request).await.map_err(Error::from);
        assert_eq!(reason(refused), "DENIED");
    }
    let list = bearer(&amy.access_token).request(ListClientsRequest::default());
    assert_eq!(reason(clients(&identity).list_clients(list).await.map_err(Error::from)), "DENIED");
}

#[tokio::test]
async fn the_dashboard_is_there_is_where_people_find_the_product_and_stays() {
    let database = Database::create().await;
    migrate(&database).await;
    let url = [("PUBLIC_URL", "https://sales.example.com/")];
    let identity = Identity::with(database, |it| {
        it.envs(url);
    })
    .await;
    let dashboard = async |identity: &Identity| {
        let list = identity.admin().await.request(ListClientsRequest::default());
        clients(identity).list_clients(list).await.unwrap().into_inner().items.remove(0)
    };
    let first = dashboard(&identity).await;
    assert_eq!(
        (first.client_id.as_str(), first.version, first.is_built_in),
        ("dashboard", 1, true)
    );
    assert_eq!(first.redirect_uris[0], "https://sales.example.com/");
    let set = {
        let asks =
            AuthorizationRequest { redirect_uri: first.redirect_uris[0].clone(), ..asks(&first) };
        let code = authorize(&identity, asks.clone(), PASSWORD).await.unwrap().unwrap();
        let shown = shows(&first, &code);
        let redirect_uri = asks.redirect_uri;
        exchange(&identity, ExchangeCodeRequest { redirect_uri, ..shown }).await.unwrap()
    };
    assert_eq!(caller(&identity, &set.access_token).await.via, Via::Session);
    let admin = identity.admin().await;
    let gone = DeleteClientRequest { id: first.id, expected_version: None };
    let refused = clients(&identity).delete_client(admin.request(gone)).await;
    assert_eq!(reason(refused.map_err(Error::from)), "BUILT_IN");

    let identity = Identity::with(identity.stop().await, |it| {
        it.env("PUBLIC_URL", "");
    })
    .await;
    let moved = dashboard(&identity).await;
    assert_eq!((moved.version, moved.redirect_uris[0].as_str()), (2, "http://localhost/"));
    // Nobody else on that machine is taken for it.
    let elsewhere = "http://localhost:6666/".to_owned();
    let asks = AuthorizationRequest { redirect_uri: elsewhere, ..asks(&moved) };
    assert_eq!(reason(authorize(&identity, asks, PASSWORD).await), "REDIRECT_URI_UNKNOWN");
    let identity = Identity::with(identity.stop().await, |it| {
        it.env("PUBLIC_URL", "");
    })
    .await;
    assert_eq!(dashboard(&identity).await.version, 2);
}
