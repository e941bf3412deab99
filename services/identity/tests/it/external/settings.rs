//! How a provider is set up, and what is told of it.

use std::{fs, process::Stdio};

use proto::identity::v1::{
    BeginExternalSignInRequest, CheckAuthorizationRequest, ClientKind,
    authorization_service_client::AuthorizationServiceClient, check_authorization_response,
    external_sign_in_service_client::ExternalSignInServiceClient,
};
use serde_json::json;

use super::{AMY, BROWSER, End, PAGE, Scene, hostile};
use crate::{
    oauth::{asks, draft, make},
    support::{Database, Identity, command, migrate},
};

#[tokio::test]
async fn a_provider_that_is_named_by_halves_ends_the_process_with_a_word() {
    let database = Database::create().await;
    migrate(&database).await;
    for (settings, word) in [
        (&[("OIDC_ISSUER", "https://login.example.com")][..], "OIDC_CLIENT_ID"),
        (&[("OIDC_CLIENT_SECRET", "hunter2")], "OIDC_ISSUER"),
        (&[("OIDC_NAME", "Login")], "OIDC_ISSUER"),
        (
            &[
                ("OIDC_ISSUER", "http://login.example.com"),
                ("OIDC_CLIENT_ID", "us"),
                ("OIDC_CLIENT_SECRET", "hunter2"),
            ],
            "https://",
        ),
        (
            &[
                ("OIDC_ISSUER", "https://login.example.com"),
                ("OIDC_CLIENT_ID", "us"),
                ("OIDC_CLIENT_SECRET", "hunter2"),
                ("PUBLIC_URL", ""),
            ],
            "PUBLIC_URL",
        ),
    ] {
        let mut program = command(&database);
        program.arg("serve").envs(settings.iter().copied()).stdout(Stdio::null());
        let ended = program.output().await.unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(!ended.status.success(), "{settings:?}");
        assert!(said.contains(word) && !said.contains("hunter2"), "{said}");
    }
}

#[tokio::test]
async fn the_page_knows_the_provider_if_there_is_one() {
    let scene = Scene::start().await;
    let external = external(&scene.identity, asks(&scene.program)).await.unwrap();
    assert_eq!((&*external.name, external.is_plain), ("127.0.0.1", true));

    let without = Identity::start().await;
    let admin = without.admin().await;
    let program = make(&without, &admin, draft(ClientKind::Public)).await;
    assert_eq!(self::external(&without, asks(&program)).await, None);
    let request = BeginExternalSignInRequest {
        authorization: Some(asks(&program)),
        page: PAGE.to_owned(),
        browser: BROWSER.to_owned(),
    };
    let mut service = ExternalSignInServiceClient::new(without.channel.clone());
    let refused = service.begin_external_sign_in(request).await.unwrap_err();
    assert_eq!(rpc::Error::from(refused).reason(), "EXTERNAL_SIGN_IN_OFF");
}

async fn external(
    identity: &Identity,
    asks: proto::identity::v1::AuthorizationRequest,
) -> Option<proto::identity::v1::ExternalProvider> {
    let mut service = AuthorizationServiceClient::new(identity.channel.clone());
    let request = CheckAuthorizationRequest { authorization: Some(asks) };
    let answer = service.check_authorization(request).await.unwrap().into_inner();
    let check_authorization_response::Outcome::Client(client) = answer.outcome.unwrap() else {
        panic!("it may ask")
    };
    client.external
}

#[tokio::test]
async fn nothing_that_is_secret_is_logged() {
    let log = std::env::temp_dir().join(format!("identity-external-{}.log", std::process::id()));
    let file = fs::File::create(&log).unwrap();
    let scene = Scene::start_with(|command| {
        command.env("LOG_LEVEL", "debug").env("LOG_FORMAT", "text").stderr(file);
    })
    .await;
    let went = scene.goes().await;
    scene.provider.gives(&scene.provider.key.sign(&scene.amy(&went)));
    let End::Code(code) = scene.comes_back(&went).await.unwrap() else { panic!("no code") };
    let failed = scene.signs_in(json!({"aud": "another"})).await;
    assert!(matches!(failed, End::Failure(_)));
    let text = fs::read_to_string(&log).unwrap();
    fs::remove_file(&log).unwrap();
    assert!(text.contains("the token is for another"), "{text}");
    let told = ["state", "nonce", "code_challenge"].map(|name| &*went.told[name]);
    let secret = [&*code, "a code", AMY, hostile::CLIENT_SECRET, hostile::ACCESS_TOKEN, BROWSER];
    for secret in told.iter().chain(&secret) {
        assert!(!text.contains(secret), "{secret} is in the log");
    }
}
