//! Keeping a copy: whoever applies all that is told holds exactly what they may see.

use std::collections::BTreeMap;

use auth::{Caller, Role};
use idempotency::Outcome;
use opportunities::activity;
use opportunities::activity::model::{ActivityType, Edit};
use opportunities::contact;
use opportunities::opportunity::edit::EditWish;
use opportunities::sync::model::{Kind, Place};
use opportunities::sync::{self, Item};
use proptest::prelude::*;

use crate::support::{ADMIN, World, caller, event, meta, now, person, wish};

/// What somebody holds who applies everything.
#[derive(Default)]
struct Copy {
    records: BTreeMap<(Kind, i64), (i64, i64)>,
    place: Option<Place>,
    /// How many items there were.
    told: usize,
}

impl Copy {
    /// Asks until there is no more.
    async fn catch_up(&mut self, world: &World, caller: &Caller, limit: usize) {
        give_positions(world).await;
        loop {
            let place = self.place.take();
            let page = sync::page(&world.state, caller, place, limit, now()).await.unwrap();
            assert!(page.items.len() <= limit);
            self.told += page.items.len();
            page.items.into_iter().for_each(|item| self.apply(item));
            // Whoever asks again with what was written down comes to the same place.
            self.place = Some(Place::parse(&page.next.write()).unwrap());
            if !page.has_more {
                return;
            }
        }
    }

    /// Each with its version, and with what it goes with.
    fn apply(&mut self, item: Item) {
        let (key, held) = match item {
            Item::Pipeline(it) => ((Kind::Pipeline, it.id), (it.version, 0)),
            Item::Customer(it) => ((Kind::Customer, it.id), (it.version, 0)),
            Item::Contact(it) => ((Kind::Contact, it.id), (it.version, it.customer_id)),
            Item::Opportunity(it) => {
                ((Kind::Opportunity, it.opportunity.id), (it.opportunity.version, 0))
            }
            Item::Activity(it) => (
                (Kind::Activity, it.activity.id),
                (it.activity.version, it.activity.opportunity_id),
            ),
            Item::Gone { kind, id, .. } => {
                let part = match kind {
                    Kind::Customer => Kind::Contact,
                    _ => Kind::Activity,
                };
                self.records.remove(&(kind, id));
                if matches!(kind, Kind::Customer | Kind::Opportunity) {
                    self.records.retain(|(kind, _), (_, of)| *kind != part || *of != id);
                }
                return;
            }
        };
        self.records.insert(key, held);
    }

    /// What a new copy holds is what an old one holds.
    async fn is_as_new(&self, world: &World, caller: &Caller) {
        let mut new = Self::default();
        new.catch_up(world, caller, 200).await;
        assert_eq!(self.records, new.records, "{caller:?}");
    }

    fn ids(&self, kind: Kind) -> Vec<i64> {
        self.records.keys().filter(|key| key.0 == kind).map(|key| key.1).collect()
    }
}

/// What the relay does, which does not run here.
async fn give_positions(world: &World) {
    sqlx::raw_sql(
        "with given as (
           insert into change_position (position, change_id)
           select (select coalesce(max(position), 0) from change_position) + row_number() over (order by change_id), change_id
           from outbox
           returning change_id
         )
         delete from outbox where change_id in (select change_id from given)",
    )
    .execute(&world.state.writes)
    .await
    .unwrap();
}

async fn call(world: &World, by: &Caller, opportunity_id: i64) -> i64 {
    let edit = Edit {
        activity_type: Some(Some(ActivityType::Call)),
        subject: Some(Some("Call".to_owned())),
        ..Edit::default()
    };
    let meta = meta(by.user_id);
    match activity::create(&world.state, by, opportunity_id, edit, None, meta).await.unwrap() {
        Outcome::New(detail) => detail.activity.id,
        Outcome::Replay(_) => panic!("there was no key"),
    }
}

fn owner(user_id: i64) -> EditWish {
    EditWish { owner_id: Some(Some(user_id)), ..EditWish::default() }
}

#[tokio::test]
async fn who_is_handed_an_opportunity_gets_all_of_it_and_who_hands_it_over_gives_it_back() {
    let world = World::create("owner").await;
    let people = [1, 2].map(|id| event(1, person(id, "rep", None)));
    world.tell(&people).await;
    let [one, other] = [1, 2].map(|id| caller(id, Role::Rep, None));
    let admin = caller(ADMIN, Role::Admin, None);
    let (mut ones, mut others, mut alls) = (Copy::default(), Copy::default(), Copy::default());
    let made =
        opportunities::opportunity::draft::Wish { contact_name: Some("Chen".to_owned()), ..wish() };
    let sale = world.make(&admin, made).await.unwrap().opportunity;
    call(&world, &admin, sale.id).await;
    for (copy, who) in [(&mut ones, &one), (&mut others, &other), (&mut alls, &admin)] {
        copy.catch_up(&world, who, 2).await;
    }
    assert!(ones.ids(Kind::Opportunity).is_empty());
    assert_eq!(ones.ids(Kind::Pipeline).len(), 1);
    assert_eq!(alls.records.len(), 5);

    world.change(&admin, (sale.id, None), owner(1)).await.unwrap();
    ones.catch_up(&world, &one, 1).await;
    assert_eq!(ones.records.len(), 5);
    world.change(&one, (sale.id, None), owner(2)).await.unwrap();
    let told = others.told;
    for (copy, who) in [(&mut ones, &one), (&mut others, &other), (&mut alls, &admin)] {
        copy.catch_up(&world, who, 50).await;
        copy.is_as_new(&world, who).await;
    }
    assert!(ones.ids(Kind::Customer).is_empty());
    assert_eq!(others.told - told, 4);

    world.delete(&other, sale.id).await.unwrap();
    others.catch_up(&world, &other, 50).await;
    assert_eq!(others.records.len(), 1);
    world.restore(&other, sale.id).await.unwrap();
    for (copy, who) in [(&mut others, &other), (&mut alls, &admin)] {
        copy.catch_up(&world, who, 50).await;
        copy.is_as_new(&world, who).await;
    }
    assert_eq!(alls.records.len(), 5);
}

#[tokio::test]
async fn who_loses_a_right_gives_back_what_it_opened_and_no_old_token_tells_of_what_came_later() {
    let world = World::create("team").await;
    world.tell(&[event(1, person(1, "rep", Some(7))), event(1, person(2, "rep", Some(7)))]).await;
    let [within, mate] = [1, 2].map(|id| caller(id, Role::Rep, Some(7)));
    let outside = caller(1, Role::Rep, Some(8));
    let (old, own) = (world.sale(&mate).await.opportunity, world.sale(&within).await.opportunity);
    let mut copy = Copy::default();
    copy.catch_up(&world, &within, 50).await;
    assert_eq!(copy.ids(Kind::Opportunity), [old.id, own.id]);
    let stale = copy.place.clone();

    copy.catch_up(&world, &outside, 1).await;
    assert_eq!(copy.ids(Kind::Opportunity), [own.id]);
    copy.is_as_new(&world, &outside).await;

    let later = world.sale(&mate).await.opportunity;
    world.change(&mate, (later.id, None), owner(2)).await.unwrap();
    world.advance(&mate, later.id, "won").await.unwrap();
    let mut again = Copy { place: stale, ..Copy::default() };
    give_positions(&world).await;
    let page = sync::page(&world.state, &outside, again.place.take(), 200, now()).await.unwrap();
    let is_later = |item: &Item| matches!(item, Item::Gone { id, .. } if *id == later.id);
    assert!(!page.items.iter().any(is_later), "{:?}", page.items);
    let other = caller(2, Role::Rep, Some(7));
    let foreign = sync::page(&world.state, &other, Some(page.next), 200, now()).await;
    assert_eq!(foreign.unwrap_err().reason(), "CURSOR_INVALID");
}

#[tokio::test]
async fn what_a_merge_moves_is_moved_in_every_copy_and_back_again() {
    let world = World::create("owner").await;
    world.tell(&[event(1, person(1, "rep", None)), event(1, person(2, "rep", None))]).await;
    let admin = caller(ADMIN, Role::Admin, None);
    let [one, other] = [1, 2].map(|id| caller(id, Role::Rep, None));
    let mut sales = Vec::new();
    for (who, customer) in [(&one, "A"), (&other, "B")] {
        let wish = opportunities::opportunity::draft::Wish {
            customer_name: Some(customer.to_owned()),
            contact_name: Some(format!("at {customer}")),
            ..wish()
        };
        sales.push(world.make(who, wish).await.unwrap().opportunity);
    }
    let mut copies =
        [(&one, Copy::default()), (&other, Copy::default()), (&admin, Copy::default())];
    for step in 0..5 {
        let (into, from) = (sales[0].customer_id, sales[1].customer_id);
        match step {
            1 => _ = world.merge(into, from).await.unwrap(),
            2 => _ = world.unmerge(into, from).await.unwrap(),
            3 => {
                let id = sales[0].contact_id.unwrap();
                contact::delete(&world.state, &one, id, None, meta(1)).await.unwrap();
            }
            4 => _ = world.rename(from, "C").await.unwrap(),
            _ => {}
        }
        for (who, copy) in &mut copies {
            copy.catch_up(&world, who, 3).await;
            copy.is_as_new(&world, who).await;
        }
    }
}

/// What people do.
#[derive(Clone, Debug)]
enum Act {
    Make(usize),
    Change(usize),
    HandOver(usize, usize),
    Delete(usize),
    Restore(usize),
    Call(usize),
    Team(usize, i64),
    Visibility(usize),
    CatchUp(usize, usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        3 => (0..3_usize).prop_map(Act::Make),
        2 => (0..9_usize).prop_map(Act::Change),
        3 => (0..9_usize, 0..3_usize).prop_map(|(sale, to)| Act::HandOver(sale, to)),
        1 => (0..9_usize).prop_map(Act::Delete),
        1 => (0..9_usize).prop_map(Act::Restore),
        2 => (0..9_usize).prop_map(Act::Call),
        1 => (0..3_usize, 1..3_i64).prop_map(|(who, team)| Act::Team(who, team)),
        1 => (0..3_usize).prop_map(Act::Visibility),
        4 => (0..3_usize, 1..5_usize).prop_map(|(who, limit)| Act::CatchUp(who, limit)),
    ];
    prop::collection::vec(act, 1..60)
}

/// People, what they hold, and all sales.
struct Story {
    world: World,
    teams: [i64; 3],
    copies: [Copy; 3],
    sales: Vec<i64>,
    versions: i64,
}

impl Story {
    async fn begin() -> Self {
        let world = World::create("owner").await;
        let teams = [1, 1, 2];
        let people: Vec<_> =
            (1..).zip(teams).map(|(id, team)| event(1, person(id, "rep", Some(team)))).collect();
        world.tell(&people).await;
        Self { world, teams, copies: Default::default(), sales: Vec::new(), versions: 1 }
    }

    fn who(&self, index: usize) -> Caller {
        caller([1, 2, 3][index], Role::Rep, Some(self.teams[index]))
    }

    /// What is not possible is refused, which is no matter here.
    async fn act(&mut self, act: Act) {
        let admin = caller(ADMIN, Role::Admin, None);
        let id = |sale: usize| self.sales.get(sale % self.sales.len().max(1)).copied();
        match act {
            Act::Make(who) => {
                let wish = opportunities::opportunity::draft::Wish {
                    customer_name: Some(format!("customer {}", self.sales.len() % 3)),
                    contact_name: Some("Chen".to_owned()),
                    ..wish()
                };
                let made = self.world.make(&self.who(who), wish).await.unwrap();
                self.sales.push(made.opportunity.id);
            }
            Act::Change(sale) => {
                let notes = Some(Some(format!("{}", self.versions)));
                self.versions += 1;
                let edit = EditWish { notes, ..EditWish::default() };
                if let Some(id) = id(sale) {
                    _ = self.world.change(&admin, (id, None), edit).await;
                }
            }
            Act::HandOver(sale, to) => {
                if let Some(id) = id(sale) {
                    _ = self.world.change(&admin, (id, None), owner([1, 2, 3][to])).await;
                }
            }
            Act::Delete(sale) => {
                if let Some(id) = id(sale) {
                    _ = self.world.delete(&admin, id).await;
                }
            }
            Act::Restore(sale) => {
                if let Some(id) = id(sale) {
                    _ = self.world.restore(&admin, id).await;
                }
            }
            Act::Call(sale) => {
                let living = id(sale).map(|id| self.world.state_of(id));
                if let Some(living) = living
                    && let Some(id) = living.await
                {
                    call(&self.world, &admin, id).await;
                }
            }
            Act::Team(who, team) => {
                self.teams[who] = team;
                self.versions += 1;
                let record = person([1, 2, 3][who], "rep", Some(team));
                self.world.tell(&[event(self.versions, record)]).await;
            }
            Act::Visibility(which) => {
                self.versions += 1;
                let which = ["everyone", "team", "owner"][which];
                self.world.set_visibility(which, self.versions).await;
            }
            Act::CatchUp(who, limit) => {
                let caller = self.who(who);
                self.copies[who].catch_up(&self.world, &caller, limit).await;
                self.copies[who].is_as_new(&self.world, &caller).await;
            }
        }
    }
}

impl World {
    /// Its id, if it lives.
    async fn state_of(&self, id: i64) -> Option<i64> {
        let admin = caller(ADMIN, Role::Admin, None);
        let found = opportunities::opportunity::get(&self.state, &admin, id).await;
        found.ok().map(|it| it.opportunity.id)
    }
}

#[test]
fn whatever_happens_a_copy_that_caught_up_is_as_a_new_one() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = ProptestConfig { cases: 12, max_shrink_iters: 60, ..ProptestConfig::default() };
    proptest!(config, |(acts in acts())| {
        runtime.block_on(async {
            let mut story = Story::begin().await;
            for act in acts {
                story.act(act).await;
            }
            for who in 0..3 {
                story.act(Act::CatchUp(who, 2)).await;
            }
        });
    });
}
