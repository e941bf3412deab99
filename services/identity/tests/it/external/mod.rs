//! Signing in with an external provider, one that is not to be trusted.

mod attacks;
mod hostile;
mod links;
mod settings;

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use form_urlencoded::parse;
use proto::{
    audit::v1::{AuditEntry, ListAuditEntriesRequest, audit_service_client::AuditServiceClient},
    identity::v1::{
        BeginExternalSignInRequest, Client, ClientKind, FinishExternalSignInRequest,
        SecondFactorNeeded, User, authorize_response, begin_external_sign_in_response,
        external_sign_in_service_client::ExternalSignInServiceClient,
        finish_external_sign_in_response,
    },
};
use rpc::client::Channel;
use rpc::{Error, client::Context};
use serde_json::{Value, json};
use tokio::process::Command;

use self::hostile::{CLIENT_ID, CLIENT_SECRET, Hostile};
use crate::{
    oauth::{asks, draft, exchange, make, shows},
    support::{Database, Identity, PUBLIC_URL, migrate, wanted},
};

const AMY: &str = "amy@example.com";
const BROWSER: &str = "what the browser of somebody holds in a cookie";
const PAGE: &str = "client_id=x&state=%22s%22";

/// A product with a provider that does as it is told, and a program that people sign in for.
struct Scene {
    identity: Identity,
    provider: Hostile,
    admin: Context,
    program: Client,
    amy: User,
}

/// Somebody who was sent to the provider.
#[derive(Clone, Debug)]
struct Went {
    /// What the provider was told of them.
    told: BTreeMap<String, String>,
}

impl Scene {
    async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// The same, set up a little otherwise.
    async fn start_with(set_up: impl FnOnce(&mut Command)) -> Self {
        let provider = Hostile::start().await;
        let database = Database::create().await;
        migrate(&database).await;
        let identity = Identity::with(database, |command| {
            command
                .env("OIDC_ISSUER", &provider.issuer)
                .env("OIDC_CLIENT_ID", CLIENT_ID)
                .env("OIDC_CLIENT_SECRET", CLIENT_SECRET);
            set_up(command);
        })
        .await;
        let admin = identity.admin().await;
        let program = make(&identity, &admin, draft(ClientKind::Public)).await;
        let amy = identity.create_user(&admin, wanted("Amy@Example.com")).await.unwrap();
        Self { identity, provider, admin, program, amy }
    }

    fn service(&self) -> ExternalSignInServiceClient<Channel> {
        ExternalSignInServiceClient::new(self.identity.channel.clone())
    }

    async fn begin(
        &self,
        browser: &str,
    ) -> Result<begin_external_sign_in_response::Outcome, Error> {
        let request = BeginExternalSignInRequest {
            authorization: Some(asks(&self.program)),
            page: PAGE.to_owned(),
            browser: browser.to_owned(),
        };
        let answer = self.service().begin_external_sign_in(request).await?;
        Ok(answer.into_inner().outcome.unwrap())
    }

    /// Somebody goes to the provider.
    async fn goes(&self) -> Went {
        let begin_external_sign_in_response::Outcome::Url(url) = self.begin(BROWSER).await.unwrap()
        else {
            panic!("nobody is sent anywhere")
        };
        let (address, query) = url.split_once('?').unwrap();
        assert_eq!(address, format!("{}/authorize", self.provider.issuer));
        Went { told: parse(query.as_bytes()).into_owned().collect() }
    }

    /// They come back with a code.
    async fn comes_back(&self, went: &Went) -> Result<End, Error> {
        self.comes_back_with(&FinishExternalSignInRequest {
            state: went.told["state"].clone(),
            code: "a code".to_owned(),
            browser: BROWSER.to_owned(),
            ..FinishExternalSignInRequest::default()
        })
        .await
    }

    async fn comes_back_with(&self, request: &FinishExternalSignInRequest) -> Result<End, Error> {
        let answer = self.service().finish_external_sign_in(request.clone()).await?.into_inner();
        assert_eq!(answer.page, PAGE);
        Ok(match answer.outcome.unwrap() {
            finish_external_sign_in_response::Outcome::SignedIn(signed_in) => {
                match signed_in.outcome.unwrap() {
                    authorize_response::Outcome::Code(code) => End::Code(code.code),
                    authorize_response::Outcome::SecondFactor(next) => End::SecondFactor(next),
                    other => panic!("{other:?}"),
                }
            }
            finish_external_sign_in_response::Outcome::Failure(it) => End::Failure(it.reason),
        })
    }

    /// What the provider says of Amy when it behaves.
    fn amy(&self, went: &Went) -> Value {
        let now = process::now().timestamp();
        json!({
            "iss": self.provider.issuer, "aud": CLIENT_ID, "sub": "amy-at-the-provider", "nonce": went.told["nonce"],
            "iat": now, "exp": now + 300, "email": "AMY@example.com", "email_verified": true,
            "at_hash": hostile::at_hash(hostile::ACCESS_TOKEN),
        })
    }

    /// The same with some things another way; null leaves one out.
    fn amy_with(&self, went: &Went, other: &Value) -> Value {
        let mut claims = self.amy(went);
        let claims_of = claims.as_object_mut().unwrap();
        claims_of.extend(other.as_object().unwrap().clone());
        claims_of.retain(|_, value| !value.is_null());
        claims
    }

    /// Somebody signs in whom the provider says this of.
    async fn signs_in(&self, other: Value) -> End {
        let went = self.goes().await;
        self.provider.gives(&self.provider.key.sign(&self.amy_with(&went, &other)));
        self.comes_back(&went).await.unwrap()
    }

    /// Whose session a code opens.
    async fn owner(&self, end: End) -> i64 {
        let End::Code(code) = end else { panic!("{end:?}") };
        let tokens = exchange(&self.identity, shows(&self.program, &code)).await.unwrap();
        crate::oauth::caller(&self.identity, &tokens.access_token).await.user_id
    }

    /// What happened to a kind of record, the latest first.
    async fn audit(&self, record_type: &str) -> Vec<AuditEntry> {
        let asked = ListAuditEntriesRequest {
            record_type: Some(record_type.to_owned()),
            ..ListAuditEntriesRequest::default()
        };
        let mut audit = AuditServiceClient::new(self.identity.channel.clone());
        let answer = audit.list_audit_entries(self.admin.request(asked)).await.unwrap();
        answer.into_inner().items
    }
}

/// What a sign-in comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    Code(String),
    SecondFactor(SecondFactorNeeded),
    Failure(String),
}

fn failure(reason: &str) -> End {
    End::Failure(reason.to_owned())
}

#[tokio::test]
async fn the_provider_is_told_what_it_has_to_know_and_shown_what_it_has_to_see() {
    let scene = Scene::start().await;
    let went = scene.goes().await;
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", CLIENT_ID),
        ("scope", "openid email"),
        ("code_challenge_method", "S256"),
        ("redirect_uri", &format!("{PUBLIC_URL}/api/v1/auth/external/callback")),
    ] {
        assert_eq!(went.told[name], value, "{name}");
    }
    let other = scene.goes().await;
    for name in ["state", "nonce", "code_challenge"] {
        assert_eq!(went.told[name].len(), 43, "{name}");
        assert_ne!(went.told[name], other.told[name], "{name}");
    }
    scene.provider.gives(&scene.provider.key.sign(&scene.amy(&went)));
    let end = scene.comes_back(&went).await.unwrap();
    assert_eq!(scene.owner(end).await, scene.amy.id);
    let (authorization, form) = scene.provider.desk().exchanges.pop().unwrap();
    let form: BTreeMap<String, String> = parse(form.as_bytes()).into_owned().collect();
    assert_eq!((&*form["grant_type"], &*form["code"]), ("authorization_code", "a code"));
    assert_eq!(form["redirect_uri"], went.told["redirect_uri"]);
    let hash = digest::digest(&digest::SHA256, form["code_verifier"].as_bytes());
    assert_eq!(URL_SAFE_NO_PAD.encode(hash), went.told["code_challenge"]);
    assert!(authorization.starts_with("Basic ") && !form.contains_key("client_secret"));
    // Of what is secret about a sign-in nothing was stored.
    let kept: i64 = sqlx::query_scalar("select count(*) from external_sign_ins")
        .fetch_one(&mut scene.identity.connection().await)
        .await
        .unwrap();
    assert_eq!(kept, 1, "the other one is still at the provider");
}
