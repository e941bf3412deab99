//! Whatever the company and its book: each sees in every number what the rule lets them see, and nothing else.

use std::collections::BTreeMap;

use analytics::ask::Ask;
use analytics::directory::model::Visibility;
use analytics::period::Asked;
use analytics::visibility::Sight;
use analytics::{forecast, report};
use auth::{Caller, Role};
use chrono::{DateTime, Datelike as _, NaiveDate, TimeDelta, Utc};
use events::Record;
use money::Money;
use proto::events::v1::{TeamRecord, UserRecord};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rpc::Invalid;

use crate::support::{Deal, World, at, money, now, on, told};

const ROLES: [Role; 5] = [Role::Admin, Role::Manager, Role::Manager, Role::Rep, Role::Viewer];

/// Nine people in eight teams of teams, and what they have in the book.
struct Company {
    people: Vec<Person>,
    teams: Vec<Team>,
    book: Vec<Known>,
}

struct Person {
    id: i64,
    role: Role,
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

/// An opportunity as the test knows it.
struct Known {
    owner_id: i64,
    team_id: Option<i64>,
    stage: &'static str,
    was_proposed: bool,
    value: Money,
    created_on: NaiveDate,
    closed_on: Option<NaiveDate>,
    expected_on: Option<NaiveDate>,
}

impl Known {
    fn is_open(&self) -> bool {
        self.closed_on.is_none()
    }
}

fn day(at: DateTime<Utc>) -> NaiveDate {
    at.with_timezone(&chrono_tz::Asia::Taipei).date_naive()
}

impl Company {
    async fn found(world: &mut World, random: &mut StdRng) -> Self {
        let teams: Vec<_> = (1..=8)
            .map(|id| Team {
                id,
                manager_id: random.random_bool(0.7).then(|| random.random_range(1..=9)),
                parent_id: (id > 1 && random.random_bool(0.8)).then(|| random.random_range(1..id)),
                is_deleted: random.random_bool(0.15),
            })
            .collect();
        let people: Vec<_> = (1..=9)
            .map(|id| Person {
                id,
                role: *ROLES.choose(random).unwrap(),
                team_id: random.random_bool(0.8).then(|| random.random_range(1..=8)),
                is_active: random.random_bool(0.8),
            })
            .collect();
        let mut events = Vec::new();
        for it in &people {
            let user = UserRecord {
                id: it.id,
                username: format!("user {}", it.id),
                role: it.role.as_str().to_owned(),
                team_id: it.team_id,
                is_active: it.is_active,
                ..UserRecord::default()
            };
            events.push(told(2, Record::User(user)));
        }
        for it in &teams {
            let team = TeamRecord {
                id: it.id,
                manager_id: it.manager_id,
                parent_id: it.parent_id,
                deleted_at: it.is_deleted.then(proto::Timestamp::default),
                ..TeamRecord::default()
            };
            events.push(told(2, Record::Team(team)));
        }
        world.learn(&events).await;
        let mut company = Self { people, teams, book: Vec::new() };
        for id in 1..=40 {
            company.sell(id, world, random).await;
        }
        company
    }

    /// One more opportunity: made by somebody, handed to a team, and brought some way.
    async fn sell(&mut self, id: i64, world: &mut World, random: &mut StdRng) {
        let mut now = at("2025-06-01T03:00:00Z") + TimeDelta::hours(random.random_range(0..3_000));
        let owner_id = random.random_range(1..=9);
        let units = random.random_bool(0.9).then(|| random.random_range(1..5_000));
        let team_id = random.random_bool(0.9).then(|| random.random_range(1..=8));
        let expected_on = random.random_bool(0.7).then(|| {
            on(["2025-08-15", "2025-10-31", "2025-12-31", "2026-01-01"].choose(random).unwrap())
        });
        let (mut deal, mut events) = Deal::begin(id, owner_id, units, &now.to_rfc3339());
        let created_on = day(now);
        events.push(deal.change(|it| {
            it.team_id = team_id;
            it.expected_close_date = expected_on.map(Into::into);
        }));
        let (mut stage, mut was_proposed, mut closed_on) = ("lead", false, None);
        if random.random_bool(0.6) {
            now += TimeDelta::hours(random.random_range(1..500));
            events.push(deal.move_to("proposal", now));
            (stage, was_proposed) = ("proposal", true);
        }
        if random.random_bool(0.6) {
            now += TimeDelta::hours(random.random_range(1..500));
            stage = ["won", "lost"].choose(random).unwrap();
            events.push(deal.move_to(stage, now));
            closed_on = Some(day(now));
        }
        world.tell(events).await;
        let value = units.map_or(Money::ZERO, money);
        self.book.push(Known {
            owner_id,
            team_id,
            stage,
            was_proposed,
            value,
            created_on,
            closed_on,
            expected_on,
        });
    }

    /// What somebody sees by the rule. Teams are looked at from below, where the statement goes down from whoever leads.
    fn sight(&self, who: &Person, visibility: Visibility) -> Sight {
        let team = |id: i64| self.teams.iter().find(|team| team.id == id).copied();
        let is_within_reach = |it: &&Team| {
            let above = std::iter::successors(Some(**it), |it| team(it.parent_id?));
            above.take_while(|it| !it.is_deleted).any(|it| it.manager_id == Some(who.id))
        };
        let within_reach = self.teams.iter().filter(is_within_reach).map(|it| it.id);
        Sight::of(&signed_in(who), visibility, within_reach.collect())
    }
}

fn signed_in(who: &Person) -> Caller {
    let (user_id, role, team_id) = (who.id, who.role, who.team_id);
    Caller { user_id, role, team_id, service: None, ..Caller::service("") }
}

/// The part of the book that somebody sees and asks for.
struct Part<'a> {
    sight: &'a Sight,
    ask: &'a Ask,
    company: &'a Company,
    told: String,
}

impl Part<'_> {
    fn holds(&self, owner_id: i64, team_id: Option<i64>) -> bool {
        self.sight.covers(owner_id, team_id)
            && self.ask.owner_id.is_none_or(|id| id == owner_id)
            && self.ask.team_id.is_none_or(|id| Some(id) == team_id)
    }

    /// How many are so, and what they are worth.
    fn sum(&self, is_so: impl Fn(&Known) -> bool) -> (i64, Money) {
        let of = self.company.book.iter();
        let of = of.filter(|it| self.holds(it.owner_id, it.team_id) && is_so(it));
        of.fold((0, Money::ZERO), |(count, value), it| (count + 1, value + it.value))
    }

    fn count(&self, is_so: impl Fn(&Known) -> bool) -> i64 {
        self.sum(is_so).0
    }

    async fn overview_agrees(&self, world: &World, caller: &Caller) {
        let it = report::overview(&world.state, caller, self.ask, now()).await.unwrap();
        for stage in &it.stages {
            let expected = self.sum(|it| it.stage == stage.key);
            assert_eq!((stage.count, stage.total_value), expected, "{} {}", stage.key, self.told);
        }
        assert_eq!(it.total_opportunities, self.count(|_| true), "{}", self.told);
        assert_eq!(it.total_pipeline_value, self.sum(Known::is_open).1, "{}", self.told);
        let without_amount = self.count(|it| it.value == Money::ZERO);
        assert_eq!(it.not_covered.without_amount, without_amount, "{}", self.told);
    }

    async fn conversion_agrees(&self, world: &World, caller: &Caller) {
        let range = (None, None);
        let asked = Invalid::default();
        let it = report::conversion(&world.state, caller, self.ask, range, asked, now()).await;
        let it = it.unwrap();
        let advanced = self.count(|it| it.was_proposed || it.stage == "won");
        let lost = self.count(|it| !it.was_proposed && it.stage == "lost");
        let lead = &it.items[0];
        let expected = (self.count(|_| true), advanced, lost);
        assert_eq!((lead.entered, lead.advanced, lead.lost), expected, "{}", self.told);
        let proposal = &it.items[1];
        let expected = (
            self.count(|it| it.was_proposed),
            self.count(|it| it.was_proposed && it.stage == "won"),
            self.count(|it| it.was_proposed && it.stage == "lost"),
        );
        assert_eq!((proposal.entered, proposal.advanced, proposal.lost), expected, "{}", self.told);
    }

    async fn trend_agrees(&self, world: &World, caller: &Caller) {
        let asked = (Some("monthly"), Some(2025));
        let it = report::trend(&world.state, caller, self.ask, asked, now()).await.unwrap();
        for (month, row) in (1..).zip(&it.items) {
            let closed = |it: &Known| it.closed_on.is_some_and(|day| day.month() == month);
            let told = format!("{month} {}", self.told);
            let won = self.sum(|it| it.stage == "won" && closed(it));
            assert_eq!((row.won_count, row.won_value), won, "{told}");
            let lost = self.count(|it| it.stage == "lost" && closed(it));
            assert_eq!(row.lost_count, lost, "{told}");
            let created = self.sum(|it| it.created_on.month() == month);
            assert_eq!((row.created_count, row.created_value), created, "{told}");
        }
    }

    async fn performance_agrees(&self, world: &World, caller: &Caller) {
        let asked = Asked::default();
        let it = report::performance(&world.state, caller, self.ask, &asked, now()).await.unwrap();
        let found: BTreeMap<_, _> = it
            .items
            .iter()
            .map(|it| {
                let won = (it.won_count, it.won_value);
                (it.owner_id, (won, it.lost_count, (it.open_count, it.open_pipeline_value)))
            })
            .collect();
        let mut expected = BTreeMap::new();
        for who in &self.company.people {
            let theirs = |it: &Known| it.owner_id == who.id;
            let won = self.sum(|it| theirs(it) && it.stage == "won" && in_quarter(it.closed_on));
            let lost =
                self.count(|it| theirs(it) && it.stage == "lost" && in_quarter(it.closed_on));
            let created = self.count(|it| theirs(it) && in_quarter(Some(it.created_on)));
            let open = self.sum(|it| theirs(it) && it.is_open());
            let sells = who.is_active && matches!(who.role, Role::Rep | Role::Manager);
            if (sells && self.holds(who.id, who.team_id)) || won.0 + lost + created > 0 {
                expected.insert(who.id, (won, lost, open));
            }
        }
        assert_eq!(found, expected, "{}", self.told);
    }

    async fn forecast_agrees(&self, world: &World, caller: &Caller) {
        let asked = Asked::default();
        let it = forecast::forecast(&world.state, caller, self.ask, &asked, now()).await.unwrap();
        let won = self.sum(|it| it.stage == "won" && in_quarter(it.closed_on)).1;
        assert_eq!(it.whole.closed_won, won, "{}", self.told);
        // What is overdue counts in the present period.
        let is_due = |it: &Known| it.expected_on.is_some_and(|day| day <= on("2025-12-31"));
        for row in &it.by_stage {
            let expected = self.sum(|it| it.stage == row.stage_key && is_due(it));
            assert_eq!((row.count, row.total_value), expected, "{} {}", row.stage_key, self.told);
        }
        let without_date = self.count(|it| it.is_open() && it.expected_on.is_none());
        assert_eq!(it.not_covered.without_date, without_date, "{}", self.told);
    }
}

/// Whether a day is in the quarter in which everybody asks.
fn in_quarter(day: Option<NaiveDate>) -> bool {
    day.is_some_and(|day| day.year() == 2025 && day.month() >= 10)
}

#[tokio::test]
async fn every_number_is_of_what_the_caller_may_see_and_asks_for() {
    let (mut some, mut nothing_of_others) = (0, 0);
    for seed in 0..3 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut world = World::create("everyone").await;
        let company = Company::found(&mut world, &mut random).await;
        for (version, (name, visibility)) in (2..).zip([
            ("everyone", Visibility::Everyone),
            ("team", Visibility::Team),
            ("owner", Visibility::Owner),
        ]) {
            world.set_visibility(name, version).await;
            for who in &company.people {
                let (caller, sight) = (signed_in(who), company.sight(who, visibility));
                let somebody = Some(random.random_range(1..=9));
                let some_team = Some(random.random_range(1..=8));
                for (owner_id, team_id) in
                    [(None, None), (somebody, None), (None, some_team), (somebody, some_team)]
                {
                    let ask = Ask { owner_id, team_id, ..Ask::default() };
                    let told =
                        format!("seed {seed}, {name}, {} {}, {sight:?}, {ask:?}", who.id, who.role);
                    let part = Part { sight: &sight, ask: &ask, company: &company, told };
                    part.overview_agrees(&world, &caller).await;
                    part.conversion_agrees(&world, &caller).await;
                    part.trend_agrees(&world, &caller).await;
                    part.performance_agrees(&world, &caller).await;
                    part.forecast_agrees(&world, &caller).await;
                    some += i64::from(part.count(|_| true) > 0);
                    let asked = Part { sight: &Sight::All, told: String::new(), ..part };
                    let is_hidden = asked.count(|_| true) > 0
                        && asked.count(|it| sight.covers(it.owner_id, it.team_id)) == 0;
                    nothing_of_others += i64::from(is_hidden);
                }
            }
        }
    }
    // Both were there to be looked at: numbers, and others' numbers that are not shown.
    assert!(some > 50 && nothing_of_others > 20, "{some} {nothing_of_others}");
}
