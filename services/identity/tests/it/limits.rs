//! How often somebody may guess.

use std::time::Instant;

use chrono::TimeDelta;
use futures::future::join_all;
use proto::identity::v1::{
    ChangePasswordRequest, IssueTokenRequest, token_service_client::TokenServiceClient,
};
use rpc::{Error, client::Context};

use crate::support::{ADMIN, Identity, PASSWORD, bearer, wanted};

/// A sign-in that the gateway passes on from an address.
async fn from(
    identity: &Identity,
    gateway: &Context,
    address: &str,
    email: &str,
    password: &str,
) -> Result<(), Error> {
    let request = IssueTokenRequest {
        username: email.to_owned(),
        password: password.to_owned(),
        scope: None,
    };
    let context = gateway.clone().with_client_address(address.parse().unwrap());
    let mut tokens = TokenServiceClient::new(identity.channel.clone());
    Ok(tokens.issue_token(context.request(request)).await.map(drop)?)
}

/// Lets time pass for what is counted.
async fn pass(identity: &Identity, time: TimeDelta) {
    for sql in [
        "update sign_in_failures set blocked_until = blocked_until - $1, failed_at = failed_at - $1",
        "update sign_in_addresses set window_started_at = window_started_at - $1",
        "update sign_in_successes set succeeded_at = succeeded_at - $1",
    ] {
        sqlx::query(sql).bind(time).execute(&mut identity.connection().await).await.unwrap();
    }
}

fn wait_of(error: &Error) -> u64 {
    match error {
        Error::Exhausted { reason, retry_after: Some(wait), .. }
            if reason == "TOO_MANY_FAILURES" =>
        {
            wait.as_millis().div_ceil(1_000).try_into().unwrap()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_account_waits_after_five_failures_and_longer_after_each_more() {
    let identity = Identity::start().await;
    let gateway = identity.service().await;
    for email in [ADMIN, "nobody@example.com"] {
        let mut number = 0;
        let mut guess = async || {
            number += 1;
            let address = format!("192.0.2.{number}");
            from(&identity, &gateway, &address, email, "wrong").await.unwrap_err()
        };
        for _ in 0..5 {
            assert_eq!(guess().await.reason(), "INVALID_GRANT");
        }
        for wait in [1, 2, 4, 8] {
            assert_eq!(wait_of(&guess().await), wait, "{email}");
            pass(&identity, TimeDelta::seconds(i64::try_from(wait).unwrap())).await;
            assert_eq!(guess().await.reason(), "INVALID_GRANT");
        }
    }
}

#[tokio::test]
async fn the_owner_gets_in_from_where_they_were_before_whatever_an_attacker_does() {
    let identity = Identity::start().await;
    let gateway = identity.service().await;
    let home = "2001:db8:1:2::7";
    from(&identity, &gateway, home, ADMIN, PASSWORD).await.unwrap();
    let guesses = (0..1_000).map(|number| {
        let (identity, gateway) = (&identity, &gateway);
        async move {
            let address = format!("198.51.{}.{}", number / 200, number % 200);
            from(identity, gateway, &address, ADMIN, "wrong").await.unwrap_err()
        }
    });
    let answers = join_all(guesses).await;
    let checked = answers.iter().filter(|answer| answer.reason() == "INVALID_GRANT").count();
    assert!(checked <= 100, "{checked} were checked");
    // The attacker goes on until the wait is longer than what is left of this test.
    let mut number = 0;
    loop {
        number += 1;
        let address = format!("203.0.114.{number}");
        let refused = from(&identity, &gateway, &address, ADMIN, "wrong").await.unwrap_err();
        if refused.reason() == "TOO_MANY_FAILURES" {
            let wait = wait_of(&refused);
            if wait > 60 {
                break;
            }
            pass(&identity, TimeDelta::seconds(i64::try_from(wait).unwrap())).await;
        }
    }
    // From the same network, at another address of it.
    from(&identity, &gateway, "2001:db8:1:2::8", ADMIN, PASSWORD).await.unwrap();
    // From elsewhere the owner waits like anyone.
    let refused = from(&identity, &gateway, "203.0.113.1", ADMIN, PASSWORD).await.unwrap_err();
    assert!(wait_of(&refused) > 1, "{refused:?}");
    // What was long ago is no longer trusted.
    pass(&identity, TimeDelta::days(31)).await;
    from(&identity, &gateway, home, ADMIN, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn an_address_has_thirty_failures_a_minute_whatever_the_account() {
    let identity = Identity::start().await;
    let gateway = identity.service().await;
    for number in 0..30 {
        let email = format!("{number}@example.com");
        let refused = from(&identity, &gateway, "192.0.2.1", &email, "wrong").await.unwrap_err();
        assert_eq!(refused.reason(), "INVALID_GRANT");
    }
    let refused = from(&identity, &gateway, "192.0.2.1", ADMIN, PASSWORD).await.unwrap_err();
    assert!((1..=60).contains(&wait_of(&refused)));
    from(&identity, &gateway, "192.0.2.2", ADMIN, PASSWORD).await.unwrap();
    pass(&identity, TimeDelta::minutes(1)).await;
    from(&identity, &gateway, "192.0.2.1", ADMIN, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn many_at_once_from_an_address_are_not_more_than_one_after_the_other() {
    let identity = Identity::start().await;
    let gateway = identity.service().await;
    let guesses = (0..60).map(|number| {
        let (identity, gateway) = (&identity, &gateway);
        async move {
            let email = format!("{number}@example.com");
            from(identity, gateway, "192.0.2.1", &email, "wrong").await.unwrap_err()
        }
    });
    let answers = join_all(guesses).await;
    let checked = answers.iter().filter(|answer| answer.reason() == "INVALID_GRANT").count();
    // A few are checked while another is counted.
    assert!((30..=33).contains(&checked), "{checked} were checked");
    assert_eq!(
        answers.iter().filter(|it| it.reason() == "TOO_MANY_FAILURES").count(),
        60 - checked
    );
}

#[tokio::test]
async fn what_is_tried_by_a_session_counts_for_where_it_was_opened_and_not_for_the_connection() {
    let identity = Identity::start().await;
    let gateway = identity.service().await;
    let admin = identity.admin().await;
    let session = async |name: &str, address: &str| {
        let email = format!("{name}@example.com");
        identity.create_user(&admin, wanted(&email)).await.unwrap();
        let request =
            IssueTokenRequest { username: email, password: PASSWORD.to_owned(), scope: None };
        let context = gateway.clone().with_client_address(address.parse().unwrap());
        let mut tokens = TokenServiceClient::new(identity.channel.clone());
        let answer = tokens.issue_token(context.request(request)).await.unwrap();
        bearer(&answer.into_inner().token.unwrap().access_token)
    };
    let change = async |by: &Context, current: &str| {
        let request = ChangePasswordRequest {
            current_password: current.to_owned(),
            new_password: "another one".to_owned(),
        };
        identity.users().change_password(by.request(request)).await.map_err(Error::from)
    };
    let there = session("there", "192.0.2.1").await;
    // All of them by one connection: five wrong ones of each of six people at one address.
    for number in 0..6 {
        let own = session(&format!("guesses{number}"), "192.0.2.1").await;
        for _ in 0..5 {
            assert!(matches!(change(&own, "wrong").await, Err(Error::Invalid(_))));
        }
    }
    wait_of(&change(&there, PASSWORD).await.unwrap_err());
    let elsewhere = session("elsewhere", "192.0.2.2").await;
    change(&elsewhere, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn only_the_gateway_is_believed_about_an_address() {
    let identity = Identity::start().await;
    for number in 0..5 {
        let address = format!("192.0.2.{number}");
        let anybody = Context::default();
        from(&identity, &anybody, &address, ADMIN, "wrong").await.unwrap_err();
    }
    let addresses: Vec<String> = sqlx::query_scalar("select prefix from sign_in_addresses")
        .fetch_all(&mut identity.connection().await)
        .await
        .unwrap();
    assert_eq!(addresses, ["127.0.0.1"]);
}

#[tokio::test]
async fn many_right_sign_ins_at_once_are_no_attack() {
    let identity = Identity::start().await;
    let answers = join_all((0..40).map(|_| identity.sign_in(ADMIN, PASSWORD))).await;
    assert!(answers.iter().all(Result::is_ok));
}

#[tokio::test]
async fn known_and_unknown_accounts_take_the_same_time() {
    let identity = Identity::start().await;
    let gateway = identity.service().await;
    let admin = identity.admin().await;
    for number in 0..20 {
        let email = format!("known{number}@example.com");
        identity.create_user(&admin, wanted(&email)).await.unwrap();
    }
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for number in 0..20 {
        for (kind, times) in [("known", &mut known), ("unknown", &mut unknown)] {
            let (email, address) =
                (format!("{kind}{number}@example.com"), format!("192.0.2.{}", number + 1));
            let begun = Instant::now();
            from(&identity, &gateway, &address, &email, "wrong").await.unwrap_err();
            times.push(begun.elapsed());
        }
    }
    known.sort_unstable();
    unknown.sort_unstable();
    let (known, unknown) = (known[10].as_secs_f64(), unknown[10].as_secs_f64());
    // Without the same work for both they would differ by a factor of ten.
    assert!((0.5..2.0).contains(&(known / unknown)), "{known} {unknown}");
}
