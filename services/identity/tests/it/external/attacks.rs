//! What a provider, or somebody between it and us, may try.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use proto::identity::v1::{
    BeginExternalSignInRequest, FinishExternalSignInRequest, begin_external_sign_in_response,
};
use serde_json::{Value, json};
use tokio::sync::Barrier;

use super::{
    AMY, BROWSER, End, PAGE, Scene, failure,
    hostile::{self, CLIENT_ID, CLIENT_SECRET, Key, Reply, metadata, token},
};
use crate::oauth::asks;

/// What the gateway waits for.
const DEADLINE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn whatever_is_wrong_about_a_token_signs_nobody_in() {
    let scene = Scene::start().await;
    let now = process::now().timestamp();
    for (what, other) in [
        ("another provider", json!({"iss": "https://evil.example"})),
        ("almost this provider", json!({"iss": format!("{}/", scene.provider.issuer)})),
        ("no provider", json!({"iss": null})),
        ("another program", json!({"aud": "another"})),
        ("no program", json!({"aud": null})),
        ("nobody's", json!({"aud": []})),
        ("another program too", json!({"aud": [CLIENT_ID, "another"]})),
        ("another who asked", json!({"azp": "another"})),
        ("another sign-in", json!({"nonce": "another"})),
        ("no sign-in", json!({"nonce": null})),
        ("over", json!({"exp": now - 1, "iat": now - 300})),
        ("never over", json!({"exp": null})),
        ("of the future", json!({"iat": now + 3_600, "exp": now + 7_200})),
        ("of no time", json!({"iat": null})),
        ("another access token", json!({"at_hash": hostile::at_hash("another")})),
        ("nobody", json!({"sub": null})),
        ("a yes in letters", json!({"email_verified": "true"})),
        ("a yes in numbers", json!({"email_verified": 1})),
    ] {
        assert_eq!(scene.signs_in(other).await, failure("failed"), "{what}");
    }
    assert!(matches!(scene.signs_in(json!({"azp": CLIENT_ID})).await, End::Code(_)));
    assert!(matches!(scene.signs_in(json!({"at_hash": null})).await, End::Code(_)));
}

/// What is made of claims instead of a token.
type Forge<'a> = Box<dyn Fn(&Value) -> String + 'a>;

#[tokio::test]
async fn only_the_providers_own_signature_counts() {
    let scene = Scene::start().await;
    let key = &scene.provider.key;
    // By the name of the provider's key, and by another.
    let (same, stranger) = (Key::new("first"), Key::new("stranger"));
    let public = key.public();
    let forgeries: [(&str, Forge<'_>); 9] = [
        ("none at all", Box::new(|claims| key.unsigned(claims))),
        ("an empty one", Box::new(|claims| key.unsigned(claims).trim_end_matches('.').to_owned())),
        ("ours", Box::new(|claims| key.sign_with_text(claims, CLIENT_SECRET.as_bytes()))),
        ("of the public key", {
            let text = public.to_string();
            Box::new(move |claims| key.sign_with_text(claims, text.as_bytes()))
        }),
        ("of half of the public key", {
            let text = public["x"].as_str().unwrap().to_owned();
            Box::new(move |claims| key.sign_with_text(claims, text.as_bytes()))
        }),
        ("of nothing", Box::new(|claims| key.sign_with_text(claims, b""))),
        ("another key's of that name", Box::new(|claims| same.sign(claims))),
        ("an unknown key's", Box::new(|claims| stranger.sign(claims))),
        ("of something else", {
            Box::new(|claims| {
                let token = key.sign(claims);
                let parts: Vec<_> = token.split('.').collect();
                let other = key.sign(&json!({"sub": "other"}));
                format!("{}.{}.{}", parts[0], parts[1], other.split('.').nth(2).unwrap())
            })
        }),
    ];
    for (what, forge) in forgeries {
        let went = scene.goes().await;
        scene.provider.gives(&forge(&scene.amy(&went)));
        assert_eq!(scene.comes_back(&went).await.unwrap(), failure("failed"), "{what}");
    }
    assert!(matches!(scene.signs_in(json!({})).await, End::Code(_)));
}

#[tokio::test]
async fn an_address_that_the_provider_has_not_made_sure_of_is_nobodys() {
    let scene = Scene::start().await;
    for other in [
        json!({"email_verified": false}),
        json!({"email": null, "email_verified": null}),
        json!({"email_verified": null}),
        json!({"email": ""}),
        json!({"email": "amy\u{0}@example.com"}),
    ] {
        // What it answers elsewhere is about somebody else.
        scene.provider.desk().user_info = Reply::Json(200, json!({"sub": "amy-at-the-provider"}));
        assert_eq!(scene.signs_in(other.clone()).await, failure("unverified"), "{other}");
    }
    let nothing = json!({"email": null, "email_verified": null});
    let info = |sub: &str, verified: Value| {
        Reply::Json(200, json!({"sub": sub, "email": AMY, "email_verified": verified}))
    };
    scene.provider.desk().user_info = info("amy-at-the-provider", json!(false));
    assert_eq!(scene.signs_in(nothing.clone()).await, failure("unverified"));
    for reply in [
        info("somebody", json!(true)),
        info("amy-at-the-provider", json!("true")),
        Reply::Json(401, json!({})),
        Reply::Html,
    ] {
        scene.provider.desk().user_info = reply.clone();
        assert_eq!(scene.signs_in(nothing.clone()).await, failure("failed"), "{reply:?}");
    }
    scene.provider.desk().user_info = info("amy-at-the-provider", json!(true));
    let end = scene.signs_in(nothing).await;
    assert_eq!(scene.owner(end).await, scene.amy.id);
}

#[tokio::test]
async fn a_sign_in_is_good_once_in_the_browser_that_began_it() {
    let scene = Scene::start().await;
    let went = scene.goes().await;
    scene.provider.gives(&scene.provider.key.sign(&scene.amy(&went)));
    let request = FinishExternalSignInRequest {
        state: went.told["state"].clone(),
        code: "a code".to_owned(),
        browser: BROWSER.to_owned(),
        ..FinishExternalSignInRequest::default()
    };
    for other in [
        FinishExternalSignInRequest { browser: BROWSER.to_uppercase(), ..request.clone() },
        FinishExternalSignInRequest { state: went.told["nonce"].clone(), ..request.clone() },
        FinishExternalSignInRequest { state: String::new(), ..request.clone() },
        FinishExternalSignInRequest { state: "a\0b".to_owned(), ..request.clone() },
    ] {
        let refused = scene.comes_back_with(&other).await.unwrap_err();
        assert_eq!(refused.reason(), "SIGN_IN_UNKNOWN", "{other:?}");
    }
    let refused = FinishExternalSignInRequest { browser: String::new(), ..request.clone() };
    assert_eq!(scene.comes_back_with(&refused).await.unwrap_err().reason(), "MALFORMED");
    // Nobody was asked, and the sign-in is not used up by somebody else's try.
    assert_eq!(scene.provider.desk().exchanges.len(), 0);
    let all = join_all((0..8).map(|_| scene.comes_back_with(&request))).await;
    let good: Vec<_> = all.into_iter().filter_map(Result::ok).collect();
    assert!(matches!(&good[..], [End::Code(_)]), "{good:?}");
    assert_eq!(scene.provider.desk().exchanges.len(), 1);
}

#[tokio::test]
async fn a_sign_in_that_took_too_long_is_over() {
    let scene = Scene::start().await;
    let went = scene.goes().await;
    sqlx::query("update external_sign_ins set expires_at = expires_at - interval '10 minutes'")
        .execute(&mut scene.identity.connection().await)
        .await
        .unwrap();
    assert_eq!(scene.comes_back(&went).await.unwrap_err().reason(), "SIGN_IN_UNKNOWN");
}

#[tokio::test]
async fn the_token_of_another_sign_in_is_good_for_nothing() {
    let scene = Scene::start().await;
    let (own, stolen) = (scene.goes().await, scene.goes().await);
    // A code that was stolen from somebody, in a sign-in of the thief's: even a provider that looks at no verifier cannot mend the nonce.
    scene.provider.gives(&scene.provider.key.sign(&scene.amy(&stolen)));
    assert_eq!(scene.comes_back(&own).await.unwrap(), failure("failed"));
}

#[tokio::test]
async fn an_answer_of_another_provider_is_not_taken() {
    let scene = Scene::start().await;
    let comes_back = async |issuer: Option<&str>, error: &str| {
        let went = scene.goes().await;
        scene.provider.gives(&scene.provider.key.sign(&scene.amy(&went)));
        let code = if error.is_empty() { "a code" } else { "" };
        let request = FinishExternalSignInRequest {
            state: went.told["state"].clone(),
            code: code.to_owned(),
            error: error.to_owned(),
            issuer: issuer.map(str::to_owned),
            browser: BROWSER.to_owned(),
        };
        scene.comes_back_with(&request).await.unwrap()
    };
    let own = Some(&*scene.provider.issuer);
    assert_eq!(comes_back(Some("https://evil.example"), "").await, failure("failed"));
    assert_eq!(comes_back(own, "access_denied").await, failure("denied"));
    assert_eq!(comes_back(None, "access_denied").await, failure("denied"));
    assert_eq!(comes_back(None, "temporarily_unavailable").await, failure("unavailable"));
    assert_eq!(comes_back(None, "<script>").await, failure("failed"));
    // Neither an error nor a code.
    let went = scene.goes().await;
    let nothing = FinishExternalSignInRequest {
        state: went.told["state"].clone(),
        browser: BROWSER.to_owned(),
        ..FinishExternalSignInRequest::default()
    };
    assert_eq!(scene.comes_back_with(&nothing).await.unwrap(), failure("failed"));
    assert_eq!(scene.provider.desk().exchanges.len(), 0);
    assert!(matches!(comes_back(own, "").await, End::Code(_)));
}

#[tokio::test]
async fn a_provider_that_says_it_names_itself_has_to() {
    let scene = Scene::start().await;
    let mut says = metadata(&scene.provider.issuer);
    says["authorization_response_iss_parameter_supported"] = json!(true);
    scene.provider.desk().discovery = Reply::Json(200, says);
    assert_eq!(scene.signs_in(json!({})).await, failure("failed"));
}

#[tokio::test]
async fn a_provider_that_behaves_badly_is_given_up_in_time() {
    let scene = Scene::start().await;
    let went = scene.goes().await;
    let good = token(&scene.provider.key.sign(&scene.amy(&went)));
    let elsewhere = format!("{}/elsewhere", scene.provider.issuer);
    for (reply, expected) in [
        (Reply::Silence, "unavailable"),
        (Reply::Flood, "unavailable"),
        (Reply::Redirect(elsewhere), "unavailable"),
        (Reply::Json(500, good.clone()), "unavailable"),
        (Reply::Json(400, json!({"error": "invalid_grant"})), "failed"),
        (Reply::Json(200, json!({})), "failed"),
        (Reply::Json(200, json!({"access_token": "x", "token_type": "Bearer"})), "failed"),
        (Reply::Html, "failed"),
    ] {
        let went = scene.goes().await;
        scene.provider.desk().token = reply.clone();
        let begun = Instant::now();
        assert_eq!(scene.comes_back(&went).await.unwrap(), failure(expected), "{reply:?}");
        assert!(begun.elapsed() < DEADLINE, "{reply:?}");
    }
    assert!(!scene.provider.desk().asked.contains(&"/elsewhere".to_owned()));
    scene.provider.desk().token = Reply::Json(200, good);
    assert!(matches!(scene.comes_back(&went).await.unwrap(), End::Code(_)));
}

#[tokio::test]
async fn nobody_is_sent_to_a_provider_that_is_not_there_or_is_another() {
    let with = |own: &str, name: &str, value: &str| {
        let mut says = metadata(own);
        says[name] = json!(value);
        Reply::Json(200, says)
    };
    for expected in [
        ("a silent one", "unavailable"),
        ("one without end", "unavailable"),
        ("a page", "unavailable"),
        ("one that is elsewhere", "unavailable"),
        ("one by another name", "failed"),
        ("one without TLS", "failed"),
        ("a script", "failed"),
        ("one whose keys are where nobody outside looks", "unavailable"),
    ] {
        // Nothing is known of it before.
        let scene = Scene::start().await;
        let own = &*scene.provider.issuer;
        let reply = match expected.0 {
            "a silent one" => Reply::Silence,
            "one without end" => Reply::Flood,
            "a page" => Reply::Html,
            "one that is elsewhere" => Reply::Redirect(own.to_owned()),
            "one by another name" => with(own, "issuer", "https://evil.example"),
            "one without TLS" => with(own, "authorization_endpoint", "http://evil.example/a"),
            "a script" => with(own, "authorization_endpoint", "javascript:alert(1)"),
            _ => with(own, "jwks_uri", "http://169.254.169.254/keys"),
        };
        scene.provider.desk().discovery = reply;
        let begun = Instant::now();
        let outcome = scene.begin(BROWSER).await.unwrap();
        let begin_external_sign_in_response::Outcome::Failure(it) = outcome else {
            panic!("somebody is sent to {}", expected.0)
        };
        assert_eq!((expected.0, &*it.reason), expected);
        assert!(begun.elapsed() < DEADLINE, "{}", expected.0);
    }
}

#[tokio::test]
async fn a_provider_that_changes_its_keys_is_asked_again_once() {
    let scene = Scene::start().await;
    assert!(matches!(scene.signs_in(json!({})).await, End::Code(_)));
    assert_eq!(scene.provider.asked_for("/keys"), 1);
    let next = Key::new("second");
    scene.provider.desk().keys = Reply::Json(200, json!({"keys": [next.public()]}));
    let went = scene.goes().await;
    scene.provider.gives(&next.sign(&scene.amy(&went)));
    assert!(matches!(scene.comes_back(&went).await.unwrap(), End::Code(_)));
    assert_eq!(scene.provider.asked_for("/keys"), 2);
    // Keys that nobody knows do not make us ask without end.
    for _ in 0..3 {
        let went = scene.goes().await;
        scene.provider.gives(&Key::new("third").sign(&scene.amy(&went)));
        assert_eq!(scene.comes_back(&went).await.unwrap(), failure("failed"));
    }
    assert_eq!(scene.provider.asked_for("/keys"), 2);
}

#[tokio::test]
async fn a_key_that_takes_the_name_of_another_is_asked_for_too() {
    let scene = Scene::start().await;
    assert!(matches!(scene.signs_in(json!({})).await, End::Code(_)));
    let next = Key::new("first");
    scene.provider.desk().keys = Reply::Json(200, json!({"keys": [next.public()]}));
    let went = scene.goes().await;
    scene.provider.gives(&next.sign(&scene.amy(&went)));
    assert!(matches!(scene.comes_back(&went).await.unwrap(), End::Code(_)));
    assert_eq!(scene.provider.asked_for("/keys"), 2);
}

#[tokio::test]
async fn all_who_come_back_while_the_keys_change_are_signed_in_and_one_asks() {
    let scene = Scene::start().await;
    assert!(matches!(scene.signs_in(json!({})).await, End::Code(_)));
    let next = Key::new("second");
    scene.provider.desk().keys = Reply::Json(200, json!({"keys": [next.public()]}));
    let mut requests = Vec::new();
    // All of them know the old keys.
    scene.provider.desk().together = Some(Arc::new(Barrier::new(8)));
    for code in (0..8).map(|number| format!("code {number}")) {
        let went = scene.goes().await;
        let token = next.sign(&scene.amy(&went));
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
    assert_eq!(scene.provider.asked_for("/keys"), 2);
}

#[tokio::test]
async fn a_provider_that_is_down_is_not_asked_by_everybody() {
    let scene = Scene::start().await;
    scene.provider.desk().discovery = Reply::Json(500, json!({}));
    for _ in 0..5 {
        let outcome = scene.begin(BROWSER).await.unwrap();
        let begin_external_sign_in_response::Outcome::Failure(it) = outcome else {
            panic!("somebody is sent to nobody")
        };
        assert_eq!(it.reason, "unavailable");
    }
    assert_eq!(scene.provider.asked_for("/.well-known/openid-configuration"), 1);
}

#[tokio::test]
async fn names_and_addresses_that_are_too_long_are_not_kept() {
    let scene = Scene::start().await;
    let email = format!("{}@example.com", "a".repeat(320));
    for other in [
        json!({"sub": "s".repeat(256)}),
        json!({"sub": "é".repeat(128)}),
        json!({"sub": "s".repeat(100_000)}),
        json!({"email": email}),
    ] {
        assert_eq!(scene.signs_in(other).await, failure("failed"));
    }
    scene.provider.desk().user_info = Reply::Json(
        200,
        json!({"sub": "amy-at-the-provider", "email": email, "email_verified": true}),
    );
    let nothing = json!({"email": null, "email_verified": null});
    assert_eq!(scene.signs_in(nothing).await, failure("failed"));
    let end = scene.signs_in(json!({"sub": "s".repeat(255)})).await;
    assert_eq!(scene.owner(end).await, scene.amy.id);
}

#[tokio::test]
async fn too_many_from_one_address_do_not_fill_the_table() {
    let scene = Scene::start().await;
    sqlx::query(
        "insert into external_sign_ins (state_hash, browser_hash, client_id, redirect_uri, scope, code_challenge, page, prefix, expires_at)
         select int4send(n), '', '', '', '', '', '', '127.0.0.1', now() + interval '5 minutes' from generate_series(1, 299) n",
    )
    .execute(&mut scene.identity.connection().await)
    .await
    .unwrap();
    scene.goes().await;
    let refused = scene.begin(BROWSER).await.unwrap_err();
    assert_eq!(refused.reason(), "TOO_MANY_SIGN_INS");
    for request in [
        BeginExternalSignInRequest { page: "x".repeat(8_193), ..whole(&scene) },
        BeginExternalSignInRequest { page: "a\0b".to_owned(), ..whole(&scene) },
        BeginExternalSignInRequest { browser: "short".to_owned(), ..whole(&scene) },
    ] {
        let refused = scene.service().begin_external_sign_in(request).await.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::InvalidArgument);
    }
}

fn whole(scene: &Scene) -> BeginExternalSignInRequest {
    BeginExternalSignInRequest {
        authorization: Some(asks(&scene.program)),
        page: PAGE.to_owned(),
        browser: BROWSER.to_owned(),
    }
}
