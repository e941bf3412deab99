//! Codes, and the tokens for them.

use auth::{Scope, Via};
use futures::future::join_all;
use proto::identity::v1::{
    AuthorizationRequest, CheckAuthorizationRequest, Client, ClientCredentials, ClientKind,
    CreateClientRequest, EndUserSessionsRequest, ExchangeCodeRequest, IssueTokenRequest,
    ListGrantTypesRequest, RefreshTokenRequest, RevokeTokenRequest, TokenSet,
    authorization_service_client::AuthorizationServiceClient, authorize_response,
    check_authorization_response, session_service_client::SessionServiceClient,
};
use rpc::Error;

use super::{
    CHALLENGE, URI, asks, authorize, caller, code, credentials, draft, exchange, make, outcome,
    reason, refresh, sessions, shows, tokens,
};
use crate::support::{ADMIN, Identity, PASSWORD};

#[tokio::test]
async fn a_code_gives_a_session_of_the_program_and_used_again_ends_it() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let client = make(&identity, &admin, draft(ClientKind::Public)).await;
    assert_eq!((client.client_id.len(), client.client_secret.as_ref()), (26, None));
    let code = code(&identity, &client).await;
    let first = exchange(&identity, shows(&client, &code)).await.unwrap();
    assert_eq!(first.scope.as_deref(), Some("read write"));
    assert_eq!(sessions(&identity, &admin).await, (1, Some("Add-in".to_owned())));
    let by = caller(&identity, &first.access_token).await;
    assert_eq!((by.user_id, by.via, by.scope), (1, Via::Client, Scope::ALL));
    let next = refresh(&identity, &first.refresh_token, &client).await.unwrap();

    assert_eq!(reason(exchange(&identity, shows(&client, &code)).await), "INVALID_GRANT");
    assert_eq!(sessions(&identity, &admin).await.0, 0);
    assert_eq!(reason(refresh(&identity, &next.refresh_token, &client).await), "INVALID_GRANT");
    let reasons: Vec<Option<String>> =
        sqlx::query_scalar("select end_reason from sessions where client_id is not null")
            .fetch_all(&mut identity.connection().await)
            .await
            .unwrap();
    assert_eq!(reasons, [Some("code_reuse".to_owned())]);
}

#[tokio::test]
async fn a_code_is_for_its_program_its_redirect_uri_its_verifier_and_a_minute() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let client = make(&identity, &admin, draft(ClientKind::Public)).await;
    let other = make(&identity, &admin, draft(ClientKind::Public)).await;
    let secret = make(&identity, &admin, draft(ClientKind::Confidential)).await;
    let code = code(&identity, &client).await;
    let good = shows(&client, &code);
    let without = |client: &Client| Client { client_secret: None, ..client.clone() };
    for (shown, expected) in [
        (
            ExchangeCodeRequest { client: Some(credentials(&other)), ..good.clone() },
            "INVALID_GRANT",
        ),
        (
            ExchangeCodeRequest { client: Some(credentials(&secret)), ..good.clone() },
            "INVALID_GRANT",
        ),
        (shows(&without(&secret), &code), "INVALID_CLIENT"),
        (ExchangeCodeRequest { client: None, ..good.clone() }, "INVALID_CLIENT"),
        (
            shows(&Client { client_secret: secret.client_secret.clone(), ..client.clone() }, &code),
            "INVALID_CLIENT",
        ),
        (
            shows(&Client { client_id: "a\0b".to_owned(), ..client.clone() }, &code),
            "INVALID_CLIENT",
        ),
        (ExchangeCodeRequest { redirect_uri: format!("{URI}/"), ..good.clone() }, "INVALID_GRANT"),
        (ExchangeCodeRequest { code_verifier: String::new(), ..good.clone() }, "INVALID_GRANT"),
        (
            ExchangeCodeRequest { code_verifier: CHALLENGE.to_owned(), ..good.clone() },
            "INVALID_GRANT",
        ),
        (shows(&client, &code[1..]), "INVALID_GRANT"),
        (shows(&client, ""), "INVALID_GRANT"),
    ] {
        assert_eq!(reason(exchange(&identity, shown.clone()).await), expected, "{shown:?}");
    }
    // None of them used it up, or ended what it gives.
    exchange(&identity, good).await.unwrap();

    let late = self::code(&identity, &client).await;
    let later = "update authorization_codes set expires_at = expires_at - interval '61 seconds'";
    sqlx::query(later).execute(&mut identity.connection().await).await.unwrap();
    assert_eq!(reason(exchange(&identity, shows(&client, &late)).await), "INVALID_GRANT");
}

#[tokio::test]
async fn fifty_exchanges_at_once_give_one_session() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let client = make(&identity, &admin, draft(ClientKind::Confidential)).await;
    let code = code(&identity, &client).await;
    let all = (0..50).map(|_| exchange(&identity, shows(&client, &code)));
    let answers = join_all(all).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    let refused = answers.into_iter().filter_map(Result::err);
    assert!(refused.into_iter().all(|error| error.reason() == "INVALID_GRANT"));
    let (opened, live): (i64, i64) = sqlx::query_as(
        "select count(*), count(*) filter (where ended_at is null) from sessions where client_id is not null",
    )
    .fetch_one(&mut identity.connection().await)
    .await
    .unwrap();
    assert_eq!((opened, live), (1, 0), "somebody had the code twice");
}

#[tokio::test]
async fn a_refresh_token_is_good_in_the_hands_of_its_own_program_alone() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let client = make(&identity, &admin, draft(ClientKind::Confidential)).await;
    let other = make(&identity, &admin, draft(ClientKind::Public)).await;
    let code = code(&identity, &client).await;
    let first = exchange(&identity, shows(&client, &code)).await.unwrap();
    let wrong = Client { client_secret: Some("wrong".to_owned()), ..client.clone() };
    for (by, expected) in [(&other, "INVALID_GRANT"), (&wrong, "INVALID_CLIENT")] {
        assert_eq!(reason(refresh(&identity, &first.refresh_token, by).await), expected);
    }
    assert_eq!(reason(identity.refresh(&first.refresh_token).await), "INVALID_CLIENT");
    let second = refresh(&identity, &first.refresh_token, &client).await.unwrap();

    let revoke = async |by: Option<ClientCredentials>| -> Result<(), Error> {
        let request = RevokeTokenRequest { token: second.refresh_token.clone(), client: by };
        Ok(tokens(&identity).revoke_token(request).await.map(drop)?)
    };
    assert_eq!(reason(revoke(None).await), "INVALID_CLIENT");
    assert_eq!(reason(revoke(Some(credentials(&other))).await), "INVALID_GRANT");
    assert_eq!(sessions(&identity, &admin).await.0, 1);
    revoke(Some(credentials(&client))).await.unwrap();
    assert_eq!(sessions(&identity, &admin).await.0, 0);
}

#[tokio::test]
async fn a_token_may_be_used_for_what_was_granted_and_less_if_less_is_asked_for() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let reads = CreateClientRequest { scopes: Vec::new(), ..draft(ClientKind::Public) };
    let reads = make(&identity, &admin, reads).await;
    let writes = make(&identity, &admin, draft(ClientKind::Public)).await;
    for (client, scope, expected) in [
        (&reads, "", Scope::READ),
        (&reads, "read write", Scope::READ),
        (&writes, "read", Scope::READ),
        (&writes, "write", Scope::ALL),
    ] {
        let asks = AuthorizationRequest { scope: scope.to_owned(), ..asks(client) };
        let code = authorize(&identity, asks, PASSWORD).await.unwrap().unwrap();
        let set = exchange(&identity, shows(client, &code)).await.unwrap();
        assert_eq!(set.scope.as_deref(), Some(&*expected.to_string()), "{scope}");
        assert_eq!(caller(&identity, &set.access_token).await.scope, expected);
        let again = |scope: &str, token: &TokenSet| RefreshTokenRequest {
            refresh_token: token.refresh_token.clone(),
            client: Some(credentials(client)),
            scope: Some(scope.to_owned()),
        };
        let more = tokens(&identity).refresh_token(again("write", &set)).await;
        if expected == Scope::READ {
            assert_eq!(reason(more.map_err(Error::from)), "INVALID_SCOPE");
        } else {
            let set = more.unwrap().into_inner().token.unwrap();
            let less = tokens(&identity).refresh_token(again("read", &set)).await.unwrap();
            let less = less.into_inner().token.unwrap();
            assert_eq!(caller(&identity, &less.access_token).await.scope, Scope::READ);
            // Only that token: the session is what it was.
            let all = refresh(&identity, &less.refresh_token, client).await.unwrap();
            assert_eq!(caller(&identity, &all.access_token).await.scope, Scope::ALL);
        }
    }
    let request = IssueTokenRequest {
        username: ADMIN.to_owned(),
        password: PASSWORD.to_owned(),
        scope: Some("read".to_owned()),
    };
    let set = tokens(&identity).issue_token(request).await.unwrap().into_inner().token.unwrap();
    let next = identity.refresh(&set.refresh_token).await.unwrap();
    assert_eq!(caller(&identity, &next.access_token).await.scope, Scope::READ);
}

#[tokio::test]
async fn who_takes_everything_back_takes_codes_back_too() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let client = make(&identity, &admin, draft(ClientKind::Public)).await;
    let code = code(&identity, &client).await;
    let mut service = SessionServiceClient::new(identity.channel.clone());
    let all = admin.request(EndUserSessionsRequest { user_id: 1 });
    service.end_user_sessions(all).await.unwrap();
    assert_eq!(reason(exchange(&identity, shows(&client, &code)).await), "INVALID_GRANT");
}

#[tokio::test]
async fn guesses_on_the_page_are_counted_with_those_elsewhere() {
    let identity = Identity::start().await;
    let client = make(&identity, &identity.admin().await, draft(ClientKind::Public)).await;
    // Forgotten where it was signed in from, so that every guess counts alike.
    let forget = "delete from sign_in_successes";
    sqlx::query(forget).execute(&mut identity.connection().await).await.unwrap();
    for number in 0..5 {
        if number % 2 == 0 {
            assert_eq!(authorize(&identity, asks(&client), "wrong").await.unwrap(), None);
        } else {
            assert_eq!(reason(identity.sign_in(ADMIN, "wrong").await), "INVALID_GRANT");
        }
    }
    let refused = authorize(&identity, asks(&client), PASSWORD).await;
    assert_eq!(reason(refused), "TOO_MANY_FAILURES");
}

#[tokio::test]
async fn with_the_password_grant_off_people_sign_in_on_the_page_alone() {
    let identity = Identity::start().await;
    let client = make(&identity, &identity.admin().await, draft(ClientKind::Public)).await;
    let off = [("PASSWORD_GRANT", "off")];
    let identity = Identity::with(identity.stop().await, |it| {
        it.envs(off);
    })
    .await;
    for password in [PASSWORD, "wrong"] {
        assert_eq!(reason(identity.sign_in(ADMIN, password).await), "UNSUPPORTED_GRANT_TYPE");
    }
    let code = code(&identity, &client).await;
    exchange(&identity, shows(&client, &code)).await.unwrap();
    let mut service = AuthorizationServiceClient::new(identity.channel.clone());
    let types = service.list_grant_types(ListGrantTypesRequest {}).await.unwrap().into_inner();
    assert_eq!(types.items, ["authorization_code", "refresh_token", "client_credentials"]);
}

#[tokio::test]
async fn a_page_names_who_asks_or_the_program_is_told_why_not() {
    let identity = Identity::start().await;
    let client = make(&identity, &identity.admin().await, draft(ClientKind::Public)).await;
    let check = async |authorization: AuthorizationRequest| -> Result<_, Error> {
        let mut service = AuthorizationServiceClient::new(identity.channel.clone());
        let request = CheckAuthorizationRequest { authorization: Some(authorization) };
        Ok(service.check_authorization(request).await?.into_inner().outcome.unwrap())
    };
    let Ok(check_authorization_response::Outcome::Client(shown)) = check(asks(&client)).await
    else {
        panic!("refused")
    };
    assert_eq!((shown.name.as_str(), shown.is_first_party), ("Add-in", false));
    assert_eq!(shown.scopes, ["read", "write"]);
    let plain = AuthorizationRequest { code_challenge_method: String::new(), ..asks(&client) };
    let Ok(check_authorization_response::Outcome::Refusal(refusal)) = check(plain).await else {
        panic!("shown")
    };
    assert_eq!(refusal.error, "invalid_request");
    for client_id in ["spm_nobody", "", "a\0b"] {
        let asks = AuthorizationRequest { client_id: client_id.to_owned(), ..asks(&client) };
        assert_eq!(reason(check(asks).await), "CLIENT_UNKNOWN");
    }
    let elsewhere =
        AuthorizationRequest { redirect_uri: "https://evil.example/".to_owned(), ..asks(&client) };
    assert_eq!(reason(check(elsewhere).await), "REDIRECT_URI_UNKNOWN");
}

#[tokio::test]
async fn who_needs_a_second_factor_gets_no_code_for_a_password() {
    let identity = Identity::start().await;
    let client = make(&identity, &identity.admin().await, draft(ClientKind::Public)).await;
    let must = "update settings set second_factor_roles = '{admin}'";
    sqlx::query(must).execute(&mut identity.connection().await).await.unwrap();
    let right = outcome(&identity, asks(&client), PASSWORD).await.unwrap();
    assert!(matches!(right, authorize_response::Outcome::SecondFactor(_)), "{right:?}");
    let wrong = outcome(&identity, asks(&client), "wrong").await.unwrap();
    assert!(matches!(wrong, authorize_response::Outcome::Wrong(_)), "{wrong:?}");
}

#[tokio::test]
async fn a_code_is_worth_nothing_once_a_second_factor_is_demanded() {
    let identity = Identity::start().await;
    let client = make(&identity, &identity.admin().await, draft(ClientKind::Public)).await;
    let given = code(&identity, &client).await;
    let must = "update settings set second_factor_roles = '{admin}'";
    sqlx::query(must).execute(&mut identity.connection().await).await.unwrap();
    assert_eq!(reason(exchange(&identity, shows(&client, &given)).await), "SECOND_FACTOR_REQUIRED");
}
