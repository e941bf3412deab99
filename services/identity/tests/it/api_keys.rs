//! API keys: who makes them, what they are exchanged for, and when they are no longer good.

use auth::{ApiKey, Caller, Keys, Revocations, Role, Scope, Verifier, Via, token::Jwk};
use events::{Event, Record};
use futures::future::join_all;
use prost::Message as _;
use proto::identity::v1::{
    self as wire, ApiKeyScope, CreateApiKeyRequest, ExchangeApiKeyRequest, ListApiKeysRequest,
    ListKeysRequest, ListRightsRequest, RevokeApiKeyRequest, UpdateUserRequest, User,
    api_key_service_client::ApiKeyServiceClient, key_service_client::KeyServiceClient,
    session_service_client::SessionServiceClient,
};
use rpc::client::Channel;
use rpc::{Error, client::Context};

use crate::support::{Identity, PASSWORD, bearer, wanted};

/// identity, what the gateway asks with, and somebody who is signed in.
struct Desk {
    identity: Identity,
    admin: Context,
    gateway: Context,
    amy: User,
    own: Context,
}

impl Desk {
    async fn open() -> Self {
        let identity = Identity::start().await;
        let admin = identity.admin().await;
        let amy = identity.create_user(&admin, wanted("amy@example.com")).await.unwrap();
        let signed_in = identity.sign_in("amy@example.com", PASSWORD).await.unwrap();
        let own = bearer(&signed_in.access_token);
        let gateway = identity.service_of("gateway").await;
        Self { identity, admin, gateway, amy, own }
    }

    fn keys(&self) -> ApiKeyServiceClient<Channel> {
        ApiKeyServiceClient::new(self.identity.channel.clone())
    }

    async fn make(&self, by: &Context, wanted: CreateApiKeyRequest) -> Result<wire::ApiKey, Error> {
        let answer = self.keys().create_api_key(by.request(wanted)).await?;
        Ok(answer.into_inner().api_key.unwrap())
    }

    /// Whom the token for a key tells of, and the seconds it lives.
    async fn exchange(&self, key: &str) -> Result<(Caller, i64), Error> {
        let request = self.gateway.request(ExchangeApiKeyRequest { key: key.to_owned() });
        let answer = self.keys().exchange_api_key(request).await?.into_inner();
        let mut published = KeyServiceClient::new(self.identity.channel.clone());
        let published = published.list_keys(ListKeysRequest {}).await.unwrap().into_inner().keys;
        let published = Keys::fixed(published.into_iter().map(Jwk::from));
        let verifier = Verifier::new("salespipeline", published, Revocations::default().into());
        let caller = verifier.verify(&answer.access_token, process::now()).await?;
        Ok((caller, answer.expires_in))
    }

    async fn refusal(&self, key: &str) -> String {
        self.exchange(key).await.unwrap_err().reason().to_owned()
    }

    async fn list(&self, by: &Context, user_id: Option<i64>) -> Result<Vec<wire::ApiKey>, Error> {
        let request = ListApiKeysRequest { user_id, ..ListApiKeysRequest::default() };
        Ok(self.keys().list_api_keys(by.request(request)).await?.into_inner().items)
    }

    async fn revoke(&self, by: &Context, id: i64) -> Result<(), Error> {
        let request = RevokeApiKeyRequest { id, expected_version: None };
        self.keys().revoke_api_key(by.request(request)).await?;
        Ok(())
    }

    async fn update_amy(&self, change: UpdateUserRequest) {
        let change = UpdateUserRequest { id: self.amy.id, ..change };
        self.identity.users().update_user(self.admin.request(change)).await.unwrap();
    }

    async fn execute(&self, statement: &'static str) {
        sqlx::query(statement).execute(&mut self.identity.connection().await).await.unwrap();
    }
}

fn named(name: &str) -> CreateApiKeyRequest {
    CreateApiKeyRequest { name: name.to_owned(), ..CreateApiKeyRequest::default() }
}

fn writing(name: &str) -> CreateApiKeyRequest {
    CreateApiKeyRequest { scopes: vec![ApiKeyScope::Write.into()], ..named(name) }
}

fn secret(key: &wire::ApiKey) -> &str {
    key.key.as_deref().unwrap()
}

#[tokio::test]
async fn a_key_is_exchanged_for_a_short_token_with_its_scopes_and_its_owners_rights() {
    let desk = Desk::open().await;
    let key = desk.make(&desk.own, named(" cron ")).await.unwrap();
    assert_eq!((key.name.as_str(), key.expires_at, key.last_used_at), ("cron", None, None));
    assert_eq!(key.scopes, [i32::from(ApiKeyScope::Read)]);
    assert!(secret(&key).starts_with(&format!("{}_", key.prefix)), "{}", key.prefix);
    let (caller, life_s) = desk.exchange(secret(&key)).await.unwrap();
    let expected = Caller {
        user_id: desk.amy.id,
        session_id: key.id,
        role: Role::Rep,
        team_id: None,
        rights_version: 1,
        scope: Scope::READ,
        via: Via::ApiKey,
        service: None,
    };
    assert_eq!((caller, life_s), (expected, 60));
    let key = desk.make(&desk.own, writing("sync")).await.unwrap();
    assert_eq!(key.scopes, [ApiKeyScope::Read, ApiKeyScope::Write].map(i32::from));
    assert_eq!(desk.exchange(secret(&key)).await.unwrap().0.scope, Scope::ALL);

    let role = Some(wire::Role::Viewer.into());
    desk.update_amy(UpdateUserRequest { role, ..UpdateUserRequest::default() }).await;
    let (caller, _) = desk.exchange(secret(&key)).await.unwrap();
    assert_eq!((caller.role, caller.rights_version), (Role::Viewer, 2));
    assert!(caller.require_write().is_err(), "a scope is no right");
}

#[tokio::test]
async fn a_key_is_good_until_it_expires_is_revoked_or_its_owner_is_inactive() {
    let desk = Desk::open().await;
    let key = desk.make(&desk.own, named("cron")).await.unwrap();
    desk.execute("update api_keys set expires_at = now() + interval '20 seconds'").await;
    let (_, life_s) = desk.exchange(secret(&key)).await.unwrap();
    assert!((15..=20).contains(&life_s), "{life_s}");
    desk.execute("update api_keys set expires_at = now()").await;
    assert_eq!(desk.refusal(secret(&key)).await, "API_KEY_EXPIRED");
    assert_eq!(desk.list(&desk.own, None).await.unwrap().len(), 1, "it is still shown");
    desk.execute("update api_keys set expires_at = null").await;

    let active = |is_active| UpdateUserRequest { is_active, ..UpdateUserRequest::default() };
    desk.update_amy(active(Some(false))).await;
    assert_eq!(desk.refusal(secret(&key)).await, "API_KEY_REVOKED");
    desk.update_amy(active(Some(true))).await;
    desk.exchange(secret(&key)).await.unwrap();

    desk.revoke(&desk.admin, key.id).await.unwrap();
    assert_eq!(desk.refusal(secret(&key)).await, "API_KEY_REVOKED");
    let mut sessions = SessionServiceClient::new(desk.identity.channel.clone());
    let mut rights =
        sessions.list_rights(desk.gateway.stream(ListRightsRequest {})).await.unwrap().into_inner();
    let mut ended = Vec::new();
    while let Some(piece) = rights.message().await.unwrap() {
        ended.extend(piece.ended_session_ids);
    }
    assert!(ended.contains(&key.id), "processes that start are told: {ended:?}");
}

#[tokio::test]
async fn what_was_not_made_here_is_no_key_whatever_it_says() {
    let desk = Desk::open().await;
    let key = desk.make(&desk.own, named("cron")).await.unwrap();
    let forged = ApiKey::new(key.id, [7; 32]).expose();
    let unknown = ApiKey::new(i64::MAX, [7; 32]).expose();
    let other = secret(&key).replace(&key.prefix, &format!("spm_live_{}", key.id + 1));
    for text in ["", "spm_live_", &forged, &unknown, &other, &secret(&key)[..40]] {
        assert_eq!(desk.refusal(text).await, "API_KEY_INVALID", "{text}");
    }
    let session = desk.identity.sign_in("amy@example.com", PASSWORD).await.unwrap();
    assert_eq!(desk.refusal(&session.access_token).await, "API_KEY_INVALID");
    desk.exchange(secret(&key)).await.unwrap();
}

#[tokio::test]
async fn only_the_gateway_exchanges_keys_and_no_service_takes_one() {
    let desk = Desk::open().await;
    let key = desk.make(&desk.own, named("cron")).await.unwrap();
    let request = ExchangeApiKeyRequest { key: secret(&key).to_owned() };
    for (by, reason) in [
        (desk.admin.clone(), "DENIED"),
        (desk.identity.service_of("notifier").await, "DENIED"),
        (Context::default(), rpc::reason::TOKEN_MISSING),
        (bearer(secret(&key)), rpc::reason::TOKEN_INVALID),
    ] {
        let refused = desk.keys().exchange_api_key(by.request(request.clone())).await.unwrap_err();
        assert_eq!(Error::from(refused).reason(), reason);
    }
}

#[tokio::test]
async fn only_who_signed_in_makes_and_revokes_keys() {
    let desk = Desk::open().await;
    let key = desk.make(&desk.own, writing("sync")).await.unwrap();
    let request = desk.gateway.request(ExchangeApiKeyRequest { key: secret(&key).to_owned() });
    let token = desk.keys().exchange_api_key(request).await.unwrap().into_inner().access_token;
    for by in [&bearer(&token), &desk.gateway] {
        let refused = desk.make(by, named("more")).await.unwrap_err();
        assert!(matches!(refused, Error::Denied { .. }), "{refused:?}");
        let refused = desk.revoke(by, key.id).await.unwrap_err();
        assert!(matches!(refused, Error::Denied { .. }), "{refused:?}");
    }
    assert_eq!(desk.list(&bearer(&token), None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn keys_are_their_owners_business_and_the_admins() {
    let desk = Desk::open().await;
    desk.identity.create_user(&desk.admin, wanted("zoe@example.com")).await.unwrap();
    let zoe = desk.identity.sign_in("zoe@example.com", PASSWORD).await.unwrap();
    let zoe = bearer(&zoe.access_token);
    let first = desk.make(&desk.own, named("cron")).await.unwrap();
    let second = desk.make(&desk.own, named("cron")).await.unwrap();
    let ids = |keys: Vec<wire::ApiKey>| keys.iter().map(|it| it.id).collect::<Vec<_>>();
    assert_eq!(ids(desk.list(&desk.own, None).await.unwrap()), [second.id, first.id]);
    assert!(desk.list(&zoe, None).await.unwrap().is_empty());
    let amys = Some(desk.amy.id);
    assert!(matches!(desk.list(&zoe, amys).await, Err(Error::Denied { .. })));
    assert_eq!(ids(desk.list(&desk.admin, amys).await.unwrap()), [second.id, first.id]);

    assert!(matches!(desk.revoke(&zoe, first.id).await, Err(Error::NotFound { .. })));
    let stale = RevokeApiKeyRequest { id: first.id, expected_version: Some(2) };
    let refused = desk.keys().revoke_api_key(desk.own.request(stale)).await.unwrap_err();
    assert_eq!(Error::from(refused).reason(), rpc::reason::STALE);
    desk.revoke(&desk.own, first.id).await.unwrap();
    assert!(matches!(desk.revoke(&desk.own, first.id).await, Err(Error::NotFound { .. })));
    assert_eq!(ids(desk.list(&desk.own, None).await.unwrap()), [second.id]);
    assert_eq!(desk.refusal(secret(&first)).await, "API_KEY_REVOKED");
    desk.exchange(secret(&second)).await.unwrap();
}

#[tokio::test]
async fn the_last_use_is_written_down_once_a_minute() {
    let desk = Desk::open().await;
    let key = desk.make(&desk.own, named("cron")).await.unwrap();
    let last_used = async || desk.list(&desk.own, None).await.unwrap()[0].last_used_at;
    desk.exchange(secret(&key)).await.unwrap();
    let first = last_used().await;
    assert!(first.is_some());
    desk.exchange(secret(&key)).await.unwrap();
    assert_eq!(last_used().await, first);
    desk.execute("update api_keys set last_used_at = last_used_at - interval '61 seconds'").await;
    desk.exchange(secret(&key)).await.unwrap();
    assert!(last_used().await > first);
}

#[tokio::test]
async fn a_request_that_is_sent_again_makes_no_second_key_and_shows_none() {
    let desk = Desk::open().await;
    let once = desk.own.clone().with_idempotency_key("k-1".parse().unwrap());
    let key = desk.make(&once, named("cron")).await.unwrap();
    let again = desk.make(&once, named("cron")).await.unwrap_err();
    let Error::Conflict { reason, message, details, .. } = again else { panic!("{again:?}") };
    assert_eq!((&*reason, &*details["id"]), ("IDEMPOTENT_REPLAY", &*key.id.to_string()));
    assert!(!message.contains("spm_live"), "{message}");
    let other = desk.make(&once, named("other")).await.unwrap_err();
    assert!(matches!(other, Error::Invalid(_)), "{other:?}");
    assert_eq!(desk.list(&desk.own, None).await.unwrap().len(), 1);

    // What expired in the future when it was made does not when it is sent again.
    let once = desk.own.clone().with_idempotency_key("k-2".parse().unwrap());
    let soon = process::now() + chrono::TimeDelta::milliseconds(300);
    let short = CreateApiKeyRequest { expires_at: Some(soon.into()), ..named("short") };
    desk.make(&once, short.clone()).await.unwrap();
    while process::now() <= soon {
        tokio::task::yield_now().await;
    }
    let again = desk.make(&once, short).await.unwrap_err();
    assert_eq!(again.reason(), "IDEMPOTENT_REPLAY");
}

#[tokio::test]
async fn nobody_has_more_than_fifty_keys_that_are_good() {
    let desk = Desk::open().await;
    let made = join_all((0..60).map(|_| desk.make(&desk.own, named("cron")))).await;
    let refused: Vec<_> = made.into_iter().filter_map(Result::err).collect();
    assert_eq!(refused.len(), 10);
    assert!(refused.iter().all(|it| it.reason() == "TOO_MANY_API_KEYS"), "{refused:?}");
    desk.make(&desk.admin, named("cron")).await.unwrap();
    desk.execute("update api_keys set expires_at = now() where id % 2 = 0").await;
    desk.make(&desk.own, named("cron")).await.unwrap();
}

#[tokio::test]
async fn nothing_that_is_kept_or_told_of_a_key_is_the_key() {
    let desk = Desk::open().await;
    let key = desk.make(&desk.own, writing("sync")).await.unwrap();
    desk.revoke(&desk.own, key.id).await.unwrap();
    let mut connection = desk.identity.connection().await;
    let payloads: Vec<Vec<u8>> = sqlx::query_scalar(
        "select payload from change where aggregate = 'api_key' order by change_id",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let events: Vec<_> = payloads.iter().map(|it| Event::decode(it.as_slice()).unwrap()).collect();
    let told: Vec<_> = events.iter().map(|it| (it.r#type.as_str(), it.version)).collect();
    assert_eq!(told, [("api_key.created", 1), ("api_key.revoked", 2)]);
    let Some(Record::ApiKey(record)) = &events[1].record else { panic!("no record") };
    assert_eq!((record.id, record.user_id), (key.id, desk.amy.id));
    assert_eq!(record.scopes, ["read", "write"]);
    assert!(record.revoked_at.is_some());

    let hash = ApiKey::parse(secret(&key)).unwrap().hash().to_vec();
    let kept: Vec<u8> = sqlx::query_scalar("select key_hash from api_keys")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(kept, hash);
    let letters = secret(&key).split('_').nth(3).unwrap();
    for payload in &payloads {
        let holds = |part: &[u8]| payload.windows(part.len()).any(|it| it == part);
        assert!(holds(b"sync") && !holds(letters.as_bytes()) && !holds(&hash));
    }
}
