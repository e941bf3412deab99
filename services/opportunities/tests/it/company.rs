//! A company made at random, and the rule over it.

use auth::{Caller, Role, Scope};
use events::{Event, Record};
use opportunities::access::model::Standing;
use proto::events::v1::{TeamRecord, UserRecord};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

use crate::support::{caller, event, person};

const ROLES: [Role; 5] = [Role::Admin, Role::Manager, Role::Manager, Role::Rep, Role::Viewer];

/// People in teams of teams.
pub(crate) struct Company {
    pub(crate) people: Vec<Person>,
    pub(crate) teams: Vec<Team>,
    pub(crate) random: StdRng,
}

#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) id: i64,
    pub(crate) role: Role,
    pub(crate) team_id: Option<i64>,
    pub(crate) is_active: bool,
    /// Whether their token may be used to change something.
    pub(crate) holds_write: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Team {
    pub(crate) id: i64,
    pub(crate) manager_id: Option<i64>,
    parent_id: Option<i64>,
    is_deleted: bool,
}

impl Company {
    /// Of nine people and eight teams: deep ones, deleted ones, and some that nobody leads.
    pub(crate) fn found(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let teams: Vec<_> = (1..=8)
            .map(|id| Team {
                id,
                manager_id: random.random_bool(0.7).then(|| random.random_range(1..=9)),
                parent_id: (id > 1 && random.random_bool(0.8)).then(|| random.random_range(1..id)),
                is_deleted: random.random_bool(0.15),
            })
            .collect();
        let people = (1..=9)
            .map(|id| Person {
                id,
                role: *ROLES.choose(&mut random).unwrap(),
                team_id: random.random_bool(0.8).then(|| random.random_range(1..=8)),
                is_active: random.random_bool(0.8),
                holds_write: random.random_bool(0.8),
            })
            .collect();
        Self { people, teams, random }
    }

    /// As identity tells of it.
    pub(crate) fn told(&self) -> Vec<Event> {
        let people =
            self.people.iter().map(|it| match person(it.id, it.role.as_str(), it.team_id) {
                Record::User(user) => Record::User(UserRecord { is_active: it.is_active, ..user }),
                other => other,
            });
        let teams = self.teams.iter().map(|it| {
            Record::Team(TeamRecord {
                id: it.id,
                manager_id: it.manager_id,
                parent_id: it.parent_id,
                deleted_at: it.is_deleted.then(proto::Timestamp::default),
                ..TeamRecord::default()
            })
        });
        people.chain(teams).map(|record| event(1, record)).collect()
    }

    /// Some team or none.
    pub(crate) fn some_team(&mut self) -> Option<i64> {
        self.random.random_bool(0.9).then(|| self.random.random_range(1..=8))
    }

    /// Some person.
    pub(crate) fn somebody(&mut self) -> i64 {
        self.random.random_range(1..=9)
    }

    /// Somebody as the rule sees them. Each team is looked at from below, where the statements go down from whoever leads.
    pub(crate) fn standing(&self, who: &Person) -> Standing {
        let leads = |team: &&Team| team.manager_id == Some(who.id);
        let within_reach = |team: &&Team| {
            let above = std::iter::successors(Some(*team), |team| self.team(team.parent_id?));
            above.take_while(|team| !team.is_deleted).any(|team| leads(&team))
        };
        let reach: Vec<_> = self.teams.iter().filter(within_reach).collect();
        let (leads, below): (Vec<&Team>, Vec<&Team>) = reach.into_iter().partition(leads);
        let ids = |teams: Vec<&Team>| teams.into_iter().map(|team| team.id).collect();
        Standing {
            user_id: who.id,
            role: who.role,
            team_id: who.team_id,
            holds_write: who.holds_write,
            leads: ids(leads),
            below: ids(below),
        }
    }

    fn team(&self, id: i64) -> Option<&Team> {
        self.teams.iter().find(|team| team.id == id)
    }
}

/// Somebody with a token.
pub(crate) fn signed_in(who: &Person) -> Caller {
    let scope = if who.holds_write { Scope::ALL } else { Scope::READ };
    Caller { scope, ..caller(who.id, who.role, who.team_id) }
}
