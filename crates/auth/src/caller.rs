//! Who calls, and what their role lets them do in general. What they may do with a certain record is the owning service's to say.

use std::{fmt, str::FromStr};

use rpc::Error;
use serde::{Deserialize, Serialize};

/// Who calls a method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user; 0 for a service.
    pub user_id: i64,
    /// The session, or what stands for one (an API key); 0 for a service.
    pub session_id: i64,
    /// What they are in the organisation.
    pub role: Role,
    /// The team they belong to, if any.
    pub team_id: Option<i64>,
    /// Version of the user's rights that role and team are of; the higher one is the newer.
    pub rights_version: i64,
    /// What this token may be used for.
    pub scope: Scope,
    /// What the token was got for.
    pub via: Via,
    /// The name, if a service calls.
    pub service: Option<String>,
}

/// What a token was got for: a person at the keys may do what a program with a key may not, such as making more keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", try_from = "String")]
pub enum Via {
    /// A sign-in.
    Session,
    /// An API key.
    ApiKey,
    /// The credentials of a program: one of our services, or a service account.
    Client,
}

/// What somebody is in the organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", try_from = "String")]
pub enum Role {
    /// May do everything.
    Admin,
    /// Sees to a team.
    Manager,
    /// Sells.
    Rep,
    /// Reads.
    Viewer,
    /// One of our services, not a person.
    Service,
}

/// What a token may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope {
    /// To read.
    pub read: bool,
    /// To change.
    pub write: bool,
}

/// The caller of a request that came through [`crate::Layer`]; `UNAUTHENTICATED`, reason `TOKEN_MISSING`, where there is none.
pub fn caller<T>(request: &tonic::Request<T>) -> Result<Caller, Error> {
    optional_caller(request).ok_or_else(|| {
        Error::unauthenticated(rpc::reason::TOKEN_MISSING, "an access token is needed")
    })
}

/// The caller, if the request came with a good token to a method that needs none.
pub fn optional_caller<T>(request: &tonic::Request<T>) -> Option<Caller> {
    request.extensions().get::<Caller>().cloned()
}

impl Caller {
    /// A service, which may read and write.
    pub fn service(name: impl Into<String>) -> Self {
        Self {
            user_id: 0,
            session_id: 0,
            role: Role::Service,
            team_id: None,
            rights_version: 0,
            scope: Scope::ALL,
            via: Via::Client,
            service: Some(name.into()),
        }
    }

    /// Whether a person calls, and which.
    pub fn user(&self) -> Option<i64> {
        (self.role != Role::Service).then_some(self.user_id)
    }

    /// `PERMISSION_DENIED` unless the token may be used to read.
    pub fn require_read(&self) -> Result<(), Error> {
        if self.scope.read { Ok(()) } else { Err(out_of_scope("read")) }
    }

    /// `PERMISSION_DENIED` unless the token may be used to change something and the role may change anything at all.
    pub fn require_write(&self) -> Result<(), Error> {
        match self.role {
            _ if !self.scope.write => Err(out_of_scope("write")),
            Role::Viewer => Err(Error::denied("viewers change nothing")),
            Role::Admin | Role::Manager | Role::Rep | Role::Service => Ok(()),
        }
    }

    /// `PERMISSION_DENIED` unless the token may be used to change something: enough for what is the caller's own, which viewers may change too.
    pub fn require_own_write(&self) -> Result<(), Error> {
        if self.scope.write { Ok(()) } else { Err(out_of_scope("write")) }
    }

    /// `PERMISSION_DENIED` unless a person calls who signed in: not a program with a key of theirs.
    pub fn require_session(&self) -> Result<(), Error> {
        match self.via {
            Via::Session if self.role != Role::Service => Ok(()),
            _ => Err(Error::denied("only who signed in may do this, not a key or a program")),
        }
    }

    /// `PERMISSION_DENIED` unless the caller has one of these roles.
    pub fn require_role(&self, roles: &[Role]) -> Result<(), Error> {
        if roles.contains(&self.role) {
            return Ok(());
        }
        let names: Vec<_> = roles.iter().map(|role| role.as_str()).collect();
        Err(Error::denied(format!("this needs the role {}", names.join(" or "))))
    }

    /// `PERMISSION_DENIED` unless an administrator calls with a token that may write.
    pub fn require_admin(&self) -> Result<(), Error> {
        self.require_write()?;
        self.require_role(&[Role::Admin])
    }

    /// The name of the service that calls; `PERMISSION_DENIED` for a person.
    pub fn require_service(&self) -> Result<&str, Error> {
        match (&self.service, self.role) {
            (Some(name), Role::Service) => Ok(name),
            _ => Err(Error::denied("only services may do this")),
        }
    }
}

fn out_of_scope(needed: &str) -> Error {
    Error::Denied {
        reason: "SCOPE".into(),
        message: format!("the token or API key has not the scope {needed}"),
    }
}

impl Role {
    /// As it is written in tokens, JSON and the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Manager => "manager",
            Self::Rep => "rep",
            Self::Viewer => "viewer",
            Self::Service => "service",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A role that there is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no role")]
pub struct UnknownRole(String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        match text {
            "admin" => Ok(Self::Admin),
            "manager" => Ok(Self::Manager),
            "rep" => Ok(Self::Rep),
            "viewer" => Ok(Self::Viewer),
            "service" => Ok(Self::Service),
            other => Err(UnknownRole(other.to_owned())),
        }
    }
}

// A name and nothing else: derived, it would also be read from an object.
impl TryFrom<String> for Role {
    type Error = UnknownRole;

    fn try_from(text: String) -> Result<Self, UnknownRole> {
        text.parse()
    }
}

/// A way to a token that there is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no way to a token")]
pub struct UnknownVia(String);

// As for a role.
impl TryFrom<String> for Via {
    type Error = UnknownVia;

    fn try_from(text: String) -> Result<Self, UnknownVia> {
        match text.as_str() {
            "session" => Ok(Self::Session),
            "api_key" => Ok(Self::ApiKey),
            "client" => Ok(Self::Client),
            _ => Err(UnknownVia(text)),
        }
    }
}

impl Scope {
    /// To read and to write.
    pub const ALL: Self = Self { read: true, write: true };
    /// To read only.
    pub const READ: Self = Self { read: true, write: false };
}

/// As in OAuth: names with spaces between them.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.read, self.write) {
            (true, true) => "read write",
            (true, false) => "read",
            (false, true) => "write",
            (false, false) => "",
        })
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

/// A scope that there is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no scope")]
pub struct UnknownScope(String);

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        let mut scope = Self { read: false, write: false };
        for name in text.split_whitespace() {
            match name {
                "read" => scope.read = true,
                "write" => scope.write = true,
                other => return Err(UnknownScope(other.to_owned())),
            }
        }
        Ok(scope)
    }
}

impl TryFrom<String> for Scope {
    type Error = UnknownScope;

    fn try_from(text: String) -> Result<Self, UnknownScope> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(role: Role, scope: Scope) -> Caller {
        Caller { role, scope, service: None, user_id: 7, ..Caller::service("") }
    }

    #[test]
    fn a_viewer_changes_nothing_and_a_reading_key_neither() {
        assert!(with(Role::Viewer, Scope::ALL).require_write().is_err());
        assert!(with(Role::Viewer, Scope::ALL).require_read().is_ok());
        assert!(with(Role::Admin, Scope::READ).require_write().is_err());
        assert!(with(Role::Admin, Scope::READ).require_admin().is_err());
        assert!(with(Role::Rep, Scope::ALL).require_write().is_ok());
    }

    #[test]
    fn only_a_service_passes_for_one() {
        assert_eq!(Caller::service("analytics").require_service().unwrap(), "analytics");
        assert!(with(Role::Admin, Scope::ALL).require_service().is_err());
        assert!(Caller::service("analytics").require_admin().is_err());
        assert_eq!(Caller::service("analytics").user(), None);
        assert_eq!(with(Role::Rep, Scope::ALL).user(), Some(7));
    }

    #[test]
    fn a_scope_reads_back_as_it_is_written() {
        for scope in [
            Scope::ALL,
            Scope::READ,
            Scope { read: false, write: true },
            Scope { read: false, write: false },
        ] {
            assert_eq!(scope.to_string().parse(), Ok(scope));
        }
        assert!("read admin".parse::<Scope>().is_err());
    }
}
