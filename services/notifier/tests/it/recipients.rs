//! Whatever the company: nobody is told of what they may not see.

use std::collections::BTreeSet;

use events::{Event, Record};
use proto::events::v1::{Actor, TeamRecord, UserRecord};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

use crate::support::{AMY, BOB, Database, MEI, noon, numbered, people, won_by};

struct Person {
    id: i64,
    role: &'static str,
    team_id: Option<i64>,
    is_active: bool,
}

#[derive(Clone, Copy)]
struct Team {
    id: i64,
    manager_id: Option<i64>,
    parent_id: Option<i64>,
    is_deleted: bool,
}

struct Company {
    people: Vec<Person>,
    teams: Vec<Team>,
}

impl Company {
    fn found(random: &mut StdRng) -> Self {
        let people = (1..=8).map(|id| Person {
            id,
            role: ["admin", "manager", "manager", "rep", "viewer"].choose(random).unwrap(),
            team_id: random.random_bool(0.8).then(|| random.random_range(1..=6)),
            is_active: random.random_bool(0.8),
        });
        let people = people.collect();
        let teams = (1..=6).map(|id| Team {
            id,
            manager_id: random.random_bool(0.8).then(|| random.random_range(1..=8)),
            parent_id: (id > 1 && random.random_bool(0.8)).then(|| random.random_range(1..id)),
            is_deleted: random.random_bool(0.2),
        });
        Self { people, teams: teams.collect() }
    }

    fn told(&self) -> Vec<Event> {
        let people = self.people.iter().map(|it| {
            Record::User(UserRecord {
                id: it.id,
                username: format!("user {}", it.id),
                role: it.role.to_owned(),
                team_id: it.team_id,
                is_active: it.is_active,
                version: 1,
                ..UserRecord::default()
            })
        });
        let teams = self.teams.iter().map(|it| {
            Record::Team(TeamRecord {
                id: it.id,
                manager_id: it.manager_id,
                parent_id: it.parent_id,
                deleted_at: it.is_deleted.then(proto::Timestamp::default),
                version: 1,
                ..TeamRecord::default()
            })
        });
        numbered(
            people.chain(teams).map(|record| Event { record: Some(record), ..Event::default() }),
        )
    }

    fn team(&self, id: i64) -> Option<Team> {
        self.teams.iter().find(|it| it.id == id).copied()
    }

    /// Whether somebody may read an opportunity, as the product's page has it.
    fn may_read(
        &self,
        who: &Person,
        visibility: &str,
        owner_id: i64,
        team_id: Option<i64>,
    ) -> bool {
        let above = std::iter::successors(team_id.and_then(|id| self.team(id)), |it| {
            self.team(it.parent_id?)
        });
        let mut above = above.take_while(|it| !it.is_deleted);
        let is_within_reach = above.any(|it| it.manager_id == Some(who.id));
        owner_id == who.id
            || who.role == "admin"
            || who.role == "manager" && is_within_reach
            || visibility == "everyone"
            || visibility == "team" && team_id.is_some() && who.team_id == team_id
    }
}

/// An opportunity of that person and team was won by another.
fn won(owner_id: i64, team_id: Option<i64>, by: Option<i64>) -> Event {
    let mut event = won_by(0);
    let service = if by.is_none() { "opportunities".to_owned() } else { String::new() };
    event.actor = Some(Actor { user_id: by, service });
    if let Some(Record::Opportunity(record)) = &mut event.record {
        (record.owner_id, record.team_id) = (owner_id, team_id);
    }
    event
}

#[tokio::test]
async fn only_who_may_see_it_is_told_whatever_the_organisation_s_setting() {
    let mut random = StdRng::seed_from_u64(1);
    let mut told_in_all = 0;
    for _ in 0..6 {
        let company = Company::found(&mut random);
        let database = Database::create().await;
        database.hear(&company.told(), noon()).await;
        for _ in 0..20 {
            let owner_id = random.random_range(1..=8);
            let team_id = random.random_bool(0.9).then(|| random.random_range(1..=6));
            let by = random.random_bool(0.8).then(|| random.random_range(1..=8));
            sqlx::query("delete from notifications").execute(&database.pool).await.unwrap();
            database.apply(&[won(owner_id, team_id, by)], noon()).await;
            let told: BTreeSet<_> = database.told().await.into_iter().map(|(id, _)| id).collect();

            let leader = team_id.and_then(|id| company.team(id)).filter(|it| !it.is_deleted);
            let leader = leader.and_then(|it| it.manager_id);
            for who in &company.people {
                let leads = leader == Some(who.id) && ["admin", "manager"].contains(&who.role);
                let is_concerned = owner_id == who.id || leads;
                let expected = is_concerned && who.is_active && by != Some(who.id);
                assert_eq!(told.contains(&who.id), expected, "{} {}", who.id, who.role);
                for visibility in ["everyone", "team", "owner"] {
                    let may_read = company.may_read(who, visibility, owner_id, team_id);
                    assert!(may_read || !told.contains(&who.id), "{visibility}: {}", who.id);
                }
            }
            told_in_all += told.len();
        }
    }
    assert!(told_in_all > 50, "{told_in_all}");
}

#[tokio::test]
async fn who_was_known_without_a_role_is_told_of_what_they_lead_once_they_are_told_again() {
    let database = Database::with_people().await;
    let told = async |event| {
        database.apply(&[event], noon()).await;
        let told = database.told().await.into_iter().filter(|(id, _)| *id == MEI);
        told.count()
    };
    sqlx::query("update people set role = null").execute(&database.pool).await.unwrap();
    assert_eq!(told(won_by(BOB)).await, 0);
    database.hear(&people(), noon()).await;
    assert_eq!(told(won_by(BOB)).await, 1);
    // A replica that knows nothing of roles heard of the next version first.
    sqlx::query("update people set role = 'rep', version = 2")
        .execute(&database.pool)
        .await
        .unwrap();
    let mut again = people();
    for event in &mut again {
        if let Some(Record::User(user)) = &mut event.record {
            user.version = 2;
        }
    }
    database.hear(&again, noon()).await;
    assert_eq!(told(won_by(BOB)).await, 2);
}

#[tokio::test]
async fn who_is_a_manager_no_more_is_told_no_more() {
    let database = Database::with_people().await;
    let mut demoted = people();
    for event in &mut demoted {
        if let Some(Record::User(user)) = &mut event.record {
            user.version = 2;
            "rep".clone_into(&mut user.role);
        }
    }
    database.hear(&demoted, noon()).await;
    database.apply(&[won_by(BOB)], noon()).await;
    let told: Vec<_> = database.told().await.into_iter().map(|(id, _)| id).collect();
    assert_eq!(told, [AMY]);
}
