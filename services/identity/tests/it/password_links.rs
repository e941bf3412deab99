//! Links by which a person sets a password: invitations, and for who forgot theirs.

use std::time::Instant;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use events::{Event, Record};
use futures::future::join_all;
use prost::Message as _;
use proto::identity::v1::{
    ChangePasswordRequest, CreateUserRequest, GetUserRequest, InviteUserRequest, IssueTokenRequest,
    PasswordLinkKind, RequestPasswordResetRequest, RevealPasswordLinkRequest,
    RevealPasswordLinkResponse, SetPasswordByLinkRequest, UpdateUserRequest, User,
    password_link_service_client::PasswordLinkServiceClient,
    token_service_client::TokenServiceClient,
};
use rpc::client::Channel;
use rpc::{Error, client::Context};

use crate::support::{ADMIN, Identity, PASSWORD, PUBLIC_URL, bearer, wanted};

const AMY: &str = "amy@example.com";
const NEW: &str = "another horse battery";

fn service(identity: &Identity) -> PasswordLinkServiceClient<Channel> {
    PasswordLinkServiceClient::new(identity.channel.clone())
}

async fn set(identity: &Identity, token: &str, new_password: &str) -> Result<(), Error> {
    let (token, new_password) = (token.to_owned(), new_password.to_owned());
    let request = SetPasswordByLinkRequest { token, new_password };
    Ok(service(identity).set_password_by_link(request).await.map(drop)?)
}

/// Somebody forgot their password, at that address.
async fn forgot(identity: &Identity, gateway: &Context, from: &str, email: &str) {
    let request = RequestPasswordResetRequest { email: email.to_owned() };
    let context = gateway.clone().with_client_address(from.parse().unwrap());
    service(identity).request_password_reset(context.request(request)).await.unwrap();
}

async fn invite(identity: &Identity, by: &Context, user_id: i64) -> Result<String, Error> {
    let request = by.request(InviteUserRequest { user_id });
    Ok(token(&service(identity).invite_user(request).await?.into_inner().invitation_url))
}

async fn reveal(identity: &Identity, id: i64) -> Result<RevealPasswordLinkResponse, Error> {
    let notifier = identity.service_of("notifier").await;
    let request = notifier.request(RevealPasswordLinkRequest { id });
    Ok(service(identity).reveal_password_link(request).await?.into_inner())
}

/// The token of a link.
fn token(url: &str) -> String {
    let beginning = format!("{PUBLIC_URL}/set-password?token=");
    url.strip_prefix(&beginning).unwrap().to_owned()
}

fn fields(error: Error) -> Vec<(String, String)> {
    let Error::Invalid(fields) = error else { panic!("{error:?}") };
    fields.into_iter().map(|fault| (fault.field, fault.code.into_owned())).collect()
}

async fn is_refused(identity: &Identity, token: &str) {
    let refused = set(identity, token, NEW).await.unwrap_err();
    assert_eq!(fields(refused), [("token".to_owned(), "invalid_token".to_owned())], "{token}");
}

/// Amy, who was invited, and the token of the invitation.
async fn invited(identity: &Identity, admin: &Context) -> (User, String) {
    let amy = CreateUserRequest { password: None, ..wanted(AMY) };
    let amy = identity.create_user(admin, amy).await.unwrap();
    let token = token(amy.invitation_url.as_deref().unwrap());
    (amy, token)
}

/// The ids of a user's links, once there are so many.
async fn links(identity: &Identity, user_id: i64, count: usize) -> Vec<i64> {
    let mut connection = identity.connection().await;
    loop {
        let ids: Vec<i64> =
            sqlx::query_scalar("select id from password_links where user_id = $1 order by id")
                .bind(user_id)
                .fetch_all(&mut connection)
                .await
                .unwrap();
        if ids.len() >= count {
            assert_eq!(ids.len(), count);
            return ids;
        }
        tokio::task::yield_now().await;
    }
}

/// Lets time pass for links and for what is counted.
async fn pass(identity: &Identity, time: TimeDelta) {
    for sql in [
        "update password_links set expires_at = expires_at - $1, created_at = created_at - $1",
        "update password_reset_counts set window_started_at = window_started_at - $1",
    ] {
        sqlx::query(sql).bind(time).execute(&mut identity.connection().await).await.unwrap();
    }
}

async fn changes(identity: &Identity) -> Vec<Event> {
    let payloads: Vec<Vec<u8>> = sqlx::query_scalar(
        "select payload from change where aggregate = 'password_link' order by change_id",
    )
    .fetch_all(&mut identity.connection().await)
    .await
    .unwrap();
    payloads.iter().map(|payload| Event::decode(payload.as_slice()).unwrap()).collect()
}

#[tokio::test]
async fn who_is_made_inactive_cannot_sign_in_and_is_invited_once_they_may() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let inactive = |wanted| CreateUserRequest { is_active: Some(false), ..wanted };
    let bob = identity.create_user(&admin, inactive(wanted("bob@example.com"))).await.unwrap();
    assert_eq!((bob.is_active, bob.version), (false, 1));
    identity.sign_in("bob@example.com", PASSWORD).await.unwrap_err();

    let amy = CreateUserRequest { password: None, ..wanted(AMY) };
    let amy = identity.create_user(&admin, inactive(amy)).await.unwrap();
    assert_eq!((amy.is_active, amy.invitation_url.as_deref()), (false, None));
    assert!(links(&identity, amy.id, 0).await.is_empty());
    assert!(changes(&identity).await.is_empty());
    let refused = invite(&identity, &admin, amy.id).await.unwrap_err();
    assert_eq!(refused.reason(), "USER_INACTIVE");
    for id in [amy.id, bob.id] {
        let is_active = Some(true);
        let active = UpdateUserRequest { id, is_active, ..UpdateUserRequest::default() };
        identity.users().update_user(admin.request(active)).await.unwrap();
    }
    let token = invite(&identity, &admin, amy.id).await.unwrap();
    set(&identity, &token, NEW).await.unwrap();
    identity.sign_in(AMY, NEW).await.unwrap();
    identity.sign_in("bob@example.com", PASSWORD).await.unwrap();
}

#[tokio::test]
async fn who_is_invited_sets_a_password_once_and_signs_in() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let (amy, token) = invited(&identity, &admin).await;
    let get = admin.request(GetUserRequest { id: amy.id });
    let seen = identity.users().get_user(get).await.unwrap().into_inner().user.unwrap();
    assert_eq!(seen.invitation_url, None);
    let with_password = identity.create_user(&admin, wanted("bob@example.com")).await.unwrap();
    assert_eq!(with_password.invitation_url, None);
    identity.sign_in(AMY, PASSWORD).await.unwrap_err();

    let short = set(&identity, &token, "short").await.unwrap_err();
    assert_eq!(fields(short), [("new_password".to_owned(), "too_short".to_owned())]);
    set(&identity, &token, NEW).await.unwrap();
    identity.sign_in(AMY, NEW).await.unwrap();
    is_refused(&identity, &token).await;
    let both = set(&identity, "x", "short").await.unwrap_err();
    assert_eq!(fields(both).len(), 2);

    let told = changes(&identity).await;
    let types: Vec<_> = told.iter().map(|event| (event.r#type.as_str(), event.version)).collect();
    assert_eq!(types, [("password_link.created", 1), ("password_link.used", 2)]);
    let actors: Vec<_> = told.iter().map(|it| it.actor.as_ref().unwrap().user_id).collect();
    assert_eq!(actors, [Some(1), Some(amy.id)]);
    let Some(Record::PasswordLink(record)) = &told[0].record else { panic!("no record") };
    assert_eq!((record.user_id, record.kind.as_str()), (amy.id, "invitation"));
}

#[tokio::test]
async fn nothing_that_is_stored_is_a_link() {
    let identity = Identity::start().await;
    let admin = identity.admin().await.with_idempotency_key("k".parse().unwrap());
    let (amy, token) = invited(&identity, &admin).await;
    let (id, letters) = token.split_once('.').unwrap();
    assert_eq!(letters.len(), 43);
    // Columns of bytes are written as hexadecimal digits.
    let secret = URL_SAFE_NO_PAD.decode(letters).unwrap();
    let hex = |bytes: &[u8]| {
        let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        digits.map(|digit| char::from_digit(digit.into(), 16).unwrap()).collect::<String>()
    };
    for table in ["change", "password_links", "idempotency", "users"] {
        let sql = format!("select string_agg(t::text, '') from {table} t");
        let text: String = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_one(&mut identity.connection().await)
            .await
            .unwrap();
        for written in [letters.to_owned(), hex(letters.as_bytes()), hex(&secret)] {
            assert!(!text.contains(&written), "{table}");
        }
    }
    let again = reveal(&identity, id.parse().unwrap()).await.unwrap();
    assert_eq!(again.url, format!("{PUBLIC_URL}/set-password?token={token}"));
    assert_eq!((again.email.as_str(), again.kind()), (AMY, PasswordLinkKind::Invitation));
    assert_eq!((again.username, again.time_zone), (amy.username, amy.time_zone));
}

#[tokio::test]
async fn of_twenty_who_use_a_link_at_once_one_sets_the_password() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let (_, token) = invited(&identity, &admin).await;
    let passwords: Vec<_> = (0..20).map(|number| format!("{NEW} {number}")).collect();
    let answers = join_all(passwords.iter().map(|password| set(&identity, &token, password))).await;
    let won: Vec<_> = (0..20).filter(|number| answers[*number].is_ok()).collect();
    assert_eq!(won.len(), 1);
    identity.sign_in(AMY, &passwords[won[0]]).await.unwrap();
    let told = changes(&identity).await;
    assert_eq!(told.len(), 2);
}

#[tokio::test]
async fn a_link_is_good_for_its_time_and_a_wrong_one_never() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let (amy, token) = invited(&identity, &admin).await;
    pass(&identity, TimeDelta::days(7) - TimeDelta::minutes(1)).await;
    let (id, letters) = token.split_once('.').unwrap();
    let other: String = letters.chars().rev().collect();
    let next = id.parse::<i64>().unwrap() + 1;
    for wrong in [
        format!("{id}.{other}"),
        format!("{next}.{letters}"),
        format!("0{id}.{letters}"),
        format!("{id}.{letters}="),
        format!("{id}."),
        "nonsense".to_owned(),
        "a\0b".to_owned(),
    ] {
        is_refused(&identity, &wrong).await;
    }
    pass(&identity, TimeDelta::minutes(1)).await;
    is_refused(&identity, &token).await;
    let id = links(&identity, amy.id, 1).await[0];
    assert!(matches!(reveal(&identity, id).await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn a_forgotten_password_is_replaced_by_a_link_that_is_mailed_and_all_sessions_end() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let gateway = identity.service().await;
    let amy = identity.create_user(&admin, wanted(AMY)).await.unwrap();
    let sessions = [identity.sign_in(AMY, PASSWORD).await, identity.sign_in(AMY, PASSWORD).await];
    forgot(&identity, &gateway, "192.0.2.1", " AMY@example.com ").await;
    let id = links(&identity, amy.id, 1).await[0];
    let link = reveal(&identity, id).await.unwrap();
    assert_eq!((link.email.as_str(), link.kind()), (AMY, PasswordLinkKind::Reset));
    let lives = link.expires_at.unwrap().seconds - process::now().timestamp();
    assert!((800..=900).contains(&lives), "{lives}");
    for (by, context) in [("gateway", &gateway), ("admin", &admin)] {
        let request = context.request(RevealPasswordLinkRequest { id });
        let refused = service(&identity).reveal_password_link(request).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::PermissionDenied, "{by}");
    }
    // Asking alone changes nothing.
    identity.sign_in(AMY, PASSWORD).await.unwrap();

    set(&identity, &token(&link.url), NEW).await.unwrap();
    for session in sessions {
        let session = session.unwrap();
        identity.refresh(&session.refresh_token).await.unwrap_err();
        let own = bearer(&session.access_token);
        let get = own.request(GetUserRequest { id: amy.id });
        let refused = Error::from(identity.users().get_user(get).await.unwrap_err());
        assert_eq!(refused.reason(), rpc::reason::TOKEN_REVOKED);
    }
    identity.sign_in(AMY, PASSWORD).await.unwrap_err();
    identity.sign_in(AMY, NEW).await.unwrap();
    assert!(matches!(reveal(&identity, id).await, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn a_link_is_void_once_another_takes_its_place_or_it_is_not_needed() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let (amy, first) = invited(&identity, &admin).await;
    let second = invite(&identity, &admin, amy.id).await.unwrap();
    is_refused(&identity, &first).await;
    set(&identity, &second, PASSWORD).await.unwrap();

    let update = async |change: UpdateUserRequest| {
        let change = UpdateUserRequest { id: amy.id, ..change };
        identity.users().update_user(admin.request(change)).await.unwrap();
    };
    let active = |is_active| UpdateUserRequest {
        is_active: Some(is_active),
        ..UpdateUserRequest::default()
    };
    let third = invite(&identity, &admin, amy.id).await.unwrap();
    update(active(false)).await;
    is_refused(&identity, &third).await;
    let refused = invite(&identity, &admin, amy.id).await.unwrap_err();
    assert_eq!(refused.reason(), "USER_INACTIVE");
    update(active(true)).await;
    is_refused(&identity, &third).await;

    let fourth = invite(&identity, &admin, amy.id).await.unwrap();
    let email = Some("amy.chen@example.com".to_owned());
    update(UpdateUserRequest { email, ..UpdateUserRequest::default() }).await;
    is_refused(&identity, &fourth).await;

    let fifth = invite(&identity, &admin, amy.id).await.unwrap();
    let session = identity.sign_in("amy.chen@example.com", PASSWORD).await.unwrap();
    let change = ChangePasswordRequest {
        current_password: PASSWORD.to_owned(),
        new_password: NEW.to_owned(),
    };
    let own = bearer(&session.access_token);
    identity.users().change_password(own.request(change)).await.unwrap();
    is_refused(&identity, &fifth).await;

    let refused = invite(&identity, &own, amy.id).await.unwrap_err();
    assert!(matches!(refused, Error::Denied { .. }), "{refused:?}");
    let missing = invite(&identity, &admin, 99).await.unwrap_err();
    assert!(matches!(missing, Error::NotFound { .. }), "{missing:?}");
}

#[tokio::test]
async fn an_invitation_that_is_asked_for_again_with_its_key_is_not_shown_again() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let keyed = admin.clone().with_idempotency_key("k".parse().unwrap());
    let (amy, token) = invited(&identity, &keyed).await;
    let replayed = |error: Error, id: i64| {
        let Error::Conflict { reason, details, message, .. } = error else { panic!("{error:?}") };
        assert_eq!((&*reason, &*details["id"]), ("IDEMPOTENT_REPLAY", &*id.to_string()));
        assert!(!message.contains("http"), "{message}");
    };
    let again = CreateUserRequest { password: None, ..wanted(AMY) };
    replayed(identity.create_user(&keyed, again).await.unwrap_err(), amy.id);
    links(&identity, amy.id, 1).await;

    let second = invite(&identity, &keyed, amy.id).await.unwrap();
    let id = links(&identity, amy.id, 2).await[1];
    replayed(invite(&identity, &keyed, amy.id).await.unwrap_err(), id);
    is_refused(&identity, &token).await;
    set(&identity, &second, NEW).await.unwrap();
    // A key is for a path: another user's invitation is another request.
    let bob = identity.create_user(&admin, wanted("bob@example.com")).await.unwrap();
    invite(&identity, &keyed, bob.id).await.unwrap();
}

#[tokio::test]
async fn so_many_links_are_made_for_an_account_and_an_address_and_no_more() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let gateway = identity.service().await;
    let amy = identity.create_user(&admin, wanted(AMY)).await.unwrap();
    let bob = identity.create_user(&admin, wanted("bob@example.com")).await.unwrap();
    for (count, from) in [(1, "192.0.2.1"), (2, "192.0.2.2"), (3, "192.0.2.3")] {
        forgot(&identity, &gateway, from, AMY).await;
        links(&identity, amy.id, count).await;
    }
    forgot(&identity, &gateway, "192.0.2.4", AMY).await;
    forgot(&identity, &gateway, "192.0.2.4", "bob@example.com").await;
    links(&identity, bob.id, 1).await;
    links(&identity, amy.id, 3).await;
    pass(&identity, TimeDelta::hours(1)).await;
    forgot(&identity, &gateway, "192.0.2.4", AMY).await;
    links(&identity, amy.id, 4).await;

    let counted = async |count: i64| {
        let sql = "select coalesce(max(requests), 0)::bigint from password_reset_counts";
        while sqlx::query_scalar::<_, i64>(sql)
            .fetch_one(&mut identity.connection().await)
            .await
            .unwrap()
            < count
        {}
    };
    for number in 1..=10 {
        let email = format!("nobody{number}@example.com");
        forgot(&identity, &gateway, "2001:db8::1", &email).await;
        counted(number).await;
    }
    forgot(&identity, &gateway, "2001:db8::2", "bob@example.com").await;
    forgot(&identity, &gateway, "192.0.2.9", AMY).await;
    links(&identity, amy.id, 5).await;
    links(&identity, bob.id, 1).await;
}

#[tokio::test]
async fn nobody_elsewhere_uses_up_the_links_of_where_one_signed_in() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let gateway = identity.service().await;
    let amy = identity.create_user(&admin, wanted(AMY)).await.unwrap();
    let request = IssueTokenRequest {
        username: AMY.to_owned(),
        password: PASSWORD.to_owned(),
        ..IssueTokenRequest::default()
    };
    let home = gateway.clone().with_client_address("192.0.2.7".parse().unwrap());
    let mut tokens = TokenServiceClient::new(identity.channel.clone());
    tokens.issue_token(home.request(request)).await.unwrap();
    for from in ["198.51.100.1", "198.51.100.2", "198.51.100.3", "198.51.100.4"] {
        forgot(&identity, &gateway, from, AMY).await;
    }
    links(&identity, amy.id, 3).await;
    for count in 4..=6 {
        forgot(&identity, &gateway, "192.0.2.7", AMY).await;
        links(&identity, amy.id, count).await;
    }
}

#[tokio::test]
async fn whoever_asks_for_a_link_takes_no_invitation_away() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let gateway = identity.service().await;
    let (amy, invitation) = invited(&identity, &admin).await;
    for count in 2..=3 {
        forgot(&identity, &gateway, "198.51.100.1", AMY).await;
        links(&identity, amy.id, count).await;
    }
    set(&identity, &invitation, NEW).await.unwrap();
    identity.sign_in(AMY, NEW).await.unwrap();
    // Whoever has set a password needs no other link.
    let sql = "select count(*) from password_links where used_at is null and withdrawn_at is null";
    let left: i64 =
        sqlx::query_scalar(sql).fetch_one(&mut identity.connection().await).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn known_and_unknown_accounts_are_answered_alike_and_in_the_same_time() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let gateway = identity.service().await;
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
            forgot(&identity, &gateway, &address, &email).await;
            times.push(begun.elapsed());
            // What is done after the answer is not to slow down the next.
            counted_both(&identity, &email).await;
        }
    }
    known.sort_unstable();
    unknown.sort_unstable();
    let (known, unknown) = (known[10].as_secs_f64(), unknown[10].as_secs_f64());
    assert!((0.33..3.0).contains(&(known / unknown)), "{known} {unknown}");
    forgot(&identity, &gateway, "192.0.2.99", "a\0b").await;
    let padded = format!("amy@example.com{:310}", "");
    for (email, code) in [(" ", "required"), (&*padded, "too_long")] {
        let nobody = RequestPasswordResetRequest { email: email.to_owned() };
        let refused = service(&identity).request_password_reset(nobody).await.unwrap_err();
        assert_eq!(fields(refused.into()), [("email".to_owned(), code.to_owned())]);
    }
}

/// Waits until a request for that address was seen to.
async fn counted_both(identity: &Identity, email: &str) {
    let subject = format!("account:{email}");
    let sql = "select exists (select from password_reset_counts where subject = sha256($1::bytea))";
    let mut connection = identity.connection().await;
    while !sqlx::query_scalar::<_, bool>(sql)
        .bind(subject.as_bytes())
        .fetch_one(&mut connection)
        .await
        .unwrap()
    {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn whom_guessing_locked_out_gets_in_by_a_link() {
    let identity = Identity::start().await;
    let gateway = identity.service().await;
    for _ in 0..5 {
        identity.sign_in(ADMIN, "wrong").await.unwrap_err();
    }
    let refused = identity.sign_in(ADMIN, PASSWORD).await.unwrap_err();
    assert_eq!(refused.reason(), "TOO_MANY_FAILURES");
    forgot(&identity, &gateway, "192.0.2.1", ADMIN).await;
    let id = links(&identity, 1, 1).await[0];
    // To ask for a link forgives nothing.
    let refused = identity.sign_in(ADMIN, NEW).await.unwrap_err();
    assert_eq!(refused.reason(), "TOO_MANY_FAILURES");
    let link = reveal(&identity, id).await.unwrap();
    set(&identity, &token(&link.url), NEW).await.unwrap();
    identity.sign_in(ADMIN, NEW).await.unwrap();
}
