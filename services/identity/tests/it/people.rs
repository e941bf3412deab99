//! Users and teams.

use proto::identity::v1::{
    AddTeamMemberRequest, ClientKind, CreateClientRequest, CreateTeamRequest, DeleteClientRequest,
    DeleteTeamRequest, EndUserSessionsRequest, GetSettingsRequest, GetUserRequest,
    InviteUserRequest, ListTeamsRequest, ListUsersRequest, RemoveTeamMemberRequest,
    ResetSecondFactorRequest, Role, UpdateSettingsRequest, UpdateUserRequest,
    client_service_client::ClientServiceClient,
    password_link_service_client::PasswordLinkServiceClient,
    second_factor_service_client::SecondFactorServiceClient,
    session_service_client::SessionServiceClient, settings_service_client::SettingsServiceClient,
};
use rpc::Error;
use tonic::Code;

use crate::support::{Identity, PASSWORD, bearer, lead, wanted};

fn faults(error: Error) -> Vec<(String, String)> {
    let Error::Invalid(fields) = error else { panic!("{error:?}") };
    fields.into_iter().map(|fault| (fault.field, fault.code.into_owned())).collect()
}

fn fault(field: &str, code: &str) -> (String, String) {
    (field.to_owned(), code.to_owned())
}

#[tokio::test]
async fn a_user_that_an_admin_makes_can_sign_in_and_look_around() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let mut amy = wanted("Amy@Example.com");
    (amy.username, amy.language) = (" 陳愛美 ".to_owned(), Some("en".to_owned()));
    let amy = identity.create_user(&admin, amy).await.unwrap();
    assert_eq!((amy.username.as_str(), amy.role(), amy.version), ("陳愛美", Role::Rep, 1));
    assert_eq!((amy.language.as_str(), amy.time_zone.as_str()), ("en", "Asia/Taipei"));
    assert!(amy.is_active && !amy.is_admin);
    let own = bearer(&identity.sign_in("amy@example.COM", PASSWORD).await.unwrap().access_token);
    let found =
        identity.users().get_user(own.request(GetUserRequest { id: amy.id })).await.unwrap();
    assert_eq!(found.into_inner().user.unwrap(), amy);
    let missing =
        identity.users().get_user(own.request(GetUserRequest { id: 99 })).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
}

#[tokio::test]
async fn only_admins_make_users_and_teams() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    for role in [Role::Manager, Role::Rep, Role::Viewer] {
        let email = format!("{}@example.com", role.as_str_name());
        let mut user = wanted(&email);
        user.role = Some(role.into());
        identity.create_user(&admin, user).await.unwrap();
        let own = bearer(&identity.sign_in(&email, PASSWORD).await.unwrap().access_token);
        let refused = identity.create_user(&own, wanted("new@example.com")).await.unwrap_err();
        assert!(matches!(refused, Error::Denied { .. }), "{refused:?}");
        let team = CreateTeamRequest { name: "North".to_owned(), ..CreateTeamRequest::default() };
        assert_eq!(
            identity.teams().create_team(own.request(team)).await.unwrap_err().code(),
            Code::PermissionDenied
        );
        let refused = identity.teams().update_team(own.request(lead(1, None))).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
    let nobody = rpc::client::Context::default();
    let refused = identity.create_user(&nobody, wanted("new@example.com")).await.unwrap_err();
    assert_eq!(refused.reason(), rpc::reason::TOKEN_MISSING);
}

#[tokio::test]
async fn who_is_no_admin_any_more_changes_nothing_though_their_token_says_so() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let amy = identity.create_user(&admin, wanted("amy@example.com")).await.unwrap();
    let team = CreateTeamRequest { name: "North".to_owned(), ..CreateTeamRequest::default() };
    let created = identity.teams().create_team(admin.request(team.clone())).await.unwrap();
    let team_id = created.into_inner().team.unwrap().id;
    // As if they had asked a moment before, and waited for who took it from them.
    for taken in ["role = 'rep'", "is_active = false"] {
        let sql = format!("update users set {taken} where id = 1");
        let mut connection = identity.connection().await;
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        let (channel, mut users, mut teams) =
            (identity.channel.clone(), identity.users(), identity.teams());
        let change = UpdateUserRequest {
            id: 1,
            role: Some(Role::Admin.into()),
            is_active: Some(true),
            ..UpdateUserRequest::default()
        };
        let client = CreateClientRequest {
            kind: Some(ClientKind::Public.into()),
            name: "A program".to_owned(),
            redirect_uris: vec!["https://app.example/".to_owned()],
            scopes: vec!["read".to_owned()],
            user_id: None,
        };
        let member = AddTeamMemberRequest { team_id, user_id: amy.id };
        let no_member = RemoveTeamMemberRequest { team_id, user_id: amy.id };
        let settings = UpdateSettingsRequest {
            time_zone: Some("Asia/Tokyo".to_owned()),
            ..UpdateSettingsRequest::default()
        };
        let refused = [
            users.update_user(admin.request(change)).await.map(drop),
            users.create_user(admin.request(wanted("bob@example.com"))).await.map(drop),
            teams.create_team(admin.request(team.clone())).await.map(drop),
            teams.update_team(admin.request(lead(team_id, Some(amy.id)))).await.map(drop),
            teams
                .delete_team(
                    admin.request(DeleteTeamRequest { id: team_id, expected_version: None }),
                )
                .await
                .map(drop),
            teams.add_team_member(admin.request(member)).await.map(drop),
            teams.remove_team_member(admin.request(no_member)).await.map(drop),
            SettingsServiceClient::new(channel.clone())
                .update_settings(admin.request(settings))
                .await
                .map(drop),
            PasswordLinkServiceClient::new(channel.clone())
                .invite_user(admin.request(InviteUserRequest { user_id: amy.id }))
                .await
                .map(drop),
            SessionServiceClient::new(channel.clone())
                .end_user_sessions(admin.request(EndUserSessionsRequest { user_id: amy.id }))
                .await
                .map(drop),
            SecondFactorServiceClient::new(channel.clone())
                .reset_second_factor(admin.request(ResetSecondFactorRequest { user_id: amy.id }))
                .await
                .map(drop),
            ClientServiceClient::new(channel.clone())
                .create_client(admin.request(client))
                .await
                .map(drop),
            ClientServiceClient::new(channel)
                .delete_client(admin.request(DeleteClientRequest { id: 1, expected_version: None }))
                .await
                .map(drop),
        ];
        for (number, refused) in refused.into_iter().enumerate() {
            let refused = Error::from(refused.unwrap_err());
            assert_eq!(refused.reason(), rpc::reason::TOKEN_REVOKED, "{number}: {refused:?}");
        }
    }
}

#[tokio::test]
async fn an_address_that_differs_by_case_alone_is_taken() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    identity.create_user(&admin, wanted("amy@example.com")).await.unwrap();
    let refused = identity.create_user(&admin, wanted("AMY@example.com")).await.unwrap_err();
    assert_eq!(refused.reason(), "EMAIL_TAKEN");
    assert!(matches!(refused, Error::Conflict { .. }));
}

#[tokio::test]
async fn every_bad_field_is_told_at_once() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let mut bad = wanted("nobody");
    bad.username = "a\0b".to_owned();
    bad.role = Some(77);
    bad.team_id = Some(99);
    bad.password = Some("short".to_owned());
    let refused = identity.create_user(&admin, bad).await.unwrap_err();
    let expected = [
        fault("email", "invalid_email"),
        fault("username", "invalid_character"),
        fault("role", "unknown_value"),
        fault("password", "too_short"),
        fault("team_id", "not_found"),
    ];
    assert_eq!(faults(refused), expected);
    let mut teamless = wanted("amy@example.com");
    teamless.team_id = Some(99);
    assert_eq!(
        faults(identity.create_user(&admin, teamless).await.unwrap_err()),
        [fault("team_id", "not_found")]
    );
}

#[tokio::test]
async fn a_team_gets_a_manager_and_a_place_below_another() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let mut teams = identity.teams();
    let mut create = async |name: &str, manager_id, parent_id| {
        let request = CreateTeamRequest { name: name.to_owned(), manager_id, parent_id };
        Ok::<_, Error>(teams.create_team(admin.request(request)).await?.into_inner().team.unwrap())
    };
    let north = create(" North ", Some(1), None).await.unwrap();
    assert_eq!((north.name.as_str(), north.manager_id), ("North", Some(1)));
    let south = create("South", None, Some(north.id)).await.unwrap();
    assert_eq!(faults(create(" ", None, None).await.unwrap_err()), [fault("name", "required")]);
    assert_eq!(
        faults(create("x", Some(99), None).await.unwrap_err()),
        [fault("manager_id", "not_found")]
    );
    assert_eq!(
        faults(create("x", None, Some(99)).await.unwrap_err()),
        [fault("parent_id", "not_found")]
    );

    let mut teams = identity.teams();
    let mut lead = async |id, manager_id| {
        let request = admin.request(lead(id, manager_id));
        Ok::<_, Error>(teams.update_team(request).await?.into_inner().team.unwrap())
    };
    assert_eq!(lead(south.id, Some(1)).await.unwrap().version, 2);
    assert_eq!(lead(south.id, Some(1)).await.unwrap().version, 2);
    assert_eq!(lead(south.id, None).await.unwrap().version, 3);
    assert_eq!(
        faults(lead(south.id, Some(99)).await.unwrap_err()),
        [fault("manager_id", "not_found")]
    );
    assert!(matches!(lead(99, None).await.unwrap_err(), Error::NotFound { .. }));
    let all = identity
        .teams()
        .list_teams(admin.request(ListTeamsRequest::default()))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        all.items.iter().map(|team| team.name.as_str()).collect::<Vec<_>>(),
        ["South", "North"]
    );
}

#[tokio::test]
async fn a_list_of_users_is_read_page_by_page() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    for number in 2..=5 {
        identity.create_user(&admin, wanted(&format!("{number}@example.com"))).await.unwrap();
    }
    let mut ids = Vec::new();
    let mut cursor = None;
    loop {
        let request = ListUsersRequest { limit: Some(2), cursor };
        let page = identity.users().list_users(admin.request(request)).await.unwrap().into_inner();
        ids.extend(page.items.iter().map(|user| user.id));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(ids, [5, 4, 3, 2, 1]);
    for (limit, cursor, reason) in
        [(201, None, "INVALID"), (0, None, "INVALID"), (1, Some("x".to_owned()), "CURSOR_INVALID")]
    {
        let request = ListUsersRequest { limit: Some(limit), cursor };
        let refused = identity.users().list_users(admin.request(request)).await.unwrap_err();
        assert_eq!(Error::from(refused).reason(), reason);
    }
}

#[tokio::test]
async fn the_settings_are_those_of_the_first_start() {
    let identity = Identity::start().await;
    let mut settings = SettingsServiceClient::new(identity.channel.clone());
    let request = identity.admin().await.request(GetSettingsRequest {});
    let settings = settings.get_settings(request).await.unwrap().into_inner().settings.unwrap();
    assert_eq!(
        (settings.time_zone.as_str(), settings.default_currency.as_str()),
        ("Asia/Taipei", "TWD")
    );
    assert_eq!(
        (settings.visibility.as_str(), settings.fiscal_year_start, settings.version),
        ("everyone", 1, 1)
    );
}
