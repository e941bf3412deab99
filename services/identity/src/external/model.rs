//! Signing in with an external OpenID Connect provider: how it is set up, what is derived from a state, and whose sign-in it was. Rules without a network.

use std::net::Ipv4Addr;

use anyhow::{Context as _, bail, ensure};
use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::TimeDelta;
use openidconnect::url::{Host, Url};
use process::{PublicUrl, Secret};
use sha2::{Digest as _, Sha256};

use crate::{
    authorization::model::Ask, config::External, derive, text::LONGEST_EMAIL,
    user::model::fold_email,
};

/// How long somebody may stay at the provider.
pub const LIFE: TimeDelta = TimeDelta::minutes(10);
/// So many people from one address may be there at once: a whole office, and no flood.
pub const MOST_PENDING: i64 = 300;
/// The longest query of a sign-in page that is kept.
pub const LONGEST_PAGE_BYTES: usize = 8 * 1024;

/// The longest name of somebody at a provider (OpenID Connect Core section 2).
const LONGEST_SUBJECT_BYTES: usize = 255;
/// Binds the key to this one use of the secret.
const PURPOSE: &[u8] = b"salespipeline external sign-in v1";
/// Where the provider sends people back to, below `PUBLIC_URL`.
const CALLBACK: &str = "/api/v1/auth/external/callback";

/// A provider and how we are known to it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// As it names itself, character by character.
    pub issuer: String,
    /// Our name there.
    pub client_id: String,
    /// Our password there.
    pub client_secret: Secret,
    /// Its name for people.
    pub name: String,
    /// Where it sends people back to.
    pub redirect_uri: String,
    /// Of which what is secret about a sign-in is derived.
    pub key: hmac::Key,
}

impl Settings {
    /// From the environment; nothing where no provider is named. Fails where it is named by halves.
    pub fn read(
        given: &External,
        public_url: Option<&PublicUrl>,
        secret_key: &Secret,
    ) -> anyhow::Result<Option<Self>> {
        let External { issuer, client_id, client_secret, name } = given;
        let [issuer, client_id, name] = [issuer, client_id, name].map(|text| text.trim());
        let secret = client_secret.expose();
        let parts = [issuer, client_id, secret];
        if parts.iter().all(|part| part.is_empty()) {
            ensure!(name.is_empty(), "OIDC_NAME is set without OIDC_ISSUER");
            return Ok(None);
        }
        if parts.iter().any(|part| part.is_empty()) {
            bail!("OIDC_ISSUER, OIDC_CLIENT_ID and OIDC_CLIENT_SECRET are set all or none");
        }
        let url = Url::parse(issuer).context("OIDC_ISSUER is no URL")?;
        let is_bare = url.query().is_none() && url.fragment().is_none() && !issuer.contains('@');
        ensure!(is_bare, "OIDC_ISSUER has more than scheme, host, port and path");
        ensure!(
            is_safe(&url, true),
            "OIDC_ISSUER must begin with https:// (or be on this machine)"
        );
        let public_url = public_url
            .context("OIDC_ISSUER needs PUBLIC_URL: the provider sends people back there")?;
        let host = url.host_str().unwrap_or_default();
        Ok(Some(Self {
            issuer: issuer.to_owned(),
            client_id: client_id.to_owned(),
            client_secret: client_secret.clone(),
            name: if name.is_empty() { host } else { name }.to_owned(),
            redirect_uri: format!("{}{CALLBACK}", public_url.as_str()),
            key: derive::hmac_key(secret_key, PURPOSE)
                .ok()
                .context("no key can be derived from SECRET_KEY")?,
        }))
    }

    /// Whether it is on this machine, and asked without TLS.
    pub fn is_plain(&self) -> bool {
        Url::parse(&self.issuer).is_ok_and(|url| url.scheme() == "http")
    }
}

/// Whether nobody on the way reads what is sent there. `is_plain` where it may be on this machine, without TLS: a provider that has TLS has it everywhere.
pub fn is_safe(url: &Url, is_plain: bool) -> bool {
    let is_here = match url.host() {
        Some(Host::Ipv4(address)) => address == Ipv4Addr::LOCALHOST,
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    url.scheme() == "https" || (is_plain && url.scheme() == "http" && is_here)
}

/// What is secret about one sign-in. It follows from the state and `SECRET_KEY`, so that nothing of it is stored.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// What the provider's token has to repeat.
    pub nonce: Secret,
    /// Of which the provider got the hash, and gets the text with the code (RFC 7636).
    pub verifier: Secret,
}

impl Secrets {
    /// Those of a state.
    pub fn of(key: &hmac::Key, state: &str) -> Self {
        let derived = |what: &str| {
            let tag = hmac::sign(key, format!("{what} {state}").as_bytes());
            Secret::from(URL_SAFE_NO_PAD.encode(tag))
        };
        Self { nonce: derived("nonce"), verifier: derived("verifier") }
    }
}

/// What is kept of a state, and of what a browser holds.
pub fn hash(text: &str) -> Vec<u8> {
    Sha256::digest(text).to_vec()
}

/// Somebody who was sent to the provider, and what they sign in for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The program.
    pub client_id: String,
    /// Where its answer goes.
    pub redirect_uri: String,
    /// What its token is to be for.
    pub scope: String,
    /// The hash of its secret.
    pub code_challenge: String,
    /// The query of the sign-in page, as it came.
    pub page: String,
}

impl Pending {
    /// Of a request that was found good.
    pub fn of(ask: &Ask, page: String) -> Self {
        let Ask { client_id, redirect_uri, scope, code_challenge, .. } = ask.clone();
        Self { client_id, redirect_uri, scope, code_challenge, page }
    }

    /// The request, to be looked at once more.
    pub fn ask(&self) -> Ask {
        Ask {
            client_id: self.client_id.clone(),
            redirect_uri: self.redirect_uri.clone(),
            response_type: "code".to_owned(),
            scope: self.scope.clone(),
            code_challenge: self.code_challenge.clone(),
            code_challenge_method: "S256".to_owned(),
        }
    }
}

/// What the provider sent somebody back with.
#[derive(Clone, Debug)]
pub struct Answer {
    /// A code, or the word for why there is none (RFC 6749 section 4.1.2.1).
    pub outcome: Result<Secret, String>,
    /// Who says that it answers (RFC 9207).
    pub issuer: Option<String>,
}

impl Answer {
    /// The code, if it is this provider's answer and it has one. `names_itself` where the provider says that it always names itself.
    pub fn code(self, issuer: &str, names_itself: bool) -> Result<Secret, Refused> {
        match &self.issuer {
            Some(named) if named != issuer => return Err(Refused::Failed),
            None if names_itself => return Err(Refused::Failed),
            _ => {}
        }
        self.outcome.map_err(|error| match &*error {
            "access_denied" => Refused::Denied,
            "temporarily_unavailable" | "server_error" => Refused::Unavailable,
            _ => Refused::Failed,
        })
    }
}

/// Why nobody has signed in with the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// They did not want to, or the provider did not let them.
    Denied,
    /// The provider's answer is not to be trusted, or it did not take ours.
    Failed,
    /// The provider does not answer.
    Unavailable,
    /// The provider does not say that the address is theirs.
    Unverified,
    /// No active user of ours has that address, or they are somebody else there.
    NoAccount,
}

impl Refused {
    /// As metrics tell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Failed => "failed",
            Self::Unavailable => "unavailable",
            Self::Unverified => "unverified",
            Self::NoAccount => "no_account",
        }
    }
}

/// Whom the provider says that it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its own name for them.
    pub subject: String,
    /// Their address.
    pub email: Option<String>,
    /// Whether it made sure that the address is theirs.
    pub email_verified: Option<bool>,
}

/// Somebody whose address the provider has made sure of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The provider's own name for them.
    pub subject: String,
    /// Their address.
    pub email: String,
}

impl Told {
    /// The same, if nothing of it is longer than it may be; what is otherwise.
    pub fn bounded(self) -> Result<Self, &'static str> {
        if self.subject.len() > LONGEST_SUBJECT_BYTES {
            return Err("its name for somebody is longer than 255 bytes");
        }
        if self.email.as_ref().is_some_and(|email| email.chars().count() > LONGEST_EMAIL) {
            return Err("an address is longer than 320 characters");
        }
        Ok(self)
    }

    /// Only a plain yes counts.
    pub fn verified(self) -> Result<Known, Refused> {
        // The database takes no such text.
        let is_text = |text: &String| !text.trim().is_empty() && !text.contains('\0');
        match (self.email.filter(is_text), self.email_verified) {
            (Some(email), Some(true)) if is_text(&self.subject) => {
                Ok(Known { subject: self.subject, email })
            }
            _ => Err(Refused::Unverified),
        }
    }
}

/// Whether that is a user's own address, and not one that merely looks like it: folding makes one of letters that mail tells apart.
pub fn is_own(told: &str, email: &str) -> bool {
    let told = told.trim();
    told.eq_ignore_ascii_case(email) && fold_email(told) == fold_email(email)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef0123456789abcdef";
    const ISSUER: &str = "https://login.example.com/realm";

    fn given(issuer: &str, client_id: &str, client_secret: &str, name: &str) -> External {
        External {
            issuer: issuer.to_owned(),
            client_id: client_id.to_owned(),
            client_secret: client_secret.into(),
            name: name.to_owned(),
        }
    }

    fn read(given: &External) -> anyhow::Result<Option<Settings>> {
        let public_url = PublicUrl::parse("https://sales.example.com").unwrap();
        Settings::read(given, public_url.as_ref(), &KEY.into())
    }

    #[test]
    fn a_provider_is_named_wholly_or_not_at_all() {
        assert!(read(&given("", "", "", "")).unwrap().is_none());
        for (issuer, client_id, secret, name) in [
            (ISSUER, "", "", ""),
            (ISSUER, "us", "", ""),
            (ISSUER, "", "secret", ""),
            ("", "us", "secret", ""),
            ("", "", "", "Login"),
        ] {
            let error = read(&given(issuer, client_id, secret, name)).unwrap_err().to_string();
            assert!(error.contains("OIDC_ISSUER") && !error.contains("secret"), "{error}");
        }
        let error = Settings::read(&given(ISSUER, "us", "secret", ""), None, &KEY.into());
        assert!(error.unwrap_err().to_string().contains("PUBLIC_URL"));
    }

    #[test]
    fn a_provider_is_known_by_its_host_unless_it_has_a_name() {
        let settings = read(&given(ISSUER, "us", "secret", "")).unwrap().unwrap();
        assert_eq!((&*settings.issuer, &*settings.name), (ISSUER, "login.example.com"));
        let callback = "https://sales.example.com/api/v1/auth/external/callback";
        assert_eq!(settings.redirect_uri, callback);
        let named = read(&given(ISSUER, "us", "secret", " Login ")).unwrap().unwrap();
        assert_eq!(named.name, "Login");
        assert!(!format!("{named:?}").contains("secret\""), "{named:?}");
    }

    #[test]
    fn only_this_machine_is_asked_without_tls() {
        for (issuer, is_good) in [
            ("https://login.example.com", true),
            ("http://127.0.0.1:9000", true),
            ("http://localhost:9000/realm", true),
            ("http://[::1]:9000", true),
            ("http://login.example.com", false),
            ("http://localhost.example.com", false),
            ("http://127.0.0.1.example.com", false),
            ("http://10.0.0.1", false),
            ("ftp://login.example.com", false),
            ("login.example.com", false),
            ("https://us@login.example.com", false),
            ("https://login.example.com/?realm=a", false),
            ("https://login.example.com/#a", false),
        ] {
            assert_eq!(read(&given(issuer, "us", "secret", "")).is_ok(), is_good, "{issuer}");
        }
    }

    #[test]
    fn who_has_tls_has_it_everywhere() {
        let safe = |url: &str, is_plain| is_safe(&Url::parse(url).unwrap(), is_plain);
        for is_plain in [true, false] {
            assert!(safe("https://login.example.com/keys", is_plain));
            assert!(!safe("http://login.example.com/keys", is_plain));
            assert_eq!(safe("http://127.0.0.1:9000/keys", is_plain), is_plain);
        }
        let is_plain =
            |issuer| read(&given(issuer, "us", "secret", "")).unwrap().unwrap().is_plain();
        assert!(is_plain("http://localhost:9000") && is_plain("HTTP://localhost:9000"));
        assert!(!is_plain(ISSUER) && !is_plain("HTTPS://login.example.com"));
    }

    #[test]
    fn what_is_secret_about_a_sign_in_is_its_states_own() {
        let key = derive::hmac_key(&KEY.into(), PURPOSE).unwrap();
        let (one, other) = (Secrets::of(&key, "a"), Secrets::of(&key, "b"));
        assert_eq!(one.verifier.expose(), Secrets::of(&key, "a").verifier.expose());
        let all = [&one.nonce, &one.verifier, &other.nonce, &other.verifier];
        for (place, secret) in all.iter().enumerate() {
            // As many letters as RFC 7636 asks for.
            assert_eq!(secret.expose().len(), 43);
            assert!(all[..place].iter().all(|it| it.expose() != secret.expose()));
        }
        let elsewhere = derive::hmac_key(&"another".into(), PURPOSE).unwrap();
        assert_ne!(Secrets::of(&elsewhere, "a").nonce.expose(), one.nonce.expose());
    }

    #[test]
    fn only_an_answer_of_the_provider_has_a_code() {
        let answer = |outcome: Result<&str, &str>, issuer: Option<&str>| Answer {
            outcome: outcome.map(Secret::from).map_err(str::to_owned),
            issuer: issuer.map(str::to_owned),
        };
        let code = |answer: Answer, names_itself| {
            answer.code(ISSUER, names_itself).map(|code| code.expose().to_owned())
        };
        assert_eq!(code(answer(Ok("c"), Some(ISSUER)), true).as_deref(), Ok("c"));
        assert_eq!(code(answer(Ok("c"), None), false).as_deref(), Ok("c"));
        // Another provider's answer, or one that was stripped of its name.
        let other = Some("https://evil.example");
        assert_eq!(code(answer(Ok("c"), other), false), Err(Refused::Failed));
        assert_eq!(code(answer(Ok("c"), None), true), Err(Refused::Failed));
        for (error, refused) in [
            ("access_denied", Refused::Denied),
            ("temporarily_unavailable", Refused::Unavailable),
            ("server_error", Refused::Unavailable),
            ("login_required", Refused::Failed),
            ("", Refused::Failed),
        ] {
            assert_eq!(code(answer(Err(error), None), false), Err(refused), "{error}");
        }
    }

    #[test]
    fn an_address_counts_where_the_provider_plainly_says_that_it_is_theirs() {
        let told = |email: Option<&str>, email_verified| Told {
            subject: "s".to_owned(),
            email: email.map(str::to_owned),
            email_verified,
        };
        assert!(told(Some("amy@example.com"), Some(true)).verified().is_ok());
        for bad in [
            told(Some("amy@example.com"), Some(false)),
            told(Some("amy@example.com"), None),
            told(None, Some(true)),
            told(Some(" "), Some(true)),
            told(Some("amy\0@example.com"), Some(true)),
            Told { subject: String::new(), ..told(Some("amy@example.com"), Some(true)) },
        ] {
            assert_eq!(bad.clone().verified(), Err(Refused::Unverified), "{bad:?}");
        }
    }

    #[test]
    fn nothing_that_a_provider_says_is_longer_than_it_may_be() {
        let told = |subject: usize, email: usize| Told {
            subject: "s".repeat(subject),
            email: Some("王".repeat(email)),
            email_verified: Some(true),
        };
        assert!(told(255, 320).bounded().is_ok());
        assert!(told(256, 320).bounded().is_err());
        assert!(told(255, 321).bounded().is_err());
    }

    #[test]
    fn an_address_that_looks_like_a_users_is_not_theirs() {
        assert!(is_own(" AMY@Example.com ", "amy@example.com"));
        assert!(is_own("王@example.com", "王@example.com"));
        // All of them fold to the same address.
        for told in ["ａmy@example.com", "amy@example.com", "amy@ｅxample.com"] {
            assert_eq!(is_own(told, "amy@example.com"), told.is_ascii(), "{told}");
        }
        // The sign for Kelvin is no K.
        assert!(!is_own("\u{212a}im@example.com", "kim@example.com"));
        assert!(!is_own("bob@example.com", "amy@example.com"));
    }
}
