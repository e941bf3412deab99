//! Every report of every day, the rollups that they are read from and the opportunities behind their numbers, against what the test adds up by itself from the raw histories.

mod forecast;
mod funnel;
mod happened;
mod reference;
mod rollups;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use analytics::ask::Ask;
use analytics::report::opened::{self, model::Wanted};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rpc::Invalid;

use crate::histories::{
    ADMIN, HAVANA, HISTORIES, LORD_HOWE, OTHER_PIPELINE, OTHER_TEAM, Place, SANTIAGO, TAIPEI,
    filled, now, settings,
};
use crate::support::{AMY, BOB, MEI, PIPELINE, TEAM, World, caller};
use reference::{Life, Question, Reference};

/// A world, what the test knows of it, and what somebody asks.
struct Asked<'a> {
    world: &'a World,
    reference: &'a Reference,
    question: Question,
    /// Those it is about.
    part: Vec<&'a Life>,
    seen: &'a Seen,
}

/// How many were behind the numbers that were looked at.
#[derive(Default)]
struct Seen(RefCell<BTreeMap<&'static str, i64>>);

impl Seen {
    fn note(&self, what: &'static str, count: i64) {
        *self.0.borrow_mut().entry(what).or_default() += count;
    }
}

impl Asked<'_> {
    /// The opportunities behind a number are these.
    async fn opens_to<'a>(
        &self,
        (report, wanted): (&str, &Wanted<'_>),
        owner_id: Option<i64>,
        expected: impl Iterator<Item = &'a Life>,
    ) {
        let expected: BTreeSet<_> = expected.map(|it| it.record.id).collect();
        let owner_id = owner_id.or(self.question.ask.owner_id);
        let ask = Ask { owner_id, ..self.question.ask.clone() };
        let (state, by) = (&self.world.state, caller(self.question.by));
        let (mut found, mut cursor) = (BTreeSet::new(), None::<String>);
        loop {
            let page = (Some(200), cursor.as_deref());
            let asked = Invalid::default();
            let it =
                opened::opportunities(state, &by, &ask, (report, wanted), page, asked, now()).await;
            let it = it.unwrap_or_else(|error| panic!("{report} {wanted:?}: {error:?}"));
            let before = found.len();
            found.extend(it.items.iter().map(|it| it.opportunity_id));
            assert_eq!(found.len(), before + it.items.len(), "one comes twice");
            cursor = it.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, expected, "{report} {wanted:?} {:?}", self.question);
    }
}

fn ask(random: &mut StdRng) -> Ask {
    let maybe = |random: &mut StdRng, ids: &[i64]| {
        ids.choose(random).copied().filter(|_| random.random_bool(0.4))
    };
    Ask {
        owner_id: maybe(random, &[AMY, BOB, MEI]),
        team_id: maybe(random, &[TEAM, OTHER_TEAM]),
        pipeline_id: maybe(random, &[PIPELINE, OTHER_PIPELINE]),
        after: None,
    }
}

/// All that is asked in a place has the numbers that its histories add up to.
async fn adds_up(seed: u64, place: Place) {
    let (mut world, _) = filled(seed, place, HISTORIES).await;
    let reference = Reference::read(&world.log, place);
    let mut random = StdRng::seed_from_u64(seed + 100);
    let seen = Seen::default();
    for (version, visibility) in (3..).zip(["everyone", "team", "owner"]) {
        world.learn(&[settings(version, place, visibility)]).await;
        world.state.load().await.unwrap();
        for by in [ADMIN, MEI, AMY, BOB] {
            for number in 0..4 {
                let ask = if number == 0 { Ask::default() } else { ask(&mut random) };
                let question = Question { visibility, by, ask };
                let part = reference.part(&question);
                let asked =
                    Asked { world: &world, reference: &reference, question, part, seen: &seen };
                asked.overview().await;
                asked.conversion(&mut random).await;
                asked.trend(&mut random).await;
                asked.performance(&mut random).await;
                asked.forecast(&mut random).await;
            }
        }
    }
    let seen = seen.0.into_inner();
    assert!(seen.len() == 13 && seen.values().all(|it| *it > 40), "{seen:?}");
    rollups::are_what_lives_add_up_to(&world, &reference).await;
}

#[tokio::test]
async fn over_a_leap_day_every_number_is_what_the_histories_add_up_to() {
    adds_up(41, TAIPEI).await;
}

#[tokio::test]
async fn over_a_day_without_midnight_every_number_is_what_the_histories_add_up_to() {
    adds_up(42, SANTIAGO).await;
}

#[tokio::test]
async fn over_a_day_of_two_midnights_every_number_is_what_the_histories_add_up_to() {
    adds_up(43, HAVANA).await;
}

#[tokio::test]
async fn over_the_end_of_a_quarter_every_number_is_what_the_histories_add_up_to() {
    adds_up(44, LORD_HOWE).await;
}
