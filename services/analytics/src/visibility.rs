//! Which opportunities a caller may see in numbers, and what they ask for of these.

use auth::{Caller, Role};
use rpc::Error;
use sqlx::PgPool;

use crate::directory::model::{Settings, Visibility};
use crate::directory::store;

/// A set of records by their owner and team. The rule is here; every statement over rollups has it as a predicate.
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
    /// Whether a record of that owner and team is in the set.
    pub fn covers(&self, owner: i64, team: Option<i64>) -> bool {
        match self {
            Self::Nothing => false,
            Self::All => true,
            Self::Of { owner_id, team_ids } => {
                owner == *owner_id || team.is_some_and(|team| team_ids.contains(&team))
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

    /// What a role sees by the organisation's setting: their own, their team's, or everyone's; a manager always what is within reach.
    pub fn of(caller: &Caller, visibility: Visibility, within_reach: Vec<i64>) -> Self {
        let own_team = caller.team_id.filter(|_| visibility == Visibility::Team);
        match (caller.role, visibility) {
            (Role::Admin | Role::Service, _) | (_, Visibility::Everyone) => Self::All,
            (Role::Manager, _) => {
                let mut team_ids = within_reach;
                team_ids.extend(own_team);
                Self::Of { owner_id: caller.user_id, team_ids }
            }
            (Role::Rep | Role::Viewer, _) => {
                Self::Of { owner_id: caller.user_id, team_ids: own_team.into_iter().collect() }
            }
        }
    }
}

/// What a caller sees.
pub(crate) async fn sight(
    pool: &PgPool,
    caller: &Caller,
    settings: &Settings,
) -> Result<Sight, Error> {
    let asks_for_reach =
        caller.role == Role::Manager && settings.visibility != Visibility::Everyone;
    let within_reach = if asks_for_reach {
        store::teams_within_reach(pool, caller.user_id).await?
    } else {
        Vec::new()
    };
    Ok(Sight::of(caller, settings.visibility, within_reach))
}

/// Which opportunities are counted: those in sight, narrowed to what is asked for. All that is given must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// What the caller may see.
    pub sight: Sight,
    /// Of this owner.
    pub owner_id: Option<i64>,
    /// Of this team.
    pub team_id: Option<i64>,
    /// In this pipeline.
    pub pipeline_id: Option<i64>,
}

impl Scope {
    /// An id that nobody has matches nothing: in rollups team 0 is no team, and nobody asks for that.
    pub fn new(
        sight: Sight,
        owner_id: Option<i64>,
        team_id: Option<i64>,
        pipeline_id: Option<i64>,
    ) -> Self {
        let nobody = |id: i64| if id > 0 { id } else { -1 };
        Self { sight, owner_id: owner_id.map(nobody), team_id: team_id.map(nobody), pipeline_id }
    }

    /// Whether they are everybody's.
    pub fn is_of_all(&self) -> bool {
        self.sight == Sight::All && self.owner_id.is_none() && self.team_id.is_none()
    }

    /// The one person whose they all are, where they can be nobody else's.
    pub fn only_owner(&self) -> Option<i64> {
        match &self.sight {
            Sight::Of { owner_id, team_ids } if team_ids.is_empty() => Some(*owner_id),
            _ => self.owner_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(role: Role, team_id: Option<i64>) -> Caller {
        Caller { role, user_id: 7, team_id, service: None, ..Caller::service("") }
    }

    #[test]
    fn a_manager_sees_what_is_within_reach_and_their_team_only_where_teams_see_each_other() {
        let manager = caller(Role::Manager, Some(3));
        let seen = |visibility| Sight::of(&manager, visibility, vec![4, 5]);
        assert_eq!(seen(Visibility::Everyone), Sight::All);
        assert_eq!(seen(Visibility::Team), Sight::Of { owner_id: 7, team_ids: vec![4, 5, 3] });
        assert!(!seen(Visibility::Owner).covers(8, Some(3)));
        assert!(seen(Visibility::Owner).covers(8, Some(5)));
    }

    #[test]
    fn a_rep_sees_their_own_and_their_team_s_only_where_the_organisation_says_so() {
        let rep = caller(Role::Rep, Some(3));
        assert!(Sight::of(&rep, Visibility::Team, Vec::new()).covers(8, Some(3)));
        let own = Sight::of(&rep, Visibility::Owner, Vec::new());
        assert!(own.covers(7, None) && !own.covers(8, Some(3)));
        assert_eq!(
            Sight::of(&caller(Role::Admin, None), Visibility::Owner, Vec::new()),
            Sight::All
        );
    }

    #[test]
    fn a_team_that_cannot_be_is_not_taken_for_no_team() {
        let scope = Scope::new(Sight::All, Some(0), Some(0), None);
        assert_eq!((scope.owner_id, scope.team_id), (Some(-1), Some(-1)));
    }

    #[test]
    fn only_who_sees_all_and_asks_for_nobody_is_told_of_everybody() {
        let of_all = |sight, owner_id, team_id, pipeline_id| {
            Scope::new(sight, owner_id, team_id, pipeline_id).is_of_all()
        };
        assert!(of_all(Sight::All, None, None, None) && of_all(Sight::All, None, None, Some(1)));
        assert!(
            !of_all(Sight::All, Some(7), None, None) && !of_all(Sight::All, None, Some(3), None)
        );
        let some = Sight::Of { owner_id: 7, team_ids: vec![3] };
        assert!(!of_all(some, None, None, None) && !of_all(Sight::Nothing, None, None, None));
    }
}
