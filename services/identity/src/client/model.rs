//! What a client is, and what a new one must satisfy.

use std::fmt;

use auth::Scope;
use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use process::Secret;
use rpc::{Error, Invalid};
use sha2::{Digest as _, Sha256};

use super::redirect;
use crate::text;

/// The longest `scope` that is read. It is kept while people sign in.
const LONGEST_SCOPE_BYTES: usize = 64;
/// The most redirect URIs.
const MOST_REDIRECT_URIS: usize = 20;

/// A program that is given tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its id, which stands for a session in the tokens that it is given for itself.
    pub id: i64,
    /// The name by which it asks for tokens.
    pub client_id: String,
    /// The name that is shown to people.
    pub name: String,
    /// Whether it can keep a secret.
    pub kind: Kind,
    /// SHA-256 of its secret; a confidential one has it.
    pub secret_hash: Option<Vec<u8>>,
    /// Where people may be sent back to after they signed in.
    pub redirect_uris: Vec<String>,
    /// Whether its tokens may be for changing too.
    pub may_write: bool,
    /// As whom it acts by itself, if it may.
    pub user_id: Option<i64>,
    /// Whether it is one of the product's own.
    pub is_built_in: bool,
    /// Rises by one with every change.
    pub version: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was deleted.
    pub deleted_at: Option<DateTime<Utc>>,
}

#[cfg(test)]
impl Client {
    /// A public one that reads, for tests.
    pub(crate) fn example() -> Self {
        Self {
            id: 7,
            client_id: "spm_x".to_owned(),
            name: "Add-in".to_owned(),
            kind: Kind::Public,
            secret_hash: None,
            redirect_uris: vec!["https://app.example.com/back".to_owned()],
            may_write: false,
            user_id: None,
            is_built_in: false,
            version: 1,
            created_at: DateTime::UNIX_EPOCH,
            deleted_at: None,
        }
    }
}

/// Whether a client can keep a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Kind {
    /// It cannot: it runs on people's devices.
    Public,
    /// It can, and shows it whenever it asks for tokens.
    Confidential,
}

impl Kind {
    /// As it is stored and told.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Confidential => "confidential",
        }
    }
}

/// By which a client that asks for tokens is known.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Its `client_id`.
    pub client_id: String,
    /// Its secret, if it showed one.
    pub secret: Option<Secret>,
}

impl Client {
    /// Whether that is how this client shows who it is: a confidential one by its secret, a public one by none.
    pub fn is_known_by(&self, secret: Option<&Secret>) -> bool {
        match (&self.secret_hash, secret) {
            (Some(hashed), Some(secret)) => verify_slices_are_equal(hashed, &hash(secret)).is_ok(),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// Whether its answers may go there. The product's own are at the ports that they are registered with: they are not asked for leave, so that whoever listens at
    /// another port of somebody's machine would be given what a sign-in gives.
    pub fn may_lead_to(&self, redirect_uri: &str) -> bool {
        self.redirect_uris.iter().any(|registered| {
            if self.is_built_in {
                registered == redirect_uri
            } else {
                redirect::is_same(registered, redirect_uri)
            }
        })
    }

    /// What its tokens may be used for at most.
    pub fn scope(&self) -> Scope {
        scope(self.may_write)
    }
}

/// To read, and perhaps to write.
pub const fn scope(may_write: bool) -> Scope {
    if may_write { Scope::ALL } else { Scope::READ }
}

/// Whether what a `scope` parameter asks for is to write too; nothing where it asks for nothing. To write includes to read. Fails with a precondition
/// (`INVALID_SCOPE`) on a scope that there is not, and on more text than all there are.
pub fn asked(scope: Option<&str>) -> Result<Option<bool>, Error> {
    if scope.is_some_and(|text| text.len() > LONGEST_SCOPE_BYTES) {
        return Err(invalid_scope("only read and write can be asked for"));
    }
    let Some(scope) = scope.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
    let scope: Scope =
        scope.parse().map_err(|_| invalid_scope("only read and write can be asked for"))?;
    Ok(Some(scope.write))
}

/// More was asked for than there is.
pub fn invalid_scope(message: &'static str) -> Error {
    Error::precondition("INVALID_SCOPE", message)
}

/// What is kept of a secret. It has 256 random bits, so that a plain hash does.
pub fn hash(secret: &Secret) -> Vec<u8> {
    Sha256::digest(secret.expose()).to_vec()
}

/// Randomness for a new client.
#[derive(Clone, Copy)]
pub struct Random {
    /// For the name by which it asks.
    pub id: [u8; 16],
    /// For its secret.
    pub secret: [u8; 32],
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random")
    }
}

impl Random {
    /// `spm_` and 22 letters.
    pub fn client_id(&self) -> String {
        format!("spm_{}", URL_SAFE_NO_PAD.encode(self.id))
    }

    /// 43 letters.
    pub fn secret(&self) -> Secret {
        URL_SAFE_NO_PAD.encode(self.secret).into()
    }
}

/// A client as somebody asks for it, unchecked.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The name that is to be shown.
    pub name: String,
    /// Whether it can keep a secret.
    pub kind: Kind,
    /// Where people may be sent back to.
    pub redirect_uris: Vec<String>,
    /// `read`, `write`; `read` where there is none.
    pub scopes: Vec<String>,
    /// As whom it may act by itself.
    pub user_id: Option<i64>,
}

/// A client that can be stored; whether its user is there, the database says.
#[derive(Clone, Debug)]
pub struct NewClient {
    /// The name that is shown.
    pub name: String,
    /// Whether it can keep a secret.
    pub kind: Kind,
    /// Where people may be sent back to.
    pub redirect_uris: Vec<String>,
    /// Whether its tokens may be for changing too.
    pub may_write: bool,
    /// As whom it may act by itself.
    pub user_id: Option<i64>,
    /// Whether it is one of the product's own.
    pub is_built_in: bool,
}

impl Draft {
    /// Applies the rules; what breaks one is added to `invalid`, and then there is no client.
    pub fn check(self, invalid: &mut Invalid) -> Option<NewClient> {
        let name = text::name(invalid, "name", &self.name);
        for (index, scope) in self.scopes.iter().enumerate() {
            if !["read", "write"].contains(&scope.as_str()) {
                invalid.add(
                    format!("scopes[{index}]"),
                    "unknown_value",
                    "is neither read nor write",
                );
            }
        }
        for (index, uri) in self.redirect_uris.iter().enumerate() {
            if let Err(reason) = redirect::check(uri) {
                invalid.add(format!("redirect_uris[{index}]"), "invalid_uri", reason);
            }
        }
        if self.redirect_uris.len() > MOST_REDIRECT_URIS {
            invalid.add("redirect_uris", "too_many", format!("are more than {MOST_REDIRECT_URIS}"));
        }
        match (self.kind, self.user_id) {
            (Kind::Public, Some(_)) => invalid.add(
                "user_id",
                "not_allowed",
                "is for confidential clients: who cannot keep a secret acts for nobody by itself",
            ),
            (_, None) if self.redirect_uris.is_empty() => {
                invalid.add(
                    "redirect_uris",
                    "required",
                    "are missing, and there is no user either",
                );
            }
            _ => {}
        }
        Some(NewClient {
            name: name?,
            kind: self.kind,
            redirect_uris: self.redirect_uris,
            may_write: self.scopes.iter().any(|scope| scope == "write"),
            user_id: self.user_id,
            is_built_in: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> Draft {
        Draft {
            name: " Add-in ".to_owned(),
            kind: Kind::Public,
            redirect_uris: vec!["https://app.example.com/back".to_owned()],
            scopes: Vec::new(),
            user_id: None,
        }
    }

    fn faults(draft: Draft) -> Vec<(String, String)> {
        let mut invalid = Invalid::default();
        draft.check(&mut invalid);
        let Err(Error::Invalid(fields)) = invalid.into_result() else { return Vec::new() };
        fields.into_iter().map(|fault| (fault.field, fault.code.into_owned())).collect()
    }

    #[test]
    fn a_client_reads_unless_more_is_asked_for() {
        let checked = |draft: Draft| draft.check(&mut Invalid::default()).unwrap();
        let client = checked(draft());
        assert_eq!((client.name.as_str(), client.may_write), ("Add-in", false));
        let scopes = vec!["write".to_owned()];
        assert!(checked(Draft { scopes, ..draft() }).may_write);
    }

    #[test]
    fn all_bad_fields_are_told_at_once() {
        let bad = Draft {
            name: " ".to_owned(),
            redirect_uris: vec!["https://a.example".to_owned(), "http://a.example/*".to_owned()],
            scopes: vec!["admin".to_owned()],
            user_id: Some(1),
            ..draft()
        };
        let fields: Vec<_> = faults(bad).into_iter().map(|(field, _)| field).collect();
        assert_eq!(fields, ["name", "scopes[0]", "redirect_uris[1]", "user_id"]);
    }

    #[test]
    fn a_client_signs_people_in_or_acts_as_a_user_or_both() {
        let none = Draft { redirect_uris: Vec::new(), ..draft() };
        assert_eq!(faults(none.clone()), [("redirect_uris".to_owned(), "required".to_owned())]);
        assert_eq!(faults(Draft { kind: Kind::Confidential, user_id: Some(1), ..none }), []);
    }

    #[test]
    fn a_confidential_client_is_known_by_its_secret_and_a_public_one_by_none() {
        let random = Random { id: [1; 16], secret: [2; 32] };
        let client = Client {
            id: 1,
            client_id: random.client_id(),
            name: String::new(),
            kind: Kind::Confidential,
            secret_hash: Some(hash(&random.secret())),
            redirect_uris: Vec::new(),
            may_write: false,
            user_id: None,
            is_built_in: false,
            version: 1,
            created_at: DateTime::UNIX_EPOCH,
            deleted_at: None,
        };
        assert_eq!((client.client_id.len(), random.secret().expose().len()), (26, 43));
        assert!(client.is_known_by(Some(&random.secret())));
        assert!(!client.is_known_by(None));
        assert!(!client.is_known_by(Some(&Secret::from(""))));
        let public = Client { kind: Kind::Public, secret_hash: None, ..client };
        assert!(public.is_known_by(None));
        assert!(!public.is_known_by(Some(&random.secret())));
        assert!(!format!("{random:?}").contains('2'));
    }

    #[test]
    fn a_port_of_ones_own_machine_is_anybodys_but_for_the_products_own_client() {
        let redirect_uris = vec!["http://localhost:8000/signed-in".to_owned()];
        let native = Client { redirect_uris, ..Client::example() };
        let own = Client { is_built_in: true, ..native.clone() };
        for (uri, expected) in [
            ("http://localhost:8000/signed-in", (true, true)),
            ("http://localhost:6666/signed-in", (true, false)),
            ("http://localhost/signed-in", (true, false)),
            ("http://127.0.0.1:8000/signed-in", (false, false)),
        ] {
            assert_eq!((native.may_lead_to(uri), own.may_lead_to(uri)), expected, "{uri}");
        }
    }

    #[test]
    fn to_write_includes_to_read_and_there_is_nothing_else_to_ask_for() {
        for (text, expected) in [
            (None, None),
            (Some(" "), None),
            (Some("read"), Some(false)),
            (Some("write"), Some(true)),
            (Some("read write"), Some(true)),
        ] {
            assert_eq!(asked(text).unwrap(), expected, "{text:?}");
        }
        let long = "read ".repeat(13);
        for text in ["openid", "read admin", "READ", &long, &" ".repeat(65)] {
            assert_eq!(asked(Some(text)).unwrap_err().reason(), "INVALID_SCOPE", "{text}");
        }
    }
}
