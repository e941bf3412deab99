//! What has been taken back since the tokens that are still good were signed.

use std::{
    collections::{HashMap, HashSet},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use rpc::{Error, reason};

use crate::{Caller, Role};

/// How many ended sessions are remembered at least. Tokens live for minutes: those of older sessions have long expired.
const SESSIONS: usize = 500_000;

/// The users' present rights and the sessions that have ended, as far as this process has heard. Events fill it.
#[derive(Debug, Default)]
pub struct Revocations {
    inner: RwLock<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    users: HashMap<i64, Rights>,
    recent: HashSet<i64>,
    older: HashSet<i64>,
}

#[derive(Debug, Clone, Copy)]
struct Rights {
    version: i64,
    active: bool,
    role: Role,
    team_id: Option<i64>,
}

impl Revocations {
    /// The session has ended: its tokens are refused from now on.
    pub fn revoke_session(&self, session_id: i64) {
        let mut inner = self.write();
        if inner.recent.len() >= SESSIONS {
            inner.older = std::mem::take(&mut inner.recent);
        }
        inner.recent.insert(session_id);
    }

    /// What a user may do since this version of their rights. An older version than the known one changes nothing, so that the order in
    /// which events and snapshots arrive does not matter.
    pub fn set_user(
        &self,
        user_id: i64,
        rights_version: i64,
        active: bool,
        role: Role,
        team_id: Option<i64>,
    ) {
        let mut inner = self.write();
        let known = inner.users.get(&user_id).map_or(i64::MIN, |it| it.version);
        if rights_version >= known {
            inner.users.insert(user_id, Rights { version: rights_version, active, role, team_id });
        }
    }

    /// The caller with the rights that they have now, of the token's and the known ones those of the higher version;
    /// `UNAUTHENTICATED`, reason `TOKEN_REVOKED`, if session or user are gone.
    pub fn check(&self, mut caller: Caller) -> Result<Caller, Error> {
        if caller.role == Role::Service {
            return Ok(caller);
        }
        let inner = self.read();
        if inner.recent.contains(&caller.session_id) || inner.older.contains(&caller.session_id) {
            return Err(revoked("the session has ended"));
        }
        if let Some(rights) = inner.users.get(&caller.user_id)
            && rights.version >= caller.rights_version
        {
            if !rights.active {
                return Err(revoked("the user is not active"));
            }
            caller.role = rights.role;
            caller.team_id = rights.team_id;
            caller.rights_version = rights.version;
        }
        Ok(caller)
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn revoked(message: &str) -> Error {
    Error::unauthenticated(reason::TOKEN_REVOKED, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scope;

    fn rep() -> Caller {
        Caller {
            user_id: 7,
            session_id: 70,
            role: Role::Rep,
            team_id: Some(3),
            rights_version: 5,
            scope: Scope::ALL,
            via: crate::Via::Session,
            service: None,
        }
    }

    #[test]
    fn the_higher_rights_version_wins() {
        let known = Revocations::default();
        assert_eq!(known.check(rep()).unwrap(), rep());
        known.set_user(7, 4, true, Role::Viewer, None);
        assert_eq!(known.check(rep()).unwrap().role, Role::Rep);
        known.set_user(7, 6, true, Role::Manager, Some(9));
        let caller = known.check(rep()).unwrap();
        assert_eq!(
            (caller.role, caller.team_id, caller.rights_version),
            (Role::Manager, Some(9), 6)
        );
        known.set_user(7, 5, false, Role::Rep, None);
        assert_eq!(known.check(rep()).unwrap().role, Role::Manager);
    }

    #[test]
    fn a_user_who_was_deactivated_is_refused_until_they_are_active_again() {
        let known = Revocations::default();
        known.set_user(7, 6, false, Role::Rep, None);
        assert_eq!(known.check(rep()).unwrap_err().reason(), reason::TOKEN_REVOKED);
        known.set_user(7, 7, true, Role::Rep, None);
        assert!(known.check(rep()).is_ok());
    }

    #[test]
    fn only_the_session_that_has_ended_is_refused() {
        let known = Revocations::default();
        known.revoke_session(70);
        assert_eq!(known.check(rep()).unwrap_err().reason(), reason::TOKEN_REVOKED);
        assert!(known.check(Caller { session_id: 71, ..rep() }).is_ok());
        assert!(known.check(Caller::service("analytics")).is_ok());
    }
}
