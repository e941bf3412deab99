//! Second factors: turning them on and off, what they are asked for, and how often somebody may guess.

use std::fs::File;

use chrono::{DateTime, TimeDelta, Utc};
use data_encoding::BASE32_NOPAD;
use futures::future::join_all;
use identity::{
    app::App,
    cause::Cause,
    password::Gate,
    seal::Seal,
    second_factor::{
        self, By, Confirmed, Random,
        model::{Need, code},
    },
    session::Which,
    sign_in::{model::Peer, turns::Turns},
};
use process::{Secret, postgres};
use prost_types::FieldMask;
use proto::identity::v1::{
    ApiKeyScope, BeginSecondFactorRequest, BeginSecondFactorResponse, ConfirmSecondFactorRequest,
    CreateApiKeyRequest, DisableSecondFactorRequest, GetSecondFactorRequest, GetUserRequest,
    ReplaceRecoveryCodesRequest, ResetSecondFactorRequest, Role, SecondFactor, TokenSet,
    UpdateSettingsRequest, User, api_key_service_client::ApiKeyServiceClient,
    second_factor_service_client::SecondFactorServiceClient,
    settings_service_client::SettingsServiceClient,
};
use rpc::client::Channel;
use rpc::{Error, client::Context};

use crate::support::{ADMIN, Database, Identity, PASSWORD, SECRET_KEY, bearer, migrate, wanted};

pub(crate) const AMY: &str = "amy@example.com";
const OTHER_KEY: &str = "fedcba9876543210fedcba9876543210";

fn service(identity: &Identity) -> SecondFactorServiceClient<Channel> {
    SecondFactorServiceClient::new(identity.channel.clone())
}

/// The code that an app shows so many steps from now.
pub(crate) fn shown(secret: &str, later: i64) -> String {
    let key = BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    code(&key, process::now().timestamp() / 30 + later)
}

async fn begin(
    identity: &Identity,
    own: &Context,
    password: &str,
) -> Result<BeginSecondFactorResponse, Error> {
    let request = BeginSecondFactorRequest { current_password: password.to_owned() };
    Ok(service(identity).begin_second_factor(own.request(request)).await?.into_inner())
}

async fn confirm(identity: &Identity, own: &Context, code: &str) -> Result<Vec<String>, Error> {
    let request = ConfirmSecondFactorRequest { code: code.to_owned() };
    let answer = service(identity).confirm_second_factor(own.request(request)).await?;
    Ok(answer.into_inner().recovery_codes)
}

async fn replace(identity: &Identity, own: &Context, code: &str) -> Result<Vec<String>, Error> {
    let request = ReplaceRecoveryCodesRequest { code: code.to_owned() };
    let answer = service(identity).replace_recovery_codes(own.request(request)).await?;
    Ok(answer.into_inner().recovery_codes)
}

async fn disable(identity: &Identity, own: &Context, code: &str) -> Result<(), Error> {
    let request = DisableSecondFactorRequest { code: code.to_owned() };
    service(identity).disable_second_factor(own.request(request)).await?;
    Ok(())
}

pub(crate) async fn reset(identity: &Identity, by: &Context, user_id: i64) -> Result<(), Error> {
    let request = ResetSecondFactorRequest { user_id };
    service(identity).reset_second_factor(by.request(request)).await?;
    Ok(())
}

async fn standing(identity: &Identity, own: &Context) -> SecondFactor {
    let request = own.request(GetSecondFactorRequest {});
    let answer = service(identity).get_second_factor(request).await.unwrap();
    answer.into_inner().second_factor.unwrap()
}

/// Asks second factors of these roles.
pub(crate) async fn ask_of(
    identity: &Identity,
    admin: &Context,
    roles: &[Role],
) -> Result<(), Error> {
    let mut settings = SettingsServiceClient::new(identity.channel.clone());
    let update_mask = Some(FieldMask { paths: vec!["second_factor_roles".to_owned()] });
    let second_factor_roles = roles.iter().map(|role| i32::from(*role)).collect();
    let request = UpdateSettingsRequest { update_mask, second_factor_roles, ..Default::default() };
    let answer = settings.update_settings(admin.request(request)).await?.into_inner();
    assert_eq!(answer.settings.unwrap().second_factor_roles().collect::<Vec<_>>(), roles);
    Ok(())
}

/// Somebody with a second factor.
pub(crate) struct Amy {
    pub(crate) user: User,
    session: TokenSet,
    pub(crate) own: Context,
    pub(crate) secret: String,
    pub(crate) recovery_codes: Vec<String>,
}

impl Amy {
    pub(crate) async fn of(identity: &Identity) -> Self {
        let user = identity.create_user(&identity.admin().await, wanted(AMY)).await.unwrap();
        let session = identity.sign_in(AMY, PASSWORD).await.unwrap();
        let own = bearer(&session.access_token);
        let secret = begin(identity, &own, PASSWORD).await.unwrap().secret;
        let recovery_codes = confirm(identity, &own, &shown(&secret, 0)).await.unwrap();
        Self { user, session, own, secret, recovery_codes }
    }
}

/// Whether that was no good code.
fn is_wrong(error: &Error) -> bool {
    matches!(error, Error::Invalid(fields) if fields[0].field == "code" && fields[0].code == "wrong_code")
}

#[tokio::test]
async fn a_second_factor_is_on_after_its_first_code_and_then_a_password_is_not_enough() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let amy = identity.create_user(&admin, wanted(AMY)).await.unwrap();
    let other = identity.sign_in(AMY, PASSWORD).await.unwrap();
    let mine = identity.sign_in(AMY, PASSWORD).await.unwrap();
    let own = bearer(&mine.access_token);

    let refused = confirm(&identity, &own, "123456").await.unwrap_err();
    assert_eq!(refused.reason(), "SECOND_FACTOR_NOT_BEGUN");
    let Err(Error::Invalid(fields)) = begin(&identity, &own, "wrong").await else {
        panic!("begun")
    };
    assert_eq!(
        (fields[0].field.as_str(), &*fields[0].code),
        ("current_password", "wrong_password")
    );
    let first = begin(&identity, &own, PASSWORD).await.unwrap();
    let second = begin(&identity, &own, PASSWORD).await.unwrap();
    assert_eq!((first.secret.len(), second.secret.len()), (32, 32));
    assert!(second.otpauth_uri.contains(&format!("amy%40example%2Ecom?secret={}&", second.secret)));
    // Not confirmed, it is good for nothing and asks for nothing.
    assert!(!standing(&identity, &own).await.is_enabled);
    let third = identity.sign_in(AMY, PASSWORD).await.unwrap();
    let refused = confirm(&identity, &own, &shown(&first.secret, 0)).await.unwrap_err();
    assert!(is_wrong(&refused), "{refused:?}");

    let codes = confirm(&identity, &own, &shown(&second.secret, 0)).await.unwrap();
    assert_eq!(codes.len(), 10);
    let stands = standing(&identity, &own).await;
    assert_eq!(
        (stands.is_enabled, stands.is_required, stands.recovery_codes_left),
        (true, false, 10)
    );
    for ended in [other, third] {
        identity.refresh(&ended.refresh_token).await.unwrap_err();
    }
    identity.refresh(&mine.refresh_token).await.unwrap();
    let refused = identity.sign_in(AMY, PASSWORD).await.unwrap_err();
    assert_eq!(refused.reason(), "SECOND_FACTOR_REQUIRED");
    let refused = identity.sign_in(AMY, "wrong").await.unwrap_err();
    assert_eq!(refused.reason(), "INVALID_GRANT");
    for refused in [
        begin(&identity, &own, PASSWORD).await.map(drop),
        confirm(&identity, &own, &shown(&second.secret, 1)).await.map(drop),
    ] {
        assert_eq!(refused.unwrap_err().reason(), "SECOND_FACTOR_ENABLED");
    }

    // How well an account is guarded is told to its owner and to administrators.
    let viewer = wanted("bob@example.com");
    identity.create_user(&admin, viewer).await.unwrap();
    let bob = bearer(&identity.sign_in("bob@example.com", PASSWORD).await.unwrap().access_token);
    for (by, told) in [(&own, Some(true)), (&admin, Some(true)), (&bob, None)] {
        let request = by.request(GetUserRequest { id: amy.id });
        let user = identity.users().get_user(request).await.unwrap().into_inner().user.unwrap();
        assert_eq!((user.has_second_factor, user.version), (told, 2));
    }
}

#[tokio::test]
async fn a_code_is_good_once_and_none_from_before_it() {
    let identity = Identity::start().await;
    let Amy { own, secret, .. } = Amy::of(&identity).await;
    let now = shown(&secret, 0);
    for old in [&now, &shown(&secret, -1)] {
        assert!(is_wrong(&replace(&identity, &own, old).await.unwrap_err()));
    }
    let next = shown(&secret, 1);
    replace(&identity, &own, &next).await.unwrap();
    for old in [now, next] {
        assert!(is_wrong(&replace(&identity, &own, &old).await.unwrap_err()));
    }
}

#[tokio::test]
async fn of_twenty_uses_of_one_code_at_once_one_passes() {
    let identity = Identity::start().await;
    let Amy { own, secret, recovery_codes, .. } = Amy::of(&identity).await;
    for code in [shown(&secret, 1), recovery_codes[0].clone()] {
        let all = join_all((0..20).map(|_| replace(&identity, &own, &code))).await;
        assert_eq!(all.iter().filter(|answer| answer.is_ok()).count(), 1, "{all:?}");
        sqlx::query("delete from sign_in_failures")
            .execute(&mut identity.connection().await)
            .await
            .unwrap();
        // The second time round it is one of those before.
        if code == recovery_codes[0] {
            return;
        }
        sqlx::query("insert into recovery_codes (user_id, code_hash) values ($1, $2)")
            .bind(2_i64)
            .bind(second_factor::model::recovery_hash(&recovery_codes[0]))
            .execute(&mut identity.connection().await)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn guessing_codes_is_bounded_and_a_right_password_gives_no_more_guesses() {
    let identity = Identity::start().await;
    let Amy { own, secret, .. } = Amy::of(&identity).await;
    let right = shown(&secret, 1);
    let wrong = if right == "000000" { "000001" } else { "000000" };
    let all = join_all((0..100).map(|_| replace(&identity, &own, wrong))).await;
    let checked = all.iter().filter(|it| it.as_ref().is_err_and(is_wrong)).count();
    // Five, and a few more where the machine was so slow that the waiting was over.
    assert!((1..=9).contains(&checked), "{checked} were checked");
    sqlx::query("update sign_in_failures set blocked_until = blocked_until + interval '1 hour'")
        .execute(&mut identity.connection().await)
        .await
        .unwrap();
    for _ in 0..3 {
        // Counted apart: the password is neither held up by wrong codes nor forgets them.
        let refused = identity.sign_in(AMY, PASSWORD).await.unwrap_err();
        assert_eq!(refused.reason(), "SECOND_FACTOR_REQUIRED");
        let refused = replace(&identity, &own, &right).await.unwrap_err();
        assert_eq!(refused.reason(), "TOO_MANY_FAILURES");
    }
}

#[tokio::test]
async fn recovery_codes_stand_in_for_the_app_and_new_ones_take_their_place() {
    let identity = Identity::start().await;
    let Amy { own, secret, recovery_codes: first, .. } = Amy::of(&identity).await;
    let second = replace(&identity, &own, &shown(&secret, 1)).await.unwrap();
    assert!(first.iter().all(|code| !second.contains(code)));
    assert!(is_wrong(&replace(&identity, &own, &first[0]).await.unwrap_err()));
    let third =
        replace(&identity, &own, &second[0].to_lowercase().replace('-', " ")).await.unwrap();
    assert_eq!(standing(&identity, &own).await.recovery_codes_left, 10);
    disable(&identity, &own, &third[9]).await.unwrap();
    assert!(!standing(&identity, &own).await.is_enabled);
    assert_eq!(standing(&identity, &own).await.recovery_codes_left, 0);
    identity.sign_in(AMY, PASSWORD).await.unwrap();
    for refused in [
        disable(&identity, &own, &third[0]).await,
        replace(&identity, &own, &third[0]).await.map(drop),
    ] {
        assert_eq!(refused.unwrap_err().reason(), "SECOND_FACTOR_NOT_ENABLED");
    }
    // Turned on again, it has another secret.
    let again = begin(&identity, &own, PASSWORD).await.unwrap().secret;
    assert_ne!(again, secret);
    confirm(&identity, &own, &shown(&again, 0)).await.unwrap();
}

#[tokio::test]
async fn an_admin_takes_the_second_factor_of_another_away_and_their_sessions_end() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let Amy { user, session, own, .. } = Amy::of(&identity).await;
    for by in [&own, &identity.service().await] {
        let refused = reset(&identity, by, user.id).await.unwrap_err();
        assert!(matches!(refused, Error::Denied { .. }), "{refused:?}");
    }
    let refused = reset(&identity, &admin, 1).await.unwrap_err();
    assert!(matches!(refused, Error::Denied { .. }), "one's own takes a code: {refused:?}");
    reset(&identity, &admin, user.id).await.unwrap();
    identity.refresh(&session.refresh_token).await.unwrap_err();
    identity.sign_in(AMY, PASSWORD).await.unwrap();
    for id in [user.id, 99] {
        let refused = reset(&identity, &admin, id).await.unwrap_err();
        assert!(matches!(refused, Error::NotFound { .. }), "{refused:?}");
    }
}

#[tokio::test]
async fn whose_role_must_have_one_signs_in_anew_and_does_not_turn_it_off() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let amy = identity.create_user(&admin, wanted(AMY)).await.unwrap();
    let refused = ask_of(&identity, &admin, &[Role::Admin, Role::Rep]).await.unwrap_err();
    assert_eq!(refused.reason(), "SECOND_FACTOR_NOT_ENABLED");
    let mine = identity.sign_in(AMY, PASSWORD).await.unwrap();
    let own = bearer(&mine.access_token);
    ask_of(&identity, &admin, &[Role::Rep, Role::Viewer]).await.unwrap();
    for refused in
        [identity.sign_in(AMY, PASSWORD).await, identity.refresh(&mine.refresh_token).await]
    {
        assert_eq!(refused.unwrap_err().reason(), "SECOND_FACTOR_REQUIRED");
    }
    let refused = identity.sign_in(AMY, "wrong").await.unwrap_err();
    assert_eq!(refused.reason(), "INVALID_GRANT");
    identity.sign_in(ADMIN, PASSWORD).await.unwrap();
    let stands = standing(&identity, &own).await;
    assert_eq!((stands.is_enabled, stands.is_required), (false, true));

    // The access token is still good: not enough for a key that outlives it, but to turn one on, from when on the session goes on.
    let mut keys = ApiKeyServiceClient::new(identity.channel.clone());
    let key = CreateApiKeyRequest {
        name: "A script".to_owned(),
        scopes: vec![ApiKeyScope::Read.into()],
        expires_at: None,
    };
    let refused = keys.create_api_key(own.request(key.clone())).await.map_err(Error::from);
    assert_eq!(refused.unwrap_err().reason(), "SECOND_FACTOR_REQUIRED");
    let secret = begin(&identity, &own, PASSWORD).await.unwrap().secret;
    let codes = confirm(&identity, &own, &shown(&secret, 0)).await.unwrap();
    identity.refresh(&mine.refresh_token).await.unwrap();
    keys.create_api_key(own.request(key)).await.unwrap();
    let refused = disable(&identity, &own, &codes[0]).await.unwrap_err();
    assert_eq!(refused.reason(), "SECOND_FACTOR_REQUIRED");
    // An administrator may take it away; then another has to be turned on.
    reset(&identity, &admin, amy.id).await.unwrap();
    let refused = identity.sign_in(AMY, PASSWORD).await.unwrap_err();
    assert_eq!(refused.reason(), "SECOND_FACTOR_REQUIRED");
    ask_of(&identity, &admin, &[]).await.unwrap();
    identity.sign_in(AMY, PASSWORD).await.unwrap();
}

#[tokio::test]
async fn a_request_that_is_sent_again_shows_no_secret_twice() {
    let identity = Identity::start().await;
    let once = identity.admin().await.with_idempotency_key("k".parse().unwrap());
    let secret = begin(&identity, &once, PASSWORD).await.unwrap().secret;
    let again = begin(&identity, &once, PASSWORD).await.unwrap_err();
    assert_eq!(again.reason(), "IDEMPOTENT_REPLAY");
    let Error::Invalid(fields) = begin(&identity, &once, "another").await.unwrap_err() else {
        panic!("another password is another request");
    };
    assert_eq!(fields[0].code, "idempotency_key_reused");

    let code = shown(&secret, 0);
    confirm(&identity, &once, &code).await.unwrap();
    // The code is used up, and nothing is counted against who asks for the lost answer.
    for _ in 0..10 {
        let again = confirm(&identity, &once, &code).await.unwrap_err();
        assert_eq!(again.reason(), "IDEMPOTENT_REPLAY");
    }
    let code = shown(&secret, 1);
    disable(&identity, &once, &code).await.unwrap();
    disable(&identity, &once, &code).await.unwrap();
    let kept: Vec<Vec<u8>> = sqlx::query_scalar("select request_hash from idempotency")
        .fetch_all(&mut identity.connection().await)
        .await
        .unwrap();
    assert_eq!(kept.len(), 3);
}

/// What the sign-in page works with, before there is a session.
pub(crate) fn app(database: &Database) -> App {
    let url = Secret::from(database.url.as_str());
    App {
        read: postgres::read_pool(&url, 2, "test").unwrap(),
        write: postgres::write_pool(&url, 4, "test").unwrap(),
        gate: Gate::default(),
        turns: Turns::default(),
        external: None,
        wake: events::Wake::default(),
        revocations: std::sync::Arc::default(),
    }
}

async fn need(app: &App, user_id: i64) -> Need {
    let mut tx = app.write.begin().await.unwrap();
    second_factor::need(&mut tx, user_id).await.unwrap()
}

fn at(step: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(step * 30 + 7)
}

#[tokio::test]
async fn before_there_is_a_session_one_is_turned_on_and_asked_for() {
    let identity = Identity::start().await;
    let admin = identity.admin().await;
    let amy = identity.create_user(&admin, wanted(AMY)).await.unwrap();
    let app = app(&identity.database);
    assert_eq!(need(&app, amy.id).await, Need::None);
    ask_of(&identity, &admin, &[Role::Rep]).await.unwrap();
    assert_eq!(need(&app, amy.id).await, Need::Enrolment);

    let seal = Seal::of(&SECRET_KEY.into(), None).unwrap();
    let by = By { user_id: amy.id, peer: Peer::default() };
    let random = Random { key: [7; 20], seal: [8; 12] };
    second_factor::begin_enrolment(&app, &seal, amy.id, random, at(1_000)).await.unwrap();
    let check = async |code: &str, now| {
        let checked = second_factor::check(&app, &seal, by, code, now).await.unwrap();
        match checked {
            Some((tx, user)) => {
                tx.commit().await.unwrap();
                user.id == amy.id
            }
            None => false,
        }
    };
    assert!(!check(&code(&[7; 20], 1_000), at(1_000)).await, "not confirmed, it is no factor");
    let confirm = async |code: &str| {
        let cause = Cause::service();
        let new = (Which::All, std::array::from_fn(|at| u8::try_from(at).unwrap()));
        let confirmed =
            second_factor::confirm_enrolment(&app, &seal, by, code, new, &cause, at(1_000)).await;
        let Confirmed { tx, changes, codes } = confirmed.unwrap()?;
        app.commit(tx, &changes).await.unwrap();
        Some(codes)
    };
    assert!(confirm(&code(&[7; 20], 998)).await.is_none());
    let codes = confirm(&code(&[7; 20], 1_000)).await.unwrap();
    assert_eq!(need(&app, amy.id).await, Need::Code);

    assert!(!check(&code(&[7; 20], 1_000), at(1_000)).await, "it was used to confirm");
    // An app that is a step late, one that is a step early, and none that is later still.
    assert!(check(&code(&[7; 20], 1_009), at(1_010)).await);
    assert!(!check(&code(&[7; 20], 1_018), at(1_020)).await);
    assert!(check(&code(&[7; 20], 1_021), at(1_020)).await);
    assert!(!check(&code(&[7; 20], 1_020), at(1_020)).await, "steps never go back");
    assert!(check(codes[3].expose(), at(1_030)).await);
    assert!(!check(codes[3].expose(), at(1_030)).await, "a recovery code is good once");
    let left = second_factor::store::standing(&app.read, amy.id).await.unwrap().unwrap();
    assert_eq!(left.recovery_codes_left, 9);
    // What was checked and not committed was not used.
    drop(second_factor::check(&app, &seal, by, codes[4].expose(), at(1_040)).await.unwrap());
    assert!(check(codes[4].expose(), at(1_040)).await);
    // Who may not sign in has no good codes.
    sqlx::query("update users set is_active = false where id = $1")
        .bind(amy.id)
        .execute(&mut identity.connection().await)
        .await
        .unwrap();
    assert!(!check(codes[5].expose(), at(1_050)).await);
}

#[tokio::test]
async fn a_key_is_changed_by_having_the_old_one_beside_the_new_for_a_while() {
    let identity = Identity::start().await;
    let Amy { session, secret, .. } = Amy::of(&identity).await;
    let kept = async |identity: &Identity| -> Vec<u8> {
        let sql = "select secret from second_factors";
        sqlx::query_scalar(sql).fetch_one(&mut identity.connection().await).await.unwrap()
    };
    let old = kept(&identity).await;
    let plain = BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    assert!(!old.windows(20).any(|window| window == plain));

    let identity = Identity::with(identity.stop().await, |it| {
        it.env("SECRET_KEY", OTHER_KEY).env("SECRET_KEY_PREVIOUS", SECRET_KEY);
    })
    .await;
    while kept(&identity).await[..8] == old[..8] {
        tokio::task::yield_now().await;
    }
    let session = identity.refresh(&session.refresh_token).await.unwrap();
    let own = bearer(&session.access_token);
    let codes = replace(&identity, &own, &shown(&secret, 1)).await.unwrap();

    let identity = Identity::with(identity.stop().await, |it| {
        it.env("SECRET_KEY", OTHER_KEY);
    })
    .await;
    sqlx::query("update second_factors set last_step = last_step - 10")
        .execute(&mut identity.connection().await)
        .await
        .unwrap();
    replace(&identity, &own, &shown(&secret, 0)).await.unwrap();

    // Under a key that is gone it cannot be read: nobody gets in by it, and a recovery code still does.
    let identity = Identity::on(identity.stop().await).await;
    let session = identity.refresh(&session.refresh_token).await.unwrap();
    let own = bearer(&session.access_token);
    let refused = replace(&identity, &own, &shown(&secret, 1)).await.unwrap_err();
    assert!(matches!(refused, Error::Internal(_)), "{refused:?}");
    assert!(is_wrong(&replace(&identity, &own, &codes[0]).await.unwrap_err()));
}

#[tokio::test]
async fn nothing_secret_is_in_the_change_log_or_in_the_logs() {
    let path =
        std::env::temp_dir().join(format!("identity-{}.log", process::now().timestamp_micros()));
    let database = Database::create().await;
    migrate(&database).await;
    let log = File::create(&path).unwrap();
    let identity = Identity::with(database, |it| {
        it.env("LOG_LEVEL", "debug").stderr(log);
    })
    .await;
    let Amy { own, secret, recovery_codes: mut codes, user, .. } = Amy::of(&identity).await;
    replace(&identity, &own, "AAAA-BBBB-CCCC-DDDD").await.unwrap_err();
    codes.extend(replace(&identity, &own, &codes[1]).await.unwrap());
    disable(&identity, &own, &codes[12]).await.unwrap();

    let sql = "select type, payload from change where aggregate = 'user' and aggregate_id = $1 order by change_id";
    let told: Vec<(String, Vec<u8>)> = sqlx::query_as(sql)
        .bind(user.id)
        .fetch_all(&mut identity.connection().await)
        .await
        .unwrap();
    let types: Vec<_> = told.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        types,
        [
            "user.created",
            "user.second_factor_enabled",
            "user.recovery_codes_replaced",
            "user.second_factor_disabled"
        ]
    );
    let enabled = <events::Event as prost::Message>::decode(told[1].1.as_slice()).unwrap();
    let change = &enabled.changes[0];
    assert_eq!(
        (enabled.changes.len(), change.field.as_str(), change.old.as_str(), change.new.as_str()),
        (1, "has_second_factor", "false", "true")
    );
    drop(identity.stop().await);
    let logs = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(logs.contains("a recovery code was used"), "the logs were not looked at");
    codes.extend([secret, "AAAA-BBBB-CCCC-DDDD".to_owned(), PASSWORD.to_owned()]);
    let everything = told.iter().map(|(_, payload)| String::from_utf8_lossy(payload).into_owned());
    let everything: Vec<String> = everything.chain([logs]).collect();
    for word in codes.iter().flat_map(|code| [code.clone(), code.replace('-', "")]) {
        assert!(everything.iter().all(|text| !text.contains(&word)), "{word}");
    }
}
