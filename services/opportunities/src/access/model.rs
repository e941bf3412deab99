//! Who may read an opportunity and who may change it: the one place in this service that says so.
//!
//! The rule is a list of grounds, each with the records that it opens. From it follow whether somebody may do something with a record ([`may`]),
//! why ([`reasons`]), and the set of records that a statement asks the database for ([`Sight`]). No two of them can differ.

use auth::Role;

use crate::directory::model::Visibility;

/// What somebody wants of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// To read it.
    Read,
    /// To change it.
    Write,
}

/// Whose a record is, which is all that the rule looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owned {
    /// Whose it is.
    pub owner_id: i64,
    /// The team it counts for.
    pub team_id: Option<i64>,
}

/// Somebody as far as it decides what they may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The person; 0 for a service.
    pub user_id: i64,
    /// What they are in the organisation.
    pub role: Role,
    /// The team they are in.
    pub team_id: Option<i64>,
    /// Whether what they call with may be used to change something.
    pub holds_write: bool,
    /// The teams they lead.
    pub leads: Vec<i64>,
    /// The teams below those.
    pub below: Vec<i64>,
}

/// Why somebody may do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// They are an administrator.
    Admin,
    /// It is theirs.
    Owner,
    /// It is their team's, and a team reads what is its own.
    TeamMember,
    /// They lead its team.
    ManagerOfTeam,
    /// They lead a team above its team.
    ManagerOfTeamAbove,
    /// Everyone reads everything.
    VisibilityEveryone,
    /// They are one of our services.
    Service,
}

/// The records that a ground opens.
#[derive(Clone, Copy, Debug)]
enum Records<'a> {
    All,
    OwnedBy(i64),
    OfTeams(&'a [i64]),
}

impl Records<'_> {
    fn hold(self, record: Owned) -> bool {
        match self {
            Self::All => true,
            Self::OwnedBy(user_id) => record.owner_id == user_id,
            Self::OfTeams(team_ids) => record.team_id.is_some_and(|id| team_ids.contains(&id)),
        }
    }
}

/// The rule. One's own are everybody's to read, and to change for whoever changes anything: nobody with a token that only reads, no viewer, no
/// service. A manager has also what is within reach, an administrator everything. What else is read is the organisation's setting.
fn grounds(who: &Standing, visibility: Visibility, action: Action) -> Vec<(Ground, Records<'_>)> {
    match (action, who.role) {
        (Action::Read, Role::Service) => return vec![(Ground::Service, Records::All)],
        (Action::Write, Role::Service | Role::Viewer) => return Vec::new(),
        (Action::Write, _) if !who.holds_write => return Vec::new(),
        _ => {}
    }
    let mut grounds = vec![(Ground::Owner, Records::OwnedBy(who.user_id))];
    match who.role {
        Role::Admin => grounds.push((Ground::Admin, Records::All)),
        Role::Manager => grounds.extend([
            (Ground::ManagerOfTeam, Records::OfTeams(&who.leads)),
            (Ground::ManagerOfTeamAbove, Records::OfTeams(&who.below)),
        ]),
        Role::Rep | Role::Viewer | Role::Service => {}
    }
    match (action, visibility) {
        (Action::Read, Visibility::Everyone) => {
            grounds.push((Ground::VisibilityEveryone, Records::All));
        }
        (Action::Read, Visibility::Team) => {
            grounds.push((Ground::TeamMember, Records::OfTeams(who.team_id.as_slice())));
        }
        (Action::Read, Visibility::Owner) | (Action::Write, _) => {}
    }
    grounds
}

/// Whether somebody may do that with a record.
pub fn may(who: &Standing, visibility: Visibility, action: Action, record: Owned) -> bool {
    grounds(who, visibility, action).iter().any(|(_, records)| records.hold(record))
}

/// Every ground on which somebody may read a record; none if they may not.
pub fn reasons(who: &Standing, visibility: Visibility, record: Owned) -> Vec<Ground> {
    let grounds = grounds(who, visibility, Action::Read).into_iter();
    grounds.filter(|(_, records)| records.hold(record)).map(|(ground, _)| ground).collect()
}

/// A set of records by their owner and team, as a statement asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// None.
    Nothing,
    /// One person's, and those of some teams.
    Of {
        /// The person.
        owner_id: i64,
        /// The teams.
        team_ids: Vec<i64>,
    },
    /// All.
    All,
}

impl Sight {
    /// Every record with which somebody may do that.
    pub fn of(who: &Standing, visibility: Visibility, action: Action) -> Self {
        let (mut is_any, mut teams) = (false, Vec::new());
        for (_, records) in grounds(who, visibility, action) {
            match records {
                Records::All => return Self::All,
                Records::OwnedBy(_) => is_any = true,
                Records::OfTeams(team_ids) => teams.extend_from_slice(team_ids),
            }
        }
        if is_any { Self::Of { owner_id: who.user_id, team_ids: teams } } else { Self::Nothing }
    }

    /// Whether a record is in the set.
    pub fn covers(&self, record: Owned) -> bool {
        match self {
            Self::Nothing => false,
            Self::All => true,
            Self::Of { owner_id, team_ids } => {
                record.owner_id == *owner_id
                    || record.team_id.is_some_and(|team| team_ids.contains(&team))
            }
        }
    }

    /// The set as what the SQL predicate takes: whether all, whose, of which teams.
    pub fn parts(&self) -> (bool, i64, &[i64]) {
        match self {
            Self::All => (true, 0, &[]),
            Self::Nothing => (false, 0, &[]),
            Self::Of { owner_id, team_ids } => (false, *owner_id, team_ids),
        }
    }
}

#[cfg(test)]
mod tests;
