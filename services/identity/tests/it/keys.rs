//! Signing keys that change while people are signed in.

use auth::{Keys, Revocations, Verifier, token::Jwk};
use proto::identity::v1::{
    ListKeysRequest, ListSessionsRequest, key_service_client::KeyServiceClient,
    session_service_client::SessionServiceClient,
};
use rpc::{Error, reason};

use crate::support::{ADMIN, Identity, PASSWORD, SECRET_KEY, bearer};

const NEXT_KEY: &str = "fedcba9876543210fedcba9876543210";

/// As another service sees a token.
async fn elsewhere(identity: &Identity, token: &str) -> Result<(), Error> {
    let mut keys = KeyServiceClient::new(identity.channel.clone());
    let keys = keys.list_keys(ListKeysRequest {}).await.unwrap().into_inner().keys;
    let keys = Keys::fixed(keys.into_iter().map(Jwk::from));
    let verifier = Verifier::new(auth::ISSUER, keys, Revocations::default().into());
    verifier.verify(token, process::now()).await.map(drop)
}

/// As identity itself does.
async fn here(identity: &Identity, token: &str) -> Result<(), Error> {
    let mut sessions = SessionServiceClient::new(identity.channel.clone());
    let request = bearer(token).request(ListSessionsRequest::default());
    Ok(sessions.list_sessions(request).await.map(drop)?)
}

#[tokio::test]
async fn keys_change_and_nobody_is_signed_out_until_the_old_one_is_retired() {
    let identity = Identity::start().await;
    let old = identity.sign_in(ADMIN, PASSWORD).await.unwrap();

    // The next key is published before it signs, so that whoever remembers keys knows it in time.
    let both = [("SECRET_KEY", SECRET_KEY), ("SECRET_KEY_PREVIOUS", NEXT_KEY)];
    let identity = Identity::with(identity.stop().await, |it| {
        it.envs(both);
    })
    .await;
    here(&identity, &old.access_token).await.unwrap();

    let both = [("SECRET_KEY", NEXT_KEY), ("SECRET_KEY_PREVIOUS", SECRET_KEY)];
    let identity = Identity::with(identity.stop().await, |it| {
        it.envs(both);
    })
    .await;
    let new = identity.refresh(&old.refresh_token).await.unwrap();
    for token in [&old.access_token, &new.access_token] {
        here(&identity, token).await.unwrap();
        elsewhere(&identity, token).await.unwrap();
    }

    let identity = Identity::with(identity.stop().await, |it| {
        it.env("SECRET_KEY", NEXT_KEY);
    })
    .await;
    for refused in
        [here(&identity, &old.access_token).await, elsewhere(&identity, &old.access_token).await]
    {
        assert_eq!(refused.unwrap_err().reason(), reason::TOKEN_INVALID);
    }
    here(&identity, &new.access_token).await.unwrap();
    identity.refresh(&new.refresh_token).await.unwrap();
}
