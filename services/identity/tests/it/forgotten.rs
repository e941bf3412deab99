//! What is over is forgotten after its time, and nothing else is.

use proto::identity::v1::{
    CreateApiKeyRequest, CreateUserRequest, RevokeTokenRequest,
    api_key_service_client::ApiKeyServiceClient, token_service_client::TokenServiceClient,
};
use sqlx::PgConnection;

use crate::{
    second_factor::app,
    support::{ADMIN, Identity, PASSWORD, wanted},
};

async fn counts(connection: &mut PgConnection) -> Vec<(String, i64)> {
    let mut counts = Vec::new();
    for table in [
        "sessions",
        "revocations",
        "api_keys",
        "sign_in_failures",
        "sign_in_successes",
        "sign_in_addresses",
        "password_links",
        "idempotency",
    ] {
        let sql = format!("select count(*) from {table}");
        let count = sqlx::query_scalar(sqlx::AssertSqlSafe(sql));
        counts.push((table.to_owned(), count.fetch_one(&mut *connection).await.unwrap()));
    }
    counts
}

#[tokio::test]
async fn what_is_over_is_forgotten_after_its_time_and_not_before() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let once = admin.clone().with_idempotency_key("k".parse().unwrap());
    let invited = CreateUserRequest { password: None, ..wanted("amy@example.com") };
    identity.create_user(&once, invited).await.unwrap();
    let mut keys = ApiKeyServiceClient::new(identity.channel.clone());
    for (name, expires_in_s) in [("stays", None), ("expires", Some(3_600))] {
        let expires_at =
            expires_in_s.map(|after| process::now() + chrono::TimeDelta::seconds(after));
        let request = CreateApiKeyRequest {
            name: name.to_owned(),
            expires_at: expires_at.map(Into::into),
            ..CreateApiKeyRequest::default()
        };
        keys.create_api_key(admin.request(request)).await.unwrap();
    }
    let ended = identity.sign_in(ADMIN, PASSWORD).await.unwrap();
    let mut tokens = TokenServiceClient::new(identity.channel.clone());
    tokens
        .revoke_token(RevokeTokenRequest { token: ended.refresh_token, client: None })
        .await
        .unwrap();
    identity.sign_in(ADMIN, "wrong").await.unwrap_err();

    let app = app(&identity.database);
    let forget = async |later: chrono::TimeDelta| {
        let now = process::now() + later;
        identity::session::forget(&app, now).await.unwrap();
        identity::api_key::forget(&app, now).await.unwrap();
        identity::sign_in::forget(&app, now).await.unwrap();
        identity::password_link::forget(&app, now).await.unwrap();
        idempotency::forget(&app.write, now).await.unwrap();
    };
    let mut connection = identity.connection().await;
    let before = counts(&mut connection).await;
    let all = before.iter().all(|(_, count)| *count > 0);
    assert!(all, "{before:?}");
    forget(chrono::TimeDelta::zero()).await;
    assert_eq!(counts(&mut connection).await, before);
    // After a day what was revoked, guessed or sent is over; after a month everything but what has no end.
    forget(chrono::TimeDelta::hours(26)).await;
    let after_a_day = counts(&mut connection).await;
    let left = |counts: &[(String, i64)]| -> Vec<String> {
        counts.iter().filter(|(_, count)| *count > 0).map(|(table, _)| table.clone()).collect()
    };
    let expected = ["sessions", "api_keys", "sign_in_successes", "password_links"];
    assert_eq!(left(&after_a_day), expected);
    forget(chrono::TimeDelta::days(61)).await;
    let at_last = counts(&mut connection).await;
    assert_eq!(left(&at_last), ["api_keys"]);
    assert_eq!(at_last[2].1, 1, "the key without an end stays");
}
