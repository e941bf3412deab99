//! The layer before the methods of a real server.

use std::sync::Arc;

use auth::{
    Caller, Keys, Layer, Verifier,
    token::{Claims, Signer},
};
use http::HeaderValue;
use proto::identity::v1::{
    Key, ListKeysRequest, ListKeysResponse,
    key_service_client::KeyServiceClient,
    key_service_server::{KeyService, KeyServiceServer},
};
use rpc::{Error, Tls, client::Channel, reason};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Request, Response, Status};

use super::{ISSUER, Identity, other_signer, rep, signer};

const LIST_KEYS: &str = "/salespipeline.identity.v1.KeyService/ListKeys";

/// Answers who it was called by, as the id of a key.
struct WhoAmI;

#[tonic::async_trait]
impl KeyService for WhoAmI {
    async fn list_keys(
        &self,
        request: Request<ListKeysRequest>,
    ) -> Result<Response<ListKeysResponse>, Status> {
        let kid = match auth::optional_caller(&request) {
            Some(Caller { service: Some(name), .. }) => name,
            Some(caller) => caller.user_id.to_string(),
            None => "nobody".to_owned(),
        };
        Ok(Response::new(ListKeysResponse { keys: vec![Key { kid, ..Key::default() }] }))
    }
}

pub(crate) struct Running {
    pub(crate) channel: Channel,
    verifier: Arc<Verifier>,
    _stop: DropGuard,
}

impl Running {
    pub(crate) async fn start(open: &'static [&'static str]) -> Self {
        Self::with(open, Keys::fixed([signer().public_key().clone()])).await
    }

    async fn with(open: &'static [&'static str], keys: Keys) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let channel = rpc::client::connect_lazy(&url, &Tls::default()).unwrap();
        let verifier = Arc::new(Verifier::new(ISSUER, keys, Arc::default()));
        let server = rpc::Server::builder("test")
            .auth(Layer::new(verifier.clone(), open))
            .add(KeyServiceServer::new(WhoAmI));
        let shutdown = CancellationToken::new();
        tokio::spawn(server.serve(listener, shutdown.clone()));
        Self { channel, verifier, _stop: shutdown.drop_guard() }
    }

    pub(crate) async fn who_am_i(&self, authorization: Option<&str>) -> Result<String, Error> {
        let mut context = rpc::client::Context::default();
        if let Some(value) = authorization {
            context = context.with_authorization(HeaderValue::from_str(value).unwrap());
        }
        let mut client = KeyServiceClient::new(self.channel.clone());
        let answer = client.list_keys(context.request(ListKeysRequest {})).await?;
        Ok(answer.into_inner().keys.remove(0).kid)
    }
}

fn bearer_of(caller: &Caller) -> String {
    signed_by(&signer(), caller)
}

fn signed_by(signer: &Signer, caller: &Caller) -> String {
    let claims = Claims::of(caller, ISSUER, "t-1", process::now(), 1_800);
    format!("Bearer {}", signer.sign(&claims).unwrap())
}

#[tokio::test]
async fn a_method_is_told_who_calls() {
    let server = Running::start(&[]).await;
    let user = bearer_of(&rep());
    for _ in 0..3 {
        assert_eq!(server.who_am_i(Some(&user)).await.unwrap(), "7");
    }
    let service = bearer_of(&Caller::service("analytics"));
    assert_eq!(server.who_am_i(Some(&service)).await.unwrap(), "analytics");
}

#[tokio::test]
async fn without_a_good_token_a_method_is_not_reached() {
    let server = Running::start(&[]).await;
    let reason_for = async |authorization: Option<&str>| {
        let error = server.who_am_i(authorization).await.unwrap_err();
        assert!(matches!(error, Error::Unauthenticated { .. }), "{error:?}");
        error.reason().to_owned()
    };
    assert_eq!(reason_for(None).await, reason::TOKEN_MISSING);
    assert_eq!(reason_for(Some("Bearer a.b.c")).await, reason::TOKEN_INVALID);
    assert_eq!(reason_for(Some("Basic eDp5")).await, reason::TOKEN_INVALID);
    let old =
        Claims::of(&rep(), ISSUER, "t-1", process::now() - chrono::TimeDelta::hours(1), 1_800);
    let old = format!("Bearer {}", signer().sign(&old).unwrap());
    assert_eq!(reason_for(Some(&old)).await, reason::TOKEN_EXPIRED);

    let good = bearer_of(&rep());
    server.who_am_i(Some(&good)).await.unwrap();
    server.verifier.revocations().revoke_session(70);
    assert_eq!(reason_for(Some(&good)).await, reason::TOKEN_REVOKED);
}

#[tokio::test]
async fn of_two_tokens_none_counts() {
    let server = Running::start(&[]).await;
    let good = bearer_of(&rep());
    for (first, second) in
        [(&*good, &*good), (&good, "Bearer a.b.c"), ("Bearer a.b.c", &good), ("Basic eDp5", &good)]
    {
        let mut request = Request::new(ListKeysRequest {});
        for value in [first, second] {
            request.metadata_mut().append("authorization", value.parse().unwrap());
        }
        let answer = KeyServiceClient::new(server.channel.clone()).list_keys(request).await;
        let error = Error::from(answer.unwrap_err());
        assert!(matches!(error, Error::Unauthenticated { .. }), "{first} {second}: {error:?}");
    }
}

#[tokio::test]
async fn while_the_secret_changes_tokens_of_both_keys_are_good() {
    let keys = [other_signer().public_key().clone(), signer().public_key().clone()];
    let server = Running::with(&[], Keys::fixed(keys)).await;
    for signer in [signer(), other_signer()] {
        assert_eq!(server.who_am_i(Some(&signed_by(&signer, &rep()))).await.unwrap(), "7");
    }
}

#[tokio::test]
async fn a_token_that_was_let_in_is_refused_once_its_key_is_withdrawn() {
    let identity = Identity::default();
    identity.publishes([signer().public_key().clone()]);
    let server = Running::with(&[], identity.keys()).await;
    let old = bearer_of(&rep());
    assert_eq!(server.who_am_i(Some(&old)).await.unwrap(), "7");

    identity.publishes([other_signer().public_key().clone()]);
    // Longer than identity is left alone after it has answered.
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(31)).await;
    tokio::time::resume();
    let new = signed_by(&other_signer(), &rep());
    assert_eq!(server.who_am_i(Some(&new)).await.unwrap(), "7");
    let error = server.who_am_i(Some(&old)).await.unwrap_err();
    assert_eq!(error.reason(), reason::TOKEN_INVALID);
}

#[tokio::test]
async fn an_open_method_needs_no_token_and_minds_no_bad_one() {
    for open in [&[LIST_KEYS][..], &["/salespipeline.identity.v1.KeyService/"][..]] {
        let server = Running::start(open).await;
        assert_eq!(server.who_am_i(None).await.unwrap(), "nobody");
        assert_eq!(server.who_am_i(Some("Bearer a.b.c")).await.unwrap(), "nobody");
        assert_eq!(server.who_am_i(Some("Basic eDp5")).await.unwrap(), "nobody");
        assert_eq!(server.who_am_i(Some(&bearer_of(&rep()))).await.unwrap(), "7");
    }
}

#[tokio::test]
async fn keys_are_fetched_from_identity_when_first_needed() {
    struct Publishes;

    #[tonic::async_trait]
    impl KeyService for Publishes {
        async fn list_keys(
            &self,
            _: Request<ListKeysRequest>,
        ) -> Result<Response<ListKeysResponse>, Status> {
            Ok(Response::new(ListKeysResponse { keys: vec![signer().public_key().clone().into()] }))
        }
    }

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let channel = rpc::client::connect_lazy(&url, &Tls::default()).unwrap();
    let server = rpc::Server::builder("identity").add(KeyServiceServer::new(Publishes));
    let shutdown = CancellationToken::new();
    let _stop = shutdown.clone().drop_guard();
    tokio::spawn(server.serve(listener, shutdown));

    let verifier = Verifier::new(ISSUER, Keys::from_identity(channel), Arc::default());
    let token = signer().sign(&super::claims()).unwrap();
    assert_eq!(verifier.verify(&token, super::now()).await.unwrap(), rep());
}
