//! Which user somebody at the provider is, and for how long.

use futures::future::join_all;
use proto::identity::v1::{
    AuthorizeWithSecondFactorRequest, ChangePasswordRequest, FinishExternalSignInRequest, Role,
    UpdateUserRequest, User, authorization_service_client::AuthorizationServiceClient,
    authorize_with_second_factor_response::Outcome,
};
use serde_json::{Value, json};

use super::{AMY, BROWSER, End, Scene, failure};
use crate::{
    oauth::asks,
    second_factor::{ask_of, shown},
    support::{PASSWORD, bearer, wanted},
};

impl Scene {
    async fn change(&self, wanted: UpdateUserRequest) -> User {
        let request = self.admin.request(wanted);
        self.identity.users().update_user(request).await.unwrap().into_inner().user.unwrap()
    }

    async fn activate(&self, id: i64, is_active: bool) {
        let is_active = Some(is_active);
        self.change(UpdateUserRequest { id, is_active, ..UpdateUserRequest::default() }).await;
    }

    async fn rename(&self, id: i64, email: &str) {
        let email = Some(email.to_owned());
        self.change(UpdateUserRequest { id, email, ..UpdateUserRequest::default() }).await;
    }

    /// What became other about Amy, as the audit tells it.
    async fn changes(&self, event: &str) -> Vec<Value> {
        let entries = self.audit("user").await.into_iter();
        let of_amy = entries.filter(|it| it.record_id == self.amy.id && it.r#type == event);
        of_amy.map(|it| serde_json::to_value(it.changes).unwrap()).collect()
    }
}

#[tokio::test]
async fn who_has_a_users_verified_address_is_that_user_from_then_on() {
    let scene = Scene::start().await;
    let end = scene.signs_in(json!({})).await;
    assert_eq!(scene.owner(end).await, scene.amy.id);
    let linked = scene.changes("user.external_linked").await;
    let expected = json!([
        {"field": "external_issuer", "old": null, "new": scene.provider.issuer},
        {"field": "external_subject", "old": null, "new": "amy-at-the-provider"},
    ]);
    assert_eq!(linked, [expected]);
    let sessions = scene.audit("session").await;
    let changes = serde_json::to_value(&sessions[0].changes).unwrap();
    let method = json!({"field": "method", "old": null, "new": "external"});
    assert!(changes.as_array().unwrap().contains(&method), "{changes}");

    // It is them, whatever their address there is now, and whatever their password here.
    let own = scene.identity.sign_in(AMY, PASSWORD).await.unwrap();
    let request = ChangePasswordRequest {
        current_password: PASSWORD.to_owned(),
        new_password: "another password".to_owned(),
    };
    let request = bearer(&own.access_token).request(request);
    scene.identity.users().change_password(request).await.unwrap();
    let end = scene.signs_in(json!({"email": "amy@elsewhere.example"})).await;
    assert_eq!(scene.owner(end).await, scene.amy.id);
    assert_eq!(scene.changes("user.external_linked").await.len(), 1);
}

#[tokio::test]
async fn nobody_is_made_a_user_by_signing_in() {
    let scene = Scene::start().await;
    for email in ["bob@example.com", "ａmy@example.com", "amy@example.com.evil.example", "amy"] {
        let end = scene.signs_in(json!({"sub": "bob", "email": email})).await;
        assert_eq!(end, failure("no_account"), "{email}");
    }
    let users = sqlx::query_scalar::<_, i64>("select count(*) from users");
    let users = users.fetch_one(&mut scene.identity.connection().await).await.unwrap();
    assert_eq!(users, 2, "the administrator and Amy");
    scene.activate(scene.amy.id, false).await;
    assert_eq!(scene.signs_in(json!({})).await, failure("no_account"));
    let links = sqlx::query_scalar::<_, i64>("select count(*) from external_identities");
    let links = links.fetch_one(&mut scene.identity.connection().await).await.unwrap();
    assert_eq!(links, 0);
}

#[tokio::test]
async fn a_link_does_not_move_to_another() {
    let scene = Scene::start().await;
    let bob = wanted("bob@example.com");
    let bob = scene.identity.create_user(&scene.admin, bob).await.unwrap();
    assert!(matches!(scene.signs_in(json!({})).await, End::Code(_)));
    // Somebody else there who has Amy's address now.
    let other = scene.signs_in(json!({"sub": "another-at-the-provider"})).await;
    assert_eq!(other, failure("no_account"));
    // Amy, whose address there is Bob's now.
    let end = scene.signs_in(json!({"email": "bob@example.com"})).await;
    assert_eq!(scene.owner(end).await, scene.amy.id);
    let end = scene.signs_in(json!({"sub": "bob", "email": "bob@example.com"})).await;
    assert_eq!(scene.owner(end).await, bob.id);
}

#[tokio::test]
async fn a_link_goes_with_the_address_or_the_activity_of_its_user() {
    let scene = Scene::start().await;
    let id = scene.amy.id;
    assert!(matches!(scene.signs_in(json!({})).await, End::Code(_)));
    scene.activate(id, false).await;
    let gone = |subject: &str| {
        [
            json!({"field": "external_issuer", "old": scene.provider.issuer, "new": null}),
            json!({"field": "external_subject", "old": subject, "new": null}),
        ]
    };
    let updated = scene.changes("user.updated").await;
    for change in gone("amy-at-the-provider") {
        assert!(updated[0].as_array().unwrap().contains(&change), "{updated:?}");
    }
    assert_eq!(scene.signs_in(json!({})).await, failure("no_account"));
    // Active again, whoever has the address is linked anew.
    scene.activate(id, true).await;
    assert_eq!(
        scene.signs_in(json!({"sub": "new", "email": "bob@example.com"})).await,
        failure("no_account")
    );
    let end = scene.signs_in(json!({"sub": "new"})).await;
    assert_eq!(scene.owner(end).await, id);
    // With another address it is whoever has that.
    scene.rename(id, "amy.chen@example.com").await;
    let updated = scene.changes("user.updated").await;
    for change in gone("new") {
        assert!(updated[0].as_array().unwrap().contains(&change), "{updated:?}");
    }
    assert_eq!(scene.signs_in(json!({"sub": "new"})).await, failure("no_account"));
    let end = scene.signs_in(json!({"sub": "new", "email": "amy.chen@example.com"})).await;
    assert_eq!(scene.owner(end).await, id);
}

#[tokio::test]
async fn many_first_sign_ins_at_once_make_one_link() {
    let scene = Scene::start().await;
    let mut requests = Vec::new();
    for number in 0..8 {
        let went = scene.goes().await;
        let (code, token) = (format!("code {number}"), scene.provider.key.sign(&scene.amy(&went)));
        scene.provider.desk().tokens.insert(code.clone(), token);
        requests.push(FinishExternalSignInRequest {
            state: went.told["state"].clone(),
            code,
            browser: BROWSER.to_owned(),
            ..FinishExternalSignInRequest::default()
        });
    }
    let ends = join_all(requests.iter().map(|request| scene.comes_back_with(request))).await;
    assert!(ends.iter().all(|end| matches!(end, Ok(End::Code(_)))), "{ends:?}");
    assert_eq!(scene.changes("user.external_linked").await.len(), 1);
}

#[tokio::test]
async fn a_second_factor_is_asked_for_as_after_a_password() {
    let scene = Scene::start().await;
    ask_of(&scene.identity, &scene.admin, &[Role::Rep]).await.unwrap();
    let End::SecondFactor(next) = scene.signs_in(json!({})).await else { panic!("a bypass") };
    assert_eq!(scene.changes("user.external_linked").await.len(), 1);
    let secret = next.enrolment.unwrap().secret;
    let step = async |code: String| {
        let request = AuthorizeWithSecondFactorRequest {
            authorization: Some(asks(&scene.program)),
            ticket: next.ticket.clone(),
            code,
        };
        let mut service = AuthorizationServiceClient::new(scene.identity.channel.clone());
        let answer = service.authorize_with_second_factor(request).await.unwrap();
        answer.into_inner().outcome.unwrap()
    };
    assert!(matches!(step(shown(&secret, 100)).await, Outcome::Wrong(_)));
    let Outcome::Code(code) = step(shown(&secret, 0)).await else { panic!("it is right") };
    assert_eq!(scene.owner(End::Code(code.code)).await, scene.amy.id);
    let sessions = scene.audit("session").await;
    let changes = serde_json::to_value(&sessions[0].changes).unwrap();
    let method = json!({"field": "method", "old": null, "new": "external"});
    assert!(changes.as_array().unwrap().contains(&method), "{changes}");
    // Now there is one, and it is asked for each time.
    let End::SecondFactor(next) = scene.signs_in(json!({})).await else { panic!("a bypass") };
    assert_eq!(next.enrolment, None);
}
