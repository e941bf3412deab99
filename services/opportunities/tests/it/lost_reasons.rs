//! The list of reasons for which opportunities are lost: how administrators manage it, and what it means on every path by which something is lost.

use auth::{Caller, Role};
use events::{Event, Record};
use futures::future::join_all;
use idempotency::Outcome;
use opportunities::State;
use opportunities::lost_reason::draft::{Edit, New};
use opportunities::lost_reason::{self, Listed};
use opportunities::opportunity::bulk::{self, Update};
use opportunities::opportunity::draft::Wish;
use opportunities::opportunity::edit::EditWish;
use opportunities::opportunity::model::{Opportunity, Step};
use opportunities::opportunity::{self, MoveWish};
use opportunities::state::Known;
use prost::Message as _;
use rpc::Error;

use crate::support::{ADMIN, World, caller, event, meta, person, wish};

const AMY: i64 = 1;

async fn world() -> World {
    let world = World::create("everyone").await;
    world.tell(&[event(1, person(AMY, "rep", Some(7)))]).await;
    world
}

fn amy() -> Caller {
    caller(AMY, Role::Rep, Some(7))
}

fn admin() -> Caller {
    caller(ADMIN, Role::Admin, None)
}

async fn add(state: &State, name: &str) -> Result<Listed, Error> {
    let new = New { name: name.to_owned(), ..New::default() };
    match lost_reason::create(state, &admin(), new, None, meta(ADMIN)).await? {
        Outcome::New(listed) => Ok(listed),
        Outcome::Replay(_) => panic!("there was no key"),
    }
}

async fn edit(world: &World, id: i64, edit: Edit) -> Result<Listed, Error> {
    lost_reason::update(&world.state, &admin(), (id, None), edit, meta(ADMIN)).await
}

type Lost = Result<Opportunity, Error>;

/// Loses an opportunity by each of the ways in which one can be lost.
async fn lose(state: &State, world: &World, reason: &str) -> [Lost; 4] {
    let (by, reason) = (amy(), reason.to_owned());
    let made = async || world.sale(&amy()).await.opportunity.id;
    let asked = || EditWish {
        stage: Some(Some("lost".to_owned())),
        lost_reason: Some(Some(reason.clone())),
        ..EditWish::default()
    };
    let moved = {
        let step = Step { lost_reason: Some(reason.clone()), ..Step::default() };
        let wish = MoveWish {
            stage: "lost".to_owned(),
            step,
            expected_version: None,
            faults: rpc::Invalid::default(),
        };
        opportunity::change_stage(state, &by, made().await, wish, meta(AMY)).await
    };
    let changed = opportunity::update(state, &by, made().await, None, asked(), meta(AMY)).await;
    let update = Update { id: made().await, expected_version: None, wish: asked() };
    let bulk = match bulk::update(state, &by, vec![update], None, meta(AMY)).await {
        Ok(Outcome::New(mut done)) => done.remove(0).outcome,
        Ok(Outcome::Replay(_)) => panic!("there was no key"),
        Err(error) => Err(error),
    };
    let new = Wish {
        stage: Some("lost".to_owned()),
        lost_reason: Some(reason.clone()),
        external_id: Some(format!("{reason} {}", made().await)),
        ..wish()
    };
    let upserted = Box::pin(opportunity::upsert(state, &by, (new, asked()), None, meta(AMY))).await;
    let upserted = upserted.map(|(detail, _)| detail);
    [moved, changed, bulk, upserted].map(|it| it.map(|detail| detail.opportunity))
}

fn codes(lost: &Lost) -> Vec<String> {
    match lost {
        Err(Error::Invalid(fields)) => {
            fields.iter().map(|it| format!("{} {}", it.field, it.code)).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn while_a_reason_is_active_every_path_names_an_active_one_and_keeps_its_name() {
    let world = world().await;
    for lost in lose(&world.state, &world, "無預算").await {
        assert_eq!(lost.unwrap().lost_reason.as_deref(), Some("無預算"));
    }
    add(&world.state, "Price").await.unwrap();
    for lost in lose(&world.state, &world, " ｐＲＩＣＥ ").await {
        assert_eq!(lost.unwrap().lost_reason.as_deref(), Some("Price"));
    }
    for lost in lose(&world.state, &world, "無預算").await {
        assert_eq!(codes(&lost), ["lost_reason unknown_lost_reason"]);
    }
}

#[tokio::test]
async fn what_becomes_of_the_list_does_not_change_what_was_lost() {
    let world = world().await;
    let id = add(&world.state, "Price").await.unwrap().id;
    let [lost, ..] = lose(&world.state, &world, "price").await;
    let lost = lost.unwrap();
    let called = Edit { name: Some(Some("Budget".to_owned())), ..Edit::default() };
    edit(&world, id, called).await.unwrap();
    assert_eq!(world.find(lost.id).await, lost);
    // It may be said again, and all else about it changed.
    let again = EditWish {
        lost_reason: Some(Some("Price".to_owned())),
        notes: Some(Some("x".to_owned())),
        ..EditWish::default()
    };
    let noted = world.change(&amy(), (lost.id, None), again).await.unwrap().opportunity;
    assert_eq!((noted.lost_reason.as_deref(), noted.version), (Some("Price"), lost.version + 1));
    let other =
        |name: &str| EditWish { lost_reason: Some(Some(name.to_owned())), ..EditWish::default() };
    let refused = world.change(&amy(), (lost.id, None), other("Fit")).await;
    assert_eq!(codes(&refused.map(|it| it.opportunity)), ["lost_reason unknown_lost_reason"]);
    let changed = world.change(&amy(), (lost.id, None), other("BUDGET")).await.unwrap();
    assert_eq!(changed.opportunity.lost_reason.as_deref(), Some("Budget"));
    lost_reason::delete(&world.state, &admin(), (id, None), meta(ADMIN)).await.unwrap();
    let [lost, ..] = lose(&world.state, &world, "anything").await;
    assert_eq!(lost.unwrap().lost_reason.as_deref(), Some("anything"));
}

#[tokio::test]
async fn another_process_accepts_at_once_what_was_added_and_forgets_within_a_second() {
    let world = world().await;
    add(&world.state, "Price").await.unwrap();
    let lost_reasons = Known::default();
    lost_reasons.set((*world.state.lost_reasons.get().unwrap()).clone());
    let replica = State { lost_reasons, ..world.state.clone() };
    add(&world.state, "Timing").await.unwrap();
    for lost in lose(&replica, &world, "timing").await {
        assert_eq!(lost.unwrap().lost_reason.as_deref(), Some("Timing"));
    }
}

#[tokio::test]
async fn the_list_is_one_record_whose_every_version_is_told_however_many_change_it_at_once() {
    let world = world().await;
    let names: Vec<_> = (0..8).map(|number| format!("Reason {number}")).collect();
    let added = join_all(names.iter().map(|name| add(&world.state, name))).await;
    let mut versions: Vec<_> = added.into_iter().map(|it| it.unwrap().list.version).collect();
    versions.sort_unstable();
    assert_eq!(versions, (1..=8).collect::<Vec<_>>());
    let list = lost_reason::all(&world.state.reads).await.unwrap();
    let (first, last) = (list.items[0].clone(), list.items[7].id);
    let nothing = edit(&world, last, Edit { position: Some(Some(8)), ..Edit::default() }).await;
    assert_eq!(nothing.unwrap().list, list, "to say what is so already changes nothing");
    let top = Edit { position: Some(Some(1)), is_active: Some(Some(false)), ..Edit::default() };
    let moved = edit(&world, last, top).await.unwrap().list;
    assert_eq!((moved.items[0].id, moved.items[1].id, moved.version), (last, first.id, 9));
    assert_eq!(lost_reason::all(&world.state.reads).await.unwrap(), moved);
    let stale = (first.id, Some(8));
    let stale = lost_reason::delete(&world.state, &admin(), stale, meta(ADMIN)).await.unwrap_err();
    assert!(matches!(stale, Error::Stale { current: Some(9) }), "{stale:?}");
    let gone = lost_reason::delete(&world.state, &admin(), (-1, None), meta(ADMIN)).await;
    assert!(matches!(gone, Err(Error::NotFound { .. })), "{gone:?}");
    let denied = lost_reason::delete(&world.state, &amy(), (last, None), meta(AMY)).await;
    assert!(matches!(denied, Err(Error::Denied { .. })), "{denied:?}");
    let told: Vec<Vec<u8>> = sqlx::query_scalar(
        "select payload from change where aggregate = 'lost_reasons' order by version",
    )
    .fetch_all(&world.state.reads)
    .await
    .unwrap();
    let told: Vec<_> = told.iter().map(|payload| Event::decode(&**payload).unwrap()).collect();
    assert_eq!(told.iter().map(|it| it.version).collect::<Vec<_>>(), (1..=9).collect::<Vec<_>>());
    let Some(Record::LostReasons(record)) = &told[8].record else { panic!("of reasons") };
    assert_eq!((record.items[0].id, record.items[0].is_active), (last, false));
    let fields: Vec<_> = told[8].changes.iter().map(|it| it.field.clone()).collect();
    assert_eq!(fields, ["items".to_owned(), format!("{last}.is_active")]);
}
