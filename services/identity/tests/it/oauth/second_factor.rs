//! Signing in for a program with a second factor, or by turning one on.

use chrono::TimeDelta;
use proto::identity::v1::{
    AuthorizationCode, AuthorizeRequest, AuthorizeWithSecondFactorRequest, ChangePasswordRequest,
    Client, ClientKind, Role, SecondFactorNeeded,
    authorization_service_client::AuthorizationServiceClient, authorize_response,
    authorize_with_second_factor_response::Outcome,
};
use rpc::Error;

use super::{asks, draft, exchange, make, reason, sessions, shows};
use crate::second_factor::{AMY, Amy, ask_of, reset, shown};
use crate::support::{Identity, PASSWORD, wanted};

/// The second step after a right password.
async fn first_step(identity: &Identity, client: &Client) -> SecondFactorNeeded {
    let request = AuthorizeRequest {
        authorization: Some(asks(client)),
        username: AMY.to_owned(),
        password: PASSWORD.to_owned(),
    };
    let mut service = AuthorizationServiceClient::new(identity.channel.clone());
    match service.authorize(request).await.unwrap().into_inner().outcome.unwrap() {
        authorize_response::Outcome::SecondFactor(next) => next,
        other => panic!("{other:?}"),
    }
}

async fn second_step(
    identity: &Identity,
    client: &Client,
    ticket: &str,
    code: &str,
) -> Result<Outcome, Error> {
    let request = AuthorizeWithSecondFactorRequest {
        authorization: Some(asks(client)),
        ticket: ticket.to_owned(),
        code: code.to_owned(),
    };
    let mut service = AuthorizationServiceClient::new(identity.channel.clone());
    let answer = service.authorize_with_second_factor(request).await?;
    Ok(answer.into_inner().outcome.unwrap())
}

fn code_of(outcome: Outcome) -> AuthorizationCode {
    match outcome {
        Outcome::Code(code) => code,
        other => panic!("{other:?}"),
    }
}

/// A program that anybody may sign in for.
async fn program(identity: &Identity) -> Client {
    make(identity, &identity.admin().await, draft(ClientKind::Public)).await
}

#[tokio::test]
async fn who_has_a_second_factor_gets_a_code_for_both_and_for_neither_alone() {
    let identity = Identity::start().await;
    let (amy, client) = (Amy::of(&identity).await, program(&identity).await);
    let SecondFactorNeeded { ticket, enrolment } = first_step(&identity, &client).await;
    assert_eq!(enrolment, None, "there is one");
    let step = async |code: &str| second_step(&identity, &client, &ticket, code).await.unwrap();
    for wrong in ["", "000000x", "abcd", "\0"] {
        assert!(matches!(step(wrong).await, Outcome::Wrong(_)), "{wrong:?}");
    }
    let code = shown(&amy.secret, 1);
    let given = code_of(step(&code).await);
    assert!(given.recovery_codes.is_empty());
    assert!(matches!(step(&code).await, Outcome::Wrong(_)), "a code is good once");
    exchange(&identity, shows(&client, &given.code)).await.unwrap();
    assert_eq!(sessions(&identity, &amy.own).await.0, 1);

    let recovery = &amy.recovery_codes[0];
    let given = code_of(step(recovery).await);
    exchange(&identity, shows(&client, &given.code)).await.unwrap();
    assert!(matches!(step(recovery).await, Outcome::Wrong(_)), "and so is a recovery code");
}

#[tokio::test]
async fn whose_role_must_have_one_turns_it_on_with_the_sign_in() {
    let identity = Identity::start().await;
    let (admin, client) = (identity.admin().await, program(&identity).await);
    identity.create_user(&admin, wanted(AMY)).await.unwrap();
    let before = identity.sign_in(AMY, PASSWORD).await.unwrap();
    ask_of(&identity, &admin, &[Role::Rep]).await.unwrap();

    let SecondFactorNeeded { ticket, enrolment } = first_step(&identity, &client).await;
    let enrolment = enrolment.unwrap();
    assert!(enrolment.otpauth_uri.contains(&enrolment.secret), "{enrolment:?}");
    let step = async |code: &str| second_step(&identity, &client, &ticket, code).await.unwrap();
    assert!(matches!(step("123").await, Outcome::Wrong(_)));
    let given = code_of(step(&shown(&enrolment.secret, 0)).await);
    assert_eq!(given.recovery_codes.len(), 10);
    // Who writes codes down takes longer than a minute.
    let later = "update authorization_codes set expires_at = expires_at - interval '9 minutes'";
    sqlx::query(later).execute(&mut identity.connection().await).await.unwrap();
    exchange(&identity, shows(&client, &given.code)).await.unwrap();
    assert_eq!(reason(identity.refresh(&before.refresh_token).await), "INVALID_GRANT");

    let SecondFactorNeeded { ticket, enrolment } = first_step(&identity, &client).await;
    assert_eq!(enrolment, None, "now there is one");
    let recovery = &given.recovery_codes[9];
    let given = code_of(second_step(&identity, &client, &ticket, recovery).await.unwrap());
    assert!(given.recovery_codes.is_empty());
}

#[tokio::test]
async fn what_somebody_began_to_turn_on_is_not_confirmed_by_an_earlier_secret() {
    let identity = Identity::start().await;
    let (admin, client) = (identity.admin().await, program(&identity).await);
    identity.create_user(&admin, wanted(AMY)).await.unwrap();
    ask_of(&identity, &admin, &[Role::Rep]).await.unwrap();
    let first = first_step(&identity, &client).await;
    let second = first_step(&identity, &client).await;
    let (old, new) = (first.enrolment.unwrap().secret, second.enrolment.unwrap().secret);
    assert_ne!(old, new);
    let step = async |code: String| second_step(&identity, &client, &second.ticket, &code).await;
    assert!(matches!(step(shown(&old, 0)).await.unwrap(), Outcome::Wrong(_)));
    code_of(step(shown(&new, 0)).await.unwrap());
    // The other form is still open, with what is no first code any more.
    let late = second_step(&identity, &client, &first.ticket, &shown(&new, 0)).await.unwrap();
    assert!(matches!(late, Outcome::Wrong(_)), "{late:?}");
}

#[tokio::test]
async fn the_first_step_counts_for_what_it_was_made_for_and_while_the_account_is_the_same() {
    let identity = Identity::start().await;
    let (amy, client) = (Amy::of(&identity).await, program(&identity).await);
    let other = program(&identity).await;
    let SecondFactorNeeded { ticket, .. } = first_step(&identity, &client).await;
    let code = &amy.recovery_codes[0];
    let expired = async |client: &Client, ticket: &str| {
        let came = second_step(&identity, client, ticket, code).await.unwrap();
        matches!(came, Outcome::Expired(_))
    };
    assert!(expired(&other, &ticket).await, "another program's");
    for forged in ["", "AAAA", &ticket[1..], &format!("{ticket}A")] {
        assert!(expired(&client, forged).await, "{forged}");
    }
    let request = ChangePasswordRequest {
        current_password: PASSWORD.to_owned(),
        new_password: "another one".to_owned(),
    };
    identity.users().change_password(amy.own.request(request)).await.unwrap();
    assert!(expired(&client, &ticket).await, "of another password");

    let identity = Identity::start().await;
    let (amy, client) = (Amy::of(&identity).await, program(&identity).await);
    let SecondFactorNeeded { ticket, .. } = first_step(&identity, &client).await;
    reset(&identity, &identity.admin().await, amy.user.id).await.unwrap();
    let came = second_step(&identity, &client, &ticket, &amy.recovery_codes[0]).await.unwrap();
    assert!(matches!(came, Outcome::Expired(_)), "there is none any more: {came:?}");
}

#[tokio::test]
async fn codes_of_the_second_step_are_not_guessed() {
    let identity = Identity::start().await;
    let (amy, client) = (Amy::of(&identity).await, program(&identity).await);
    let mut checked = 0;
    let refused = loop {
        // A right password in between gives no more tries.
        let SecondFactorNeeded { ticket, .. } = first_step(&identity, &client).await;
        match second_step(&identity, &client, &ticket, "000000").await {
            Ok(Outcome::Wrong(_)) => checked += 1,
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
        assert!(checked <= 5, "{checked} were checked");
    };
    assert_eq!(refused.reason(), "TOO_MANY_FAILURES");
    assert_eq!(checked, 5);
    // After the wait the owner gets in.
    let waited = "update sign_in_failures set blocked_until = blocked_until - $1, failed_at = failed_at - $1";
    let wait = TimeDelta::minutes(16);
    sqlx::query(waited).bind(wait).execute(&mut identity.connection().await).await.unwrap();
    let SecondFactorNeeded { ticket, .. } = first_step(&identity, &client).await;
    let came = second_step(&identity, &client, &ticket, &shown(&amy.secret, 1)).await.unwrap();
    code_of(came);
}
