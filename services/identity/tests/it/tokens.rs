//! Signing in and staying signed in.

use auth::{Keys, Revocations, Role, Verifier, token::Jwk};
use futures::future::join_all;
use proto::identity::v1::{
    GetUserRequest, IssueServiceTokenRequest, ListKeysRequest,
    key_service_client::KeyServiceClient, token_service_client::TokenServiceClient,
};
use rpc::Error;

use crate::support::{ADMIN, Identity, PASSWORD, SERVICE_SECRET, bearer, wanted};

async fn verifier(identity: &Identity) -> Verifier {
    let mut keys = KeyServiceClient::new(identity.channel.clone());
    let keys = keys.list_keys(ListKeysRequest {}).await.unwrap().into_inner().keys;
    assert_eq!(keys.len(), 1);
    Verifier::new(
        "salespipeline",
        Keys::fixed(keys.into_iter().map(Jwk::from)),
        Revocations::default().into(),
    )
}

#[tokio::test]
async fn a_sign_in_gives_a_token_that_every_service_can_verify() {
    let identity = Identity::start().await;
    let signed_in =
        identity.sign_in(&format!("  {} ", ADMIN.to_uppercase()), PASSWORD).await.unwrap();
    assert_eq!((signed_in.token_type.as_str(), signed_in.expires_in), ("bearer", 1_800));
    let caller =
        verifier(&identity).await.verify(&signed_in.access_token, process::now()).await.unwrap();
    assert_eq!((caller.user_id, caller.role, caller.rights_version), (1, Role::Admin, 1));
    let again = identity.sign_in(ADMIN, PASSWORD).await.unwrap();
    let other =
        verifier(&identity).await.verify(&again.access_token, process::now()).await.unwrap();
    assert_ne!(caller.session_id, other.session_id);
}

#[tokio::test]
async fn an_unknown_account_a_wrong_password_and_an_inactive_user_get_the_same_answer() {
    let identity = Identity::start().await;
    let user =
        identity.create_user(&identity.admin().await, wanted("gone@example.com")).await.unwrap();
    sqlx::query("update users set is_active = false where id = $1")
        .bind(user.id)
        .execute(&mut identity.connection().await)
        .await
        .unwrap();
    let mut answers = Vec::new();
    for (email, password) in [
        (ADMIN, "not the password"),
        ("nobody@example.com", PASSWORD),
        ("gone@example.com", PASSWORD),
        ("a\0b", PASSWORD),
        ("", ""),
    ] {
        let Err(Error::Unauthenticated { reason, message }) =
            identity.sign_in(email, password).await
        else {
            panic!("{email:?} was let in")
        };
        answers.push((reason, message));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(answers[0].0, "INVALID_GRANT");
}

#[tokio::test]
async fn a_refresh_gives_the_next_tokens_of_the_same_session() {
    let identity = Identity::start().await;
    let verifier = verifier(&identity).await;
    let first = identity.sign_in(ADMIN, PASSWORD).await.unwrap();
    let second = identity.refresh(&first.refresh_token).await.unwrap();
    let third = identity.refresh(&second.refresh_token).await.unwrap();
    let session =
        async |token: &str| verifier.verify(token, process::now()).await.unwrap().session_id;
    assert_eq!(session(&first.access_token).await, session(&third.access_token).await);
}

#[tokio::test]
async fn a_refresh_token_used_twice_ends_its_session_the_live_one_included() {
    let identity = Identity::start().await;
    let first = identity.sign_in(ADMIN, PASSWORD).await.unwrap();
    let other = identity.sign_in(ADMIN, PASSWORD).await.unwrap();
    let second = identity.refresh(&first.refresh_token).await.unwrap();
    let third = identity.refresh(&second.refresh_token).await.unwrap();
    for token in [&first, &third, &second] {
        let refused = identity.refresh(&token.refresh_token).await.unwrap_err();
        assert_eq!(refused.reason(), "INVALID_GRANT");
    }
    let reason: String = sqlx::query_scalar("select end_reason from sessions order by id limit 1")
        .fetch_one(&mut identity.connection().await)
        .await
        .unwrap();
    assert_eq!(reason, "refresh_reuse");
    identity.refresh(&other.refresh_token).await.unwrap();
}

#[tokio::test]
async fn reuse_is_noticed_however_long_ago_the_token_was_used_and_across_restarts() {
    let mut identity = Identity::start().await;
    for depth in 1..=20 {
        let mut tokens = vec![identity.sign_in(ADMIN, PASSWORD).await.unwrap()];
        // One more where the token before the latest would be taken once more.
        for _ in 0..depth.max(2) {
            let latest = &tokens.last().unwrap().refresh_token;
            tokens.push(identity.refresh(latest).await.unwrap());
        }
        if depth == 1 {
            let moments_ago = "update sessions set rotated_at = rotated_at - interval '10 seconds'";
            sqlx::query(moments_ago).execute(&mut identity.connection().await).await.unwrap();
        }
        if depth % 5 == 0 {
            identity = Identity::on(identity.stop().await).await;
        }
        let used = &tokens[tokens.len() - 1 - depth].refresh_token;
        assert_eq!(identity.refresh(used).await.unwrap_err().reason(), "INVALID_GRANT", "{depth}");
        let latest = &tokens.last().unwrap().refresh_token;
        let refused = identity.refresh(latest).await.unwrap_err();
        assert_eq!(refused.reason(), "INVALID_GRANT", "{depth}: the session lives");
    }
}

#[tokio::test]
async fn a_lost_answer_to_a_refresh_is_given_again_and_what_was_lost_is_no_longer_good() {
    let identity = Identity::start().await;
    let first = identity.sign_in(ADMIN, PASSWORD).await.unwrap();
    let lost = identity.refresh(&first.refresh_token).await.unwrap();
    let second = identity.refresh(&first.refresh_token).await.unwrap();
    let third = identity.refresh(&second.refresh_token).await.unwrap();
    // The latest is used: the first is no longer the one before it.
    let latest = identity.refresh(&third.refresh_token).await.unwrap();
    identity.refresh(&lost.refresh_token).await.unwrap_err();
    identity.refresh(&latest.refresh_token).await.unwrap_err();
}

#[tokio::test]
async fn who_guesses_a_session_cannot_end_it() {
    let identity = Identity::start().await;
    let signed_in = identity.sign_in(ADMIN, PASSWORD).await.unwrap();
    let (session, letters) = signed_in.refresh_token.split_at(4);
    let letters: String = letters.chars().rev().collect();
    for guess in
        [format!("{session}{letters}"), format!("1.0.{letters}"), "1.1.".to_owned(), "x".to_owned()]
    {
        assert_eq!(identity.refresh(&guess).await.unwrap_err().reason(), "INVALID_GRANT");
    }
    identity.refresh(&signed_in.refresh_token).await.unwrap();
}

#[tokio::test]
async fn of_fifty_refreshes_of_one_token_at_once_one_branch_lives() {
    let identity = Identity::start().await;
    let signed_in = identity.sign_in(ADMIN, PASSWORD).await.unwrap();
    let answers = join_all((0..50).map(|_| identity.refresh(&signed_in.refresh_token))).await;
    let good: Vec<_> = answers.into_iter().filter_map(Result::ok).collect();
    assert!(!good.is_empty());
    // The latest of the session is the one with the highest generation.
    let generation = |token: &str| token.split('.').nth(1).unwrap().parse::<i64>().unwrap();
    let (latest, others): (Vec<_>, Vec<_>) = {
        let highest = good.iter().map(|it| generation(&it.refresh_token)).max().unwrap();
        good.iter().partition(|it| generation(&it.refresh_token) == highest)
    };
    assert_eq!(latest.len(), 1);
    let next = identity.refresh(&latest[0].refresh_token).await.unwrap();
    if let Some(other) = others.first() {
        identity.refresh(&other.refresh_token).await.unwrap_err();
        identity.refresh(&next.refresh_token).await.unwrap_err();
    }
}

#[tokio::test]
async fn a_service_gets_a_token_of_its_own_for_its_secret_alone() {
    let identity = Identity::start().await;
    let mut tokens = TokenServiceClient::new(identity.channel.clone());
    let mut ask = async |service: &str, secret: &str| {
        let request =
            IssueServiceTokenRequest { service: service.to_owned(), secret: secret.to_owned() };
        tokens.issue_service_token(request).await.map_err(Error::from)
    };
    for (service, secret) in [
        ("gateway", "another secret of it"),
        ("analytics", SERVICE_SECRET),
        ("analytics", ""),
        ("", ""),
    ] {
        assert_eq!(ask(service, secret).await.unwrap_err().reason(), "INVALID_CLIENT");
    }
    let token = ask("gateway", SERVICE_SECRET).await.unwrap().into_inner().access_token;
    let caller = verifier(&identity).await.verify(&token, process::now()).await.unwrap();
    assert_eq!(caller.require_service().unwrap(), "gateway");
    identity.users().get_user(bearer(&token).request(GetUserRequest { id: 1 })).await.unwrap();
    let refused = identity.create_user(&bearer(&token), wanted("x@example.com")).await.unwrap_err();
    assert!(matches!(refused, Error::Denied { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_password_hashed_with_less_work_is_hashed_anew_at_the_next_sign_in() {
    let identity = Identity::start().await;
    let mut connection = identity.connection().await;
    // argon2id of PASSWORD with m=8192, t=1.
    let weak = weak_hash();
    sqlx::query("update users set hashed_password = $1")
        .bind(&weak)
        .execute(&mut connection)
        .await
        .unwrap();
    identity.sign_in(ADMIN, PASSWORD).await.unwrap();
    let hashed: String = sqlx::query_scalar("select hashed_password from users")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert!(hashed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hashed}");
    identity.sign_in(ADMIN, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn of_many_sign_ins_at_once_that_hash_it_anew_each_is_let_in() {
    let identity = Identity::start().await;
    sqlx::query("update users set hashed_password = $1")
        .bind(weak_hash())
        .execute(&mut identity.connection().await)
        .await
        .unwrap();
    let answers = join_all((0..5).map(|_| identity.sign_in(ADMIN, PASSWORD))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

fn weak_hash() -> String {
    use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version};
    let weak =
        Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8_192, 1, 1, None).unwrap());
    weak.hash_password_with_salt(PASSWORD.as_bytes(), &[7; 16]).unwrap().to_string()
}
