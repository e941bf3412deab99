//! The audit of users, teams and settings, and what is never in it.

use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use proto::{
    audit::v1::{
        AuditEntry, AuditSource, ListAuditEntriesRequest, audit_service_client::AuditServiceClient,
    },
    identity::v1::{ChangePasswordRequest, CreateUserRequest, Role},
};
use rpc::{Error, client::Context};
use tonic::Code;

use crate::support::{ADMIN, Identity, PASSWORD, bearer, wanted};

async fn entries(
    identity: &Identity,
    by: &Context,
    asked: ListAuditEntriesRequest,
) -> Result<Vec<AuditEntry>, Error> {
    let mut audit = AuditServiceClient::new(identity.channel.clone());
    Ok(audit.list_audit_entries(by.request(asked)).await?.into_inner().items)
}

#[tokio::test]
async fn an_administrator_finds_who_made_whom_and_nobody_else_does() {
    let identity = Identity::start().await;
    let admin = identity.admin().await.with_request_id("r-18".parse().unwrap());
    let amy = identity.create_user(&admin, wanted("amy@example.com")).await.unwrap();
    let record_type = Some("user".to_owned());
    let asked = ListAuditEntriesRequest {
        record_type,
        record_id: Some(amy.id),
        ..ListAuditEntriesRequest::default()
    };
    let found = entries(&identity, &admin, asked).await.unwrap();
    let [entry] = &found[..] else { panic!("{found:?}") };
    assert_eq!((entry.source(), &*entry.r#type), (AuditSource::Identity, "user.created"));
    assert_eq!((entry.actor_user_id, entry.request_id.as_deref()), (Some(1), Some("r-18")));
    let changes = serde_json::to_value(&entry.changes).unwrap();
    let role = serde_json::json!({"field": "role", "old": null, "new": "rep"});
    assert!(changes.as_array().unwrap().contains(&role), "{changes}");

    let all = entries(&identity, &admin, ListAuditEntriesRequest::default()).await.unwrap();
    let told: Vec<_> = all.iter().map(|it| (&*it.r#type, it.actor_service.as_deref())).collect();
    let by_itself = Some("identity");
    let expected = [
        ("user.created", None),
        ("session.started", None),
        ("user.created", by_itself),
        ("client.created", by_itself),
        ("settings.created", by_itself),
    ];
    assert_eq!(told, expected);
    for role in [Role::Manager, Role::Rep, Role::Viewer] {
        let email = format!("{}@example.com", role.as_str_name());
        let user = CreateUserRequest { role: Some(role.into()), ..wanted(&email) };
        identity.create_user(&admin, user).await.unwrap();
        let own = bearer(&identity.sign_in(&email, PASSWORD).await.unwrap().access_token);
        let refused = entries(&identity, &own, ListAuditEntriesRequest::default()).await;
        assert!(matches!(refused, Err(Error::Denied { .. })), "{role:?}: {refused:?}");
    }
    let nobody = Context::default().request(ListAuditEntriesRequest::default());
    let mut audit = AuditServiceClient::new(identity.channel.clone());
    let refused = audit.list_audit_entries(nobody).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn days_are_those_of_the_organisation() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let all = entries(&identity, &admin, ListAuditEntriesRequest::default()).await.unwrap();
    let recorded: DateTime<Utc> = all[0].recorded_at.unwrap().into();
    let taipei = FixedOffset::east_opt(8 * 3600).unwrap();
    let that_day = recorded.with_timezone(&taipei).date_naive();
    for (days, expected) in [(-1, 0), (0, 1), (1, 0)] {
        let day = Some((that_day + TimeDelta::days(days)).to_string());
        let asked = ListAuditEntriesRequest {
            from: day.clone(),
            to: day,
            r#type: Some("user.created".to_owned()),
            ..ListAuditEntriesRequest::default()
        };
        let found = entries(&identity, &admin, asked).await.unwrap();
        assert_eq!(found.len(), expected, "{days}");
    }
}

#[tokio::test]
async fn no_secret_is_in_the_change_log() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let planted = "a planted password 密碼";
    let mut amy = wanted("amy@example.com");
    amy.password = Some(planted.to_owned());
    identity.create_user(&admin, amy).await.unwrap();
    let signed_in = identity.sign_in("amy@example.com", planted).await.unwrap();
    let refreshed = identity.refresh(&signed_in.refresh_token).await.unwrap();
    let another = "another planted password 密碼";
    let change = ChangePasswordRequest {
        current_password: planted.to_owned(),
        new_password: another.to_owned(),
    };
    let own = bearer(&refreshed.access_token);
    identity.users().change_password(own.request(change)).await.unwrap();
    let mut connection = identity.connection().await;
    let mut secrets: Vec<Vec<u8>> = [
        planted,
        another,
        PASSWORD,
        &signed_in.access_token,
        &signed_in.refresh_token,
        &refreshed.access_token,
        &refreshed.refresh_token,
        "argon2",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into();
    let hashes: Vec<Vec<u8>> = sqlx::query_scalar(
        "select convert_to(hashed_password, 'UTF8') from users
        union select family_hash from sessions union select secret_hash from sessions
        union select previous_secret_hash from sessions where previous_secret_hash is not null",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert!(hashes.len() >= 6, "{ADMIN} and Amy have a password and a session each");
    secrets.extend(hashes.iter().cloned());
    // A hash might be there as text, too.
    let hex = |bytes: &Vec<u8>| {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
    };
    secrets.extend(hashes.iter().map(|hash| hex(hash).into_bytes()));
    let rows: Vec<(Vec<u8>, String)> =
        sqlx::query_as("select payload, change::text from change order by change_id")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    let holds = |row: &[u8], secret: &[u8]| row.windows(secret.len()).any(|part| part == secret);
    for kind in ["user.created", "user.password_changed", "session.started"] {
        let is_there = rows.iter().any(|(payload, _)| holds(payload, kind.as_bytes()));
        assert!(is_there, "{kind} was not looked at");
    }
    for (payload, row) in &rows {
        for secret in &secrets {
            let told = String::from_utf8_lossy(secret);
            assert!(!holds(payload, secret) && !holds(row.as_bytes(), secret), "{told}");
        }
    }
}
