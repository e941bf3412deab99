//! Many changes with one request, and opportunities by their id in another system.

use std::sync::Arc;

use auth::{Caller, Role};
use futures::future::join_all;
use idempotency::Outcome;
use opportunities::opportunity::bulk::{self, Done, Update};
use opportunities::opportunity::draft::Wish;
use opportunities::opportunity::edit::EditWish;
use opportunities::opportunity::{self, Detail};
use rpc::Error;

use crate::support::{World, caller, event, meta, person, wish};

const AMY: i64 = 1;
const BEN: i64 = 2;

async fn world(visibility: &str) -> Arc<World> {
    let world = World::create(visibility).await;
    let people = [person(AMY, "rep", Some(7)), person(BEN, "rep", Some(8))];
    world.tell(&people.map(|person| event(1, person))).await;
    Arc::new(world)
}

fn amy() -> Caller {
    caller(AMY, Role::Rep, Some(7))
}

fn ben() -> Caller {
    caller(BEN, Role::Rep, Some(8))
}

fn to(id: i64, stage: &str) -> Update {
    let wish = EditWish { stage: Some(Some(stage.to_owned())), ..EditWish::default() };
    Update { id, expected_version: None, wish }
}

async fn change(world: &World, caller: &Caller, updates: Vec<Update>) -> Result<Vec<Done>, Error> {
    match bulk::update(&world.state, caller, updates, None, meta(caller.user_id)).await? {
        Outcome::New(done) => Ok(done),
        Outcome::Replay(_) => panic!("there was no key"),
    }
}

/// An id with version and stage, or the reason.
type Brief = (i64, Result<(i64, &'static str), String>);

fn brief(done: &[Done]) -> Vec<Brief> {
    let of = |it: &Done| match &it.outcome {
        Ok(Detail { opportunity: it, .. }) => (it.id, Ok((it.version, it.stage_key.clone()))),
        Err(error) => (it.id, Err(error.reason().to_owned())),
    };
    let keys = ["lead", "proposal", "won", "lost"];
    done.iter()
        .map(of)
        .map(|(id, it)| {
            let named = |key: String| keys.into_iter().find(|known| *known == key).unwrap();
            (id, it.map(|(version, key)| (version, named(key))))
        })
        .collect()
}

#[tokio::test]
async fn each_change_has_its_own_result_and_sees_those_before_it() {
    let world = world("everyone").await;
    let mine = world.sale(&amy()).await.opportunity.id;
    let other = world.sale(&amy()).await.opportunity.id;
    let bens = world.sale(&ben()).await.opportunity.id;
    let stale = Update { expected_version: Some(1), ..to(mine, "lost") };
    let unknown = to(other, "nowhere");
    let updates = vec![
        to(mine, "proposal"),
        stale,
        to(bens, "won"),
        to(999, "won"),
        to(0, "won"),
        unknown,
        to(mine, "won"),
    ];
    let done = change(&world, &amy(), updates).await.unwrap();
    let reason = |text: &str| Err(text.to_owned());
    let expected = [
        (mine, Ok((2, "proposal"))),
        (mine, reason("STALE")),
        (bens, reason("NOT_YOURS")),
        (999, reason("NOT_FOUND")),
        (0, reason("INVALID")),
        (other, reason("INVALID")),
        (mine, Ok((3, "won"))),
    ];
    assert_eq!(brief(&done), expected);
    assert_eq!(world.find(mine).await, done[6].outcome.as_ref().unwrap().opportunity);
    assert_eq!((world.find(bens).await.version, world.find(other).await.version), (1, 1));
    let rows: Vec<(String, String)> = sqlx::query_as(
        "select to_stage_key, (select origin from change c where c.aggregate = 'opportunity' and c.aggregate_id = h.opportunity_id and c.occurred_at = h.changed_at)
         from stage_history h where opportunity_id = $1 order by changed_at",
    )
    .bind(mine)
    .fetch_all(&world.state.reads)
    .await
    .unwrap();
    let expected = [("lead", "user"), ("proposal", "bulk"), ("won", "bulk")];
    assert_eq!(rows, expected.map(|(key, origin)| (key.to_owned(), origin.to_owned())));
}

#[tokio::test]
async fn what_is_hidden_is_not_found_and_who_only_reads_changes_nothing() {
    let world = world("owner").await;
    let bens = world.sale(&ben()).await.opportunity.id;
    let done = change(&world, &amy(), vec![to(bens, "won")]).await.unwrap();
    assert_eq!(brief(&done), [(bens, Err("NOT_FOUND".to_owned()))]);
    let viewer = caller(BEN, Role::Viewer, None);
    let refused = change(&world, &viewer, vec![to(bens, "won")]).await.err().unwrap();
    assert!(matches!(refused, Error::Denied { .. }), "{refused:?}");
    for count in [0, 1_001] {
        let updates = (0..count).map(|id| to(id, "won")).collect();
        let refused = change(&world, &amy(), updates).await.err().unwrap();
        assert!(matches!(refused, Error::Invalid(_)), "{refused:?}");
    }
}

#[tokio::test]
async fn batches_in_opposite_orders_wait_for_each_other_and_both_are_made() {
    let world = world("everyone").await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(world.sale(&amy()).await.opportunity.id);
    }
    let backwards: Vec<_> = ids.iter().rev().copied().collect();
    let batches = [ids.clone(), backwards, ids.clone()].map(|ids| {
        let world = Arc::clone(&world);
        async move {
            let stages = ["proposal", "won", "lead"];
            let updates = ids.iter().flat_map(|id| stages.map(|stage| to(*id, stage))).collect();
            change(&world, &amy(), updates).await.unwrap()
        }
    });
    for done in join_all(batches).await {
        assert!(done.iter().all(|it| it.outcome.is_ok()));
    }
    for id in ids {
        // Each batch makes three moves of the chain; the first stage is where it stands already in none of them.
        assert_eq!(world.find(id).await.version, 10);
    }
}

#[tokio::test]
async fn a_handover_of_many_counts_for_the_new_team_and_reopening_for_the_team_of_the_day() {
    let world = world("everyone").await;
    let (open, closed) = (world.sale(&amy()).await, world.sale(&amy()).await);
    let (open, closed) = (open.opportunity.id, closed.opportunity.id);
    world.advance(&amy(), closed, "won").await.unwrap();
    world.tell(&[event(2, person(AMY, "rep", Some(9)))]).await;
    let handed = EditWish { owner_id: Some(Some(BEN)), ..EditWish::default() };
    let handed = Update { id: open, expected_version: None, wish: handed };
    let done = change(&world, &amy(), vec![handed, to(closed, "lead")]).await.unwrap();
    let details: Vec<_> = done.iter().map(|it| it.outcome.as_ref().unwrap()).collect();
    assert_eq!((details[0].opportunity.team_id, &*details[0].owner_name), (Some(8), "user 2"));
    assert_eq!(details[1].opportunity.team_id, Some(9));
}

async fn upsert(
    world: &World,
    caller: &Caller,
    external_id: &str,
    notes: Option<&str>,
) -> Result<(Detail, bool), Error> {
    upsert_version(world, caller, external_id, (notes, None)).await
}

async fn upsert_version(
    world: &World,
    caller: &Caller,
    external_id: &str,
    (notes, expected_version): (Option<&str>, Option<i64>),
) -> Result<(Detail, bool), Error> {
    let wish = Wish {
        external_id: Some(external_id.to_owned()),
        notes: notes.map(str::to_owned),
        ..wish()
    };
    let edit = EditWish { notes: notes.map(|it| Some(it.to_owned())), ..EditWish::default() };
    let meta = meta(caller.user_id);
    opportunity::upsert(&world.state, caller, (wish, edit), expected_version, meta).await
}

#[tokio::test]
async fn of_many_at_once_with_an_id_of_another_system_one_is_made_and_changed_from_then_on() {
    let world = world("everyone").await;
    let amys = amy();
    let answers = join_all((0..8).map(|_| upsert(&world, &amys, "ERP-1", None))).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|(_, is_new)| *is_new).count(), 1);
    let id = answers[0].0.opportunity.id;
    assert!(answers.iter().all(|(detail, _)| detail.opportunity.id == id));
    let (detail, is_new) = upsert(&world, &amy(), " ERP-1 ", Some("x")).await.unwrap();
    assert_eq!((detail.opportunity.version, is_new), (2, false));
    let refused = upsert(&world, &ben(), "ERP-1", Some("y")).await.unwrap_err();
    assert_eq!(refused.reason(), "NOT_YOURS");
    world.set_visibility("owner", 2).await;
    let refused = upsert(&world, &ben(), "ERP-1", Some("y")).await.unwrap_err();
    let Error::Conflict { reason, details, .. } = refused else { panic!("{refused:?}") };
    assert_eq!((&*reason, details.len()), ("EXTERNAL_ID_TAKEN", 0), "and not whose it is");
    world.delete(&amy(), id).await.unwrap();
    let refused = upsert(&world, &amy(), "ERP-1", None).await.unwrap_err();
    assert_eq!(refused.reason(), "OPPORTUNITY_DELETED");
    for id in ["  ", &format!("ERP-1{:255}", "")] {
        let refused = upsert(&world, &amy(), id, None).await.unwrap_err();
        assert!(matches!(refused, Error::Invalid(_)), "{refused:?}");
    }
}

#[tokio::test]
async fn with_a_version_nothing_is_made_and_that_one_alone_is_changed() {
    let world = world("everyone").await;
    let amy = amy();
    let put = async |notes: &str, version| {
        upsert_version(&world, &amy, "ERP-1", (Some(notes), version)).await
    };
    for version in [0, 1] {
        let refused = put("a", Some(version)).await.unwrap_err();
        assert!(matches!(refused, Error::Stale { current: None }), "{refused:?}");
    }
    assert!(put("a", None).await.unwrap().1);
    let refused = put("b", Some(2)).await.unwrap_err();
    assert!(matches!(refused, Error::Stale { current: Some(1) }), "{refused:?}");
    for (version, becomes) in [(1, 2), (0, 3)] {
        let notes = becomes.to_string();
        let (detail, is_new) = put(&notes, Some(version)).await.unwrap();
        assert_eq!((detail.opportunity.version, is_new), (becomes, false));
    }
}
