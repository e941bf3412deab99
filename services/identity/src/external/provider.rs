//! The provider as it is asked: where it is, what it is known by, and what it says of who comes back. Only here is it spoken to.
//!
//! What goes wrong is logged here, without anything of what was sent or answered: it may be secret.

use std::{fmt, sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use openidconnect::{
    AccessToken, AccessTokenHash, AdditionalProviderMetadata, AuthType, AuthorizationCode,
    ClaimsVerificationError, ClientId, ClientSecret, CsrfToken, EmptyAdditionalClaims,
    EndpointMaybeSet, EndpointNotSet, EndpointSet, IssuerUrl, Nonce, OAuth2TokenResponse as _,
    PkceCodeChallenge, PkceCodeVerifier, ProviderMetadata, RedirectUrl, RequestTokenError, Scope,
    SignatureVerificationError, SubjectIdentifier, TokenResponse as _, TokenUrl, UserInfoError,
    UserInfoUrl,
    core::{
        CoreAuthDisplay, CoreAuthenticationFlow, CoreClaimName, CoreClaimType, CoreClient,
        CoreClientAuthMethod, CoreGenderClaim, CoreGrantType, CoreIdTokenVerifier, CoreJsonWebKey,
        CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm,
        CoreJwsSigningAlgorithm as Algorithm, CoreResponseMode, CoreResponseType,
        CoreSubjectIdentifierType, CoreTokenResponse, CoreUserInfoClaims,
    },
};
use process::Secret;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Mutex, Semaphore},
    time::{Instant, timeout},
};

use super::{
    http::Http,
    memory::{Memory, Renewal},
    model::{Answer, Refused, Secrets, Settings, Told, is_safe},
};

/// Algorithms whose signatures count. None with a secret: whoever reads ours could make such a signature.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RsaSsaPkcs1V15Sha256,
    Algorithm::RsaSsaPkcs1V15Sha384,
    Algorithm::RsaSsaPkcs1V15Sha512,
    Algorithm::RsaSsaPssSha256,
    Algorithm::RsaSsaPssSha384,
    Algorithm::RsaSsaPssSha512,
    Algorithm::EcdsaP256Sha256,
    Algorithm::EcdsaP384Sha384,
    Algorithm::EdDsa,
];
/// How long all calls of a sign-in may take: less than the gateway waits.
const LONGEST: Duration = Duration::from_secs(8);
/// How many sign-ins may wait for the provider at once.
const PLACES: usize = 64;
/// How far in the future a token may have been issued, by a clock that is not ours.
const AHEAD: TimeDelta = TimeDelta::minutes(1);

/// What is wrong with a token that none of the keys signed which are known: there may be others by now, also by the same name.
const UNKNOWN_KEY: &str = "no known key has signed the token";

/// What it says of itself that the library does not read.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct More {
    /// RFC 9207.
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for More {}

type Metadata = ProviderMetadata<
    More,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// The provider. Cheap to clone.
#[derive(Clone)]
pub struct Provider(Arc<Inner>);

struct Inner {
    settings: Settings,
    http: Http,
    places: Semaphore,
    /// Held while it is asked, so that many who want to know ask once.
    memory: Mutex<Memory<Metadata>>,
}

impl Provider {
    /// Asks nobody anything yet: it may be started later than we.
    pub fn new(settings: Settings) -> anyhow::Result<Self> {
        let http = Http::new(settings.is_plain())?;
        let (places, memory) = (Semaphore::new(PLACES), Mutex::default());
        Ok(Self(Arc::new(Inner { settings, http, places, memory })))
    }

    /// As it names itself.
    pub fn issuer(&self) -> &str {
        &self.0.settings.issuer
    }

    /// Its name for people.
    pub fn name(&self) -> &str {
        &self.0.settings.name
    }

    /// Whether it is on this machine, and asked without TLS: a browser is then sent there without it too.
    pub fn is_plain(&self) -> bool {
        self.0.settings.is_plain()
    }

    /// What is secret about the sign-in of that state.
    fn secrets(&self, state: &str) -> Secrets {
        Secrets::of(&self.0.settings.key, state)
    }

    /// Where somebody is to sign in, and to come back from with that state.
    pub async fn address(&self, state: &str) -> Result<Secret, Refused> {
        self.bounded(async {
            let metadata = self.metadata().await?;
            let client = self.client(&metadata)?;
            let Secrets { nonce, verifier } = self.secrets(state);
            let (state, nonce) = (state.to_owned(), nonce.expose().to_owned());
            let verifier = PkceCodeVerifier::new(verifier.expose().to_owned());
            let (url, _, _) = client
                .authorize_url(
                    CoreAuthenticationFlow::AuthorizationCode,
                    || CsrfToken::new(state),
                    || Nonce::new(nonce),
                )
                .add_scope(Scope::new("email".to_owned()))
                .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier))
                .url();
            Ok(Secret::from(url.to_string()))
        })
        .await
    }

    /// Whom the provider says that it was who came back with that state. Nothing of it is believed that its token does not prove.
    pub async fn redeem(
        &self,
        state: &str,
        answer: Answer,
        now: DateTime<Utc>,
    ) -> Result<Told, Refused> {
        self.bounded(async {
            let metadata = self.metadata().await?;
            let names_itself =
                metadata.additional_metadata().authorization_response_iss_parameter_supported;
            let code = answer.code(self.issuer(), names_itself)?;
            let client = self.client(&metadata)?;
            let Secrets { nonce, verifier } = self.secrets(state);
            let response = self.exchange(&client, code, verifier).await?;
            let nonce = Nonce::new(nonce.expose().to_owned());
            let told = match self.verify(&metadata, &response, &nonce, now) {
                Err(UNKNOWN_KEY) => match self.renewed(&metadata).await? {
                    Some(metadata) => self.verify(&metadata, &response, &nonce, now),
                    None => Err(UNKNOWN_KEY),
                },
                other => other,
            };
            let told = told.and_then(Told::bounded).map_err(failed)?;
            if told.email.is_some() && told.email_verified.is_some() {
                return Ok(told);
            }
            // Many say it only there, OpenID Connect Core section 5.4.
            self.user_info(&client, &metadata, response.access_token().clone(), told.subject).await
        })
        .await
    }

    async fn bounded<T>(
        &self,
        asking: impl Future<Output = Result<T, Refused>>,
    ) -> Result<T, Refused> {
        let Ok(_place) = self.0.places.try_acquire() else {
            return Err(unavailable("too many wait for it"));
        };
        timeout(LONGEST, asking).await.unwrap_or_else(|_late| Err(unavailable("it took too long")))
    }

    fn client(&self, metadata: &Metadata) -> Result<Client, Refused> {
        let Settings { client_id, client_secret, redirect_uri, .. } = &self.0.settings;
        let secret = ClientSecret::new(client_secret.expose().to_owned());
        let id = ClientId::new(client_id.clone());
        let back = RedirectUrl::new(redirect_uri.clone());
        let back = back.map_err(|_| failed("PUBLIC_URL is no place to come back to"))?;
        let client = Client::from_provider_metadata(metadata.clone(), id, Some(secret));
        // Basic is what every provider takes, unless it says otherwise.
        let takes = |method: &CoreClientAuthMethod| {
            metadata.token_endpoint_auth_methods_supported().is_none_or(|all| all.contains(method))
        };
        let is_post = !takes(&CoreClientAuthMethod::ClientSecretBasic)
            && takes(&CoreClientAuthMethod::ClientSecretPost);
        let auth = if is_post { AuthType::RequestBody } else { AuthType::BasicAuth };
        Ok(client.set_auth_type(auth).set_redirect_uri(back))
    }

    async fn exchange(
        &self,
        client: &Client,
        code: Secret,
        verifier: Secret,
    ) -> Result<CoreTokenResponse, Refused> {
        let code = AuthorizationCode::new(code.expose().to_owned());
        let request = client.exchange_code(code);
        let request = request.map_err(|_| failed("it names no address for tokens"))?;
        let request =
            request.set_pkce_verifier(PkceCodeVerifier::new(verifier.expose().to_owned()));
        request.request_async(&self.0.http).await.map_err(|error| match error {
            RequestTokenError::Request(error) => unavailable(&error.to_string()),
            RequestTokenError::ServerResponse(_) => failed("it does not take the code"),
            RequestTokenError::Parse(..) | RequestTokenError::Other(_) => {
                failed("its answer to the code cannot be read")
            }
        })
    }

    /// OpenID Connect Core section 3.1.3.7; what is wrong with the token otherwise.
    fn verify(
        &self,
        metadata: &Metadata,
        response: &CoreTokenResponse,
        nonce: &Nonce,
        now: DateTime<Utc>,
    ) -> Result<Told, &'static str> {
        let token = response.id_token().ok_or("there is no token of who it was")?;
        let client_id = ClientId::new(self.0.settings.client_id.clone());
        // A public client's: no signature by a secret counts.
        let verifier = CoreIdTokenVerifier::new_public_client(
            client_id.clone(),
            metadata.issuer().clone(),
            metadata.jwks().clone(),
        )
        .set_allowed_algs(ALGORITHMS)
        .set_time_fn(move || now)
        .set_issue_time_verifier_fn(move |issued_at| {
            if issued_at <= now + AHEAD { Ok(()) } else { Err("issued in the future".to_owned()) }
        });
        let claims = token.claims(&verifier, nonce).map_err(|error| what(&error))?;
        // The library leaves this to us.
        if claims.authorized_party().is_some_and(|party| **party != *client_id) {
            return Err("the token was given to another");
        }
        if let Some(expected) = claims.access_token_hash() {
            let by = token.signing_alg().ok().zip(token.signing_key(&verifier).ok());
            let hash = by.and_then(|(algorithm, key)| {
                AccessTokenHash::from_token(response.access_token(), algorithm, key).ok()
            });
            if hash.as_ref() != Some(expected) {
                return Err("the token is for another access token");
            }
        }
        Ok(Told {
            subject: claims.subject().to_string(),
            email: claims.email().map(|email| email.to_string()),
            email_verified: claims.email_verified(),
        })
    }

    async fn user_info(
        &self,
        client: &Client,
        metadata: &Metadata,
        token: AccessToken,
        subject: String,
    ) -> Result<Told, Refused> {
        let nothing = Told { subject: subject.clone(), email: None, email_verified: None };
        if metadata.userinfo_endpoint().is_none() {
            return Ok(nothing);
        }
        let request = client.user_info(token, Some(SubjectIdentifier::new(subject)));
        let request = request.map_err(|_| failed("it names no address for who it was"))?;
        let claims: Result<CoreUserInfoClaims, _> =
            request.request_async::<EmptyAdditionalClaims, _, CoreGenderClaim>(&self.0.http).await;
        let claims = claims.map_err(|error| match error {
            UserInfoError::Request(error) => unavailable(&error.to_string()),
            _ => failed("its answer to who it was is not to be trusted"),
        })?;
        let email = claims.email().map(|email| email.to_string());
        let told = Told { email, email_verified: claims.email_verified(), ..nothing };
        told.bounded().map_err(failed)
    }

    /// What the provider says of itself: lately, or some time ago where it cannot be asked.
    async fn metadata(&self) -> Result<Arc<Metadata>, Refused> {
        let mut memory = self.0.memory.lock().await;
        if let Some(known) = memory.recall(Instant::now()) {
            return known;
        }
        match self.discover().await {
            Ok(metadata) => Ok(memory.learn(metadata, Instant::now())),
            Err(refused) => memory.fail(refused, Instant::now()),
        }
    }

    /// The same, asked anew, for a key that is not among those of `old`; nothing where that was done just now.
    async fn renewed(&self, old: &Arc<Metadata>) -> Result<Option<Arc<Metadata>>, Refused> {
        let mut memory = self.0.memory.lock().await;
        match memory.renew(old, Instant::now()) {
            Renewal::Done(metadata) => Ok(Some(metadata)),
            Renewal::Due => Ok(Some(memory.learn(self.discover().await?, Instant::now()))),
            Renewal::TooSoon => Ok(None),
        }
    }

    async fn discover(&self) -> Result<Metadata, Refused> {
        let issuer = IssuerUrl::new(self.issuer().to_owned());
        let issuer = issuer.map_err(|_| failed("OIDC_ISSUER is no URL"))?;
        let metadata = Metadata::discover_async(issuer, &self.0.http).await;
        let metadata = metadata.map_err(|error| match error {
            openidconnect::DiscoveryError::Request(error) => unavailable(&error.to_string()),
            openidconnect::DiscoveryError::Validation(_) => failed("it goes by another name"),
            _ => unavailable("what it says of itself cannot be read"),
        })?;
        if !names_safe(&metadata, self.is_plain()) {
            return Err(failed("an address that it names is not safe"));
        }
        Ok(metadata)
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Provider").field(&self.0.settings).finish()
    }
}

/// Whether every address that it names and we use is one that nobody on the way reads along.
fn names_safe(metadata: &Metadata, is_plain: bool) -> bool {
    let token = metadata.token_endpoint().map(TokenUrl::url);
    let user_info = metadata.userinfo_endpoint().map(UserInfoUrl::url);
    let named = [metadata.authorization_endpoint().url(), metadata.jwks_uri().url()];
    named.into_iter().chain(token).chain(user_info).all(|url| is_safe(url, is_plain))
}

fn failed(reason: &str) -> Refused {
    tracing::warn!(reason, "the external provider is not to be trusted");
    Refused::Failed
}

fn unavailable(reason: &str) -> Refused {
    tracing::warn!(reason, "the external provider does not answer");
    Refused::Unavailable
}

/// What is wrong with a token, without what stands in it.
fn what(error: &ClaimsVerificationError) -> &'static str {
    match error {
        ClaimsVerificationError::Expired(_) => "the token is not good at present",
        ClaimsVerificationError::InvalidAudience(_) => "the token is for another",
        ClaimsVerificationError::InvalidIssuer(_) => "the token is of another provider",
        ClaimsVerificationError::InvalidNonce(_) => "the token is of another sign-in",
        ClaimsVerificationError::SignatureVerification(
            SignatureVerificationError::NoMatchingKey | SignatureVerificationError::CryptoError(_),
        ) => UNKNOWN_KEY,
        ClaimsVerificationError::SignatureVerification(_) => {
            "the token is not signed as it has to be"
        }
        _ => "the token cannot be read",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_provider_with_tls_names_no_address_without_it() {
        let here = "http://127.0.0.1:9000/x";
        let good = json!({
            "issuer": "https://login.example.com",
            "authorization_endpoint": "https://login.example.com/authorize",
            "token_endpoint": "https://login.example.com/token",
            "userinfo_endpoint": "https://login.example.com/me",
            "jwks_uri": "https://login.example.com/keys",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        });
        let read =
            |said: &serde_json::Value| serde_json::from_value::<Metadata>(said.clone()).unwrap();
        assert!(names_safe(&read(&good), false));
        for name in ["authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"] {
            let mut said = good.clone();
            said[name] = json!(here);
            assert!(!names_safe(&read(&said), false), "{name}");
            assert!(names_safe(&read(&said), true), "{name}");
            said[name] = json!("http://login.example.com/x");
            assert!(!names_safe(&read(&said), true), "{name}");
        }
    }
}
