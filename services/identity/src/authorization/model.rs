//! What a program may ask for on behalf of somebody who signs in, and what it is given for it. RFC 6749 section 4.1, RFC 7636, RFC 9700.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use rpc::Error;
use sha2::{Digest as _, Sha256};

use crate::{
    client::model::{self as client, Client},
    session::model::Method,
};

/// How long a code may be exchanged.
pub const LIFE: TimeDelta = TimeDelta::seconds(60);
/// How long the code may be exchanged of somebody who is shown recovery codes first, and writes them down (RFC 6749 section 4.1.2 allows ten minutes).
pub const LIFE_AFTER_ENROLMENT: TimeDelta = TimeDelta::minutes(10);
/// How long a code is remembered after that, so that a second use is noticed.
pub const REMEMBERED: TimeDelta = TimeDelta::days(1);

/// What a program asks for, as it came; what did not come is empty.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// By what name it asks.
    pub client_id: String,
    /// Where the answer is to go.
    pub redirect_uri: String,
    /// Has to be `code`.
    pub response_type: String,
    /// What the token is to be used for.
    pub scope: String,
    /// The hash of the program's secret.
    pub code_challenge: String,
    /// Has to be `S256`.
    pub code_challenge_method: String,
}

/// What it may have.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Who asks.
    pub client: Client,
    /// Where the answer goes.
    pub redirect_uri: String,
    /// The hash of the program's secret.
    pub code_challenge: String,
    /// Whether its token may be for changing too.
    pub may_write: bool,
}

/// What it cannot have: it is told so at its redirect URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// One of the words of RFC 6749 section 4.1.2.1.
    pub error: &'static str,
    /// The same for people who write programs.
    pub description: &'static str,
}

impl Ask {
    /// Applies the rules. Fails where nobody may be sent anywhere: malformed, reason `CLIENT_UNKNOWN` or `REDIRECT_URI_UNKNOWN`.
    pub fn check(self, client: Option<Client>) -> Result<Result<Wanted, Refusal>, Error> {
        let unknown = |reason: &'static str, message: &str| Error::Malformed {
            reason: reason.into(),
            message: message.to_owned(),
        };
        let client = client.ok_or_else(|| unknown("CLIENT_UNKNOWN", "there is no such client"))?;
        if !client.may_lead_to(&self.redirect_uri) {
            return Err(unknown("REDIRECT_URI_UNKNOWN", "the client has no such redirect URI"));
        }
        Ok(self.want(client))
    }

    fn want(self, client: Client) -> Result<Wanted, Refusal> {
        let refuse = |error, description| Err(Refusal { error, description });
        match self.response_type.as_str() {
            "code" => {}
            "" => return refuse("invalid_request", "response_type is missing"),
            _ => return refuse("unsupported_response_type", "response_type has to be code"),
        }
        if self.code_challenge.is_empty() {
            return refuse("invalid_request", "code_challenge is missing (RFC 7636)");
        }
        if self.code_challenge_method != "S256" {
            return refuse("invalid_request", "code_challenge_method has to be S256");
        }
        if !URL_SAFE_NO_PAD.decode(&self.code_challenge).is_ok_and(|hash| hash.len() == 32) {
            return refuse("invalid_request", "code_challenge is no SHA-256 in base64url");
        }
        let Ok(asked) = client::asked(Some(&self.scope)) else {
            return refuse("invalid_scope", "only read and write can be asked for");
        };
        Ok(Wanted {
            may_write: client.may_write && asked.unwrap_or(true),
            client,
            redirect_uri: self.redirect_uri,
            code_challenge: self.code_challenge,
        })
    }
}

/// A code as it is kept.
#[derive(Clone, Debug)]
pub struct Code {
    /// The client that it is for.
    pub client_id: i64,
    /// Who signed in.
    pub user_id: i64,
    /// Where it was sent.
    pub redirect_uri: String,
    /// The hash of the program's secret.
    pub code_challenge: String,
    /// Whether its token may be for changing too.
    pub may_write: bool,
    /// How they did.
    pub method: Method,
    /// Where the sign-in came from, if known.
    pub address: Option<String>,
    /// When it is no longer good.
    pub expires_at: DateTime<Utc>,
    /// The session that it gave.
    pub session_id: Option<i64>,
}

impl Code {
    /// Whether the client that shows this may have tokens for it now.
    pub fn is_for(
        &self,
        client: &Client,
        redirect_uri: &str,
        verifier: &str,
        now: DateTime<Utc>,
    ) -> bool {
        self.client_id == client.id
            && self.expires_at > now
            && self.redirect_uri == redirect_uri
            && is_verifier(verifier)
            && verify_slices_are_equal(
                challenge(verifier).as_bytes(),
                self.code_challenge.as_bytes(),
            )
            .is_ok()
    }
}

/// RFC 7636 section 4.2, `S256`.
pub fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

/// RFC 7636 section 4.1.
fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

/// A code as its client gets it: 43 letters.
pub fn letters(random: &[u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode(random)
}

/// What is kept of a code.
pub fn hash(letters: &str) -> Vec<u8> {
    Sha256::digest(letters).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
    const URI: &str = "https://app.example.com/back";

    fn client() -> Client {
        Client::example()
    }

    fn ask() -> Ask {
        Ask {
            client_id: "spm_x".to_owned(),
            redirect_uri: URI.to_owned(),
            response_type: "code".to_owned(),
            scope: String::new(),
            code_challenge: CHALLENGE.to_owned(),
            code_challenge_method: "S256".to_owned(),
        }
    }

    fn refused(ask: Ask) -> &'static str {
        ask.check(Some(client())).unwrap().unwrap_err().error
    }

    #[test]
    fn a_program_that_is_not_known_or_wants_its_answer_elsewhere_is_told_nothing() {
        assert_eq!(ask().check(None).unwrap_err().reason(), "CLIENT_UNKNOWN");
        for uri in ["", "https://app.example.com/", "https://evil.example/back"] {
            let ask = Ask { redirect_uri: uri.to_owned(), ..ask() };
            assert_eq!(ask.check(Some(client())).unwrap_err().reason(), "REDIRECT_URI_UNKNOWN");
        }
    }

    #[test]
    fn only_codes_are_given_and_only_for_a_hashed_secret() {
        let of = |text: &str| text.to_owned();
        assert_eq!(refused(Ask { response_type: of(""), ..ask() }), "invalid_request");
        assert_eq!(
            refused(Ask { response_type: of("token"), ..ask() }),
            "unsupported_response_type"
        );
        assert_eq!(refused(Ask { code_challenge: of(""), ..ask() }), "invalid_request");
        assert_eq!(
            refused(Ask { code_challenge: of(&CHALLENGE[1..]), ..ask() }),
            "invalid_request"
        );
        assert_eq!(
            refused(Ask { code_challenge: of(&format!("{CHALLENGE}=")), ..ask() }),
            "invalid_request"
        );
        for method in ["", "plain", "s256"] {
            let ask = Ask { code_challenge_method: of(method), ..ask() };
            assert_eq!(refused(ask), "invalid_request", "{method}");
        }
        for scope in ["openid", &"read ".repeat(13), &" ".repeat(65)] {
            assert_eq!(refused(Ask { scope: of(scope), ..ask() }), "invalid_scope", "{scope}");
        }
    }

    #[test]
    fn a_program_gets_what_it_asks_for_of_what_it_may_have() {
        for (may_write, scope, expected) in [
            (false, "", false),
            (false, "read write", false),
            (true, "", true),
            (true, "read", false),
            (true, "write", true),
        ] {
            let ask = Ask { scope: scope.to_owned(), ..ask() };
            let wanted = ask.check(Some(Client { may_write, ..client() })).unwrap().unwrap();
            assert_eq!(wanted.may_write, expected, "{may_write} {scope}");
        }
    }

    #[test]
    fn a_code_is_for_who_asked_for_it_and_for_a_minute() {
        assert_eq!(challenge(VERIFIER), CHALLENGE);
        let code = Code {
            client_id: 7,
            user_id: 1,
            redirect_uri: URI.to_owned(),
            code_challenge: CHALLENGE.to_owned(),
            may_write: false,
            method: Method::Code,
            address: None,
            expires_at: DateTime::UNIX_EPOCH + LIFE,
            session_id: None,
        };
        let at = |seconds| DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        assert!(code.is_for(&client(), URI, VERIFIER, at(59)));
        assert!(!code.is_for(&client(), URI, VERIFIER, at(60)));
        assert!(!code.is_for(&Client { id: 8, ..client() }, URI, VERIFIER, at(0)));
        assert!(!code.is_for(&client(), "https://app.example.com/", VERIFIER, at(0)));
        for verifier in ["", CHALLENGE, &VERIFIER[1..], &VERIFIER.to_lowercase()] {
            assert!(!code.is_for(&client(), URI, verifier, at(0)), "{verifier}");
        }
        let short = Code { code_challenge: challenge("short"), ..code };
        assert!(!short.is_for(&client(), URI, "short", at(0)), "it could be guessed");
    }
}
