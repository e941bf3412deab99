//! Changing people, teams and settings.

use prost::Message as _;
use proto::identity::v1::{
    AddTeamMemberRequest, ChangePasswordRequest, CreateTeamRequest, CreateUserRequest,
    DeleteTeamRequest, FixCurrencyRequest, GetTeamRequest, GetUserRequest, RemoveTeamMemberRequest,
    Role, Team, UpdateSettingsRequest, UpdateTeamRequest, UpdateUserRequest, User,
    settings_service_client::SettingsServiceClient,
};
use rpc::{Error, client::Context};
use sha2::{Digest as _, Sha256};
use tonic::Code;

use crate::support::{ADMIN, Identity, PASSWORD, bearer, lead, wanted};

/// Somebody new, and the context of their calls.
async fn somebody(identity: &Identity, admin: &Context, name: &str, role: Role) -> (User, Context) {
    let email = format!("{name}@example.com");
    let user = CreateUserRequest { role: Some(role.into()), ..wanted(&email) };
    let user = identity.create_user(admin, user).await.unwrap();
    (user, bearer(&identity.sign_in(&email, PASSWORD).await.unwrap().access_token))
}

async fn update(identity: &Identity, by: &Context, to: UpdateUserRequest) -> Result<User, Error> {
    let answer = identity.users().update_user(by.request(to)).await?;
    Ok(answer.into_inner().user.unwrap())
}

async fn team(identity: &Identity, admin: &Context, name: &str, parent_id: Option<i64>) -> Team {
    let request = CreateTeamRequest { name: name.to_owned(), manager_id: None, parent_id };
    let answer = identity.teams().create_team(admin.request(request)).await.unwrap();
    answer.into_inner().team.unwrap()
}

async fn user(identity: &Identity, by: &Context, id: i64) -> User {
    let answer = identity.users().get_user(by.request(GetUserRequest { id })).await.unwrap();
    answer.into_inner().user.unwrap()
}

#[tokio::test]
async fn people_change_what_is_their_own_business_and_admins_the_rest() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    for role in [Role::Viewer, Role::Rep, Role::Manager] {
        let (user, own) = somebody(&identity, &admin, role.as_str_name(), role).await;
        let to = |change: UpdateUserRequest| UpdateUserRequest { id: user.id, ..change };
        let named = to(UpdateUserRequest {
            username: Some("  New  ".to_owned()),
            language: Some("en".to_owned()),
            ..UpdateUserRequest::default()
        });
        let changed = update(&identity, &own, named.clone()).await.unwrap();
        assert_eq!((changed.username.as_str(), changed.version), ("New", 2));
        // The same again changes nothing.
        assert_eq!(update(&identity, &own, named).await.unwrap(), changed);
        let nothing = UpdateUserRequest::default();
        for change in [
            UpdateUserRequest { role: Some(Role::Admin.into()), ..nothing.clone() },
            UpdateUserRequest { email: Some("other@example.com".to_owned()), ..nothing.clone() },
            UpdateUserRequest { is_active: Some(false), ..nothing.clone() },
            UpdateUserRequest { team_id: Some(1), ..nothing.clone() },
        ] {
            let refused = update(&identity, &own, to(change)).await.unwrap_err();
            assert!(matches!(refused, Error::Denied { .. }), "{refused:?}");
        }
        let other = UpdateUserRequest { id: 1, username: Some("x".to_owned()), ..nothing.clone() };
        let refused = update(&identity, &own, other).await.unwrap_err();
        assert!(matches!(refused, Error::Denied { .. }), "{refused:?}");
        let promoted = to(UpdateUserRequest { role: Some(Role::Rep.into()), ..nothing });
        assert_eq!(update(&identity, &admin, promoted).await.unwrap().role(), Role::Rep);
    }
}

#[tokio::test]
async fn a_change_is_made_to_the_version_that_was_seen() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let to = |expected_version, name: &str| UpdateUserRequest {
        id: 1,
        expected_version,
        username: Some(name.to_owned()),
        ..UpdateUserRequest::default()
    };
    assert_eq!(update(&identity, &admin, to(Some(1), "A")).await.unwrap().version, 2);
    let refused = update(&identity, &admin, to(Some(1), "B")).await.unwrap_err();
    assert!(matches!(refused, Error::Stale { current: Some(2) }), "{refused:?}");
    let all = futures::future::join_all(
        (0..10).map(|number| update(&identity, &admin, to(Some(2), &number.to_string()))),
    );
    let won: Vec<_> = all.await.into_iter().filter_map(Result::ok).collect();
    assert_eq!(won.len(), 1);
}

#[tokio::test]
async fn one_active_administrator_has_to_stay_also_when_two_go_at_once() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let demoted =
        |id| UpdateUserRequest { id, role: Some(Role::Rep.into()), ..UpdateUserRequest::default() };
    let gone =
        |id| UpdateUserRequest { id, is_active: Some(false), ..UpdateUserRequest::default() };
    for change in [demoted(1), gone(1)] {
        let refused = update(&identity, &admin, change).await.unwrap_err();
        assert_eq!(refused.reason(), "LAST_ADMIN");
    }
    let (second, own) = somebody(&identity, &admin, "second", Role::Admin).await;
    let (one, other) = tokio::join!(
        update(&identity, &admin, demoted(1)),
        update(&identity, &own, gone(second.id))
    );
    assert_eq!([one.is_ok(), other.is_ok()].iter().filter(|it| **it).count(), 1);
}

#[tokio::test]
async fn a_manager_whose_team_nobody_leads_leads_it() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let north = team(&identity, &admin, "North", None).await;
    let manager = |email: &str| CreateUserRequest {
        role: Some(Role::Manager.into()),
        team_id: Some(north.id),
        ..wanted(email)
    };
    let first = identity.create_user(&admin, manager("a@example.com")).await.unwrap();
    identity.create_user(&admin, manager("b@example.com")).await.unwrap();
    let get = admin.request(GetTeamRequest { id: north.id });
    let led = identity.teams().get_team(get).await.unwrap().into_inner().team.unwrap();
    assert_eq!((led.manager_id, led.version), (Some(first.id), 2));
}

#[tokio::test]
async fn who_was_taken_off_a_team_does_not_take_it_back_by_an_edit_of_their_own() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let (manager, own) = somebody(&identity, &admin, "manager", Role::Manager).await;
    let north = team(&identity, &admin, "North", None).await;
    let add = AddTeamMemberRequest { team_id: north.id, user_id: manager.id };
    identity.teams().add_team_member(admin.request(add)).await.unwrap();
    let led_by = async || {
        let get = admin.request(GetTeamRequest { id: north.id });
        identity.teams().get_team(get).await.unwrap().into_inner().team.unwrap().manager_id
    };
    assert_eq!(led_by().await, Some(manager.id), "a manager who comes into it leads it");
    identity.teams().update_team(admin.request(lead(north.id, None))).await.unwrap();
    let renamed = UpdateUserRequest {
        id: manager.id,
        username: Some("Another".to_owned()),
        ..UpdateUserRequest::default()
    };
    update(&identity, &own, renamed).await.unwrap();
    assert_eq!(led_by().await, None);
}

#[tokio::test]
async fn all_that_is_wrong_with_a_team_is_told_at_once() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let wrong =
        CreateTeamRequest { name: " ".to_owned(), manager_id: Some(99), parent_id: Some(99) };
    let refused = identity.teams().create_team(admin.request(wrong)).await.unwrap_err();
    assert_eq!(bad_fields(refused.into()), ["manager_id", "name", "parent_id"]);
    let north = team(&identity, &admin, "North", None).await;
    let wrong = UpdateTeamRequest {
        id: north.id,
        name: Some(String::new()),
        manager_id: Some(99),
        parent_id: Some(99),
        ..UpdateTeamRequest::default()
    };
    let refused = identity.teams().update_team(admin.request(wrong)).await.unwrap_err();
    assert_eq!(bad_fields(refused.into()), ["manager_id", "name", "parent_id"]);
}

fn bad_fields(error: Error) -> Vec<String> {
    let Error::Invalid(fields) = error else { panic!("{error:?}") };
    let mut names: Vec<_> = fields.into_iter().map(|fault| fault.field).collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn who_comes_into_a_team_leaves_the_other_and_a_deleted_team_leaves_nobody_behind() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let north = team(&identity, &admin, "North", None).await;
    let middle = team(&identity, &admin, "Middle", Some(north.id)).await;
    let below = team(&identity, &admin, "Below", Some(middle.id)).await;
    let (amy, own) = somebody(&identity, &admin, "amy", Role::Rep).await;
    let add = |team_id| AddTeamMemberRequest { team_id, user_id: amy.id };
    for (request, code) in [
        (own.request(add(north.id)), Code::PermissionDenied),
        (admin.request(add(99)), Code::NotFound),
        (admin.request(AddTeamMemberRequest { team_id: north.id, user_id: 99 }), Code::NotFound),
    ] {
        let refused = identity.teams().add_team_member(request).await.unwrap_err();
        assert_eq!(refused.code(), code);
    }
    for team_id in [north.id, middle.id, middle.id] {
        identity.teams().add_team_member(admin.request(add(team_id))).await.unwrap();
    }
    let member = user(&identity, &admin, amy.id).await;
    assert_eq!((member.team_id, member.version), (Some(middle.id), 3));
    let of_another = RemoveTeamMemberRequest { team_id: north.id, user_id: amy.id };
    let refused = identity.teams().remove_team_member(admin.request(of_another)).await;
    assert_eq!(refused.unwrap_err().code(), Code::NotFound);

    let delete = DeleteTeamRequest { id: middle.id, expected_version: None };
    let refused = identity.teams().delete_team(own.request(delete)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    identity.teams().delete_team(admin.request(delete)).await.unwrap();
    assert_eq!(user(&identity, &admin, amy.id).await.team_id, None);
    let get = admin.request(GetTeamRequest { id: below.id });
    let moved = identity.teams().get_team(get).await.unwrap().into_inner().team.unwrap();
    assert_eq!(moved.parent_id, Some(north.id));
    let again = identity.teams().delete_team(admin.request(delete)).await.unwrap_err();
    assert_eq!(again.code(), Code::NotFound);
    let into_deleted = identity.teams().add_team_member(admin.request(add(middle.id))).await;
    assert_eq!(into_deleted.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn no_team_is_below_itself() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let top = team(&identity, &admin, "Top", None).await;
    let middle = team(&identity, &admin, "Middle", Some(top.id)).await;
    let bottom = team(&identity, &admin, "Bottom", Some(middle.id)).await;
    let below = |parent_id| UpdateTeamRequest {
        id: top.id,
        parent_id: Some(parent_id),
        ..UpdateTeamRequest::default()
    };
    for parent_id in [top.id, middle.id, bottom.id] {
        let refused = identity.teams().update_team(admin.request(below(parent_id))).await;
        let Error::Invalid(fields) = Error::from(refused.unwrap_err()) else { panic!("no field") };
        assert_eq!((fields[0].field.as_str(), &*fields[0].code), ("parent_id", "below_itself"));
    }
}

#[tokio::test]
async fn a_new_password_is_good_at_once_and_ends_the_other_sessions() {
    let identity = Identity::start().await;
    let other = identity.sign_in(ADMIN, PASSWORD).await.unwrap();
    let mine = identity.sign_in(ADMIN, PASSWORD).await.unwrap();
    let own = bearer(&mine.access_token);
    let change = async |current: &str, new: &str| {
        let request = ChangePasswordRequest {
            current_password: current.to_owned(),
            new_password: new.to_owned(),
        };
        identity.users().change_password(own.request(request)).await.map_err(Error::from)
    };
    for (current, new, field) in
        [("wrong", "another one", "current_password"), (PASSWORD, "short", "new_password")]
    {
        let Err(Error::Invalid(fields)) = change(current, new).await else { panic!("changed") };
        assert_eq!(fields[0].field, field);
    }
    change(PASSWORD, "another one").await.unwrap();
    identity.sign_in(ADMIN, PASSWORD).await.unwrap_err();
    identity.sign_in(ADMIN, "another one").await.unwrap();
    identity.refresh(&other.refresh_token).await.unwrap_err();
    identity.refresh(&mine.refresh_token).await.unwrap();
}

#[tokio::test]
async fn a_password_that_was_changed_is_changed_once_however_often_it_is_sent() {
    let identity = Identity::start().await;
    let own = identity.admin().await.with_idempotency_key("k".parse().unwrap());
    let change = ChangePasswordRequest {
        current_password: PASSWORD.to_owned(),
        new_password: "another one".to_owned(),
    };
    // What was the password so far is not any more, and nothing is counted against who asks again.
    for _ in 0..10 {
        identity.users().change_password(own.request(change.clone())).await.unwrap();
    }
    let other = ChangePasswordRequest { new_password: "and another".to_owned(), ..change };
    let refused = identity.users().change_password(own.request(other)).await.unwrap_err();
    assert_eq!(bad_fields(refused.into()), ["Idempotency-Key"]);
    identity.sign_in(ADMIN, "another one").await.unwrap();
}

#[tokio::test]
async fn who_is_deactivated_is_signed_out_and_stays_out() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let (amy, _) = somebody(&identity, &admin, "amy", Role::Rep).await;
    let session = identity.sign_in("amy@example.com", PASSWORD).await.unwrap();
    let active = |is_active| UpdateUserRequest {
        id: amy.id,
        is_active: Some(is_active),
        ..UpdateUserRequest::default()
    };
    update(&identity, &admin, active(false)).await.unwrap();
    identity.refresh(&session.refresh_token).await.unwrap_err();
    identity.sign_in("amy@example.com", PASSWORD).await.unwrap_err();
    update(&identity, &admin, active(true)).await.unwrap();
    identity.refresh(&session.refresh_token).await.unwrap_err();
    identity.sign_in("amy@example.com", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn the_currency_can_change_until_there_is_to_be_an_amount() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let service = identity.service().await;
    let mut settings = SettingsServiceClient::new(identity.channel.clone());
    let to = |currency: &str| UpdateSettingsRequest {
        default_currency: Some(currency.to_owned()),
        ..UpdateSettingsRequest::default()
    };
    let changed = settings.update_settings(admin.request(to("USD"))).await.unwrap().into_inner();
    assert_eq!(changed.settings.unwrap().default_currency, "USD");
    let refused = settings.fix_currency(admin.request(FixCurrencyRequest {})).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    for _ in 0..2 {
        let fixed = settings.fix_currency(service.request(FixCurrencyRequest {})).await.unwrap();
        let fixed = fixed.into_inner().settings.unwrap();
        assert_eq!((fixed.default_currency.as_str(), fixed.version), ("USD", 3));
        assert!(fixed.currency_fixed);
    }
    let refused = settings.update_settings(admin.request(to("TWD"))).await.unwrap_err();
    assert_eq!(Error::from(refused).reason(), "CURRENCY_FIXED");
    settings.update_settings(admin.request(to("USD"))).await.unwrap();
    let nonsense = UpdateSettingsRequest {
        visibility: Some("nobody".to_owned()),
        fiscal_year_start: Some(0),
        ..UpdateSettingsRequest::default()
    };
    let refused = settings.update_settings(admin.request(nonsense)).await.unwrap_err();
    let Error::Invalid(fields) = Error::from(refused) else { panic!("no fields") };
    assert_eq!(fields.len(), 2);
    let (_, rep) = somebody(&identity, &admin, "amy", Role::Rep).await;
    let refused = settings.update_settings(rep.request(to("USD"))).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_key_makes_a_user_once_and_gives_the_first_answer_again() {
    let identity = Identity::start().await;
    let admin = identity.admin().await.with_idempotency_key("k".parse().unwrap());
    let first = identity.create_user(&admin, wanted("amy@example.com")).await.unwrap();
    let named = UpdateUserRequest {
        id: first.id,
        username: Some("Other".to_owned()),
        ..UpdateUserRequest::default()
    };
    update(&identity, &admin, named).await.unwrap();
    assert_eq!(identity.create_user(&admin, wanted("amy@example.com")).await.unwrap(), first);
    let Err(Error::Invalid(fields)) = identity.create_user(&admin, wanted("bob@example.com")).await
    else {
        panic!("the key was good for another request")
    };
    assert_eq!(fields[0].code, "idempotency_key_reused");
    let twins = futures::future::join_all((0..10).map(|_| {
        let by = admin.clone().with_idempotency_key("twins".parse().unwrap());
        let identity = &identity;
        async move { identity.create_user(&by, wanted("twin@example.com")).await.unwrap().id }
    }));
    let ids = twins.await;
    let hashes: Vec<Vec<u8>> = sqlx::query_scalar("select request_hash from idempotency")
        .fetch_all(&mut identity.connection().await)
        .await
        .unwrap();
    let plain = Sha256::digest(wanted("amy@example.com").encode_to_vec()).to_vec();
    assert!(!hashes.contains(&plain), "a password could be guessed from it");
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}
